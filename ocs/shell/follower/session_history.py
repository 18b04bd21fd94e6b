"""What happened to one session, read back through journal and archive from group to group."""

from collections.abc import Iterator
from contextlib import suppress
from typing import Final

from ocs.credit_control.event import AnswerDropped, Expired, Refused, Stepped, TerminationAsked
from ocs.errors import NotFound, Unavailable
from ocs.shell.follower.bookkeeper import Bookkeeper
from ocs.shell.follower.fold import Fold
from ocs.shell.store import records
from ocs.shell.store.archive import History
from ocs.state import Event
from ocs.units import GroupIndex, SessionId

GROUPS_MAX: Final = 10_000


class SessionHistory:
    """Each event of a session names the group of the one before; state or books know the newest."""

    def __init__(self, fold: Fold, bookkeeper: Bookkeeper, history: History) -> None:
        self._fold = fold
        self._bookkeeper = bookkeeper
        self._history = history

    async def events(self, session_id: SessionId) -> list[tuple[GroupIndex, Event]]:
        """Give a session's events, the oldest first, as far back as they are kept.

        Raises:
            Unavailable: the session is no longer in memory, and the books lack what was dropped from there.
        """
        last = await self._last_group(session_id)
        found: list[tuple[GroupIndex, Event]] = []
        with suppress(Unavailable):
            for each in self._back(session_id, last):
                found.append(each)  # noqa: PERF402  # what was found before the end of what is kept stays found
        return found[::-1]

    async def served(self, session_id: SessionId, number: int) -> Stepped | None:
        """Give the event that served a request, None where no request of this number was served.

        Raises:
            Unavailable: it cannot be told: the session is open and its history is not kept as far back, or it has
                ended and the books lack what was dropped from memory.
        """
        last = await self._last_group(session_id)
        try:
            for _, event in self._back(session_id, last):
                if isinstance(event, Stepped) and event.number == number:
                    return event
        except Unavailable:
            if session_id in self._fold.state.charging.sessions:
                raise
            # Over for weeks: whatever this is, it is no repeat.
        return None

    async def _last_group(self, session_id: SessionId) -> GroupIndex | None:
        sessions = self._fold.state.charging.sessions
        session = sessions.get(session_id)
        if session is not None:
            return session.last
        # What is not in memory has no event after the last that was dropped from there.
        await self._bookkeeper.reach(min(self._fold.index, sessions.forgotten_through))
        return await self._bookkeeper.books.session_last_group(session_id)

    def _back(self, session_id: SessionId, index: GroupIndex | None) -> Iterator[tuple[GroupIndex, Event]]:
        """Walk back through a session's events, from group to group, the newest first.

        Raises:
            Unavailable: where the next is kept no longer, or too many have passed.
        """
        for _ in range(GROUPS_MAX):
            if not index:
                return
            try:
                events = records.decode(self._history.group(index).payload)
            except NotFound:
                raise Unavailable(f"group {index} is older than the journal is kept") from None
            mine = [event for event in events if _session_of(event) == session_id]
            for event in reversed(mine):
                yield index, event
            before = min((_previous(event, index) for event in mine), default=GroupIndex(0))
            if before >= index:
                return
            index = before
        raise Unavailable(f"the session has more than {GROUPS_MAX} groups")


def _session_of(event: Event) -> bytes | None:
    match event:
        case Stepped() | Expired() | AnswerDropped() | TerminationAsked() | Refused():
            return event.session_id
        case _:
            return None


def _previous(event: Event, index: GroupIndex) -> GroupIndex:
    """Name the group of the session's event before this one; a refusal is no link of the chain."""
    match event:
        case Stepped() | Expired() | AnswerDropped() | TerminationAsked():
            return event.previous
        case _:
            return index
