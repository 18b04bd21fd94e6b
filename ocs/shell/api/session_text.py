r"""Session-Ids as text, and back.  RFC 6733 section 8.8 says UTF-8; gateways exist that send other octets.

What is no UTF-8, or cannot be printed, is written `\xNN` octet by octet, and so is a backslash itself: the text is
unambiguous, safe on a terminal, and the same in paths, answers and the command line.
"""

import re
from typing import Final
from urllib.parse import unquote_to_bytes

from ocs.errors import NotFound
from ocs.units import SESSION_ID_OCTETS_MAX, SessionId

_ESCAPE: Final = re.compile(rb"\\x([0-9a-fA-F]{2})")


def session_text(session_id: bytes) -> str:
    r"""Write a Session-Id.

    >>> session_text(b"sgw;1;\xff")
    'sgw;1;\\xff'
    """
    text = session_id.decode("utf-8", "surrogateescape")
    return "".join(char if char.isprintable() and char != "\\" else _escaped(char) for char in text)


def _escaped(char: str) -> str:
    return "".join(f"\\x{octet:02x}" for octet in char.encode("utf-8", "surrogateescape"))


def session_id_of(path: bytes) -> SessionId:
    r"""Read a Session-Id from a percent-encoded path: its octets as they are, or `\xNN` escapes, or both."""
    return _unescaped(unquote_to_bytes(path))


def session_named(text: str) -> SessionId:
    r"""Read a Session-Id as `session_text` writes it, from where the framework has undone the percent-encoding."""
    return _unescaped(text.encode())


def _unescaped(octets: bytes) -> SessionId:
    return SessionId(_ESCAPE.sub(lambda found: bytes([int(found[1], 16)]), octets))


def session_in_path(path: bytes, before: bytes, after: bytes = b"") -> SessionId:
    """Read the Session-Id in a path as it came: decoded by the framework it would lose octets that are no UTF-8.

    Args:
        path: the raw one, percent-encoded.
        before, after: what stands around the Session-Id.

    Raises:
        NotFound: it is empty, or longer than any that is served.
    """
    session_id = session_id_of(path.removeprefix(before).removesuffix(after))
    if not 0 < len(session_id) <= SESSION_ID_OCTETS_MAX:
        raise NotFound(f"a Session-Id has 1 to {SESSION_ID_OCTETS_MAX} octets; this one has {len(session_id)}")
    return session_id
