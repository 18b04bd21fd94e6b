"""Credit-control sessions: lists, one with its explained history, and the wish that one ends."""

from typing import Annotated, Final, Literal

from fastapi import Path, Query, Request
from pydantic import ConfigDict, Field

from ocs import command as cmd
from ocs.administration import operator_named
from ocs.credit_control.event import AnswerDropped, Expired, Gateway, Refused, ServiceStep, Stepped, TerminationAsked
from ocs.credit_control.profile import PROFILES, STANDARD
from ocs.diameter.peer_state import State as PeerState
from ocs.errors import NotFound
from ocs.shell.api.door import ALONE, Behind, router
from ocs.shell.api.explain import code_name, explain, request_name
from ocs.shell.api.gate import PREFIX
from ocs.shell.api.paging import Page, PageQuery, number_of, page_of
from ocs.shell.api.problems import responses
from ocs.shell.api.session_text import session_in_path, session_text
from ocs.shell.api.values import Body, CreditsText, OctetsText, TimeText, View, time_or_none, time_text
from ocs.shell.books.rows import ServiceRow, SessionRow
from ocs.state import Event
from ocs.units import GroupIndex

routes = router("sessions")

_PATH: Final = f"{PREFIX}/sessions/".encode()
_TERMINATE: Final = b"/terminate"
REASON_DEFAULT: Final = "asked for over the API"

StateName = Literal["open", "ending", "ended"]
SessionPath = Annotated[
    str, Path(description=r"the Session-Id, percent-encoded; octets that are no UTF-8 as they are, or written `\xNN`")
]


class SessionQuery(PageQuery):
    """Which sessions."""

    operator: str | None = Field(default=None, description="an operator's name")
    state: StateName | None = None
    imsi: str | None = Field(default=None, pattern="^[0-9]{5,16}$", description="the whole IMSI")


class Termination(Body):
    model_config = ConfigDict(json_schema_extra={"examples": [{"reason": "fraud desk, case 7"}]})

    reason: str = Field(default=REASON_DEFAULT, description="1 to 255 characters, kept in the history")


class SessionSummary(View):
    session_id: str
    operator: str | None = Field(description="null: no operator was found")
    imsi: str
    msisdn: str
    apn: str
    service_context_id: str
    peer: str = Field(description="Origin-Host of the connection")
    origin_host: str = Field(description="of the requests")
    state: StateName
    began_at: TimeText
    last_at: TimeText
    ended_at: TimeText | None
    end_cause: str | None
    termination_cause: int | None = Field(description="Termination-Cause of the CCR-T")
    requests: int
    used: OctetsText
    charged: CreditsText
    overrun: CreditsText
    result_code: int = Field(description="of the newest answer, at command level")


class ServiceView(View):
    """One quota of a session: the running grant, and totals."""

    rating_group: int | None
    service_ids: list[int]
    tariff: int = Field(description="its number; 0: free of charge")
    granted: OctetsText
    reserved: CreditsText
    used: OctetsText
    charged: CreditsText
    overrun: CreditsText
    result_code: int


class ServiceEntry(View):
    """What one request did to one service."""

    rating_group: int | None
    service_ids: list[int]
    result_code: int
    used: OctetsText
    charged: CreditsText
    overrun: CreditsText
    granted: OctetsText
    reserved: CreditsText
    final: bool
    why: str


class HistoryEntry(View):
    """One event of a session, explained."""

    at: TimeText
    group: int = Field(description="commit group in the journal")
    event: Literal["answer", "conflict", "answer_dropped", "expired", "termination_asked"]
    request: str | None = Field(description="CCR-I, CCR-U, CCR-T or CCR-E")
    cc_request_number: int | None
    result_code: int | None
    result: str | None
    services: list[ServiceEntry]
    explanation: list[str]


class SessionView(SessionSummary):
    services: list[ServiceView]
    history: list[HistoryEntry] = Field(description="the oldest first, as far as the journal is kept")


class TerminationView(View):
    session_id: str
    at: TimeText
    reason: str
    peer: str = Field(description="Origin-Host of the connection that its requests came by")
    peer_connected: bool
    ends_at_latest: TimeText = Field(description="by supervision, where the gateway is not heard of again")
    what_follows: str


def _summary(row: SessionRow) -> SessionSummary:
    return SessionSummary(
        session_id=session_text(row.session_id),
        operator=row.operator,
        imsi=row.imsi,
        msisdn=row.msisdn,
        apn=row.apn,
        service_context_id=row.context_id,
        peer=row.peer,
        origin_host=row.origin_host,
        state=_state_name(row.state),
        began_at=str(time_or_none(row.began_at)),
        last_at=str(time_or_none(row.last_at)),
        ended_at=time_or_none(row.ended_at),
        end_cause=row.end_cause,
        termination_cause=row.termination_cause,
        requests=row.requests,
        used=str(row.used),
        charged=str(row.charged),
        overrun=str(row.overrun),
        result_code=row.result_code,
    )


def _state_name(state: str) -> StateName:
    known: dict[str, StateName] = {"open": "open", "ending": "ending", "ended": "ended"}
    return known[state]


