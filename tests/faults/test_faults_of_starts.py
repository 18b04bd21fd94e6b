"""How a real server starts, stops and refuses to: rows 47, 52, 54 and 57."""

import asyncio
import os
import signal
import sqlite3
import time
import warnings
from pathlib import Path

import pytest

from faults.injecting import END_SECONDS, FaultyServer, money_is_whole, soon, stops_clean, wait_for
from live.load import Load
from live.ocs_server import OcsServer, free_ports
from live.wire import CCR, DPR, INITIAL, TERMINATION, Gateway, ccr, mscc
from ocs.shell.books.books import Books

CREDIT = 10**12

Schema = tuple[int, list[tuple[object, ...]]]


# Row 47


def schema_of(path: Path) -> Schema:
    """Give the version of the books, and what is in them."""
    connection = sqlite3.connect(path)
    ((version,),) = connection.execute("PRAGMA user_version")
    found = list(connection.execute("SELECT type, name, sql FROM sqlite_master ORDER BY 1, 2"))
    connection.close()
    return version, found


def opened(path: Path) -> None:
    async def run() -> None:
        await (await Books.open(path)).close()

    asyncio.run(run())


def opened_until(path: Path, statements: int) -> int:
    """Open books in a process that kills itself at a statement; how it ended."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # newer releases of Python fear for threads; it has none
        child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    connect, passed = sqlite3.connect, 0

    def at_statement(statement: str) -> None:
        nonlocal passed
        passed += 1
        if passed == statements:
            os.kill(os.getpid(), signal.SIGKILL)

    def traced(*values: object, **more: object) -> sqlite3.Connection:
        connection = connect(*values, **more)  # type: ignore[call-overload]
        connection.set_trace_callback(at_statement)
        return connection  # type: ignore[no-any-return]

    sqlite3.connect = traced  # type: ignore[assignment]
    try:
        opened(path)
    finally:
        os._exit(0)


NOTHING: Schema = (0, [])


@pytest.mark.fault(47)
def test_books_that_die_at_each_statement_of_their_making(tmp_path: Path) -> None:
    """There is one schema so far: the old one is nothing."""
    opened(tmp_path / "whole.sqlite")
    whole = schema_of(tmp_path / "whole.sqlite")
    assert whole[0] > 0
    found: list[Schema] = []
    while True:
        path = tmp_path / f"{len(found)}.sqlite"
        code = opened_until(path, len(found) + 1)
        if code == 0:
            break
        assert code == -signal.SIGKILL
        found.append(schema_of(path))
        opened(path)
        assert schema_of(path) == whole, "the next start finishes what this one began"
    assert len(found) > 20, "each table is a statement"
    assert found == sorted(found, key=lambda schema: schema[0]), "once made they stay"
    assert {schema[0] for schema in found} == {0, whole[0]}
    assert all(schema in (NOTHING, whole) for schema in found), "never between"


@pytest.mark.live
@pytest.mark.fault(47)
def test_a_follower_that_dies_while_it_makes_the_books(tmp_path: Path) -> None:
    server = FaultyServer(tmp_path)
    server.inject("kill", "statement", 15)
    try:
        server.start(ready=False)
        server.wait_gy()
        until = time.monotonic() + END_SECONDS
        while server.log.read_text().count("the follower ended") < 2:
            assert time.monotonic() < until
            time.sleep(0.05)
        assert schema_of(server.data / "books.sqlite") == NOTHING
        with Gateway(server.gy_port).open():
            pass  # Gy goes on without books
        server.heal()
        server.wait_ready()
        server.add_operator(credit=CREDIT)
        money_is_whole(server, credited=CREDIT, consumed=0)
        stops_clean(server)
    finally:
        server.__exit__()


# Row 52


@pytest.mark.live
@pytest.mark.fault(52)
def test_a_second_server_leaves_the_first_alone(tmp_path: Path) -> None:
    with OcsServer(tmp_path) as server:
        server.add_operator(credit=CREDIT)
        config = server.config.read_text()
        with Gateway(server.gy_port).open() as gateway:
            assert gateway.ask(CCR, ccr(gateway, "s;1", INITIAL, 0, mscc(1))).result_code == 2001
            for old, new in zip((server.gy_port, server.api_port), free_ports(2), strict=True):
                config = config.replace(str(old), str(new))
            server.config.write_text(config)
            done = server.ocs("serve")
            assert done.returncode == 5
            assert server.process is not None
            assert f"a server with pid {server.process.pid} already runs on data folder" in done.stderr
            last = gateway.ask(CCR, ccr(gateway, "s;1", TERMINATION, 1, mscc(1, used=8, asked=False)))
            assert last.result_code == 2001
        money_is_whole(server, credited=CREDIT, consumed=8)
        stops_clean(server)


# Row 54


@pytest.mark.live
@pytest.mark.fault(54)
def test_sigterm_under_load(tmp_path: Path) -> None:
    with OcsServer(tmp_path) as server:
        server.add_operator(credit=CREDIT)
        loads = [Load(server, number) for number in range(3)]
        for load in loads:
            load.start()
        for turn in range(2):
            with Gateway(server.gy_port, host=f"idle{turn}.example").open() as idle:
                goal = 50 * (turn + 1)
                wait_for(lambda goal=goal: min(load.answered for load in loads) > goal)
                assert server.process is not None
                began = time.monotonic()
                server.process.send_signal(signal.SIGTERM)
                goodbye = idle.request()
                assert (goodbye.command, goodbye.avps.one(273).number) == (DPR, 0)
                idle.reply(goodbye, 2001)
                assert idle.closed()
                assert server.process.wait(20) == 0, server.tail()
                assert time.monotonic() - began < 10
            with soon():
                server.start()
        for load in loads:
            load.stopping.set()
        for load in loads:
            load.join(60)
        assert [load.fault for load in loads] == ["", "", ""]
        money_is_whole(server, credited=CREDIT, consumed=sum(load.reported for load in loads))
        stops_clean(server)


@pytest.mark.live
@pytest.mark.fault(54)
def test_a_start_with_a_bad_configuration(tmp_path: Path) -> None:
    """It is refused with its line, before anything is touched; the server that runs goes on."""
    with OcsServer(tmp_path) as server:
        server.add_operator(credit=CREDIT)
        good = server.config.read_text()
        lines = len(good.splitlines())
        server.config.write_text(f"{good}quota:\n  default_octets: many\n")
        done = server.ocs("serve")
        assert done.returncode == 3
        assert f":{lines + 2}" in done.stderr
        assert "quota.default_octets" in done.stderr
        money_is_whole(server, credited=CREDIT, consumed=0)
        server.config.write_text(good)
        stops_clean(server)


# Row 57


@pytest.mark.live
@pytest.mark.fault(57)
def test_a_library_with_the_wal_reset_bug(tmp_path: Path) -> None:
    version = "3.51.2"
    with FaultyServer(tmp_path) as server:
        server.add_operator(credit=CREDIT)
        assert server.stop() == 0
        (tmp_path / "library").write_text(version)
        server.start(ready=False)
        assert server.ended() == 3
        assert f"SQLite {version} has the WAL-reset bug" in server.tail()
        (tmp_path / "library").unlink()
        server.again()
        money_is_whole(server, credited=CREDIT, consumed=0)
        stops_clean(server)
