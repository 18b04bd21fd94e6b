"""Signed usage over HTTP: each report its receipt or its refusal, and a repeat its first receipt."""

import base64
import json
from collections.abc import Iterator
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from fastapi import APIRouter, Depends
from fastapi.routing import APIRoute
from hypothesis import given
from hypothesis import strategies as st

from api_door import AUTHORIZED, JSON, WAITING_MAX, Door, problem
from ocs import command as cmd
from ocs.channel.hold import SessionState
from ocs.shell.api import usage
from ocs.shell.follower.usage_door import AT_ONCE, Outcome, Status
from ocs.signed import envelope
from ocs.signed.ed25519 import SeedSigner, signer_of, verify
from ocs.tlog import proof
from ocs.usage.door_pass import DOOR_TYPE, DoorPass
from ocs.usage.opening import REPORT_OCTETS_MAX
from signed_reports import MINER, NETWORK, OTHER_MINER, STRANGER
from signing_node import EPOCH_MS, SigningNode

SESSION = "sgw;1"


@pytest.fixture
def node() -> SigningNode:
    made = SigningNode(tolerance=0)
    made.channel(10_000, epochs=2)
    return made


@pytest.fixture
def door(tmp_path: Path, node: SigningNode) -> Iterator[Door]:
    with Door(tmp_path, node=node) as opened:
        yield opened


def send(door: Door, *reports: bytes, by: SeedSigner | None = None) -> list[dict[str, Any]]:
    answer = post(door, *reports, by=by)
    assert answer.status_code == 200, answer.text
    told: list[dict[str, Any]] = answer.json()["results"]
    return told


def post(door: Door, *reports: bytes, by: SeedSigner | None = None) -> httpx.Response:
    headers = AUTHORIZED if by is None else {"Authorization": pass_of(door, by)}
    body = {"reports": [base64.b64encode(one).decode() for one in reports]}
    return door.ask("POST", "/api/v1/usage", json=body, headers=headers)


def pass_of(door: Door, by: SeedSigner) -> str:
    shown = DoorPass(1, NETWORK, signer_of(by.public_key), door.node.now)
    return "Settlement " + base64.b64encode(envelope.seal(DOOR_TYPE, shown.encode(), by)).decode()


def begin(node: SigningNode, door: Door) -> Any:
    node.attach(SESSION)
    return node.begin(SESSION)


def test_a_receipt_proves_what_was_counted(node: SigningNode, door: Door) -> None:
    sgw = begin(node, door)
    (told,) = send(door, node.usage(sgw, 1000, 2000))
    assert told["status"] == "accepted"
    assert told["log_index"] == 1
    key = door.backend.usage.log.key
    proof.verify(told["proof"].encode(), node.leaves[1], key.name, [key], proof.NO_COSIGNERS, verify)
    assert told["next_channel_id"] is None


@pytest.mark.fault(58)
def test_a_batch_is_answered_in_its_order(node: SigningNode, door: Door) -> None:
    sgw = begin(node, door)
    first, second = node.usage(sgw, 1000), node.usage(sgw, 1000)
    over = node.usage(sgw, 10**8)
    told = send(door, first, b"no envelope", second, over, first, second)
    assert [(one["status"], one["code"], one["log_index"]) for one in told] == [
        ("accepted", None, 1),
        ("refused", "malformed", None),
        ("accepted", None, 2),
        ("refused", "over_grant", None),
        ("accepted", None, 1),
        ("accepted", None, 2),
    ]
    assert told[1]["message_id"] == ""
    assert told[0]["message_id"] == envelope.message_id(envelope.decode(first)).hex()
    assert [one.code for one in node.events if hasattr(one, "miner_key") and hasattr(one, "code")] == ["over_grant"]


@pytest.mark.fault(64)
def test_an_older_report_that_was_never_counted_is_in_the_newer_one(node: SigningNode, door: Door) -> None:
    sgw = begin(node, door)
    older, newer = node.usage(sgw, 1000), node.usage(sgw, 1000)
    assert send(door, newer, older)[1] | {"proof": ""} == {
        "message_id": envelope.message_id(envelope.decode(older)).hex(),
        "status": "superseded",
        "code": None,
        "detail": "",
        "log_index": 1,
        "proof": "",
        "next_channel_id": None,
    }


