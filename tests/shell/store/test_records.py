"""Records as the first release wrote them stay readable for ever.  docs/adr/0006-records.md.

The vectors are never changed: where a type grows a field, its old record must still be read, with the default, and
how it is written since stands under "grown".
"""

import json
from pathlib import Path

import msgspec
import pytest

from ocs import image
from ocs.balance.event import OperatorAdded, OperatorChanged, Reversed, TariffAdded, ToppedUp, TopUpKind, WrittenOff
from ocs.channel.event import (
    ChannelOpened,
    ChannelStepped,
    CreditsBought,
    LogWitnessed,
    SessionBegun,
    SessionFrozen,
    UsageCommitted,
)
from ocs.credit_control.event import (
    AnswerDropped,
    Bearer,
    EndCause,
    Expired,
    Gateway,
    Opening,
    Refused,
    ServiceStep,
    State,
    Stepped,
    TerminationAsked,
    Why,
)
from ocs.credit_control.rest import unpack, unpack_answer
from ocs.credit_control.session import Answer, Service, Session
from ocs.errors import JournalFault
from ocs.shell.store import records
from ocs.state import Event, PeerAllowed, PeerRevoked, Started
from ocs.units import Credits, DataCredits, GroupIndex, Octets, OperatorId, TariffId, UnixMillis
from ocs.usage.event import KeyRevoked, KeyRotated, ReportRefused, SignersAdded

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "records.json").read_text())
AT = UnixMillis(1_800_000_000_123)

STEP = ServiceStep(
    rating_group=7,
    service_ids=(3, 1),
    tariff=TariffId(2),
    ended=True,
    used=Octets(1_500_001),
    charged=Credits(4503),
    overrun=Credits(3),
    granted=Octets(10_000_000),
    reserved=Credits(30_000),
    result_code=2001,
    why=Why.DEFAULT_SIZE,
    final=False,
    validity_seconds=3600,
    threshold=Octets(500_000),
    holding_seconds=60,
    reasons=0b1001,
    asked=0,
)
EVENTS: dict[str, Event] = {
    "started": Started(AT, "0.1.0", UnixMillis(AT + 3_600_000)),
    "operator added": OperatorAdded(
        AT, OperatorId(1), "home", ["00101", "0010277"], None, TariffId(1), Credits(3), Octets(1000)
    ),
    "operator changed": OperatorChanged(AT, OperatorId(1), ["00103"], Octets(50_000_000)),
    "tariff added": TariffAdded(AT, TariffId(2), OperatorId(1), 7, "internet", Credits(2), Octets(1)),
    "topped up": ToppedUp(
        AT,
        1,
        OperatorId(1),
        Credits(250_000),
        TopUpKind.LENT,
        "invoice 2027-001",
        "key-1",
        b"12345678",
        Credits(250_000),
        Credits(249_000),
        Credits(0),
        Credits(1000),
        Credits(0),
    ),
    "reversed": Reversed(AT, 1, OperatorId(1), Credits(1000), "paid twice"),
    "written off": WrittenOff(AT, OperatorId(1), Credits(5), "insolvent"),
    "peer allowed": PeerAllowed(AT, "sgw.visited.example", ("192.0.2.0/24", "2001:db8::1"), "magma"),
    "peer revoked": PeerRevoked(AT, "sgw.visited.example"),
    "stepped": Stepped(
        at=AT,
        session_id=b"sgw;1;\xff",
        request_type=1,
        number=0,
        digest=b"abcdefgh",
        result_code=2001,
        state=State.OPEN,
        deadline=UnixMillis(AT + 7_200_000),
        services=(STEP,),
        previous=GroupIndex(0),
        opening=Opening(
            OperatorId(1), "001010000000001", "4670000001", "internet", "32251@3gpp.org", TariffId(2), Bearer(), True
        ),
        gateway=Gateway("sgw.visited.example", "visited.example", "dra.example", "standard"),
        why=Why.NOT_ASKED,
        notes=3,
        termination_cause=1,
        action=-1,
        end_to_end=0xFFFFFFFF,
        event_timestamp=4_000_000_000,
        end_cause=0,
    ),
    "expired": Expired(AT, b"sgw;1;1", EndCause.EXPIRED, GroupIndex(41)),
    "answer dropped": AnswerDropped(AT, b"sgw;1;1", 4, UnixMillis(AT + 10_000), GroupIndex(41)),
    "refused": Refused(AT, b"sgw;1;1", 2, 3, 5012, Octets(99), "sgw.visited.example", "other content"),
    "termination asked": TerminationAsked(AT, b"sgw;1;1", "fraud desk, case 7", GroupIndex(41)),
    "credits bought": CreditsBought(AT, 1, DataCredits(250_000), "invoice 2027-002", "key-2"),
    "channel opened": ChannelOpened(
        AT, 1, b"C" * 32, DataCredits(1000), 1, Octets(20_000), UnixMillis(AT + 7_200_000), 3_600_000, b"envelope"
    ),
    "channel stepped": ChannelStepped(AT, 1, 2, 1),
    "session begun": SessionBegun(
        AT, 1, b"s" * 16, b"sgw;1;1", b"\x01" * 33, b"\x02" * 33, Octets(10**7), AT, b"r" * 32, b"c" * 32, b"envelope"
    ),
    "usage committed": UsageCommitted(
        AT, b"s" * 16, 2, Octets(1000), Octets(2**40), AT, True, 5, b"r" * 32, b"c" * 32, b"envelope"
    ),
    "session frozen": SessionFrozen(AT, b"s" * 16, 1, b"first", b"second"),
    "log witnessed": LogWitnessed(AT, 17, b"R" * 32, "— witness.example AAAAAAAA\n".encode()),
    "signers added": SignersAdded(AT, "sgw.visited.example", b"S" * 32, b"M" * 32, AT, UnixMillis(0)),
    "key revoked": KeyRevoked(AT, b"S" * 32, "stolen"),
    "key rotated": KeyRotated(AT, b"S" * 32, b"T" * 32, AT, UnixMillis(AT + 86_400_000), b"rotation"),
    "report refused": ReportRefused(AT, "over_grant", "too much", b"M" * 32, b"envelope"),
}


