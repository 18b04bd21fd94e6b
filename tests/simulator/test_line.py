"""A line does to messages what its shape says, and loses none of their octets."""

import asyncio

from simulator.line import GATHER_SECONDS_MAX, Line, Shape

MESSAGES = (b"first message", b"second", b"third one")


class Wire:
    """The socket's side: each write apart."""

    def __init__(self) -> None:
        self.written: list[bytes] = []

    def write(self, octets: bytes) -> None:
        self.written.append(octets)

    def is_closing(self) -> bool:
        return False


def written(shape: Shape, *messages: bytes, seconds: float = 0.0, cut_off: bool = False) -> list[bytes]:
    async def run() -> list[bytes]:
        wire = Wire()
        line = Line(wire)  # type: ignore[arg-type]  # all of a writer that a line needs
        line.shape, line.cut_off = shape, cut_off
        for message in messages:
            line.send(message)
        await asyncio.sleep(seconds)
        return wire.written

    return asyncio.run(run())


def test_a_good_line_passes_messages_as_they_are():
    assert written(Shape(), *MESSAGES) == list(MESSAGES)


def test_split_octets_leave_in_order():
    assert written(Shape(split=1), b"abc") == [b"a", b"b", b"c"]
    parts = written(Shape(split=4), *MESSAGES)
    assert b"".join(parts) == b"".join(MESSAGES)
    assert max(map(len, parts)) == 4


def test_messages_wait_for_each_other():
    assert written(Shape(merge=3), *MESSAGES) == [b"".join(MESSAGES)]
    assert written(Shape(merge=3, backwards=True), *MESSAGES) == [b"".join(reversed(MESSAGES))]


def test_too_few_go_alone_after_a_while():
    assert written(Shape(merge=3), *MESSAGES[:2]) == []
    assert written(Shape(merge=3), *MESSAGES[:2], seconds=GATHER_SECONDS_MAX + 0.05) == [b"".join(MESSAGES[:2])]


def test_what_is_delayed_comes_later():
    assert written(Shape(delay=0.05), b"late") == []
    assert written(Shape(delay=0.05), b"late", seconds=0.1) == [b"late"]


def test_what_is_cut_off_arrives_nowhere():
    assert written(Shape(), *MESSAGES, cut_off=True) == []
