"""Both ledgers side by side: sessions, days and incidents.  docs/reconciliation.md; it only reads."""

from datetime import date
from typing import Annotated, Any, Final, Literal

from fastapi import Path, Query, Request
from pydantic import Field

from ocs.administration import operator_named
from ocs.errors import InvalidInput, NotFound
from ocs.reconciling import EXPLANATIONS, Cause, Comparison, Figures, State, compare
from ocs.shell.api.door import ALONE, Behind, router
from ocs.shell.api.gate import PREFIX
from ocs.shell.api.paging import Page, PageQuery, number_of, page_of
from ocs.shell.api.problems import responses
from ocs.shell.api.session_text import session_in_path, session_text
from ocs.shell.api.values import (
    CreditsText,
    DayIn,
    DayText,
    DifferenceText,
    OctetsText,
    TimeText,
    View,
    day_text,
    time_or_none,
    time_text,
)
from ocs.shell.books.comparing import figures_of
from ocs.shell.books.reconciliation import ComparedRow, DayRow, DifferenceRow, RefusalRow, SessionDetail, SignedRow
from ocs.shell.books.rows import SessionRow
from ocs.units import Octets, UnixMillis

routes = router("reconciliation")

_PATH: Final = f"{PREFIX}/reconciliation/sessions/".encode()
_OPERATORS_MAX: Final = 2**32
"""A day's place in the list, times this, and the operator's number make the number of a row."""

ComparedState = Literal["open", "matched", "within_tolerance", "difference"]
SessionPath = Annotated[str, Path(description="the Session-Id, percent-encoded, as under /sessions")]


class ComparedQuery(PageQuery):
    """Which sessions."""

    operator: str | None = Field(default=None, description="an operator's name")
    day: DayIn | None = Field(default=None, description="on which the session began, in UTC")
    state: ComparedState | None = None


class DaysQuery(PageQuery):
    """Which days, both ends included."""

    operator: str | None = Field(default=None, description="an operator's name")
    since: DayIn | None = Field(default=None, alias="from")
    until: DayIn | None = Field(default=None, alias="to")


class IncidentQuery(PageQuery):
    """Which incidents."""

    operator: str | None = Field(default=None, description="an operator's name")


class FiguresView(View):
    """What both sides say; cumulative."""

    granted: OctetsText = Field(description="octets, the most that were granted or reported over Gy")
    used: OctetsText = Field(description="octets reported over Gy and booked")
    charged: CreditsText
    signed: OctetsText = Field(description="octets signed, refused reports included")
    committed: OctetsText = Field(description="octets signed and counted")
    difference: DifferenceText = Field(description="committed less used")
    unexplained: DifferenceText = Field(description="the part of it for which nothing known accounts")


class ComparedSummary(FiguresView):
    """One Gy session, compared."""

    session_id: str
    operator: str | None = Field(description="null: no operator was found")
    origin_host: str
    day: DayText
    began_at: TimeText
    ended_at: TimeText | None
    due_at: TimeText | None = Field(description="since then nothing more can come; null: it is not compared for good")
    tolerance: OctetsText
    state: Literal["open", "matched", "within_tolerance", "difference", "exempt"]
    cause: str | None
    explanation: str | None


class PartView(View):
    """A part of the difference."""

    cause: str
    octets: DifferenceText
    explanation: str


class SignedView(View):
    """One signed session."""

    session_id: str = Field(description="16 octets in hexadecimal")
    channel: int = Field(description="its number")
    state: Literal["running", "ended", "frozen"]
    began_at: TimeText
    last_at: TimeText = Field(description="of the newest commit")
    seq: int
    up: OctetsText
    down: OctetsText
    signed: OctetsText = Field(description="octets, the most that were signed, refused reports included")
    flags: int = Field(description="1 reports were missing, 2 not chained to the one before, 4 late")


class RefusalView(View):
    """A report that was refused, and is kept."""

    at: TimeText
    code: str
    detail: str
    session_id: str = Field(description="16 octets in hexadecimal")
    seq: int = Field(description="0: a SessionInit")
    octets: OctetsText = Field(description="octets, up and down, cumulative")


class IncidentView(FiguresView):
    """A session that did not match, with the figures of that moment; never changed."""

    number: int
    at: TimeText
    operator: str
    session_id: str
    began_at: TimeText = Field(description="of the session, which tells two of one Session-Id apart")
    kind: str = Field(description="the cause")
    explanation: str
    tolerance: OctetsText
    detail: str = Field(description="the code of what was refused, or the kind of contradiction")


