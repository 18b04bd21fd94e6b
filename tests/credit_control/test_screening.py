"""Each rule of screening: what breaks it, what does not, and what the modes make of it."""

import pytest

from ledger_node import GATEWAY, INITIAL, TERMINATION, UPDATE, Node, ccr, parse, service
from ocs.credit_control.request import CreditControlRequest
from ocs.credit_control.screening import RATES, REFUSALS, Agreement, Finding, Mode, Rates, Rule, Screening, Seen
from ocs.errors import AuthorizationRejected, TooBusy, UnknownSessionId
from ocs.units import MINUTE, SECOND, UnixMillis

HOST, REALM = "sgw.visited.example", "visited.example"
ALL = dict.fromkeys(Rule, Mode.DETECT)
NOW = UnixMillis(1_800_000_000_000)


def seen(**agreed: object) -> Seen:
    return Seen(Agreement(origin_host=HOST, origin_realm=REALM, **agreed))  # type: ignore[arg-type]  # by name


def request(kind: int = INITIAL, session: str = f"{HOST};1;1", **changes: object) -> CreditControlRequest:
    made = parse(ccr(kind, 0 if kind == INITIAL else 1, service(), session=session))
    for name, value in changes.items():
        setattr(made, name, value)
    return made


def broken(
    made: CreditControlRequest,
    by: Seen | None = None,
    screening: Screening | None = None,
    node: Node | None = None,
    now: UnixMillis = NOW,
) -> list[Rule]:
    found = (screening or Screening(ALL, Rates())).look(by or seen(), made, (node or Node()).state.charging, now)
    return [finding.rule for finding in found or ()]


def test_an_honest_request_breaks_no_rule() -> None:
    assert broken(request()) == []
    assert broken(request(), seen(imsi_prefixes=("00101",), plmns=frozenset({"99970"}))) == []


@pytest.mark.parametrize(
    ("host", "realm", "rules"),
    [
        ("SGW.visited.example", "Visited.Example", []),  # names know no case
        ("mme.visited.example", REALM, [Rule.ORIGIN_HOST]),
        ("sgw.elsewhere.example", "elsewhere.example", [Rule.ORIGIN_HOST, Rule.ORIGIN_REALM]),
        (HOST, "elsewhere.example", [Rule.ORIGIN_HOST, Rule.ORIGIN_REALM]),
        ("pgw.partner.example", "partner.example", []),  # spoken for
        ("pgw.partner.example", "other.example", [Rule.ORIGIN_HOST]),  # spoken for, and not within its realm
    ],
)
def test_who_speaks(host: str, realm: str, rules: list[Rule]) -> None:
    made = request(session=f"{host};1;1", origin_host=host, origin_realm=realm)
    by = seen(speaks_for=frozenset({"pgw.partner.example"}))
    assert broken(made, by) == rules
    assert broken(made, by) == rules, "the verdict is remembered"


def test_a_session_id_begins_with_the_origin_host() -> None:
    assert broken(request(session="other.example;1;1")) == [Rule.SESSION_ID]


def test_a_session_belongs_to_the_gateway_that_opened_it() -> None:
    node = Node()
    node.operator()
    node.top_up(10**9)
    node.charge(ccr(INITIAL, 0, service(), session=f"{HOST};1;1"), GATEWAY)
    assert broken(request(UPDATE), node=node) == []
    thief = "thief.visited.example"
    by = Seen(Agreement(origin_host=thief, origin_realm=REALM))
    assert broken(request(UPDATE, origin_host=thief), by, node=node) == [Rule.SESSION_ID, Rule.SESSION_OWNER]


def test_a_peer_charges_the_subscribers_that_were_agreed() -> None:
    assert broken(request(), seen(imsi_prefixes=("26201", "001019"))) == [Rule.IMSI_PREFIX]
    assert broken(request(UPDATE), seen(imsi_prefixes=("26201",))) == [], "a CCR-U is known by its session"


def test_a_peer_speaks_for_its_own_network() -> None:
    made = request()
    made.bearer = type(made.bearer)(sgsn_mcc_mnc="26201")
    assert broken(made, seen(plmns=frozenset({"99970"}))) == [Rule.VISITED_PLMN]
    assert broken(made, seen(plmns=frozenset({"26201"}))) == []


