"""Both ledgers over HTTP: sessions with both sides, days that add up, incidents that stay."""

import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

from api_door import Door, problem
from ocs import command as cmd
from ocs.reconciling import EXPLANATIONS, Cause, State
from ocs.shell.api.reconciliation import FiguresView
from ocs.signed.ed25519 import signer_of
from ocs.units import DAY, MINUTE
from places import DOCS
from signed_reports import MINER, SGW
from signing_node import Sgw
from two_ledgers import TOLERANCE, Drawn, GySession, TwoLedgers, live

MB = 1_000_000
FIRST_DAY = "2027-01-15"


@pytest.fixture
def node() -> TwoLedgers:
    return TwoLedgers(amount=20_000)


@pytest.fixture
def door(tmp_path: Path, node: TwoLedgers) -> Iterator[Door]:
    with Door(tmp_path, node=node) as opened:
        yield opened


def begun(node: TwoLedgers, used: int) -> GySession:
    session = node.attach_one()
    assert session is not None
    session.flowed = used
    node.report_use(session)
    node.begin_one(session)
    return session


def matching(node: TwoLedgers) -> GySession:
    session = begun(node, 2 * MB)
    node.end(session)
    node.sign(session, 2 * MB, final=True)
    return session


def refused(node: TwoLedgers) -> GySession:
    session = begun(node, 3 * MB)
    node.sign(session, 1 * MB)
    node.sign(session, 2 * MB, measured_at_ms=node.now + 6 * MINUTE)
    node.end(session)
    node.sign(session, 1 * MB, final=True)
    return session


def get(door: Door, path: str, **query: Any) -> Any:
    answer = door.get(f"/reconciliation{path}", **query)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_sessions_are_listed_with_both_sides(door: Door, node: TwoLedgers) -> None:
    matching(node)
    refused(node)
    begun(node, MB)
    newest, differs, matches = get(door, "/sessions")["items"]
    assert [one["state"] for one in (newest, differs, matches)] == ["open", "difference", "matched"]
    assert (newest["due_at"], newest["ended_at"], newest["cause"]) == (None, None, "still_open")
    assert (matches["cause"], matches["explanation"]) == (None, None)
    assert differs == {
        "session_id": "s;2",
        "operator": "home",
        "origin_host": "sgw.visited.example",
        "day": FIRST_DAY,
        "began_at": "2027-01-15T08:00:00.000Z",
        "ended_at": "2027-01-15T08:00:00.000Z",
        "due_at": "2027-01-15T08:00:00.000Z",
        "tolerance": str(TOLERANCE),
        "state": "difference",
        "cause": "final_differs",
        "explanation": EXPLANATIONS[Cause.FINAL_DIFFERS],
        "granted": str(node.sessions[1].granted),
        "used": "3000000",
        "charged": "3000000",
        "signed": "2000000",
        "committed": "1000000",
        "difference": "-2000000",
        "unexplained": "-1000000",
    }


def test_a_session_is_shown_with_all_that_is_known(door: Door, node: TwoLedgers) -> None:
    session = refused(node)
    shown = get(door, "/sessions/s;1")
    assert [(part["cause"], part["octets"]) for part in shown["parts"]] == [
        ("final_differs", "-1000000"),
        ("refused", "-1000000"),
    ]
    assert (shown["refusal"], shown["end_cause"], shown["earlier"]) == ("clock", "terminated", [])
    (signed,) = shown["signed_sessions"]
    assert bytes.fromhex(signed["session_id"]) in session.counted
    assert (signed["state"], signed["channel"], signed["seq"]) == ("ended", 1, 2)
    assert (int(signed["up"]) + int(signed["down"]), signed["signed"]) == (MB, str(2 * MB))
    (report,) = shown["refused_reports"]
    assert (report["code"], report["seq"], report["octets"]) == ("clock", 2, str(2 * MB))
    (incident,) = shown["incidents"]
    assert (incident["kind"], incident["difference"], incident["detail"]) == ("final_differs", "-2000000", "clock")


def test_an_init_that_was_refused_is_shown(door: Door, node: TwoLedgers) -> None:
    session = node.attach_one()
    assert session is not None
    session.flowed = 3 * MB
    sgw = Sgw(b"s" * 16, node.held_in(session.name).channel_id, session.name)
    node.report(node.init(sgw, started_at_ms=node.now + 6 * MINUTE))
    node.report(node.usage(sgw, 3 * MB))
    node.end(session)
    node.settle_all()
    shown = get(door, "/sessions/s;1")
    assert (shown["cause"], shown["signed"], shown["signed_sessions"]) == ("unsigned", "0", [])
    (init,) = shown["refused_reports"]
    assert (init["code"], init["seq"], init["session_id"]) == ("clock", 0, "73" * 16)


