"""Requests out of templates: a copy, and numbers written where they stand."""

from struct import Struct
from typing import Final

from simulator.load.job import Template

IDS: Final = Struct(">II")
WORD: Final = Struct(">I")
SPREAD: Final = 7_919_011
"""A prime: subscribers of sessions that follow each other have IMSIs far apart, and so other operators."""

_NOVELTY: Final = Struct(">III")


def patched(template: Template, name: int, number: int, hop_by_hop: int, end_to_end: int) -> bytearray:
    """Make a request of its own from a template; `name` tells its session from all others."""
    message = bytearray(template.octets)
    IDS.pack_into(message, 12, hop_by_hop, end_to_end)
    message[template.session : template.session + 16] = b"%016x" % name
    message[template.subscriber : template.subscriber + 9] = b"%09d" % (name * SPREAD % 1_000_000_000)
    WORD.pack_into(message, template.number, number)
    return message


def make_new(message: bytearray, number: int) -> None:
    """Append an unknown vendor's AVP without data, whose code was never seen: it is ignored, and the layout is new."""
    message += _NOVELTY.pack(number, 0x8000_000C, 9)
    WORD.pack_into(message, 0, 1 << 24 | len(message))
