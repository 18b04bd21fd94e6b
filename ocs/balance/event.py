"""What happened to operators and their money; each is one record of the journal.

Fields are only appended, with defaults; a new meaning is a new tag.  docs/adr/0006-records.md.
"""

from enum import IntEnum

import msgspec

from ocs.units import Credits, Octets, OperatorId, TariffId, UnixMillis


class TopUpKind(IntEnum):
    PAID = 1
    LENT = 2  # a credit limit: counted in `credited` like any other


class OperatorAdded(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=2):
    at: UnixMillis
    operator: OperatorId
    name: str
    prefixes: list[str]
    grant_max: Octets | None
    tariff: TariffId  # of the default tariff, made by the same event
    price: Credits
    per_octets: Octets


class OperatorChanged(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=3):
    """`added` prefixes come to those there are; `grant_max` replaces what was."""

    at: UnixMillis
    operator: OperatorId
    added: list[str]
    grant_max: Octets | None


class TariffAdded(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=4):
    at: UnixMillis
    tariff: TariffId
    operator: OperatorId
    rating_group: int | None
    apn: str | None
    price: Credits
    per_octets: Octets


class ToppedUp(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=5):
    """`digest` is of the request's content: the same key with other content is refused for ever.

    `credited` to `overrun` are the balances just after, which every repeat of the request is shown again.
    """

    at: UnixMillis
    number: int  # 1, 2, ... over all operators
    operator: OperatorId
    amount: Credits
    kind: TopUpKind
    reference: str
    key: str  # Idempotency-Key
    digest: bytes
    credited: Credits
    available: Credits
    reserved: Credits
    consumed: Credits
    overrun: Credits


class Reversed(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=6):
    at: UnixMillis
    top_up: int
    operator: OperatorId
    amount: Credits
    reason: str


class WrittenOff(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=7):
    at: UnixMillis
    operator: OperatorId
    amount: Credits
    reason: str
