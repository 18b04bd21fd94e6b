"""Data credits, the channels that lock them, what was signed in each, and what was refused."""

import base64
from collections.abc import Iterator
from typing import Annotated, Any, Final, Literal

from fastapi import Path, Query, Response
from fastapi.responses import StreamingResponse
from pydantic import ConfigDict, Field

from ocs import command as cmd
from ocs.channel.channel import Channel, ChannelState
from ocs.channel.event import CreditsBought
from ocs.channel.record import CloseReason
from ocs.errors import NotFound
from ocs.shell.api.door import ALONE, Behind, router
from ocs.shell.api.gate import PREFIX
from ocs.shell.api.money import REPLAYED, Key
from ocs.shell.api.paging import Page, PageQuery, Paging, number_of, page_of
from ocs.shell.api.problems import responses
from ocs.shell.api.session_text import session_id_of, session_text
from ocs.shell.api.values import Body, CreditsIn, OctetsText, TimeText, View, time_or_none, time_text
from ocs.shell.books.usage_reading import ChannelRow, DisputeRow, MinerRow, RefusedRow, SignedSessionRow
from ocs.shell.follower.backend import Backend
from ocs.state import State
from ocs.units import CREDITS_MAX, DataCredits, SessionId, UnixMillis

routes = router("channels")

DataCreditsText = Annotated[str, Field(pattern="^[0-9]+$", description="data credits", examples=["1000000"])]
ChannelPath = Annotated[
    str, Path(pattern="^([0-9a-fA-F]{64}|[0-9]{1,18})$", description="the channel's id in hex, or its number")
]
Number = Annotated[int, Path(ge=1, le=CREDITS_MAX)]
StateName = Literal["open", "draining", "closing", "settled"]
ReasonName = Literal["exhausted", "epoch_end", "owner", "dispute"]
ID_DIGITS: Final = 64
SENT_OCTETS: Final = 256 * 1024


class AccountView(View):
    """The deployment's data credits: available + locked + spent = funded."""

    available: DataCreditsText
    locked: DataCreditsText = Field(description="by channels that are not settled")
    spent: DataCreditsText
    funded: DataCreditsText


class NewPurchase(Body):
    model_config = ConfigDict(json_schema_extra={"examples": [{"amount": "1000000", "reference": "burn 7f3a"}]})

    amount: CreditsIn
    reference: str = Field(description="1 to 255 characters: where they were bought")


class PurchaseView(View):
    number: int
    at: TimeText
    amount: DataCreditsText
    reference: str
    key: str


class NewChannel(Body):
    model_config = ConfigDict(json_schema_extra={"examples": [{"amount": "500000"}]})

    amount: CreditsIn | None = Field(default=None, description="null: as the configuration says, or all there is")


class MinerView(View):
    miner_key: str = Field(description="signer, in hex")
    commits: int
    credits: DataCreditsText
    octets: OctetsText
    sessions: int


class ChannelSummary(View):
    number: int
    channel_id: str
    state: StateName
    reason: ReasonName | None = Field(description="why it closed")
    amount: DataCreditsText
    used: DataCreditsText
    commits: int
    tariff: int
    per_octets: OctetsText
    opened_at: TimeText
    expires_at: TimeText
    changed_at: TimeText


class ChannelView(View):
    number: int
    channel_id: str
    state: StateName
    reason: ReasonName | None
    amount: DataCreditsText
    used: DataCreditsText
    reserved: DataCreditsText = Field(description="by grants, not signed for yet")
    free: DataCreditsText
    commits: int
    tariff: int
    per_octets: OctetsText
    opened_at: TimeText
    expires_at: TimeText
    settles_at: TimeText | None = Field(description="once it is closing: until then late reports are taken")
    miners: list[MinerView]


class SignedSessionView(View):
    session_id: str = Field(description="of this incarnation, in hex")
    gy_session_id: str
    channel: int
    state: Literal["running", "ended", "frozen"]
    sgw_key: str
    miner_key: str
    began_at: TimeText
    last_at: TimeText
    seq: int
    up: OctetsText
    down: OctetsText
    credits: DataCreditsText


class RefusedView(View):
    number: int
    at: TimeText
    code: str
    detail: str
    miner_key: str


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


class ChannelsQuery(PageQuery):
    """Which channels."""

    state: StateName | None = None


