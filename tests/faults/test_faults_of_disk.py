"""What a disk may do to a real server: rows 48 to 51."""

import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import apsw
import pytest

from faults.injecting import EXIT_STORE, money_is_whole
from live.ocs_server import OcsServer
from live.wire import CCR, INITIAL, TERMINATION, UPDATE, Gateway, ccr, mscc
from ocs.shell.store.write_ahead_log import log_of

pytestmark = pytest.mark.live

CREDIT = 10**12


# Row 51


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a server that was killed in the middle of its work; in it are journal, log, snapshots, archive."""
    folder = tmp_path_factory.mktemp("kept")
    settings = {"journal": {"snapshot_every_records": 1000, "snapshot_every_seconds": 1}}
    with OcsServer(folder, settings) as server:
        server.add_operator(credit=CREDIT)
        with Gateway(server.gy_port).open() as gateway:
            gateway.ask(CCR, ccr(gateway, "k;1", INITIAL, 0, mscc(1)))
            number = 0
            until = time.monotonic() + 30
            while len(list(server.data.glob("archive/*.groups"))) < 1:
                assert time.monotonic() < until
                number += 1
                gateway.ask(CCR, ccr(gateway, "k;1", UPDATE, number, mscc(1, used=1)))
            for _ in range(50):
                number += 1
                gateway.ask(CCR, ccr(gateway, "k;1", UPDATE, number, mscc(1, used=1)))
            money_is_whole(server, credited=CREDIT, consumed=number, reserved=None)
        server.kill()
    (folder / "number").write_text(str(number))
    return folder


@pytest.fixture
def server(kept: Path, tmp_path: Path) -> Iterator[OcsServer]:
    """One on a copy of those data, not started yet."""
    shutil.copytree(kept / "data", tmp_path / "data", ignore=shutil.ignore_patterns("core.sock"))
    server = OcsServer(tmp_path)
    yield server
    server.__exit__()


def flip(path: Path, place: int) -> None:
    octets = bytearray(path.read_bytes())
    octets[place] ^= 0x10
    path.write_bytes(octets)


def refused_start(server: OcsServer) -> str:
    server.start(ready=False)
    assert server.process is not None
    assert server.process.wait(20) == EXIT_STORE, server.tail()
    assert "Traceback" not in server.tail()
    return server.tail()


def flip_in_log(server: OcsServer) -> None:
    log = log_of(server.data / "journal.sqlite")
    flip(log, log.stat().st_size // 2)


def flip_in_log_header(server: OcsServer) -> None:
    flip(log_of(server.data / "journal.sqlite"), 17)


def lose_log(server: OcsServer) -> None:
    log_of(server.data / "journal.sqlite").unlink()


def flip_in_group(server: OcsServer) -> None:
    """Damage the newest group at rest, in the file itself."""
    with apsw.Connection(str(server.data / "journal.sqlite")) as connection:
        ((index, body),) = connection.execute("SELECT idx, body FROM groups ORDER BY idx DESC LIMIT 1")
        body = bytearray(body)
        body[len(body) // 2] ^= 1
        connection.execute("UPDATE groups SET body = ? WHERE idx = ?", (bytes(body), index))


@pytest.mark.fault(51)
@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (flip_in_log, "was changed at rest: groups that were answered lie behind the damage"),
        (flip_in_log_header, "was changed at rest: groups that were answered lie behind the damage"),
        (lose_log, "groups were lost; bring the journal back from a copy"),
        (flip_in_group, "was changed at rest"),
    ],
)
def test_damage_that_is_not_started_on(server: OcsServer, damage: Callable[[OcsServer], None], told: str) -> None:
    damage(server)
    assert server.ocs("journal", "verify").returncode in (1, EXIT_STORE)
    for _ in range(2):  # the first look leaves the damage as it found it
        assert told in refused_start(server)


@pytest.mark.fault(51)
def test_damage_that_is_told_and_served_around(server: OcsServer, kept: Path) -> None:
    """A snapshot is replaced by an older one and the journal; the archive is needed by nobody who starts."""
    number = int((kept / "number").read_text())
    for path in (max(server.data.glob("snapshots/*.snapshot")), min(server.data.glob("archive/*.groups"))):
        flip(path, path.stat().st_size // 2)
    server.start()
    assert "snapshot damaged; an older one is used" in server.log.read_text()
    money_is_whole(server, credited=CREDIT, consumed=number, reserved=None)
    with Gateway(server.gy_port).open() as gateway:
        last = gateway.ask(CCR, ccr(gateway, "k;1", TERMINATION, number + 1, mscc(1, used=1, asked=False)))
        assert last.result_code == 2001
    money_is_whole(server, credited=CREDIT, consumed=number + 1)
    assert server.stop() == 0
    found = server.ocs("journal", "verify")
    assert found.returncode == 1
    assert "snapshot" in found.stdout
    assert "archive segment" in found.stdout
