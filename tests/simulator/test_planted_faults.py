"""Each scenario passes against a real server, and fails, for the right reason, where one fault is planted into it.

A scenario without a row in `FAULTS` fails the test of the table: what cannot fail shows nothing.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import planting as plant
import pytest
from planting import MoneyShim, Plant, planted

from forwarder_process import key_files
from live.ocs_server import TOKEN, OcsServer
from live.signing import NETWORK, Signers
from simulator.accounts import Accounts
from simulator.checks import Rule
from simulator.messages import Identity
from simulator.profile import RequestType
from simulator.scenario import Around, Outcome, play
from simulator.script.library import shipped
from simulator.settlement.http_door import HttpDoor
from simulator.settlement.keys import Key
from simulator.settlement.signing import Signing
from simulator.signed_usage import signed_usage
from simulator.wire import Command

pytestmark = pytest.mark.live

SCRIPTS = shipped()

PASSES_ELSEWHERE = {"watchdog-silence"}
"""In tests/faults/test_faults_of_silence.py, where a server's watchdog is waited for anyway."""

TX_SECONDS = 0.4
"""Where an answer is lost; where it is late, gateways wait longer."""

PLANTED_SCALE = 20.0
"""What a broken server never does is waited for in simulated time."""

INITIAL, UPDATE, TERMINATION = RequestType.INITIAL, RequestType.UPDATE, RequestType.TERMINATION


@dataclass(frozen=True)
class Fault:
    """What is planted, and the rule that the scenario must then say is broken."""

    rule: Rule
    over_gy: Callable[[], Plant] | None = None
    in_money: Callable[[dict[str, Any]], None] | None = None
    door: type[HttpDoor] | None = None
    tw_seconds: float | None = None


def gy(rule: Rule, change: plant.Change, **how: Any) -> Fault:
    return Fault(rule, over_gy=lambda: Plant(change, **how))


def money(change: Callable[[dict[str, Any]], None], rule: Rule = Rule.MONEY) -> Fault:
    return Fault(rule, in_money=change)


REPEATED = {"repeats": True}

FAULTS = {
    "attach": gy(Rule.GRANT_MISSING, plant.grants(0), of=INITIAL),
    "attach-unknown": gy(Rule.RESULT, plant.wrong_code(5012), of=INITIAL, once=True),
    "channel-life": money(plant.dearer_channel, Rule.CHANNEL),
    "clock-skew": Fault(Rule.REPORT_CODE, door=plant.CredulousDoor),
    "dishonest-both": Fault(Rule.REPORT_CODE, door=plant.CredulousDoor),
    "dishonest-miner": Fault(Rule.REPORT_CODE, door=plant.CredulousDoor),
    "dishonest-sgw": Fault(Rule.REPORT_CODE, door=plant.CredulousDoor),
    "drought-in-packets": gy(Rule.SERVER_REQUEST, plant.lost, kind=Command.RE_AUTH),
    "duplicate-storm": gy(Rule.REPEAT, plant.wrong_code(5012), repeats=True, nth=7, once=True),
    "ended-by-server": gy(Rule.SERVER_REQUEST, plant.lost, kind=Command.ABORT_SESSION),
    "exhaustion": money(plant.lost_charge),
    "final-unit": gy(Rule.FINAL_UNIT, plant.without("Final-Unit-Indication"), of=INITIAL),
    "gateway-magma": gy(Rule.GRANT_MISSING, plant.grants(0), of=UPDATE, once=True),
    "gateway-open5gs": gy(Rule.VALIDITY_TIME, plant.without("Validity-Time"), of=INITIAL),
    "gateway-standard": gy(Rule.VALIDITY_TIME, plant.without("Validity-Time"), of=UPDATE),
    "goodbye": gy(Rule.CONNECTION, plant.wrong_code(5012), kind=Command.DISCONNECT_PEER),
    "handover": gy(Rule.GRANT_MISSING, plant.grants(0), of=INITIAL, nth=2),
    "half-closed": gy(Rule.SESSION_ID_ECHO, plant.another_session, of=UPDATE),
    "half-open": gy(Rule.CONNECTION, plant.wrong_code(2001), kind=Command.CAPABILITIES_EXCHANGE),
    "last-credit": gy(Rule.GRANT, plant.grants(3)),
    "merged-messages": gy(Rule.NOT_ANSWERED, plant.lost, nth=5, once=True),
    "missing-avp": gy(Rule.RESULT, plant.wrong_code(2001), of=INITIAL, once=True),
    "network-termination": gy(Rule.RESULT, plant.wrong_code(5012), of=TERMINATION),
    "one-octet-reports": money(plant.charged_twice),
    "over-use": money(plant.lost_charge),
    "over-use-without-credit": money(plant.lost_charge),
    "packet-filters": money(plant.charged_twice),
    "peer-failover": money(plant.charged_twice),
    "prompt-answers": gy(Rule.LATE, plant.late(1.1), nth=30, once=True),
    "quota-in-packets": money(plant.lost_charge),
    "quota-update": gy(Rule.REPEATED_AVP, plant.two_grants, of=UPDATE, once=True),
    "reordered": money(plant.lost_charge),
    "repeated-number": gy(Rule.RESULT, plant.wrong_code(2001), **REPEATED),
    "repeated-termination": gy(Rule.REPEAT, plant.wrong_code(5002), **REPEATED),
    "server-restart": gy(Rule.REPEAT, plant.grants(2), **REPEATED),
    "several-services": money(plant.charged_twice),
    "signed-lies": Fault(Rule.REPORT_CODE, door=plant.CredulousDoor),
    "signed-session": Fault(Rule.RECEIPT, door=plant.ForgetfulDoor),
    "slow-reader": gy(Rule.NOT_ANSWERED, plant.lost, nth=9, once=True),
    "split-octets": gy(Rule.SESSION_ID_ECHO, plant.another_session, of=INITIAL),
    "top-up-in-drought": gy(Rule.SERVER_REQUEST, plant.lost, kind=Command.RE_AUTH),
    "top-up-twice": money(plant.credited_twice),
    "two-apns": gy(Rule.SESSION_ID_ECHO, plant.another_session, of=TERMINATION),
    "ue-termination": gy(Rule.NOT_ANSWERED, plant.late(2 * TX_SECONDS), of=TERMINATION, once=True),
    "unknown-avp": gy(Rule.RESULT, plant.wrong_code(2001), of=INITIAL, once=True),
    "unknown-session": gy(Rule.RESULT, plant.wrong_code(2001), of=TERMINATION),
    "validity-time": gy(Rule.GRANT_MISSING, plant.grants(0), of=UPDATE),
    "watchdog": gy(Rule.CONNECTION, plant.wrong_code(5012), kind=Command.DEVICE_WATCHDOG),
    "watchdog-lost": gy(Rule.RESULT, plant.wrong_code(5002), of=UPDATE),
    # A server that lets nobody go while it should: its real Tw is far above the one that is named.
    "watchdog-silence": Fault(Rule.CONNECTION, tw_seconds=0.1),
    "zero-use": money(plant.kept_reserved),
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OcsServer]:
    """One server for all, on which channels are open and the keys of `sgw.visited.example` are registered."""
    with OcsServer(tmp_path_factory.mktemp("planted")) as running:
        Signers(running).register(10_000_000)
        yield running


