"""The deployment's data credits, double entry: bought, locked by open channels, spent by settled ones.

    available + locked + spent = funded

This ledger and that of the operators' money never meet: reconciliation shows them side by side, and charges nothing.
"""

import msgspec

from ocs.units import DataCredits


class DataCreditAccount(msgspec.Struct, array_like=True, gc=False):
    """Balances in data credits; changed in place by the functions below and nothing else."""

    available: DataCredits = DataCredits(0)
    locked: DataCredits = DataCredits(0)
    spent: DataCredits = DataCredits(0)
    funded: DataCredits = DataCredits(0)

    def check(self) -> None:
        """Assert the laws of this ledger; each is a bug where it fails."""
        assert self.available >= 0, "no channel locks more than there is"
        assert self.locked >= 0, "a channel settles once"
        assert self.spent >= 0
        assert self.available + self.locked + self.spent == self.funded


def buy(account: DataCreditAccount, amount: DataCredits) -> None:
    """Credit what was bought elsewhere."""
    account.funded = DataCredits(account.funded + amount)
    account.available = DataCredits(account.available + amount)


def lock(account: DataCreditAccount, amount: DataCredits) -> None:
    """Put `amount` aside for a channel that opens."""
    assert 0 < amount <= account.available, "no channel above the balance"
    account.available = DataCredits(account.available - amount)
    account.locked = DataCredits(account.locked + amount)


def settle(account: DataCreditAccount, amount: DataCredits, used: DataCredits) -> None:
    """End what a channel locked: `used` is spent, and the rest returns."""
    assert 0 <= used <= amount <= account.locked
    account.locked = DataCredits(account.locked - amount)
    account.spent = DataCredits(account.spent + used)
    account.available = DataCredits(account.available + amount - used)