@pytest.mark.fault(61)
def test_equivocation_is_kept_with_both_messages(node: SigningNode, door: Door) -> None:
    sgw = begin(node, door)
    one = node.usage(sgw, 1000)
    sgw.seq -= 1
    other = node.usage(sgw, 1)
    assert [told["code"] for told in send(door, one, other)] == [None, "equivocation"]
    frozen = node.events[-1]
    assert (frozen.first, frozen.second) == (one, other)
    assert node.state.signed.channels.sessions[sgw.session_id].state == SessionState.FROZEN


def test_the_next_channel_is_named_once_the_session_is_held_there(node: SigningNode, door: Door) -> None:
    sgw = begin(node, door)
    following = node.channel(5000, epochs=3)
    channels = node.state.signed.channels
    channels.drain(1)
    assert send(door, node.usage(sgw, 1000))[0]["next_channel_id"] is None, "nothing was granted there yet"
    node.update(SESSION, 1, 1000)
    assert send(door, node.usage(sgw, 1000))[0]["next_channel_id"] == following.channel_id.hex()
    asked = {"gy_session_id": SESSION}
    told = door.get("/usage/active-channel", **asked).json()
    assert told == {
        "network": NETWORK,
        "channel_id": following.channel_id.hex(),
        "tariff_id": 1,
        "cum_granted_bytes": "10001000",
    }
    assert send(door, node.usage(sgw, 0, final=True))[0]["next_channel_id"] is None
    again = node.begin(SESSION)
    assert again.channel_id == following.channel_id


def test_where_nothing_is_held_nothing_is_to_be_signed(node: SigningNode, door: Door) -> None:
    nothing = {"network": NETWORK, "channel_id": None, "tariff_id": None}
    told = door.get("/usage/active-channel", gy_session_id="nobody's").json()
    assert told == nothing | {"cum_granted_bytes": "0"}
    node.attach(SESSION)
    channel = node.held_in(SESSION)
    node.later(2 * EPOCH_MS)
    node.tend()
    told = door.get("/usage/active-channel", gy_session_id=SESSION).json()
    assert told["channel_id"] == channel.channel_id.hex(), "it is held there until that has settled"
    late = node.begin(SESSION)
    assert send(door, node.usage(late, 1000))[0]["status"] == "accepted"
    node.later(EPOCH_MS)
    told = door.get("/usage/active-channel", gy_session_id=SESSION).json()
    assert told == nothing | {"cum_granted_bytes": "10000000"}, "its grace is over"
    node.tend()
    told = door.get("/usage/active-channel", gy_session_id=SESSION).json()
    assert told == nothing | {"cum_granted_bytes": "10000000"}


def test_a_miner_sends_its_own_reports_and_sees_its_own_sessions(node: SigningNode, door: Door) -> None:
    node.step(cmd.AddSigners("other.example", STRANGER.public_key, OTHER_MINER.public_key))
    sgw = begin(node, door)
    report = node.usage(sgw, 1000)
    (told,) = send(door, report, by=OTHER_MINER)
    assert (told["status"], told["code"]) == ("refused", "signer_mismatch")
    asked = {"params": {"gy_session_id": SESSION}}
    for by, seen in ((OTHER_MINER, None), (MINER, node.held_in(SESSION).channel_id.hex())):
        headers = {"Authorization": pass_of(door, by)}
        assert door.ask("GET", "/api/v1/usage/active-channel", headers=headers, **asked).json()["channel_id"] == seen
    assert send(door, report, by=MINER)[0]["status"] == "accepted"


def test_the_core_that_does_not_answer_decides_nothing(node: SigningNode, door: Door) -> None:
    sgw = begin(node, door)
    report = node.usage(sgw, 1000)
    door.backend.lost = True
    (told,) = send(door, report)
    assert (told["status"], told["code"]) == ("again", None)
    assert "core" in told["detail"]
    door.backend.lost = False
    door.backend.behind = True
    assert send(door, report)[0]["status"] == "again", "durable, but its leaf cannot be shown yet"
    door.backend.behind = False
    assert send(door, report)[0] | {"proof": ""} == {
        "message_id": told["message_id"],
        "status": "accepted",
        "code": None,
        "detail": "",
        "log_index": 1,
        "proof": "",
        "next_channel_id": None,
    }


def test_a_key_that_was_just_registered_is_known(node: SigningNode, door: Door) -> None:
    assert send(door, b"")[0]["code"] == "malformed"
    node.step(cmd.AddSigners("other.example", STRANGER.public_key, OTHER_MINER.public_key))
    assert post(door, b"x", by=OTHER_MINER).status_code == 200


