"""The peer connection: each row once, each absent row refused; two ends and a fake wire; any bytes at all."""

import random
from collections.abc import Callable
from ipaddress import ip_address
from itertools import pairwise, product

import pytest
from diameter.message import Message
from diameter.message.commands import (
    CapabilitiesExchangeRequest,
    DeviceWatchdogRequest,
    DisconnectPeerRequest,
    ReAuthAnswer,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from ocs.diameter import avp, base, framing, watchdog
from ocs.diameter.base import Introduction, LocalNode
from ocs.diameter.codes import Avp, Command, DisconnectCause, Flag
from ocs.diameter.framing import HEADER_OCTETS, Framer, Header, read_header
from ocs.diameter.happening import (
    Answer,
    Closed,
    Happening,
    Leaving,
    Opened,
    Reason,
    Request,
    Unanswered,
    WatchdogChanged,
)
from ocs.diameter.peer import DOUBT_MS, Admission, PeerConnection, PeerLimits, Verdict
from ocs.diameter.peer_state import TABLE, Event, State
from ocs.errors import OutOfTurn, Unavailable
from ocs.units import UnixMillis

NOW = UnixMillis(1_700_000_000_000)
LOCAL = LocalNode(
    origin_host="ocs.example.net",
    origin_realm="example.net",
    addresses=(ip_address("127.0.0.1"),),
    origin_state_id=77,
)
HOST = avp.utf8(264, "gw.visited.example")
REALM = avp.utf8(296, "visited.example")
STATE = avp.unsigned32(278, 100)
CER_AVPS = (
    HOST
    + REALM
    + avp.encode(257, b"\0\1\x7f\0\0\1")
    + avp.unsigned32(266, 0)
    + avp.utf8(269, "gateway", flags=0)
    + avp.unsigned32(258, 4)
    + STATE
)
CCR_AVPS = avp.utf8(263, "gw.visited.example;1;2") + HOST + REALM + avp.unsigned32(416, 1) + avp.unsigned32(415, 0)

OURS = avp.utf8(264, "ocs.example.net") + avp.utf8(296, "example.net")
RAR_AVPS = avp.utf8(263, "gw.visited.example;1;2") + OURS + avp.unsigned32(258, 4) + avp.unsigned32(285, 0)
CCA_AVPS = avp.utf8(263, "gw.visited.example;1;2") + avp.unsigned32(268, 2001) + OURS + avp.unsigned32(258, 4)


def after(ms: int) -> UnixMillis:
    return UnixMillis(NOW + ms)


def message(flags: int, command: int, application: int = 0, ident: int = 1, avps: bytes = b"") -> bytes:
    return framing.encode(flags, command, application, ident, ident, avps)


CER = message(0x80, 257, 0, 1, CER_AVPS)
DWR = message(0x80, 280, 0, 2, HOST + REALM)
DWA = message(0x00, 280, 0, 3, HOST + REALM)
DPR = message(0x80, 282, 0, 4, HOST + REALM + avp.unsigned32(273, 2))
DPA = message(0x00, 282, 0, 5, HOST + REALM)
CCR = message(0xC0, 272, 4, 6, CCR_AVPS)
CCA = message(0x40, 272, 4, 6)
FAULTY = message(0xC0, 999, 4, 7)
STRAY = message(0x40, 258, 4, 8)
BAD_LENGTH = b"\x01\x00\x00\x15" + CCR[4:20]


class Steady:
    """No jitter, and ids that count from the middle of their range."""

    def randint(self, a: int, b: int, /) -> int:
        return (a + b) // 2


def accept(_: Introduction) -> Admission:
    return Admission(Verdict.ACCEPT)


def connection(
    admit: Callable[[Introduction], Admission] = accept, *, secure: bool = False, **limits: int
) -> PeerConnection:
    return PeerConnection(LOCAL, admit, NOW, Steady(), secure=secure, limits=PeerLimits(**limits))


def opened(**limits: int) -> PeerConnection:
    peer = connection(accept, secure=False, **limits)
    (happening,) = peer.receive(CER, NOW)
    assert isinstance(happening, Opened)
    (cea,) = sent(peer)
    assert (cea.command, cea.flags) == (257, 0)
    return peer


def sent(peer: PeerConnection) -> list[Header]:
    return [read_header(one) for one in Framer().feed(peer.data_to_send())]


def result(octets: bytes) -> int:
    (raw,) = (raw for raw in avp.walk(octets, HEADER_OCTETS, len(octets)) if raw.code == Avp.RESULT_CODE)
    return int.from_bytes(octets[raw.start : raw.end], "big")


def results(peer: PeerConnection) -> list[tuple[int, int, bool]]:
    """What is queued, as (command, Result-Code or 0 in a request, E bit)."""
    listed = []
    for octets in Framer().feed(peer.data_to_send()):
        header = read_header(octets)
        code = 0 if header.is_request else result(octets)
        listed.append((header.command, code, bool(header.flags & Flag.ERROR)))
    return listed


def request(happenings: list[Happening]) -> Request:
    (one,) = happenings
    assert isinstance(one, Request)
    return one


def closed(happenings: list[Happening]) -> Reason:
    (one,) = [one for one in happenings if isinstance(one, Closed)]
    return one.reason


# The table

ENTER: dict[State, Callable[[], PeerConnection]] = {}


def enters(state: State) -> Callable[[Callable[[], PeerConnection]], Callable[[], PeerConnection]]:
    def note(way: Callable[[], PeerConnection]) -> Callable[[], PeerConnection]:
        ENTER[state] = way
        return way

    return note


@enters(State.WAIT_CER)
def waiting() -> PeerConnection:
    return connection()


@enters(State.OPEN)
def serving() -> PeerConnection:
    peer = opened()
    peer.receive(CCR, NOW)
    return peer


@enters(State.FINISHING)
def finishing() -> PeerConnection:
    peer = serving()
    assert peer.disconnect(DisconnectCause.REBOOTING, NOW) == []
    return peer


@enters(State.CLOSING)
def closing() -> PeerConnection:
    peer = finishing()
    peer.tick(after(4_000))
    assert results(peer) == [(282, 0, False)]
    return peer


@enters(State.DRAINING)
def draining() -> PeerConnection:
    peer = serving()
    assert peer.receive(DPR, NOW) == [Leaving(2)]
    return peer


@enters(State.LEAVING)
def leaving() -> PeerConnection:
    peer = draining()
    peer.tick(after(4_000))
    assert results(peer) == [(282, 2001, False)]
    return peer


@enters(State.CLOSED)
def over() -> PeerConnection:
    peer = serving()
    peer.lost(NOW)
    return peer


SAME = None
# What is received, done or awaited in each state: the next state, what is sent, and why the connection ended.
SCENES: list[tuple[State, Event, State | None, list[tuple[int, int, bool]], Reason | None]] = [
    (State.WAIT_CER, Event.CER, State.OPEN, [(257, 2001, False)], None),
    (State.WAIT_CER, Event.REQUEST, State.CLOSED, [], Reason.NOT_AN_INTRODUCTION),
    (State.WAIT_CER, Event.FAULTY_REQUEST, State.CLOSED, [], Reason.NOT_AN_INTRODUCTION),
    (State.WAIT_CER, Event.ANSWER, State.CLOSED, [], Reason.NOT_AN_INTRODUCTION),
    (State.WAIT_CER, Event.DWR, State.CLOSED, [], Reason.NOT_AN_INTRODUCTION),
    (State.WAIT_CER, Event.DWA, State.CLOSED, [], Reason.NOT_AN_INTRODUCTION),
    (State.WAIT_CER, Event.DPR, State.CLOSED, [], Reason.NOT_AN_INTRODUCTION),
    (State.WAIT_CER, Event.DPA, State.CLOSED, [], Reason.NOT_AN_INTRODUCTION),
    (State.WAIT_CER, Event.TIMEOUT, State.CLOSED, [], Reason.NO_INTRODUCTION),
    (State.WAIT_CER, Event.STOP, State.CLOSED, [], Reason.STOPPED),
    (State.WAIT_CER, Event.LOST, State.CLOSED, [], Reason.LOST),
    (State.WAIT_CER, Event.BROKEN, State.CLOSED, [], Reason.LENGTH),
    (State.WAIT_CER, Event.STALLED, State.CLOSED, [], Reason.STALLED),
    (State.OPEN, Event.REQUEST, SAME, [], None),
    (State.OPEN, Event.FAULTY_REQUEST, SAME, [(999, 3001, True)], None),
    (State.OPEN, Event.ANSWER, SAME, [], None),
    (State.OPEN, Event.CER, SAME, [(257, 5012, False)], None),
    (State.OPEN, Event.DWR, SAME, [(280, 2001, False)], None),
    (State.OPEN, Event.DWA, SAME, [], None),
    (State.OPEN, Event.DPR, State.DRAINING, [], None),
    (State.OPEN, Event.DPA, SAME, [], None),
    (State.OPEN, Event.ANSWERED, SAME, [(272, 2001, False)], None),
    (State.OPEN, Event.SEND, SAME, [(258, 0, False)], None),
    (State.OPEN, Event.STOP, State.FINISHING, [], None),
    (State.OPEN, Event.LOST, State.CLOSED, [], Reason.LOST),
    (State.OPEN, Event.BROKEN, State.CLOSED, [(272, 5015, False)], Reason.LENGTH),
    (State.OPEN, Event.STALLED, State.CLOSED, [], Reason.STALLED),
    (State.OPEN, Event.DEAD, State.CLOSED, [(280, 0, False)], Reason.WATCHDOG),
    (State.FINISHING, Event.REQUEST, SAME, [(272, 3004, True)], None),
    (State.FINISHING, Event.FAULTY_REQUEST, SAME, [(999, 3001, True)], None),
    (State.FINISHING, Event.ANSWER, SAME, [], None),
    (State.FINISHING, Event.CER, SAME, [(257, 5012, False)], None),
    (State.FINISHING, Event.DWR, SAME, [(280, 2001, False)], None),
    (State.FINISHING, Event.DWA, SAME, [], None),
    (State.FINISHING, Event.DPR, State.DRAINING, [], None),
    (State.FINISHING, Event.DPA, SAME, [], None),
    (State.FINISHING, Event.ANSWERED, State.CLOSING, [(272, 2001, False), (282, 0, False)], None),
    (State.FINISHING, Event.STOP, SAME, [], None),
    (State.FINISHING, Event.TIMEOUT, State.CLOSING, [(282, 0, False)], None),
    (State.FINISHING, Event.LOST, State.CLOSED, [], Reason.LOST),
    (State.FINISHING, Event.BROKEN, State.CLOSED, [(272, 5015, False)], Reason.LENGTH),
    (State.FINISHING, Event.STALLED, State.CLOSED, [(282, 0, False)], Reason.STALLED),
    (State.CLOSING, Event.REQUEST, SAME, [(272, 3004, True)], None),
    (State.CLOSING, Event.FAULTY_REQUEST, SAME, [(999, 3001, True)], None),
    (State.CLOSING, Event.ANSWER, SAME, [], None),
    (State.CLOSING, Event.CER, SAME, [], None),
    (State.CLOSING, Event.DWR, SAME, [(280, 2001, False)], None),
    (State.CLOSING, Event.DWA, SAME, [], None),
    (State.CLOSING, Event.DPR, SAME, [(282, 2001, False)], None),
    (State.CLOSING, Event.DPA, State.CLOSED, [], Reason.STOPPED),
    (State.CLOSING, Event.ANSWERED, SAME, [(272, 2001, False)], None),
    (State.CLOSING, Event.STOP, SAME, [], None),
    (State.CLOSING, Event.TIMEOUT, State.CLOSED, [], Reason.STOPPED),
    (State.CLOSING, Event.LOST, State.CLOSED, [], Reason.STOPPED),
    (State.CLOSING, Event.BROKEN, State.CLOSED, [(272, 5015, False)], Reason.LENGTH),
    (State.CLOSING, Event.STALLED, State.CLOSED, [], Reason.STALLED),
    (State.DRAINING, Event.REQUEST, SAME, [], None),
    (State.DRAINING, Event.FAULTY_REQUEST, SAME, [], None),
    (State.DRAINING, Event.ANSWER, SAME, [], None),
    (State.DRAINING, Event.CER, SAME, [], None),
    (State.DRAINING, Event.DWR, SAME, [], None),
    (State.DRAINING, Event.DWA, SAME, [], None),
    (State.DRAINING, Event.DPR, SAME, [], None),
    (State.DRAINING, Event.DPA, SAME, [], None),
    (State.DRAINING, Event.ANSWERED, State.LEAVING, [(272, 2001, False), (282, 2001, False)], None),
    (State.DRAINING, Event.STOP, SAME, [], None),
    (State.DRAINING, Event.TIMEOUT, State.LEAVING, [(282, 2001, False)], None),
    (State.DRAINING, Event.LOST, State.CLOSED, [], Reason.LEFT),
    (State.DRAINING, Event.BROKEN, State.CLOSED, [(272, 5015, False)], Reason.LENGTH),
    (State.DRAINING, Event.STALLED, State.CLOSED, [(282, 2001, False)], Reason.STALLED),
    (State.LEAVING, Event.REQUEST, SAME, [], None),
    (State.LEAVING, Event.FAULTY_REQUEST, SAME, [], None),
    (State.LEAVING, Event.ANSWER, SAME, [], None),
    (State.LEAVING, Event.CER, SAME, [], None),
    (State.LEAVING, Event.DWR, SAME, [], None),
    (State.LEAVING, Event.DWA, SAME, [], None),
    (State.LEAVING, Event.DPR, SAME, [], None),
    (State.LEAVING, Event.DPA, SAME, [], None),
    (State.LEAVING, Event.ANSWERED, SAME, [], None),
    (State.LEAVING, Event.STOP, SAME, [], None),
    (State.LEAVING, Event.TIMEOUT, State.CLOSED, [], Reason.LEFT),
    (State.LEAVING, Event.LOST, State.CLOSED, [], Reason.LEFT),
    (State.LEAVING, Event.BROKEN, State.CLOSED, [], Reason.LENGTH),
    (State.LEAVING, Event.STALLED, State.CLOSED, [], Reason.STALLED),
    (State.CLOSED, Event.ANSWERED, SAME, [], None),
    (State.CLOSED, Event.LOST, SAME, [], None),
]
MESSAGES = {
    Event.CER: CER,
    Event.DWR: DWR,
    Event.DWA: DWA,
    Event.DPR: DPR,
    Event.DPA: DPA,
    Event.REQUEST: CCR,
    Event.FAULTY_REQUEST: FAULTY,
    Event.ANSWER: STRAY,
    Event.BROKEN: BAD_LENGTH,
}
SERVED = Request(CCR, NOW)
GOOD_CCA = base.answer(SERVED.header, avp.unsigned32(268, 2001))


def happen(peer: PeerConnection, event: Event) -> list[Happening]:
    """Let `event` come about as it does in the field."""
    if event in MESSAGES:
        return peer.receive(MESSAGES[event], after(10))
    if event is Event.ANSWERED:
        peer.answer(SERVED, GOOD_CCA)
        return []
    if event is Event.SEND:
        peer.send(Command.RE_AUTH, 4, HOST, after(10))
        return []
    if event is Event.STOP:
        return peer.disconnect(DisconnectCause.REBOOTING, after(10))
    if event is Event.LOST:
        return peer.lost(after(10))
    if event is Event.STALLED:
        # Just late enough for the rest of a message, and not a millisecond more than it takes in any state.
        happenings = peer.receive(CCR[:30], NOW)
        happenings += peer.tick(after(5_000)) if peer.state in (State.FINISHING, State.DRAINING) else []
        return happenings + peer.tick(after(10_000))
    if event is Event.TIMEOUT:
        due = peer.next_deadline()
        assert due is not None
        return peer.tick(due)
    assert event is Event.DEAD
    happenings = []
    while (due := peer.next_deadline()) is not None:
        happenings += peer.tick(due)
    return happenings


def scene_name(scene: tuple[State, Event, State | None, list[tuple[int, int, bool]], Reason | None]) -> str:
    return f"{scene[0].name}-{scene[1].name}"


@pytest.mark.parametrize("scene", SCENES, ids=scene_name)
def test_each_row_once(
    scene: tuple[State, Event, State | None, list[tuple[int, int, bool]], Reason | None],
) -> None:
    state, event, next_state, messages, reason = scene
    peer = ENTER[state]()
    assert peer.state is state
    happenings = happen(peer, event)
    assert peer.state is (state if next_state is None else next_state)
    assert results(peer) == messages
    assert [one.reason for one in happenings if isinstance(one, Closed)] == ([] if reason is None else [reason])
    assert peer.want_close is (peer.state is State.CLOSED)
    assert (peer.next_deadline() is None) is peer.want_close


# Rows that a step makes by itself, seen through the rows above: the verdict on a CER, and the last answer given.
OWN = {
    (State.WAIT_CER, Event.ADMITTED),
    (State.WAIT_CER, Event.REFUSED),
    (State.FINISHING, Event.DRAINED),
    (State.DRAINING, Event.DRAINED),
}


def test_the_scenes_are_the_table() -> None:
    assert {scene[:2] for scene in SCENES} | OWN == TABLE.keys()


def test_from_each_state_the_connection_can_end() -> None:
    ends = {state for (state, _), (_, following) in TABLE.items() if following is State.CLOSED}
    assert ends == set(State)


@pytest.mark.parametrize(("state", "event"), sorted(set(product(State, Event)) - TABLE.keys()))
def test_an_absent_row_is_refused_and_changes_nothing(state: State, event: Event) -> None:
    peer = ENTER[state]()
    peer.data_to_send()
    with pytest.raises(OutOfTurn, match=event.name):
        peer._step(event)
    assert (peer.state, peer.data_to_send(), peer.tick(NOW)) == (state, b"", [])


# The introduction


def test_an_opening() -> None:
    peer = connection()
    assert peer.next_deadline() == after(10_000)
    assert peer.identity is None
    (happening,) = peer.receive(CER, after(5))
    assert isinstance(happening, Opened)
    assert peer.identity is happening.introduction
    assert (peer.identity.origin_host, peer.identity.product_name) == ("gw.visited.example", "gateway")
    assert peer.watchdog_state is watchdog.State.OKAY
    assert peer.next_deadline() == after(30_005)
    theirs = Message.from_bytes(peer.data_to_send())
    assert (theirs.result_code, theirs.auth_application_id) == (2001, [4])
    assert peer.data_to_send() == b""


@pytest.mark.fault(24, 26)
@pytest.mark.parametrize(
    ("admission", "code", "error"),
    [(Admission(Verdict.REFUSE, "not on the list"), 3010, True), (Admission(Verdict.BUSY), 4003, False)],
)
def test_the_shell_may_refuse(admission: Admission, code: int, error: bool) -> None:
    peer = connection(lambda _: admission)
    (end,) = peer.receive(CER, NOW)
    assert isinstance(end, Closed)
    assert end.reason is Reason.REFUSED
    assert admission.reason in end.detail
    assert (peer.want_close, peer.identity) == (True, None)
    assert peer.counters.refusals == {code: 1}
    assert results(peer) == [(257, code, error)]


@pytest.mark.fault(25)
@pytest.mark.parametrize(
    ("avps", "code"),
    [
        (CER_AVPS.replace(avp.unsigned32(258, 4), b""), 5010),
        (CER_AVPS + avp.unsigned32(299, 1), 5017),
        (CER_AVPS.replace(HOST, b""), 5005),
        (CER_AVPS + HOST, 5009),
        (CER_AVPS + avp.utf8(264, "x")[:7] + b"\x07", 5014),
    ],
)
def test_a_bad_cer_ends_the_connection_before_the_shell_is_asked(avps: bytes, code: int) -> None:
    def never(introduction: Introduction) -> Admission:
        raise AssertionError(introduction)

    peer = connection(never)
    assert closed(peer.receive(message(0x80, 257, 0, 1, avps) + CCR, NOW)) is Reason.REFUSED
    assert results(peer) == [(257, code, False)], "and the CCR behind it is not served"


@pytest.mark.fault(23)
def test_a_cer_with_wrong_header_is_told_so() -> None:
    peer = connection()
    peer.receive(message(0xA0, 257, 0, 1, CER_AVPS), NOW)
    assert results(peer) == [(257, 3008, True)]
    assert peer.want_close
    peer = connection()
    peer.receive(message(0x80, 257, 16777238, 1, CER_AVPS), NOW)
    assert results(peer) == [(257, 3007, True)]
    assert peer.want_close


@pytest.mark.fault(7)
def test_bits_that_do_no_harm() -> None:
    peer = connection()
    peer.receive(message(0x80 | 0x40 | 0x10 | 0x0F, 257, 0, 1, CER_AVPS), NOW)
    assert [header.flags for header in sent(peer)] == [0x40]
    assert request(peer.receive(message(0x80 | 0x10 | 0x05, 272, 4, 9, CCR_AVPS), NOW)).header.hop_by_hop == 9


# Framing, and requests that their header refuses


@pytest.mark.fault(1, 2, 3)
@pytest.mark.parametrize(
    ("octets", "expected", "reason"),
    [
        (b"\x02" + CCR[1:20], [(272, 5011, False)], Reason.VERSION),
        (b"\x01\x00\x00\x10" + CCR[4:20], [(272, 5015, False)], Reason.LENGTH),
        (b"\x01\x00\x00\x16" + CCR[4:20], [(272, 5015, False)], Reason.LENGTH),
        (b"\x01\x01\x00\x04" + CCR[4:20], [(272, 5015, False)], Reason.LENGTH),
        (b"\x01\xff\xff\xfc", [], Reason.LENGTH),
        (b"\x02" + CCA[1:20], [], Reason.VERSION),
    ],
    ids=["version", "short", "not a multiple of 4", "above the limit", "above, and no ids yet", "an answer"],
)
def test_a_stream_that_cannot_be_read_on_ends(
    octets: bytes, expected: list[tuple[int, int, bool]], reason: Reason
) -> None:
    peer = opened()
    first, end = peer.receive(CCR + octets, NOW)
    assert isinstance(first, Request), "what came whole before is served"
    assert closed([end]) is reason
    assert results(peer) == expected
    assert peer.want_close
    assert peer.receive(CCR, NOW) == []


@pytest.mark.fault(23)
def test_a_stranger_is_told_of_a_fault_in_its_cer_alone() -> None:
    peer = connection()
    assert closed(peer.receive(b"\x02" + CER[1:20], NOW)) is Reason.VERSION
    assert results(peer) == [(257, 5011, False)]
    peer = connection()
    assert closed(peer.receive(b"GET / HTTP/1.1\r\nHost: ocs\r\n\r\n", NOW)) is Reason.VERSION
    assert results(peer) == []


@pytest.mark.fault(6, 8, 9)
@pytest.mark.parametrize(
    ("flags", "command", "application", "code"),
    [
        (0xC0, 999, 4, 3001),
        (0xC0, 258, 4, 3001),
        (0xC0, 272, 0, 3001),
        (0x80, 280, 4, 3001),
        (0xE0, 999, 4, 3001),
        (0xC0, 272, 16777238, 3007),
        (0x80, 257, 16777238, 3007),
        (0xE0, 272, 4, 3008),
        (0xA0, 280, 0, 3008),
    ],
)
def test_a_header_out_of_order_is_refused_and_the_connection_goes_on(
    flags: int, command: int, application: int, code: int
) -> None:
    peer = opened()
    assert peer.receive(message(flags, command, application, 9, CCR_AVPS), NOW) == []
    data = peer.data_to_send()
    header = read_header(data)
    assert (header.command, header.application, header.hop_by_hop, header.end_to_end) == (command, application, 9, 9)
    assert (result(data), header.flags) == (code, flags & Flag.PROXIABLE | Flag.ERROR)
    assert b"gw.visited.example;1;2" in data
    assert peer.counters.refusals == {code: 1}
    assert request(peer.receive(CCR, NOW)).message == CCR


@pytest.mark.fault(4)
def test_a_message_that_does_not_end() -> None:
    peer = opened()
    assert peer.receive(CCR[:19], NOW) == []
    assert peer.receive(CCR[19:21], after(9_000)) == [], "more bytes do not buy more time"
    assert peer.next_deadline() == after(10_000)
    assert closed(peer.tick(after(10_000))) is Reason.STALLED


@pytest.mark.fault(4)
def test_the_time_for_a_message_begins_anew_with_each() -> None:
    peer = opened()
    peer.receive(CCR[:30], NOW)
    request(peer.receive(CCR[30:] + CCR[:30], after(9_000)))
    assert peer.next_deadline() == after(19_000)
    request(peer.receive(CCR[30:], after(10_000)))
    assert peer.next_deadline() == after(40_000)


# Serving


def test_a_request_is_served_and_answered() -> None:
    peer = opened()
    one = request(peer.receive(CCR, after(3)))
    assert one == Request(CCR, after(3))
    peer.answer(one, CCA)
    assert peer.data_to_send() == CCA
    assert (peer.counters.requests, peer.counters.answers) == (1, 1)


def test_many_answers_leave_in_one_piece() -> None:
    peer = opened()
    for one in peer.receive(CCR * 500, NOW):
        assert isinstance(one, Request)
        peer.answer(one, CCA)
    assert peer.data_to_send() == CCA * 500


def test_reading_pauses_while_too_much_is_outstanding() -> None:
    peer = opened(outstanding_max=2)
    first, second = peer.receive(CCR * 2, NOW)
    assert not peer.reading
    assert isinstance(first, Request)
    assert isinstance(second, Request)
    peer.drop(first)
    assert peer.reading
    assert peer.counters.answers_dropped == 1
    peer.answer(second, CCA)
    assert peer.data_to_send() == CCA


def test_an_answer_with_other_ids_is_a_bug() -> None:
    peer = opened()
    one = request(peer.receive(CCR, NOW))
    with pytest.raises(AssertionError, match="ids"):
        peer.answer(one, message(0x40, 272, 4, 7))


def test_an_answer_given_twice_is_a_bug() -> None:
    peer = opened()
    one = request(peer.receive(CCR, NOW))
    peer.answer(one, CCA)
    with pytest.raises(AssertionError, match="once"):
        peer.answer(one, CCA)


# Requests of ours


def test_a_raa_finds_its_rar() -> None:
    peer = opened()
    first = peer.send(Command.RE_AUTH, 4, HOST, NOW)
    second = peer.send(Command.ABORT_SESSION, 4, HOST, NOW)
    rar, asr = sent(peer)
    assert (rar.flags, rar.command, rar.hop_by_hop) == (0xC0, 258, first)
    assert (asr.command, asr.hop_by_hop) == (274, second)
    assert first != second
    assert rar.end_to_end != asr.end_to_end
    assert rar.end_to_end >> 20 == NOW // 1000 & 0xFFF

    asa = framing.encode(0x40, 274, 4, second, asr.end_to_end, b"")
    raa = framing.encode(0x40, 258, 4, first, rar.end_to_end, b"")
    assert peer.receive(asa + raa, NOW) == [Answer(asa, read_header(asa)), Answer(raa, read_header(raa))]
    assert peer.receive(raa, NOW) == [], "a duplicate is dropped"
    assert peer.counters.answers_unmatched == 1
    assert peer.next_deadline() == after(30_000)


@pytest.mark.fault(21)
def test_an_answer_of_another_command_does_not_match() -> None:
    peer = opened()
    hop_by_hop = peer.send(Command.RE_AUTH, 4, HOST, NOW)
    assert peer.receive(framing.encode(0x40, 274, 4, hop_by_hop, 1, b""), NOW) == []
    assert peer.counters.answers_unmatched == 1
    assert peer.tick(after(10_000)) == [Unanswered(hop_by_hop, 258)]


def test_requests_of_ours_end_one_by_one_and_with_the_connection() -> None:
    peer = opened()
    first = peer.send(Command.RE_AUTH, 4, HOST, NOW)
    second = peer.send(Command.RE_AUTH, 4, HOST, after(1))
    assert peer.next_deadline() == after(10_000)
    assert peer.tick(after(10_000)) == [Unanswered(first, 258)]
    assert peer.receive(framing.encode(0x40, 258, 4, first, 1, b""), after(10_000)) == [], "too late"
    unanswered, end = peer.lost(after(10_000))
    assert unanswered == Unanswered(second, 258)
    assert closed([end]) is Reason.LOST
    assert peer.tick(after(100_000)) == []
    assert peer.counters.unanswered == 2


def test_requests_of_ours_are_bounded() -> None:
    peer = opened(pending_max=1)
    peer.send(Command.RE_AUTH, 4, HOST, NOW)
    with pytest.raises(Unavailable, match="1 requests"):
        peer.send(Command.RE_AUTH, 4, HOST, NOW)
    assert len(sent(peer)) == 1


@pytest.mark.parametrize("state", set(State) - {State.OPEN})
def test_only_an_open_connection_takes_requests_of_ours(state: State) -> None:
    peer = ENTER[state]()
    with pytest.raises(OutOfTurn, match=state.name):
        peer.send(Command.RE_AUTH, 4, HOST, NOW)
    assert peer.data_to_send() == b""


# The watchdog


def test_silence_is_probed_suspected_and_ended() -> None:
    peer = opened()
    timeline = []
    while (due := peer.next_deadline()) is not None:
        timeline.append((due - NOW, peer.tick(due), results(peer)))
    assert timeline[:2] == [
        (30_000, [], [(280, 0, False)]),
        (60_000, [WatchdogChanged(watchdog.State.SUSPECT)], []),
    ]
    assert timeline[2][0] == 90_000
    assert closed(timeline[2][1]) is Reason.WATCHDOG
    assert peer.want_close
    assert peer.counters.watchdog_requests == 1


@pytest.mark.fault(21)
def test_a_dwa_answers_our_dwr_and_no_other() -> None:
    peer = opened()
    peer.tick(after(30_000))
    (dwr,) = sent(peer)
    peer.receive(DWA, after(30_010))
    assert peer.counters.answers_unmatched == 1
    assert not peer.yields_to(stranger(0), after(30_010))
    assert peer.yields_to(stranger(0), after(30_000 + DOUBT_MS)), "the DWR is still unanswered"
    peer.receive(framing.encode(0, 280, 0, dwr.hop_by_hop, dwr.end_to_end, HOST + REALM), after(30_020))
    assert peer.counters.answers_unmatched == 1
    assert not peer.yields_to(stranger(0), after(30_000 + DOUBT_MS))
    assert peer.next_deadline() == after(60_020)


def test_any_message_lifts_suspicion() -> None:
    peer = opened()
    peer.tick(after(30_000))
    peer.tick(after(60_000))
    assert peer.watchdog_state is watchdog.State.SUSPECT
    assert peer.receive(DWR, after(60_001)) == [WatchdogChanged(watchdog.State.OKAY)]


def test_a_dwr_is_answered_with_the_state_id_of_the_cea() -> None:
    peer = opened()
    peer.receive(DWR, NOW)
    theirs = Message.from_bytes(peer.data_to_send())
    assert (theirs.result_code, theirs.origin_state_id) == (2001, 77)


def test_a_dwr_that_names_nobody_is_refused_and_proves_life_all_the_same() -> None:
    peer = opened()
    peer.receive(message(0x80, 280, 0, 9, HOST), after(1_000))
    assert results(peer) == [(280, 5005, False)]
    assert peer.next_deadline() == after(31_000)


# A second connection


def stranger(origin_state_id: int) -> Introduction:
    avps = CER_AVPS.replace(STATE, avp.unsigned32(278, origin_state_id))
    return base.read_introduction(message(0x80, 257, 0, 1, avps), secure=False)


@pytest.mark.fault(26)
def test_an_open_connection_holds_its_place_until_it_is_doubtful() -> None:
    peer = opened()
    assert not peer.yields_to(stranger(100), after(29_000)), "two live nodes with one identity"
    assert not peer.yields_to(stranger(0), NOW), "0 says nothing"
    assert not peer.yields_to(stranger(99), NOW)
    assert peer.yields_to(stranger(101), NOW), "the peer has started again"


def test_a_peer_that_never_told_its_state_id_cannot_show_a_restart() -> None:
    peer = connection()
    peer.receive(message(0x80, 257, 0, 1, CER_AVPS.replace(STATE, b"")), NOW)
    assert not peer.yields_to(stranger(101), NOW)


@pytest.mark.parametrize("state", set(State) - {State.OPEN})
def test_a_connection_that_is_not_open_yields(state: State) -> None:
    assert ENTER[state]().yields_to(stranger(100), NOW)


# Goodbye


def test_our_goodbye_with_nothing_outstanding() -> None:
    peer = opened()
    assert peer.disconnect(DisconnectCause.DO_NOT_WANT_TO_TALK_TO_YOU, NOW) == []
    theirs = Message.from_bytes(peer.data_to_send())
    assert (type(theirs).__name__, theirs.disconnect_cause) == ("DisconnectPeerRequest", 2)
    assert peer.state is State.CLOSING
    assert closed(peer.receive(DPA, NOW)) is Reason.STOPPED


def test_our_goodbye_waits_for_each_answer() -> None:
    peer = opened()
    first, second = peer.receive(CCR * 2, NOW)
    peer.disconnect(DisconnectCause.REBOOTING, NOW)
    assert isinstance(first, Request)
    assert isinstance(second, Request)
    peer.answer(first, CCA)
    assert peer.data_to_send() == CCA
    peer.drop(second)
    assert results(peer) == [(282, 0, False)]
    assert peer.next_deadline() == after(8_000)


def test_a_dpr_of_the_peer_waits_for_each_answer() -> None:
    peer = opened()
    one, goodbye = peer.receive(CCR + DPR + CCR, NOW)
    assert goodbye == Leaving(2)
    assert peer.counters.requests_dropped == 1
    assert peer.data_to_send() == b""
    assert isinstance(one, Request)
    peer.answer(one, CCA)
    data = peer.data_to_send()
    assert data.startswith(CCA)
    assert read_header(data, len(CCA)).command == 282
    assert not peer.want_close, "the peer closes"
    assert closed(peer.lost(NOW)) is Reason.LEFT


def test_a_dpr_that_is_not_in_order_is_obeyed_and_told_so() -> None:
    peer = opened()
    assert peer.receive(message(0x80, 282, 0, 9, HOST + REALM), NOW) == [Leaving(None)]
    assert results(peer) == [(282, 5005, False)]
    assert peer.state is State.LEAVING


def test_a_loss_has_the_reason_that_the_transport_gives() -> None:
    peer = opened()
    end = Closed(Reason.UNREAD, "the peer left 9 octets of answers unread")
    assert peer.lost(NOW, end.reason, end.detail) == [end]


def test_the_end_is_told_once() -> None:
    peer = opened()
    assert closed(peer.lost(NOW)) is Reason.LOST
    assert (peer.lost(NOW), peer.tick(after(100_000)), peer.receive(CCR, NOW)) == ([], [], [])
    assert not peer.reading
    with pytest.raises(OutOfTurn):
        peer.disconnect(DisconnectCause.REBOOTING, NOW)


# Two ends and a fake wire


class Gateway:
    """The other end, in another codec: greets, asks and says goodbye by its script, and answers what it is asked."""

    def __init__(self, script: list[bytes]) -> None:
        self.script = script
        self.framer = Framer()
        self.seen: list[tuple[str, int]] = []
        self.out = script.pop(0)

    def receive(self, data: bytes) -> None:
        for octets in self.framer.feed(data):
            theirs = Message.from_bytes(octets)
            self.seen.append((type(theirs).__name__, getattr(theirs, "result_code", 0)))
            if not theirs.header.is_request:
                self.out += self.script.pop(0) if self.script else b""
                continue
            answer = theirs.to_answer()
            assert isinstance(answer, ReAuthAnswer)
            answer.session_id = theirs.session_id
            answer.result_code = 2002
            answer.origin_host, answer.origin_realm = b"gw.visited.example", b"visited.example"
            self.out += answer.as_bytes()


def script() -> list[bytes]:
    cer = CapabilitiesExchangeRequest()
    cer.host_ip_address = ["127.0.0.1"]
    cer.vendor_id = 0
    cer.product_name = "python-diameter"
    cer.auth_application_id = 4
    dwr, dpr = DeviceWatchdogRequest(), DisconnectPeerRequest()
    dpr.disconnect_cause = 0
    for number, one in enumerate((cer, dwr, dpr)):
        one.origin_host, one.origin_realm = b"gw.visited.example", b"visited.example"
        one.header.hop_by_hop_identifier = one.header.end_to_end_identifier = 100 + number
    return [cer.as_bytes(), dwr.as_bytes(), CCR, dpr.as_bytes()]


@pytest.mark.parametrize("seed", [None, 1, 2, 3], ids=["byte by byte", "1", "2", "3"])
def test_two_ends_and_a_wire(seed: int | None) -> None:
    rng = random.Random(seed)
    gateway, peer = Gateway(script()), connection()
    to_peer, to_gateway = b"", b""
    happenings: list[Happening] = []
    for _ in range(10_000):
        to_peer, gateway.out = to_peer + gateway.out, b""
        to_gateway += peer.data_to_send()
        if not to_peer and not to_gateway:
            break
        step = 1 if seed is None else rng.randint(1, 90)
        fresh = peer.receive(to_peer[:step], NOW)
        gateway.receive(to_gateway[:step])
        to_peer, to_gateway = to_peer[step:], to_gateway[step:]
        happenings += fresh
        for one in fresh:
            if isinstance(one, Request):
                peer.send(Command.RE_AUTH, 4, RAR_AVPS, NOW)
                peer.answer(one, base.answer(one.header, CCA_AVPS))
    assert gateway.seen == [
        ("CapabilitiesExchangeAnswer", 2001),
        ("DeviceWatchdogAnswer", 2001),
        ("ReAuthRequest", 0),
        ("CreditControlAnswer", 2001),
        ("DisconnectPeerAnswer", 2001),
    ]
    happenings += peer.lost(NOW)
    assert [type(one).__name__ for one in happenings] == ["Opened", "Request", "Answer", "Leaving", "Closed"]
    answer = happenings[2]
    assert isinstance(answer, Answer)
    assert result(answer.message) == 2002
    assert peer.counters.answers_unmatched == 0


# Any bytes, however they are cut

CONVERSATION = CER + CCR + DWR + FAULTY + CER + CCR * 3 + STRAY + DWA + CCR + DPR + CCR


def converse(pieces: list[bytes]) -> tuple[list[Happening], bytes, State]:
    """Serve a whole conversation; every request is answered at once, as the shell may."""
    peer = connection()
    happenings: list[Happening] = []
    out = b""
    for piece in pieces:
        fresh = peer.receive(piece, NOW)
        happenings += fresh
        for one in fresh:
            if isinstance(one, Request) and peer.state is not State.DRAINING:
                peer.answer(one, CCA)
        out += peer.data_to_send()
    return happenings, out, peer.state


@pytest.mark.fault(5)
def test_byte_by_byte_the_same_comes_out() -> None:
    bytewise = converse([CONVERSATION[i : i + 1] for i in range(len(CONVERSATION))])
    by_message = converse(Framer().feed(CONVERSATION))
    assert bytewise == by_message
    happenings, out, state = bytewise
    assert [type(one).__name__ for one in happenings] == ["Opened", *["Request"] * 5, "Leaving"]
    assert [read_header(one).command for one in Framer().feed(out)] == [
        257,
        272,
        280,
        999,
        257,
        272,
        272,
        272,
        272,
        282,
    ]
    assert state is State.LEAVING


@pytest.mark.fault(5)
@given(st.lists(st.integers(1, len(CONVERSATION) - len(DPR + CCR) - 1)))
def test_cut_anywhere_the_same_comes_out(cuts: list[int]) -> None:
    talk = CONVERSATION[: -len(DPR + CCR)]
    edges = [0, *sorted(cuts), len(talk)]
    pieces = [talk[a:b] for a, b in pairwise(edges)]
    happenings, out, _ = converse(pieces)
    expected_happenings, expected_out, _ = converse(Framer().feed(talk))
    assert happenings == expected_happenings
    assert sorted(Framer().feed(out)) == sorted(Framer().feed(expected_out))


MUTATIONS = st.one_of(
    st.binary(max_size=300),
    st.sampled_from([*MESSAGES.values(), CER, CCA]),
    st.builds(
        lambda octets, place, value: octets[: place % len(octets)] + bytes([value]) + octets[place % len(octets) + 1 :],
        st.sampled_from(list(MESSAGES.values())),
        st.integers(0, 400),
        st.integers(0, 255),
    ),
    st.builds(
        message,
        st.integers(0, 255),
        st.sampled_from([257, 258, 272, 274, 280, 282, 0, 0xFFFFFF]),
        st.sampled_from([0, 4, 0xFFFFFFFF]),
        st.integers(0, 2**32 - 1),
        st.binary(max_size=40).map(lambda octets: octets + bytes(-len(octets) & 3)),
    ),
)


@pytest.mark.fault(22)
@settings(max_examples=400)
@given(
    st.sampled_from(list(State)),
    st.lists(st.tuples(MUTATIONS, st.integers(0, 12_000), st.sampled_from(["answer", "drop", "keep"])), max_size=12),
)
def test_any_bytes_are_answered_dropped_or_close_the_connection(
    state: State, story: list[tuple[bytes, int, str]]
) -> None:
    peer = ENTER[state]()
    held = [SERVED] if state is not State.WAIT_CER else []
    now = NOW
    ends = 1 if state is State.CLOSED else 0
    for octets, wait, deed in story:
        happenings = peer.receive(octets, now)
        now = UnixMillis(now + wait)
        happenings += peer.tick(now)
        held += [one for one in happenings if isinstance(one, Request)]
        ends += sum(isinstance(one, Closed) for one in happenings)
        if deed != "keep":
            for one in held:
                if deed == "answer":
                    peer.answer(one, base.answer(one.header, b""))
                else:
                    peer.drop(one)
            held = []
        assert peer.want_close is (ends == 1)
        if not peer.want_close:
            assert peer._framer.pending < PeerLimits().message_octets_max
            due = peer.next_deadline()
            assert due is not None, "no open connection waits for ever"
        data = peer.data_to_send()
        assert b"".join(Framer(1 << 24).feed(data)) == data
    # Left alone, it ends by itself.
    for _ in range(10):
        due = peer.next_deadline()
        if due is None:
            break
        peer.tick(max(due, now))
    assert peer.want_close


@pytest.mark.fault(22)
def test_random_streams_of_whole_messages_never_stop_the_server() -> None:
    rng = random.Random(20)
    for _ in range(300):
        peer = PeerConnection(LOCAL, accept, NOW, rng, secure=False, limits=PeerLimits())
        stream = CER + b"".join(rng.choices([DWR, CCR, STRAY, FAULTY, rng.randbytes(40)], k=20))
        while stream:
            cut = rng.randint(1, 60)
            peer.receive(stream[:cut], NOW)
            stream = stream[cut:]
        answers = Framer().feed(peer.data_to_send())
        assert read_header(answers[0]).command == 257
