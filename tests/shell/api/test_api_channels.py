"""Data credits and channels over HTTP, in memory and long settled; what was signed, refused and disputed."""

import base64
from collections.abc import Iterator
from pathlib import Path

import pytest

from api_door import Door, problem
from ocs.deployment import SETTLED_KEPT
from ocs.reporting import Receipted
from ocs.signed.ed25519 import signer_of
from signed_reports import MINER
from signing_node import EPOCH_MS, PER_OCTETS, SigningNode

SESSION = "sgw;1"


@pytest.fixture
def node() -> SigningNode:
    return SigningNode()


@pytest.fixture
def door(tmp_path: Path, node: SigningNode) -> Iterator[Door]:
    with Door(tmp_path, node=node) as opened:
        yield opened


def test_data_credits_are_credited_once(door: Door) -> None:
    body = {"amount": "500", "reference": "burn 1"}
    first = door.post("/data-credits/top-ups", body, Idempotency_Key="a")
    assert first.status_code == 201
    again = door.post("/data-credits/top-ups", body, Idempotency_Key="a")
    assert again.json() == first.json()
    assert again.headers["Idempotency-Replayed"] == "true"
    problem(door.post("/data-credits/top-ups", body | {"amount": "501"}, Idempotency_Key="a"), 409, "conflict")
    problem(door.post("/data-credits/top-ups", body), 400, "idempotency-key-missing")
    problem(door.post("/data-credits/top-ups", body | {"amount": "0"}, Idempotency_Key="b"), 422, "invalid-input")
    assert door.get("/data-credits").json() == {
        "available": "1000500",
        "locked": "0",
        "spent": "0",
        "funded": "1000500",
    }
    listed = door.get("/data-credits/top-ups").json()["items"]
    assert [(one["number"], one["amount"]) for one in listed] == [(1, "1000000"), (2, "500")]


def test_a_channel_is_shown_while_it_lives_and_after(node: SigningNode, door: Door) -> None:
    channel = node.channel(1000, epochs=1)
    node.channel(1000, epochs=200)
    node.attach(SESSION)
    sgw = node.begin(SESSION)
    assert isinstance(node.report(node.usage(sgw, 5 * PER_OCTETS)), Receipted)
    name = channel.channel_id.hex()
    shown = door.get(f"/channels/{name}").json()
    assert shown == door.get("/channels/1").json()
    assert (shown["state"], shown["used"], shown["reserved"], shown["free"]) == ("open", "5", "495", "500")
    assert shown["miners"] == [
        {
            "miner_key": signer_of(MINER.public_key).hex(),
            "commits": 2,
            "credits": "5",
            "octets": str(5 * PER_OCTETS),
            "sessions": 1,
        }
    ]
    node.later(2 * EPOCH_MS)
    node.tend()
    node.later(EPOCH_MS)
    node.tend()
    settled = door.get(f"/channels/{name}").json()
    assert (settled["state"], settled["reason"], settled["free"]) == ("settled", "epoch_end", "995")
    problem(door.post("/channels/1/close", {}), 409, "out-of-turn")
    # Many channels later it is in the books alone, and reads the same.
    for _ in range(SETTLED_KEPT + 1):
        node.channel(1, epochs=1)
        node.later(2 * EPOCH_MS)
        node.tend()
        node.later(EPOCH_MS)
        node.tend()
    assert channel.number not in node.state.signed.channels.by_number
    assert door.get(f"/channels/{name}").json() | {"settles_at": ""} == settled | {"settles_at": ""}
    assert door.get("/channels/1").json() == door.get(f"/channels/{name}").json()
    problem(door.post("/channels/1/close", {}), 409, "out-of-turn")
    (signed,) = door.get("/signed-sessions", channel=name).json()["items"]
    assert signed["session_id"] == sgw.session_id.hex()
    listed = door.get("/channels", state="settled").json()["items"]
    assert listed[-1]["channel_id"] == name
    assert (listed[-1]["used"], listed[-1]["commits"], listed[-1]["reason"]) == ("5", 2, "epoch_end")
    first = door.get("/channels", limit="2").json()
    following = door.get("/channels", limit="2", cursor=first["next"]).json()
    assert [one["number"] for one in first["items"] + following["items"]] == [27, 26, 25, 24]


def test_what_is_odd_about_a_session_is_shown(node: SigningNode, door: Door) -> None:
    node.channel(1000)
    node.attach(SESSION)
    sgw = node.begin(SESSION)
    node.usage(sgw, 10)  # is lost on its way
    node.report(node.usage(sgw, 20))
    sgw.last_id = bytes(32)
    node.report(node.usage(sgw, 30))
    (session,) = door.get("/signed-sessions").json()["items"]
    assert (session["up"], session["seq"], session["flags"]) == ("60", 3, ["gap", "chain"])


