"""The stream: the same messages however it is cut, and an end where it cannot be trusted."""

from itertools import pairwise

import pytest
from gy_samples import FULL, ccr, golden_messages
from hypothesis import given
from hypothesis import strategies as st

from ocs.diameter import framing
from ocs.errors import InvalidMessageLength, UnsupportedVersion

MESSAGES = [bytes.fromhex(vector["hex"]) for vector in golden_messages()]
STREAM = b"".join(MESSAGES)


def fed(
    chunks: list[bytes], octets_max: int = framing.MESSAGE_OCTETS_MAX
) -> tuple[list[bytes], framing.FramingError | None]:
    """Feed all chunks; give the messages and the error that ended the stream, if one did."""
    framer = framing.Framer(octets_max)
    messages: list[bytes] = []
    for chunk in chunks:
        try:
            messages += framer.feed(chunk)
        except framing.FramingError as error:
            return messages + error.messages, error
    return messages, None


def cut(stream: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(min(place, len(stream)) for place in places), len(stream)]
    return [stream[start:stop] for start, stop in pairwise(edges)]


@pytest.mark.fault(5)
@given(st.lists(st.integers(0, len(STREAM)), max_size=30))
def test_cut_anywhere_the_messages_are_the_same(places: list[int]) -> None:
    assert fed(cut(STREAM, places)) == (MESSAGES, None)


@pytest.mark.fault(5)
def test_octet_by_octet() -> None:
    assert fed([STREAM[index : index + 1] for index in range(len(STREAM))]) == (MESSAGES, None)


@pytest.mark.fault(5)
def test_five_hundred_messages_in_one_piece() -> None:
    message = ccr(FULL)
    assert fed([message * 500]) == ([message] * 500, None)


def test_what_has_begun_is_pending() -> None:
    framer = framing.Framer()
    assert framer.feed(MESSAGES[0] + MESSAGES[1][:25]) == MESSAGES[:1]
    assert framer.pending == 25
    assert framer.feed(MESSAGES[1][25:]) == [MESSAGES[1]]
    assert framer.pending == 0


@pytest.mark.fault(1, 2, 3)
@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("02000014", UnsupportedVersion),
        ("00000014", UnsupportedVersion),
        ("01000000", InvalidMessageLength),
        ("01000010", InvalidMessageLength),
        ("01000013", InvalidMessageLength),
        ("01000016", InvalidMessageLength),
        ("01010004", InvalidMessageLength),
        ("01ffffff", InvalidMessageLength),
    ],
)
@given(places=st.lists(st.integers(0, 400), max_size=5))
def test_a_stream_ends_at_an_untrue_header_wherever_it_is_cut(word: str, reason: type, places: list[int]) -> None:
    faulty = bytes.fromhex(word) + MESSAGES[1][4:20]
    messages, error = fed(cut(MESSAGES[0] + faulty + MESSAGES[2], places))
    assert messages == MESSAGES[:1]
    assert error is not None
    assert isinstance(error.reason, reason)
    assert faulty.startswith(error.header)


def test_the_longest_message_passes_and_the_next_longer_does_not() -> None:
    assert fed([bytes.fromhex("01000064") + bytes(96)], octets_max=100)[1] is None
    _, error = fed([bytes.fromhex("01000068")], octets_max=100)
    assert error is not None
    assert error.reason.result_code == 5015


@pytest.mark.fault(22)
@given(st.binary(max_size=300), st.lists(st.integers(0, 300), max_size=5))
def test_hostile_bytes_end_the_stream_or_wait(data: bytes, places: list[int]) -> None:
    messages, _ = fed(cut(data, places))
    assert all(framing.read_header(message).length == len(message) for message in messages)
    assert data.startswith(b"".join(messages))
