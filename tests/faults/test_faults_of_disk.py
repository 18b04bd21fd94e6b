"""What a disk may do to a real server: rows 48 to 51."""

import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import apsw
import pytest

from faults.injecting import EXIT_STORE, FaultyServer, asked, money_is_whole, stops_clean
from live.ocs_server import OcsServer
from live.wire import CCR, INITIAL, TERMINATION, UPDATE, Gateway, Message, ccr, mscc
from ocs.shell.store.write_ahead_log import log_of

pytestmark = pytest.mark.live

CREDIT = 10**12


# Row 51


HEAD_OCTETS, FRAME_OCTETS = 32, 24 + 4096
FRAMES_MIN = 20


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a server that was killed in the middle of its work; in it are journal, log, snapshots, archive.

    The newest groups are in the log alone: it may have been folded just before the kill, so it is tried until they are.
    """
    folder = tmp_path_factory.mktemp("kept")
    settings = {"journal": {"snapshot_every_records": 1000, "snapshot_every_seconds": 1}}
    number = 0
    until = time.monotonic() + 60
    with OcsServer(folder, settings) as server:
        server.add_operator(credit=CREDIT)
        with Gateway(server.gy_port).open() as gateway:
            gateway.ask(CCR, ccr(gateway, "k;1", INITIAL, 0, mscc(1)))
        while True:
            with Gateway(server.gy_port).open() as gateway:
                log = log_of(server.data / "journal.sqlite")
                while not any(server.data.glob("archive/*.groups")) or frames_of(log) < FRAMES_MIN:
                    assert time.monotonic() < until
                    number += 1
                    gateway.ask(CCR, ccr(gateway, "k;1", UPDATE, number, mscc(1, used=1)))
                money_is_whole(server, credited=CREDIT, consumed=number, reserved=None)
            server.kill()
            journal = server.data / "journal.sqlite"
            if newest_group(journal, "immutable=1") != newest_group(journal, "mode=ro"):
                break
            server.start()
    (folder / "number").write_text(str(number))
    return folder


def newest_group(journal: Path, how: str) -> int | None:
    """Read its index; None if the file makes no sense."""
    flags = apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI
    connection = apsw.Connection(f"file:{journal}?{how}", flags=flags)
    try:
        ((index,),) = connection.execute("SELECT max(idx) FROM groups")
    except (apsw.CorruptError, apsw.SQLError):
        return None
    finally:
        connection.close()
    assert isinstance(index, int)
    return index


@pytest.fixture
def server(kept: Path, tmp_path: Path) -> Iterator[OcsServer]:
    """One on a copy of those data, not started yet."""
    shutil.copytree(kept / "data", tmp_path / "data", ignore=shutil.ignore_patterns("core.sock"))
    server = OcsServer(tmp_path)
    yield server
    server.__exit__()


def frames_of(log: Path) -> int:
    """Count the frames of the log as it is now; behind them lies what a longer one before it has left."""
    octets = log.read_bytes()
    salt = octets[16:24]
    count = 0
    while octets[(place := HEAD_OCTETS + count * FRAME_OCTETS + 8) : place + 8] == salt:
        count += 1
    return count


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
    flip(log, HEAD_OCTETS + frames_of(log) // 2 * FRAME_OCTETS + 100)


def flip_in_log_header(server: OcsServer) -> None:
    flip(log_of(server.data / "journal.sqlite"), 17)


def flip_in_last_group(server: OcsServer) -> None:
    """Change what looks like a torn write: the books have read it, so it was whole."""
    log = log_of(server.data / "journal.sqlite")
    flip(log, HEAD_OCTETS + frames_of(log) * FRAME_OCTETS - 50)


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
        (flip_in_last_group, "groups were lost; bring the journal back from a copy"),
        (lose_log, "bring the journal back from a copy"),  # malformed, where some of the log was in the file already
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


# Rows 49 and 50


@pytest.mark.fault(49)
@pytest.mark.parametrize("once", [True, False], ids=["once", "always"])
def test_a_sync_that_fails(tmp_path: Path, once: bool) -> None:
    """It is not tried again: what it may have dropped would be taken for written."""
    with FaultyServer(tmp_path) as server:
        server.add_operator(credit=CREDIT)
        with Gateway(server.gy_port).open() as gateway, Gateway(server.gy_port, host="other.example").open() as other:
            assert ask(gateway, "f;1", INITIAL, 0).result_code == 2001
            server.inject("error", "before_sync", once=once)
            numbers = [2 * (number + 1) for number in range(20)]
            with suppress(ConnectionError):  # it may end before the last is sent
                for place, number in enumerate(numbers):
                    sender = (gateway, other)[place % 2]
                    sender.send(CCR, ccr(sender, f"f;{1 + place % 2}", UPDATE, number, mscc(1, used=3)))
            code = server.ended()
            assert [sent_before_the_end(each) for each in (gateway, other)] == [0, 0], "nothing is answered after it"
        assert code == EXIT_STORE
        assert "nothing is answered any more" in server.tail()
        if not once:
            server.start(ready=False)
            assert server.ended() == EXIT_STORE, "it still cannot write, and says so before it serves"
            assert "Traceback" not in server.tail()
        server.again()
        with Gateway(server.gy_port).open() as gateway:
            for number in numbers[::2]:
                answers = [ask(gateway, "f;1", UPDATE, number, used=3, again=True) for _ in range(2)]
                assert [answer.result_code for answer in answers] == [2001, 2001]
                assert answers[0].avps == answers[1].avps
            assert ask(gateway, "f;1", TERMINATION, 100).result_code == 2001
        money_is_whole(server, credited=CREDIT, consumed=3 * len(numbers[::2]))
        stops_clean(server)


@pytest.mark.fault(50)
def test_a_journal_that_finds_no_room(tmp_path: Path) -> None:
    with FaultyServer(tmp_path) as server:
        server.add_operator(credit=CREDIT)
        with Gateway(server.gy_port).open() as gateway:
            assert ask(gateway, "r;1", INITIAL, 0).result_code == 2001
            server.inject("full", "write")
            assert asked(gateway, ccr(gateway, "r;1", UPDATE, 1, mscc(1, used=3))) is None
        assert server.ended() == EXIT_STORE
        server.start(ready=False)
        assert server.ended() == EXIT_STORE, "there is no room for its start"
        server.again()
        with Gateway(server.gy_port).open() as gateway:
            assert ask(gateway, "r;1", UPDATE, 1, used=3, again=True).result_code == 2001
            assert ask(gateway, "r;1", TERMINATION, 2).result_code == 2001
        money_is_whole(server, credited=CREDIT, consumed=3)
        stops_clean(server)


DISK_OCTETS = 64 * 1024 * 1024
MARK_OCTETS = 24 * 1024 * 1024


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, which this user must be allowed to mount."""
    place = tmp_path / "disk"
    place.mkdir()
    options = ["-t", "tmpfs", "-o", f"size={DISK_OCTETS},mode=0700", "none", str(place)]
    try:
        mounted = subprocess.run(["mount", *options], capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        mounted = False
    if not mounted:
        pytest.skip("only who may mount a file system can fill one")
    yield place
    subprocess.run(["umount", str(place)], check=True)


@pytest.mark.fault(50)
def test_a_disk_that_fills_up(small_disk: Path) -> None:
    settings = {"journal": {"free_octets_min": MARK_OCTETS}}
    with OcsServer(small_disk, settings) as server:
        server.log = small_disk.parent / "server.log"
        server.stop()
        server.start()
        server.add_operator(credit=CREDIT)
        ballast = small_disk / "ballast"
        with Gateway(server.gy_port).open() as gateway:
            for number in range(3):
                assert ask(gateway, f"d;{number}", INITIAL, 0).result_code == 2001
            # Nearly full.
            with ballast.open("wb") as file:
                file.write(bytes(free_octets(small_disk) - MARK_OCTETS // 2))
            until = time.monotonic() + 10
            number = 100
            while (refused := ask(gateway, f"d;{number}", INITIAL, 0)).result_code == 2001:
                assert time.monotonic() < until
                number += 1
                time.sleep(0.05)
            assert (refused.result_code, refused.flags) == (3004, 0x60)
            assert ask(gateway, "d;0", UPDATE, 1, used=5).result_code == 3004, "an update is a new grant"
            assert ask(gateway, "d;0", TERMINATION, 1, used=7).result_code == 2001
            assert 'ocs_shed_total{reason="disk"} 2.0' in server.api.get("/metrics").text
            assert '"event": "disk"' in server.log.read_text()
            money_is_whole(server, credited=CREDIT, consumed=7, reserved=None)
            # Full.
            fill_up(ballast)
            consumed, answered = 7, True
            ending = iter(["d;1", "d;2", *(f"d;{number}" for number in range(100, number))])
            lost = ""
            while answered and (lost := next(ending, "")):
                answered = asked(gateway, ccr(gateway, lost, TERMINATION, 1, mscc(1, used=9, asked=False))) is not None
                consumed += 9 * answered
        assert not answered, "a disk without an octet left takes no group"
        assert server.process is not None
        assert server.process.wait(20) == EXIT_STORE
        # Room again: nothing answered is lost, and the repeat is charged once.
        ballast.unlink()
        server.start()
        with Gateway(server.gy_port).open() as gateway:
            for _ in range(2):
                assert ask(gateway, lost, TERMINATION, 1, used=9, again=True).result_code == 2001
            for rest in ending:
                assert ask(gateway, rest, TERMINATION, 1, used=9).result_code == 2001
                consumed += 9
        money_is_whole(server, credited=CREDIT, consumed=consumed + 9)
        stops_clean(server)


def free_octets(place: Path) -> int:
    return shutil.disk_usage(place).free


def fill_up(ballast: Path) -> None:
    """Let a file grow until the disk takes no octet more."""
    with ballast.open("ab", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(max(4096, free_octets(ballast.parent))))


def sent_before_the_end(gateway: Gateway) -> int:
    """Count the answers on a connection whose server has ended."""
    count = 0
    try:
        while gateway.receive():
            count += 1
    except ConnectionError:
        return count


def ask(
    gateway: Gateway, session: str, kind: int, number: int, *, used: int | None = None, again: bool = False
) -> Message:
    parts = [mscc(1, used=used, asked=kind != TERMINATION)] if used is not None or kind != TERMINATION else []
    answer = asked(gateway, ccr(gateway, session, kind, number, *parts), again=again)
    assert answer is not None
    return answer


@pytest.mark.fault(50)
def test_a_fold_that_finds_no_room(tmp_path: Path) -> None:
    """The write-ahead log has it all: it is served on, and folded once there is room again."""
    with FaultyServer(tmp_path) as server:
        server.add_operator(credit=CREDIT)
        file = server.data / "journal.sqlite"
        with Gateway(server.gy_port).open() as gateway:
            assert ask(gateway, "n;1", INITIAL, 0).result_code == 2001
            number = 0
            for has_room in (True, False, True):
                if has_room:
                    server.heal()
                else:
                    server.inject("full", "fold_write")
                before, log = file.stat().st_size, log_of(file).stat().st_size
                for _ in range(150):
                    number += 1
                    assert ask(gateway, "n;1", UPDATE, number, used=3).result_code == 2001
                if not has_room:
                    assert file.stat().st_size == before
                    assert log_of(file).stat().st_size > log, "what cannot be folded waits there"
                    until = number + 1000
                    waiting = frames_of(log_of(file))
            while frames_of(log_of(file)) >= waiting:
                number += 1
                assert number < until, "it is not folded though there is room"
                assert ask(gateway, "n;1", UPDATE, number, used=3).result_code == 2001
            assert ask(gateway, "n;1", TERMINATION, number + 1).result_code == 2001
        money_is_whole(server, credited=CREDIT, consumed=3 * number)
        stops_clean(server)
