"""The states of a peer connection, as a table.  RFC 6733 section 5.6, the responder's rows.

Above each group of rows stands the RFC's own row.  What is not in the table cannot happen: such an event is an error
and changes nothing.  What the actions do is in peer.py.
"""

from enum import IntEnum
from typing import Final

from ocs.diameter.codes import APPLICATION_BASE, APPLICATION_CREDIT_CONTROL, Command, Flag
from ocs.diameter.framing import Header
from ocs.errors import ApplicationUnsupported, CommandUnsupported, DiameterError, InvalidHeaderBits


class State(IntEnum):
    WAIT_CER = 1
    OPEN = 2
    FINISHING = 3  # we want to stop: answers outstanding first, then our DPR
    CLOSING = 4  # DPR sent
    DRAINING = 5  # DPR received: answers outstanding first, then our DPA
    LEAVING = 6  # DPA sent: the peer closes the transport
    CLOSED = 7


class Event(IntEnum):
    # messages
    CER = 1
    DWR = 2
    DWA = 3
    DPR = 4
    DPA = 5
    REQUEST = 6  # CCR
    FAULTY_REQUEST = 7  # its header alone refuses it: 3001, 3007, 3008
    ANSWER = 8
    BROKEN = 9  # the stream cannot be read on
    # the verdict on a CER
    ADMITTED = 10
    REFUSED = 11
    # the holder of this connection
    ANSWERED = 12
    SEND = 13
    STOP = 14
    LOST = 15
    # time
    TIMEOUT = 16  # the state's own
    STALLED = 17
    DEAD = 18  # the watchdog's judgement
    # the last outstanding answer is queued
    DRAINED = 19


class Action(IntEnum):
    NOTHING = 0
    JUDGE = 1
    OPEN = 2
    TURN_AWAY = 3
    NOT_AN_INTRODUCTION = 4
    SERVE = 5
    MATCH = 6
    UNMATCHED = 7
    REFUSE_SECOND_CER = 8
    REFUSE = 9
    SHED = 10
    DROP_REQUEST = 11
    ANSWER_WATCHDOG = 12
    NOTE_WATCHDOG = 13
    PUT = 14
    PUT_THEN_GO = 15
    DROP_ANSWER = 16
    FINISH = 17
    HEAR_GOODBYE = 18
    CROSS_GOODBYE = 19
    SEND_DPR = 20
    SEND_DPA = 21
    END_UNINTRODUCED = 22
    END_STALLED = 23
    END_DEAD = 24
    END_STOPPED = 25
    END_LEFT = 26
    END_LOST = 27


