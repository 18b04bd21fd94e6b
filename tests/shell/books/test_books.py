"""The books hold each group once, however batches are cut and wherever the process ends, and add up to the accounts."""

import asyncio
import re
import sqlite3
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger_node import EVENT, INITIAL, UPDATE, ccr, service
from made_folder import MadeFolder
from ocs import command as cmd
from ocs.errors import BadConfiguration, JournalFault
from ocs.shell.books import seed as books_seed
from ocs.shell.books.books import Books
from ocs.shell.books.schema import TABLES
from ocs.state import Event
from ocs.units import Credits, GroupIndex, Octets, UnixMillis
from places import DOCS

PAGE = (DOCS / "books.md").read_text()
Batch = list[tuple[GroupIndex, UnixMillis, Sequence[Event]]]


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> MadeFolder:
    """A folder with a bit of everything in its journal."""
    folder = MadeFolder(tmp_path_factory.mktemp("history") / "data", seed=5)
    folder.go_on(150)
    node = folder.node
    folder.commit(lambda: node.step(cmd.AddTariff("home", 2, "internet", Credits(9), Octets(100))))
    folder.commit(lambda: node.step(cmd.ChangeOperator("away", ["00203"], Octets(77))))
    folder.commit(lambda: node.charge(ccr(EVENT, 0, service(1, ask=5000), action=0, session="e;1")))
    folder.commit(lambda: node.charge(ccr(EVENT, 0, service(1, ask=2000), action=1, session="e;2")))
    folder.commit(lambda: node.charge(ccr(INITIAL, 0, service(1), session="x;1", imsi="999990000000001")))
    folder.commit(lambda: node.charge(ccr(INITIAL, 0, service(1), session="o;1", imsi="002020000000001")))
    folder.commit(lambda: node.charge(ccr(UPDATE, 1, service(1, used=40_000_000), session="o;1")))
    folder.commit(lambda: node.charge(ccr(UPDATE, 1, service(1, used=1), session="o;1")))
    owed = node.account("away").overrun
    folder.commit(lambda: node.step(cmd.WriteOff("away", Credits(owed // 2), "goodwill")))
    folder.commit(lambda: node.top_up(owed, "away"))
    folder.commit(lambda: node.step(cmd.RevokePeer("sgw.visited.example")))
    assert owed > 2
    return folder


def batch_of(history: MadeFolder, first: int, last: int) -> Batch:
    """Give groups `first` to `last`, both included."""
    return [
        (GroupIndex(index), history.groups[index - 1][-1].at, history.groups[index - 1])
        for index in range(first, last + 1)
    ]


def post(path: Path, history: MadeFolder, cuts: Sequence[int], *, restart: bool = False) -> None:
    """Post the whole history in batches that end at `cuts`."""

    async def run() -> None:
        books = await Books.open(path)
        for last in (*cuts, len(history.groups)):
            end = min(last, len(history.groups))
            if end > books.index:
                await books.apply(batch_of(history, books.index + 1, end))
            if restart:
                await books.close()
                books = await Books.open(path)
        await books.close()

    asyncio.run(run())


def rows(path: Path) -> dict[str, list[tuple[object, ...]]]:
    connection = sqlite3.connect(path)
    names = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY 1")]
    found = {name: sorted(connection.execute(f"SELECT * FROM {name}"), key=repr) for name in names}
    connection.close()
    return found


@pytest.fixture(scope="module")
def one_by_one(history: MadeFolder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("books") / "books.sqlite"
    post(path, history, range(1, len(history.groups)))
    return path


@given(cuts=st.lists(st.integers(1, 100), max_size=12).map(sorted), restart=st.booleans())
@settings(max_examples=25)
def test_batches_cut_anywhere_give_the_same_rows(
    history: MadeFolder, one_by_one: Path, tmp_path_factory: pytest.TempPathFactory, cuts: list[int], restart: bool
) -> None:
    path = tmp_path_factory.mktemp("books") / "books.sqlite"
    post(path, history, cuts, restart=restart)
    assert rows(path) == rows(one_by_one)


def test_the_accounts_are_the_states(history: MadeFolder, one_by_one: Path) -> None:
    operators = history.node.state.charging.operators.all()
    expected = [
        (one.number, a.available, a.reserved, a.consumed, a.overrun, a.written_off, a.funded, a.owed)
        for one in operators
        for a in [one.account]
    ]
    assert rows(one_by_one)["accounts"] == expected


def test_charging_records_add_up_to_the_accounts(history: MadeFolder, one_by_one: Path) -> None:
    connection = sqlite3.connect(one_by_one)
    charged = dict(connection.execute("SELECT operator, sum(credits) FROM cdrs WHERE operator NOT NULL GROUP BY 1"))
    connection.close()
    for operator in history.node.state.charging.operators.all():
        account = operator.account
        assert charged[operator.name] == account.consumed + account.overrun + account.written_off


def test_what_someone_should_look_at_is_an_incident(one_by_one: Path) -> None:
    kinds = {row[3] for row in rows(one_by_one)["incidents"]}
    assert {"overrun", "conflict"} <= kinds


def test_a_group_is_never_posted_twice_or_left_out(history: MadeFolder, tmp_path: Path) -> None:
    async def run() -> None:
        books = await Books.open(tmp_path / "books.sqlite")
        await books.apply(batch_of(history, 1, 5))
        for first in (5, 7):
            with pytest.raises(AssertionError, match="posted once"):
                await books.apply(batch_of(history, first, 8))
        await books.close()

    asyncio.run(run())


def test_a_damaged_file_is_set_aside_and_made_again(history: MadeFolder, one_by_one: Path, tmp_path: Path) -> None:
    path = tmp_path / "books.sqlite"
    for number in (1, 2):
        path.write_bytes(b"not a database at all" * 300)
        post(path, history, [])
        assert rows(path) == rows(one_by_one)
        assert (tmp_path / f"books.sqlite.damaged-{number}").read_bytes().startswith(b"not a database")


def test_damage_met_on_the_way_is_said(history: MadeFolder, tmp_path: Path) -> None:
    path = tmp_path / "books.sqlite"
    post(path, history, [])
    ((root,),) = read(path, "SELECT rootpage FROM sqlite_master WHERE name = 'sessions_by_id'")
    octets = bytearray(path.read_bytes())
    octets[(root - 1) * 4096 : root * 4096] = b"\xa5" * 4096
    path.write_bytes(octets)

    async def run() -> None:
        books = await Books.open(path)
        try:
            update = next(group for group in history.groups if hasattr(group[0], "session_id"))
            with pytest.raises(JournalFault, match="set aside as"):
                await books.apply([(GroupIndex(books.index + 1), UnixMillis(0), update)])
        finally:
            await books.close()

    asyncio.run(run())
    assert (tmp_path / "books.sqlite.damaged-1").exists()


def test_books_of_a_newer_release_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "books.sqlite"
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(BadConfiguration, match="have format 99, and this release writes"):
        asyncio.run(Books.open(path))


def test_books_may_begin_with_a_state(history: MadeFolder, one_by_one: Path, tmp_path: Path) -> None:
    path = tmp_path / "books.sqlite"
    at = history.groups[-1][-1].at

    async def run() -> None:
        books = await Books.open(path)
        try:
            await books.replace(books_seed.posting(history.node.state), GroupIndex(len(history.groups)), at)
        finally:
            await books.close()  # its thread would keep the process alive

    asyncio.run(run())
    seeded, whole = rows(path), rows(one_by_one)
    for table in ("accounts", "operators", "prefixes", "peers", "top_ups"):
        assert seeded[table] == whole[table]
    alive = "SELECT session_id, imsi, apn, state, used, charged FROM sessions WHERE state <> 'ended' ORDER BY 1"
    services = (
        "SELECT rating_group, granted, used, charged, reserved FROM session_services WHERE reserved > 0 ORDER BY 3"
    )
    for query in (alive, services):
        assert read(path, query) == read(one_by_one, query)
        assert read(path, query)


def read(path: Path, query: str) -> list[tuple[object, ...]]:
    connection = sqlite3.connect(path)
    found = list(connection.execute(query))
    connection.close()
    return found


# The page


def test_every_table_and_column_is_on_the_page(one_by_one: Path) -> None:
    assert "CREATE VIEW cdrs" in TABLES
    tables = [name for (name,) in read(one_by_one, "SELECT name FROM sqlite_master WHERE type IN ('table', 'view')")]
    for table in tables:
        section = re.search(rf"^## `{table}`\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
        assert section is not None, table
        columns = [name for (_, name, *_) in read(one_by_one, f"PRAGMA table_info({table})")]
        named = re.findall(r"^\| `(\w+)` \|", section[1], re.MULTILINE)
        assert named == columns, table


def test_the_pages_queries_run(one_by_one: Path) -> None:
    queries = re.findall(r"```sql\n(.*?)```", PAGE, re.DOTALL)
    assert len(queries) == 4
    for query in queries:
        assert read(one_by_one, query), query


def test_a_batch_cut_off_is_taken_back_over_what_a_larger_one_left(history: MadeFolder, tmp_path: Path) -> None:
    """The rollback journal is written over: behind the records of this batch lie those of the one before."""
    path, killed = tmp_path / "books.sqlite", tmp_path / "killed" / "books.sqlite"
    killed.parent.mkdir()
    post(path, history, [10])
    before = rows(path)
    rollback = path.with_name(path.name + "-journal")
    with sqlite3.connect(path, isolation_level=None) as connection:
        connection.execute("PRAGMA journal_mode = PERSIST")
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("UPDATE sessions SET last_group = last_group")
        connection.execute("UPDATE session_services SET granted = granted")
        connection.execute("COMMIT")
        left = rollback.stat().st_size
        connection.execute("PRAGMA cache_size = 1")  # so that changed pages are written before the end
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("UPDATE accounts SET available = available + 1")
        connection.execute("UPDATE sessions SET used = used + 1 WHERE number <= 3")
        connection.execute("SELECT count(*) FROM session_services, sessions, accounts").fetchone()
        for one in (path, rollback):
            (killed.parent / one.name).write_bytes(one.read_bytes())
        connection.execute("ROLLBACK")
    assert rollback.stat().st_size == left > 512
    assert (killed.parent / rollback.name).read_bytes()[0] != 0, "it is one that has to be taken back"
    assert killed.read_bytes() != path.read_bytes(), "some of the batch is in the file"

    async def reopen() -> None:
        await (await Books.open(killed)).close()

    asyncio.run(reopen())
    assert rows(killed) == before
