"""One service of a request while it is being decided, and what no service can be."""

from typing import Final

import msgspec

from ocs.balance.operator import Operator
from ocs.credit_control.event import Why
from ocs.credit_control.request import CreditControlRequest, ServiceRequest
from ocs.credit_control.session import Service, Session
from ocs.diameter import avp
from ocs.diameter.codes import Avp, ResultCode
from ocs.errors import InvalidAvpValue
from ocs.rating.tariff import Tariff
from ocs.units import CREDITS_MAX, OCTETS_MAX, Credits, Octets

SERVICES_MAX: Final = 256
"""Of one session, over its whole life, or of a one-time event; gateways have a dozen.  Each request unpacks all."""


SUCCESS: Final = ResultCode.SUCCESS
NOT_ASKED: Final = Why.NOT_ASKED


class Line(msgspec.Struct, gc=False):
    """Filled in as it is charged, then granted or refused."""

    request: ServiceRequest
    service: Service | None  # what the session has of it
    tariff: Tariff | None
    ended: bool  # its earlier grant is void
    total: Octets = Octets(0)  # cumulative, with this report
    charged: Credits = Credits(0)
    overrun: Credits = Credits(0)
    code: ResultCode = SUCCESS
    why: Why = NOT_ASKED
    granted: Octets = Octets(0)
    reserved: Credits = Credits(0)
    final: bool = False


def check_plausible(operator: Operator, session: Session, request: CreditControlRequest, lines: list[Line]) -> None:
    """Refuse what no session does: it would leave the numbers that a record or an account can hold.

    Raises:
        InvalidAvpValue: a total of octets or credits, or a number of services, is beyond plausibility.
    """
    account = operator.account
    spent = account.consumed + account.owed
    for line in lines:
        spent += line.charged
    new: Line | None = None
    count = len(session.services)
    for line in lines:
        # What was refunded counts no more for the operator, and counts on for the service.
        charged = line.charged + (line.service.charged if line.service is not None else 0)
        if line.total > OCTETS_MAX or (line.charged and max(spent, charged) > CREDITS_MAX):
            used = avp.unsigned64(Avp.CC_TOTAL_OCTETS, line.request.used)
            raise InvalidAvpValue(
                f"{line.request.used} octets more cannot be: of one service {OCTETS_MAX} are counted at the most, and "
                f"of an operator {CREDITS_MAX} credits",
                _within(request, avp.grouped(Avp.USED_SERVICE_UNIT, used)),
            )
        if line.service is None:
            new, count = line, count + 1
    if new is not None:
        check_count(request, new.request, count)


def check_count(request: CreditControlRequest, newest: ServiceRequest, count: int) -> None:
    """Refuse more services than a session can have, `newest` being the one that is too many.

    Raises:
        InvalidAvpValue: there are more.
    """
    if count > SERVICES_MAX:
        key = avp.unsigned32(Avp.RATING_GROUP, max(0, newest.key.rating_group))
        raise InvalidAvpValue(f"a session has {SERVICES_MAX} services at the most", _within(request, key))


def _within(request: CreditControlRequest, member: bytes) -> bytes:
    return member if request.single else avp.grouped(Avp.MULTIPLE_SERVICES_CREDIT_CONTROL, member)
