"""The follower comes to the core's state and books from wherever it starts, or says why it cannot."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from ledger_node import INITIAL, TERMINATION, UPDATE, ccr, service
from made_folder import MadeFolder, made
from ocs import image
from ocs.credit_control.event import Stepped
from ocs.credit_control.sessions import ENDED_KEPT_MS
from ocs.errors import JournalFault, Unavailable
from ocs.shell.books.books import Books
from ocs.shell.config import JournalSettings
from ocs.shell.follower import bookkeeper, pursuit
from ocs.shell.follower.bookkeeper import Bookkeeper
from ocs.shell.follower.fold import Fold
from ocs.shell.follower.reading import Reading
from ocs.shell.store import snapshot
from ocs.shell.store.archive import Archive, History
from ocs.shell.store.data_folder import ASIDE_SUFFIX, DataFolder
from ocs.shell.store.group import Group
from ocs.shell.store.journal import JournalReader
from ocs.shell.store.log_files import LogFiles
from ocs.shell.store.snapshot import SnapshotWriter
from ocs.shell.store.verify import verify
from ocs.state import Event
from ocs.units import GroupIndex, SessionId, UnixMillis


def follow(folder: DataFolder, act: Callable[[Reading], Awaitable[None]]) -> None:
    """Open a reading, let it run while `act` goes on, and close it; a fault of either is raised."""

    async def run() -> None:
        reading = await Reading.open(JournalSettings(), folder)
        running = asyncio.get_running_loop().create_task(reading.run())
        acting = asyncio.ensure_future(act(reading))
        try:
            await asyncio.wait({running, acting}, return_when=asyncio.FIRST_COMPLETED)
            for task in (running, acting):
                if task.done():
                    task.result()
        finally:
            running.cancel()
            acting.cancel()
            with suppress(asyncio.CancelledError, JournalFault):
                await running
            await reading.close()

    asyncio.run(run())


async def reach(reading: Reading, made_one: MadeFolder) -> None:
    await reading.fold.reach(made_one.journal.last)
    await reading.bookkeeper.reach(made_one.journal.last)


def reaching(made_one: MadeFolder) -> Callable[[Reading], Awaitable[None]]:
    """Reach the journal's end, and hold the state against the node's own."""

    async def act(reading: Reading) -> None:
        await reach(reading, made_one)
        fold = reading.fold
        assert fold.index == reading.bookkeeper.index == reading.bookkeeper.books.index == made_one.journal.last
        assert fold.behind_seconds() == reading.bookkeeper.behind_seconds() == 0
        assert list(image.chunks(fold.state)) == list(image.chunks(made_one.node.state))

    return act


def lose_books_and_what_is_older(folder: DataFolder) -> None:
    """Keep only what a long life keeps: the first segment goes, and the books with it."""
    folder.books.unlink()
    min(folder.archive.glob("*.groups")).unlink()


@pytest.mark.parametrize("lost", ["nothing", "books", "snapshots", "both"])
def test_from_wherever_it_starts_it_comes_to_the_same(tmp_path: Path, lost: str) -> None:
    folder = made(tmp_path / "data", seed=3)
    folder.go_on(10)
    if lost in ("books", "both"):
        folder.folder.books.unlink()
    if lost in ("snapshots", "both"):
        for path in folder.folder.snapshots.glob("*.snapshot"):
            path.unlink()
    follow(folder.folder, reaching(folder))
    assert verify(folder.close()).faults == []


def test_each_group_may_be_the_last_one_before_it_ends(tmp_path: Path) -> None:
    folder = MadeFolder(tmp_path / "data", seed=4)
    for _ in range(12):
        folder.go_on(1)
        follow(folder.folder, reaching(folder))
    report = verify(folder.close())
    assert report.faults == []
    assert report.books_index == report.last


def test_books_begin_with_a_snapshot_where_older_groups_are_gone(tmp_path: Path) -> None:
    folder = made(tmp_path / "data")
    lose_books_and_what_is_older(folder.folder)
    follow(folder.folder, reaching(folder))
    report = verify(folder.close())
    assert report.faults == []
    assert report.books_index == report.last
    assert report.replayed_after > 0


def test_they_begin_with_the_next_snapshot_where_the_oldest_is_damaged(tmp_path: Path) -> None:
    folder = made(tmp_path / "data")
    lose_books_and_what_is_older(folder.folder)
    oldest, *newer = snapshot.all(folder.folder.snapshots)
    assert newer
    oldest.path.write_bytes(oldest.path.read_bytes()[:-1])
    follow(folder.folder, reaching(folder))
    oldest.path.unlink()
    assert verify(folder.close()).faults == []


def test_without_a_whole_snapshot_nothing_can_begin(tmp_path: Path) -> None:
    folder = made(tmp_path / "data")
    lose_books_and_what_is_older(folder.folder)
    for one in snapshot.all(folder.folder.snapshots):
        one.path.write_bytes(one.path.read_bytes()[:-1])
    with pytest.raises(JournalFault, match="bring the data back from a copy"):
        follow(folder.folder, reaching(folder))
    folder.close()


def test_books_that_end_before_what_is_kept_say_what_to_do(tmp_path: Path) -> None:
    folder = MadeFolder(tmp_path / "data")
    folder.go_on(5)
    folder.follow()
    books = folder.folder.books.read_bytes()
    for _ in range(3):
        folder.go_on(40)
        folder.follow(snapshot=True)
    folder.folder.books.write_bytes(books)
    min(folder.folder.archive.glob("*.groups")).unlink()
    folder.trim()
    with pytest.raises(JournalFault, match=r"are not kept any more; move .* away"):
        follow(folder.folder, reaching(folder))
    folder.close()


def test_books_of_another_journal_are_refused(tmp_path: Path) -> None:
    long, short = made(tmp_path / "long"), MadeFolder(tmp_path / "short")
    short.folder.books.write_bytes(long.folder.books.read_bytes())
    with pytest.raises(JournalFault, match="it was replaced"):
        follow(short.folder, reaching(short))
    long.close()
    short.close()


def test_who_waits_too_long_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = made(tmp_path / "data").close()
    monkeypatch.setattr(pursuit, "REACH_SECONDS", 0.01)

    async def run() -> None:
        reading = await Reading.open(JournalSettings(), folder)
        try:
            for behind, told in ((reading.fold, "the reader is"), (reading.bookkeeper, "the books are")):
                with pytest.raises(Unavailable, match=rf"{told} \d+ groups behind; what was asked is durable"):
                    await behind.reach(GroupIndex(behind.index + 1))  # nobody runs it
                assert behind.behind_seconds() > 0
                assert not behind._reached, "whoever gave up hurries nobody any more"
        finally:
            await reading.close()

    asyncio.run(run())


def test_state_snapshots_and_archive_do_not_wait_for_the_books(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = MadeFolder(tmp_path / "data", seed=5)
    folder.go_on(20)
    folder.follow()
    posted = folder.journal.last
    archived: list[GroupIndex] = []

    async def never(books: Books, batch: object) -> None:
        await asyncio.Event().wait()

    async def act(reading: Reading) -> None:
        reading.fold.on_archived = archived.append
        for _ in range(3):
            folder.go_on(40)
            await reading.fold.reach(folder.journal.last)
            await reading.fold.write_snapshot()
            # Of an archive that may keep next to nothing, what the books still lack is kept.
            reading.fold._settings = JournalSettings.model_construct(keep_days=0, keep_octets=0)
            await reading.fold.archive_behind()
        assert reading.bookkeeper.books.index == posted
        assert await reading.sessions.served(SessionId(b"never;1"), 1) is None, "nothing was dropped from memory yet"

    with monkeypatch.context() as slow:
        slow.setattr(Books, "apply", never)
        follow(folder.folder, act)
    folder._trim = archived[-1]
    folder.trim()
    assert folder._trim > posted, "groups went from the journal that the books do not have"

    follow(folder.folder, reaching(folder))
    report = verify(folder.close())
    assert report.faults == []
    assert report.books_index == report.last


async def writing(folder: MadeFolder, reading: Reading) -> None:
    """Have a snapshot of many chunks begun, and wait until there is something of it."""
    folder.go_on(40)
    await reading.fold.reach(folder.journal.last)
    reading.fold._snapshot_at -= 3600
    folder.go_on(1)
    await reading.fold.reach(folder.journal.last)
    async with asyncio.timeout(30):
        while not list(folder.folder.snapshots.glob(f"*{ASIDE_SUFFIX}")):
            await asyncio.sleep(0.001)


def test_the_fold_goes_on_while_a_snapshot_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image, "SESSIONS_PER_CHUNK", 1)
    finish, may_finish = SnapshotWriter.finish, threading.Event()

    def held(writer: SnapshotWriter) -> None:
        assert may_finish.wait(30)
        finish(writer)

    monkeypatch.setattr(SnapshotWriter, "finish", held)
    folder = MadeFolder(tmp_path / "data", seed=8)

    async def act(reading: Reading) -> None:
        await writing(folder, reading)
        begun = folder.journal.last
        folder.go_on(20)
        await reading.fold.reach(folder.journal.last)
        assert snapshot.all(folder.folder.snapshots) == []
        may_finish.set()
        async with asyncio.timeout(30):
            while not (found := snapshot.all(folder.folder.snapshots)):
                await asyncio.sleep(0.01)
        assert [one.index for one in found] == [begun]
        await reach(reading, folder)

    follow(folder.folder, act)
    report = verify(folder.close())
    assert report.faults == []  # it replays the journal, and holds the snapshot against the state at its index


def test_a_snapshot_that_is_not_finished_leaves_no_trace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image, "SESSIONS_PER_CHUNK", 1)
    folder = MadeFolder(tmp_path / "data", seed=9)

    async def act(reading: Reading) -> None:
        await writing(folder, reading)

    follow(folder.folder, act)
    assert list(folder.folder.snapshots.iterdir()) == []
    follow(folder.folder, reaching(folder))
    assert verify(folder.close()).faults == []


def test_a_close_waits_for_the_snapshot_that_a_thread_is_finishing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    finish, begun, may_finish = SnapshotWriter.finish, threading.Event(), threading.Event()

    def held(writer: SnapshotWriter) -> None:
        begun.set()
        assert may_finish.wait(30)
        finish(writer)  # it fails where its file was closed under it

    monkeypatch.setattr(SnapshotWriter, "finish", held)
    folder = MadeFolder(tmp_path / "data", seed=9)

    async def act(reading: Reading) -> None:
        await writing(folder, reading)
        async with asyncio.timeout(30):
            while not begun.is_set():
                await asyncio.sleep(0.001)

    async def run() -> None:
        reading = await Reading.open(JournalSettings(), folder.folder)
        running = asyncio.get_running_loop().create_task(reading.run())
        await act(reading)
        running.cancel()
        await asyncio.wait({running})
        closing = asyncio.get_running_loop().create_task(reading.close())
        await asyncio.sleep(0.1)
        assert not closing.done()
        may_finish.set()
        await closing

    asyncio.run(run())
    assert [path.suffix for path in folder.folder.snapshots.iterdir()] == [".snapshot"], "it was whole, so it stays"
    follow(folder.folder, reaching(folder))
    assert verify(folder.close()).faults == []


def test_the_archive_stays_behind_the_snapshot_before_the_newest_while_the_fold_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the leaves that a snapshot counts are synced before it has its name."""
    monkeypatch.setattr(image, "SESSIONS_PER_CHUNK", 1)
    done: list[str] = []

    def told(kind: type, name: str) -> None:
        act = getattr(kind, name)

        def and_told(one: object) -> None:
            act(one)
            done.append(name)

        monkeypatch.setattr(kind, name, and_told)

    told(LogFiles, "sync")
    told(SnapshotWriter, "finish")
    folder = MadeFolder(tmp_path / "data", seed=10)
    archived: list[GroupIndex] = []

    async def act(reading: Reading) -> None:
        reading.fold.on_archived = archived.append
        begun: list[GroupIndex] = []
        for turn in range(4):
            await writing(folder, reading)
            begun.append(folder.journal.last)
            folder.go_on(20)  # the fold is further than the snapshot when this is there, and the archive follows
            await reading.fold.reach(folder.journal.last)
            async with asyncio.timeout(30):
                while len(archived) < turn:
                    await asyncio.sleep(0.001)
                assert reading.fold._writing is not None
                await asyncio.wait({reading.fold._writing})
            assert archived == begun[:-1]
            assert Archive(folder.folder.archive).last() == (begun[-2] if turn else 0)
            folder._trim = archived[-1] if turn else GroupIndex(0)
            folder.trim()

    follow(folder.folder, act)
    assert done == ["sync", "finish"] * 4
    follow(folder.folder, reaching(folder))
    assert verify(folder.close()).faults == []


