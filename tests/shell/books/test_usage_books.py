"""Keys, channels and reports in the books: the same however they are posted, and what the ledger says."""

import asyncio
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from ledger_node import GATEWAY
from ocs import command as cmd
from ocs.shell.books import seed
from ocs.shell.books.books import Books
from ocs.shell.books.schema import FIRST_TABLES, SCHEMA_VERSION, UPGRADES
from ocs.signed.ed25519 import SeedSigner, signer_of
from ocs.units import GroupIndex
from ocs.usage.rotation import KeyRotation, seal
from signed_reports import NETWORK, SGW
from signing_node import EPOCH_MS, SigningNode

TABLES = (
    *("signers", "purchases", "channels", "signed_sessions", "commits", "refused_reports", "disputes"),
    *("comparisons", "reconciliation_incidents"),
)


@pytest.fixture(scope="module")
def node() -> SigningNode:
    """A deployment that went through all there is."""
    node = SigningNode()
    node.channel(1000, epochs=1)
    node.channel(1000, epochs=3)
    for name in ("s;1", "s;2", "s;3"):
        node.attach(name)
    sessions = [node.begin(name) for name in ("s;1", "s;2")]
    for sgw in sessions * 3:
        node.report(node.usage(sgw, 12_345, 678))
    node.report(node.usage(sessions[0], 1, final=True))
    sessions[1].seq -= 1
    node.report(node.usage(sessions[1], 1))  # another report of that seq
    node.report(node.usage(sessions[1], 1))  # of a session that is frozen
    running = node.begin("s;3")
    node.later(EPOCH_MS)
    node.tend()
    node.report(node.usage(running, 40_000))
    node.later(EPOCH_MS)
    node.tend()
    fresh = SeedSigner(bytes(31) + b"\x07")
    rotation = KeyRotation(signer_of(SGW.public_key), signer_of(fresh.public_key), node.now, NETWORK)
    node.step(cmd.RotateKey(seal(rotation, old=SGW, new=fresh)))
    node.step(cmd.RevokeKey(SGW.public_key, "replaced"))
    assert node.state.signed.register.signs(GATEWAY.origin_host)
    return node


def posted(path: Path, node: SigningNode, sizes: Callable[[int], int]) -> dict[str, list[tuple[object, ...]]]:
    """Post all events, each in a group of its own, so many groups at a time; the rows."""

    async def run() -> None:
        books = await Books.open(path)
        try:
            groups = [(GroupIndex(place), event.at, [event]) for place, event in enumerate(node.events, 1)]
            while groups:
                size = sizes(len(groups))
                await books.apply(groups[:size])
                groups = groups[size:]
        finally:
            await books.close()

    asyncio.run(run())
    return rows(path)


def rows(path: Path) -> dict[str, list[tuple[object, ...]]]:
    connection = sqlite3.connect(path)
    found = {table: list(connection.execute(f"SELECT * FROM {table} ORDER BY 1")) for table in TABLES}
    connection.close()
    return found


def test_they_are_what_the_ledger_says_however_they_are_posted(node: SigningNode, tmp_path: Path) -> None:
    found = posted(tmp_path / "one.sqlite", node, lambda left: 1)
    assert found == posted(tmp_path / "all.sqlite", node, lambda left: left)
    assert found == posted(tmp_path / "some.sqlite", node, lambda left: min(left, 7))
    assert all(found.values()), "each table has something in it"

    signed = node.state.signed
    columns = "number, used, commits, state"
    connection = sqlite3.connect(tmp_path / "one.sqlite")
    channels = list(connection.execute(f"SELECT {columns} FROM channels ORDER BY number"))
    assert channels == [
        (one.number, one.used, one.commits, {1: "open", 2: "draining", 3: "closing", 4: "settled"}[one.state])
        for one in signed.channels.by_number.values()
    ]
    sums = "SELECT channel, sum(credits), count(*) FROM commits GROUP BY channel ORDER BY channel"
    assert list(connection.execute(sums)) == [
        (number, used, commits) for number, used, commits, _ in channels if commits
    ]
    sessions = list(
        connection.execute("SELECT session_id, seq, up, down, credits, state FROM signed_sessions ORDER BY 1")
    )
    states = {1: "running", 2: "ended", 3: "frozen"}
    assert sessions == [
        (name, one.seq, one.up, one.down, one.credits, states[one.state])
        for name, one in sorted(signed.channels.sessions.items())
    ]
    assert [row[0] for row in found["commits"]] == list(range(signed.log.size))
    connection.close()


