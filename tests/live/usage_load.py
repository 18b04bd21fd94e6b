"""A gateway whose SGW and miner sign what it reports, whatever befalls the server; and an audit of it all."""

import base64
import secrets
import threading
import time
from collections import Counter
from typing import Any

import httpx

from live.load import Load
from live.ocs_server import OcsServer
from live.signing import Signed, Signers
from live.wire import INITIAL, TERMINATION, UPDATE, mscc
from ocs.channel.closure import Counted, Recount, check, opened_channel
from ocs.channel.leaf import split
from ocs.channel.record import ChannelClose, Commit
from ocs.shell.store.channel_files import ChannelFiles
from ocs.signed import envelope
from ocs.signed.ed25519 import SeedSigner
from ocs.tlog import checkpoint, merkle, note, proof
from ocs.tlog.merkle import Frontier, leaf_hash
from ocs.usage.record import Countersign, SessionInit, Usage

ANSWER_SECONDS = 30.0
AGAIN_SECONDS = 0.02
CLOSED = {"channel_closed", "wrong_channel", "grant_conflict", "session_ended", "no_session"}
"""A session's channel has gone, or goes just now: it begins anew once the next one is there."""


class SignedLoad(Load):
    """Sessions one after the other, each signed for; what the server acknowledged is kept with its receipt.

    Attributes:
        receipts: by the octets of a report, the leaf that counts it.
        heads: of the receipts' checkpoints, by size.
        passing: codes of refusals that may come.
    """

    def __init__(self, server: OcsServer, number: int) -> None:
        super().__init__(server, number)
        self.signers = Signers(server, self.host)
        self.signers.sgw, self.signers.miner = (SeedSigner(secrets.token_bytes(32)) for _ in range(2))
        self.receipts: dict[bytes, int] = {}
        self.heads: dict[int, bytes] = {}
        self.refusals: Counter[str] = Counter()
        self.passing = CLOSED
        self.unsigned = 0
        self._api = httpx.Client(base_url=server.api.base_url, timeout=5)

    def run(self) -> None:
        super().run()
        self._api.close()

    def _session(self, session_id: str) -> None:
        self._ask(session_id, INITIAL, 0, [mscc(1)])
        session = self._begin(session_id)
        updates, owed = self.rng.randrange(1, 10), 0
        for number in range(1, updates + 1):
            used = self.rng.randrange(1, 50_000)
            self._ask(session_id, UPDATE, number, [mscc(1, used=used, reason=3)], used)
            owed += used
            session, owed = self._sign(session, owed, final=False)
        used = self.rng.randrange(1, 5000)
        self._ask(session_id, TERMINATION, updates + 1, [mscc(1, used=used, asked=False)], used)
        session, owed = self._sign(session, owed + used, final=True)
        self.unsigned += owed

    def _sign(self, session: Signed | None, owed: int, *, final: bool) -> tuple[Signed | None, int]:
        """Sign for `owed` octets; the session that goes on, and what is still to be signed for."""
        if session is None:
            session = self._begin(None)
        if session is None:
            return None, owed
        up = self.rng.randrange(owed + 1)
        told = self._send(self.signers.usage(session, up, owed - up, final=final))
        if told["status"] == "refused":
            return (None if final else self._begin(session.gy_session_id)), owed
        if told["next_channel_id"] is not None and not final:
            self._send(self.signers.usage(session, 0, final=True))
            return self._begin(session.gy_session_id), 0
        return session, 0

    def _begin(self, gy_session_id: str | None) -> Signed | None:
        if gy_session_id is None:
            return None
        told = self._try("GET", "/api/v1/usage/active-channel", params={"gy_session_id": gy_session_id})
        if told["channel_id"] is None:
            return None
        session, init = self.signers.begin_in(gy_session_id, told)
        return session if self._send(init)["status"] == "accepted" else None

    def _send(self, report: bytes) -> dict[str, Any]:
        """Send a report until something is known of it."""
        until = time.monotonic() + ANSWER_SECONDS
        body = {"reports": [base64.b64encode(report).decode()]}
        while True:
            (told,) = self._try("POST", "/api/v1/usage", json=body)["results"]
            if told["status"] in ("accepted", "superseded"):
                self.receipts[report] = told["log_index"]
                head = checkpoint.parse(note.parse(proof.parse(told["proof"].encode()).checkpoint).text)
                assert self.heads.setdefault(head.size, head.root) == head.root, "two logs of one size"
                return dict(told)
            if told["status"] == "refused":
                self.refusals[told["code"]] += 1
                assert told["code"] in self.passing, told
                return dict(told)
            assert time.monotonic() < until, told
            time.sleep(AGAIN_SECONDS)

    def _try(self, method: str, path: str, **how: Any) -> Any:
        until = time.monotonic() + ANSWER_SECONDS
        while True:
            try:
                answer = self._api.request(method, path, headers={"Authorization": self.signers.pass_()}, **how)
                if answer.status_code == 200:
                    return answer.json()
                assert answer.status_code == 503, answer.text
            except httpx.TransportError:
                pass
            assert time.monotonic() < until, f"no answer in {ANSWER_SECONDS} s"
            time.sleep(AGAIN_SECONDS)


class Watcher(threading.Thread):
    """Reads the log's checkpoint now and then, whatever befalls what serves it."""

    def __init__(self, server: OcsServer) -> None:
        super().__init__()
        self.server = server
        self.stopping = threading.Event()
        self.heads: dict[int, bytes] = {}

    def run(self) -> None:
        with httpx.Client(base_url=self.server.api.base_url, timeout=2) as api:
            while not self.stopping.wait(0.1):
                try:
                    answer = api.get("/api/v1/log/checkpoint")
                except httpx.TransportError:
                    continue
                if answer.status_code == 200:
                    head = checkpoint.parse(note.parse(answer.content).text)
                    self.heads[head.size] = head.root


