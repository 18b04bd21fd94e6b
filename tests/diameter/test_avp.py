"""AVP headers: golden vectors in both directions, bounds, and what hostile bytes may cause."""

import logging

import pytest
from gy_samples import DICTIONARY, golden_messages
from hypothesis import given
from hypothesis import strategies as st

from ocs.diameter import avp, framing
from ocs.diameter.grammar import DataType
from ocs.errors import InvalidAvpLength

# scapy warns at import about missing routes, which no test here needs.
logging.getLogger("scapy.runtime").setLevel(logging.ERROR)
from scapy.contrib import diameter as scapy_diameter  # noqa: E402  (only after its logger is quiet)


def built(tree: dict) -> bytes:
    data = b"".join(map(built, tree["members"])) if "members" in tree else bytes.fromhex(tree["data"])
    return avp.encode(tree["code"], data, vendor=tree["vendor"], flags=tree["flags"])


def read(buffer: bytes, start: int, end: int, trees: list[dict]) -> list[dict]:
    """Read as many levels as `trees` has."""
    found = []
    for raw, tree in zip(avp.walk(buffer, start, end), trees, strict=True):
        head = {"code": raw.code, "vendor": raw.vendor, "flags": raw.flags}
        if "members" in tree:
            found.append(head | {"members": read(buffer, raw.start, raw.end, tree["members"])})
        else:
            found.append(head | {"data": buffer[raw.start : raw.end].hex()})
    return found


@pytest.mark.parametrize("vector", golden_messages(), ids=lambda vector: vector["meaning"])
def test_golden_messages_both_ways(vector: dict) -> None:
    message = bytes.fromhex(vector["hex"])
    names = ("flags", "command", "application", "hop_by_hop", "end_to_end")
    head = [vector[name] for name in names]
    assert framing.encode(*head, b"".join(map(built, vector["avps"]))) == message
    header = framing.read_header(message)
    assert [getattr(header, name) for name in names] == head
    assert header.length == len(message)
    assert read(message, 20, len(message), vector["avps"]) == vector["avps"]


def test_a_vendor_makes_the_header_longer_and_sets_its_bit() -> None:
    assert avp.encode(869, b"\1\2\3\4", vendor=10415).hex() == "00000365c0000010000028af01020304"
    assert avp.encode(869, b"\1\2\3\4").hex() == "000003654000000c01020304"


@pytest.mark.parametrize("octets", range(9))
def test_padding_is_not_part_of_the_length(octets: int) -> None:
    encoded = avp.encode(33, b"\xff" * octets)
    assert len(encoded) % 4 == 0
    assert int.from_bytes(encoded[5:8], "big") == 8 + octets
    (found,) = avp.walk(encoded, 0, len(encoded))
    assert encoded[found.start : found.end] == b"\xff" * octets
    # Padding of the last AVP may be missing, and may be anything.
    (found,) = avp.walk(encoded[: 8 + octets], 0, 8 + octets)
    assert found.end == 8 + octets


@pytest.mark.parametrize(
    ("hexadecimal", "failed"),
    [
        pytest.param("000001a440000007", "000001a440000008", id="length below the header"),
        pytest.param("000001a440000000", "000001a440000008", id="length 0"),
        pytest.param("000001a44000000d00000000", "000001a440000008", id="length past the end"),
        pytest.param("00000365c000000b000028af", "00000365c000000c000028af", id="length below the header with vendor"),
        pytest.param("00000365c0000008", "0000036540000008", id="no room for the vendor"),
        pytest.param("000001a4", "000001a400000008", id="half a header"),
        pytest.param("000001a4c00000", "000001a440000008", id="seven octets of a header"),
    ],
)
def test_an_impossible_length_is_mended_in_the_failed_avp(hexadecimal: str, failed: str) -> None:
    good = avp.unsigned32(415, 1)
    buffer = good + bytes.fromhex(hexadecimal)
    walk = avp.walk(buffer, 0, len(buffer))
    assert next(walk).code == 415
    with pytest.raises(InvalidAvpLength) as caught:
        next(walk)
    assert caught.value.failed_avp.hex() == failed
    # It can itself be read.
    assert len(list(avp.walk(caught.value.failed_avp, 0, len(caught.value.failed_avp)))) == 1


@given(st.binary(max_size=200))
def test_hostile_bytes_give_avps_in_bounds_or_5014(data: bytes) -> None:
    end, failed = 0, b""
    try:
        for raw in avp.walk(data, 0, len(data)):
            assert end <= raw.offset < raw.start <= raw.end <= len(data)
            end = raw.end
    except InvalidAvpLength as error:
        failed = error.failed_avp
    assert len(list(avp.walk(failed, 0, len(failed)))) == bool(failed)


