"""Peers over HTTP: who is connected, who may be, and the one command for who waits."""

import pytest

from api_door import Door, problem
from ocs.shell.config import Config, Gy, Peer

ALLOWED = {"origin_host": "sgw.visited.example", "addresses": ["192.0.2.0/24"], "profile": "magma"}


def allow(door: Door, host: str, body: object) -> object:
    answer = door.ask("PUT", f"/api/v1/peers/{host}", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_peers_are_listed_by_how_they_stand(door: Door) -> None:
    peers = door.get("/peers").json()

    assert peers["any_peer"] is False
    (connected,) = peers["connected"]
    assert (connected["origin_host"], connected["address"], connected["state"]) == (
        "sgw.visited.example",
        "192.0.2.7:40000",
        "OPEN",
    )
    assert connected["last_watchdog_ms"] is None
    (waiting,) = peers["waiting"]
    assert waiting["allow"] == "ocs peer allow pgw.stranger.example --address 198.51.100.9"
    assert waiting["last_seen"] == "2027-01-15T08:01:00.000Z"
    assert peers["allowed"] == []


def test_a_peer_is_allowed_changed_and_revoked(door: Door) -> None:
    body = {"addresses": ["192.0.2.0/24"], "profile": "magma"}
    made = allow(door, "SGW.visited.example", body)
    assert made == ALLOWED | {"allowed_at": "2027-01-15T08:00:00.000Z"}
    assert door.get("/peers").json()["allowed"] == [made]

    allow(door, "sgw.visited.example", {})
    (changed,) = door.get("/peers").json()["allowed"]
    assert (changed["addresses"], changed["profile"]) == ([], None)

    answer = door.ask("DELETE", "/api/v1/peers/sgw.visited.example")
    assert (answer.status_code, answer.content) == (204, b"")
    assert door.get("/peers").json()["allowed"] == []
    problem(door.ask("DELETE", "/api/v1/peers/sgw.visited.example"), 404, "not-found")


@pytest.mark.parametrize(
    "body",
    [{"addresses": ["300.0.0.1"]}, {"addresses": "192.0.2.7"}, {"profile": "cisco"}, {"address": ["192.0.2.7"]}],
)
def test_a_peer_that_cannot_be_allowed(door: Door, body: object) -> None:
    problem(door.ask("PUT", "/api/v1/peers/sgw.visited.example", json=body), 422, "invalid-input")


@pytest.mark.parametrize("host", ["foo%20bar", "a%0Ab", "gr%C3%BC%C3%9Fe.example", "-a", "a.", "x" * 256])
def test_no_origin_host_is_told_so(door: Door, host: str) -> None:
    problem(door.ask("PUT", f"/api/v1/peers/{host}", json={}), 422, "invalid-input")


def test_configured_peers_are_among_the_allowed(door: Door) -> None:
    door.backend.config = Config(gy=Gy(peers=[Peer(origin_host="z.example", addresses=["192.0.2.1"])]))
    allow(door, "a.example", {})
    allowed = door.get("/peers").json()["allowed"]
    assert [(peer["origin_host"], peer["allowed_at"] is None) for peer in allowed] == [
        ("a.example", False),
        ("z.example", True),
    ]


def test_a_server_that_lets_everybody_in_says_so(door: Door) -> None:
    door.backend.config = Config(gy=Gy(peers="any"))
    assert door.get("/peers").json()["any_peer"] is True
