"""Explanations: every rule of every event has its own words, and they carry its figures."""

import pytest

from ledger_node import GATEWAY, INITIAL, UPDATE, Node, ccr, service
from ocs.credit_control.event import EndCause, Expired, Note, Refused, ServiceStep, State, Stepped, Why
from ocs.diameter.codes import CcRequestType, RequestedAction
from ocs.shell.api.explain import explain
from ocs.state import Started
from ocs.units import Credits, GroupIndex, Octets, TariffId, UnixMillis

NOW = UnixMillis(1_800_000_000_000)
GRANTED = [why for why in Why if 0 < why < 20]
REFUSED = [why for why in Why if why >= 20 and why is not Why.ACTION_DONE]


def step(why: Why, *, code: int = 2001, granted: int = 0, used: int = 0, **more: int | bool) -> ServiceStep:
    return ServiceStep(
        rating_group=7,
        service_ids=(3, 4),
        tariff=TariffId(1),
        ended=True,
        used=Octets(used),
        charged=Credits(int(more.pop("charged", 0))),
        overrun=Credits(int(more.pop("overrun", 0))),
        granted=Octets(granted),
        reserved=Credits(20),
        result_code=code,
        why=why,
        final=bool(more.pop("final", False)),
        validity_seconds=int(more.pop("validity", 0)),
        threshold=Octets(0),
        asked=int(more.pop("asked", 0)),
    )


def stepped(*steps: ServiceStep, **more: int) -> Stepped:
    return Stepped(
        at=NOW,
        session_id=b"s",
        request_type=more.pop("kind", int(CcRequestType.UPDATE)),
        number=4,
        digest=b"",
        result_code=more.pop("code", 2001),
        state=State(more.pop("state", 1)),
        deadline=NOW,
        services=steps,
        previous=GroupIndex(0),
        why=Why(more.pop("why", 0)),
        notes=more.pop("notes", 0),
        end_cause=more.pop("end_cause", 0),
        action=more.pop("action", -1),
    )


@pytest.mark.parametrize("why", GRANTED)
def test_each_size_of_a_grant_has_its_reason(why: Why) -> None:
    told = explain(stepped(step(why, granted=12_345_678)))
    assert told[1].startswith("Rating-Group 7 with Service-Identifier 3, 4: 12,345,678 octets granted, ")
    assert told[1].endswith("; 20 credits reserved.")


def test_no_two_sizes_are_told_alike() -> None:
    told = {explain(stepped(step(why, granted=1)))[1] for why in GRANTED}
    assert len(told) == len(GRANTED)


def test_no_two_refusals_are_told_alike() -> None:
    told = {explain(stepped(step(why, code=5003)))[1] for why in REFUSED}
    assert len(told) == len(REFUSED)
    assert all("refused with 5003 AUTHORIZATION_REJECTED, for " in sentence for sentence in told)
    assert not any("could not be served" in sentence for sentence in told)


def test_no_two_notes_and_no_two_ends_are_told_alike() -> None:
    notes = [explain(stepped(notes=int(note)))[1] for note in Note]
    ends = [explain(stepped(state=State.ENDED, end_cause=cause))[1] for cause in EndCause]
    assert len({*notes, *ends}) == len(Note) + len(EndCause)


def test_what_could_not_be_paid_is_told() -> None:
    told = explain(stepped(step(Why.NOT_ASKED, used=3000, charged=3, overrun=1, asked=-1)))
    assert told[1] == (
        "Rating-Group 7 with Service-Identifier 3, 4: 3,000 octets used, 3 credits charged, "
        "of which 1 credit could not be paid and are owed."
    )


def test_a_refusal_says_when_to_ask_again() -> None:
    told = explain(stepped(step(Why.NO_BALANCE, code=4012, validity=60)))
    assert told[2].endswith("the gateway may ask again after 60 s.")


def test_a_refund_that_goes_too_far_is_told_as_such() -> None:
    kind = int(CcRequestType.EVENT)
    refund = int(RequestedAction.REFUND_ACCOUNT)
    refused = explain(stepped(step(Why.NO_BALANCE, code=5012), kind=kind, action=refund, code=5012, why=Why.NO_BALANCE))
    assert refused[0].startswith("CCR-E (refund) 4 was answered 5012")
    assert "less was consumed than was to be given back" in refused[1]
    done = explain(stepped(step(Why.ACTION_DONE, granted=9, charged=-5), kind=kind, action=refund))
    assert done[1].endswith("5 credits given back for 9 octets.")


def test_a_conflict_says_what_nobody_paid_for() -> None:
    event = Refused(NOW, b"s", int(CcRequestType.UPDATE), 4, 5002, Octets(2000), "sgw", "no such session")
    assert explain(event) == [
        "CCR-U 4 from sgw was answered 5002 UNKNOWN_SESSION_ID: no such session.",
        "It reported 2,000 octets, which nobody was charged for.",
    ]


def test_supervision_is_told() -> None:
    assert "supervision" in explain(Expired(NOW, b"s", EndCause.EXPIRED, GroupIndex(1)))[0]


def test_an_event_of_no_session_has_nothing_to_tell() -> None:
    assert explain(Started(NOW, "1", NOW)) == []


def test_an_ending_session_is_told_what_follows() -> None:
    node = Node()
    node.operator()
    node.top_up(10_000_000)
    node.charge(ccr(INITIAL, 0, service(1)), GATEWAY)
    node.charge(ccr(UPDATE, 1, service(1, used=10_000_000)), GATEWAY)
    told = explain(node.events[-1])
    assert told[0].startswith("CCR-U 1 was answered 5003 AUTHORIZATION_REJECTED: the operator's credit pays")
    assert told[-1] == "The session is ending: its reservations returned, and the CCR-T that follows is charged."
