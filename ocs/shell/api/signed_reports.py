"""What was signed in channels: sessions as they are counted, reports that a rule refused, and contradictions."""

import base64
from typing import Annotated, Final, Literal

from fastapi import Path, Query
from pydantic import Field

from ocs.errors import NotFound
from ocs.reporting import Flag
from ocs.shell.api.channels import CHANNEL_PATTERN, channel_number
from ocs.shell.api.door import ALONE, Behind, router
from ocs.shell.api.paging import Page, PageQuery, Paging, number_of, page_of
from ocs.shell.api.problems import responses
from ocs.shell.api.session_text import session_named, session_text
from ocs.shell.api.values import DataCreditsText, OctetsText, TimeText, View, time_text
from ocs.shell.books.usage_reading import DisputeRow, RefusedRow, SignedSessionRow
from ocs.units import CREDITS_MAX, UnixMillis

routes = router("channels")

Number = Annotated[int, Path(ge=1, le=CREDITS_MAX)]
StateName = Literal["running", "ended", "frozen"]
FlagName = Literal["gap", "chain", "late"]


class SignedSessionView(View):
    session_id: str = Field(description="of this incarnation, in hex")
    gy_session_id: str
    channel: int
    state: StateName
    sgw_key: str = Field(description="signer, in hex")
    miner_key: str
    began_at: TimeText
    last_at: TimeText
    log_index: int = Field(description="where the log has its SessionInit")
    seq: int = Field(description="of the newest report that is counted")
    up: OctetsText
    down: OctetsText
    credits: DataCreditsText
    flags: list[FlagName] = Field(
        description="odd, and counted all the same: reports before one are missing (gap), one does not follow what its "
        "SGW signed before (chain), or its miner had it for more than five minutes (late)"
    )


class RefusedView(View):
    number: int
    at: TimeText
    code: str
    detail: str
    miner_key: str = Field(description="signer, in hex: its countersignature was good")


class RefusedReport(RefusedView):
    report: str = Field(description="as it came, in base64")


class DisputeView(View):
    number: int
    at: TimeText
    session_id: str
    kind: str


class Dispute(DisputeView):
    """Both messages alone convince anybody who has the keys."""

    first: str = Field(description="base64")
    second: str = Field(description="base64")


class SignedSessionsQuery(PageQuery):
    """Which signed sessions."""

    channel: str | None = Field(default=None, pattern=CHANNEL_PATTERN, description="its id in hex, or its number")
    gy_session_id: str | None = Field(default=None, max_length=1024, description="Session-Id over Gy")
    state: StateName | None = None


class RefusedQuery(PageQuery):
    """Which refusals."""

    code: str | None = Field(default=None, max_length=40, description="the rule that was broken")


# Sessions

_FLAGS: Final[dict[Flag, FlagName]] = {Flag.GAP: "gap", Flag.CHAIN: "chain", Flag.LATE: "late"}


def _state_name(state: str) -> StateName:
    known: dict[str, StateName] = {"running": "running", "ended": "ended", "frozen": "frozen"}
    return known[state]


def _session(row: SignedSessionRow) -> SignedSessionView:
    return SignedSessionView(
        session_id=row.session_id.hex(),
        gy_session_id=session_text(row.gy_session_id),
        channel=row.channel,
        state=_state_name(row.state),
        sgw_key=row.sgw_key.hex(),
        miner_key=row.miner_key.hex(),
        began_at=time_text(UnixMillis(row.began_at)),
        last_at=time_text(UnixMillis(row.last_at)),
        log_index=row.leaf,
        seq=row.seq,
        up=str(row.up),
        down=str(row.down),
        credits=str(row.credits),
        flags=[name for flag, name in _FLAGS.items() if row.flags & flag],
    )


@routes.get("/signed-sessions", responses=responses(404))
async def list_signed_sessions(
    backend: Behind, query: Annotated[SignedSessionsQuery, Query()]
) -> Page[SignedSessionView]:
    """List signed sessions, the newest first; a Gy session has one for each time its counters began anew."""
    before = number_of("signed-sessions", query.cursor)
    rows = await (await backend.books()).usage.signed_sessions(
        channel=await channel_number(backend, query.channel) if query.channel is not None else None,
        gy_session_id=session_named(query.gy_session_id) if query.gy_session_id is not None else None,
        state=query.state,
        before=before,
        limit=query.limit + 1,
    )
    return page_of("signed-sessions", [(row.leaf, _session(row)) for row in rows], query.limit)


# Refusals


def _refused(row: RefusedRow) -> RefusedView:
    return RefusedView(
        number=row.number,
        at=time_text(UnixMillis(row.at)),
        code=row.code,
        detail=row.detail,
        miner_key=row.miner_key.hex(),
    )


@routes.get("/refused-reports", responses=responses())
async def list_refused_reports(backend: Behind, query: Annotated[RefusedQuery, Query()]) -> Page[RefusedView]:
    """List reports that a rule refused, the newest first; those whose countersignature was good."""
    before = number_of("refused-reports", query.cursor)
    rows = await (await backend.books()).usage.refused(code=query.code, before=before, limit=query.limit + 1)
    return page_of("refused-reports", [(row.number, _refused(row)) for row in rows], query.limit)


@routes.get("/refused-reports/{number}", responses=responses(404), dependencies=ALONE)
async def show_refused_report(backend: Behind, number: Number) -> RefusedReport:
    """Show a refused report with its octets."""
    found = await (await backend.books()).usage.refused_report(number)
    if found is None:
        raise NotFound(f"there is no refused report {number}")
    row, report = found
    return RefusedReport(**_refused(row).model_dump(), report=base64.b64encode(report).decode())


# Contradictions


def _dispute(row: DisputeRow) -> DisputeView:
    return DisputeView(
        number=row.number, at=time_text(UnixMillis(row.at)), session_id=row.session_id.hex(), kind=row.kind
    )


@routes.get("/disputes", responses=responses())
async def list_disputes(backend: Behind, query: Paging) -> Page[DisputeView]:
    """List contradictions of an SGW or a miner, the newest first; each has frozen its session."""
    before = number_of("disputes", query.cursor)
    rows = await (await backend.books()).usage.disputes(before=before, limit=query.limit + 1)
    return page_of("disputes", [(row.number, _dispute(row)) for row in rows], query.limit)


@routes.get("/disputes/{number}", responses=responses(404), dependencies=ALONE)
async def show_dispute(backend: Behind, number: Number) -> Dispute:
    """Show both messages of a dispute."""
    found = await (await backend.books()).usage.dispute(number)
    if found is None:
        raise NotFound(f"there is no dispute {number}")
    row, *messages = found
    first, second = (base64.b64encode(one).decode() for one in messages)
    return Dispute(**_dispute(row).model_dump(), first=first, second=second)
