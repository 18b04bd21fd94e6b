"""Sessions over HTTP: found by what they are, named by their octets, explained answer by answer."""

from urllib.parse import quote, quote_from_bytes

import msgspec
import pytest

from api_door import SGW, Door, problem
from ledger_node import EVENT, INITIAL, OPEN5GS, TERMINATION, UPDATE, ccr, service
from ocs import command as cmd
from ocs.diameter import avp
from ocs.diameter.codes import Avp
from ocs.units import SessionId, UnixMillis


def path_of(session_id: str) -> str:
    return f"/sessions/{quote(session_id, safe='')}"


@pytest.fixture
def busy(door: Door) -> Door:
    """Three sessions: one of another operator, one that runs, one that ended."""
    door.operator()
    door.operator("other", prefix="00102")
    door.top_up(1_000_000_000)
    door.top_up(1_000_000_000, name="other")
    door.node.charge(ccr(INITIAL, 0, service(1), session="first", imsi="001020000000001"))
    door.node.charge(ccr(INITIAL, 0, service(1), session="second"))
    door.node.charge(ccr(INITIAL, 0, service(1), session="third", imsi="001010000000003"))
    door.node.charge(ccr(TERMINATION, 1, service(1, ask=None, used=500), session="third", imsi="001010000000003"))
    return door


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, ["third", "second", "first"]),
        ({"operator": "home"}, ["third", "second"]),
        ({"state": "open"}, ["second", "first"]),
        ({"state": "ended"}, ["third"]),
        ({"state": "ending"}, []),
        ({"imsi": "001010000000003"}, ["third"]),
        ({"operator": "other", "state": "open", "imsi": "001020000000001"}, ["first"]),
        ({"operator": "other", "imsi": "001010000000003"}, []),
    ],
)
def test_sessions_are_found(busy: Door, query: dict[str, str], expected: list[str]) -> None:
    listed = busy.get("/sessions", **query).json()
    assert [one["session_id"] for one in listed["items"]] == expected
    assert listed["next"] is None


def test_sessions_come_in_pages_that_new_ones_do_not_shift(busy: Door) -> None:
    first = busy.get("/sessions", limit=2).json()
    busy.node.charge(ccr(INITIAL, 0, service(1), session="fourth"))
    second = busy.get("/sessions", limit=2, cursor=first["next"]).json()
    assert [one["session_id"] for one in first["items"] + second["items"]] == ["third", "second", "first"]


@pytest.mark.parametrize(
    ("query", "where"),
    [
        ({"state": "closed"}, "query/state"),
        ({"imsi": "00101000000000x"}, "query/imsi"),
        ({"limit": "0"}, "query/limit"),
        ({"limit": "1001"}, "query/limit"),
        ({"limit": "many"}, "query/limit"),
        ({"cursor": "?"}, "query/cursor"),
        ({"cursor": "b3BlcmF0b3JzIDE"}, "query/cursor"),  # of the list of operators
        ({"cursor": "c2Vzc2lvbnMgLTE"}, "query/cursor"),  # sessions -1
        ({"msisdn": "1"}, "query/msisdn"),
    ],
)
def test_a_query_that_cannot_be_read_is_told_where(busy: Door, query: dict[str, str], where: str) -> None:
    told = problem(busy.get("/sessions", **query), 422, "invalid-input")
    assert [error["where"] for error in told["errors"]] == [where]


def test_sessions_of_an_operator_that_is_not_there_are_not_just_none(busy: Door) -> None:
    problem(busy.get("/sessions", operator="hmoe"), 404, "not-found")


def test_a_session_is_shown_with_its_quotas(busy: Door) -> None:
    shown = busy.get("/sessions/third").json()

    assert {name: shown[name] for name in ("operator", "imsi", "apn", "state", "requests", "used", "charged")} == {
        "operator": "home",
        "imsi": "001010000000003",
        "apn": "internet",
        "state": "ended",
        "requests": 2,
        "used": "500",
        "charged": "500",
    }
    assert shown["origin_host"] == "sgw.visited.example"
    assert shown["ended_at"] == shown["last_at"] == "2027-01-15T08:00:00.000Z"
    (quota,) = shown["services"]
    assert (quota["rating_group"], quota["used"], quota["charged"], quota["reserved"]) == (1, "500", "500", "0")

    (running,) = busy.get("/sessions/second").json()["services"]
    assert (running["granted"], running["reserved"]) == ("10000000", "10000000")


