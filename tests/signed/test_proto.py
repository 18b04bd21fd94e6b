"""The published .proto files: the proposal's names, our tables, and the generated code, which all must agree."""

import importlib.util
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st

from ocs.channel import record as channel_record
from ocs.signed import wire
from ocs.signed.malformed import Malformed
from ocs.usage import dispute, record
from ocs.wire_pb import helium_pb2, orc8r_pb2, proposal_pb2, settlement_pb2
from signed_messages import SCHEMAS, values_of

ROOT = Path(__file__).parents[2]


def kind_of(field: wire.Field) -> set[int]:
    """Give protobuf's types that a row may stand for."""
    if field.members is not None:
        return {FieldDescriptor.TYPE_MESSAGE}
    if field.wire_type:
        return {FieldDescriptor.TYPE_BYTES if field.default == b"" else FieldDescriptor.TYPE_STRING}
    if field.convert is bool:
        return {FieldDescriptor.TYPE_BOOL}
    if field.convert is not None:
        return {FieldDescriptor.TYPE_ENUM}
    return {FieldDescriptor.TYPE_UINT32, FieldDescriptor.TYPE_UINT64}


@pytest.mark.parametrize("name", SCHEMAS)
def test_our_tables_have_the_fields_of_the_file(name: str) -> None:
    published = settlement_pb2.DESCRIPTOR.message_types_by_name[name]
    ours = SCHEMAS[name].fields
    assert [(field.name, field.number) for field in ours] == [(field.name, field.number) for field in published.fields]
    for field, theirs in zip(ours, published.fields, strict=True):
        assert theirs.type in kind_of(field)
        if theirs.type == FieldDescriptor.TYPE_UINT32:
            assert field.most <= wire.UINT32_MAX


@pytest.mark.parametrize(
    ("ours", "name"),
    [(record.Cause, "Cause"), (channel_record.CloseReason, "CloseReason"), (dispute.DisputeKind, "DisputeKind")],
)
def test_our_enums_are_those_of_the_file(ours: Any, name: str) -> None:
    published = settlement_pb2.DESCRIPTOR.enum_types_by_name[name].values
    assert {value.name: value.number for value in published if value.number} == {each.name: each for each in ours}


def theirs_of(schema: wire.Schema, values: list[Any]) -> Any:
    """Make protobuf's own message of the values of one of ours."""
    fields = {
        field.name: [theirs_of(field.members, each) for each in value] if field.members is not None else value
        for field, value in zip(schema.fields, values, strict=True)
    }
    return getattr(settlement_pb2, schema.name)(**fields)


@pytest.mark.parametrize("name", SCHEMAS)
@given(data=st.data())
def test_protobuf_writes_and_reads_the_same(name: str, data: st.DataObject) -> None:
    schema = SCHEMAS[name]
    values = data.draw(values_of(schema))
    theirs = theirs_of(schema, values)
    octets = theirs.SerializeToString(deterministic=True)
    assert wire.write(schema, values) == octets
    assert wire.read(schema, octets) == values
    assert type(theirs).FromString(wire.write(schema, values)) == theirs


@given(st.sampled_from(sorted(SCHEMAS)), st.data())
def test_what_we_take_protobuf_takes_and_means_the_same(name: str, data: st.DataObject) -> None:
    """Bend good messages: protobuf may take what we refuse, and never the other way, nor otherwise."""
    schema = SCHEMAS[name]
    octets = bytearray(wire.write(schema, data.draw(values_of(schema))))
    for _ in range(data.draw(st.integers(1, 2))):
        octets[data.draw(st.integers(0, len(octets) - 1))] = data.draw(st.integers(0, 255))
    theirs = getattr(settlement_pb2, name)
    try:
        values = wire.read(schema, bytes(octets))
    except Malformed:
        return
    try:
        assert theirs.FromString(bytes(octets)) == theirs_of(schema, values)
    except DecodeError:
        pytest.fail(f"protobuf refuses what we take: {octets.hex()}")


def test_the_names_of_the_proposal() -> None:
    services = proposal_pb2.DESCRIPTOR.services_by_name
    paths = {
        f"/{service.full_name}/{method.name}": (
            method.input_type.full_name,
            method.output_type.full_name,
            method.client_streaming,
            method.server_streaming,
        )
        for service in services.values()
        for method in service.methods
    }
    assert paths == {
        "/SessionStaticsStreamer/SessionStatistics": ("orc8r.Void", "SessionStatisticsUpdate", False, True),
        "/api/session_usage": ("session_usage_update", "orc8r.Void", False, False),
    }
    assert not orc8r_pb2.Void.DESCRIPTOR.fields


def test_our_own_service() -> None:
    (service,) = settlement_pb2.DESCRIPTOR.services_by_name.values()
    assert service.full_name == "settlement.v1.Settlement"
    report, active_channel = service.methods
    assert (report.name, report.client_streaming, report.server_streaming) == ("Report", True, True)
    assert (active_channel.name, active_channel.client_streaming) == ("ActiveChannel", False)


KINDS = {
    "response": (2, "blockchain_state_channel_response_v1"),
    "packet": (4, "blockchain_state_channel_packet_v1"),
    "offer": (5, "blockchain_state_channel_offer_v1"),
    "purchase": (6, "blockchain_state_channel_purchase_v1"),
    "banner": (7, "blockchain_state_channel_banner_v1"),
    "reject": (8, "blockchain_state_channel_rejection_v1"),
    "cbrs_session_usage_commit": (9, "blockchain_state_channel_cbrs_session_usage_commit_v1"),
}


def test_the_kinds_of_a_state_channel_message() -> None:
    message = helium_pb2.blockchain_state_channel_message_v1.DESCRIPTOR
    assert message.full_name == "helium.blockchain_state_channel_message_v1"
    kinds = {field.name: (field.number, field.message_type.name) for field in message.oneofs_by_name["msg"].fields}
    assert kinds == KINDS


def test_field_9_to_the_octet() -> None:
    commit = helium_pb2.blockchain_state_channel_cbrs_session_usage_commit_v1(
        commit=b"\x08\x01", countersigned=b"\x0a\x00"
    )
    message = helium_pb2.blockchain_state_channel_message_v1(cbrs_session_usage_commit=commit)
    assert message.SerializeToString().hex() == "4a08" + "0a020801" + "12020a00"


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_is_known_by_its_name_whatever_it_holds(kind: str) -> None:
    number = KINDS[kind][0]
    octets = bytes([number << 3 | 2, 3, 0xFA, 0x7F, 0x00])  # a field that no kind has: 2047, empty
    assert helium_pb2.blockchain_state_channel_message_v1.FromString(octets).WhichOneof("msg") == kind


def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate_proto", ROOT / "proto" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def tools_version() -> str:
    try:
        return version("grpcio-tools")
    except PackageNotFoundError:
        return ""


@pytest.mark.skipif(tools_version() != "1.85.1", reason="grpcio-tools 1.85.1 wrote what is committed")
def test_the_committed_code_is_what_the_files_make(tmp_path: Path) -> None:
    sys.modules.pop("generate_proto", None)
    generator().generate(tmp_path)
    committed = {path.name: path.read_bytes() for path in (ROOT / "ocs" / "wire_pb").glob("*_pb2*.py*")}
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == committed
