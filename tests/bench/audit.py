"""`make audit`: a closure of AUDIT_COMMITS double-signed commits, audited, beside bare PyNaCl in the same run.

    bare       two Ed25519 verifications for each commit, one thread, nothing else
    one core   the audit of the file in a process that is bound to one core
    all cores  the same with a thread on each

Rates on one core are of CPU seconds, so that others on the machine do not count; with threads, of the clock.

Everything is real: each report is signed twice, the log lies on disk, and the figures of the audit are held against
what was signed.  Prints ratios, the memory at its peak, and the largest proof of an entry.
"""

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from ocs.channel import closure
from ocs.channel.channel import Channel, ChannelState, Summary
from ocs.channel.leaf import join, split
from ocs.channel.record import (
    CHANNEL_CLOSE_TYPE,
    CHANNEL_OPEN_TYPE,
    ChannelOpen,
    CloseReason,
    Commit,
    channel_id,
    commit_id,
)
from ocs.shell.follower.public_log import PublicLog
from ocs.shell.store.channel_files import ChannelFiles, Closed
from ocs.shell.store.log_files import LogFiles
from ocs.signed import envelope
from ocs.signed.ed25519 import SeedSigner, public_key_of, signer_of, verify
from ocs.tlog.merkle import HASH_OCTETS
from ocs.tlog.proof import parse
from ocs.units import DataCredits, Octets, UnixMillis
from ocs.usage.record import COUNTERSIGN_TYPE, SESSION_INIT_TYPE, USAGE_TYPE, Cause, Countersign, SessionInit, Usage

COMMITS = int(os.environ.get("AUDIT_COMMITS", "100000"))
MINERS = 50
REPORTS = 100
"""Of one session, its SessionInit among them."""

NETWORK = "bench"
PER_OCTETS = 20_000
NOW = 1_790_000_000_000
BATCH = 1000
BARE = 5000
RUNS = 3
PROOF_HASHES_MAX = 1000
PROOF_FILE_MAX = 2000


@dataclass
class Figures:
    """Commits a second; the memory of the audit before and at its peak, in MB; octets of the largest proof."""

    commits: int
    octets: int
    bare: float
    one_core: float
    one_core_by_clock: float
    all_cores: float
    before_mb: float
    peak_mb: float
    proof_hashes: int
    proof_file: int

    def ratios(self) -> list[tuple[str, float, str]]:
        return [
            ("audit of a closure, one core / bare PyNaCl on one core", self.one_core / self.bare, "at least 0.6"),
            ("audit of a closure, all cores / one core, by the clock", self.all_cores / self.one_core_by_clock, ""),
        ]


def seed(number: int) -> SeedSigner:
    return SeedSigner(number.to_bytes(32, "big"))


OWNER, LOG = seed(1), seed(2)
PAIRS = [(seed(100 + number), seed(10_000 + number)) for number in range(MINERS)]
OPEN = ChannelOpen(1, NETWORK, signer_of(OWNER.public_key), 1, 10**15, 1, 2, 1, 1, MINERS, "")


def session(number: int, channel: bytes, reports: int) -> Iterator[tuple[bytes, Usage | SessionInit]]:
    """Sign a session: give each countersigned report, and what it says."""
    sgw, miner = PAIRS[number % MINERS]
    common = (1, NETWORK, channel, number.to_bytes(16, "big"), signer_of(sgw.public_key), signer_of(miner.public_key))
    last = bytes(32)
    for seq in range(reports):
        said: Usage | SessionInit
        if seq == 0:
            said = SessionInit(*common, bytes(32), 6, "00101", f"sgw.example;1;{number}", NOW, 10**7, 1)
            kind = SESSION_INIT_TYPE
        else:
            counters = seq * 11_111, seq * 222_222
            said = Usage(*common, seq, *counters, NOW + seq, Cause.THRESHOLD, last, seq, seq == REPORTS - 1)
            kind = USAGE_TYPE
        inner = envelope.seal(kind, said.encode(), sgw)
        last = envelope.message_id(envelope.decode(inner))
        yield (
            envelope.seal(COUNTERSIGN_TYPE, Countersign(1, channel, last, NOW + seq, seq, inner).encode(), miner),
            said,
        )


def leaves(ledger: Channel, commits: int) -> Iterator[bytes]:
    """Sign and commit, session by session; `ledger` has the sums."""
    number = 0
    while ledger.commits < commits:
        price = octets = 0
        for countersigned, said in session(number, ledger.channel_id, min(REPORTS, commits - ledger.commits)):
            total = said.cum_bytes if isinstance(said, Usage) else 0
            cost, added = ledger.price(total) - price, total - octets
            price, octets = price + cost, total
            ledger.used = DataCredits(ledger.used + cost)
            seq = said.seq if isinstance(said, Usage) else 0
            commit = Commit(
                version=1,
                channel_id=ledger.channel_id,
                index=ledger.commits,
                countersign_id=envelope.message_id(envelope.decode(countersigned)),
                miner_key=said.miner_key,
                session_id=said.session_id,
                seq=seq,
                delta_bytes=added,
                delta_dc=cost,
                channel_total_dc=ledger.used,
                committed_at_ms=NOW + ledger.commits,
                prev_commit=ledger.last_commit,
            ).encode()
            ledger.commits += 1
            ledger.last_commit = commit_id(commit)
            ledger.summaries.setdefault(said.miner_key, Summary()).count(cost, added, begins=seq == 0)
            yield join(commit, countersigned)
        number += 1