def often(epoch_seconds: int, channel_credits: int) -> dict[str, Any]:
    """Give settings with which snapshots, archive and channels' ends come often, so that kills hit them too."""
    return {
        "journal": {"snapshot_every_records": 1000, "snapshot_every_seconds": 1},
        # A session holds a few credits, so that channels fill with many.
        "quota": {"default_octets": 200_000, "max_octets": 200_000, "min_octets": 1000},
        "usage": {"epoch_seconds": epoch_seconds, "channel_credits": channel_credits},
    }


def check_repeats(load: SignedLoad) -> None:
    """Insist that a repeat of anything gets the receipt that its first had."""
    some = dict(list(load.receipts.items())[-20:])
    assert [one["log_index"] for one in load.signers.send(*some)] == list(some.values())


def leaves_of(server: OcsServer) -> list[bytes]:
    """Read the whole log as anybody may."""
    size = server.api.get("/api/v1/log/key").json()["size"]
    leaves: list[bytes] = []
    while len(leaves) < size:
        bundle, width = len(leaves) // 256, min(256, size - len(leaves))
        tail = f".p/{width}" if width < 256 else ""
        octets = server.api.get(f"/api/v1/log/tile/entries/{bundle:03}{tail}").content
        at = 0
        while at < len(octets):
            end = at + 2 + int.from_bytes(octets[at : at + 2], "big")
            leaves.append(octets[at + 2 : end])
            at = end
    return leaves


def audit(server: OcsServer, loads: list[SignedLoad], heads: dict[int, bytes]) -> tuple[int, int]:
    """Hold what was acknowledged against the log, and the log against the channels; leaves, and channels settled."""
    leaves = leaves_of(server)
    places = {split(leaf)[1]: place for place, leaf in enumerate(leaves)}
    assert len(places) == len(leaves), "nothing is counted twice"
    for load in loads:
        for report, place in load.receipts.items():
            assert places.get(report) == place or report not in places, "a receipt names another leaf"
            if report not in places:
                assert _seq(leaves[place]) > _seq_of(report), "not superseded, and not in the log"
    # The log only grew, through every kill.
    log, roots = Frontier(), {0: Frontier().root()}
    for leaf in leaves:
        log.append(leaf_hash(leaf))
        roots[log.size] = log.root()
    for size, root in [*heads.items(), *(head for load in loads for head in load.heads.items())]:
        assert roots[size] == root, f"the log of {size} leaves was another one"

    by_channel: dict[bytes, list[bytes]] = {}
    for leaf in leaves:
        by_channel.setdefault(Commit.decode(split(leaf)[0]).channel_id, []).append(leaf)
    files, settled, locked, spent = ChannelFiles(server.data / "log"), 0, 0, 0
    account, rows = _steady(server)
    for row in rows:
        channel_id = bytes.fromhex(row["channel_id"])
        recount = Recount(channel_id, int(row["per_octets"]))
        for leaf in by_channel.pop(channel_id, []):
            recount.add(leaf, _counted)
        assert (recount.used, recount.commits) == (int(row["used"]), row["commits"])
        assert recount.used <= int(row["amount"])
        if row["state"] == "settled":
            settled, spent = settled + 1, spent + recount.used
            opened = opened_channel(files.opened(row["number"]))[1]
            close = ChannelClose.decode(envelope.decode(files.closed(row["number"]).envelope).payload)
            check(close, opened, recount, close.log_size, roots[close.log_size])
        else:
            locked += int(row["amount"])
    assert not by_channel
    assert account["available"] + account["locked"] + account["spent"] == account["funded"]
    assert (account["locked"], account["spent"]) == (locked, spent)
    merkle.verify_consistency(0, log.size, (), roots[0], log.root())
    return len(leaves), settled


def _steady(server: OcsServer) -> tuple[dict[str, int], list[dict[str, Any]]]:
    """Read account and channels of one moment: epochs go on, and channels open and settle while they are read."""

    def account() -> dict[str, int]:
        return {name: int(value) for name, value in server.api.get("/api/v1/data-credits").json().items()}

    while True:
        before = account()
        rows = server.api.get("/api/v1/channels", params={"limit": 1000}).json()["items"]
        if account() == before:
            return before, rows


def _seq(leaf: bytes) -> int:
    return Commit.decode(split(leaf)[0]).seq


def _report(countersigned: bytes) -> tuple[Countersign, SessionInit | Usage]:
    countersign = Countersign.decode(envelope.decode(countersigned).payload)
    inner = envelope.decode(countersign.inner)
    kind = SessionInit if "session-init" in inner.payload_type else Usage
    return countersign, kind.decode(inner.payload)


def _seq_of(countersigned: bytes) -> int:
    report = _report(countersigned)[1]
    return report.seq if isinstance(report, Usage) else 0


def _counted(countersigned: bytes) -> Counted:
    """Read a report as a recount needs it; its signatures are verified by other tests."""
    _, report = _report(countersigned)
    of_usage = (report.seq, report.cum_bytes, report.final) if isinstance(report, Usage) else (0, 0, False)
    keys = report.sgw_key, report.miner_key
    countersign_id = envelope.message_id(envelope.decode(countersigned))
    return Counted(countersign_id, report.channel_id, report.session_id, *keys, *of_usage)