TABLE: Final[dict[tuple[State, Event], tuple[Action, State]]] = {
    # Closed, R-Conn-CER: R-Accept, Process-CER, R-Snd-CEA -> R-Open
    (State.WAIT_CER, Event.CER): (Action.JUDGE, State.WAIT_CER),
    (State.WAIT_CER, Event.ADMITTED): (Action.OPEN, State.OPEN),
    # R-Open, R-Conn-CER (of another connection): R-Reject; and each check of section 5.3 that fails
    (State.WAIT_CER, Event.REFUSED): (Action.NOTHING, State.CLOSED),
    # Section 5.6: the first message is a CER, or the connection ends
    (State.WAIT_CER, Event.FAULTY_REQUEST): (Action.TURN_AWAY, State.CLOSED),
    (State.WAIT_CER, Event.REQUEST): (Action.NOT_AN_INTRODUCTION, State.CLOSED),
    (State.WAIT_CER, Event.ANSWER): (Action.NOT_AN_INTRODUCTION, State.CLOSED),
    (State.WAIT_CER, Event.DWR): (Action.NOT_AN_INTRODUCTION, State.CLOSED),
    (State.WAIT_CER, Event.DWA): (Action.NOT_AN_INTRODUCTION, State.CLOSED),
    (State.WAIT_CER, Event.DPR): (Action.NOT_AN_INTRODUCTION, State.CLOSED),
    (State.WAIT_CER, Event.DPA): (Action.NOT_AN_INTRODUCTION, State.CLOSED),
    (State.WAIT_CER, Event.TIMEOUT): (Action.END_UNINTRODUCED, State.CLOSED),
    (State.WAIT_CER, Event.STOP): (Action.END_STOPPED, State.CLOSED),
    # R-Open, R-Rcv-Message: Process -> R-Open
    (State.OPEN, Event.REQUEST): (Action.SERVE, State.OPEN),
    (State.OPEN, Event.FAULTY_REQUEST): (Action.REFUSE, State.OPEN),
    (State.OPEN, Event.ANSWER): (Action.MATCH, State.OPEN),
    (State.OPEN, Event.DPA): (Action.UNMATCHED, State.OPEN),
    # R-Open, Send-Message: R-Snd-Message -> R-Open
    (State.OPEN, Event.ANSWERED): (Action.PUT, State.OPEN),
    (State.OPEN, Event.SEND): (Action.NOTHING, State.OPEN),
    # R-Open, R-Rcv-DWR: Process-DWR, R-Snd-DWA -> R-Open
    (State.OPEN, Event.DWR): (Action.ANSWER_WATCHDOG, State.OPEN),
    # R-Open, R-Rcv-DWA: Process-DWA -> R-Open
    (State.OPEN, Event.DWA): (Action.NOTE_WATCHDOG, State.OPEN),
    # R-Open, R-Rcv-CER: R-Snd-CEA -> R-Open
    (State.OPEN, Event.CER): (Action.REFUSE_SECOND_CER, State.OPEN),
    # R-Open, Stop: R-Snd-DPR -> Closing; here the answers outstanding come first
    (State.OPEN, Event.STOP): (Action.FINISH, State.FINISHING),
    (State.FINISHING, Event.DRAINED): (Action.SEND_DPR, State.CLOSING),
    (State.FINISHING, Event.TIMEOUT): (Action.SEND_DPR, State.CLOSING),
    (State.FINISHING, Event.STOP): (Action.NOTHING, State.FINISHING),
    (State.FINISHING, Event.REQUEST): (Action.SHED, State.FINISHING),
    (State.FINISHING, Event.FAULTY_REQUEST): (Action.REFUSE, State.FINISHING),
    (State.FINISHING, Event.ANSWER): (Action.MATCH, State.FINISHING),
    (State.FINISHING, Event.ANSWERED): (Action.PUT_THEN_GO, State.FINISHING),
    (State.FINISHING, Event.CER): (Action.REFUSE_SECOND_CER, State.FINISHING),
    (State.FINISHING, Event.DWR): (Action.ANSWER_WATCHDOG, State.FINISHING),
    (State.FINISHING, Event.DWA): (Action.NOTE_WATCHDOG, State.FINISHING),
    (State.FINISHING, Event.DPR): (Action.HEAR_GOODBYE, State.DRAINING),
    (State.FINISHING, Event.DPA): (Action.UNMATCHED, State.FINISHING),
    # Closing, R-Rcv-DPA: R-Disc -> Closed
    (State.CLOSING, Event.DPA): (Action.END_STOPPED, State.CLOSED),
    # Closing, Timeout: Error -> Closed
    (State.CLOSING, Event.TIMEOUT): (Action.END_STOPPED, State.CLOSED),
    # Both said goodbye at once; each answers the other
    (State.CLOSING, Event.DPR): (Action.CROSS_GOODBYE, State.CLOSING),
    (State.CLOSING, Event.STOP): (Action.NOTHING, State.CLOSING),
    # What crossed our DPR on its way is sent elsewhere at once when it is told so, and late when it is not
    (State.CLOSING, Event.REQUEST): (Action.SHED, State.CLOSING),
    (State.CLOSING, Event.FAULTY_REQUEST): (Action.REFUSE, State.CLOSING),
    (State.CLOSING, Event.CER): (Action.DROP_REQUEST, State.CLOSING),
    (State.CLOSING, Event.ANSWER): (Action.MATCH, State.CLOSING),
    (State.CLOSING, Event.ANSWERED): (Action.PUT, State.CLOSING),
    (State.CLOSING, Event.DWR): (Action.ANSWER_WATCHDOG, State.CLOSING),
    (State.CLOSING, Event.DWA): (Action.NOTE_WATCHDOG, State.CLOSING),
    # R-Open, R-Rcv-DPR: R-Snd-DPA -> Closing; here the answers outstanding come first
    (State.OPEN, Event.DPR): (Action.HEAR_GOODBYE, State.DRAINING),
    (State.DRAINING, Event.DRAINED): (Action.SEND_DPA, State.LEAVING),
    (State.DRAINING, Event.TIMEOUT): (Action.SEND_DPA, State.LEAVING),
    (State.DRAINING, Event.STOP): (Action.NOTHING, State.DRAINING),
    (State.DRAINING, Event.REQUEST): (Action.DROP_REQUEST, State.DRAINING),
    (State.DRAINING, Event.FAULTY_REQUEST): (Action.DROP_REQUEST, State.DRAINING),
    (State.DRAINING, Event.CER): (Action.DROP_REQUEST, State.DRAINING),
    (State.DRAINING, Event.DWR): (Action.DROP_REQUEST, State.DRAINING),
    (State.DRAINING, Event.DPR): (Action.DROP_REQUEST, State.DRAINING),
    (State.DRAINING, Event.ANSWER): (Action.MATCH, State.DRAINING),
    (State.DRAINING, Event.ANSWERED): (Action.PUT_THEN_GO, State.DRAINING),
    (State.DRAINING, Event.DWA): (Action.NOTE_WATCHDOG, State.DRAINING),
    (State.DRAINING, Event.DPA): (Action.UNMATCHED, State.DRAINING),
    # Section 5.4: the DPA's sender waits for the close; we wait no longer than the deadline
    (State.LEAVING, Event.TIMEOUT): (Action.END_LEFT, State.CLOSED),
    (State.LEAVING, Event.STOP): (Action.NOTHING, State.LEAVING),
    (State.LEAVING, Event.REQUEST): (Action.DROP_REQUEST, State.LEAVING),
    (State.LEAVING, Event.FAULTY_REQUEST): (Action.DROP_REQUEST, State.LEAVING),
    (State.LEAVING, Event.CER): (Action.DROP_REQUEST, State.LEAVING),
    (State.LEAVING, Event.DWR): (Action.DROP_REQUEST, State.LEAVING),
    (State.LEAVING, Event.DPR): (Action.DROP_REQUEST, State.LEAVING),
    (State.LEAVING, Event.ANSWER): (Action.UNMATCHED, State.LEAVING),
    (State.LEAVING, Event.DWA): (Action.UNMATCHED, State.LEAVING),
    (State.LEAVING, Event.DPA): (Action.UNMATCHED, State.LEAVING),
    (State.LEAVING, Event.ANSWERED): (Action.DROP_ANSWER, State.LEAVING),
    # R-Open, R-Peer-Disc: R-Disc -> Closed; Closing, R-Peer-Disc: R-Disc -> Closed
    (State.WAIT_CER, Event.LOST): (Action.END_LOST, State.CLOSED),
    (State.OPEN, Event.LOST): (Action.END_LOST, State.CLOSED),
    (State.FINISHING, Event.LOST): (Action.END_LOST, State.CLOSED),
    (State.CLOSING, Event.LOST): (Action.END_STOPPED, State.CLOSED),
    (State.DRAINING, Event.LOST): (Action.END_LEFT, State.CLOSED),
    (State.LEAVING, Event.LOST): (Action.END_LEFT, State.CLOSED),
    (State.CLOSED, Event.LOST): (Action.NOTHING, State.CLOSED),
    (State.CLOSED, Event.ANSWERED): (Action.DROP_ANSWER, State.CLOSED),
    # Section 3: behind a length that is wrong nothing can be found again
    (State.WAIT_CER, Event.BROKEN): (Action.NOTHING, State.CLOSED),
    (State.OPEN, Event.BROKEN): (Action.NOTHING, State.CLOSED),
    (State.FINISHING, Event.BROKEN): (Action.NOTHING, State.CLOSED),
    (State.CLOSING, Event.BROKEN): (Action.NOTHING, State.CLOSED),
    (State.DRAINING, Event.BROKEN): (Action.NOTHING, State.CLOSED),
    (State.LEAVING, Event.BROKEN): (Action.NOTHING, State.CLOSED),
    (State.WAIT_CER, Event.STALLED): (Action.END_STALLED, State.CLOSED),
    (State.OPEN, Event.STALLED): (Action.END_STALLED, State.CLOSED),
    (State.FINISHING, Event.STALLED): (Action.END_STALLED, State.CLOSED),
    (State.CLOSING, Event.STALLED): (Action.END_STALLED, State.CLOSED),
    (State.DRAINING, Event.STALLED): (Action.END_STALLED, State.CLOSED),
    (State.LEAVING, Event.STALLED): (Action.END_STALLED, State.CLOSED),
    # RFC 3539 section 3.4.1, SUSPECT, timer expires: CloseConnection()
    (State.OPEN, Event.DEAD): (Action.END_DEAD, State.CLOSED),
}

