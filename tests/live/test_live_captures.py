"""Requests of a commercial network, sent as they were, get the answers that its own server gave.

The captures are not part of the project; where they are not at hand these tests are skipped.
"""

import json
from collections import Counter
from pathlib import Path

import pytest

from live.ocs_server import OcsServer
from live.wire import Avps, Gateway, Message, read, services

CAPTURES = Path(__file__).resolve().parents[3] / "shared" / "captures"

pytestmark = [
    pytest.mark.live,
    pytest.mark.skipif(not CAPTURES.is_dir(), reason="the captures are not at hand"),
]

GY = {"realms": ["magma.com"]}  # what the requests name as Destination-Realm

INPUT, OUTPUT, TOTAL = 412, 414, 421


def pairs(name: str) -> list[tuple[bytes, Message]]:
    lines = (CAPTURES / f"{name}.jsonl").read_text().splitlines()
    return [(bytes.fromhex(pair["request"]), read(bytes.fromhex(pair["answer"]))) for pair in map(json.loads, lines)]


def used(request: Message) -> Counter[int]:
    """Add up what a request reports, per Rating-Group."""
    octets: Counter[int] = Counter()
    for service in request.avps.all(456):
        for unit in service.inner.all(446):
            inner = unit.inner
            parts = [TOTAL] if inner.has(TOTAL) else [INPUT, OUTPUT]
            octets[service.inner.one(432).number] += sum(one.number for code in parts for one in inner.all(code))
    return octets


def imsi(avps: Avps) -> str:
    return next(one.inner.one(444).data.decode() for one in avps.all(443) if one.inner.one(450).number == 1)


def replay(server: OcsServer, name: str) -> list[tuple[Message, Message, Message]]:
    """Send the requests in order; give each with the answer it had and the answer it gets."""
    played = []
    first = read(pairs(name)[0][0])
    host = first.avps.one(264).data.decode()
    realm = first.avps.one(296).data.decode()
    with Gateway(server.gy_port, host=host, realm=realm).open() as gateway:
        for octets, theirs in pairs(name):
            request = read(octets)
            gateway.put(octets)
            ours = gateway.answer(request.hop_by_hop)
            assert ours.end_to_end == request.end_to_end
            for code in (263, 416, 415):
                assert ours.avps.one(code).data == request.avps.one(code).data
            played.append((request, theirs, ours))
    return played


def check(played: list[tuple[Message, Message, Message]]) -> None:
    for request, theirs, ours in played:
        number = request.avps.one(415).number
        assert ours.result_code == theirs.result_code, f"CC-Request-Number {number}"
        # In a CCA-T that server leaves the code of a service out, which says the same as 2001.
        expected = [(one.rating_group, one.result_code or 2001, one.granted is not None) for one in services(theirs)]
        got = [(one.rating_group, one.result_code, one.granted is not None) for one in services(ours)]
        assert got == expected, f"CC-Request-Number {number}"


def test_final_unit(tmp_path: Path) -> None:
    """Credit of 7,500 octets in grants of 2,000: it ends where the original ended."""
    quota = {"default_octets": 2000, "max_octets": 2000, "min_octets": 1000}
    with OcsServer(tmp_path, {"quota": quota, "gy": GY}) as server:
        subscriber = imsi(read(pairs("final-unit")[0][0]).avps)
        server.add_operator(prefix=subscriber[:5], credit=7500)
        played = replay(server, "final-unit")
        check(played)
        for _, theirs, ours in played:
            assert [one.final for one in services(ours)] == [one.final for one in services(theirs)]
            assert [one.granted for one in services(ours)] == [one.granted for one in services(theirs)]
        reported = sum((used(request) for request, _, _ in played), Counter())
        balance = server.balance()
        assert balance["consumed"] + balance["overrun"] == reported.total()
        assert balance["reserved"] == 0
        server.stop()
        server.verify()


def test_four_rating_groups(tmp_path: Path) -> None:
    with OcsServer(tmp_path, {"gy": GY}) as server:
        subscriber = imsi(read(pairs("four-rating-groups")[0][0]).avps)
        server.add_operator(prefix=subscriber[:5], credit=10**12)
        played = replay(server, "four-rating-groups")
        check(played)
        reported = sum((used(request) for request, _, _ in played), Counter())
        assert server.balance()["consumed"] == reported.total()
        session = server.session(played[0][0].avps.one(263).data.decode())
        charged = Counter({one["rating_group"]: int(one["used"]) for one in session["services"]})
        assert +charged == +reported
        server.stop()
        server.verify()
