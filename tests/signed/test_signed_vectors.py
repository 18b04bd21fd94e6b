"""The published vectors, which protobuf's own classes and OpenSSL made (`write_vectors.py`): octets beside meaning."""

import json
from pathlib import Path
from typing import Any

import pytest
import write_vectors

from ocs.channel.record import ChannelClose, ChannelOpen, Commit, Summary
from ocs.signed import envelope
from ocs.signed.ed25519 import SeedSigner, public_key_of, verify
from ocs.signed.malformed import Malformed
from ocs.units import UnixMillis
from ocs.usage.dispute import Dispute
from ocs.usage.keys import KeyView, Role
from ocs.usage.opening import Refused, open_report, open_signed
from ocs.usage.record import Countersign, SessionInit, Usage
from ocs.usage.rotation import KeyRotation

VECTORS = Path(__file__).parent.parent / "vectors"
ACCEPTED = json.loads((VECTORS / "signed.json").read_text("utf-8"))
REFUSED = json.loads((VECTORS / "signed_refused.json").read_text("utf-8"))
RECORDS: dict[str, Any] = {
    kind.__name__: kind
    for kind in (SessionInit, Usage, Countersign, Commit, ChannelOpen, ChannelClose, KeyRotation, Dispute)
}


def record_of(kind: Any, fields: dict[str, Any]) -> Any:
    """Make a record of a vector's fields: numbers stand there as decimal strings, octets in hex."""
    values = {}
    for name, annotation in kind.__annotations__.items():
        value = fields[name]
        if name == "summaries":
            values[name] = tuple(record_of(Summary, each) for each in value)
        elif annotation is bytes:
            values[name] = bytes.fromhex(value)
        else:
            values[name] = value if annotation in {str, bool} else annotation(int(value))
    return kind(**values)


@pytest.mark.parametrize("vector", ACCEPTED, ids=lambda vector: vector["meaning"])
def test_accepted_ones_both_ways(vector: dict[str, Any]) -> None:
    kind = RECORDS[vector["message"]]
    payload = bytes.fromhex(vector["payload"])
    record = record_of(kind, vector["fields"])
    assert set(vector["fields"]) == set(kind.__struct_fields__)
    assert record.encode() == payload
    assert kind.decode(payload) == record

    covered = envelope.signed_bytes(vector["payload_type"], payload)
    assert covered.hex() == vector["signed_bytes"]
    signer = SeedSigner(bytes.fromhex(vector["signer_seed"]))
    assert envelope.seal(vector["payload_type"], payload, signer).hex() == vector["envelope"]

    read = envelope.decode(bytes.fromhex(vector["envelope"]))
    assert (read.payload_type, read.payload) == (vector["payload_type"], payload)
    assert envelope.message_id(read).hex() == vector["id"]
    assert verify(public_key_of(read.signer), covered, read.signature)


def test_every_signed_record_has_a_vector() -> None:
    assert {vector["message"] for vector in ACCEPTED} == set(RECORDS)


def keys() -> dict[bytes, KeyView]:
    return {
        bytes.fromhex(public): KeyView(
            role=Role(key["role"]),
            pairs=(bytes.fromhex(key["pair"]),),
            origin_host="sgw.example.net",
            valid_from=UnixMillis(0),
        )
        for public, key in REFUSED["keys"].items()
    }


@pytest.mark.parametrize("vector", REFUSED["refused"], ids=lambda vector: vector["meaning"])
def test_refused_ones_have_their_code(vector: dict[str, Any]) -> None:
    now = UnixMillis(int(REFUSED["now"]))
    verdict = open_report(bytes.fromhex(vector["octets"]), keys(), REFUSED["network"], now)
    assert isinstance(verdict, Refused)
    assert verdict.code == vector["code"]


OF_A_REGISTER = {"bad_key", "key_revoked", "role_mismatch", "unpaired"}


@pytest.mark.parametrize("vector", REFUSED["refused"], ids=lambda vector: vector["meaning"])
def test_without_a_register_only_its_rules_are_not_asked(vector: dict[str, Any]) -> None:
    code = None
    try:
        open_signed(bytes.fromhex(vector["octets"]), REFUSED["network"])
    except Malformed as error:
        code = error.code
    assert code == vector["code"] or vector["code"] in OF_A_REGISTER


def test_the_rows_that_octets_and_keys_decide_are_there() -> None:
    assert {1, 2, 3, 4, 5, 6, 7, 11, 12, 13, 31} <= {vector["row"] for vector in REFUSED["refused"]}


def test_the_files_are_what_their_witness_writes() -> None:
    assert write_vectors.all_accepted() == ACCEPTED
    assert write_vectors.all_refused() == REFUSED["refused"]
