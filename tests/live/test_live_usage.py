"""Signed usage on a running server: Gy grants, SGW and miner sign, and each report comes back as a receipt."""

import os
import signal
import threading
import time
from collections.abc import Sequence

import grpc
import pytest

from live.ocs_server import OcsServer
from live.signing import Signers, now
from live.wire import CCR, INITIAL, TERMINATION, UPDATE, Gateway, ccr, mscc
from signed_reports import OTHER_MINER

pytestmark = pytest.mark.live

SESSION = "sgw.visited.example;1"


def attach(server: OcsServer, name: str = SESSION) -> tuple[Gateway, Signers]:
    server.add_operator(credit=10**12)
    signers = Signers(server)
    gateway = Gateway(server.gy_port).open()
    signers.register()
    assert gateway.ask(CCR, ccr(gateway, name, INITIAL, 0, mscc(1))).result_code == 2001
    return gateway, signers


def test_what_was_used_is_signed_counted_and_proved(server: OcsServer) -> None:
    gateway, signers = attach(server)
    with gateway:
        session, init = signers.begin(SESSION)
        (begun,) = signers.send(init)
        assert begun["status"] == "accepted"
        assert begun["log_index"] == 0
        gateway.ask(CCR, ccr(gateway, SESSION, UPDATE, 1, mscc(1, used=1_000_000, reason=3)))
        first = signers.usage(session, 400_000, 600_000)
        (counted,) = signers.send(first)
        assert (counted["status"], counted["log_index"], counted["code"]) == ("accepted", 1, None)
        gateway.ask(CCR, ccr(gateway, SESSION, TERMINATION, 2, mscc(1, used=5, asked=False)))
        last = signers.usage(session, 0, 5, final=True)
        over = signers.usage(session, 1)
        told = signers.send(last, first, over, last)
        assert [one["status"] for one in told] == ["accepted", "accepted", "refused", "accepted"]
        assert [one["log_index"] for one in told] == [2, 1, None, 2]
        assert told[2]["code"] == "session_ended"

        # A stranger checks each receipt with the log's key and the leaf alone.
        for one in (begun, counted, *told):
            if one["proof"] is not None:
                leaf = signers.leaf_of(one["log_index"])
                assert signers.check_receipt(one["proof"], leaf) >= one["log_index"]


@pytest.mark.fault(58)
def test_after_a_kill_a_repeat_gets_the_same_leaf_and_the_log_goes_on(server: OcsServer) -> None:
    gateway, signers = attach(server)
    session, init = signers.begin(SESSION)
    report = signers.usage(session, 1000)
    assert [one["log_index"] for one in signers.send(init, report)] == [0, 1]
    gateway.__exit__()
    server.kill()
    server.start()
    later = signers.usage(session, 1000)
    assert [one["log_index"] for one in signers.send(later, report, init)] == [2, 1, 0]
    assert server.api.get("/api/v1/log/key").json()["size"] == 3
    server.kill()
    (server.data / "log" / "entries").write_bytes(b"")
    server.start()
    assert [one["log_index"] for one in signers.send(init, report, later)] == [0, 1, 2]


@pytest.mark.fault(61)
def test_a_contradiction_is_found_in_the_batch_of_what_it_contradicts(server: OcsServer) -> None:
    gateway, signers = attach(server)
    with gateway:
        session, init = signers.begin(SESSION)
        first = signers.usage(session, 10, 20)
        session.seq -= 1
        other = signers.usage(session, 10, 20)
        told = signers.send(init, first, other)
        assert [one["status"] for one in told] == ["accepted", "accepted", "refused"]
        assert told[2]["code"] == "equivocation"
        assert signers.send(signers.usage(session, 1))[0]["code"] == "session_ended"


def test_grpc_gives_receipts_in_order(server: OcsServer) -> None:
    gateway, signers = attach(server)
    with gateway:
        session, init = signers.begin(SESSION)
        reports = [init, *(signers.usage(session, 10, 20) for _ in range(300))]
        receipts = signers.stream(reports)
        assert [one.log_index for one in receipts] == list(range(301))
        assert not any(one.refusal or one.again for one in receipts)
        assert signers.stream(reports[:3])[2].log_index == 2


def tell(pids: Sequence[int], number: signal.Signals) -> None:
    for pid in pids:
        os.kill(pid, number)


def test_a_stream_of_grpc_outlives_the_processes_that_verify(server: OcsServer) -> None:
    gateway, signers = attach(server)
    with gateway:
        session, init = signers.begin(SESSION)
        assert signers.stream([init])[0].log_index == 0
        reports = [signers.usage(session, 10, 20) for _ in range(300)]
        verifiers = server.verifiers()
        tell(verifiers, signal.SIGSTOP)
        killing = threading.Timer(0.5, tell, (verifiers, signal.SIGKILL))
        killing.start()
        receipts = signers.stream(reports)
        killing.join()
        assert len(receipts) == 300
        assert receipts[0].again
        assert not any(one.refusal for one in receipts)
        told = signers.stream(reports)
        assert not any(one.refusal or one.again for one in told)
        assert told[-1].log_index == max(one.log_index for one in told)


@pytest.mark.fault(60)
def test_who_sends_shows_it(server: OcsServer) -> None:
    gateway, signers = attach(server)
    with gateway:
        _, init = signers.begin(SESSION)
        for shown, what in (
            ("", "authorization"),
            ("Settlement x", "base64"),
            (signers.pass_(at=now() - 301_000), "clock"),
            (signers.pass_(signer=OTHER_MINER), "bad_key"),
            (signers.pass_(signer=signers.sgw), "role_mismatch"),
        ):
            answer = signers.post([init], Authorization=shown)
            assert answer.status_code == 401, shown
            assert what in answer.json()["detail"]
        with grpc.insecure_channel(f"127.0.0.1:{server.usage_port}") as channel:
            report = channel.stream_stream("/settlement.v1.Settlement/Report")
            with pytest.raises(grpc.RpcError) as refused:
                list(report(iter([init]), timeout=10))
            assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED


@pytest.mark.fault(65)
def test_an_epoch_ends_and_the_session_goes_on_in_the_next_channel(tmp_path_factory: pytest.TempPathFactory) -> None:
    settings = {"usage": {"epoch_seconds": 10}, "quota": {"validity_seconds": 3600}}
    with OcsServer(tmp_path_factory.mktemp("ocs"), settings) as server:
        gateway, signers = attach(server)
        with gateway:
            session, init = signers.begin(SESSION)
            assert signers.send(init)[0]["status"] == "accepted"
            until = time.monotonic() + 40
            number, told = 1, {"next_channel_id": None}
            while told["next_channel_id"] is None:
                assert time.monotonic() < until, server.tail()
                time.sleep(0.5)
                gateway.ask(CCR, ccr(gateway, SESSION, UPDATE, number, mscc(1, used=1000, reason=3)))
                number += 1
                (told,) = signers.send(signers.usage(session, 1000))
                assert told["status"] == "accepted", f"{told}\n{server.tail()}"
            (ended,) = signers.send(signers.usage(session, 0, final=True))
            assert ended["status"] == "accepted"
            again, init = signers.begin(SESSION)
            assert again.channel_id.hex() == told["next_channel_id"]
            assert signers.send(init, signers.usage(again, 10))[1]["status"] == "accepted"
