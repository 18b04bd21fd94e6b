"""Both ledgers in the books: each scene its verdict and its incident, and any history what was really said."""

import sqlite3
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger_node import GATEWAY, INITIAL, ccr, service
from ocs import command as cmd
from ocs.channel.channel import ChannelState
from ocs.credit_control.event import EndCause
from ocs.reconciling import Cause, Figures, State, compare
from ocs.signed.ed25519 import SeedSigner, signer_of
from ocs.units import MINUTE, Octets
from signed_reports import MINER, SGW, countersigned, signed, usage
from signing_node import EPOCH_MS
from two_ledgers import TOLERANCE, Drawn, GySession, TwoLedgers, live, posted

MB = 1_000_000


def select(path: Path, query: str) -> list[tuple[Any, ...]]:
    connection = sqlite3.connect(path)
    try:
        return list(connection.execute(query))
    finally:
        connection.close()


def outcome(path: Path) -> list[tuple[str, str | None, int]]:
    return select(path, "SELECT state, cause, difference FROM comparisons ORDER BY session")


def told(path: Path) -> list[tuple[str, int]]:
    return select(path, "SELECT kind, difference FROM reconciliation_incidents ORDER BY number")


@pytest.fixture
def node() -> TwoLedgers:
    return TwoLedgers()


def attached(node: TwoLedgers, used: int = 0) -> GySession:
    session = node.attach_one()
    assert session is not None
    session.flowed = used
    if used:
        node.report_use(session)
    return session


# Scenes


def honest(node: TwoLedgers) -> None:
    session = attached(node, 3 * MB)
    node.begin_one(session)
    node.sign(session, 3 * MB)
    session.flowed = 5 * MB
    node.end(session)
    node.sign(session, 5 * MB, final=True)


def last_report_before_the_ccr_t(node: TwoLedgers) -> None:
    """The final report overtakes the CCR-T: nothing more is signed, and nobody knows before the channel settles."""
    session = attached(node, 3 * MB)
    node.begin_one(session)
    node.sign(session, 3 * MB, final=True)
    node.end(session)


def running(node: TwoLedgers) -> None:
    node.begin_one(attached(node, 3 * MB))


def never_signed(node: TwoLedgers) -> None:
    node.end(attached(node, 3 * MB))


def lost_on_the_way(node: TwoLedgers) -> None:
    session = attached(node, 3 * MB)
    node.begin_one(session)
    node.sign(session, 2 * MB)
    node.end(session)


def final_that_says_less(node: TwoLedgers) -> None:
    session = attached(node, 3 * MB)
    node.begin_one(session)
    node.end(session)
    node.sign(session, 3 * MB - TOLERANCE - 1, final=True)


def final_within_the_tolerance(node: TwoLedgers) -> None:
    session = attached(node, 3 * MB)
    node.begin_one(session)
    node.end(session)
    node.sign(session, 3 * MB - TOLERANCE, final=True)


def more_than_was_reported(node: TwoLedgers) -> None:
    session = attached(node, 3 * MB)
    node.begin_one(session)
    node.end(session)
    node.sign(session, 4 * MB, final=True)


def refused_and_never_mended(node: TwoLedgers) -> None:
    session = attached(node, 3 * MB)
    node.begin_one(session)
    node.sign(session, 1 * MB)
    node.sign(session, 3 * MB, measured_at_ms=node.now + 6 * MINUTE)
    node.end(session)


def refused_and_mended(node: TwoLedgers) -> None:
    session = attached(node, 3 * MB)
    node.begin_one(session)
    node.sign(session, 3 * MB, measured_at_ms=node.now + 6 * MINUTE)
    node.end(session)
    node.sign(session, 3 * MB, final=True)


def contradicted_while_it_runs(node: TwoLedgers) -> None:
    session = attached(node, 3 * MB)
    node.begin_one(session)
    node.sign(session, 1 * MB)
    node.contradict(session)


def contradicted_and_ended(node: TwoLedgers) -> None:
    contradicted_while_it_runs(node)
    node.end(node.sessions[0])


def contradicted_after_the_end(node: TwoLedgers) -> None:
    session = attached(node, 3 * MB)
    node.begin_one(session)
    node.sign(session, 1 * MB)
    node.end(session)
    node.contradict(session)


