"""The spool is one pair's and one process's, and what it has taken survives a kill."""

import contextlib
import stat
import subprocess
import sys

import pytest
from senders import MINER, SGW, reading

from signed_reports import NETWORK
from simulator.settlement.messages import Counters
from simulator.settlement.spool import Report, Signed, Spool, SpoolError

NOW = 1_790_000_000_000


def spool_at(path, sgw=SGW.signer, network=NETWORK):
    return Spool.open(path, sgw, MINER.signer, network)


@pytest.fixture
def spool(tmp_path):
    with contextlib.closing(spool_at(tmp_path / "spool")) as opened:
        yield opened


def signed(session: int, seq: int) -> Signed:
    session_id = bytes([session]) * 16
    return Signed(session_id, seq, Counters(seq, 2 * seq), False, bytes([session, seq]) * 16, b"envelope")


def test_it_is_its_owners_alone(tmp_path, spool):
    path = tmp_path / "spool"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with pytest.raises(SpoolError, match="does another forwarder run on it"):
        spool_at(path)
    spool.close()
    with pytest.raises(SpoolError, match="other keys"):
        spool_at(path, sgw=MINER.signer)
    with pytest.raises(SpoolError, match="other keys"):
        spool_at(path, network="another")
    spool_at(path).close()


def test_what_is_no_spool_is_left_as_it_is(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_bytes(b"not a database, and longer than its header of a hundred octets would be, to be sure of it " * 4)
    before = path.read_bytes()
    with pytest.raises(SpoolError):
        spool_at(path)
    assert path.read_bytes() == before
    with pytest.raises(SpoolError, match="cannot be opened"):
        spool_at(tmp_path / "nowhere" / "spool")


def test_a_newer_reading_takes_the_place_of_one_that_waits(spool):
    with spool.commit():
        spool.take(reading("a", 1, 1, NOW), NOW)
        spool.take(reading("a", 5, 1, NOW), NOW + 1)
        spool.take(reading("a", 2, 0, NOW, incarnation=1), NOW + 2)
        spool.take(reading("b", 9, 9, NOW, final=True), NOW)
        spool.take(reading("b", 9, 9, NOW), NOW + 5)  # late, and no newer than the end
        spool.take_back(reading("a", 4, 1, NOW), NOW - 1)
    told = spool.all_told("a")
    assert [(one.reading.incarnation, one.reading.octets, one.received_at_ms) for one in told] == [
        (0, (5, 1), NOW + 1),
        (1, (2, 0), NOW + 2),
    ]
    assert spool.told("b").reading.final
    assert spool.signable(NOW, 9) == ["b", "a"]
    with spool.commit():
        spool.drop(told[0])
    assert spool.told("a").reading.incarnation == 1


def test_reports_of_a_session_never_overtake_each_other(spool):
    with spool.commit():
        for session, seq in ((1, 0), (2, 0), (1, 1)):
            spool.add("gy", signed(session, seq))
        spool.postpone(bytes([1]) * 16, NOW + 10)
        spool.add("gy", signed(1, 2))
    assert [(one.session_id[0], one.seq) for one in spool.due(NOW, 9)] == [(2, 0)]
    assert [(one.session_id[0], one.seq) for one in spool.due(NOW + 10, 9)] == [(1, 0), (2, 0), (1, 1), (1, 2)]
    assert [one.seq for one in spool.due(NOW + 10, 1)] == [0]


def test_the_newest_receipt_of_a_session_is_kept(spool):
    with spool.commit():
        for seq in (1, 2):
            spool.add("gy", signed(1, seq))
    first, second = spool.due(NOW, 9)
    with spool.commit():
        spool.receipted(second, "proof of 2", NOW)
        spool.receipted(first, "proof of 1", NOW + 1)
    assert spool.receipts("gy") == [(b"envelope", "proof of 2")]
    assert spool.signed_octets("gy") == (2, 4)
    assert spool.envelope_of(second.message_id) == b"envelope"
    assert spool.envelope_of(first.message_id) is None
    assert not spool.busy()


def test_no_seq_is_signed_twice(spool):
    with spool.commit():
        spool.add("gy", signed(1, 1))
    with pytest.raises(Exception, match="UNIQUE"), spool.commit():
        spool.add("gy", signed(1, 1))
    assert spool.under_way() == 1  # and the commit that failed has left nothing


def test_a_refusal_keeps_the_octets(spool):
    with spool.commit():
        spool.add("gy", signed(1, 1))
        (report,) = spool.due(NOW, 9)
        assert isinstance(report, Report)
        spool.refuse(report, "over_grant", "too much", NOW)
    assert spool.refusals() == [("gy", "over_grant", "too much")]
    assert spool.refusals(["another"]) == []
    assert spool.counts() == {"readings": 0, "reports": 0, "receipts": 0, "refused": 1}


def test_what_is_committed_survives_a_kill_and_nothing_else_does(tmp_path):
    code = f"""
import os, signal, sys
sys.path[:0] = {sys.path!r}
from test_spool import NOW, reading, signed, spool_at
from pathlib import Path
spool = spool_at(Path({str(tmp_path / "spool")!r}))
with spool.commit():
    spool.take(reading("a", 1, 2, NOW), NOW)
    spool.add("gy", signed(1, 1))
    assert spool.next_miner_seq() == 1
with spool.commit():
    spool.add("gy", signed(1, 2))
    spool.next_miner_seq()
    os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == -9, done.stderr
    with contextlib.closing(spool_at(tmp_path / "spool")) as spool:
        assert spool.counts() == {"readings": 1, "reports": 1, "receipts": 0, "refused": 0}
        with spool.commit():
            assert spool.next_miner_seq() == 2
