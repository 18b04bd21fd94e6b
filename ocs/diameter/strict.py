"""Check a received message against the grammar of its command.  RFC 6733 sections 3.2, 4.4, 7.1.5 and 7.5.

One message may be wrong in many ways and gets one answer, so errors have an order:

    5014  a length that does not fit, or is not the type's          the first one ends the check
    5001  an AVP this server does not know, with the M bit set
    5005  a required AVP is missing: of the command, then of groups in their order
    5009  an AVP occurs too often
    5008  an AVP that this command must not hold
    5004  a value

Too deep or too many AVPs (5004) end the check where they are met.  `failed_avp` of the error raised is what goes inside
Failed-AVP: the offender, wrapped in the groups it was found in.

Strict where charging depends on it, lenient where gateways differ:

- Session-Id elsewhere than first is 5005: the grammar puts it right behind the header (RFC 6733 section 8.8), and there
  it is missing.  No other order is asked for.
- The V bit chooses the code space and so cannot be wrong; the M bit of a known AVP, the P bit and the reserved bits of
  all AVPs are not looked at.  Padding may be other than zero, and may be missing behind the last AVP of a group.
- A known AVP may stand in any command or group, also where the grammar does not name it.
- An unknown AVP with M set is ignored where a group around it has M clear (RFC 6733 section 4.4).
- Occurrences are counted in commands and in the IETF's groups, save Vendor-Specific-Application-Id, which older peers
  fill in otherwise (RFC 3588 section 6.11).  Groups of other vendors are open to every release.
- Of the Enumerated AVPs only those that charging acts on have a range; a value of a newer release ends no session.
- Service-Information and User-Equipment-Info are walked for lengths and unknown AVPs; their values are not judged, save
  the names that are shown to people: Session-Id, User-Name, Called-Station-Id, Service-Context-Id.
- Failed-AVP is a peer's quotation of what was wrong and is not looked into.
- An error answer (E set) has a grammar of its own and is walked in the same lenient way.
"""

from struct import Struct
from typing import Final

from ocs.diameter import value
from ocs.diameter.avp import MANDATORY, VENDOR, encode
from ocs.diameter.codes import Flag
from ocs.diameter.dictionary import AvpDefinition, Dictionary
from ocs.diameter.framing import HEADER_OCTETS, read_header
from ocs.diameter.grammar import MandatoryBit
from ocs.diameter.strict_rules import Grammar, Key, Scope, grammars, key_of
from ocs.errors import (
    AvpNotAllowed,
    AvpOccursTooManyTimes,
    AvpUnsupported,
    CommandUnsupported,
    DiameterError,
    InvalidAvpLength,
    InvalidAvpValue,
    InvalidMessageLength,
    MissingAvp,
)

DEPTH_MAX: Final = 8
"""The deepest group of TS 32.299 nests six AVPs."""

AVPS_MAX: Final = 2_000
"""A CCR of forty services has about 700 AVPs."""

FAILED_OCTETS_MAX: Final = 4_096
"""An offender with more data is shown by its header alone, so that an answer stays far below any message limit."""

_HEADER = Struct(">II")
_VENDOR_ID = Struct(">I")
_REQUEST_AND_ERROR = int(Flag.REQUEST | Flag.ERROR)