def test_a_channel_is_opened_and_closed_by_hand(tmp_path: Path) -> None:
    with Door(tmp_path) as door:
        problem(door.post("/channels", {"amount": "5"}), 422, "invalid-input")
        door.post("/data-credits/top-ups", {"amount": "100", "reference": "x"}, Idempotency_Key="a")
        opened = door.post("/channels", {"amount": "60"})
        assert opened.status_code == 201, opened.text
        assert opened.headers["Location"] == f"/api/v1/channels/{opened.json()['channel_id']}"
        told = problem(door.post("/channels", {"amount": "41"}), 422, "invalid-input")
        assert told["code"] == "over_balance"
        assert door.post("/channels", {}).json()["amount"] == "40"
        closed = door.post("/channels/1/close", {})
        assert closed.status_code == 200, closed.text
        assert (closed.json()["state"], closed.json()["reason"]) == ("closing", "owner")
        assert closed.json()["settles_at"] is not None
        problem(door.post("/channels/1/close", {}), 409, "out-of-turn")
        for path in ("/channels/9", f"/channels/{'0' * 64}"):
            problem(door.get(path), 404, "not-found")
            problem(door.post(f"{path}/close", {}), 404, "not-found")
        problem(door.get("/channels/abc"), 422, "invalid-input")


@pytest.mark.fault(61)
def test_what_was_signed_refused_and_disputed_is_listed(node: SigningNode, door: Door) -> None:
    node.channel(1000)
    node.attach(SESSION)
    sgw = node.begin(SESSION)
    counted = node.usage(sgw, 1000, 2000)
    node.report(counted)
    over = node.usage(sgw, 10**9)
    node.report(over)
    sgw.seq, sgw.up = 0, 0
    other = node.usage(sgw, 1)
    node.report(other)

    (session,) = door.get("/signed-sessions", gy_session_id=SESSION).json()["items"]
    assert (session["up"], session["down"], session["seq"], session["state"]) == ("1000", "2000", 1, "frozen")
    assert session["session_id"] == sgw.session_id.hex()
    assert (session["log_index"], session["flags"]) == (0, [])
    assert door.get("/signed-sessions", channel="1", state="running").json()["items"] == []
    problem(door.get("/signed-sessions", channel="9"), 404, "not-found")
    problem(door.get("/signed-sessions", channel="x"), 422, "invalid-input")

    (refused,) = door.get("/refused-reports").json()["items"]
    assert (refused["code"], refused["miner_key"]) == ("over_grant", signer_of(MINER.public_key).hex())
    assert door.get("/refused-reports", code="clock").json()["items"] == []
    whole = door.get(f"/refused-reports/{refused['number']}").json()
    assert base64.b64decode(whole["report"]) == over
    problem(door.get("/refused-reports/99"), 404, "not-found")

    (dispute,) = door.get("/disputes").json()["items"]
    assert (dispute["kind"], dispute["session_id"]) == ("same_seq", sgw.session_id.hex())
    proof = door.get(f"/disputes/{dispute['number']}").json()
    assert [base64.b64decode(proof[name]) for name in ("first", "second")] == [counted, other]
    problem(door.get("/disputes/99"), 404, "not-found")


def test_pages_of_sessions_neither_lose_nor_double_one_that_begins_meanwhile(node: SigningNode, door: Door) -> None:
    node.channel(10_000)

    def begun(name: str) -> str:
        node.attach(name)
        return node.begin(name).session_id.hex()

    first = [begun(f"sgw;{number}") for number in range(5)]
    page = door.get("/signed-sessions", limit="2").json()
    assert [one["session_id"] for one in page["items"]] == first[:-3:-1]
    begun("sgw;5")
    seen = [one["session_id"] for one in page["items"]]
    while page["next"] is not None:
        page = door.get("/signed-sessions", limit="2", cursor=page["next"]).json()
        seen += [one["session_id"] for one in page["items"]]
    assert seen == first[::-1]


@pytest.mark.parametrize("name", ["sgw/a;1;%2F?x=y#z", "a+b c", "\\x41\\", "網;1"])
def test_a_signed_session_is_found_by_any_session_id(node: SigningNode, door: Door, name: str) -> None:
    node.channel(10_000)
    for one in (name, "sgw;2"):
        node.attach(one)
        node.begin(one)
    shown = {one["gy_session_id"] for one in door.get("/signed-sessions").json()["items"]} - {"sgw;2"}
    (found,) = door.get("/signed-sessions", gy_session_id=shown.pop()).json()["items"]
    assert bytes.fromhex(found["session_id"]) == node.state.signed.channels.holds[name.encode()].running