def test_they_may_begin_with_a_state(node: SigningNode, tmp_path: Path) -> None:
    path = tmp_path / "seeded.sqlite"

    async def run() -> None:
        books = await Books.open(path)
        try:
            await books.replace(seed.posting(node.state), GroupIndex(len(node.events)), node.now)
        finally:
            await books.close()

    asyncio.run(run())
    whole, seeded = posted(tmp_path / "whole.sqlite", node, lambda left: left), rows(path)
    assert [row[:3] for row in seeded["signers"]] == [row[:3] for row in whole["signers"]]
    assert seeded["purchases"] == whole["purchases"]
    for table, kept in (
        ("channels", (0, 1, 2, 3, 4, 7, 8, 10, 11)),
        ("signed_sessions", (0, 1, 2, 3, 4, 5, 8, 9, 10, 11)),
    ):
        assert [[row[at] for at in kept] for row in seeded[table]] == [[row[at] for at in kept] for row in whole[table]]


@pytest.mark.parametrize("version", [1, 2, 3])
def test_books_of_an_older_format_get_what_they_lack(tmp_path: Path, node: SigningNode, version: int) -> None:
    path, fresh = tmp_path / "books.sqlite", tmp_path / "fresh.sqlite"
    posted(fresh, node, lambda left: left)
    connection = sqlite3.connect(path)
    connection.executescript(FIRST_TABLES + "".join(UPGRADES[one] for one in range(1, version)))
    connection.execute(f"PRAGMA user_version = {version}")
    connection.execute("INSERT INTO progress VALUES (1, 7, 9)")
    connection.execute("INSERT INTO starts (group_index, at, version) VALUES (1, 9, '0.1.0')")
    if version > 1:
        connection.execute("INSERT INTO channels VALUES (1, x'01', 9, 1, 9, 9, 9, 'open', NULL, 9, 0, 0, NULL)")
        connection.execute(
            "INSERT INTO signed_sessions (session_id, gy_session_id, channel, sgw_key, miner_key, state, began_at, "
            "last_at, seq, up, down, credits, flags) "
            "VALUES (x'02', x'03', 1, x'04', x'05', 'running', 9, 9, 3, 40, 2, 9, 0)"
        )
    if version > 2:
        connection.execute("UPDATE signed_sessions SET signed = 42")
    connection.commit()
    connection.close()

    async def run() -> GroupIndex:
        books = await Books.open(path)
        index = books.index
        await books.close()
        return index

    assert asyncio.run(run()) == 7
    assert columns(path) == columns(fresh)
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION,)
    assert connection.execute("SELECT * FROM starts").fetchall() == [(1, 9, "0.1.0", 1_000_000)]
    signed = connection.execute("SELECT seq, up, down, session, signed FROM signed_sessions").fetchall()
    assert signed == ([(3, 40, 2, None, 42)] if version > 1 else [])
    connection.close()


def columns(path: Path) -> dict[str, list[tuple[object, ...]]]:
    """Give the tables, views and indices of a file, with their columns."""
    connection = sqlite3.connect(path)
    names = [name for (name,) in connection.execute("SELECT name FROM sqlite_master ORDER BY name")]
    found = {name: list(connection.execute(f"SELECT * FROM pragma_table_xinfo('{name}')")) for name in names}
    connection.close()
    return found