_REQUESTS: Final[dict[tuple[int, int], Event]] = {
    (Command.CREDIT_CONTROL, APPLICATION_CREDIT_CONTROL): Event.REQUEST,
    (Command.CAPABILITIES_EXCHANGE, APPLICATION_BASE): Event.CER,
    (Command.DEVICE_WATCHDOG, APPLICATION_BASE): Event.DWR,
    (Command.DISCONNECT_PEER, APPLICATION_BASE): Event.DPR,
}
_ANSWERS: Final[dict[tuple[int, int], Event]] = {
    (Command.DEVICE_WATCHDOG, APPLICATION_BASE): Event.DWA,
    (Command.DISCONNECT_PEER, APPLICATION_BASE): Event.DPA,
}
_REQUEST_OR_ERROR: Final = int(Flag.REQUEST | Flag.ERROR)
_REQUEST: Final = int(Flag.REQUEST)


CCR_HEADS: Final = frozenset(
    bytes([flags]) + int(Command.CREDIT_CONTROL).to_bytes(3, "big") + APPLICATION_CREDIT_CONTROL.to_bytes(4, "big")
    for flags in range(256)
    if flags & _REQUEST_OR_ERROR == _REQUEST
)
"""Flags, command code and application of all that `classify` calls a REQUEST, as they stand in a message."""


def classify(header: Header) -> Event:
    kind = header.flags & _REQUEST_OR_ERROR
    if kind == _REQUEST:
        return _REQUESTS.get((header.command, header.application), Event.FAULTY_REQUEST)
    if kind & _REQUEST:
        return Event.FAULTY_REQUEST
    return _ANSWERS.get((header.command, header.application), Event.ANSWER)


def header_fault(header: Header) -> DiameterError:
    """Say what `classify` found wrong with a request, the gravest first."""
    if header.application not in (APPLICATION_BASE, APPLICATION_CREDIT_CONTROL):
        return ApplicationUnsupported(f"application {header.application} is not served here")
    if (header.command, header.application) not in _REQUESTS:
        return CommandUnsupported(f"application {header.application} takes no request {header.command} here")
    return InvalidHeaderBits("the E bit stands in answers only")
