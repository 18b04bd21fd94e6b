"""Who speaks for whom, against a real server: rows 27 and 28, with screening that detects and that refuses."""

from collections.abc import Iterator
from typing import Any

import pytest

from live.ocs_server import OcsServer
from live.wire import CCR, INITIAL, TERMINATION, UPDATE, Gateway, Message, ccr, mscc, services

pytestmark = pytest.mark.live

OWN, OTHER = "sgw.visited.example", "thief.visited.example"
IMSI, FOREIGN_IMSI = "001010000000001", "001010000000099"
REFUSE = dict.fromkeys(("origin_host", "origin_realm", "session_id", "session_owner", "imsi_prefix"), "refuse")


def settings(mode: dict[str, str]) -> dict[str, Any]:
    peers = [
        {"origin_host": OWN, "imsi_prefixes": [IMSI], "speaks_for": ["pgw.visited.example"]},
        {"origin_host": OTHER},
    ]
    return {"gy": {"peers": peers, "screening": mode}}


@pytest.fixture(scope="module", params=["detect", "refuse"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OcsServer]:
    mode = REFUSE if request.param == "refuse" else {}
    with OcsServer(tmp_path_factory.mktemp(request.param), settings(mode)) as server:
        server.refuses = request.param == "refuse"  # type: ignore[attr-defined]  # for the tests below alone
        server.add_operator(credit=10**12)
        yield server
        assert server.stop() == 0, server.tail()
        server.verify()


def screened(server: OcsServer, rule: str) -> int:
    lines = server.api.get("/metrics").text.splitlines()
    return sum(
        int(float(line.split()[-1])) for line in lines if line.startswith(f'ocs_screened_total{{rule="{rule}"}}')
    )


def refused_as(server: OcsServer, code: int) -> int:
    return code if server.refuses else 2001  # type: ignore[attr-defined]


@pytest.mark.fault(27)
@pytest.mark.parametrize(
    ("rule", "code", "claims", "imsi"),
    [
        ("origin_host", 5003, {"host": "mme.visited.example"}, IMSI),
        ("origin_realm", 5003, {"host": "sgw.elsewhere.example", "realm": "elsewhere.example"}, IMSI),
        ("session_id", 5002, {}, IMSI),
        ("imsi_prefix", 5003, {}, FOREIGN_IMSI),
        ("", 2001, {"host": "pgw.visited.example"}, IMSI),  # one it speaks for
        ("", 2001, {}, IMSI),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_who_claims_too_much(server: OcsServer, rule: str, code: int, claims: dict[str, str], imsi: str) -> None:
    before, found = server.balance(), screened(server, rule)
    with Gateway(server.gy_port, host=OWN).open() as gateway:
        speaker = replace_names(gateway, claims)
        session = f"{'nobody.example' if rule == 'session_id' else speaker.host};27;{rule or speaker.host};{imsi}"
        answer = ask(gateway, ccr(speaker, session, INITIAL, 0, mscc(1), imsi=imsi))
        assert answer.result_code == refused_as(server, code)
        if answer.result_code == 2001:
            assert services(answer)[0].granted
            ask(gateway, ccr(speaker, session, TERMINATION, 1, imsi=imsi))
        else:
            # Nothing was moved, nothing is left, and the honest go on.
            assert not server.api.get("/api/v1/sessions", params={"state": "open"}).json()["items"]
        honest = ask(gateway, ccr(gateway, f"{OWN};27;after;{rule}", INITIAL, 0, mscc(1)))
        assert honest.result_code == 2001
        ask(gateway, ccr(gateway, f"{OWN};27;after;{rule}", TERMINATION, 1))
    if rule:
        assert screened(server, rule) > found, "counted"
        assert f'"rule": "{rule}"' in server.log.read_text(), "told"
    assert server.balance() == before, "nothing was used, so nothing is gone"


@pytest.mark.fault(28)
@pytest.mark.parametrize("kind", [UPDATE, TERMINATION])
def test_a_session_of_another_peer(server: OcsServer, kind: int) -> None:
    before = server.balance()
    session = f"{OWN};28;{kind}"
    with Gateway(server.gy_port, host=OWN).open() as owner, Gateway(server.gy_port, host=OTHER).open() as thief:
        ask(owner, ccr(owner, session, INITIAL, 0, mscc(1)))
        stolen = ask(thief, ccr(thief, session, kind, 1, mscc(1, used=5000, asked=kind == UPDATE)))
        assert stolen.result_code == refused_as(server, 5002)
        assert screened(server, "session_owner") > 0
        if stolen.result_code == 5002:
            # The victim goes on with the number that the thief tried.
            assert server.balance()["consumed"] == before["consumed"]
            mine = ask(owner, ccr(owner, session, UPDATE, 1, mscc(1, used=70)))
            assert mine.result_code == 2001
            ask(owner, ccr(owner, session, TERMINATION, 2))
            assert server.balance()["consumed"] == before["consumed"] + 70
        elif kind == UPDATE:
            ask(owner, ccr(owner, session, TERMINATION, 2))
    after = server.balance()
    assert after["credited"] == after["available"] + after["reserved"] + after["consumed"]
    assert after["reserved"] == 0


def replace_names(gateway: Gateway, claims: dict[str, str]) -> Gateway:
    """Give somebody with other names, for the AVPs of a request; the connection stays the gateway's own."""
    speaker = object.__new__(Gateway)
    speaker.__dict__.update(gateway.__dict__, **claims)
    return speaker


def ask(gateway: Gateway, avps: list[bytes]) -> Message:
    return gateway.ask(CCR, avps)
