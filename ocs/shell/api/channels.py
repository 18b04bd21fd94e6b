"""Channels that lock data credits: opened, closed, and shown with what each miner carried, however long ago."""

from collections.abc import Iterator
from typing import Annotated, Final, Literal

from fastapi import Path, Query, Response
from fastapi.responses import StreamingResponse
from pydantic import ConfigDict, Field

from ocs import command as cmd
from ocs.channel.channel import Channel, ChannelState, Summary
from ocs.channel.record import CloseReason
from ocs.errors import NotFound, OutOfTurn
from ocs.shell.api.door import ALONE, Behind, router
from ocs.shell.api.gate import PREFIX
from ocs.shell.api.paging import Page, PageQuery, number_of, page_of
from ocs.shell.api.problems import responses
from ocs.shell.api.values import (
    Body,
    DataCreditsIn,
    DataCreditsText,
    OctetsText,
    TimeText,
    View,
    time_or_none,
    time_text,
)
from ocs.shell.books.usage_reading import ChannelRow, MinerRow
from ocs.shell.follower.backend import Backend
from ocs.state import State
from ocs.units import UnixMillis

routes = router("channels")

ID_DIGITS: Final = 64
SENT_OCTETS: Final = 256 * 1024
CHANNEL_PATTERN: Final = "^([0-9a-fA-F]{64}|[0-9]{1,18})$"

ChannelPath = Annotated[str, Path(pattern=CHANNEL_PATTERN, description="the channel's id in hex, or its number")]
StateName = Literal["open", "draining", "closing", "settled"]
ReasonName = Literal["exhausted", "epoch_end", "owner", "dispute"]


class NewChannel(Body):
    model_config = ConfigDict(json_schema_extra={"examples": [{"amount": "500000"}]})

    amount: DataCreditsIn | None = Field(default=None, description="null: as the configuration says, or all there is")


class MinerView(View):
    """What one miner carried in one channel."""

    miner_key: str = Field(description="signer, in hex")
    commits: int
    credits: DataCreditsText
    octets: OctetsText
    sessions: int


class ChannelFacts(View):
    number: int
    channel_id: str
    state: StateName
    reason: ReasonName | None = Field(description="why it closed")
    amount: DataCreditsText
    used: DataCreditsText
    commits: int
    tariff: int
    per_octets: OctetsText = Field(description="one data credit pays for a started block of so many")
    opened_at: TimeText
    expires_at: TimeText


class ChannelSummary(ChannelFacts):
    changed_at: TimeText = Field(description="when its state did")


class ChannelView(ChannelFacts):
    reserved: DataCreditsText = Field(description="by grants, not signed for yet")
    free: DataCreditsText = Field(description="of a settled one: what went back")
    settles_at: TimeText | None = Field(
        description="once it is closing: late reports are taken until then; long after that: when it had settled"
    )
    miners: list[MinerView]


class ChannelsQuery(PageQuery):
    """Which channels."""

    state: StateName | None = None


def _state_name(state: str) -> StateName:
    known: dict[str, StateName] = {"open": "open", "draining": "draining", "closing": "closing", "settled": "settled"}
    return known[state]


def _reason_name(reason: str | None) -> ReasonName | None:
    known: dict[str, ReasonName] = {
        "exhausted": "exhausted",
        "epoch_end": "epoch_end",
        "owner": "owner",
        "dispute": "dispute",
    }
    return known[reason] if reason is not None else None


def _miner(key: bytes, carried: Summary | MinerRow) -> MinerView:
    return MinerView(
        miner_key=key.hex(),
        commits=carried.commits,
        credits=str(carried.credits),
        octets=str(carried.octets),
        sessions=carried.sessions,
    )


def _facts(row: ChannelRow) -> ChannelFacts:
    return ChannelFacts(
        number=row.number,
        channel_id=row.channel_id.hex(),
        state=_state_name(row.state),
        reason=_reason_name(row.reason),
        amount=str(row.amount),
        used=str(row.used),
        commits=row.commits,
        tariff=row.tariff,
        per_octets=str(row.per_octets),
        opened_at=time_text(UnixMillis(row.opened_at)),
        expires_at=time_text(UnixMillis(row.expires_at)),
    )


def _summary(row: ChannelRow) -> ChannelSummary:
    return ChannelSummary(**_facts(row).model_dump(), changed_at=time_text(UnixMillis(row.changed_at)))


def _view(channel: Channel) -> ChannelView:
    """Show a channel that is in memory."""
    return ChannelView(
        number=channel.number,
        channel_id=channel.channel_id.hex(),
        state=_state_name(ChannelState(channel.state).name.lower()),
        reason=_reason_name(CloseReason(channel.reason).name.lower() if channel.reason else None),
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
        miners=[_miner(*one) for one in sorted(channel.summaries.items())],
    )


def _of_books(row: ChannelRow, miners: list[MinerRow]) -> ChannelView:
    """Show a channel that was settled so long ago that memory has forgotten it."""
    return ChannelView(
        **_facts(row).model_dump(),
        reserved="0",
        free=str(row.amount - row.used),
        settles_at=time_text(UnixMillis(row.changed_at)),
        miners=[_miner(one.miner_key, one) for one in miners],
    )


def _in_memory(state: State, name: str) -> Channel | None:
    channels = state.signed.channels
    if len(name) == ID_DIGITS:
        return channels.named(bytes.fromhex(name))
    return channels.by_number.get(int(name))


async def _in_books(backend: Backend, name: str) -> ChannelRow:
    usage = (await backend.books()).usage
    row = await usage.channel(bytes.fromhex(name) if len(name) == ID_DIGITS else int(name))
    if row is None:
        raise NotFound(f"there is no channel {name}; `ocs channel list` shows them")
    return row


async def channel_number(backend: Backend, name: str) -> int:
    """Give the number of a channel that is named by its id in hex or its number.

    Raises:
        NotFound: there is none.
    """
    channel = _in_memory(await backend.state(), name)
    return channel.number if channel is not None else (await _in_books(backend, name)).number


@routes.post("/channels", status_code=201, responses=responses(409), dependencies=ALONE)
async def open_channel(backend: Behind, body: NewChannel, response: Response) -> ChannelView:
    """Open one more channel now; those that are needed open by themselves."""
    event = await backend.open_channel(body.amount)
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
    row = await _in_books(backend, channel_id)
    return _of_books(row, await (await backend.books()).usage.miners(row.number))


@routes.post("/channels/{channel_id}/close", responses=responses(404, 409), dependencies=ALONE)
async def close_channel(backend: Behind, channel_id: ChannelPath) -> ChannelView:
    """Close a channel before its time; late reports are taken until its grace is over, then it settles."""
    channel = _in_memory(await backend.state(), channel_id)
    if channel is None:
        number = (await _in_books(backend, channel_id)).number
        raise OutOfTurn(f"channel {number} was settled long ago")
    await backend.command(cmd.CloseChannel(channel.channel_id))
    return _view((await backend.state()).signed.channels.by_number[channel.number])


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
