"""A witness as a server: what it has seen outlives it, and a log that shows two trees gets no second cosignature."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import apsw
import httpx
import pytest
from log_samples import ORIGIN, Tree, cosigner_key, entry, log_key, signed, signer, verify

from ocs.errors import BadConfiguration
from ocs.shell.witness_server import SeenLogs, app_of
from ocs.tlog import merkle, note
from ocs.tlog.note import Note
from ocs.tlog.witness import BODY_OCTETS_MAX, AddCheckpoint, Status, Witness
from ocs.units import UnixMillis

NOW = UnixMillis(1_700_000_000_000)
KEY = cosigner_key(7)
WITNESS = Witness(KEY, signer(7), {ORIGIN: [log_key(1)]}, verify)
TREE = Tree([entry(index) for index in range(20)])
FORK = Tree([entry(index) for index in [*range(5), *range(100, 115)]])


def request(old: int, size: int, tree: Tree = TREE) -> bytes:
    return AddCheckpoint(old, merkle.consistency_proof(old, size, tree), signed(tree.head(size), 1).octets).octets


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "witness.sqlite"


@pytest.fixture
def seen(file: Path) -> Iterator[SeenLogs]:
    opened = SeenLogs.open(file)
    yield opened
    opened.close()


def post(seen: SeenLogs, body: bytes, method: str = "POST") -> httpx.Response:
    async def run() -> httpx.Response:
        transport = httpx.ASGITransport(app=app_of(WITNESS, seen))
        async with httpx.AsyncClient(transport=transport, base_url="http://witness.test") as client:
            return await client.request(method, "/add-checkpoint", content=body)

    return asyncio.run(run())


def test_growth_is_cosigned(seen: SeenLogs) -> None:
    for old, size in ((0, 7), (7, 7), (7, 19)):
        answer = post(seen, request(old, size))
        assert answer.status_code == Status.COSIGNED
        lines = note.parse_signatures(answer.text)
        assert note.verified(Note(TREE.head(size).text, lines), [KEY], verify) == {KEY}


def test_what_was_seen_outlives_the_witness(seen: SeenLogs, file: Path) -> None:
    assert post(seen, request(0, 10)).status_code == Status.COSIGNED
    again = SeenLogs.open(file)
    stale = post(again, request(0, 12))
    assert (stale.status_code, stale.text) == (Status.STALE, "10\n")
    assert stale.headers["content-type"] == "text/x.tlog.size"
    fork = AddCheckpoint(10, merkle.consistency_proof(10, 12, FORK), signed(FORK.head(12), 1).octets).octets
    assert post(again, fork).status_code == Status.INCONSISTENT
    # Both look at one file: what the second cosigns the first has seen.
    assert post(again, request(10, 12)).status_code == Status.COSIGNED
    assert post(seen, request(10, 15)).text == "12\n"
    again.close()


def test_a_body_that_is_too_long_is_not_read(seen: SeenLogs) -> None:
    assert post(seen, bytes(BODY_OCTETS_MAX + 1)).status_code == 413
    assert post(seen, b"").status_code == Status.MALFORMED
    assert post(seen, b"", "GET").status_code == 405


def test_nothing_is_cosigned_that_is_not_stored(file: Path) -> None:
    seen = SeenLogs.open(file)
    holder = apsw.Connection(str(file))
    holder.execute("BEGIN EXCLUSIVE")
    seen._connection.setbusytimeout(10)
    with pytest.raises(apsw.BusyError):
        seen.add(WITNESS, request(0, 7), NOW)
    holder.execute("ROLLBACK")
    assert seen.add(WITNESS, request(0, 7), NOW).status is Status.COSIGNED
    holder.close()
    seen.close()


def test_another_programs_file_is_left_alone(file: Path) -> None:
    other = apsw.Connection(str(file))
    other.execute("PRAGMA application_id = 7")
    other.close()
    with pytest.raises(BadConfiguration, match="another program's"):
        SeenLogs.open(file)