def test_the_summary_in_the_list_is_the_one_of_the_session(busy: Door) -> None:
    listed = busy.get("/sessions", limit=1).json()["items"][0]
    shown = busy.get("/sessions/third").json()
    assert listed == {name: value for name, value in shown.items() if name not in ("services", "history")}


def test_each_answer_is_explained(door: Door) -> None:
    door.operator()
    door.top_up(40_000_000)
    door.node.charge(ccr(INITIAL, 0, service(1)))
    door.node.now = UnixMillis(door.node.now + 10_000)
    door.node.charge(ccr(UPDATE, 1, service(1, used=10_000_000, reason=3)))
    door.node.charge(ccr(TERMINATION, 2, service(1, ask=None, used=30_000_000, reason=2)))

    history = door.get(path_of("sgw;1;1")).json()["history"]

    assert [(entry["request"], entry["cc_request_number"], entry["result"]) for entry in history] == [
        ("CCR-I", 0, "2001 SUCCESS"),
        ("CCR-U", 1, "2001 SUCCESS"),
        ("CCR-T", 2, "2001 SUCCESS"),
    ]
    assert history[0]["explanation"] == [
        "CCR-I 0 was answered 2001 SUCCESS.",
        "Rating-Group 1: 10,000,000 octets granted, the default size; 10,000,000 credits reserved.",
        "Rating-Group 1: valid for 3,600 s, to be reported when 500,000 octets are left.",
    ]
    assert history[1]["explanation"] == [
        "CCR-U 1 was answered 2001 SUCCESS.",
        "Rating-Group 1: 10,000,000 octets used, 10,000,000 credits charged (reported for QUOTA_EXHAUSTED).",
        "Rating-Group 1: 30,000,000 octets granted, all that the operator's credit still pays for; "
        "30,000,000 credits reserved.",
        "Rating-Group 1: this is the last grant, sent with Final-Unit-Indication, valid for 3,600 s.",
    ]
    assert history[2]["explanation"] == [
        "CCR-T 2 was answered 2001 SUCCESS.",
        "Rating-Group 1: 30,000,000 octets used, 30,000,000 credits charged (reported for FINAL).",
        "The gateway ended the session.",
    ]
    assert history[1]["services"][0]["why"] == "last_credit"
    assert history[1]["at"] == "2027-01-15T08:00:10.000Z"


def test_a_refused_session_is_explained_too(door: Door) -> None:
    door.node.charge(ccr(INITIAL, 0, service(1), session="a;b"))

    shown = door.get(path_of("a;b")).json()

    assert shown["operator"] is None
    assert shown["result_code"] == 5030
    assert shown["history"][0]["explanation"] == [
        "CCR-I 0 was answered 5030 USER_UNKNOWN: no operator has an IMSI prefix that fits the subscriber.",
        "The session never began.",
    ]


def test_other_events_of_a_session_are_in_its_history(door: Door) -> None:
    door.operator()
    door.top_up(1_000_000_000)
    door.node.charge(ccr(INITIAL, 0, service(1)))
    door.node.charge(ccr(INITIAL, 0, service(2)))  # the same number, other content
    door.post(f"{path_of('sgw;1;1')}/terminate", {"reason": "fraud desk"})
    door.node.step(cmd.DropAnswer(SessionId(b"sgw;1;1"), 0))
    door.node.now = UnixMillis(door.node.now + 10_000_000)
    door.node.step(cmd.Supervise(SessionId(b"sgw;1;1")))

    history = door.get(path_of("sgw;1;1")).json()["history"]

    assert [entry["event"] for entry in history] == [
        "answer",
        "conflict",
        "termination_asked",
        "answer_dropped",
        "expired",
    ]
    assert history[1]["result"] == "5012 UNABLE_TO_COMPLY"
    assert "An administrator asked for the session's end: fraud desk." in history[2]["explanation"]
    assert all(entry["explanation"] for entry in history)


