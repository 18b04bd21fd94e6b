"""The messages of a procedure by their names and in their order, whichever interface they cross.

`S11 Create Session Request` and `S8 ...` of GTPv2-C (TS 29.274 section 6.1), `Gy CCR-I` and the like of credit control
(RFC 8506 section 8.3).  Watchdogs and capabilities belong to the connection, and to no procedure.
"""

from typing import Final

from simulator.plane.gtpc import Kind
from simulator.profile import RequestType
from simulator.wire import Command, Message

_GY: Final[dict[int, tuple[str, str]]] = {Command.RE_AUTH: ("RAR", "RAA"), Command.ABORT_SESSION: ("ASR", "ASA")}

_TYPES: Final[dict[int, str]] = {kind: f"-{kind.name[0]}" for kind in RequestType}


def of_gtpc(octets: bytes, *, visited: bool) -> str:
    """Name a message by its first octets; `visited`: it is between MME and SGW."""
    return _gtpc(Kind(octets[1]), visited=visited)


def of_gy(message: Message) -> str | None:
    """Name a message about a session; None where it is about the connection."""
    place = 0 if message.is_request else 1
    if message.command == Command.CREDIT_CONTROL:
        return f"Gy {('CCR', 'CCA')[place]}{_TYPES.get(message.number('CC-Request-Type') or 0, '')}"
    names = _GY.get(message.command)
    return f"Gy {names[place]}" if names else None


def _gtpc(kind: Kind, *, visited: bool) -> str:
    return f"{'S11' if visited else 'S8'} {kind.name.replace('_', ' ').title()}"


NAMES: Final = frozenset(
    {
        *(_gtpc(kind, visited=visited) for kind in Kind for visited in (True, False)),
        *(f"Gy {name}{kind}" for name in ("CCR", "CCA") for kind in _TYPES.values()),
        *(f"Gy {name}" for names in _GY.values() for name in names),
    }
)
