"""A session at rest: one packed `bytes`, whose numbers lie where one `Struct` finds them.

    | head | service | service ... | answer | answer ... | IMSI, APN, Service-Identifiers |

A million sessions must fit, the garbage collector must not see them, and the express way (express.py) changes a few
numbers without unpacking the rest.  Numbers are little-endian: those are the quick ones for `struct`.

An answer is `octets (2) · CC-Request-Number (4) · kind (1) · content`.  Of a plain answer, by far the most, the content
is the request's digest and, for each service, octets granted, threshold and Validity-Time; of others all of `Answer`.
"""

from struct import Struct
from typing import Any, Final

import msgspec

from ocs.credit_control.event import ServiceStep, State
from ocs.credit_control.request import DIGEST_OCTETS
from ocs.credit_control.session import ANSWERS_KEPT, Answer, Service, ServiceAnswer, Session
from ocs.diameter.codes import CcRequestType, ResultCode
from ocs.units import Credits, GroupIndex, Octets, OperatorId, TariffId, UnixMillis

FORMAT: Final = 1
"""The first octet; sessions of snapshots before this format begin with that of a MessagePack array."""

# Places in the tuple that a layout unpacks.
STATE: Final = 1
FLAGS: Final = 2
END_CAUSE: Final = 3
SERVICES: Final = 4
ANSWERS: Final = 5  # how many
ANSWERS_OCTETS: Final = 6
HIGHEST: Final = 7  # CC-Request-Number
OPERATOR: Final = 8
GATEWAY: Final = 9
TARIFF_MARK: Final = 10
OPENED_AT: Final = 11
CHANGED_AT: Final = 12
DEADLINE: Final = 13
LAST: Final = 14
DROPPED: Final = 15
FIRST_SERVICE: Final = 16

# Places behind that of a service.
RATING_GROUP: Final = 0
TARIFF: Final = 1
USED: Final = 2
CHARGED: Final = 3
GRANTED: Final = 4
RESERVED: Final = 5
GRANTED_TOTAL: Final = 6
GRANTED_AT: Final = 7
THIRSTY: Final = 8
SERVICE_NUMBERS: Final = 9

_HEAD: Final = "BBBBHBxIIIIIQQQQq"
_SERVICE: Final = "qIQqQQQQB"
SERVICES_AT: Final = 4  # where the number of services stands in the octets
ANSWERS_AT: Final = 6

EMERGENCY: Final = 1
TERMINATING: Final = 2
WITH_IDS: Final = 4
"""A service has Service-Identifiers: its key is more than its Rating-Group."""
IS_THIRSTY: Final = 8

_layouts: Final = [Struct("<" + _HEAD + count * _SERVICE) for count in range(33)]

PLAIN: Final = 0x80
"""In an answer's kind, beside the CC-Request-Type."""

UNSIGNED32_END: Final = 1 << 32
SUCCESS: Final = ResultCode.SUCCESS
_ANSWER_HEAD: Final = Struct("<HIB")
_PLAIN_ANSWERS: Final = [Struct(f"<HIB{DIGEST_OCTETS}s" + count * "III") for count in range(9)]
_PLAIN_ONE: Final = _PLAIN_ANSWERS[1].pack
_PLAIN_ONE_OCTETS: Final = _PLAIN_ANSWERS[1].size
_encode: Final = msgspec.msgpack.Encoder().encode
_decode_answer: Final = msgspec.msgpack.Decoder(Answer).decode

Tail = tuple[str, str, list[tuple[int, ...]] | None]
_decode_tail: Final = msgspec.msgpack.Decoder(Tail).decode


def layout_of(services: int) -> Struct:
    """Give how the numbers of a session with so many services are packed."""
    if services < len(_layouts):
        return _layouts[services]
    return Struct("<" + _HEAD + services * _SERVICE)  # not kept: those of many services take much memory


