"""Home operators and how an IMSI finds its own.  TS 23.003 section 2.2.

The longest prefix wins: an MVNO's range inside the MNO's PLMN goes to the MVNO.
"""

from typing import Final

import msgspec

from ocs.balance.account import Account
from ocs.errors import Conflict, InvalidInput
from ocs.units import Octets, OperatorId, UnixMillis

PREFIX_DIGITS_MIN: Final = 5  # MCC and a two-digit MNC
PREFIX_DIGITS_MAX: Final = 14  # one digit short of an IMSI: a prefix is a range
PLMN_DIGITS_MAX: Final = 6  # MCC and a three-digit MNC
PREFIXES_MAX: Final = 1000  # of one operator; bounds what one request makes the directory grow


class Operator(msgspec.Struct, array_like=True):
    """A home operator: who it is, and its money."""

    number: OperatorId
    name: str
    prefixes: list[str]
    added_at: UnixMillis
    grant_max: Octets | None  # no grant of this operator's is larger
    account: Account


class Directory:
    """All operators, by number, by name and by IMSI prefix."""

    __slots__ = ("_by_name", "_by_number", "_lengths", "_prefixes")

    def __init__(self) -> None:
        self._by_number: dict[OperatorId, Operator] = {}
        self._by_name: dict[str, Operator] = {}
        self._prefixes: dict[str, Operator] = {}
        self._lengths: tuple[int, ...] = ()  # of all prefixes, longest first

    def __getitem__(self, number: OperatorId) -> Operator:
        return self._by_number[number]

    def __len__(self) -> int:
        return len(self._by_number)

    def all(self) -> list[Operator]:
        return list(self._by_number.values())

    def named(self, name: str) -> Operator | None:
        return self._by_name.get(name)

    def of(self, imsi: str) -> Operator | None:
        """Give the operator with the longest prefix of `imsi`, or None."""
        prefixes = self._prefixes
        for length in self._lengths:
            operator = prefixes.get(imsi[:length])
            if operator is not None:
                return operator
        return None

    def add(self, operator: Operator) -> None:
        assert operator.number == len(self._by_number) + 1, "operator numbers are dense"
        self._by_number[operator.number] = operator
        self._by_name[operator.name] = operator
        self.add_prefixes(operator, operator.prefixes)

    def add_prefixes(self, operator: Operator, prefixes: list[str]) -> None:
        for prefix in prefixes:
            self._prefixes[prefix] = operator
        self._lengths = tuple(sorted({len(prefix) for prefix in self._prefixes}, reverse=True))

    def check_new(self, prefixes: list[str], owner: Operator | None = None) -> None:
        """Check that `prefixes` can be given to `owner` (None: an operator about to be added).

        Raises:
            InvalidInput: one is not 5 to 14 digits, or is named twice.
            Conflict: one is taken; or a 5-digit and a 6-digit PLMN cover the same IMSIs, which no numbering plan has:
                within one country an MNC has two digits or three.
        """
        if not prefixes or len(prefixes) > PREFIXES_MAX:
            raise InvalidInput(f"an operator has 1 to {PREFIXES_MAX} IMSI prefixes; got {len(prefixes)}")
        plmns = {prefix: holder.name for prefix, holder in self._prefixes.items() if len(prefix) <= PLMN_DIGITS_MAX}
        seen: set[str] = set()
        for prefix in prefixes:
            if not (prefix.isascii() and prefix.isdigit() and PREFIX_DIGITS_MIN <= len(prefix) <= PREFIX_DIGITS_MAX):
                raise InvalidInput(
                    f"an IMSI prefix is {PREFIX_DIGITS_MIN} to {PREFIX_DIGITS_MAX} digits (MCC, MNC, then an MVNO's "
                    f"range if any); got {prefix[:40]!r}"
                )
            if prefix in seen:
                raise InvalidInput(f"prefix {prefix} is named twice")
            seen.add(prefix)
            taken = self._prefixes.get(prefix)
            if taken is not None:
                raise Conflict(f"prefix {prefix} belongs to operator {taken.name!r} for good; take a longer one")
            if len(prefix) > PLMN_DIGITS_MAX:
                continue
            for other, name in plmns.items():
                if other.startswith(prefix) or prefix.startswith(other):
                    raise Conflict(
                        f"prefix {prefix} overlaps PLMN {other} of operator {name!r}: an MNC has two digits or three "
                        "within one country; write an MVNO's range with 7 digits or more"
                    )
            plmns[prefix] = owner.name if owner is not None else "this one"
