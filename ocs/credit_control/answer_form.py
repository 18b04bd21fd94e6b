"""Write CCAs of a shape that was written before: one `Struct.pack` of the whole message.  The slow twin is `write` of
`ocs.credit_control.answer`; docs/adr/0013-learnt-layouts.md.

The CCAs to the CCRs of one layout differ in the ids, the Session-Id and the CC-Request-Number, and where the shape of
the answer is the same (its codes, and which units are there) in nothing else but octets granted and their threshold.
"""

from collections.abc import Iterator
from struct import Struct
from typing import Any, Final

from ocs.credit_control.answer import Identity, answer_places, write
from ocs.credit_control.applying import answer_of
from ocs.credit_control.event import Stepped
from ocs.credit_control.policy import Policy
from ocs.credit_control.request import CreditControlRequest
from ocs.credit_control.session import Answer
from ocs.diameter import avp
from ocs.diameter.codes import Avp, Avp3gpp
from ocs.diameter.framing import HEADER_OCTETS

SHAPES_MAX: Final = 64
"""Of the answers to one layout; a code, a validity, with or without units: a dozen come in practice."""


class AnswerForms:
    """How the answers to CCRs of one layout were written."""

    __slots__ = ("_by_shape", "_by_shape_of_event")

    def __init__(self) -> None:
        # Apart, for an answer's services stand in the order of their keys, and an event's as the request has them.
        self._by_shape: dict[tuple[Any, ...], _AnswerForm] = {}
        self._by_shape_of_event: dict[tuple[Any, ...], _AnswerForm] = {}

    def write(self, request: CreditControlRequest, told: Answer | Stepped, identity: Identity, policy: Policy) -> bytes:
        """Write what `ocs.credit_control.answer.write` would; all requests must be of one layout.

        Args:
            told: an answer, or the event that says all of it.
        """
        services = told.services
        if len(services) == 1:
            (one,) = services
            shape: tuple[Any, ...] = (
                told.result_code,
                one.result_code,
                one.granted > 0,
                one.final,
                one.validity_seconds,
                one.threshold > 0,
                one.holding_seconds,
            )
        else:
            shape = (
                told.result_code,
                *[
                    (
                        each.result_code,
                        each.granted > 0,
                        each.final,
                        each.validity_seconds,
                        each.threshold > 0,
                        each.holding_seconds,
                    )
                    for each in services
                ],
            )
        by_shape = self._by_shape_of_event if isinstance(told, Stepped) else self._by_shape
        form = by_shape.get(shape)
        if form is not None:
            return form.write(request, told)
        if isinstance(told, Stepped):
            octets, order = write(request, answer_of(told), identity, policy), list(range(len(services)))
        else:
            octets, order = write(request, told, identity, policy), answer_places(request, told)
        if len(by_shape) >= SHAPES_MAX:
            by_shape.clear()
        by_shape[shape] = _AnswerForm(octets, order)
        return octets


class _AnswerForm:
    """One answer, cut where its numbers stand."""

    __slots__ = ("_before_ids", "_before_number", "_before_session", "_pack", "_tail", "_units")

    def __init__(self, octets: bytes, order: list[int]) -> None:
        """Cut a CCA; `order` gives the place, in what is told, of each of its services."""
        head, units = _places(octets, order)
        cuts = [(12, 4), (16, 4), *head, *((start, 8 if name == "granted" else 4) for start, _, name in units)]
        form, pieces, place = [">"], [], 0
        for start, length in cuts:
            if start != 16:
                pieces.append(octets[place:start])
                form.append(f"{start - place}s")
            is_number = start != head[0][0]
            form.append({4: "I", 8: "Q"}[length] if is_number else f"{length}s")
            place = start + length
        form.append(f"{len(octets) - place}s")
        self._pack = Struct("".join(form)).pack
        self._before_ids, self._before_session, self._before_number, *between = pieces
        self._units = tuple((piece, place, name) for piece, (_, place, name) in zip(between, units, strict=True))
        self._tail = octets[place:]

    def write(self, request: CreditControlRequest, told: Answer | Stepped) -> bytes:
        values: list[Any] = []
        for piece, place, name in self._units:
            service = told.services[place]
            values += (piece, service.granted if name == "granted" else service.threshold)
        return self._pack(
            self._before_ids,
            request.hop_by_hop,
            request.end_to_end,
            self._before_session,
            request.session_id,
            self._before_number,
            request.number,
            *values,
            self._tail,
        )


def _places(octets: bytes, in_order: list[int]) -> tuple[list[tuple[int, int]], list[tuple[int, int, str]]]:
    """Find Session-Id and CC-Request-Number (start, octets), and the units (start, place of the service, which)."""
    head: list[tuple[int, int]] = []
    units: list[tuple[int, int, str]] = []
    services = iter(in_order)
    for raw in avp.walk(octets, HEADER_OCTETS, len(octets)):
        if raw.code in (Avp.SESSION_ID, Avp.CC_REQUEST_NUMBER):
            head.append((raw.start, raw.end - raw.start))
        elif raw.code == Avp.MULTIPLE_SERVICES_CREDIT_CONTROL:
            units.extend(_units(octets, raw, next(services)))
    return head, units


def _units(octets: bytes, mscc: avp.RawAvp, place: int) -> Iterator[tuple[int, int, str]]:
    for member in avp.walk(octets, mscc.start, mscc.end):
        if member.code == Avp.GRANTED_SERVICE_UNIT:
            (total,) = avp.walk(octets, member.start, member.end)
            yield total.start, place, "granted"
        elif member.code == Avp3gpp.VOLUME_QUOTA_THRESHOLD:
            yield member.start, place, "threshold"