def pack(session: Session) -> bytes:
    """Put a session to rest."""
    services, answers = session.services, session.answers
    with_ids = any(service.service_ids for service in services)
    flags = (
        EMERGENCY * session.emergency
        | TERMINATING * session.terminating
        | WITH_IDS * with_ids
        | IS_THIRSTY * session.thirsty
    )
    kept = b"".join(answers)
    numbers: list[int] = [
        FORMAT,
        session.state,
        flags,
        session.end_cause,
        len(services),
        len(answers),
        len(kept),
        max(0, session.highest),
        session.operator,
        session.gateway,
        session.tariff_mark,
        session.opened_at,
        session.changed_at,
        session.deadline,
        session.last,
        session.dropped,
    ]
    for service in services:
        numbers += (
            service.rating_group,
            service.tariff,
            service.used,
            service.charged,
            service.granted,
            service.reserved,
            service.granted_total,
            service.granted_at,
            service.thirsty,
        )
    tail = _encode((session.imsi, session.apn, [service.service_ids for service in services] if with_ids else None))
    return layout_of(len(services)).pack(*numbers) + kept + tail


def tail_of(imsi: str, apn: str) -> bytes:
    """Give the end of a packed session without Service-Identifiers."""
    return _encode((imsi, apn, None))


def unpack(packed: bytes) -> Session:
    """Take a session in hand."""
    layout = layout_of(int.from_bytes(packed[SERVICES_AT : SERVICES_AT + 2], "little"))
    numbers = layout.unpack_from(packed)
    start = layout.size
    end = start + numbers[ANSWERS_OCTETS]
    imsi, apn, ids = _decode_tail(memoryview(packed)[end:])
    flags = numbers[FLAGS]
    return Session(
        operator=OperatorId(numbers[OPERATOR]),
        imsi=imsi,
        apn=apn,
        gateway=numbers[GATEWAY],
        state=State(numbers[STATE]),
        opened_at=UnixMillis(numbers[OPENED_AT]),
        changed_at=UnixMillis(numbers[CHANGED_AT]),
        deadline=UnixMillis(numbers[DEADLINE]),
        tariff_mark=TariffId(numbers[TARIFF_MARK]),
        last=GroupIndex(numbers[LAST]),
        answers=split_answers(packed, start, end),
        services=[
            _service(numbers, FIRST_SERVICE + SERVICE_NUMBERS * place, ids[place] if ids is not None else ())
            for place in range(numbers[SERVICES])
        ],
        emergency=bool(flags & EMERGENCY),
        terminating=bool(flags & TERMINATING),
        dropped=numbers[DROPPED],
        end_cause=numbers[END_CAUSE],
        highest=numbers[HIGHEST] if numbers[ANSWERS] else -1,
    )


_DEADLINE_OCTETS: Final = slice(44, 52)
_unpack_head: Final = _layouts[0].unpack_from


def head_of(packed: bytes) -> tuple[Any, ...]:
    """Unpack what is the session's, and not its services'."""
    return _unpack_head(packed)


def with_deadline(packed: bytes, deadline: UnixMillis) -> bytes:
    """Give the same session with another deadline."""
    within = _DEADLINE_OCTETS
    return packed[: within.start] + deadline.to_bytes(8, "little") + packed[within.stop :]


def renewed(packed: bytes) -> bytes:
    """Give a session of a snapshot as this release packs it, with no more answers than it keeps."""
    if packed[0] != FORMAT:
        return pack(_unpack_old(packed))
    if packed[ANSWERS_AT] <= ANSWERS_KEPT:
        return packed
    session = unpack(packed)
    del session.answers[:-ANSWERS_KEPT]
    return pack(session)


def _service(numbers: tuple[Any, ...], place: int, service_ids: tuple[int, ...]) -> Service:
    rating_group, *counts, thirsty = numbers[place : place + SERVICE_NUMBERS]
    service = Service(rating_group, service_ids, *counts)
    service.thirsty = bool(thirsty)
    return service