@pytest.mark.parametrize(("gives_way", "goes_on"), [(True, True), (True, False), (False, True)])
def test_who_gives_way_rests_as_long_as_it_worked_while_the_core_goes_on(
    tmp_path: Path, gives_way: bool, goes_on: bool
) -> None:
    made_one = MadeFolder(tmp_path / "data", seed=6)
    made_one.go_on(30)
    folder, last = made_one.close(), made_one.journal.last
    times: list[tuple[float, float]] = []

    class Slow(pursuit.Pursuit):
        name, batch_octets, gather_seconds = "it is", 1, 0.05  # a group at a time

        @property
        def gives_way(self) -> bool:
            return gives_way

        async def take(self, groups: Sequence[Group]) -> None:
            loop = asyncio.get_running_loop()
            began = loop.time()
            await asyncio.sleep(0.1)
            times.append((began, loop.time()))
            if goes_on:
                self.aim(GroupIndex(min(last, self.target + 1)))

    async def run() -> None:
        reader = JournalReader.open(folder.journal)
        slow = Slow(History(reader, Archive(folder.archive)), GroupIndex(0))
        slow.aim(GroupIndex(4))
        running = asyncio.get_running_loop().create_task(slow.run())
        while len(times) < 3 and not running.done():
            await asyncio.sleep(0.01)
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
        reader.close()

    asyncio.run(run())
    rests = [after[0] - before[1] for before, after in pairwise(times)]
    assert all((rest >= 0.09) == (gives_way and goes_on) for rest in rests), rests


