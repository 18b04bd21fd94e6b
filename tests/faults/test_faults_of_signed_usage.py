"""What an SGW or a miner may send that it should not, against a real server: rows 58 to 64."""

import base64
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from faults.aftermath import conserved, counted, finished, wait_for
from live.ocs_server import OcsServer
from live.signing import NETWORK, Signed, Signers, command, now
from live.wire import CCR, INITIAL, TERMINATION, UPDATE, Gateway, ccr, mscc
from ocs import command as cmd
from ocs.signed import envelope
from ocs.signed.ed25519 import SeedSigner, signer_of
from ocs.signed.envelope import Envelope
from ocs.units import MINUTE, UnixMillis
from ocs.usage.opening import open_signed
from ocs.usage.record import Usage
from signed_reports import MINER, OTHER_MINER, SGW, STRANGER

pytestmark = pytest.mark.live

MB = 1_000_000
ORDER = 2**252 + 27742317777372353535851937790883648493
SENDERS, COPIES = 4, 50


@pytest.fixture(scope="module")
def signers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Signers]:
    with finished(OcsServer(tmp_path_factory.mktemp("signed"))) as server:
        server.add_operator(credit=10**12)
        signers = Signers(server)
        signers.register()
        yield signers


@pytest.fixture
def server(signers: Signers) -> OcsServer:
    return signers.server


@pytest.fixture
def gateway(server: OcsServer) -> Iterator[Gateway]:
    with Gateway(server.gy_port).open() as gateway:
        yield gateway


def begin(signers: Signers, gateway: Gateway, name: str) -> Signed:
    assert gateway.ask(CCR, ccr(gateway, name, INITIAL, 0, mscc(1))).result_code == 2001
    session, init = signers.begin(name)
    assert signers.send(init)[0]["status"] == "accepted"
    return session


def leaves(server: OcsServer) -> int:
    size: int = server.api.get("/api/v1/log/key").json()["size"]
    return size


def code(signers: Signers, report: bytes) -> str:
    """Give the code with which a report is refused, whoever brings it."""
    body = {"reports": [base64.b64encode(report).decode()]}
    (told,) = signers.server.api.post("/api/v1/usage", json=body).json()["results"]
    assert told["status"] == "refused", told
    return str(told["code"])


@pytest.mark.fault(58)
def test_copies_that_come_side_by_side_are_counted_once(signers: Signers, server: OcsServer, gateway: Gateway) -> None:
    session = begin(signers, gateway, "58;1")
    before, report = leaves(server), signers.usage(session, 1000)
    with ThreadPoolExecutor(SENDERS) as senders:
        told = [one for sent in senders.map(lambda _: signers.send(*[report] * COPIES), range(SENDERS)) for one in sent]
    assert {(one["status"], one["log_index"]) for one in told} == {("accepted", before)}
    assert len(told) == SENDERS * COPIES
    assert leaves(server) == before + 1


def flipped(octets: bytes) -> bytes:
    return octets[:-1] + bytes([octets[-1] ^ 1])


def with_order_added(octets: bytes) -> bytes:
    return octets[:32] + (int.from_bytes(octets[32:], "little") + ORDER).to_bytes(32, "little")


BENT: dict[str, tuple[Callable[[Envelope], dict[str, bytes]], str]] = {
    "body": (lambda one: {"payload": flipped(one.payload)}, "bad_signature"),
    "signature": (lambda one: {"signature": flipped(one.signature)}, "bad_signature"),
    "key": (lambda one: {"signer": flipped(one.signer)}, "bad_key"),
    "tag of the key": (lambda one: {"signer": b"\x11" + one.signer[1:]}, "bad_key"),
    "no signature": (lambda one: {"signature": b""}, "malformed"),
    "S not canonical": (lambda one: {"signature": with_order_added(one.signature)}, "bad_signature"),
    "small order": (lambda one: {"signer": b"\x01\x01" + bytes(31), "signature": b"\x01" + bytes(63)}, "bad_key"),
}


@pytest.mark.fault(59)
def test_what_is_bent_is_refused_with_its_reason_and_not_told_on(
    signers: Signers, server: OcsServer, gateway: Gateway
) -> None:
    session = begin(signers, gateway, "59;secret")
    before, report = leaves(server), signers.usage(session, 1000)
    outer = envelope.decode(report)
    for bend, reason in BENT.values():
        ends = counted(server, "ocs_usage_reports_total", end=reason)
        fields = {name: getattr(outer, name) for name in outer.__struct_fields__} | bend(outer)
        assert code(signers, envelope.encode(Envelope(**fields))) == reason
        assert counted(server, "ocs_usage_reports_total", end=reason) == ends + 1
    over = signers.usage(session, 10**9)  # this one is kept with its octets, and they are not told either
    assert code(signers, over) == "over_grant"
    assert leaves(server) == before
    log = server.log.read_bytes()
    session_id, keys = session.session_id, (SGW.public_key, MINER.public_key)
    for told in (b"59;secret", *(text for octets in (session_id, *keys) for text in (octets, octets.hex().encode()))):
        assert told not in log
    assert base64.b64encode(over)[:40] not in log
    assert signers.send(report)[0]["log_index"] == before, "a bent copy uses nothing up"


