"""What is logged can be read by people and programs, and gives no subscriber away."""

import io
import json
import logging
import re
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from errno import ENOSPC
from typing import Any, Literal

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from ocs.shell import logs
from ocs.shell.config import Logging

IMSI = "001010123456789"
MASKED = "001010******89"
FORMATS: list[Literal["json", "text"]] = ["json", "text"]


@pytest.fixture(autouse=True)
def _as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)


class Session:
    def __repr__(self) -> str:
        return f"Session(imsi={IMSI})"


def say_all() -> None:
    """Name a subscriber in every way there is."""
    log = structlog.get_logger()
    log.info(f"imsi {IMSI}", text=IMSI, octets=IMSI.encode(), many=[IMSI, (IMSI,)], by={IMSI: {"imsi": IMSI}})
    log.warning("objects", session=Session(), error=ValueError(IMSI), some={IMSI}, nai=f"{IMSI}@epc.example")
    try:
        int(IMSI + "x")  # whose message names it
    except ValueError:
        log.exception("ours")
        logging.getLogger("a library").exception("theirs %s", IMSI)


def test_a_flood_leaves_a_log_that_can_be_read() -> None:
    now = 7.0
    brake = logs.Brake(lambda: now)
    passed: list[dict[str, Any]] = []

    def say(method: str, kind: str, count: int) -> None:
        for _ in range(count):
            with suppress(structlog.DropEvent):
                passed.append(dict(brake(None, method, {"event": kind})))

    say("warning", "refused", 5000)
    say("info", "opened", 3)
    say("error", "broken", 2000)
    assert Counter(line["event"] for line in passed) == {"refused": logs.LINES_AT_ONCE, "opened": 3, "broken": 2000}
    passed.clear()
    now += 0.15
    say("warning", "refused", 10)
    left_out = 5000 - logs.LINES_AT_ONCE
    assert passed == [{"event": "refused", "left_out": left_out}, *[{"event": "refused"}] * 2], "three in 0.15 s"
    passed.clear()
    now += 3600
    say("warning", "refused", 1)
    assert passed == [{"event": "refused", "left_out": 7}]


@pytest.mark.parametrize(("terminal", "begins"), [(True, "20"), (False, "{")])
def test_people_at_a_terminal_read_text(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], terminal: bool, begins: str
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)
    logs.configure(Logging())
    structlog.get_logger().info("serving")
    assert re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().err).startswith(begins)


@pytest.mark.parametrize("form", FORMATS)
def test_no_imsi_is_told_whole(form: Literal["json", "text"], capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(Logging(format=form))
    say_all()
    told = capsys.readouterr().err
    assert IMSI not in told
    assert told.count(MASKED) >= 14
    assert told.count("Traceback") == 2


@pytest.mark.parametrize("form", FORMATS)
def test_unless_it_is_wanted(form: Literal["json", "text"], capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(Logging(format=form, full_imsi=True))
    say_all()
    told = capsys.readouterr().err
    assert told.count(IMSI) >= 14
    assert MASKED not in told


def test_json_is_an_object_per_line(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(Logging())
    say_all()
    structlog.get_logger().info("lines\nand \x1b[2J", amount=10**14, share=0.5, known=True, none=None, name="Zürich")
    captured = capsys.readouterr()
    assert captured.out == ""
    told: list[dict[str, Any]] = [json.loads(line) for line in captured.err.splitlines()]
    assert [one["level"] for one in told] == ["info", "warning", "error", "error", "info"]
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z", one["timestamp"]) for one in told)
    last = told[-1]
    assert last["event"] == "lines\nand \x1b[2J"
    assert (last["amount"], last["share"], last["known"], last["none"]) == (10**14, 0.5, True, None)
    assert "Zürich" in captured.err


def test_text_does_not_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(Logging(format="text"))
    structlog.get_logger().warning("from \x1b[2J", peer="sgw\x1b]0;owned\x07", other="\x9b")
    logging.getLogger("a library").warning("too \x1b[2J")
    told = capsys.readouterr().err
    assert not set(told) & {"\x1b", "\x07", "\x9b"}
    assert told.count("x1b[2J") == 2


@pytest.mark.parametrize(
    ("level", "ours", "theirs"),
    [("debug", 4, 2), ("info", 3, 2), ("warning", 2, 2), ("error", 1, 1)],
)
def test_the_level_is_the_least_that_is_said(
    level: Literal["debug", "info", "warning", "error"],
    ours: int,
    theirs: int,
    capsys: pytest.CaptureFixture[str],
) -> None:
    logs.configure(Logging(level=level))
    for log in (structlog.get_logger(), logging.getLogger("a library")):
        for name in ("debug", "info", "warning", "error"):
            getattr(log, name)(f"{type(log).__name__}")
    told = [json.loads(line)["event"] for line in capsys.readouterr().err.splitlines()]
    assert told.count("Logger") == theirs, "libraries are heard from warnings on"
    assert len(told) - told.count("Logger") == ours


@given(before=st.text("ab ;=@/", max_size=3), imsi=st.from_regex(r"[0-9]{14,16}", fullmatch=True))
def test_every_long_number_is_masked(before: str, imsi: str) -> None:
    told = str(logs.mask(None, "info", {"event": f"{before}{imsi};1"})["event"])
    assert told == f"{before}{imsi[:6]}******{imsi[-2:]};1"


@pytest.mark.parametrize("text", ["1234567890123", "12345678901234567", "1.5", "2026-11-24", "0x" + "a" * 15, ""])
def test_other_numbers_stay(text: str) -> None:
    assert logs.mask(None, "info", {"event": text}) == {"event": text}


class Full(io.StringIO):
    def write(self, _: str) -> int:
        raise OSError(ENOSPC, "No space left on device")


@pytest.mark.parametrize("form", FORMATS)
def test_a_log_that_cannot_be_written_harms_nobody(
    form: Literal["json", "text"], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stderr", Full())
    logs.configure(Logging(format=form))
    structlog.get_logger().warning("nobody reads this")
