"""SGWs and miners that lie: each lie a function of an honest stream of reports, with what docs/signing.md says to it.

An SGW signs what it likes, a miner countersigns what it likes, and keys that both hold sign everything well.  What then
bounds the fraud is the grant: below it, and the tolerance, a lie shows only as a difference between what was signed and
what was told over Gy, which reconciliation lists.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final

from simulator.settlement.keys import Key
from simulator.settlement.messages import Cause, Counters, Countersign, Envelope, Names, SessionInit, Usage, seal

ACCEPTED: Final = ""

ABOVE: Final = 10**12
"""More octets than any tolerance lets pass."""

WITHIN: Final = 1
"""Fewer than any tolerance above 0."""

NEAR_MS: Final = 4 * 60_000
FAR_MS: Final = 10 * 60_000
"""On this side and on that of the five minutes by which clocks may differ."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Both keys of a gateway, and the network in which they are registered."""

    sgw: Key
    miner: Key
    network: str


@dataclass(frozen=True, slots=True)
class Said:
    """A report before it is signed; `at_ms` is when the miner had it."""

    report: SessionInit | Usage
    at_ms: int


Stream = tuple[Said, ...]
"""The reports of one signed session, in order: a SessionInit and its usage, the last one final."""


@dataclass(frozen=True, slots=True)
class Sent:
    """A countersigned envelope as it goes out.

    Attributes:
        expected: the code with which it is refused; "" where it is accepted.
        octets: what the server then holds as signed for in the session; of the report before where it is refused.
    """

    envelope: bytes
    expected: str
    octets: int


Lie = Callable[[Stream, Pair], Iterable[Sent]]


@dataclass(frozen=True, slots=True)
class Scheme:
    """A lie with its name, who tells it, and what it tries."""

    name: str
    who: str
    tries: str
    lie: Lie


def stream(names: Names, init: SessionInit, readings: Iterable[Counters], at_ms: int) -> Stream:
    """Write an honest stream: the session begins, and then counts these; all within one moment."""
    said = [Said(init, at_ms)]
    previous = _id(init)
    counted = list(readings)
    for seq, octets in enumerate(counted, 1):
        final = seq == len(counted)
        usage = Usage(
            names=names,
            seq=seq,
            octets=octets,
            measured_at_ms=at_ms,
            cause=Cause.TERMINATED if final else Cause.THRESHOLD,
            prev_id=previous,
            cc_request_number=seq,
            final=final,
        )
        previous = _id(usage)
        said.append(Said(usage, at_ms))
    return tuple(said)


def honest(said: Stream, pair: Pair) -> Iterator[Sent]:
    """Sign and countersign it as it is."""
    for number, one in enumerate(said, 1):
        yield Sent(_countersigned(one, pair, number), ACCEPTED, _octets(one))


def inflated(by: int, code: str) -> Lie:
    """Count octets that nobody used; both signatures are good, so the SGW alone, or both together, may do it."""

    def lie(said: Stream, pair: Pair) -> Iterator[Sent]:
        counted = 0
        for number, one in enumerate(_chained(_more(one, by) for one in said), 1):
            expected = ACCEPTED if isinstance(one.report, SessionInit) else code
            counted = _octets(one) if expected == ACCEPTED else counted
            yield Sent(_countersigned(one, pair, number), expected, counted)

    return lie


def equivocal(said: Stream, pair: Pair) -> Iterator[Sent]:
    """Sign two reports with one `seq`: whoever is asked is shown the one that suits."""
    return _contradicted(said, pair, lambda usage: replace(usage, octets=usage.octets.plus(Counters(0, 1))))


def falling(said: Stream, pair: Pair) -> Iterator[Sent]:
    """Sign a counter that falls: what was used is to be used again."""
    return _contradicted(
        said, pair, lambda usage: replace(usage, seq=usage.seq + 1, octets=Counters(usage.octets.up, 0))
    )


def altered(said: Stream, pair: Pair) -> Iterator[Sent]:
    """Change the counters inside, and leave the SGW's signature as it was."""

    def change(one: Said) -> bytes:
        inner = seal(one.report, pair.sgw)
        return replace(inner, payload=_more(one, WITHIN).report.encode()).encode()

    return _inside(said, pair, change, "inner_mismatch")


def stripped(said: Stream, pair: Pair) -> Iterator[Sent]:
    """Take the SGW's envelope out, and countersign its bare payload."""
    return _inside(said, pair, lambda one: one.report.encode(), "inner_mismatch")


def posing(said: Stream, pair: Pair) -> Iterator[Sent]:
    """Sign in the SGW's place with the miner's own key."""
    return _inside(said, pair, lambda one: seal(one.report, pair.miner).encode(), "signer_mismatch")


def redirected(said: Stream, pair: Pair) -> Iterator[Sent]:
    """Countersign for another channel than the one that the SGW signed for."""
    return _usage_as(said, pair, "inner_mismatch", lambda one: {"channel_id": _other(one.report.names.channel_id)})


def replayed(said: Stream, pair: Pair) -> Iterator[Sent]:
    """Sign the same usage again for another channel, both of them."""
    counted = 0
    for number, one in enumerate(said, 1):
        honestly = isinstance(one.report, SessionInit)
        if not honestly:
            names = one.report.names
            moved = replace(one.report, names=replace(names, channel_id=_other(names.channel_id)))
            yield Sent(_countersigned(Said(moved, one.at_ms), pair, number + len(said)), "wrong_channel", counted)
        counted = _octets(one)
        yield Sent(_countersigned(one, pair, number), ACCEPTED, counted)