class ComparedView(ComparedSummary):
    """One Gy session with all that is known of it on both sides."""

    parts: list[PartView] = Field(description="they add up to the difference")
    end_cause: str | None
    refusal: str | None = Field(description="code of the refused report that says more than is counted")
    signed_sessions: list[SignedView]
    refused_reports: list[RefusalView] = Field(description="the newest first, 100 at the most")
    incidents: list[IncidentView]
    earlier: list[ComparedSummary] = Field(description="sessions before it with its Session-Id, the newest first")


class StatesView(View):
    """How many sessions."""

    compared: int
    open: int
    matched: int
    within_tolerance: int
    difference: int


class PartsView(View):
    """`open + within_tolerance + explained + unexplained = difference`; each may be below zero."""

    open: DifferenceText = Field(description="of sessions to which reports may still come")
    within_tolerance: DifferenceText
    explained: DifferenceText
    unexplained: DifferenceText


class DayView(FiguresView):
    """The sessions of one operator that began on one day."""

    day: DayText
    operator: str
    sessions: StatesView
    parts: PartsView


def _figures(of: Any) -> dict[str, str]:
    """Give the figures that a row, or an entry of the books, bears by these names."""
    return {name: str(getattr(of, name)) for name in FiguresView.model_fields}


def _summary(row: ComparedRow) -> ComparedSummary:
    entry = row.figures
    return ComparedSummary(
        **_figures(entry),
        session_id=session_text(row.session_id),
        operator=row.operator,
        origin_host=row.origin_host,
        day=entry.day,
        began_at=time_text(UnixMillis(row.began_at)),
        ended_at=time_or_none(entry.ended_at),
        due_at=time_or_none(entry.due_at),
        tolerance=str(entry.tolerance),
        state=State(entry.state).value,
        cause=entry.cause,
        explanation=EXPLANATIONS[Cause(entry.cause)] if entry.cause is not None else None,
    )


def _parts(comparison: Comparison) -> list[PartView]:
    return [
        PartView(cause=part.cause.value, octets=str(part.octets), explanation=EXPLANATIONS[part.cause])
        for part in comparison.parts
    ]


def _signed(row: SignedRow) -> SignedView:
    known: dict[str, Literal["running", "ended", "frozen"]] = {
        "running": "running",
        "ended": "ended",
        "frozen": "frozen",
    }
    return SignedView(
        session_id=row.session_id.hex(),
        channel=row.channel,
        state=known[row.state],
        began_at=time_text(UnixMillis(row.began_at)),
        last_at=time_text(UnixMillis(row.last_at)),
        seq=row.seq,
        up=str(row.up),
        down=str(row.down),
        signed=str(row.signed),
        flags=row.flags,
    )


def _refusal(row: RefusalRow) -> RefusalView:
    return RefusalView(
        at=time_text(UnixMillis(row.at)),
        code=row.code,
        detail=row.detail,
        session_id=row.session_id.hex(),
        seq=row.seq,
        octets=str(row.octets),
    )


def _incident(row: DifferenceRow) -> IncidentView:
    return IncidentView(
        **_figures(row),
        number=row.number,
        at=time_text(UnixMillis(row.at)),
        operator=row.operator,
        session_id=session_text(row.session_id),
        began_at=time_text(UnixMillis(row.began_at)),
        kind=row.kind,
        explanation=EXPLANATIONS[Cause(row.kind)],
        tolerance=str(row.tolerance),
        detail=row.detail,
    )


def _day(row: DayRow) -> DayView:
    sums, states = row.sums, row.states
    accounted = sums["open"] + sums["within_tolerance"] + sums["unexplained"]
    return DayView(
        **{name: str(sums[name]) for name in FiguresView.model_fields},
        day=row.day,
        operator=row.operator,
        sessions=StatesView(compared=sum(states.values()), **states),
        parts=PartsView(
            open=str(sums["open"]),
            within_tolerance=str(sums["within_tolerance"]),
            explained=str(sums["difference"] - accounted),
            unexplained=str(sums["unexplained"]),
        ),
    )


def _compared(found: SessionDetail) -> ComparedView:
    entry = found.row.figures
    return ComparedView(
        **_summary(found.row).model_dump(),
        parts=_parts(compare(figures_of(entry), Octets(entry.tolerance))),
        end_cause=found.row.end_cause,
        refusal=entry.refusal,
        signed_sessions=[_signed(row) for row in found.signed],
        refused_reports=[_refusal(row) for row in found.refusals],
        incidents=[_incident(row) for row in found.incidents],
        earlier=[_summary(row) for row in found.earlier],
    )