@pytest.mark.parametrize("name", EVENTS)
def test_a_record_is_read_and_written_as_ever(name: str) -> None:
    octets = bytes.fromhex(VECTORS["records"][name])
    assert records.decode(octets) == [EVENTS[name]]
    written = bytes.fromhex(VECTORS["grown"].get(name, VECTORS["records"][name]))
    assert records.encode([EVENTS[name]]) == written
    assert records.decode(written) == [EVENTS[name]]


def test_every_type_has_its_vector() -> None:
    assert {type(event) for event in EVENTS.values()} == set(Event.__args__)
    assert set(EVENTS) == set(VECTORS["records"])


def test_numbers_of_types_are_their_own() -> None:
    tags = [kind.__struct_config__.tag for kind in Event.__args__]
    assert len(set(tags)) == len(tags)


def test_the_state_of_the_first_release_is_read() -> None:
    chunks = [bytes.fromhex(chunk) for chunk in VECTORS["image"]]
    state = image.restore(chunks)
    rewritten = list(image.chunks(state))
    first, kept_first = (msgspec.msgpack.decode(chunk) for chunk in (chunks[0], rewritten[0]))
    assert kept_first[: len(first)] == first, "fields are appended only"
    assert list(image.chunks(image.restore(rewritten))) == rewritten
    # Sessions lie otherwise now, and say the same.
    for (name, old), (same, new) in zip(
        *(msgspec.msgpack.decode(chunk) for chunk in (chunks[1], rewritten[1])), strict=True
    ):
        assert name == same
        fields, kept = msgspec.msgpack.decode(old), msgspec.structs.asdict(unpack(new))
        for field, value in zip(Session.__struct_fields__, fields, strict=False):
            if field == "answers":
                assert [unpack_answer(answer) for answer in kept["answers"]] == msgspec.convert(value, list[Answer])
            elif field == "services":
                assert kept["services"] == msgspec.convert(value, list[Service])
            else:
                assert kept[field] == value
        assert kept["highest"] == max(answer[0] for answer in fields[Session.__struct_fields__.index("answers")])
    home = state.charging.operators.named("home")
    assert home is not None
    assert home.account.consumed == VECTORS["consumed"] > 0
    assert home.account.reserved == VECTORS["reserved"] > 0
    assert len(state.charging.sessions) == 2
    assert state.reversed_credits
    assert state.peers


def test_a_type_of_a_newer_release_is_named() -> None:
    payload = msgspec.msgpack.encode([[1, AT, "9.9.9", AT], [99, AT]])
    with pytest.raises(JournalFault, match=r"record 1 has type 99: a newer release"):
        records.decode(payload)


def test_a_record_that_lacks_fields_is_refused() -> None:
    with pytest.raises(JournalFault, match="does not have the fields of its type"):
        records.decode(msgspec.msgpack.encode([[1, AT]]))


@pytest.mark.parametrize("payload", [b"", b"\xc1", b"\x80", b"\x91\x01"])
def test_what_is_no_array_of_records_is_refused(payload: bytes) -> None:
    with pytest.raises(JournalFault, match="no array of records"):
        records.decode(payload)
