"""Learn the layout of a message, so that the next of its kind is read at a glance.  docs/adr/0013-learnt-layouts.md.

A gateway repeats itself: every CCR-U of a profile has the same AVPs in the same order with the same lengths.  Of a
message that passed the full check of `ocs.diameter.strict` a `Layout` keeps which octets a later message must have in
common with it (all AVP headers, and the values that were fixed) and where the values stand that may differ:

    | header | Session-Id ........ | CC-Request-Number ... | Used-Service-Unit { CC-Total-Octets ... } |
    | = = ids| = = = = value       | = = = = value         | = = = = = = = = = = = value             |

One comparison under a mask and one `Struct.unpack` then do the work of the walk.  The slow twin is the full check; a
message that differs anywhere takes that.  A value that the full check would look at is either fixed, or its check comes
with its place and must be asked for each message.
"""

from collections.abc import Iterable, Iterator
from struct import Struct
from typing import Final, NamedTuple

from ocs.diameter.avp import walk
from ocs.diameter.codes import Flag
from ocs.diameter.dictionary import Dictionary
from ocs.diameter.framing import HEADER_OCTETS, read_header
from ocs.diameter.strict_rules import Check, Grammar, Key, grammars

HEADER_VALUES: Final = ">4xB7xII"
"""Every layout's values begin with the command flags, the Hop-by-Hop and the End-to-End identifier."""

_FREE_FLAGS: Final = int(Flag.RETRANSMITTED)
_REQUEST_AND_ERROR: Final = int(Flag.REQUEST | Flag.ERROR)


class Leaf(NamedTuple):
    """An AVP that is no group, or one whose inside is nobody's business."""

    path: tuple[Key, ...]  # the keys of the groups around it, then its own
    groups: tuple[int, ...]  # where these groups stand, the outermost first
    start: int  # of its data
    stop: int
    check: Check | None  # what the full check asks of its content


class Value(NamedTuple):
    """A place whose content differs from message to message."""

    start: int
    stop: int
    is_number: bool  # of 4 or 8 octets; the others come as octets


def leaves(message: bytes, dictionary: Dictionary) -> list[Leaf]:
    """List the leaves of a message that passed the full check, in their order."""
    header = read_header(message)
    grammar = grammars(dictionary)[header.command, header.flags & _REQUEST_AND_ERROR]
    judged = grammar.scope.is_judged
    return list(_leaves(message, grammar, HEADER_OCTETS, len(message), (), (), is_judged=judged))


def _leaves(
    message: bytes,
    grammar: Grammar,
    start: int,
    end: int,
    path: tuple[Key, ...],
    groups: tuple[int, ...],
    *,
    is_judged: bool,
) -> Iterator[Leaf]:
    for raw in walk(message, start, end):
        key = raw.vendor << 32 | raw.code
        here = (*path, key)
        rule = grammar.rules.get(key)
        if rule is not None and rule.scope is not None:
            judged = is_judged and rule.scope.is_judged
            within = (*groups, raw.offset)
            yield from _leaves(message, grammar, raw.start, raw.end, here, within, is_judged=judged)
        else:
            is_looked_at = rule is not None and (is_judged or rule.is_shown)
            yield Leaf(here, groups, raw.start, raw.end, rule.check if rule is not None and is_looked_at else None)


class Layout:
    """The layout of one message; `values` of another says whether it has the same."""

    __slots__ = ("_fixed", "_mask", "unpack")

    def __init__(self, message: bytes, values: Iterable[Value], free: Iterable[tuple[int, int]]) -> None:
        """Learn from `message`.

        Args:
            values: what `unpack` gives behind the three of the header, in the order of the message.
            free: further ranges that may differ and that nobody reads.
        """
        mask = bytearray(b"\xff" * len(message))
        mask[4] &= ~_FREE_FLAGS
        mask[12:HEADER_OCTETS] = bytes(8)
        form, place = [HEADER_VALUES], HEADER_OCTETS
        for start, stop, is_number in values:
            octets = stop - start
            assert place <= start, "values stand in the order of the message and do not overlap"
            form.append(f"{start - place}x{_NUMBERS[octets] if is_number else f'{octets}s'}")
            mask[start:stop] = bytes(octets)
            place = stop
        for start, stop in free:
            mask[start:stop] = bytes(stop - start)
        self.unpack = Struct(f"{''.join(form)}{len(message) - place}x").unpack
        self._mask = int.from_bytes(mask, "big")
        self._fixed = int.from_bytes(message, "big") & self._mask

    def fits(self, message_as_number: int) -> bool:
        """Tell whether a message of the same length, read as one big-endian number, has this layout."""
        return message_as_number & self._mask == self._fixed


_NUMBERS: Final = {4: "I", 8: "Q"}