def test_sessions_are_found(door: Door, node: TwoLedgers) -> None:
    matching(node)
    node.later(DAY)
    node.tend()
    node.channel(20_000)
    refused(node)
    for query, expected in [
        ({"state": "difference"}, ["s;2"]),
        ({"state": "open"}, []),
        ({"day": FIRST_DAY}, ["s;1"]),
        ({"day": "2027-01-16", "state": "difference", "operator": "home"}, ["s;2"]),
        ({"day": "2027-01-17"}, []),
    ]:
        assert [one["session_id"] for one in get(door, "/sessions", **query)["items"]] == expected
    first = get(door, "/sessions", limit=1)
    second = get(door, "/sessions", limit=1, cursor=first["next"])
    assert [one["session_id"] for one in first["items"] + second["items"]] == ["s;2", "s;1"]
    assert second["next"] is None


@pytest.mark.parametrize(
    ("path", "query", "where"),
    [
        ("/sessions", {"state": "exempt"}, "query/state"),
        ("/sessions", {"day": "2027-02-30"}, "query/day"),
        ("/sessions", {"day": "1800000000"}, "query/day"),
        ("/sessions", {"day": "20270115"}, "query/day"),
        ("/sessions", {"cursor": "?"}, "query/cursor"),
        ("/days", {"from": "yesterday"}, "query/from"),
        ("/days", {"to": "2027-01-15T00:00"}, "query/to"),
        ("/days", {"since": "2027-01-15"}, "query/since"),
        ("/incidents", {"state": "open"}, "query/state"),
    ],
)
def test_a_query_that_cannot_be_read_is_told_where(door: Door, path: str, query: dict[str, str], where: str) -> None:
    told = problem(door.get(f"/reconciliation{path}", **query), 422, "invalid-input")
    assert [error["where"] for error in told["errors"]] == [where]


def test_what_is_not_there(door: Door) -> None:
    for path in ("/sessions", "/days", "/incidents"):
        problem(door.get(f"/reconciliation{path}", operator="hmoe"), 404, "not-found")
    for name in ("none", "", "x" * 256):
        problem(door.get(f"/reconciliation/sessions/{name}"), 404, "not-found")
    told = problem(door.get("/reconciliation/days", **{"from": "2027-01-02", "to": "2027-01-01"}), 422, "invalid-input")
    assert "from 2027-01-02 lies after to 2027-01-01" in told["detail"]


def test_a_session_without_keys_is_exempt(door: Door, node: TwoLedgers) -> None:
    node.step(cmd.RevokeKey(SGW.public_key, "lost"))
    node.attach("plain;1")
    node.detach("plain;1", 1, 5000)
    assert get(door, "/sessions")["items"] == []
    shown = get(door, "/sessions/plain;1")
    assert (shown["state"], shown["cause"], shown["difference"]) == ("exempt", "gateway_does_not_sign", "-5000")
    assert (shown["unexplained"], shown["committed"], shown["used"]) == ("0", "0", "5000")


def test_a_session_id_that_came_again_shows_the_newest_and_those_before(door: Door, node: TwoLedgers) -> None:
    first = refused(node)
    node.later(20 * MINUTE)
    matching(node)
    again = node.attach_one(first.name)
    assert again is not None
    shown = get(door, "/sessions/s;1")
    assert (shown["state"], shown["used"], shown["signed_sessions"], shown["incidents"]) == ("open", "0", [], [])
    (earlier,) = shown["earlier"]
    assert (earlier["state"], earlier["used"]) == ("difference", "3000000")
    node.end(again)
    node.later(20 * MINUTE)
    node.step(cmd.RevokeKey(SGW.public_key, "lost"))
    node.attach("other;1")
    node.detach("other;1", 1, 0)
    node.attach(first.name)
    shown = get(door, "/sessions/s;1")
    assert shown["state"] == "exempt"
    assert [one["used"] for one in shown["earlier"]] == ["0", "3000000"]