def check(message: bytes, dictionary: Dictionary, *, depth_max: int = DEPTH_MAX, avps_max: int = AVPS_MAX) -> None:
    """Check a whole message: lengths, unknown AVPs, occurrences, values.

    Args:
        message: header and AVPs, as `Framer` gives them.
        depth_max: how deep AVPs may nest; those of the command have depth 1.
        avps_max: how many AVPs there may be, at all depths together.

    Raises:
        CommandUnsupported: the dictionary has no grammar for it.
        InvalidMessageLength: the header's length is not the message's.
        InvalidAvpLength, AvpUnsupported, MissingAvp, AvpOccursTooManyTimes, AvpNotAllowed, InvalidAvpValue: the one
            error that comes first in the order above, with its failed_avp.
    """
    # One loop without calls for what is in order: a message of thirty AVPs takes about 25 µs.
    grammar = _grammar(message, dictionary)
    rules, scope = grammar.rules, grammar.scope
    unpack, unpack_vendor = _HEADER.unpack_from, _VENDOR_ID.unpack_from
    found = _Found(message, dictionary)
    path: list[int] = []  # offsets of the groups we are in
    outer: list[tuple[int, int, Scope, dict[Key, int] | None, bool, bool]] = []  # what to return to behind each
    counts: dict[Key, int] | None = {} if scope.is_counted else None
    is_judged = scope.is_judged
    is_mandatory = True  # all groups around have M set
    offset, end = HEADER_OCTETS, len(message)
    seen = 0
    while True:
        if offset >= end:
            if counts is not None:
                for key, minimum, definition in scope.required:
                    if counts.get(key, 0) < minimum:
                        found.missing(definition, path)
                        break
            if not outer:
                break
            offset, end, scope, counts, is_mandatory, is_judged = outer.pop()
            path.pop()
            continue

        # Lengths: the first that does not fit ends the walk, for nothing behind it has a meaning.
        if end - offset < 8:
            raise found.cut(offset, end, path)
        key, word = unpack(message, offset)
        start = offset + 8
        if word & 0x8000_0000:
            start = offset + 12
            if start <= end:
                key |= unpack_vendor(message, offset + 8)[0] << 32
        stop = offset + (word & 0xFF_FFFF)
        if stop < start or stop > end:
            raise found.length(key, offset, start, end, path)
        seen += 1
        if seen > avps_max:
            raise found.limit(f"there are more than {avps_max} AVPs", offset, start, stop, path)
        if len(path) >= depth_max:
            raise found.limit(f"AVPs are nested more than {depth_max} deep", offset, start, stop, path)

        rule = rules.get(key)
        if rule is None:
            if is_mandatory and word & 0x4000_0000 and found.unsupported is None:
                found.unsupported = found.error(AvpUnsupported, "is not known here", offset, start, stop, path)
            offset = (stop + 3) & ~3
            continue
        if counts is not None:
            count = counts[key] = counts.get(key, 0) + 1
            maximum = scope.maxima.get(key)
            if maximum is not None and count > maximum:
                found.excess(maximum, offset, start, stop, path)
        octets, content_check, is_shown, inner = rule
        if inner is not None:
            outer.append(((stop + 3) & ~3, end, scope, counts, is_mandatory, is_judged))
            path.append(offset)
            is_mandatory = is_mandatory and word & 0x4000_0000 != 0
            is_judged = is_judged and inner.is_judged
            scope, counts = inner, ({} if is_judged and inner.is_counted else None)
            offset, end = start, stop
            continue
        if is_judged or is_shown:
            if octets >= 0 and stop - start != octets:
                detail = f"has {stop - start} octets of data; its type has {octets}"
                raise found.error(InvalidAvpLength, detail, offset, start, stop, path)
            if content_check is not None and found.value is None:
                reason = content_check(message[start:stop])
                if reason is not None:
                    found.value = found.error(InvalidAvpValue, f"is wrong: {reason}", offset, start, stop, path)
        offset = (stop + 3) & ~3

    first = grammar.first
    if first is not None and _key_at(message, HEADER_OCTETS) != key_of(first):
        found.misplaced(first)
    found.raise_first()


