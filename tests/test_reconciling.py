"""Comparing the two ledgers: scenes in a table, and that the parts of a difference are all of it."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocs.reconciling import EXPLANATIONS, UNEXPLAINED, Cause, Comparison, Figures, Part, State, compare
from ocs.units import Octets

TOLERANCE = Octets(10)

SCENES: list[tuple[str, dict[str, Any], State, int, list[tuple[Cause, int]]]] = [
    # what happened, figures, state, difference, parts
    ("nothing was used or signed", {"granted": 500}, State.MATCHED, 0, []),
    ("all is signed", {"used": 100, "committed": 100, "is_complete": True}, State.MATCHED, 0, []),
    ("all is signed, and more was refused", {"used": 9, "committed": 9, "signed": 99}, State.MATCHED, 0, []),
    ("a little less", {"used": 110, "committed": 100}, State.WITHIN_TOLERANCE, -10, [(Cause.TOLERATED, -10)]),
    ("a little more", {"used": 100, "committed": 110}, State.WITHIN_TOLERANCE, 10, [(Cause.TOLERATED, 10)]),
    ("it runs", {"used": 500, "committed": 100, "is_due": False}, State.OPEN, -400, [(Cause.STILL_OPEN, -400)]),
    ("it runs, level", {"used": 100, "committed": 100, "is_due": False}, State.OPEN, 0, []),
    ("no keys", {"used": 70, "signs": False}, State.EXEMPT, -70, [(Cause.GATEWAY_DOES_NOT_SIGN, -70)]),
    ("no keys, no use", {"signs": False, "is_due": False}, State.EXEMPT, 0, []),
    ("nothing signed", {"used": 100}, State.DIFFERENCE, -100, [(Cause.UNSIGNED, -100)]),
    ("one octet too little", {"used": 111, "committed": 100, "is_begun": True}, State.DIFFERENCE, -11, [
        (Cause.MISSING_REPORTS, -11)
    ]),
    ("begun, and nothing more", {"used": 100, "is_begun": True}, State.DIFFERENCE, -100, [
        (Cause.MISSING_REPORTS, -100)
    ]),
    ("the final says less", {"used": 100, "committed": 60, "is_begun": True, "is_complete": True}, State.DIFFERENCE,
     -40, [(Cause.FINAL_DIFFERS, -40)]),
    ("refused", {"used": 100, "committed": 60, "signed": 100, "is_begun": True}, State.DIFFERENCE, -40, [
        (Cause.REFUSED, -40)
    ]),
    ("more was refused than lacks", {"used": 100, "committed": 60, "signed": 2**63, "is_begun": True},
     State.DIFFERENCE, -40, [(Cause.REFUSED, -40)]),
    ("refused, then silence", {"used": 100, "committed": 60, "signed": 90, "is_begun": True}, State.DIFFERENCE, -40, [
        (Cause.REFUSED, -30), (Cause.MISSING_REPORTS, -10)
    ]),
    ("refused, then a final that says less",
     {"used": 100, "committed": 60, "signed": 90, "is_begun": True, "is_complete": True}, State.DIFFERENCE, -40, [
        (Cause.FINAL_DIFFERS, -10), (Cause.REFUSED, -30)
    ]),
    ("frozen", {"used": 100, "committed": 60, "signed": 90, "is_begun": True, "is_frozen": True}, State.DIFFERENCE,
     -40, [(Cause.FROZEN, -40)]),
    ("frozen, with more signed than used", {"used": 10, "committed": 60, "is_frozen": True}, State.DIFFERENCE, 50, [
        (Cause.OVER_SIGNED, 50)
    ]),
    ("the grant is signed for, half of it was used", {"granted": 100, "used": 50, "committed": 100}, State.DIFFERENCE,
     50, [(Cause.OVER_SIGNED, 50)]),
    ("no CCR-T", {"granted": 100, "used": 50, "committed": 90, "is_terminated": False}, State.DIFFERENCE, 40, [
        (Cause.NOT_TERMINATED, 40)
    ]),
    ("no CCR-T, and more than was granted", {"granted": 100, "used": 50, "committed": 105, "is_terminated": False},
     State.DIFFERENCE, 55, [(Cause.OVER_SIGNED, 5), (Cause.NOT_TERMINATED, 50)]),
    ("no CCR-T, no use", {"granted": 100, "is_terminated": False}, State.MATCHED, 0, []),
]  # fmt: skip


@pytest.mark.fault(63, 64)
@pytest.mark.parametrize(("figures", "state", "difference", "parts"), [row[1:] for row in SCENES],
                         ids=[row[0] for row in SCENES])  # fmt: skip
def test_scenes(figures: dict[str, Any], state: State, difference: int, parts: list[tuple[Cause, int]]) -> None:
    figures = {"signed": figures.get("committed", 0)} | figures
    found = compare(Figures(**figures), TOLERANCE)
    assert found == Comparison(state, difference, tuple(Part(*part) for part in parts))
    assert found.cause == (parts[0][0] if parts else None)
    assert found.unexplained == sum(octets for cause, octets in parts if cause in UNEXPLAINED)


def test_every_cause_and_state_has_a_scene() -> None:
    assert {cause for *_, parts in SCENES for cause, _ in parts} == set(Cause)
    assert {state for _, _, state, *_ in SCENES} == set(State)
    assert set(EXPLANATIONS) == set(Cause)


def test_refused_reports_are_never_less_than_what_is_counted() -> None:
    with pytest.raises(AssertionError, match="what is counted is signed"):
        compare(Figures(committed=Octets(2), signed=Octets(1)), TOLERANCE)


OCTETS = st.one_of(st.integers(0, 40), st.integers(0, 2**63))


@st.composite
def all_figures(draw: st.DrawFn) -> Figures:
    committed = draw(OCTETS)
    flags = ("signs", "is_due", "is_terminated", "is_begun", "is_complete", "is_frozen")
    return Figures(
        granted=Octets(draw(OCTETS)),
        used=Octets(draw(OCTETS)),
        committed=Octets(committed),
        signed=Octets(committed + draw(OCTETS)),
        **{flag: draw(st.booleans()) for flag in flags},
    )


@pytest.mark.fault(63)
@given(figures=all_figures(), tolerance=st.integers(0, 20))
def test_the_parts_are_the_difference(figures: Figures, tolerance: int) -> None:
    found = compare(figures, Octets(tolerance))
    assert found.difference == figures.committed - figures.used
    assert sum(part.octets for part in found.parts) == found.difference
    assert all(part.octets * found.difference > 0 for part in found.parts), "on one side, and none is zero"
    assert [part.cause for part in found.parts] == [
        cause for cause in Cause if cause in {one.cause for one in found.parts}
    ]
    if found.state is State.DIFFERENCE:
        assert abs(found.difference) > tolerance
        assert not {part.cause for part in found.parts} & {Cause.TOLERATED, Cause.STILL_OPEN}
    else:
        assert found.unexplained == 0
        assert len(found.parts) <= 1


@given(figures=all_figures(), tolerance=st.integers(0, 20))
def test_what_an_honest_gateway_loses_is_explained(figures: Figures, tolerance: int) -> None:
    """Without a final report that says less, and within the grant where no CCR-T came, nothing is unexplained."""
    within = figures.committed <= max(figures.granted, figures.used)
    not_above = figures.committed <= figures.used or (within and not figures.is_terminated)
    if not_above and not figures.is_complete:
        assert compare(figures, Octets(tolerance)).unexplained == 0
