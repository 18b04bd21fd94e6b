"""Hold what was charged for a session over Gy against what its gateway signed, and name the cause where they differ.

    difference = committed - used = the sum of its parts, each with a cause

Octets against octets.  The two ledgers are compared and never netted: nothing here changes either of them.
docs/adr/0019-reconciliation.md
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple

from ocs.units import Octets


class State(StrEnum):
    """Of the comparison of one Gy session."""

    OPEN = "open"  # it runs, or reports of it may still come
    MATCHED = "matched"
    WITHIN_TOLERANCE = "within_tolerance"
    DIFFERENCE = "difference"
    EXEMPT = "exempt"  # its gateway does not sign


class Cause(StrEnum):
    """Why octets are on one side only; the members stand in the order in which they are told."""

    # Both sides have said their last word, and nothing that is known accounts for it.
    OVER_SIGNED = "over_signed"
    FINAL_DIFFERS = "final_differs"

    # Something is known that accounts for it.
    FROZEN = "frozen"
    REFUSED = "refused"
    UNSIGNED = "unsigned"
    MISSING_REPORTS = "missing_reports"
    NOT_TERMINATED = "not_terminated"

    # No difference to look after.
    TOLERATED = "tolerated"
    STILL_OPEN = "still_open"
    GATEWAY_DOES_NOT_SIGN = "gateway_does_not_sign"


UNEXPLAINED: Final = frozenset({Cause.OVER_SIGNED, Cause.FINAL_DIFFERS})
"""Nobody who is honest, whatever he loses on the way, has a difference of these causes."""

EXPLANATIONS: Final = {
    Cause.OVER_SIGNED: "more is signed and committed than was reported over Gy",
    Cause.FINAL_DIFFERS: "the final report says less than Gy, and came after its end",
    Cause.FROZEN: "the gateway or its miner signed two things that contradict each other, and nothing since counts",
    Cause.REFUSED: "it is signed, in reports that broke a rule and were refused",
    Cause.UNSIGNED: "the gateway signed nothing of this session",
    Cause.MISSING_REPORTS: "the signed reports end before the session did, or without a final one",
    Cause.NOT_TERMINATED: "it is signed within the grant, but no CCR-T came, so Gy charged less",
    Cause.TOLERATED: "within the tolerance",
    Cause.STILL_OPEN: "the session runs, or reports of it may still come",
    Cause.GATEWAY_DOES_NOT_SIGN: "the gateway had no registered keys when the session began",
}


class Part(NamedTuple):
    """A part of a difference, positive where more is committed than used."""

    cause: Cause
    octets: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What is known of one Gy session; octets are cumulative.

    Attributes:
        granted: the most that were granted or reported over Gy: what may be signed for.
        used: reported and booked over Gy.
        committed: signed and counted, in all its incarnations.
        signed: `committed`, and what refused reports say beyond it.
        signs: its gateway had keys when it began.
        is_due: nothing more can be charged, signed or counted.
        is_terminated: it ended by a CCR-T.
        is_begun: a signed session of it is counted.
        is_complete: each signed session of it has a final report, and one came after the Gy session's end.
        is_frozen: one of them has not, because of a contradiction.
    """

    granted: Octets = Octets(0)
    used: Octets = Octets(0)
    committed: Octets = Octets(0)
    signed: Octets = Octets(0)
    signs: bool = True
    is_due: bool = True
    is_terminated: bool = True
    is_begun: bool = False
    is_complete: bool = False
    is_frozen: bool = False


@dataclass(frozen=True, slots=True)
class Comparison:
    """How the two ledgers stand for one Gy session; `parts` bear no zero, and the first one's cause is told first."""

    state: State
    difference: int
    parts: tuple[Part, ...]

    @property
    def cause(self) -> Cause | None:
        return self.parts[0].cause if self.parts else None

    @property
    def unexplained(self) -> int:
        return sum(part.octets for part in self.parts if part.cause in UNEXPLAINED)


def compare(figures: Figures, tolerance: Octets) -> Comparison:
    """Compare one Gy session.

    Args:
        tolerance: octets; a difference up to it, on either side, is none.
    """
    assert figures.signed >= figures.committed, "what is counted is signed"
    difference = figures.committed - figures.used
    if not figures.signs:
        return _whole(State.EXEMPT, difference, Cause.GATEWAY_DOES_NOT_SIGN)
    if not figures.is_due:
        return _whole(State.OPEN, difference, Cause.STILL_OPEN)
    if not difference:
        return Comparison(State.MATCHED, 0, ())
    if abs(difference) <= tolerance:
        return _whole(State.WITHIN_TOLERANCE, difference, Cause.TOLERATED)
    shares = _more(figures, difference) if difference > 0 else _less(figures, -difference)
    parts = tuple(Part(cause, shares[cause]) for cause in Cause if shares.get(cause))
    return Comparison(State.DIFFERENCE, difference, parts)


def _whole(state: State, difference: int, cause: Cause) -> Comparison:
    return Comparison(state, difference, (Part(cause, difference),) if difference else ())


def _more(figures: Figures, excess: int) -> dict[Cause, int]:
    """Share out what is committed and was not reported over Gy."""
    not_reported = 0 if figures.is_terminated else min(excess, max(0, figures.granted - figures.used))
    return {Cause.OVER_SIGNED: excess - not_reported, Cause.NOT_TERMINATED: not_reported}


def _less(figures: Figures, lack: int) -> dict[Cause, int]:
    """Share out what was reported over Gy and is not committed."""
    if figures.is_frozen:
        return {Cause.FROZEN: -lack}
    refused = min(lack, figures.signed - figures.committed)
    if not figures.is_begun:
        silent = Cause.UNSIGNED
    elif figures.is_complete:
        silent = Cause.FINAL_DIFFERS
    else:
        silent = Cause.MISSING_REPORTS
    return {Cause.REFUSED: -refused, silent: refused - lack}