class SignedSessionsQuery(PageQuery):
    """Which signed sessions."""

    channel: int | None = Field(default=None, ge=1, le=CREDITS_MAX, description="its number")
    gy_session_id: str | None = Field(default=None, max_length=1024)
    state: Literal["running", "ended", "frozen"] | None = None


class RefusedQuery(PageQuery):
    """Which refusals."""

    code: str | None = Field(default=None, max_length=40)


# Data credits


@routes.get("/data-credits", responses=responses(), dependencies=ALONE)
async def show_data_credits(backend: Behind) -> AccountView:
    """Show the deployment's account."""
    account = (await backend.state()).signed.channels.account
    return AccountView(
        available=str(account.available),
        locked=str(account.locked),
        spent=str(account.spent),
        funded=str(account.funded),
    )


def _purchase(event: CreditsBought) -> PurchaseView:
    return PurchaseView(
        number=event.number,
        at=time_text(event.at),
        amount=str(event.amount),
        reference=event.reference,
        key=event.key,
    )


@routes.post("/data-credits/top-ups", status_code=201, responses=responses(400, 409), dependencies=ALONE)
async def buy_data_credits(
    backend: Behind, body: NewPurchase, idempotency_key: Key, response: Response
) -> PurchaseView:
    """Credit data credits that were bought elsewhere, once for each Idempotency-Key.

    With the first of them channels begin to open by themselves.
    """
    done = await backend.command(cmd.BuyCredits(DataCredits(body.amount), body.reference, idempotency_key))
    assert isinstance(done.event, CreditsBought), "BuyCredits gives CreditsBought"
    if done.repeated:
        response.headers[REPLAYED] = "true"
    return _purchase(done.event)


@routes.get("/data-credits/top-ups", responses=responses())
async def list_purchases(backend: Behind, query: Paging) -> Page[PurchaseView]:
    """List what was bought, the oldest first."""
    after = number_of("data-credits", query.cursor) or 0
    books = await backend.books()
    rows = [
        (
            row.number,
            PurchaseView(
                number=row.number,
                at=time_text(UnixMillis(row.at)),
                amount=str(row.amount),
                reference=row.reference,
                key=row.key,
            ),
        )
        for row in await books.usage.purchases(after=after, limit=query.limit + 1)
    ]
    return page_of("data-credits", rows, query.limit)


# Channels


def _state_name(state: int) -> StateName:
    names: dict[ChannelState, StateName] = {
        ChannelState.OPEN: "open",
        ChannelState.DRAINING: "draining",
        ChannelState.CLOSING: "closing",
        ChannelState.SETTLED: "settled",
    }
    return names[ChannelState(state)]


def _reason_name(reason: int) -> ReasonName | None:
    names: dict[int, ReasonName] = {
        CloseReason.EXHAUSTED: "exhausted",
        CloseReason.EPOCH_END: "epoch_end",
        CloseReason.OWNER: "owner",
        CloseReason.DISPUTE: "dispute",
    }
    return names.get(reason)


def _summary(row: ChannelRow) -> ChannelSummary:
    told: Any = row.state, row.reason
    return ChannelSummary(
        number=row.number,
        channel_id=row.channel_id.hex(),
        state=told[0],
        reason=told[1],
        amount=str(row.amount),
        used=str(row.used),
        commits=row.commits,
        tariff=row.tariff,
        per_octets=str(row.per_octets),
        opened_at=time_text(UnixMillis(row.opened_at)),
        expires_at=time_text(UnixMillis(row.expires_at)),
        changed_at=time_text(UnixMillis(row.changed_at)),
    )


def _view(channel: Channel) -> ChannelView:
    return ChannelView(
        number=channel.number,
        channel_id=channel.channel_id.hex(),
        state=_state_name(channel.state),
        reason=_reason_name(channel.reason),
        amount=str(channel.amount),
        used=str(channel.used),
        reserved=str(channel.reserved),
        free=str(channel.free),
        commits=channel.commits,
        tariff=channel.tariff,
        per_octets=str(channel.per_octets),
        opened_at=time_text(channel.opened_at),
        expires_at=time_text(channel.expires_at),
        settles_at=time_or_none(channel.settles_at or None),
        miners=[
            MinerView(
                miner_key=key.hex(),
                commits=one.commits,
                credits=str(one.credits),
                octets=str(one.octets),
                sessions=one.sessions,
            )
            for key, one in sorted(channel.summaries.items())
        ],
    )


