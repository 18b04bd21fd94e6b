"""The scenes against a real peer, the command line around them, and the arithmetic of the demo."""

import asyncio
from pathlib import Path

import pytest
from gy_peer import CreditServer
from typer.testing import CliRunner

from simulator.accounts import Accounts, ApiUnreachable, Balance, Tariff
from simulator.board import faults, masked, money_bar, quota_bar
from simulator.checks import Rule
from simulator.cli import _app
from simulator.gateway import Gateway
from simulator.messages import Identity, ServiceKey, Volume
from simulator.plane import loopback
from simulator.plane.access import Enb, Ue
from simulator.population import HomeOperator
from simulator.profile import MAGMA, PROFILES, STANDARD
from simulator.quota import Quota, QuotaState
from simulator.record import LATENCIES_KEPT, Record
from simulator.restart import by_command
from simulator.scenario import Around, HookFailed, Lacking, Outcome, play
from simulator.script.library import FOLDER, find, shipped
from simulator.subscriber import Session

WITHOUT_MONEY = ["attach", "quota-update", "validity-time", "ue-termination", "network-termination"]


ATTACH = [
    *("S11 Create Session Request", "Gy CCR-I", "Gy CCA-I", "S8 Create Session Request", "S8 Create Session Response"),
    *("S11 Create Session Response", "S11 Modify Bearer Request", "S11 Modify Bearer Response"),
]


def outcome_of(server: CreditServer, name: str, **how: object) -> Outcome:
    return asyncio.run(play(find(name), "127.0.0.1", server.port, **how))


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
@pytest.mark.parametrize("name", WITHOUT_MONEY)
def test_a_good_server_passes(server, name, profile):
    outcome = outcome_of(server, name, profile=profile)
    assert [str(violation) for violation in outcome.record.violations] == []
    assert server.seen[-1].request_type == 3


def test_a_server_that_answers_a_repeat_otherwise_fails(server):
    """python-diameter answers 5012 to a repeated CCR; the scene has to see it."""
    outcome = outcome_of(server, "repeated-termination")
    assert Rule.REPEAT in {violation.rule for violation in outcome.record.violations}


def test_a_server_that_refuses_fails_the_attach(server):
    server.purse = 0
    broken = {violation.rule for violation in outcome_of(server, "attach").record.violations}
    assert broken == {Rule.RESULT, Rule.GRANT_MISSING, Rule.STATE}  # the last of packets that did not pass


def test_what_is_stated_is_kept_step_by_step(server):
    expected = outcome_of(server, "attach").record.expectations
    told = [(one.step, "" if "all packets of" in one.text else one.text) for one in expected]
    assert told == [
        ("line 9, attach: first", ", ".join(ATTACH)),
        ("line 9, attach: first", "2001"),
        ("line 9, attach: first", "a grant of at least 1"),
        ("line 9, attach: first", "the session open"),
        ("line 23, packets: first", "at least 50,000 octets moved"),
        ("line 23, packets: first", "0 octets dropped"),
        ("line 27, detach: first", "2001"),
        ("line 27, detach: first", "the session ended"),
        ("line 27, detach: first", "at least 50,000 octets reported"),
        ("invariants", ""),
        ("invariants", "every octet of every packet in one place"),
    ]
    assert all(one.held for one in expected)


def test_signalling_in_another_order_is_told(server, tmp_path):
    """What the home network starts is no detach of the UE's."""
    file = tmp_path / "wrong.yaml"
    text = Path(FOLDER / "ue-termination.yaml").read_text()
    file.write_text(text.replace("- detach: first", "- delete_from_home: first"))
    (broken,) = outcome_of(server, str(file)).record.violations
    assert broken.rule is Rule.SIGNALLING
    assert "S8 Delete Bearer Request, Gy CCR-T" in broken.detail
    assert "expected S11 Delete Session Request, Gy CCR-T" in broken.detail


def test_packets_that_nobody_reported_are_told(server, tmp_path, monkeypatch):
    """A gateway that lets a packet pass uncounted: the ends of the tunnel have more than the meter."""
    admit, passed = Session.admit, []

    def careless(self: Session, volume: Volume, service: int = 0) -> bool:
        passed.append(volume)
        return len(passed) == 7 or admit(self, volume, service)

    monkeypatch.setattr(Session, "admit", careless)
    broken = outcome_of(server, "attach").record.violations
    assert [one.rule for one in broken] == [Rule.PACKETS, Rule.PACKETS]
    assert "reported" in broken[0].detail