def _service_view(row: ServiceRow) -> ServiceView:
    return ServiceView(
        rating_group=row.rating_group,
        service_ids=list(row.service_ids),
        tariff=row.tariff or 0,
        granted=str(row.granted),
        reserved=str(row.reserved),
        used=str(row.used),
        charged=str(row.charged),
        overrun=str(row.overrun),
        result_code=row.result_code,
    )


def _service_entry(step: ServiceStep) -> ServiceEntry:
    return ServiceEntry(
        rating_group=step.rating_group if step.rating_group >= 0 else None,
        service_ids=list(step.service_ids),
        result_code=step.result_code,
        used=str(step.used),
        charged=str(step.charged),
        overrun=str(step.overrun),
        granted=str(step.granted),
        reserved=str(step.reserved),
        final=step.final,
        why=step.why.name.lower(),
    )


def history_entry(group: GroupIndex, event: Event) -> HistoryEntry | None:
    """Explain one event; None for one that is no session's."""
    request: str | None = None
    number: int | None = None
    code: int | None = None
    kind: Literal["answer", "conflict", "answer_dropped", "expired", "termination_asked"]
    match event:
        case Stepped():
            kind, request = "answer", request_name(event.request_type)
            number, code = event.number, event.result_code
        case Refused():
            kind, request = "conflict", request_name(event.request_type)
            number, code = event.number, event.result_code
        case AnswerDropped():
            kind, number = "answer_dropped", event.number
        case Expired():
            kind = "expired"
        case TerminationAsked():
            kind = "termination_asked"
        case _:
            return None
    return HistoryEntry(
        at=time_text(event.at),
        group=group,
        event=kind,
        request=request,
        cc_request_number=number,
        result_code=code,
        result=code_name(code) if code is not None else None,
        services=[_service_entry(step) for step in event.services] if isinstance(event, Stepped) else [],
        explanation=explain(event),
    )


@routes.get("/sessions", responses=responses(404))
async def list_sessions(backend: Behind, query: Annotated[SessionQuery, Query()]) -> Page[SessionSummary]:
    """List sessions, the newest first: those that run and those that ended."""
    before = number_of("sessions", query.cursor)
    if query.operator is not None:
        operator_named(await backend.state(), query.operator)
    books = await backend.books()
    found = await books.sessions(
        operator=query.operator, state=query.state, imsi=query.imsi, before=before, limit=query.limit + 1
    )
    return page_of("sessions", [(row.number, _summary(row)) for row in found], query.limit)


@routes.get("/sessions/{session_id:path}", responses=responses(404), dependencies=ALONE)
async def show_session(backend: Behind, request: Request, session_id: SessionPath) -> SessionView:
    """Show a session with its quotas, and explain each of its answers: why this code, why this quota."""
    asked = session_in_path(request.scope["raw_path"], _PATH)
    books = await backend.books()
    row = await books.session(asked)
    if row is None:
        raise NotFound(f"there is no session {session_text(asked)!r}; `ocs session list` shows those there are")
    entries = [history_entry(group, event) for group, event in await backend.history(asked)]
    return SessionView(
        **_summary(row).model_dump(),
        services=[_service_view(service) for service in row.services],
        history=[entry for entry in entries if entry is not None],
    )


@routes.post(
    "/sessions/{session_id:path}/terminate", status_code=202, responses=responses(404, 409), dependencies=ALONE
)
async def terminate_session(
    backend: Behind, request: Request, session_id: SessionPath, body: Termination | None = None
) -> TerminationView:
    """Ask for a session's end: by ASR where the gateway honours it, else by refusing its next CCR-U."""
    asked = session_in_path(request.scope["raw_path"], _PATH, _TERMINATE)
    reason = body.reason if body is not None else REASON_DEFAULT
    # Looked at before: once the command is durable nothing may fail any more.
    live = await backend.live()
    sessions = (await backend.state()).charging.sessions
    session = sessions.get(asked)
    if session is None:
        raise NotFound(
            f"there is no session {session_text(asked)!r} any more, or never was; "
            "`ocs session list` shows those there are"
        )
    gateway, deadline = sessions.gateways[session.gateway], session.deadline
    done = await backend.command(cmd.TerminateSession(asked, reason))
    connected = any(peer.origin_host == gateway.peer and peer.state == PeerState.OPEN.name for peer in live.peers)
    return TerminationView(
        session_id=session_text(asked),
        at=time_text(done.event.at),
        reason=reason,
        peer=gateway.peer,
        peer_connected=connected,
        ends_at_latest=time_text(deadline),
        what_follows=_what_follows(gateway, connected),
    )


def _what_follows(gateway: Gateway, connected: bool) -> str:
    profile = PROFILES.get(gateway.profile, STANDARD)
    if not connected:
        return f"{gateway.peer} is not connected: when it comes back, the session's next CCR-U is refused"
    if not profile.honours_abort:
        return f"profile {profile.name} ignores ASR: the session's next CCR-U is refused"
    return f"ASR was sent to {gateway.peer}; its CCR-T ends the session"