def gateway_gone(node: TwoLedgers) -> None:
    """What it signed last was never reported over Gy, and it had been granted."""
    session = attached(node, 3 * MB)
    node.begin_one(session)
    node.expire(session)
    node.sign(session, 8 * MB, final=True)


def several_signed_sessions(node: TwoLedgers) -> None:
    session = attached(node, 3 * MB)
    for octets in (1 * MB, 2 * MB):
        node.begin_one(session)
        node.sign(session, octets, final=True)
    node.end(session)
    node.begin_one(session)
    node.sign(session, 3 * MB, final=True)


def on_into_the_next_channel(node: TwoLedgers) -> None:
    session = attached(node, 3 * MB)
    node.channel(2000, epochs=4)
    node.begin_one(session)
    node.sign(session, 3 * MB)
    node.later(2 * EPOCH_MS)
    node.tend()  # the channel closes: what runs there goes on, and the next grant binds to the new one
    session.flowed = 5 * MB
    node.report_use(session)
    node.sign(session, 5 * MB, final=True)
    node.begin_one(session)
    session.flowed = 6 * MB
    node.end(session)
    node.sign(session, 6 * MB, final=True)


def nothing_used(node: TwoLedgers) -> None:
    node.end(attached(node))


def keys_came_later(node: TwoLedgers) -> None:
    host = "late.visited.example"
    late = GATEWAY.__class__(host, GATEWAY.origin_realm, host, GATEWAY.profile)
    node.answer(ccr(INITIAL, 0, service(1), session="late;1"), late)
    node.step(cmd.RevokeKey(SGW.public_key, "lost"))
    node.attach("revoked;1")
    node.detach("revoked;1", 1, 3 * MB)


def refused_then_less(node: TwoLedgers) -> None:
    session = attached(node, 3 * MB)
    node.begin_one(session)
    node.sign(session, 3 * MB, measured_at_ms=node.now + 6 * MINUTE)
    node.sign(session, 2 * MB)
    node.end(session)


def whole_grant_signed_and_finished(node: TwoLedgers) -> None:
    """Nothing is left that could be signed for, so nobody waits."""
    session = attached(node)
    session.flowed = 10 * MB
    node.begin_one(session)
    node.sign(session, 10 * MB, final=True)
    node.end(session)


def whole_grant_signed_and_running(node: TwoLedgers) -> None:
    """Its signed session goes on, and may say a little more yet."""
    session = attached(node)
    session.flowed = 10 * MB
    node.begin_one(session)
    node.sign(session, 10 * MB)
    node.end(session)


OPEN, MATCHED, DIFFERENCE = State.OPEN, State.MATCHED, State.DIFFERENCE
Verdict = tuple[State, Cause | None, int]
SCENES: list[tuple[Callable[[TwoLedgers], None], Verdict, Verdict, list[tuple[str, int]]]] = [
    # scene, at its end, once all channels are settled, incidents
    (honest, (MATCHED, None, 0), (MATCHED, None, 0), []),
    (last_report_before_the_ccr_t, (OPEN, None, 0), (MATCHED, None, 0), []),
    (running, (OPEN, Cause.STILL_OPEN, -3 * MB), (OPEN, Cause.STILL_OPEN, -3 * MB), []),
    (never_signed, (OPEN, Cause.STILL_OPEN, -3 * MB), (DIFFERENCE, Cause.UNSIGNED, -3 * MB), [("unsigned", -3 * MB)]),
    (lost_on_the_way, (OPEN, Cause.STILL_OPEN, -MB), (DIFFERENCE, Cause.MISSING_REPORTS, -MB),
     [("missing_reports", -MB)]),
    (final_that_says_less, (DIFFERENCE, Cause.FINAL_DIFFERS, -TOLERANCE - 1),
     (DIFFERENCE, Cause.FINAL_DIFFERS, -TOLERANCE - 1), [("final_differs", -TOLERANCE - 1)]),
    (final_within_the_tolerance, (State.WITHIN_TOLERANCE, Cause.TOLERATED, -TOLERANCE),
     (State.WITHIN_TOLERANCE, Cause.TOLERATED, -TOLERANCE), []),
    (more_than_was_reported, (DIFFERENCE, Cause.OVER_SIGNED, MB), (DIFFERENCE, Cause.OVER_SIGNED, MB),
     [("over_signed", MB)]),
    (refused_and_never_mended, (OPEN, Cause.STILL_OPEN, -2 * MB), (DIFFERENCE, Cause.REFUSED, -2 * MB),
     [("refused", -2 * MB)]),
    (refused_and_mended, (MATCHED, None, 0), (MATCHED, None, 0), []),
    (contradicted_while_it_runs, (OPEN, Cause.STILL_OPEN, -2 * MB), (OPEN, Cause.STILL_OPEN, -2 * MB),
     [("frozen", -2 * MB)]),
    (contradicted_and_ended, (OPEN, Cause.STILL_OPEN, -2 * MB), (DIFFERENCE, Cause.FROZEN, -2 * MB),
     [("frozen", -2 * MB)]),
    (contradicted_after_the_end, (DIFFERENCE, Cause.FROZEN, -2 * MB), (DIFFERENCE, Cause.FROZEN, -2 * MB),
     [("frozen", -2 * MB)]),
    (gateway_gone, (DIFFERENCE, Cause.NOT_TERMINATED, 5 * MB), (DIFFERENCE, Cause.NOT_TERMINATED, 5 * MB),
     [("not_terminated", 5 * MB)]),
    (several_signed_sessions, (MATCHED, None, 0), (MATCHED, None, 0), []),
    (on_into_the_next_channel, (MATCHED, None, 0), (MATCHED, None, 0), []),
    (refused_then_less, (OPEN, Cause.STILL_OPEN, -MB), (DIFFERENCE, Cause.REFUSED, -MB), [("refused", -MB)]),
    (whole_grant_signed_and_finished, (MATCHED, None, 0), (MATCHED, None, 0), []),
    (whole_grant_signed_and_running, (OPEN, None, 0), (MATCHED, None, 0), []),
    (nothing_used, (OPEN, None, 0), (MATCHED, None, 0), []),
]  # fmt: skip