def test_packets_that_meet_no_tunnel_are_told(server, tmp_path, monkeypatch):
    """The way to the SGW is lost in the middle: what goes up from there on is neither dropped nor delivered."""
    uplink, sent = Enb.uplink, []

    def lossy(self: Enb, ue: Ue, packet: bytes) -> None:
        sent.append(packet)
        if len(sent) > 3:
            ue.sgw_user = None
        uplink(self, ue, packet)

    monkeypatch.setattr(Enb, "uplink", lossy)
    file = tmp_path / "lossy.yaml"
    head = "scenario: lossy\nshows: x\nsessions:\n  first: {tunnels: yes}\nsteps:\n  - attach: first\n"
    file.write_text(head + "  - packets: first\n    count: 30\n    expect: {dropped: none, strayed: none}\n")
    (broken,) = outcome_of(server, str(file)).record.violations
    assert broken.rule is Rule.STATE
    assert f"{sum(map(len, sent[3:])):,} octets without a tunnel, expected 0" in broken.detail


def test_a_refused_ue_and_a_handover_without_one_break_nothing_but_what_is_expected(server, tmp_path):
    server.purse, server.refuse_command = 0, True
    file = tmp_path / "refused.yaml"
    file.write_text(
        """
        scenario: refused
        shows: A UE that is not let in has no tunnel
        sessions:
          first: {tunnels: yes}
        steps:
          - attach: first
            expect: {state: refused, signalling: [S11 Create Session Request, Gy CCR-I, Gy CCA-I,
                     S11 Create Session Response]}
          - packets: first
            count: 5
            expect: {moved: none, dropped: none}
          - delete_from_home: first
          - hand_over: first
            to: sgw
            expect: {answered: no, state: idle}
          - detach: first
        """
    )
    outcome = outcome_of(server, str(file))
    assert outcome.record.violations == []
    assert outcome.packets == ()


@pytest.mark.parametrize("tunnels", ["no", "yes"])
def test_a_step_out_of_turn_is_told_and_the_scenario_goes_on(server, tmp_path, tunnels):
    file = tmp_path / "turns.yaml"
    head = f"scenario: turns\nshows: x\nsessions:\n  first: {{tunnels: {tunnels}}}\nsteps:\n"
    file.write_text(head + "  - repeat_last: first\n  - attach: first\n  - attach: first\n  - detach: first\n")
    outcome = outcome_of(server, str(file))
    assert [one.detail.partition(": first: ")[2] for one in outcome.record.violations] == [
        "nothing was sent yet that could be repeated, expected a step that the session can take",
        "the session attaches once, and is open, expected a step that the session can take",
    ]
    assert server.seen[-1].request_type == 3


def test_packets_have_the_pauses_of_what_makes_them_where_that_is_asked_for(server, tmp_path):
    """Six readings of a thing take an hour; a fast clock has it in less than a second, no clock in none."""
    file = tmp_path / "paced.yaml"
    text = "scenario: paced\nshows: x\nsessions:\n  first: {tunnels: yes}\nsteps:\n  - attach: first\n"
    file.write_text(text + "  - packets: first\n    kinds: iot\n    count: 12\n    paced: yes\n")
    server.validity = 10**6
    outcome = outcome_of(server, str(file), around=Around(time_scale=10_000.0))
    assert outcome.passed
    assert outcome.seconds > 6 * 540 / 10_000
    assert outcome.packets[0].offered == outcome.reported


def test_where_no_addresses_are_free_packets_are_left_out(server, monkeypatch):
    monkeypatch.setattr(loopback, "LAST_HOST", 10)
    with pytest.raises(Lacking, match=r"attach moves packets: no 127\.0\.0\.11"):
        outcome_of(server, "attach")


def test_a_scene_of_money_needs_the_api(server):
    with pytest.raises(Lacking, match="exhaustion moves money: name the API with --api"):
        outcome_of(server, "exhaustion")


def test_a_second_gateway_that_is_not_let_in_leaves_a_scenario_out(server, tmp_path):
    """python-diameter knows one peer by name and refuses all others."""
    file = tmp_path / "two.yaml"
    file.write_text("scenario: two\nshows: two\ngateways: {one: {}, other: {}}\nsteps:\n  - watchdog: one\n")
    with pytest.raises(Lacking, match=r"two needs a second gateway, and the server refused other\.sgw\."):
        outcome_of(server, str(file))
    code, shown = run("run", str(file), "attach", "--port", str(server.port))
    assert code == 0, shown
    assert "left out: two needs a second gateway" in shown


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(_app, [*arguments])
    return result.exit_code, result.output


def test_the_command_line_passes_and_fails(server):
    code, shown = run("run", "attach", str(FOLDER / "quota-update.yaml"), "--port", str(server.port))
    assert code == 0, shown
    code, shown = run("run", "attach", "exhaustion", "--port", str(server.port))
    assert code == 0, shown
    assert "left out: exhaustion moves money: name the API with --api" in shown
    code, shown = run("run", "repeated-termination", "--port", str(server.port))
    assert code == 1, shown


