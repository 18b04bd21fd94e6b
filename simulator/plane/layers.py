"""Scapy's layers, for this package only: GTP-U, GTPv2-C and IP."""

import logging
from typing import Any, Final

# As in `simulator.wire`: a quiet logger before the import, and Any in place of types that scapy does not carry.
logging.getLogger("scapy.runtime").setLevel(logging.ERROR)

from scapy.contrib import gtp as scapy_gtp  # noqa: E402
from scapy.contrib import gtp_v2 as scapy_gtp_v2  # noqa: E402
from scapy.layers import inet as scapy_inet  # noqa: E402

gtp: Final[Any] = scapy_gtp
gtp_v2: Final[Any] = scapy_gtp_v2
inet: Final[Any] = scapy_inet


class Malformed(Exception):
    """Octets that are no packet or message of the kind that was expected."""