def test_a_one_time_event_is_a_session_of_its_own(door: Door) -> None:
    door.operator(price="2", per_octets="1000")
    door.top_up(100)
    door.node.charge(ccr(EVENT, 0, service(1, ask=3000), session="once", action=0))
    assert (
        "Rating-Group 1: 6 credits debited for 3,000 octets."
        in (door.get("/sessions/once").json()["history"][0]["explanation"])
    )


ODD = [
    (b"sgw/1;2;3", "sgw/1;2;3"),
    (b"with a space%41", "with a space%41"),
    ("größe".encode(), "größe"),
    (b"not-utf8;\xff\xfe", r"not-utf8;\xff\xfe"),
    (b"line\nand \x1b[31m", r"line\x0aand \x1b[31m"),
    (rb"back\xslash\x41", r"back\x5cxslash\x5cx41"),
    (b"/leading", "/leading"),
    (b"x/terminate", "x/terminate"),
]


@pytest.mark.parametrize(("octets", "text"), ODD)
def test_a_session_id_of_any_octets_is_shown_and_found(door: Door, octets: bytes, text: str) -> None:
    door.operator()
    door.top_up(1_000_000_000)
    plain = avp.utf8(Avp.SESSION_ID, "x" * len(octets))
    message = ccr(INITIAL, 0, service(1), session="x" * len(octets))
    door.node.charge(message.replace(plain, avp.encode(Avp.SESSION_ID, octets)))

    shown = [one["session_id"] for one in door.get("/sessions").json()["items"]]

    assert shown == [text]
    assert door.get(path_of(text)).json()["session_id"] == text
    # What looks like an escape, or would end the line, is found by its escaped form only.
    if not any(found in octets for found in (b"\\x", b"\n")):
        raw = quote_from_bytes(octets, safe="")
        assert door.get(f"/sessions/{raw}").json()["session_id"] == text
        asked = door.ask("POST", f"/api/v1/sessions/{raw}/terminate")
        assert asked.status_code == 202
    assert door.post(f"{path_of(text)}/terminate", {}).status_code == 202


@pytest.mark.parametrize("path", ["/sessions/unknown", "/sessions/", f"/sessions/{'x' * 256}"])
def test_an_unknown_session_is_not_found(door: Door, path: str) -> None:
    problem(door.get(path), 404, "not-found")


def test_a_session_is_asked_to_end(busy: Door) -> None:
    asked = busy.post("/sessions/second/terminate", {"reason": "fraud desk"})

    assert asked.status_code == 202
    assert asked.json() == {
        "session_id": "second",
        "at": "2027-01-15T08:00:00.000Z",
        "reason": "fraud desk",
        "peer": "sgw.visited.example",
        "peer_connected": True,
        "ends_at_latest": "2027-01-15T10:00:00.000Z",
        "what_follows": "ASR was sent to sgw.visited.example; its CCR-T ends the session",
    }
    session = busy.node.state.charging.sessions.get(SessionId(b"second"))
    assert session is not None
    assert session.terminating


def test_an_end_that_no_asr_can_bring_says_what_will(busy: Door) -> None:
    busy.backend.peers = [msgspec.structs.replace(SGW, state="DRAINING")]
    told = busy.post("/sessions/second/terminate", {}).json()
    assert not told["peer_connected"]
    assert told["what_follows"] == (
        "sgw.visited.example is not connected: when it comes back, the session's next CCR-U is refused"
    )
    busy.node.charge(ccr(INITIAL, 0, service(1), session="fifth"), OPEN5GS)
    busy.backend.peers = [msgspec.structs.replace(SGW, origin_host=OPEN5GS.peer)]
    told = busy.post("/sessions/fifth/terminate", {}).json()
    assert told["what_follows"] == "profile open5gs ignores ASR: the session's next CCR-U is refused"


@pytest.mark.parametrize(
    ("session", "body", "status", "slug"),
    [
        ("third", {}, 409, "out-of-turn"),  # ended
        ("none", {}, 404, "not-found"),
        ("second", {"reason": ""}, 422, "invalid-input"),
        ("second", {"why": "?"}, 422, "invalid-input"),
    ],
)
def test_an_end_that_cannot_be_asked_for(busy: Door, session: str, body: object, status: int, slug: str) -> None:
    problem(busy.post(f"/sessions/{session}/terminate", body), status, slug)