def test_days_add_up(door: Door, node: TwoLedgers) -> None:
    matching(node)
    refused(node)
    begun(node, MB)
    within = begun(node, 2 * MB)
    node.end(within)
    node.sign(within, 2 * MB - TOLERANCE, final=True)
    (day,) = get(door, "/days")["items"]
    assert (day["day"], day["operator"]) == (FIRST_DAY, "home")
    assert day["sessions"] == {"compared": 4, "open": 1, "matched": 1, "within_tolerance": 1, "difference": 1}
    assert {name: day[name] for name in ("used", "charged", "signed", "committed", "difference", "unexplained")} == {
        "used": "8000000",
        "charged": "8000000",
        "signed": str(6 * MB - TOLERANCE),
        "committed": str(5 * MB - TOLERANCE),
        "difference": str(-3 * MB - TOLERANCE),
        "unexplained": "-1000000",
    }
    assert day["parts"] == {
        "open": "-1000000",
        "within_tolerance": str(-TOLERANCE),
        "explained": "-1000000",
        "unexplained": "-1000000",
    }


def test_days_come_in_pages_by_day_and_operator(door: Door, node: TwoLedgers) -> None:
    node.operator("other", "00102")
    node.top_up(10**12, "other")
    for days in range(3):
        matching(node)
        other = node.attach(f"o;{days}")
        assert other.result_code == 2001
        node.later(DAY)
        node.tend()
        node.channel(20_000)
    items, cursor = [], None
    while True:
        page = get(door, "/days", limit=1, **({"cursor": cursor} if cursor else {}))
        items += page["items"]
        cursor = page["next"]
        if cursor is None:
            break
    assert items == get(door, "/days")["items"]
    assert [one["day"] for one in items] == ["2027-01-17", "2027-01-16", "2027-01-15"]
    some = get(door, "/days", **{"from": "2027-01-16", "to": "2027-01-16", "operator": "home"})["items"]
    assert [one["day"] for one in some] == ["2027-01-16"]
    assert get(door, "/days", operator="other")["items"] == []


@pytest.mark.parametrize("seed", range(4))
def test_days_are_the_sums_of_their_sessions(door: Door, node: TwoLedgers, seed: int) -> None:
    for _ in range(3):
        live(node, Drawn(Random(seed).randint), 80, honest=False)
        node.later(DAY // 2)
        node.tend()
        node.channel(2000, epochs=3)
    sessions = get(door, "/sessions", limit=1000)["items"]
    for day in get(door, "/days")["items"]:
        mine = [one for one in sessions if one["day"] == day["day"]]
        assert day["sessions"]["compared"] == len(mine)
        for name in ("granted", "used", "charged", "signed", "committed", "difference", "unexplained"):
            assert int(day[name]) == sum(int(one[name]) for one in mine)
        for state in ("open", "matched", "within_tolerance", "difference"):
            assert day["sessions"][state] == sum(one["state"] == state for one in mine)
        assert sum(map(int, day["parts"].values())) == int(day["difference"])


def test_sums_of_broken_counters_are_sums(door: Door, node: TwoLedgers) -> None:
    """An SGW may sign for 2^63 octets in each of its sessions; refused as that is, it must not end the list."""
    for _ in range(3):
        session = begun(node, MB)
        node.sign(session, 2**63)
        node.end(session)
    (day,) = get(door, "/days")["items"]
    assert int(day["signed"]) == 3 * (2**63 - 1)
    assert day["committed"] == "0"


def test_incidents_are_listed_the_newest_first_and_stay(door: Door, node: TwoLedgers) -> None:
    refused(node)
    session = begun(node, MB)
    node.sign(session, MB)
    node.contradict(session)
    newest, oldest = get(door, "/incidents", operator="home")["items"]
    assert (newest["number"], newest["kind"], newest["detail"]) == (2, "frozen", "same_seq")
    assert (oldest["number"], oldest["kind"], oldest["session_id"]) == (1, "final_differs", "s;1")
    assert oldest["explanation"] == EXPLANATIONS[Cause.FINAL_DIFFERS]
    page = get(door, "/incidents", limit=1)
    assert get(door, "/incidents", limit=1, cursor=page["next"])["items"] == [oldest]


# The page

PAGE = (DOCS / "reconciliation.md").read_text()


def test_the_page_names_every_state_cause_and_figure() -> None:
    figures = [name for name in FiguresView.model_fields if name != "tolerance"]
    assert [name for name in (*Cause, *State, *figures) if f"| `{name}` |" not in PAGE] == []


def test_the_pages_query_runs(door: Door, node: TwoLedgers, tmp_path: Path) -> None:
    refused(node)
    get(door, "/days")
    (query,) = re.findall(r"```sql\n(.*?)```", PAGE, re.DOTALL)
    connection = sqlite3.connect(tmp_path / "books.db")
    ((miner, cause, sessions, committed),) = connection.execute(query).fetchall()
    connection.close()
    assert (miner, cause, sessions, committed) == (signer_of(MINER.public_key).hex(), "final_differs", 1, MB)
