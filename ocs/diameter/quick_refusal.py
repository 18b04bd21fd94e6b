"""Refuse CCRs by the thousand, each for a small part of what serving it costs.  RFC 6733 section 7.1.3, 3004.

The AVPs are those of `base.error_answer`; only the request's own are looked for in another way: one search each instead
of a walk.  A request that is not as gateways write it takes the walk.
"""

import re
from typing import Final

from ocs.diameter import base, framing
from ocs.diameter.base import LocalNode
from ocs.diameter.codes import APPLICATION_CREDIT_CONTROL, Command, Flag
from ocs.diameter.framing import HEADER_OCTETS, read_header
from ocs.errors import DiameterError

_SESSION_ID: Final = b"\x00\x00\x01\x07"  # code 263
_PROXY_INFO: Final = b"\x00\x00\x01\x1c"  # code 284
_FLAGS_OF_NO_VENDOR: Final = b"[\x00-\x7f]"
_TYPE: Final = re.compile(b"\x00\x00\x01\xa0" + _FLAGS_OF_NO_VENDOR + b"\x00\x00\x0c\x00\x00\x00([\x01-\x04])")
_NUMBER: Final = re.compile(b"\x00\x00\x01\x9f" + _FLAGS_OF_NO_VENDOR + b"\x00\x00\x0c(.{4})", re.DOTALL)
_TERMINATION: Final = b"\x03"
_REQUIRED: Final = b"\x40\x00\x00\x0c"  # M, and the length of an Unsigned32


class QuickRefusal:
    """Answers all with the same error."""

    def __init__(self, local: LocalNode, error: DiameterError) -> None:
        self._local = local
        self._error = error
        bare = framing.encode(Flag.REQUEST, Command.CREDIT_CONTROL, APPLICATION_CREDIT_CONTROL, 0, 0, b"")
        self._own = base.error_answer(bare, local, error)[HEADER_OCTETS:]

    def answer(self, request: bytes) -> bytes:
        """Build the answer to a CCR."""
        kind, number = _TYPE.search(request, HEADER_OCTETS), _NUMBER.search(request, HEADER_OCTETS)
        word = int.from_bytes(request[HEADER_OCTETS + 4 : HEADER_OCTETS + 8], "big")
        end = HEADER_OCTETS + (word + 3 & 0xFFFFFC)
        plain = request.startswith(_SESSION_ID, HEADER_OCTETS) and word >> 31 == 0 and end <= len(request)
        if kind is None or number is None or not plain or _PROXY_INFO in request:
            return base.error_answer(request, self._local, self._error)
        header = read_header(request)
        avps = b"".join(
            (
                request[HEADER_OCTETS:end],
                self._own,
                b"\x00\x00\x01\xa0" + _REQUIRED + b"\x00\x00\x00" + kind[1],
                b"\x00\x00\x01\x9f" + _REQUIRED + number[1],
            )
        )
        return base.answer(header, avps, error=True)


def is_termination(request: bytes) -> bool:
    """Tell whether a CCR is a CCR-T, as far as one look tells."""
    kind = _TYPE.search(request, HEADER_OCTETS)
    return kind is not None and kind[1] == _TERMINATION