@pytest.mark.fault(61, 63, 64)
@pytest.mark.parametrize(("scene", "at_first", "at_last", "incidents"), SCENES, ids=[row[0].__name__ for row in SCENES])
def test_scenes(
    node: TwoLedgers,
    tmp_path: Path,
    scene: Callable[[TwoLedgers], None],
    at_first: Verdict,
    at_last: Verdict,
    incidents: list[tuple[str, int]],
) -> None:
    scene(node)
    posted(tmp_path / "first", node.events)
    assert outcome(tmp_path / "first") == [at_first]
    node.settle_all()
    posted(tmp_path / "last", node.events)
    assert outcome(tmp_path / "last") == [at_last]
    assert told(tmp_path / "last") == incidents


def test_who_does_not_sign_is_not_compared(node: TwoLedgers, tmp_path: Path) -> None:
    keys_came_later(node)
    node.settle_all()
    posted(tmp_path / "books", node.events)
    assert select(tmp_path / "books", "SELECT count(*) FROM sessions") == [(2,)]
    assert outcome(tmp_path / "books") == []


@pytest.mark.fault(63)
def test_an_incident_says_what_was_known(node: TwoLedgers, tmp_path: Path) -> None:
    refused_and_never_mended(node)
    node.settle_all()
    posted(tmp_path / "books", node.events)
    columns = "operator, session, granted, used, charged, signed, committed, difference, unexplained, tolerance, detail"
    (row,) = select(tmp_path / "books", f"SELECT {columns} FROM reconciliation_incidents")
    assert row == (1, 1, 40 * MB, 3 * MB, 3 * MB, 3 * MB, MB, -2 * MB, 0, TOLERANCE, "clock")
    settled = [event.at for event in node.events if getattr(event, "step", 0) == 3]
    assert select(tmp_path / "books", "SELECT at FROM reconciliation_incidents") == [(max(settled),)]
    report = select(tmp_path / "books", "SELECT gy_session_id, length(session_id), seq, octets FROM refused_reports")
    assert report == [(None, 16, 2, 3 * MB)]