def doubled(said: Stream, pair: Pair) -> Iterator[Sent]:
    """Send everything twice, and countersign it anew besides: it is one report, and counted once."""
    for number, one in enumerate(honest(said, pair), 1):
        again = _countersigned(said[number - 1], pair, number + len(said))
        yield from (one, one, Sent(again, ACCEPTED, one.octets))


def skewed(sgw_ms: int, miner_ms: int, code: str) -> Lie:
    """Date usage by clocks that go wrong: the SGW's by so much, the miner's by so much, in milliseconds."""

    def lie(said: Stream, pair: Pair) -> Iterator[Sent]:
        counted = 0
        for number, one in enumerate(_chained(_dated(one, sgw_ms, miner_ms) for one in said), 1):
            expected = ACCEPTED if isinstance(one.report, SessionInit) else code
            counted = _octets(one) if expected == ACCEPTED else counted
            yield Sent(_countersigned(one, pair, number), expected, counted)

    return lie


SCHEMES: Final = (
    Scheme("sgw-inflates", "SGW", "counts far more than was granted", inflated(ABOVE, "over_grant")),
    Scheme("sgw-equivocates", "SGW", "signs two reports with one seq", equivocal),
    Scheme("sgw-falls-back", "SGW", "signs a counter that falls", falling),
    Scheme("miner-alters", "miner", "changes what the SGW signed", altered),
    Scheme("miner-strips", "miner", "countersigns without the SGW", stripped),
    Scheme("miner-poses", "miner", "signs in the SGW's place", posing),
    Scheme("miner-redirects", "miner", "countersigns for another channel", redirected),
    Scheme("miner-doubles", "miner", "sends each report three times", doubled),
    Scheme("sgw-clock-near", "SGW", "has a clock that is four minutes fast", skewed(NEAR_MS, 0, ACCEPTED)),
    Scheme("sgw-clock-ahead", "SGW", "has a clock that is ten minutes fast", skewed(FAR_MS, 0, "clock")),
    Scheme("miner-clock-ahead", "miner", "has a clock that is ten minutes fast", skewed(0, FAR_MS, "clock")),
    Scheme("both-clocks-ahead", "both", "date what will be used", skewed(FAR_MS, FAR_MS, "clock")),
    Scheme("both-replay", "both", "sign usage once for each of two channels", replayed),
    Scheme("both-inflate", "both", "count far more than was granted", inflated(ABOVE, "over_grant")),
    Scheme("both-within", "both", "count a little more than was told over Gy", inflated(WITHIN, ACCEPTED)),
)


def _contradicted(said: Stream, pair: Pair, other: Callable[[Usage], Usage]) -> Iterator[Sent]:
    """Send the first usage and one that contradicts it: from there on the session is frozen."""
    code, counted = ACCEPTED, 0
    for number, one in enumerate(said, 1):
        if code == ACCEPTED:
            counted = _octets(one)
        yield Sent(_countersigned(one, pair, number), code, counted)
        if isinstance(one.report, Usage) and code == ACCEPTED:
            contradiction = Said(other(one.report), one.at_ms)
            yield Sent(_countersigned(contradiction, pair, number + len(said)), "equivocation", counted)
            code = "session_ended"


def _inside(said: Stream, pair: Pair, inner: Callable[[Said], bytes], code: str) -> Iterator[Sent]:
    return _usage_as(said, pair, code, lambda one: {"inner": inner(one)})


def _usage_as(said: Stream, pair: Pair, code: str, changes: Callable[[Said], dict[str, bytes]]) -> Iterator[Sent]:
    """Send the SessionInit as it is, and each usage under a countersignature with something changed."""
    for number, one in enumerate(said, 1):
        honestly = isinstance(one.report, SessionInit)
        octets = _countersigned(one, pair, number, **({} if honestly else changes(one)))
        yield Sent(octets, ACCEPTED if honestly else code, 0)


def _countersigned(said: Said, pair: Pair, miner_seq: int, **changes: bytes) -> bytes:
    inner = seal(said.report, pair.sgw)
    message = Countersign(
        channel_id=said.report.names.channel_id,
        inner_id=inner.message_id,
        received_at_ms=said.at_ms,
        miner_seq=miner_seq,
        inner=inner.encode(),
    )
    return seal(replace(message, **changes), pair.miner).encode()  # type: ignore[arg-type]  # of the fields that are octets


def _chained(said: Iterable[Said]) -> Iterator[Said]:
    """Name in each report the one before it, as it is now."""
    previous = b""
    for one in said:
        report = one.report
        if isinstance(report, Usage):
            report = replace(report, prev_id=previous)
        previous = _id(report)
        yield replace(one, report=report)


def _more(said: Said, octets: int) -> Said:
    if isinstance(said.report, SessionInit):
        return said
    return replace(said, report=replace(said.report, octets=said.report.octets.plus(Counters(octets, 0))))


def _dated(said: Said, sgw_ms: int, miner_ms: int) -> Said:
    if isinstance(said.report, SessionInit):
        return said
    report = replace(said.report, measured_at_ms=said.report.measured_at_ms + sgw_ms)
    return Said(report, said.at_ms + miner_ms)


def _octets(said: Said) -> int:
    return said.report.octets.total if isinstance(said.report, Usage) else 0


def _id(report: SessionInit | Usage) -> bytes:
    return Envelope(report.TYPE, report.encode(), b"", b"").message_id


def _other(channel_id: bytes) -> bytes:
    return bytes([channel_id[0] ^ 1]) + channel_id[1:]