def _exempt(row: SessionRow, before: SessionDetail | None) -> ComparedView:
    """Show a session that is not compared, as its gateway had no keys."""
    outstanding = sum(service.granted for service in row.services)
    comparison = compare(Figures(used=Octets(row.used), signs=False), Octets(0))
    earlier = [before.row, *before.earlier] if before is not None else []
    return ComparedView(
        granted=str(row.used + outstanding),
        used=str(row.used),
        charged=str(row.charged),
        signed="0",
        committed="0",
        difference=str(comparison.difference),
        unexplained="0",
        session_id=session_text(row.session_id),
        operator=row.operator,
        origin_host=row.origin_host,
        day=day_text(UnixMillis(row.began_at)),
        began_at=time_text(UnixMillis(row.began_at)),
        ended_at=time_or_none(row.ended_at),
        due_at=None,
        tolerance="0",
        state="exempt",
        cause=Cause.GATEWAY_DOES_NOT_SIGN.value,
        explanation=EXPLANATIONS[Cause.GATEWAY_DOES_NOT_SIGN],
        parts=_parts(comparison),
        end_cause=row.end_cause,
        refusal=None,
        signed_sessions=[],
        refused_reports=[],
        incidents=[],
        earlier=[_summary(one) for one in earlier],
    )


async def _check_operator(backend: Behind, name: str | None) -> None:
    """Tell a name that is none from an operator without rows.

    Raises:
        NotFound: there is no such operator.
    """
    if name is not None:
        operator_named(await backend.state(), name)


@routes.get("/reconciliation/sessions", responses=responses(404))
async def list_compared_sessions(backend: Behind, query: Annotated[ComparedQuery, Query()]) -> Page[ComparedSummary]:
    """List the sessions of gateways that sign, the newest first: what Gy charged beside what was signed."""
    before = number_of("compared", query.cursor)
    await _check_operator(backend, query.operator)
    books = await backend.books()
    found = await books.reconciliation.sessions(
        operator=query.operator,
        day=query.day.isoformat() if query.day is not None else None,
        state=query.state,
        before=before,
        limit=query.limit + 1,
    )
    return page_of("compared", [(row.figures.session, _summary(row)) for row in found], query.limit)


@routes.get("/reconciliation/sessions/{session_id:path}", responses=responses(404), dependencies=ALONE)
async def show_compared_session(backend: Behind, request: Request, session_id: SessionPath) -> ComparedView:
    """Show both sides of one session: the parts of its difference, what was signed, and what was refused."""
    asked = session_in_path(request.scope["raw_path"], _PATH)
    books = await backend.books()
    row = await books.session(asked)
    if row is None:
        raise NotFound(f"there is no session {session_text(asked)!r}; `ocs reconcile sessions` shows those compared")
    found = await books.reconciliation.session(asked)
    if found is None or found.row.figures.session != row.number:
        return _exempt(row, found)
    return _compared(found)


@routes.get("/reconciliation/days", responses=responses(404))
async def list_reconciled_days(backend: Behind, query: Annotated[DaysQuery, Query()]) -> Page[DayView]:
    """Sum up sessions for each operator and day on which they began, the newest day first."""
    if query.since is not None and query.until is not None and query.since > query.until:
        raise InvalidInput(f"from {query.since} lies after to {query.until}; exchange them")
    cursor = number_of("days", query.cursor)
    await _check_operator(backend, query.operator)
    books = await backend.books()
    found = await books.reconciliation.days(
        operator=query.operator,
        since=query.since,
        until=query.until,
        before=_place(cursor) if cursor is not None else None,
        limit=query.limit + 1,
    )
    return page_of("days", [(_number(row), _day(row)) for row in found], query.limit)


def _number(row: DayRow) -> int:
    return date.fromisoformat(row.day).toordinal() * _OPERATORS_MAX + row.operator_number


def _place(number: int) -> tuple[date, int]:
    day, operator = divmod(number, _OPERATORS_MAX)
    return date.fromordinal(min(max(day, 1), date.max.toordinal())), operator


@routes.get("/reconciliation/incidents", responses=responses(404))
async def list_reconciliation_incidents(
    backend: Behind, query: Annotated[IncidentQuery, Query()]
) -> Page[IncidentView]:
    """List the sessions that did not match, and contradictions, the newest first."""
    before = number_of("incidents", query.cursor)
    await _check_operator(backend, query.operator)
    books = await backend.books()
    found = await books.reconciliation.incidents(operator=query.operator, before=before, limit=query.limit + 1)
    return page_of("incidents", [(row.number, _incident(row)) for row in found], query.limit)