def test_the_command_line_tells_wrong_use_from_a_missing_server(free_port):
    assert run("run", "nonsense")[0] == 2
    assert run("run", "exhaustion")[0] == 2
    assert run("run", "attach", "--profile", "nonsense")[0] == 2
    assert run("run", "signed-session", "--api", "http://127.0.0.1:1")[0] == 2
    assert run("run", "attach", "--sign")[0] == 2
    assert run("run", "attach", "--sign", "--api", "http://127.0.0.1:1", "--sgw-key", "no", "--miner-key", "no")[0] == 2
    assert run("forwarder", "--spool", "s", "--sgw-key", "no", "--miner-key", "no")[0] == 3
    assert run("run", "attach", "--imsi-prefix", "one")[0] == 2
    assert run("run", "attach", "--port", str(free_port))[0] == 4
    assert run("--version")[0] == 0


def test_a_wrong_file_is_wrong_use_and_nothing_is_played(server, tmp_path):
    file = tmp_path / "wrong.yaml"
    file.write_text("scenario: wrong\nshows: x\nsteps:\n  - atach: first\n")
    code, shown = run("run", "attach", str(file), "--port", str(server.port))
    assert code == 2
    assert "did you mean attach?" in shown
    assert not server.seen


def test_a_command_restarts_the_server(tmp_path):
    mark = tmp_path / "restarted"
    asyncio.run(by_command(f"touch {mark}")())
    assert mark.exists()
    with pytest.raises(HookFailed, match="ended with 3: no such unit"):
        asyncio.run(by_command("echo no such unit; exit 3")())


def test_every_scene_is_listed():
    code, shown = run("list")
    assert code == 0
    listed = {line.split()[0]: line for line in shown.splitlines()}
    assert list(listed) == list(shipped())
    assert "(needs --api, --sign)" in listed["signed-session"]


def test_the_procedures_of_the_proposal_are_played():
    played = {script.procedure for script in shipped().values()}
    assert {f"3.2.{number}" for number in range(1, 6)} <= played


@pytest.mark.parametrize(
    ("tariff", "octets", "credits_due"),
    [
        (Tariff(3, 1000), 0, 0),
        (Tariff(3, 1000), 1, 3),
        (Tariff(3, 1000), 1000, 3),
        (Tariff(3, 1000), 1001, 6),
        (Tariff(1, 1), 2**63 + 1, 2**63 + 1),
    ],
)
def test_a_tariff_charges_started_blocks(tariff, octets, credits_due):
    assert tariff.charge(octets) == credits_due


def an_operator(reported: int, **amounts: int) -> HomeOperator:
    gateway = Gateway(Identity())
    one = HomeOperator(name="one", prefix="00101", tariff=Tariff(2, 100), gateways=[gateway], people=1)
    session = Session(gateway, "001010000000001")
    session.quotas[0].reported = reported
    one.sessions.append(session)
    given = {"credited": 0, "available": 0, "reserved": 0, "consumed": 0, "overrun": 0} | amounts
    one.balance = Balance(**given)
    return one


def test_books_that_add_up_have_no_faults():
    assert faults(an_operator(450, credited=100, available=90, consumed=10)) == []
    assert faults(an_operator(450, credited=8, consumed=8, overrun=2)) == []


@pytest.mark.parametrize(
    "amounts",
    [
        {"credited": 100, "available": 91, "consumed": 10},
        {"credited": 100, "available": 89, "reserved": 1, "consumed": 10},
        {"credited": 100, "available": 91, "consumed": 9},
        {"credited": 100, "available": 90, "consumed": 10, "overrun": 1},
    ],
)
def test_books_that_do_not_add_up_have(amounts):
    assert faults(an_operator(450, **amounts))


def test_an_imsi_is_shown_masked():
    assert masked("001010123456789") == "00101******6789"


def test_bars_show_parts_and_the_tick():
    assert money_bar(an_operator(0, credited=100, available=50, reserved=25, consumed=25)).plain == (
        "█" * 5 + "▒" * 5 + "░" * 10
    )
    quota = Quota(ServiceKey(1), QuotaState.ACTIVE, granted=1600, used=800, threshold=400)
    assert quota_bar(quota, STANDARD).plain == "████████····┃···"
    assert quota_bar(quota, MAGMA).plain == "████████····┃···"
    assert quota_bar(Quota(ServiceKey(1), QuotaState.BLOCKED), STANDARD).plain == "blocked"


def test_percentiles_are_of_the_newest_answers():
    record = Record()
    assert record.percentile(99) == 0
    for millisecond in range(LATENCIES_KEPT + 100):
        record.answered(2001, millisecond / 1000)
    assert record.percentile(0) == 0.1
    assert record.percentile(50) == pytest.approx((100 + LATENCIES_KEPT // 2) / 1000)
    assert record.answers == LATENCIES_KEPT + 100


def test_an_api_that_is_not_there_is_unreachable(free_port):
    async def ask() -> None:
        async with Accounts(f"http://127.0.0.1:{free_port}", "token") as accounts:
            assert not await accounts.ready()
            await accounts.balance("nobody")

    with pytest.raises(ApiUnreachable):
        asyncio.run(ask())
