"""Texts that people and peers give: checked once, at the border, in the same words."""

import re
from typing import Final

from ocs.errors import InvalidInput

TEXT_CHARACTERS_MAX: Final = 255
SHOWN_MAX: Final = 64

_IDENTITY: Final = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,253}[A-Za-z0-9_])?")
"""A DiameterIdentity (RFC 6733 section 4.3.1) is a fully qualified domain name; some hosts have underscores."""


def check_text(what: str, text: str) -> None:
    """Take 1 to 255 printable characters.

    Raises:
        InvalidInput: it is anything else; `what` names it.
    """
    if not 0 < len(text) <= TEXT_CHARACTERS_MAX or not text.isprintable():
        raise InvalidInput(f"{what} is 1 to {TEXT_CHARACTERS_MAX} printable characters; got {len(text)} characters")


def check_origin_host(text: str) -> None:
    """Take the name of a Diameter node.

    Raises:
        InvalidInput: it is none.
    """
    if not _IDENTITY.fullmatch(text):
        raise InvalidInput(
            f"{text[:SHOWN_MAX]!r} is no Origin-Host: letters, digits, dots, hyphens and underscores, as in "
            "sgw.visited.example"
        )