def test_who_is_far_behind_does_not_wait_for_more_to_gather(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made_one = MadeFolder(tmp_path / "data", seed=7)
    made_one.go_on(60)
    folder, last = made_one.close(), made_one.journal.last
    assert last > 20
    monkeypatch.setattr(pursuit, "BATCH_GROUPS", 1)
    monkeypatch.setattr(Fold, "gather_seconds", 60.0)
    monkeypatch.setattr(Bookkeeper, "gather_seconds", 60.0)

    async def run() -> None:
        reading = await Reading.open(JournalSettings(), folder)
        running = asyncio.get_running_loop().create_task(reading.run())
        reading.aim(last)
        try:
            async with asyncio.timeout(30):
                while not reading.fold.index == reading.bookkeeper.index == last:
                    await asyncio.sleep(0.01)
        finally:
            running.cancel()
            await reading.close()

    asyncio.run(run())


def test_books_that_never_catch_up_give_way_for_some_time_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = made(tmp_path / "data").close()

    async def run() -> None:
        reading = await Reading.open(JournalSettings(), folder)
        books = reading.bookkeeper
        try:
            assert books.gives_way
            books.aim(GroupIndex(books.index + 1))
            assert books.gives_way
            await books.between()
            assert "far behind" not in capsys.readouterr().out
            monkeypatch.setattr(bookkeeper, "GIVES_WAY_SECONDS", 0.0)
            assert not books.gives_way
            for _ in range(3):
                await books.between()
            assert capsys.readouterr().out.count("far behind") == 1
        finally:
            await reading.close()

    asyncio.run(run())


def test_a_snapshot_that_cannot_be_read_ends_nothing(tmp_path: Path) -> None:
    folder = made(tmp_path / "data")
    damaged = folder.folder.snapshots / f"{1:020d}.snapshot"
    damaged.write_bytes(b"OC")
    folder.go_on(10)
    folder.follow(snapshot=True)
    assert folder._trim > 0, "the core may drop what is archived"
    assert damaged.exists()
    folder.close()


def test_what_was_dropped_from_memory_is_all_that_the_books_must_have(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pursuit, "REACH_SECONDS", 0.1)
    folder = MadeFolder(tmp_path / "data", seed=8)
    node, wanted = folder.node, SessionId(b"over;1")
    begin, end = (
        ccr(INITIAL, 0, service(1), session="over;1"),
        ccr(TERMINATION, 1, service(1, ask=None, used=5), session="over;1"),
    )
    for message in (begin, end):
        node.state.group = GroupIndex(folder.journal.last + 1)
        folder.commit(partial(node.charge, message))
    ended = folder.journal.last
    node.now = UnixMillis(node.now + ENDED_KEPT_MS + 1)
    folder.go_on(20)
    assert wanted not in node.state.charging.sessions
    assert node.state.charging.sessions.forgotten_through == ended
    allowed = [GroupIndex(ended - 1), ended]

    async def as_far_as_allowed(
        books: Books, batch: Sequence[tuple[GroupIndex, UnixMillis, Sequence[Event]]], apply: Any = Books.apply
    ) -> Any:
        if batch[-1][0] > allowed[0]:
            await asyncio.Event().wait()
        return await apply(books, batch)

    async def act(reading: Reading) -> None:
        await reading.fold.reach(folder.journal.last)
        if allowed[0] == ended:
            served = await reading.sessions.served(wanted, 1)
            assert served is not None
            assert served.number == 1
            assert await reading.sessions.served(SessionId(b"never;1"), 1) is None
        else:
            with pytest.raises(Unavailable, match="the books are"):
                await reading.sessions.served(wanted, 1)

    monkeypatch.setattr(Books, "apply", as_far_as_allowed)
    monkeypatch.setattr(pursuit, "BATCH_GROUPS", 1)
    while allowed:
        follow(folder.folder, act)
        del allowed[0]
    assert ended < folder.journal.last
    folder.close()


def test_a_group_that_is_not_there_ends_it(tmp_path: Path) -> None:
    folder = made(tmp_path / "data")

    async def act(reading: Reading) -> None:
        await reading.fold.reach(GroupIndex(folder.journal.last + 1))

    with pytest.raises(JournalFault, match="was synced and cannot be read"):
        follow(folder.folder, act)
    folder.close()


def test_a_sessions_history_is_read_back_through_journal_and_archive(tmp_path: Path) -> None:
    folder = MadeFolder(tmp_path / "data")
    node, wanted = folder.node, "h;1"

    def say(kind: int, number: int, *services: bytes) -> None:
        folder.node.state.group = GroupIndex(folder.journal.last + 1)
        folder.commit(lambda: node.charge(ccr(kind, number, *services, session=wanted)))

    say(INITIAL, 0, service(1))
    for number in (1, 2, 3):
        folder.go_on(20)
        say(UPDATE, number, service(1, used=1000 * number))
        folder.follow(snapshot=True)
    folder.trim()
    say(TERMINATION, 4, service(1, ask=None, used=5))

    async def act(reading: Reading) -> None:
        await reach(reading, folder)
        events = [event for _, event in await reading.sessions.events(SessionId(wanted.encode()))]
        assert [event.number for event in events if isinstance(event, Stepped)] == [0, 1, 2, 3, 4]
        assert len(events) == 5
        assert await reading.sessions.events(SessionId(b"never;1")) == []

    follow(folder.folder, act)
    folder.close()


def test_what_is_kept_no_longer_is_not_taken_for_never_served(tmp_path: Path) -> None:
    folder = MadeFolder(tmp_path / "data")
    wanted = SessionId(b"long;1")

    def say(kind: int, number: int, *services: bytes) -> None:
        folder.node.state.group = GroupIndex(folder.journal.last + 1)
        folder.commit(lambda: folder.node.charge(ccr(kind, number, *services, session="long;1")))

    say(INITIAL, 0, service(1))
    for number in (1, 2, 3):
        folder.go_on(20)
        say(UPDATE, number, service(1, used=1000))
        folder.follow(snapshot=True)
    folder.trim()
    lose_books_and_what_is_older(folder.folder)

    async def act(reading: Reading) -> None:
        await reach(reading, folder)
        newest = await reading.sessions.served(wanted, 3)
        assert newest is not None
        assert newest.number == 3
        with pytest.raises(Unavailable, match="older than the journal is kept"):
            await reading.sessions.served(wanted, 0)
        assert await reading.sessions.served(SessionId(b"never;1"), 0) is None
        assert [event.number for _, event in await reading.sessions.events(wanted) if isinstance(event, Stepped)][
            -1
        ] == 3

    follow(folder.folder, act)
    folder.close()