def _of_books(row: ChannelRow, miners: list[MinerRow]) -> ChannelView:
    """Show a channel that was settled long ago."""
    told: Any = row.reason
    return ChannelView(
        number=row.number,
        channel_id=row.channel_id.hex(),
        state="settled",
        reason=told,
        amount=str(row.amount),
        used=str(row.used),
        reserved="0",
        free=str(row.amount - row.used),
        commits=row.commits,
        tariff=row.tariff,
        per_octets=str(row.per_octets),
        opened_at=time_text(UnixMillis(row.opened_at)),
        expires_at=time_text(UnixMillis(row.expires_at)),
        settles_at=time_text(UnixMillis(row.changed_at)),
        miners=[
            MinerView(
                miner_key=one.miner_key.hex(),
                commits=one.commits,
                credits=str(one.credits),
                octets=str(one.octets),
                sessions=one.sessions,
            )
            for one in miners
        ],
    )


def _in_memory(state: State, name: str) -> Channel | None:
    channels = state.signed.channels
    if len(name) == ID_DIGITS:
        return channels.named(bytes.fromhex(name))
    return channels.by_number.get(int(name))


def _missing(name: str) -> NotFound:
    return NotFound(f"there is no channel {name}; `ocs channel list` shows them")


async def channel_number(backend: Backend, name: str) -> int:
    """Give the number of a channel that is named by its id or its number.

    Raises:
        NotFound: there is none.
    """
    channel = _in_memory(await backend.state(), name)
    if channel is not None:
        return channel.number
    row = await (await backend.books()).usage.channel(bytes.fromhex(name) if len(name) == ID_DIGITS else int(name))
    if row is None:
        raise _missing(name)
    return row.number


@routes.post("/channels", status_code=201, responses=responses(409), dependencies=ALONE)
async def open_channel(backend: Behind, body: NewChannel, response: Response) -> ChannelView:
    """Open one more channel now; those that are needed open by themselves."""
    event = await backend.open_channel(DataCredits(body.amount) if body.amount is not None else None)
    channel = (await backend.state()).signed.channels.by_number[event.number]
    response.headers["Location"] = f"{PREFIX}/channels/{channel.channel_id.hex()}"
    return _view(channel)


@routes.get("/channels", responses=responses())
async def list_channels(backend: Behind, query: Annotated[ChannelsQuery, Query()]) -> Page[ChannelSummary]:
    """List channels, the newest first."""
    before = number_of("channels", query.cursor)
    rows = await (await backend.books()).usage.channels(state=query.state, before=before, limit=query.limit + 1)
    return page_of("channels", [(row.number, _summary(row)) for row in rows], query.limit)


@routes.get("/channels/{channel_id}", responses=responses(404), dependencies=ALONE)
async def show_channel(backend: Behind, channel_id: ChannelPath) -> ChannelView:
    """Show a channel, and what each miner carried in it."""
    channel = _in_memory(await backend.state(), channel_id)
    if channel is not None:
        return _view(channel)
    usage = (await backend.books()).usage
    row = await usage.channel(bytes.fromhex(channel_id) if len(channel_id) == ID_DIGITS else int(channel_id))
    if row is None:
        raise _missing(channel_id)
    return _of_books(row, await usage.miners(row.number))


@routes.post("/channels/{channel_id}/close", responses=responses(404, 409), dependencies=ALONE)
async def close_channel(backend: Behind, channel_id: ChannelPath) -> ChannelView:
    """Close a channel before its time; late reports are taken until its grace is over, then it settles."""
    channel = _in_memory(await backend.state(), channel_id)
    if channel is None:
        raise _missing(channel_id)
    await backend.command(cmd.CloseChannel(channel.channel_id))
    closed = _in_memory(await backend.state(), channel_id)
    assert closed is not None
    return _view(closed)


@routes.get("/channels/{channel_id}/closure", responses=responses(404), dependencies=ALONE, response_class=Response)
async def channel_closure(backend: Behind, channel_id: ChannelPath) -> Response:
    """Give the closure of a settled channel: a file that `ocs-verify` checks without this server (docs/closures.md)."""
    number = await channel_number(backend, channel_id)
    pieces = backend.usage.log.closure(number)
    name = f'attachment; filename="channel-{number}.closure"'
    return StreamingResponse(
        _gathered(pieces), media_type="application/octet-stream", headers={"Content-Disposition": name}
    )


