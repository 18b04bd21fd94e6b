"""Which tariff a service of a session has.  docs/adr/0005-price-on-the-running-total.md."""

from typing import Final

from ocs.credit_control.event import Opening
from ocs.credit_control.policy import Policy
from ocs.credit_control.session import Session
from ocs.rating.tariff import Tariff, TariffBook
from ocs.units import Credits, Octets, OperatorId, TariffId

FREE: Final = Tariff(TariffId(0), OperatorId(0), None, None, Credits(0), Octets(1))
"""What emergency services cost."""


def find_tariff(tariffs: TariffBook, policy: Policy, session: Opening | Session, rating_group: int) -> Tariff | None:
    """Give what a service costs that begins in this session; None where the operator has no tariff for it."""
    if session.emergency or rating_group in policy.emergency_rating_groups:
        return FREE
    group = rating_group if rating_group >= 0 else None
    return tariffs.find(session.operator, group, session.apn or None, session.tariff_mark)