def test_nobody_is_in_two_places() -> None:
    screening = Screening(ALL, Rates())
    far = "far.example"
    by = Seen(Agreement(origin_host=f"sgw.{far}", origin_realm=far))
    there = request(session=f"sgw.{far};1;1", origin_host=f"sgw.{far}", origin_realm=far)
    assert broken(request(), screening=screening) == []
    assert broken(request(), screening=screening, now=UnixMillis(NOW + 1)) == [], "the same place again"
    assert broken(there, by, screening, now=UnixMillis(NOW + MINUTE)) == [Rule.TWO_PLACES]
    assert broken(request(), screening=screening, now=UnixMillis(NOW + 20 * MINUTE)) == []


def test_who_is_refused_has_moved_nobody() -> None:
    screening = Screening({**ALL, Rule.TWO_PLACES: Mode.REFUSE}, Rates())
    far = "far.example"
    by = Seen(Agreement(origin_host=f"sgw.{far}", origin_realm=far))
    there = request(session=f"sgw.{far};1;1", origin_host=f"sgw.{far}", origin_realm=far)
    assert broken(request(), screening=screening) == []
    assert broken(there, by, screening, now=UnixMillis(NOW + SECOND)) == [Rule.TWO_PLACES]
    assert broken(request(), screening=screening, now=UnixMillis(NOW + 2 * SECOND)) == []


def test_the_places_heard_of_longest_ago_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ocs.credit_control.screening.PLACES_MAX", 2)
    screening = Screening(ALL, Rates())
    near, far = seen(), Seen(Agreement(origin_host="sgw.far.example", origin_realm="far.example"))
    first, second, third = (f"00101000000000{number}" for number in range(3))

    def here(imsi: str) -> list[Rule]:
        return broken(request(imsi=imsi), near, screening)

    def there(imsi: str) -> list[Rule]:
        made = request(session="sgw.far.example;1", origin_host="sgw.far.example", origin_realm="far.example")
        made.imsi = imsi
        return broken(made, far, screening)

    assert here(first) == here(second) == here(first) == here(third) == []
    assert there(first) == [Rule.TWO_PLACES], "it was heard of again after the second"
    assert there(second) == [], "forgotten"


def test_rates_are_those_of_a_second() -> None:
    node = Node()
    node.operator()
    screening = Screening(ALL, Rates(peer=5, operator=4, session=3))
    by = seen()
    told = [broken(request(), by, screening, node) for _ in range(6)]
    assert told[:3] == [[], [], []]
    assert told[3] == [Rule.SESSION_RATE]
    assert told[4] == [Rule.OPERATOR_RATE, Rule.SESSION_RATE]
    assert told[5] == [Rule.PEER_RATE, Rule.OPERATOR_RATE, Rule.SESSION_RATE]
    assert broken(request(), by, screening, node, UnixMillis(NOW + SECOND)) == []


def test_what_is_off_is_not_looked_at() -> None:
    screening = Screening(dict.fromkeys(Rule, Mode.OFF), Rates(peer=1, operator=1, session=1))
    made = request(session="x", origin_host="y", origin_realm="z")
    assert [broken(made, seen(imsi_prefixes=("9",)), screening) for _ in range(3)] == [[], [], []]


@pytest.mark.parametrize("rule", Rule)
def test_a_rule_refuses_only_where_it_should(rule: Rule) -> None:
    asked = request(session="x")
    found = Screening(ALL, Rates()).look(seen(), asked, Node().state.charging, NOW)
    assert found is not None
    finding = found[0]._replace(rule=rule)
    Screening(ALL, Rates()).refuse([finding], asked)
    with pytest.raises((AuthorizationRejected, UnknownSessionId, TooBusy)) as refusal:
        Screening({**ALL, rule: Mode.REFUSE}, Rates()).refuse([finding], asked)
    assert refusal.type is REFUSALS[rule]
    assert rule in refusal.value.detail


@pytest.mark.parametrize("rule", sorted(RATES))
def test_no_rate_keeps_a_session_open(rule: Rule) -> None:
    Screening({**ALL, rule: Mode.REFUSE}, Rates()).refuse([Finding(rule, "")], request(TERMINATION))
    with pytest.raises(TooBusy):
        Screening({**ALL, rule: Mode.REFUSE}, Rates()).refuse([Finding(rule, "")], request(UPDATE))