NUMBERS = st.integers(0, 2**32 - 1)


@given(st.lists(st.tuples(NUMBERS, NUMBERS, st.binary(max_size=40), st.sampled_from([0, avp.MANDATORY]))))
def test_what_was_encoded_is_read_again(avps: list[tuple[int, int, bytes, int]]) -> None:
    buffer = b"".join(avp.encode(code, data, vendor=vendor, flags=flags) for code, vendor, data, flags in avps)
    found = [
        (raw.code, raw.vendor, buffer[raw.start : raw.end], raw.flags & avp.MANDATORY)
        for raw in avp.walk(buffer, 0, len(buffer))
    ]
    assert found == avps


LEAVES = {
    DataType.UNSIGNED32: st.binary(min_size=4, max_size=4),
    DataType.UNSIGNED64: st.binary(min_size=8, max_size=8),
    DataType.OCTET_STRING: st.binary(max_size=40),
    DataType.UTF8_STRING: st.text(max_size=20).map(str.encode),
}
# Both know these AVPs under the same type; what scapy lacks it keeps as octets.
CODES = {
    263: DataType.UTF8_STRING,
    415: DataType.UNSIGNED32,
    432: DataType.UNSIGNED32,
    412: DataType.UNSIGNED64,
    421: DataType.UNSIGNED64,
    460: DataType.OCTET_STRING,
}
LEAF = st.sampled_from(sorted(CODES)).flatmap(lambda code: st.tuples(st.just(code), LEAVES[CODES[code]]))


def test_the_codes_of_the_differential_test_are_in_the_dictionary() -> None:
    assert {code: DICTIONARY.avp(code).type for code in CODES} == CODES


@given(st.lists(st.one_of(LEAF, st.lists(LEAF, max_size=4)), min_size=1, max_size=8))
def test_scapy_reads_what_we_write(avps: list) -> None:
    """A list stands for a Multiple-Services-Credit-Control with these members."""
    encoded = [
        avp.grouped(456, *(avp.encode(*leaf) for leaf in item)) if isinstance(item, list) else avp.encode(*item)
        for item in avps
    ]
    message = framing.encode(0xC0, 272, 4, 7, 8, b"".join(encoded))
    seen = scapy_diameter.DiamG(message)
    assert (seen.drLen, int(seen.drFlags), seen.drCode, seen.drAppId) == (len(message), 0xC0, 272, 4)
    assert (seen.drHbHId, seen.drEtEId) == (7, 8)
    assert len(seen.avpList) == len(avps)
    for item, found in zip(avps, seen.avpList, strict=True):
        if isinstance(item, list):
            assert found.avpCode == 456
            assert [(member.avpCode, octets(member)) for member in found.val] == item
        else:
            assert (found.avpCode, octets(found)) == item
            assert found.avpLen == 8 + len(item[1])


def octets(found: object) -> bytes:
    """The data as scapy would write it again."""
    return bytes(found)[8 : found.avpLen]


@given(
    session=st.text(st.characters(codec="ascii", exclude_categories=["C"]), min_size=1, max_size=60),
    number=NUMBERS,
    volumes=st.lists(st.tuples(NUMBERS, st.integers(0, 2**64 - 1)), max_size=5),
)
def test_we_read_what_scapy_writes(session: str, number: int, volumes: list[tuple[int, int]]) -> None:
    make = scapy_diameter.AVP
    message = bytes(
        scapy_diameter.DiamReq(
            "Credit-Control",
            drAppId=4,
            drHbHId=7,
            drEtEId=8,
            avpList=[
                make("Session-Id", val=session),
                make("CC-Request-Number", val=number),
                *(
                    make(
                        "Multiple-Services-Credit-Control",
                        val=[
                            make("Rating-Group", val=group),
                            make("Used-Service-Unit", val=[make("CC-Total-Octets", val=total)]),
                        ],
                    )
                    for group, total in volumes
                ),
            ],
        )
    )
    header = framing.read_header(message)
    assert header == (len(message), 0xC0, 272, 4, 7, 8)
    first, second, *services = avp.walk(message, 20, len(message))
    assert (first.code, message[first.start : first.end]) == (263, session.encode())
    assert (second.code, message[second.start : second.end]) == (415, number.to_bytes(4, "big"))
    read_volumes = []
    for service in services:
        group, used = avp.walk(message, service.start, service.end)
        (total,) = avp.walk(message, used.start, used.end)
        assert (service.code, group.code, used.code, total.code) == (456, 432, 446, 421)
        read_volumes.append(tuple(int.from_bytes(message[raw.start : raw.end], "big") for raw in (group, total)))
    assert read_volumes == volumes
