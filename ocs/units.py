"""The words everything below is written in: integers that carry their unit in their type.

No float touches money, octets or time.  A checked constructor at the border makes one of these from raw input; inside
the core they are taken as true and checks are assertions.
"""

from typing import Final, NewType

from ocs.errors import InvalidInput

Octets = NewType("Octets", int)
"""A volume in bytes, never negative."""

Credits = NewType("Credits", int)
"""Prepaid credit in the smallest unit an operator buys; never a fraction."""

DataCredits = NewType("DataCredits", int)
"""What a channel counts in: bought by the deployment, and no operator's money."""

UnixMillis = NewType("UnixMillis", int)
"""Milliseconds since 1970-01-01T00:00:00Z."""

Imsi = NewType("Imsi", str)
"""An IMSI as digits, leading zeros kept (TS 23.003 section 2.2)."""

SessionId = NewType("SessionId", bytes)
"""A Session-Id, opaque octets (RFC 6733 section 8.8)."""

GroupIndex = NewType("GroupIndex", int)
"""The place of a commit group in the journal; the first is 1, and there is no gap."""

OperatorId = NewType("OperatorId", int)
TariffId = NewType("TariffId", int)

CREDITS_MAX: Final = Credits(2**63 - 1)
"""What the books' 64-bit columns hold; a balance above it is refused at the top-up that would reach it."""

OCTETS_MAX: Final = Octets(2**62)
"""More than any session moves (four exbibytes); a report above it is a broken counter (RFC 8506 section 8.19)."""

TIME_MAX: Final = UnixMillis(253_402_300_799_999)
"""The end of the year 9999; no later moment can be written as RFC 3339 does."""

UNSIGNED32_MAX: Final = 2**32 - 1

SESSION_ID_OCTETS_MAX: Final = 255
"""Longer than any gateway's; bounds what one session costs in memory."""

# TS 23.003 gives 15 digits at the most; 16 have been seen on live Gy, and short ones in laboratories.
IMSI_DIGITS_MIN: Final = 6
IMSI_DIGITS_MAX: Final = 16

SECOND: Final = 1000
MINUTE: Final = 60 * SECOND
DAY: Final = 24 * 60 * MINUTE


def imsi(text: str) -> Imsi:
    """Check that `text` is an IMSI: 6 to 16 decimal digits.

    Raises:
        InvalidInput: it is not; the text itself is left out, for an IMSI is personal data.
    """
    if not (IMSI_DIGITS_MIN <= len(text) <= IMSI_DIGITS_MAX and text.isascii() and text.isdigit()):
        raise InvalidInput(
            f"an IMSI is {IMSI_DIGITS_MIN} to {IMSI_DIGITS_MAX} decimal digits; got {len(text)} characters"
        )
    return Imsi(text)


def masked(imsi: str) -> str:
    """Hide the middle of an IMSI for logs and lists: PLMN and the last four digits stay."""
    return imsi[:5] + "*" * max(0, len(imsi) - 9) + imsi[-4:] if len(imsi) > 9 else "*" * len(imsi)