def split_answers(packed: bytes, start: int, end: int) -> list[bytes]:
    """Give the packed answers that lie between `start` and `end`, the oldest first."""
    answers = []
    while start < end:
        after = start + packed[start] + (packed[start + 1] << 8)
        answers.append(packed[start:after])
        start = after
    return answers


# Answers


def pack_answer(answer: Answer) -> bytes:
    """Pack an answer to be kept with its session."""
    services = answer.services
    if answer.result_code == SUCCESS and len(services) < len(_PLAIN_ANSWERS):
        content: list[int] = []
        for service in services:
            if not is_plain(service) or service.charged:
                break
            content += (service.granted, service.threshold, service.validity_seconds)
        else:
            form = _PLAIN_ANSWERS[len(services)]
            return form.pack(form.size, answer.number, PLAIN | answer.request_type, answer.digest, *content)
    body = _encode(answer)
    return _ANSWER_HEAD.pack(_ANSWER_HEAD.size + len(body), answer.number, answer.request_type) + body


def is_plain(service: ServiceAnswer | ServiceStep) -> bool:
    """Tell whether nothing is to be said of a service but its units and their time."""
    return (
        service.result_code == SUCCESS
        and not service.final
        and service.granted < UNSIGNED32_END
        and service.threshold < UNSIGNED32_END
        and service.holding_seconds < 0
    )


def pack_plain_answer(number: int, request_type: int, digest: bytes, steps: tuple[ServiceStep, ...]) -> bytes:
    """Pack the answer to a plain request; at most eight services, in the order of their keys."""
    if len(steps) == 1:
        (step,) = steps
        return _PLAIN_ONE(
            _PLAIN_ONE_OCTETS,
            number,
            PLAIN | request_type,
            digest,
            step.granted,
            step.threshold,
            step.validity_seconds,
        )
    form = _PLAIN_ANSWERS[len(steps)]
    content: list[int] = []
    for step in sorted(steps, key=_by_rating_group):
        content += (step.granted, step.threshold, step.validity_seconds)
    return form.pack(form.size, number, PLAIN | request_type, digest, *content)


def _by_rating_group(step: ServiceStep) -> int:
    return step.rating_group


PLAIN_SERVICES_MAX: Final = len(_PLAIN_ANSWERS) - 1


def unpack_answer(packed: bytes) -> Answer:
    """Read a kept answer."""
    _, number, kind = _ANSWER_HEAD.unpack_from(packed)
    start = _ANSWER_HEAD.size
    if not kind & PLAIN:
        return _decode_answer(memoryview(packed)[start:])
    services = (len(packed) - start - DIGEST_OCTETS) // 12
    numbers = _PLAIN_ANSWERS[services].unpack(packed)[4:]
    return Answer(
        number,
        CcRequestType(kind & ~PLAIN),
        packed[start : start + DIGEST_OCTETS],
        SUCCESS,
        tuple(
            [
                ServiceAnswer(SUCCESS, Octets(granted), False, validity, Octets(threshold), -1, Credits(0))
                for granted, threshold, validity in zip(numbers[::3], numbers[1::3], numbers[2::3], strict=True)
            ]
        ),
    )


def _unpack_old(packed: bytes) -> Session:
    """Unpack a session of an older snapshot, a MessagePack array of the session's fields."""
    fields = msgspec.msgpack.decode(packed)
    place = Session.__struct_fields__.index("answers")
    answers = [msgspec.msgpack.decode(each[4:]) if isinstance(each, bytes) else each for each in fields[place]]
    fields[place] = [pack_answer(msgspec.convert(answer, Answer)) for answer in answers[-ANSWERS_KEPT:]]
    session = msgspec.convert(fields, Session)
    session.highest = max((msgspec.convert(answer, Answer).number for answer in answers), default=-1)
    return session
