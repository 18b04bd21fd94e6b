"""One home operator's money, double entry.  TS 32.296 (account balance management function).

Five accounts of the operator stand against two of the world outside, and their sum is zero after every event:

    available + reserved + consumed + overrun + written_off = funded + owed

`funded` is what top-ups brought and reversals took back; `owed` is what use cost beyond the balance, paid or not, less
what later top-ups paid.  `available` is never negative: what it cannot pay becomes `overrun`.
"""

import msgspec

from ocs.units import Credits


class Account(msgspec.Struct, array_like=True, gc=False):
    """Balances in credits; changed in place by `ocs.balance.transfer` and nothing else."""

    available: Credits = Credits(0)
    reserved: Credits = Credits(0)
    consumed: Credits = Credits(0)
    overrun: Credits = Credits(0)
    written_off: Credits = Credits(0)
    funded: Credits = Credits(0)
    owed: Credits = Credits(0)

    def check(self) -> None:
        """Assert the laws of this ledger; each is a bug where it fails."""
        assert self.available >= 0, "available is never negative"
        assert self.reserved >= 0, "a reservation ends once"
        assert self.consumed >= 0, "a refund never exceeds what was consumed"
        assert self.overrun >= 0, "a top-up pays no more than what is owed"
        assert self.available + self.reserved + self.consumed == self.funded, (
            "credited = available + reserved + consumed"
        )
        assert self.overrun + self.written_off == self.owed, "what is owed is in overrun or written off"