def test_a_session_id_that_comes_again_is_another_comparison(node: TwoLedgers, tmp_path: Path) -> None:
    first = attached(node, 3 * MB)
    node.begin_one(first)
    node.end(first)
    node.sign(first, 1 * MB, final=True)
    node.later(20 * MINUTE)
    node.end(attached(node))  # an ended session is forgotten as others come
    again = node.attach_one(first.name)
    assert again is not None
    node.begin_one(again)
    again.flowed = 2 * MB
    node.end(again)
    node.sign(again, 2 * MB, final=True)
    posted(tmp_path / "books", node.events)
    differs = (DIFFERENCE, Cause.FINAL_DIFFERS, -2 * MB)
    assert outcome(tmp_path / "books") == [differs, (OPEN, None, 0), (MATCHED, None, 0)]
    assert select(tmp_path / "books", "SELECT session FROM signed_sessions ORDER BY began_at") == [(1,), (3,)]
    assert told(tmp_path / "books") == [("final_differs", -2 * MB)]


def test_the_tolerance_is_that_of_the_newest_start(node: TwoLedgers, tmp_path: Path) -> None:
    final_within_the_tolerance(node)
    node.usage_policy = replace(node.usage_policy, tolerance=Octets(TOLERANCE - 1))
    node.step(cmd.Start("0.1.1", node.now))
    final_within_the_tolerance(node)
    posted(tmp_path / "books", node.events)
    assert [state for state, *_ in outcome(tmp_path / "books")] == [State.WITHIN_TOLERANCE, DIFFERENCE]
    assert select(tmp_path / "books", "SELECT tolerance FROM comparisons") == [(TOLERANCE,), (TOLERANCE - 1,)]


def test_a_session_waits_for_every_channel_that_may_hold_its_grants(tmp_path: Path) -> None:
    node = TwoLedgers(channels=1, epochs=1)
    node.channel(2000, epochs=3)
    node.end(attached(node, 3 * MB))
    states = []
    for hours in range(5):
        posted(tmp_path / f"{hours}", node.events)
        states += [state for state, *_ in outcome(tmp_path / f"{hours}")]
        node.later(EPOCH_MS)
        node.tend()
    assert node.state.signed.channels.by_number[1].state == ChannelState.SETTLED
    assert states == [OPEN, OPEN, OPEN, OPEN, DIFFERENCE], "the second channel settles after four epochs"


def test_what_was_refused_is_forgotten_once_it_is_mended(node: TwoLedgers, tmp_path: Path) -> None:
    refused_and_mended(node)
    refused_then_less(node)
    posted(tmp_path / "books", node.events)
    found = select(tmp_path / "books", "SELECT refusal, signed, committed FROM comparisons ORDER BY session")
    assert found == [(None, 3 * MB, 3 * MB), ("clock", 3 * MB, 2 * MB)]


def test_a_stranger_explains_nothing(node: TwoLedgers, tmp_path: Path) -> None:
    """A refused report that another gateway's SGW signed under this session's name says nothing of it."""
    sgw, miner = SeedSigner(bytes(31) + b"\x01"), SeedSigner(bytes(31) + b"\x02")
    node.step(cmd.AddSigners("other.visited.example", sgw.public_key, miner.public_key))
    session = attached(node, 3 * MB)
    node.begin_one(session)
    assert session.sgw is not None
    claim = usage(
        channel_id=node.state.signed.channels.by_number[2].channel_id,
        session_id=session.sgw.session_id,
        sgw_key=signer_of(sgw.public_key),
        miner_key=signer_of(miner.public_key),
    )
    told = node.report(countersigned(signed(claim, sgw), miner, channel_id=claim.channel_id))
    assert getattr(told, "code", None) == "wrong_channel"
    node.end(session)
    node.settle_all()
    posted(tmp_path / "books", node.events)
    kept = select(tmp_path / "books", "SELECT session_id, octets FROM refused_reports")
    assert kept == [(session.sgw.session_id, claim.cum_bytes)]
    assert outcome(tmp_path / "books") == [(DIFFERENCE, Cause.MISSING_REPORTS, -3 * MB)]


def test_what_an_sgw_may_not_have_signed_explains_nothing(node: TwoLedgers, tmp_path: Path) -> None:
    session = attached(node, 3 * MB)
    node.begin_one(session)
    assert session.sgw is not None
    octets = node.usage(session.sgw, 3 * MB)
    node.step(cmd.RefuseReport("inner_mismatch", "the inner signature is not its signer's", MINER.public_key, octets))
    posted(tmp_path / "books", node.events)
    kept = select(tmp_path / "books", "SELECT code, gy_session_id, session_id, seq, octets FROM refused_reports")
    assert kept == [("inner_mismatch", None, None, None, None)]
    assert select(tmp_path / "books", "SELECT signed, refusal FROM comparisons") == [(0, None)]


