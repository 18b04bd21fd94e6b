"""Tariffs: what octets cost, per rating group and APN.  TS 32.296; docs/adr/0005-price-on-the-running-total.md.

A tariff is an immutable row with a number that only rises.  A session notes the highest number at its start and finds
its tariffs among rows up to it, so a change of price never reaches into a session that runs.
"""

from bisect import bisect_right
from typing import Final

import msgspec

from ocs.units import Credits, Octets, OperatorId, TariffId

PRICE_MAX: Final = 2**40
PER_OCTETS_MAX: Final = 2**50


class Tariff(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """`price` credits for each started block of `per_octets`."""

    number: TariffId
    operator: OperatorId
    rating_group: int | None  # None: all that have no tariff of their own
    apn: str | None
    price: Credits
    per_octets: Octets


class TariffBook:
    """All tariffs of all operators; grows only."""

    __slots__ = ("_by_key", "_by_number")

    def __init__(self) -> None:
        self._by_number: dict[TariffId, Tariff] = {}
        self._by_key: dict[tuple[OperatorId, int | None, str | None], list[TariffId]] = {}

    @property
    def newest(self) -> TariffId:
        """The highest number so far, 0 for none."""
        return TariffId(len(self._by_number))

    def add(self, tariff: Tariff) -> None:
        """Append a row; numbers are dense."""
        assert tariff.number == self.newest + 1, "tariff numbers are dense"
        assert 0 <= tariff.price <= PRICE_MAX
        assert 0 < tariff.per_octets <= PER_OCTETS_MAX
        self._by_number[tariff.number] = tariff
        self._by_key.setdefault((tariff.operator, tariff.rating_group, tariff.apn), []).append(tariff.number)

    def __getitem__(self, number: TariffId) -> Tariff:
        return self._by_number[number]

    def all(self) -> list[Tariff]:
        return list(self._by_number.values())

    def find(self, operator: OperatorId, rating_group: int | None, apn: str | None, mark: TariffId) -> Tariff | None:
        """Give the tariff a session uses that began when `mark` was the newest number.

        The nearest key wins: rating group and APN, then rating group, then APN, then the operator's default.
        """
        for key in (
            (operator, rating_group, apn),
            (operator, rating_group, None),
            (operator, None, apn),
            (operator, None, None),
        ):
            numbers = self._by_key.get(key)
            if numbers and numbers[0] <= mark:
                return self._by_number[numbers[bisect_right(numbers, mark) - 1]]
        return None

    def in_force(self, operator: OperatorId) -> list[Tariff]:
        """Give the tariffs a session of `operator` that began now would use, the default first."""
        rows = [self._by_number[numbers[-1]] for key, numbers in self._by_key.items() if key[0] == operator]
        return sorted(rows, key=lambda row: (row.rating_group is not None, row.rating_group or 0, row.apn or ""))
