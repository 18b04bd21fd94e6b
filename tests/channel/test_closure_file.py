"""The file of a closure: its octets beside their meaning, and how each way in which it may be broken is told."""

import io
from dataclasses import replace
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from closures import tree_of
from ocs.channel import closure_file
from ocs.channel.closure_file import ClosureFile, read, write
from ocs.channel.leaf import LEAF_OCTETS_MAX
from ocs.signed.envelope import ENVELOPE_OCTETS_MAX
from ocs.signed.malformed import Malformed
from ocs.tlog.note import NOTE_OCTETS_MAX

SMALL = ClosureFile(
    opened=b"open",
    closed=b"close",
    per_octets=20_000,
    log_key="log+key",
    checkpoint=b"note",
    before=tree_of([b"a", b"b", b"c"]),
    entries=[b"d", b"ef"],
)
GOLDEN = (
    b"settlement-closure/v1\n"
    + bytes.fromhex("01 00000004") + b"open"
    + bytes.fromhex("02 00000005") + b"close"
    + bytes.fromhex("03 00000008 0000000000004e20")
    + bytes.fromhex("04 00000007") + b"log+key"
    + bytes.fromhex("05 00000004") + b"note"
    + bytes.fromhex("06 00000048 0000000000000003")
    + bytes.fromhex("b137985ff484fb600db93107c77b0365c80d78f5b429ded0fd97361d077999eb")  # node of a and b
    + bytes.fromhex("597fcb31282d34654c200d3418fca5705c648ebf326ec73d8ddef11841f876d8")  # leaf c
    + bytes.fromhex("07 00000001") + b"d"
    + bytes.fromhex("07 00000002") + b"ef"
)  # fmt: skip
WHOLE = GOLDEN + bytes.fromhex("08 00000028 0000000000000002") + sha256(GOLDEN).digest()


def octets_of(closure: ClosureFile) -> bytes:
    return b"".join(write(closure))


def whole(octets: bytes) -> ClosureFile:
    """Read a file to its end."""
    closure = read(io.BytesIO(octets).read)
    return replace(closure, entries=list(closure.entries))


def told(octets: bytes) -> str:
    with pytest.raises(Malformed) as error:
        whole(octets)
    return error.value.detail


def test_its_octets() -> None:
    assert octets_of(SMALL) == WHOLE


def test_its_meaning() -> None:
    closure = whole(WHOLE)
    assert closure.before.packed() == SMALL.before.packed()
    assert replace(closure, before=SMALL.before) == SMALL


@given(entries=st.lists(st.binary(min_size=1, max_size=300), max_size=20), before=st.integers(0, 40))
def test_what_is_written_is_read(entries: list[bytes], before: int) -> None:
    made = replace(SMALL, entries=entries, before=tree_of([b"x"] * before))
    assert whole(octets_of(made)).entries == entries


def test_entries_are_read_as_they_are_asked_for() -> None:
    source = io.BytesIO(WHOLE)
    entries = iter(read(source.read).entries)
    assert next(entries) == b"d"
    assert source.tell() == WHOLE.index(b"d\x07") + 1


def test_a_writer_keeps_no_entry() -> None:
    asked = []

    def entries() -> object:
        for number in range(3):
            asked.append(number)
            yield b"e%d" % number

    pieces = write(replace(SMALL, entries=entries()))  # type: ignore[arg-type]  # an iterable it is
    while b"e0" not in next(pieces):
        pass
    assert asked == [0]


@given(at=st.integers(0, 8 * len(WHOLE) - 1))
def test_any_bit_that_flips_is_found(at: int) -> None:
    octets = bytearray(WHOLE)
    octets[at // 8] ^= 1 << at % 8
    assert told(bytes(octets))


@pytest.mark.parametrize("at", range(len(WHOLE)))
def test_any_cut_is_found(at: int) -> None:
    assert f"the file ends at octet {at}" in told(WHOLE[:at])


@given(more=st.binary(min_size=1, max_size=50))
def test_whatever_follows_the_end_is_found(more: bytes) -> None:
    assert told(WHOLE + more) == f"at octet {len(WHOLE)}: something follows the end"


def record(kind: int, body: bytes) -> bytes:
    return bytes([kind]) + len(body).to_bytes(4, "big") + body


PRICE = GOLDEN.index(b"\x03\x00")
FRONTIER = GOLDEN.index(b"\x06\x00")
FIRST_ENTRY = GOLDEN.index(b"\x07\x00\x00\x00\x01")


@pytest.mark.parametrize(
    ("octets", "says"),
    [
        (b"settlement-closure/v2\n" + GOLDEN[22:], "record 0, at octet 0: a closure begins with the line"),
        (GOLDEN[:22] + record(2, b"close"), "record 1, at octet 22: its kind is 2, and OPEN belongs here"),
        (GOLDEN[:PRICE] + record(2, b"close"), f"record 3, at octet {PRICE}: its kind is 2, and PRICE belongs here"),
        (GOLDEN[:PRICE] + record(3, b"\0" * 7), f"record 3, at octet {PRICE}: PRICE has 8 to 8 octets, not 7"),
        (
            GOLDEN[:PRICE] + record(3, b"\0" * 8),
            f"record 3, at octet {PRICE}: a data credit pays for one octet at the least",
        ),
        (GOLDEN[:FRONTIER] + record(6, b"\0" * 7 + b"\3"), f"record 6, at octet {FRONTIER}: a packed frontier"),
        (GOLDEN + record(9, b"x"), f"record 9, at octet {len(GOLDEN)}: its kind is 9, and ENTRY or END belongs here"),
        (GOLDEN + record(7, b""), f"record 9, at octet {len(GOLDEN)}: ENTRY has 1 to 65535 octets, not 0"),
        (
            GOLDEN + record(8, b"\0" * 40),
            f"record 9, at octet {len(GOLDEN)}: it counts other than the 2 entries before it",
        ),
        (WHOLE[:-1] + bytes([WHOLE[-1] ^ 1]), f"record 9, at octet {len(GOLDEN)}: the octets before it are not those"),
    ],
)
def test_a_fault_is_told_with_record_and_octet(octets: bytes, says: str) -> None:
    assert told(octets).startswith(says)


def test_a_log_key_is_text() -> None:
    octets = WHOLE.replace(b"log+key", b"log+\xffey")
    assert told(octets) == f"record 4, at octet {WHOLE.index(b'log+key') - 5}: the log's key is no UTF-8"


@pytest.mark.parametrize(
    ("kind", "most"),
    [
        (1, closure_file.OPEN_OCTETS_MAX),
        (2, ENVELOPE_OCTETS_MAX),
        (4, closure_file.LOG_KEY_OCTETS_MAX),
        (5, NOTE_OCTETS_MAX),
        (6, closure_file.FRONTIER_OCTETS_MAX),
        (7, LEAF_OCTETS_MAX),
    ],
)
def test_what_is_too_large_is_refused_before_it_is_read(kind: int, most: int) -> None:
    at = FIRST_ENTRY if kind == 7 else GOLDEN.index(bytes([kind, 0, 0, 0]))
    octets = GOLDEN[:at] + bytes([kind]) + (most + 1).to_bytes(4, "big") + bytes(most + 1)
    source = io.BytesIO(octets)
    with pytest.raises(Malformed, match=f"octets, not {most + 1}"):
        list(read(source.read).entries)
    assert source.tell() == at + 5
