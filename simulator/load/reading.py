"""Answers, read by no more than a load needs: the command's Result-Code and the grants."""

from collections.abc import Sequence
from struct import Struct
from typing import Final

from simulator.load.patching import IDS, WORD

HEADER_OCTETS: Final = 20
SUCCESS: Final = 2001
CREDIT_CONTROL: Final = b"\x00\x01\x10"
_RESULT: Final = Struct(">III")
_GRANT: Final = Struct(">IIQ")
_RESULT_HEAD: Final = (268, 0x4000_000C)
_GOOD: Final = (*_RESULT_HEAD, SUCCESS)
_GRANT_HEAD: Final = (421, 0x4000_0010)
_GROUPED: Final = frozenset({456, 431})


class Reader:
    """Holds answers against what their kind must say: 2001, and a grant for each service that asked.

    A layout that was right once is remembered by the answer's kind and length, and only its numbers are read again.
    """

    def __init__(self) -> None:
        self._learnt: dict[tuple[int, int], tuple[int, tuple[int, ...]]] = {}

    def is_known(self, kind: int, answer: bytes) -> bool:
        """Tell whether an answer is good, as the last one of its kind and length was."""
        if answer[4] & 0xB0 or answer[5:8] != CREDIT_CONTROL:
            return False
        learnt = self._learnt.get((kind, len(answer)))
        if learnt is None:
            return False
        place, grants = learnt
        if _RESULT.unpack_from(answer, place) != _GOOD:
            return False
        for grant in grants:
            code, word, octets = _GRANT.unpack_from(answer, grant)
            if (code, word) != _GRANT_HEAD or not octets:
                return False
        return True

    def is_right(self, kind: int, answer: bytes, services: int) -> bool:
        """Look at an answer AVP by AVP; `services` says how many grants it must hold."""
        if answer[4] & 0xB0 or answer[5:8] != CREDIT_CONTROL:
            return False
        results: list[int] = []
        found: list[int] = []
        _walk(answer, HEADER_OCTETS, len(answer), results, found, top=True)
        right = len(results) == 1 and _RESULT.unpack_from(answer, results[0]) == _GOOD
        right = right and len(found) == services and _all_grant(answer, found)
        if right:
            self._learnt[kind, len(answer)] = results[0], tuple(found)
        return right


def result_of(answer: bytes) -> int:
    """Give the command's Result-Code, 0 without one."""
    results: list[int] = []
    _walk(answer, HEADER_OCTETS, len(answer), results, [], top=True)
    return int(_RESULT.unpack_from(answer, results[0])[2]) if results else 0


def watchdog_answer(request: bytes, capabilities: bytes) -> bytes:
    """Answer a DWR with the names of our own CER, which stand first in it."""
    place = HEADER_OCTETS
    for _ in range(2):
        place += (WORD.unpack_from(capabilities, place + 4)[0] & 0xFF_FFFF) + 3 & ~3
    body = _RESULT.pack(*_RESULT_HEAD, SUCCESS) + capabilities[HEADER_OCTETS:place]
    length = HEADER_OCTETS + len(body)
    return WORD.pack(1 << 24 | length) + b"\x00" + request[5:HEADER_OCTETS] + body


def _all_grant(answer: bytes, places: Sequence[int]) -> bool:
    return all(_GRANT.unpack_from(answer, place)[2] for place in places)


def _walk(octets: bytes, place: int, end: int, results: list[int], grants: list[int], *, top: bool) -> None:
    """Find the command's Result-Code and every CC-Total-Octets of a grant."""
    while end - place >= 8:
        code, word = IDS.unpack_from(octets, place)
        length = max(8, word & 0xFF_FFFF)
        if code == _RESULT_HEAD[0] and top:
            results.append(place)
        elif code == _GRANT_HEAD[0] and not top and word == _GRANT_HEAD[1]:
            grants.append(place)
        elif code in _GROUPED and not word >> 31:
            _walk(octets, place + 8, place + length, results, grants, top=False)
        place += (length + 3) & ~3