def test_an_emergency_is_not_compared(node: TwoLedgers, tmp_path: Path) -> None:
    """It is never refused for a channel's want of room either, and holds none."""
    assert node.answer(ccr(INITIAL, 0, service(1), session="e;1", apn="sos")).result_code == 2001
    posted(tmp_path / "books", node.events)
    assert select(tmp_path / "books", "SELECT state FROM sessions") == [("open",)]
    assert outcome(tmp_path / "books") == []


# Histories


def expected(session: GySession, *, is_due: bool) -> Figures:
    """Say what the books must find, from what was sent and answered."""
    return Figures(
        granted=Octets(session.granted),
        used=Octets(session.used),
        committed=Octets(sum(session.counted.values())),
        signed=Octets(sum(session.said.values())),
        is_due=is_due,
        is_terminated=session.ended_by is EndCause.TERMINATED,
        is_begun=bool(session.counted),
        is_complete=session.is_closed and len(session.finals) == len(session.counted),
        is_frozen=session.frozen > 0,
    )


def check(path: Path, node: TwoLedgers, *, honest: bool) -> None:
    query = (
        "SELECT s.session_id, c.granted, c.used, c.committed, c.signed, c.due_at, c.ended_at, c.state, c.cause, "
        "c.difference, c.unexplained FROM comparisons c JOIN sessions s ON s.number = c.session ORDER BY c.session"
    )
    rows = select(path, query)
    assert [row[0].decode() for row in rows] == [session.name for session in node.sessions]
    kinds = Counter(kind for kind, _ in told(path))
    due = 0
    holds = node.state.signed.channels.holds
    for session, row in zip(node.sessions, rows, strict=True):
        name, granted, used, committed, said, due_at, ended_at, state, cause, difference, unexplained = row
        figures = expected(session, is_due=due_at is not None)
        assert (granted, used, committed, said) == (figures.granted, figures.used, figures.committed, figures.signed)
        assert (ended_at is not None) == (session.ended_by is not None)
        found = compare(figures, Octets(TOLERANCE))
        assert (state, cause, difference, unexplained) == (
            found.state, found.cause, found.difference, found.unexplained
        )  # fmt: skip
        if due_at is not None:
            hold = holds.get(name)
            assert hold is None or not (hold.bound or hold.running), "nothing more can be signed"
            due += state == DIFFERENCE and cause != Cause.FROZEN
        if honest:
            assert unexplained == 0
    frozen = sum(session.frozen for session in node.sessions)
    assert kinds.total() == due + frozen, "each is told once"
    assert kinds["frozen"] == frozen


@pytest.mark.fault(63)
@given(data=st.data(), steps=st.integers(1, 60), honest=st.booleans())
@settings(max_examples=60, deadline=None)
def test_any_history(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, steps: int, honest: bool) -> None:
    folder = tmp_path_factory.mktemp("history")
    node = TwoLedgers()
    live(node, Drawn(lambda low, high: data.draw(st.integers(low, high))), steps, honest=honest)
    posted(folder / "now", node.events)
    check(folder / "now", node, honest=honest)


@pytest.mark.parametrize("seed", range(12))
def test_long_histories_however_they_are_posted(tmp_path: Path, seed: int) -> None:
    rng = Random(seed)
    node = TwoLedgers()
    live(node, Drawn(rng.randint), 400, honest=seed % 2 == 0)
    posted(tmp_path / "now", node.events)
    check(tmp_path / "now", node, honest=seed % 2 == 0)
    node.settle_all()
    posted(tmp_path / "whole", node.events)
    check(tmp_path / "whole", node, honest=seed % 2 == 0)
    assert select(tmp_path / "whole", "SELECT count(*) FROM comparisons WHERE ended_at NOTNULL AND due_at ISNULL") == [
        (0,)
    ]
    cuts = [rng.randrange(1, len(node.events)) for _ in range(rng.randrange(60))]
    posted(tmp_path / "cut", node.events, cuts, restart=True)
    for table in ("comparisons", "reconciliation_incidents", "signed_sessions", "refused_reports"):
        assert select(tmp_path / "cut", f"SELECT * FROM {table}") == select(
            tmp_path / "whole", f"SELECT * FROM {table}"
        )