def make(folder: Path, commits: int) -> tuple[Path, PublicLog, Channel]:
    """Sign and log so many commits, settle their channel, and have the server's code hand out its closure."""
    (folder / "log").mkdir()
    log = LogFiles.open(folder / "log")
    ledger = Channel(
        number=1,
        channel_id=channel_id(OPEN.encode()),
        amount=DataCredits(OPEN.amount_dc),
        tariff=1,
        per_octets=Octets(PER_OCTETS),
        opened_at=UnixMillis(NOW),
        expires_at=UnixMillis(NOW + 1),
        grace_ms=1,
        state=ChannelState.SETTLED,
        reason=CloseReason.OWNER,
        summaries={},
    )
    batch: list[bytes] = []
    for leaf in leaves(ledger, commits):
        batch.append(leaf)
        if len(batch) == BATCH:
            log.append(batch)
            batch.clear()
    log.append(batch)
    channels = ChannelFiles(folder / "log")
    close = closure.propose(ledger, log.size, log.root(log.size))
    channels.keep_open(1, envelope.seal(CHANNEL_OPEN_TYPE, OPEN.encode(), OWNER))
    channels.keep_close(1, Closed(0, ledger.per_octets, envelope.seal(CHANNEL_CLOSE_TYPE, close.encode(), OWNER)))
    public = PublicLog(log, channels, "ocs.example.net/bench", LOG, lambda: None)
    path = folder / "channel.closure"
    with path.open("wb") as out:
        out.writelines(public.closure(1))
    return path, public, ledger


def bare_rate(octets: bytes) -> float:
    """Give how many commits a CPU second has time to verify, at two signatures each and nothing else."""
    signed = envelope.decode(octets)
    key, covered = public_key_of(signed.signer), envelope.signed_bytes(signed.payload_type, signed.payload)
    began = time.process_time()
    for _ in range(BARE):
        assert verify(key, covered, signed.signature)
    return BARE / (time.process_time() - began) / 2


def _audited(path: Path, threads: int, ledger: Channel) -> dict[str, float]:
    done = subprocess.run(
        [sys.executable, "-m", "bench.one_audit", str(path), str(threads)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["fault"] is None, told
    assert told["used"] == ledger.used, "the figures of the audit are those of the ledger"
    return dict(told)


def measure(commits: int = COMMITS) -> Figures:
    """Build a closure of so many commits and audit it, turn by turn with bare PyNaCl."""
    with TemporaryDirectory(prefix="ocs-bench-audit-") as scratch:
        path, public, ledger = make(Path(scratch), commits)
        sample = split(public.files.entry(commits - 1))[1]
        bare, one_core, all_cores = [], [], []
        for _ in range(RUNS if commits <= 100_000 else 1):
            bare.append(bare_rate(sample))
            one_core.append(_audited(path, 1, ledger))
            bare.append(bare_rate(sample))
            all_cores.append(_audited(path, 0, ledger))
        proofs = [parse(public.proof(index)) for index in range(0, commits, max(1, commits // 1000))]
        figures = Figures(
            commits=commits,
            octets=path.stat().st_size,
            bare=statistics.median(bare),
            one_core=statistics.median(one["rate_of_cpu"] for one in one_core),
            one_core_by_clock=statistics.median(one["rate"] for one in one_core),
            all_cores=statistics.median(one["rate"] for one in all_cores),
            before_mb=max(one["before_mb"] for one in all_cores),
            peak_mb=max(one["peak_mb"] for one in (*one_core, *all_cores)),
            proof_hashes=max(len(one.hashes) for one in proofs) * HASH_OCTETS,
            proof_file=max(len(one.octets) for one in proofs),
        )
        public.files.close()
    assert figures.proof_hashes < PROOF_HASHES_MAX, figures
    assert figures.proof_file < PROOF_FILE_MAX, figures
    return figures


def main() -> None:
    figures = measure()
    print(
        f"{figures.commits:,} commits, {figures.octets / 1e6:,.0f} MB  commits/s: bare {figures.bare:,.0f}  "
        f"one core {figures.one_core:,.0f}  by the clock {figures.one_core_by_clock:,.0f}, all cores "
        f"{figures.all_cores:,.0f}  memory {figures.before_mb:.0f} MB, at the peak {figures.peak_mb:.0f} MB  "
        f"largest proof: hashes {figures.proof_hashes} octets, file {figures.proof_file}"
    )
    for what, ratio, wanted in figures.ratios():
        print(f"  {ratio:>7.2f}  {what}{f'  ({wanted})' if wanted else ''}")


if __name__ == "__main__":
    main()