def _gathered(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Join small pieces: each one that is sent costs as much as many octets."""
    some: list[bytes] = []
    size = 0
    for piece in pieces:
        some.append(piece)
        size += len(piece)
        if size >= SENT_OCTETS:
            yield b"".join(some)
            some, size = [], 0
    yield b"".join(some)


# What was signed


def _session(row: SignedSessionRow) -> SignedSessionView:
    told: Any = row.state
    return SignedSessionView(
        session_id=row.session_id.hex(),
        gy_session_id=session_text(SessionId(row.gy_session_id)),
        channel=row.channel,
        state=told,
        sgw_key=row.sgw_key.hex(),
        miner_key=row.miner_key.hex(),
        began_at=time_text(UnixMillis(row.began_at)),
        last_at=time_text(UnixMillis(row.last_at)),
        seq=row.seq,
        up=str(row.up),
        down=str(row.down),
        credits=str(row.credits),
    )


@routes.get("/signed-sessions", responses=responses())
async def list_signed_sessions(
    backend: Behind, query: Annotated[SignedSessionsQuery, Query()]
) -> Page[SignedSessionView]:
    """List signed sessions, the newest first; a Gy session has one for each time its counters began anew."""
    after = number_of("signed-sessions", query.cursor) or 0
    rows = await (await backend.books()).usage.signed_sessions(
        channel=query.channel,
        gy_session_id=session_id_of(query.gy_session_id.encode()) if query.gy_session_id is not None else None,
        state=query.state,
        after=after,
        limit=query.limit + 1,
    )
    numbered = [(place, _session(row)) for place, row in enumerate(rows, after + 1)]
    return page_of("signed-sessions", numbered, query.limit)


def _refused(row: RefusedRow) -> dict[str, Any]:
    return {
        "number": row.number,
        "at": time_text(UnixMillis(row.at)),
        "code": row.code,
        "detail": row.detail,
        "miner_key": row.miner_key.hex(),
    }


@routes.get("/refused-reports", responses=responses())
async def list_refused_reports(backend: Behind, query: Annotated[RefusedQuery, Query()]) -> Page[RefusedView]:
    """List reports that a rule refused, the newest first; those whose countersignature was good."""
    before = number_of("refused-reports", query.cursor)
    rows = await (await backend.books()).usage.refused(code=query.code, before=before, limit=query.limit + 1)
    return page_of("refused-reports", [(row.number, RefusedView(**_refused(row))) for row in rows], query.limit)


@routes.get("/refused-reports/{number}", responses=responses(404), dependencies=ALONE)
async def show_refused_report(backend: Behind, number: Number) -> RefusedReport:
    """Show a refused report with its octets."""
    found = await (await backend.books()).usage.refused_report(number)
    if found is None:
        raise NotFound(f"there is no refused report {number}")
    row, report = found
    return RefusedReport(**_refused(row), report=base64.b64encode(report).decode())


def _dispute(row: DisputeRow) -> dict[str, Any]:
    return {
        "number": row.number,
        "at": time_text(UnixMillis(row.at)),
        "session_id": row.session_id.hex(),
        "kind": row.kind,
    }


@routes.get("/disputes", responses=responses())
async def list_disputes(backend: Behind, query: Paging) -> Page[DisputeView]:
    """List contradictions of an SGW or a miner, the newest first; each has frozen its session."""
    before = number_of("disputes", query.cursor)
    rows = await (await backend.books()).usage.disputes(before=before, limit=query.limit + 1)
    return page_of("disputes", [(row.number, DisputeView(**_dispute(row))) for row in rows], query.limit)


@routes.get("/disputes/{number}", responses=responses(404), dependencies=ALONE)
async def show_dispute(backend: Behind, number: Number) -> Dispute:
    """Show both messages of a dispute."""
    found = await (await backend.books()).usage.dispute(number)
    if found is None:
        raise NotFound(f"there is no dispute {number}")
    row, first, second = found
    return Dispute(**_dispute(row), first=base64.b64encode(first).decode(), second=base64.b64encode(second).decode())