class _Found:
    """The first error of each kind.  Made for every message, so its work is all in the methods."""

    __slots__ = ("_absent", "_dictionary", "_forbidden", "_message", "_too_many", "unsupported", "value")

    def __init__(self, message: bytes, dictionary: Dictionary) -> None:
        self._message = message
        self._dictionary = dictionary
        self.unsupported: DiameterError | None = None
        self.value: DiameterError | None = None
        self._absent: DiameterError | None = None
        self._too_many: DiameterError | None = None
        self._forbidden: DiameterError | None = None

    def raise_first(self) -> None:
        for error in (self.unsupported, self._absent, self._too_many, self._forbidden, self.value):
            if error is not None:
                raise error

    def missing(self, definition: AvpDefinition, path: list[int]) -> None:
        # Those of the command are found last, when the walk ends, and come first.
        if self._absent is None or not path:
            where = f" in {self._name(path[-1])}" if path else ""
            self._absent = MissingAvp(f"{definition.name} is missing{where}", self._wrapped(_example(definition), path))

    def misplaced(self, definition: AvpDefinition) -> None:
        self._absent = MissingAvp(f"{definition.name} is missing right behind the header", _example(definition))

    def excess(self, maximum: int, offset: int, start: int, stop: int, path: list[int]) -> None:
        if maximum == 0:
            if self._forbidden is None:
                self._forbidden = self.error(AvpNotAllowed, "must not be in this command", offset, start, stop, path)
        elif self._too_many is None:
            detail = f"occurs more than {maximum} times" if maximum > 1 else "occurs more than once"
            self._too_many = self.error(AvpOccursTooManyTimes, detail, offset, start, stop, path)

    def error(
        self, kind: type[DiameterError], detail: str, offset: int, start: int, stop: int, path: list[int]
    ) -> DiameterError:
        """Make an error about the AVP at `offset`, whose data is `start:stop`."""
        return kind(f"{self._name(offset)} {detail}", self._wrapped(self._excerpt(offset, start, stop), path))

    def limit(self, detail: str, offset: int, start: int, stop: int, path: list[int]) -> InvalidAvpValue:
        return InvalidAvpValue(detail, self._wrapped(self._excerpt(offset, start, stop), path))

    def cut(self, offset: int, end: int, path: list[int]) -> InvalidAvpLength:
        """Fewer octets are left than a header has: it is padded with zeros (RFC 6733 section 7.1.5, 5014)."""
        head = self._message[offset:end].ljust(8, b"\0")
        failed = encode(int.from_bytes(head[:4], "big"), b"", flags=head[4])
        return InvalidAvpLength(
            f"{end - offset} octets are left where an AVP header takes 8", self._wrapped(failed, path)
        )

    def length(self, key: Key, offset: int, start: int, end: int, path: list[int]) -> InvalidAvpLength:
        """The length is below the header or past the end: the header is mended, its data zero and of minimum length."""
        _, word = _HEADER.unpack_from(self._message, offset)
        code, vendor = key & 0xFFFF_FFFF, key >> 32
        # Without room for a vendor id the V bit names no code space, and so no definition.
        definition = self._dictionary.avp(code, vendor) if start <= end else None
        data = value.minimum(definition.type) if definition else b""
        return InvalidAvpLength(
            f"{definition.name if definition else f'AVP {code}'} says it is {word & 0xFF_FFFF} octets long; "
            f"{start - offset} to {end - offset} fit here",
            self._wrapped(encode(code, data, vendor=vendor, flags=word >> 24), path),
        )

    def _name(self, offset: int) -> str:
        key = _key_at(self._message, offset)
        code, vendor = key & 0xFFFF_FFFF, key >> 32
        definition = self._dictionary.avp(code, vendor)
        if definition:
            return definition.name
        return f"AVP {code} of vendor {vendor}" if vendor else f"AVP {code}"

    def _excerpt(self, offset: int, start: int, stop: int) -> bytes:
        """The AVP as it came, its padding zero; without its data where that is long."""
        if stop - start <= FAILED_OCTETS_MAX:
            return self._message[offset:stop] + bytes(-(stop - offset) & 3)
        key = _key_at(self._message, offset)
        code, vendor = key & 0xFFFF_FFFF, key >> 32
        definition = self._dictionary.avp(code, vendor)
        data = value.minimum(definition.type) if definition else b""
        return encode(code, data, vendor=vendor, flags=self._message[offset + 4])

    def _wrapped(self, failed: bytes, path: list[int]) -> bytes:
        """Put the groups around it, innermost first; they hold nothing else."""
        for offset in reversed(path):
            key = _key_at(self._message, offset)
            failed = encode(key & 0xFFFF_FFFF, failed, vendor=key >> 32, flags=self._message[offset + 4])
        return failed


def _key_at(message: bytes, offset: int) -> Key:
    """Read code and vendor of the AVP header at `offset`; -1 where there is none."""
    if len(message) - offset < 8:
        return -1
    code, word = _HEADER.unpack_from(message, offset)
    has_vendor = word >> 24 & VENDOR and len(message) - offset >= 12
    vendor = _VENDOR_ID.unpack_from(message, offset + 8)[0] if has_vendor else 0
    return int(vendor << 32 | code)


def _example(definition: AvpDefinition) -> bytes:
    """Make the AVP that stands for a missing one (RFC 6733 section 7.5)."""
    flags = MANDATORY if definition.mandatory is MandatoryBit.MUST else 0
    return encode(definition.code, value.minimum(definition.type), vendor=definition.vendor, flags=flags)


def _grammar(message: bytes, dictionary: Dictionary) -> Grammar:
    if len(message) < HEADER_OCTETS:
        raise InvalidMessageLength(f"{len(message)} octets; a header alone has {HEADER_OCTETS}")
    header = read_header(message)
    if header.length != len(message):
        raise InvalidMessageLength(f"the header says {header.length} octets; there are {len(message)}")
    grammar = grammars(dictionary).get((header.command, header.flags & _REQUEST_AND_ERROR))
    if grammar is None:
        kind = "request" if header.is_request else "answer"
        raise CommandUnsupported(f"there is no grammar for the {kind} {header.command}")
    return grammar
