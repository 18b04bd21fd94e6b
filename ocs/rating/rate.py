"""Price a running total; find how far credit reaches.  docs/adr/0005-price-on-the-running-total.md.

The price of a total is a whole number of started blocks, so rounding happens once for each service of a session and
how its use was split into reports never changes what it costs.
"""

from ocs.rating.tariff import Tariff
from ocs.units import OCTETS_MAX, Credits, Octets


def price(tariff: Tariff, total: Octets) -> Credits:
    """Give the price of `total` octets, cumulative for one service of one session."""
    return Credits(-(-total // tariff.per_octets) * tariff.price)


def charge(tariff: Tariff, before: Octets, after: Octets) -> Credits:
    """Give what the total's growth from `before` to `after` costs; never negative."""
    assert 0 <= before <= after
    block = tariff.per_octets
    return Credits((-(-after // block) + -before // block) * tariff.price)


def affordable(tariff: Tariff, total: Octets, credit: Credits) -> Octets:
    """Give how many octets beyond `total` cost at most `credit`.

    The rest of a block that `total` has started is paid already and counts.
    """
    assert credit >= 0
    if tariff.price == 0:
        return Octets(max(0, OCTETS_MAX - total))
    paid_until = -(-total // tariff.per_octets) * tariff.per_octets
    return Octets(max(0, min(OCTETS_MAX, paid_until + credit // tariff.price * tariff.per_octets) - total))
