"""Move credit between the accounts of one operator.  Each function is one transfer and keeps the account's laws.

A reservation is a pending transfer: `reserve` makes it, and exactly one of `settle` and `release` ends it.
"""

import msgspec

from ocs.balance.account import Account
from ocs.units import Credits


class Settlement(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What one report costs; `charged = posted + overrun`."""

    posted: Credits  # leaves the operator for good
    overrun: Credits  # used beyond what the balance could pay; has its own account


def settlement(available: Credits, reserved: Credits, charged: Credits) -> Settlement:
    """Split a charge into what the reservation and the free balance pay and what they cannot.

    Args:
        available: credit of the operator that nothing holds.
        reserved: pending for the Granted-Service-Unit that was used; what the charge leaves of it is released.
        charged: the price of this report.
    """
    assert available >= 0
    assert reserved >= 0
    assert charged >= 0
    posted = min(charged, available + reserved)
    return Settlement(posted=Credits(posted), overrun=Credits(charged - posted))


def settle(account: Account, released: Credits, posted: Credits, overrun: Credits, reserved: Credits) -> None:
    """End reservations, charge, and reserve anew, as one request does.

    Args:
        released: pending until now; all of it returns.
        posted: is consumed.
        overrun: is owed.
        reserved: is pending from now on.
    """
    available = account.available + released - posted - reserved
    assert available >= 0, "no grant and no charge above the balance"
    account.available = Credits(available)
    account.reserved = Credits(account.reserved - released + reserved)
    if posted:
        account.consumed = Credits(account.consumed + posted)
    if overrun:
        account.overrun = Credits(account.overrun + overrun)
        account.owed = Credits(account.owed + overrun)


def reserve(account: Account, amount: Credits) -> None:
    """Begin a pending transfer of `amount` for a grant."""
    assert 0 <= amount <= account.available, "no grant above the balance"
    account.available = Credits(account.available - amount)
    account.reserved = Credits(account.reserved + amount)


def post(account: Account, amount: Credits) -> None:
    """Consume `amount` at once, as a one-time debit does."""
    settle(account, Credits(0), amount, Credits(0), Credits(0))


def release(account: Account, amount: Credits) -> None:
    """Void or expire a pending transfer: all of it returns."""
    account.reserved = Credits(account.reserved - amount)
    account.available = Credits(account.available + amount)


def top_up(account: Account, amount: Credits) -> Credits:
    """Credit `amount`; what is owed is paid first.

    Returns:
        the part that paid earlier overrun.
    """
    paid = min(amount, account.overrun)
    account.funded = Credits(account.funded + amount)
    account.overrun = Credits(account.overrun - paid)
    account.owed = Credits(account.owed - paid)
    account.consumed = Credits(account.consumed + paid)
    account.available = Credits(account.available + amount - paid)
    return Credits(paid)


def reverse(account: Account, amount: Credits) -> None:
    """Take a top-up, or a part of it, back; never more than is available."""
    assert 0 < amount <= account.available, "a reversal takes at most what is available"
    account.funded = Credits(account.funded - amount)
    account.available = Credits(account.available - amount)


def refund(account: Account, amount: Credits) -> None:
    """Give consumed credit back (CCR-E, REFUND_ACCOUNT)."""
    assert 0 <= amount <= account.consumed, "a refund never exceeds what was consumed"
    account.consumed = Credits(account.consumed - amount)
    account.available = Credits(account.available + amount)


def write_off(account: Account, amount: Credits) -> None:
    """Give up what an operator owes; it stays in the books as owed."""
    assert 0 < amount <= account.overrun, "only overrun is written off"
    account.overrun = Credits(account.overrun - amount)
    account.written_off = Credits(account.written_off + amount)
