"""`ocs reconcile` over the real routes: what it lists, and how a check ends."""

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from api_door import Door
from cli_door import Ocs, Wire
from two_ledgers import GySession, TwoLedgers

MB = 1_000_000


@pytest.fixture
def node() -> TwoLedgers:
    return TwoLedgers(amount=20_000)


@pytest.fixture
def door(tmp_path: Path, node: TwoLedgers) -> Iterator[Door]:
    with Door(tmp_path, node=node) as opened:
        yield opened


@pytest.fixture
def ocs(door: Door, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Ocs:
    """Run a command whose requests go through the door."""
    return partial(Wire(door, monkeypatch, capsys).run, "reconcile")


def session(node: TwoLedgers, signed: int) -> GySession:
    """Let 3 MB be used, and `signed` octets be signed."""
    made = node.attach_one()
    assert made is not None
    made.flowed = 3 * MB
    node.begin_one(made)
    node.end(made)
    node.sign(made, signed, final=True)
    return made


def test_a_check_of_what_matches_is_zero(ocs: Ocs, node: TwoLedgers) -> None:
    assert ocs("check").code == 0, "nothing is there"
    session(node, 3 * MB)
    assert (ocs("check").code, json.loads(ocs("check", "-o", "json").out)) == (0, [])


@pytest.mark.fault(63)
def test_a_check_that_finds_a_difference_is_one_and_says_where(ocs: Ocs, node: TwoLedgers) -> None:
    session(node, 3 * MB)
    session(node, 1 * MB)
    said = ocs("check")
    assert (said.code, said.err) == (1, "")
    assert "2027-01-15" in said.out
    assert "-2,000,000" in said.out
    (day,) = json.loads(ocs("check", "-o", "json").out)
    assert (day["sessions"]["difference"], day["unexplained"]) == (1, "-2000000")
    assert ocs("check", "--from", "2027-01-16").code == 0
    assert ocs("check", "--to", "2027-01-14").code == 0
    assert ocs("check", "--from", "2027-01-15", "--to", "2027-01-15", "--operator", "home").code == 1


def test_lists(ocs: Ocs, node: TwoLedgers) -> None:
    session(node, 3 * MB)
    session(node, 1 * MB)
    everything, differing = ocs("sessions").out, ocs("sessions", "--state", "difference").out
    assert "s;1" in everything
    assert "s;1" not in differing
    assert "final_differs" in differing
    assert [one["session_id"] for one in json.loads(ocs("sessions", "--limit", "1", "-o", "json").out)] == ["s;2"]
    assert "final_differs" in ocs("incidents").out
    (incident,) = json.loads(ocs("incidents", "--operator", "home", "-o", "json").out)
    assert (incident["number"], incident["session_id"]) == (1, "s;2")
    assert json.loads(ocs("sessions", "--day", "2027-01-16", "-o", "json").out) == []


def test_days_end_with_their_sum(ocs: Ocs, node: TwoLedgers) -> None:
    session(node, 3 * MB)
    one = ocs("days").out.splitlines()
    assert (len(one), "3,000,000" in one[1]) == (2, True)
    node.later(86_400_000)
    node.channel(20_000)
    session(node, 2 * MB)
    header, newest, oldest, summed = ocs("days").out.splitlines()
    assert header.split()[:3] == ["day", "operator", "compared"]
    assert (newest.split()[0], oldest.split()[0]) == ("2027-01-16", "2027-01-15")
    assert summed.split() == ["in", "all", "2", "0", "0", "1", "6,000,000", "6,000,000", "5,000,000", "5,000,000",
                              "-1,000,000", "-1,000,000"]  # fmt: skip
    assert len(json.loads(ocs("days", "-o", "json").out)) == 2, "a program adds up by itself"


def test_a_session_is_shown_with_both_sides(ocs: Ocs, node: TwoLedgers) -> None:
    made = node.attach_one()
    assert made is not None
    made.flowed = 3 * MB
    node.report_use(made)
    node.begin_one(made)
    node.sign(made, 1 * MB)
    node.sign(made, 2 * MB, measured_at_ms=node.now + 600_000)
    node.end(made)
    node.settle_all()
    said = ocs("show", "s;1")
    assert said.code == 0
    assert "-1,000,000: it is signed, in reports that broke a rule" in said.out
    for told in ("missing_reports", "clock", "signed sessions", "refused reports", "incidents"):
        assert told in said.out, told
    assert "earlier sessions" not in said.out
    assert json.loads(ocs("show", "s;1", "-o", "json").out)["state"] == "difference"


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["days", "--from", "yesterday"], "from: this is no day of the calendar; write it as 2027-01-15"),
        (["sessions", "--state", "odd"], "state: "),
        (["sessions", "--operator", "hmoe"], "hmoe"),
        (["show", "none"], "there is no session 'none'"),
        (["check", "--from", "2027-02-01", "--to", "2027-01-01"], "exchange them"),
    ],
)
def test_wrong_use_is_two_and_says_what(ocs: Ocs, arguments: list[str], named: str) -> None:
    said = ocs(*arguments)
    assert said.code == 2
    assert named in said.err