@pytest.mark.fault(60)
def test_a_key_signs_in_its_role_and_in_its_time(signers: Signers, server: OcsServer, gateway: Gateway) -> None:
    assert gateway.ask(CCR, ccr(gateway, "60;1", INITIAL, 0, mscc(1))).result_code == 2001
    told = signers.active("60;1")
    keys = [SeedSigner(bytes([number]) * 32) for number in range(60, 66)]
    at = now()
    for sgw, miner, *dates in (
        (keys[0], keys[1], at - 2 * MINUTE, at - MINUTE),
        (keys[2], keys[3], at + MINUTE, at + 2 * MINUTE),
        (keys[4], keys[5]),
    ):
        pair = sgw.public_key, miner.public_key
        command(server, cmd.AddSigners(signers.host, *pair, *(UnixMillis(date) for date in dates)))
    command(server, cmd.RevokeKey(keys[4].public_key, "stolen"))
    for sgw, miner, reason in (
        (STRANGER, MINER, "bad_key"),
        (SGW, OTHER_MINER, "bad_key"),
        (MINER, SGW, "role_mismatch"),
        (SGW, SGW, "role_mismatch"),
        (SGW, keys[5], "unpaired"),
        (keys[0], keys[1], "bad_key"),
        (keys[2], keys[3], "bad_key"),
        (keys[4], keys[5], "key_revoked"),
    ):
        forger = Signers(server)
        forger.sgw, forger.miner = sgw, miner
        assert code(signers, forger.begin_in("60;1", told)[1]) == reason, (sgw, miner)


@pytest.mark.fault(61)
def test_a_contradiction_is_shown_with_both_messages(signers: Signers, server: OcsServer, gateway: Gateway) -> None:
    session, neighbour = begin(signers, gateway, "61;1"), begin(signers, gateway, "61;2")
    first = signers.usage(session, 1000)
    session.seq, session.up = 0, 0
    second = signers.usage(session, 2000)
    assert signers.send(first)[0]["status"] == "accepted"
    assert code(signers, second) == "equivocation"
    assert code(signers, signers.usage(session, 1)) == "session_ended"
    assert signers.send(signers.usage(neighbour, 1000))[0]["status"] == "accepted"

    disputes = {one["session_id"]: one for one in server.api.get("/api/v1/disputes").json()["items"]}
    dispute = disputes[session.session_id.hex()]
    shown = server.api.get(f"/api/v1/disputes/{dispute['number']}").json()
    proof = [open_signed(base64.b64decode(shown[name]), NETWORK) for name in ("first", "second")]
    assert [one.octets for one in proof] == [first, second]
    said = [one.report for one in proof if isinstance(one.report, Usage)]
    assert {(one.sgw_key, one.session_id, one.seq) for one in said} == {
        (signer_of(SGW.public_key), session.session_id, 1)
    }
    assert [one.cum_bytes for one in said] == [1000, 2000]
    assert proof[0].report_id != proof[1].report_id
    # Gy knows nothing of it: the subscriber's session goes on.
    assert gateway.ask(CCR, ccr(gateway, "61;1", UPDATE, 1, mscc(1, used=1000, reason=3))).result_code == 2001


@pytest.mark.fault(62, 64)
def test_a_gap_is_counted_over_and_a_jump_is_not(signers: Signers, server: OcsServer, gateway: Gateway) -> None:
    session = begin(signers, gateway, "62;1")
    early, late, newest = (signers.usage(session, 100_000) for _ in range(3))
    told = signers.send(newest, early)
    assert [one["status"] for one in told] == ["accepted", "superseded"]
    assert told[0]["log_index"] == told[1]["log_index"]
    before = session.seq, session.up
    assert code(signers, signers.usage(session, 10**13)) == "over_grant"
    session.seq, session.up = before
    assert code(signers, signers.usage(session, -1)) == "equivocation", "both are at hand: it is a proof"
    unknown = Signed("62;1", session.channel_id)
    assert code(signers, signers.usage(unknown, 1)) == "no_session"
    shown = server.api.get("/api/v1/signed-sessions", params={"gy_session_id": "62;1"}).json()["items"]
    assert [(one["up"], one["seq"], one["state"]) for one in shown] == [("300000", 3, "frozen")]
    assert signers.send(late)[0]["status"] == "superseded", "it is in what was counted before"


@pytest.mark.fault(63)
def test_what_is_signed_moves_no_money_of_gy_and_its_difference_is_listed(
    signers: Signers, server: OcsServer, gateway: Gateway
) -> None:
    balance = conserved(server)
    said = {"63;1": 3 * MB, "63;2": 6 * MB, "63;3": 3 * MB + 1}  # and Gy says 3 MB, within 1 MB for the third
    for name, octets in said.items():
        session = begin(signers, gateway, name)
        gateway.ask(CCR, ccr(gateway, name, TERMINATION, 1, mscc(1, used=3 * MB, asked=False)))
        told = signers.send(signers.usage(session, octets, final=True))
        assert told[0]["status"] == "accepted", told

    def compared() -> list[tuple[str, str | None, str, str, str]]:
        answer = server.api.get("/api/v1/reconciliation/sessions")
        names = "state", "cause", "used", "committed", "difference"
        rows = {one["session_id"]: one for one in answer.json()["items"]} if answer.status_code == 200 else {}
        return [tuple(rows[name][key] for key in names) for name in said if name in rows]

    wait_for("both ledgers are in the books", lambda: len(compared()) == len(said))
    used = str(3 * MB)
    assert compared() == [
        ("matched", None, used, used, "0"),
        ("difference", "over_signed", used, str(6 * MB), str(3 * MB)),
        ("within_tolerance", "tolerated", used, str(3 * MB + 1), "1"),
    ]
    incidents = server.api.get("/api/v1/reconciliation/incidents").json()["items"]
    assert [one["session_id"] for one in incidents if one["session_id"] in said] == ["63;2"]
    after = conserved(server)
    assert after["consumed"] - balance["consumed"] == 3 * 3 * MB
