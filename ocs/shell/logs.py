"""What the server says of itself: JSON lines on standard error, text on a terminal; times in UTC, IMSIs masked.

An IMSI is personal data: six digits name the operator and the last two tell two subscribers apart; the rest is hidden
unless `logging.full_imsi` says otherwise.
"""

import io
import logging
import re
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import Final, TextIO, cast

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from ocs.shell.config import Logging

_STEERING: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
"""What moves a terminal's cursor or worse; lines and tabs are left, as tracebacks have them."""

_BRAKED: Final = frozenset({"debug", "info", "warning"})
_DIGITS: Final = re.compile(r"(?<![0-9])([0-9]{6})[0-9]{6,8}([0-9]{2})(?![0-9])")


LINES_AT_ONCE: Final = 1000
LINES_A_SECOND: Final = 20
"""Of one kind, and so many at once.  What a flood of requests brings about is counted in the metrics; the log is to be
read."""


class Brake:
    """Lets so many lines of one kind pass; the next one that passes tells how many were left out."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._room: dict[object, tuple[float, float]] = {}  # for so many lines, at this time; by what the line says
        self._left_out: Counter[object] = Counter()

    def __call__(self, logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
        """Drop a line that is one too many, unless it tells of an error."""
        if method not in _BRAKED:
            return event
        kind, now = event["event"], self._clock()
        room, at = self._room.get(kind, (LINES_AT_ONCE, now))
        room = min(LINES_AT_ONCE, room + (now - at) * LINES_A_SECOND)
        if room < 1:
            self._room[kind] = room, now
            self._left_out[kind] += 1
            raise structlog.DropEvent
        self._room[kind] = room - 1, now
        if left_out := self._left_out.pop(kind, 0):
            event["left_out"] = left_out
        return event


class _Unfailing(io.TextIOBase):
    """A stream that keeps its failures to itself.

    A full disk behind the log is no reason to leave a request unanswered, or to go on where the server was to stop.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        with suppress(OSError, ValueError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError, ValueError):
            self._stream.flush()


def configure(settings: Logging) -> None:
    """Set up structlog, and lead the warnings of libraries through it."""
    brake: list[Processor] = [] if settings.level == "debug" else [Brake()]
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    # Traces become text before they are masked: what an exception says may name a subscriber too.
    traces: Processor = structlog.processors.format_exc_info
    masking: list[Processor] = [] if settings.full_imsi else [mask]
    rendering: list[Processor] = (
        [structlog.processors.JSONRenderer(ensure_ascii=False)]
        if settings.format == "json" or (settings.format == "auto" and not sys.stderr.isatty())
        else [
            _harmless,
            structlog.dev.ConsoleRenderer(
                colors=sys.stderr.isatty(),
                pad_event_to=0,
                exception_formatter=structlog.dev.plain_traceback,  # the other one would warn of formatted traces
            ),
        ]
    )
    level = logging.getLevelNamesMapping()[settings.level.upper()]
    structlog.configure(
        processors=[*brake, *shared, traces, *masking, *rendering],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(cast(TextIO, _Unfailing(sys.stderr))),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                traces,
                *masking,
                *rendering,
            ],
        )
    )
    logging.basicConfig(level=max(level, logging.WARNING), handlers=[handler], force=True)


def mask(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """Hide the middle of everything that may be an IMSI or an IMEI, wherever it stands."""
    return {key: _masked(value) for key, value in event.items()}


def _masked(value: object) -> object:
    match value:
        case str():
            return _DIGITS.sub(r"\1******\2", value)
        case bytes():
            return _DIGITS.sub(r"\1******\2", value.decode("utf-8", "replace"))
        case dict():
            return {_masked(key): _masked(inner) for key, inner in value.items()}
        case list() | tuple():
            return [_masked(inner) for inner in value]
        case None | bool() | int() | float():
            return value
        case _:
            return _masked(repr(value))  # as it would be written later, unmasked


def _harmless(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """Escape what would steer the terminal of whoever reads along; JSON does so by itself."""
    return {
        key: _STEERING.sub(lambda found: ascii(found[0])[1:-1], value) if isinstance(value, str) else value
        for key, value in event.items()
    }