def test_what_is_no_batch_is_refused_whole(node: SigningNode, door: Door) -> None:
    for body in ({}, {"reports": []}, {"reports": "x"}, {"reports": [1]}, {"reports": ["", "~"]}):
        problem(door.ask("POST", "/api/v1/usage", json=body), 422, "invalid-input")
    too_many = {"reports": [""] * (AT_ONCE + 1)}
    problem(door.ask("POST", "/api/v1/usage", json=too_many), 422, "invalid-input")
    problem(door.ask("POST", "/api/v1/usage", content=b"{", headers=AUTHORIZED | JSON), 400, "invalid-json")


@pytest.mark.parametrize(
    "body",
    [
        b'\xef\xbb\xbf{"reports": ["", "AAAA"]}',
        '{"reports": ["", "AAAA"]}'.encode("utf-16"),
        b'{"reports": null, "reports": ["", "AAAA"]}',
        b'{"reports": ["", "AAAA="]}',
    ],
)
def test_what_is_not_read_at_once_is_read_as_declared(node: SigningNode, door: Door, body: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        usage._read(body)
    answer = door.ask("POST", "/api/v1/usage", content=body, headers=AUTHORIZED | JSON)
    assert answer.content == post(door, b"", bytes(3)).content
    problem(door.ask("POST", "/api/v1/usage?x=1", content=body, headers=AUTHORIZED | JSON), 422, "invalid-input")
    problem(door.ask("POST", "/api/v1/usage?x=1", json={"reports": [""]}), 422, "invalid-input")


@given(
    st.text("AB/+=-_ \n9zé", max_size=9) | st.binary(max_size=9).map(lambda octets: base64.b64encode(octets).decode())
)
def test_base64_that_is_read_at_once_is_what_the_declared_way_reads(text: str) -> None:
    with suppress(msgspec.DecodeError):
        assert usage._read(json.dumps({"reports": [text]})).reports == [base64.b64decode(text, validate=True)]


def test_a_dependency_that_would_be_passed_by_is_found_at_the_start() -> None:
    async def also() -> None: ...

    for dependencies, ways in (([Depends(also)], []), ([Depends(usage.sender)], ["/x"])):
        router = APIRouter(route_class=usage._QuickRoute, dependencies=dependencies)
        with nullcontext() if ways else pytest.raises(AssertionError, match="/x would pass one by"):
            router.add_api_route("/x", usage.report_usage, methods=["POST"], response_model=usage.Results)
        assert [route.path for route in router.routes if isinstance(route, APIRoute)] == ways


def test_results_are_written_as_declared(node: SigningNode, door: Door) -> None:
    sgw = begin(node, door)
    refused = Outcome(b"", Status.REFUSED, "malformed", 'no envelope: "\x00\u00e9\U0001f512"')
    following = Outcome(bytes(32), Status.SUPERSEDED, leaf=0, proof="— é\n".encode(), next_channel_id=bytes(32))
    for outcome in (refused, following):
        written = usage._write(usage._result(outcome))
        assert usage.ReportResult.model_validate_json(written).model_dump_json().encode() == written
    answer = post(door, node.usage(sgw, 1000), b"x")
    assert usage.Results.model_validate_json(answer.content).model_dump_json().encode() == answer.content
    assert answer.headers["content-type"] == "application/json"


def test_too_long_a_report_is_malformed(node: SigningNode, door: Door) -> None:
    (told,) = send(door, bytes(REPORT_OCTETS_MAX + 1))
    assert told["code"] == "malformed"
    assert str(REPORT_OCTETS_MAX) in told["detail"]


def test_too_many_at_a_time_are_asked_to_come_again(node: SigningNode, door: Door) -> None:
    behind = door.backend.usage
    behind._waiting = WAITING_MAX
    problem(post(door, b"x"), 503, "too-busy")
    behind._waiting = 0
    assert post(door, b"x").status_code == 200
    assert behind._waiting == 0


@pytest.mark.fault(59)
def test_every_end_is_counted(node: SigningNode, door: Door) -> None:
    sgw = begin(node, door)
    send(door, node.usage(sgw, 1000), b"", node.usage(sgw, 10**9))
    assert door.backend.usage.counts == {"accepted": 1, "malformed": 1, "over_grant": 1}
    text = door.ask("GET", "/metrics", headers={}).text
    for end in ("accepted", "malformed", "over_grant"):
        assert f'ocs_usage_reports_total{{end="{end}"}} 1.0' in text
    assert "ocs_log_leaves 2.0" in text
    assert "ocs_channels_open 1.0" in text