@contextlib.asynccontextmanager
async def around(server: OcsServer, folder: Path, fault: Fault | None, *, sign: bool) -> AsyncIterator[Around]:
    async with contextlib.AsyncExitStack() as stack:
        url = f"http://127.0.0.1:{server.api_port}"
        shim = MoneyShim(fault.in_money) if fault is not None and fault.in_money is not None else None
        signed = None
        if sign:
            sgw, miner = (Key.load(path) for path in key_files(folder))
            signing = Signing(sgw=sgw, miner=miner, server=url, network=NETWORK, spool=folder / "spool")
            signed = await stack.enter_async_context(signed_usage(signing))
            if fault is not None and fault.door is not None:
                await signed.door.close()
                signed.door = fault.door(url, signing.authorization)
                stack.push_async_callback(signed.door.close)

        async def restart() -> None:
            if fault is not None:
                return  # what is planted is a server that has forgotten; connections begin anew all the same
            assert await asyncio.to_thread(server.stop) == 0
            await asyncio.to_thread(server.start)

        yield Around(
            accounts=await stack.enter_async_context(Accounts(url, TOKEN, shim)),
            signed=signed,
            restart=restart,
            tw_seconds=fault.tw_seconds if fault is not None else None,
            tx_seconds=TX_SECONDS if fault is not None and fault.rule is Rule.NOT_ANSWERED else 10.0,
            time_scale=PLANTED_SCALE if fault is not None else 1.0,
        )


def outcome_of(server: OcsServer, name: str, folder: Path, fault: Fault | None = None) -> Outcome:
    """Play one scenario; with a fault through a proxy that plants it."""
    script = SCRIPTS[name]
    signs = "signing" in script.needs
    host = Identity().host if signs else f"{name}.visited.example"

    async def run() -> Outcome:
        over_gy = fault.over_gy() if fault is not None and fault.over_gy is not None else None
        async with contextlib.AsyncExitStack() as stack:
            port = server.gy_port
            if over_gy is not None:
                port = await stack.enter_async_context(planted(port, over_gy))
            there = await stack.enter_async_context(around(server, folder, fault, sign=signs))
            outcome = await play(script, "127.0.0.1", port, identity=Identity(host=host), around=there)
        assert over_gy is None or over_gy.planted, "nothing was planted"
        return outcome

    return asyncio.run(run())


def test_each_scenario_has_its_fault() -> None:
    assert sorted(FAULTS) == sorted(SCRIPTS)
    assert [name for name, script in SCRIPTS.items() if name != script.name] == []


@pytest.mark.parametrize("name", sorted(set(FAULTS) - PASSES_ELSEWHERE))
def test_it_passes(server: OcsServer, tmp_path: Path, name: str) -> None:
    outcome = outcome_of(server, name, tmp_path)
    assert [str(violation) for violation in outcome.record.violations] == []
    assert outcome.record.expectations
    assert all(one.held for one in outcome.record.expectations)


@pytest.mark.parametrize("name", FAULTS)
def test_it_sees_what_is_planted(server: OcsServer, tmp_path: Path, name: str) -> None:
    fault = FAULTS[name]
    outcome = outcome_of(server, name, tmp_path, fault)
    broken = {violation.rule for violation in outcome.record.violations}
    assert fault.rule in broken, [str(violation) for violation in outcome.record.violations]
    assert not outcome.passed
