"""Read one dictionary file into its statements.  The format is described in dictionaries/README.md.

Only the text of a single file is looked at: whether the names it uses exist is the dictionary's question.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from difflib import get_close_matches
from enum import Enum, unique
from typing import Final, NamedTuple, NoReturn, TypeVar

from ocs.errors import BadConfiguration

CODE_MAX: Final = 2**32 - 1
COMMAND_CODE_MAX: Final = 2**24 - 1
COUNT_MAX: Final = 1_000_000
"""No message holds as many AVPs."""
WILDCARD: Final = "AVP"
"""The name that stands for any AVP in a grammar (RFC 6733 section 3.2)."""


@unique
class DataType(Enum):
    """RFC 6733 sections 4.2 to 4.4."""

    OCTET_STRING = "OctetString"
    INTEGER32 = "Integer32"
    INTEGER64 = "Integer64"
    UNSIGNED32 = "Unsigned32"
    UNSIGNED64 = "Unsigned64"
    FLOAT32 = "Float32"
    FLOAT64 = "Float64"
    GROUPED = "Grouped"
    ADDRESS = "Address"
    TIME = "Time"
    UTF8_STRING = "UTF8String"
    DIAMETER_IDENTITY = "DiameterIdentity"
    DIAMETER_URI = "DiameterURI"
    ENUMERATED = "Enumerated"
    IP_FILTER_RULE = "IPFilterRule"


@unique
class MandatoryBit(Enum):
    """What a sender does with the M bit.  A receiver that knows the AVP takes either."""

    MUST = "must"
    MAY = "may"
    MUST_NOT = "must-not"


class Place(NamedTuple):
    """Where something was said."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Occurrence:
    """How often, and where, an AVP stands in a group or command (RFC 6733 section 3.2)."""

    name: str
    fixed: bool  # `< >`: it has this very place
    minimum: int
    maximum: int | None  # None for any number; 0 for "must not be there"
    place: Place


@dataclass(frozen=True, slots=True, kw_only=True)
class AvpStatement:
    name: str
    code: int
    vendor: int
    type: DataType
    mandatory: MandatoryBit
    reference: str  # the specification and its section
    place: Place


@dataclass(frozen=True, slots=True, kw_only=True)
class EnumStatement:
    name: str
    values: dict[int, str]
    place: Place


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupStatement:
    name: str
    code: int
    vendor: int
    members: tuple[Occurrence, ...]
    place: Place


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandStatement:
    name: str
    abbreviation: str
    code: int
    is_request: bool
    is_proxiable: bool
    application: int
    members: tuple[Occurrence, ...]
    place: Place


@dataclass(slots=True)
class Specification:
    """All that one file says, in its order."""

    avps: list[AvpStatement] = field(default_factory=list)
    enums: list[EnumStatement] = field(default_factory=list)
    groups: list[GroupStatement] = field(default_factory=list)
    commands: list[CommandStatement] = field(default_factory=list)


_E = TypeVar("_E", bound=Enum)

_NAME = r"[A-Za-z0-9][A-Za-z0-9-]*"
_COMMENT = re.compile(r"(?:^|\s);.*$")
_AVP_LINE = re.compile(rf"({_NAME})\s+([0-9]+)\s+(\w+)\s+(\S+)(?:\s+(\S.*))?")
_ENUM_LINE = re.compile(r"(-?[0-9]+)\s+(\S.*)")
_GROUP_HEAD = re.compile(rf"({_NAME})\s*::=\s*<\s*AVP Header:\s*([0-9]+)(?:\s+([0-9]+))?\s*>")
_COMMAND_HEAD = re.compile(
    rf"({_NAME})\s+({_NAME})\s*::=\s*<\s*Diameter Header:\s*([0-9]+)(\s*,\s*REQ)?(\s*,\s*PXY)?(?:\s*,\s*([0-9]+))?\s*>"
)
_MEMBER = re.compile(rf"(?:([0-9]*)\*([0-9]*))?\s*(?:<\s*({_NAME})\s*>|\{{\s*({_NAME})\s*\}}|\[\s*({_NAME})\s*\])")
_SECTIONS: Final = ("@specification", "@vendor", "@avps", "@enum", "@groups", "@commands")


def parse(file: str, text: str) -> Specification:
    """Read the text of one file.

    Args:
        file: its name, for messages.

    Raises:
        BadConfiguration: a line is not in the grammar; says file, line, what it is and what belongs there.
    """
    return _Parser(file, text).specification()


def fail(place: Place, what: str) -> NoReturn:
    """Refuse a dictionary, naming the line to mend."""
    raise BadConfiguration(f"{place}: {what}")


def suggestion(word: str, words: Iterable[str]) -> str:
    """Say which known word was probably meant, or nothing."""
    close = get_close_matches(word, list(words), n=1)
    return f"; did you mean {close[0]}?" if close else ""


class _Parser:
    def __init__(self, file: str, text: str) -> None:
        self._lines = [(Place(file, number), line) for number, line in _meaningful(text)]
        self._next = 0
        self._result = Specification()
        self._title = ""
        self._vendor: int | None = None

    def specification(self) -> Specification:
        sections = {
            "@specification": self._read_title,
            "@vendor": self._read_vendor,
            "@avps": self._read_avps,
            "@enum": self._read_enum,
            "@groups": self._read_groups,
            "@commands": self._read_commands,
        }
        while self._next < len(self._lines):
            place, line = self._lines[self._next]
            self._next += 1
            word, _, rest = line.partition(" ")
            if word not in sections:
                fail(place, f"{line!r} stands outside of a section; sections are {', '.join(_SECTIONS)}")
            sections[word](place, rest.strip())
        return self._result

    def _body(self) -> Iterator[tuple[Place, str]]:
        """Yield the lines up to the next section."""
        while self._next < len(self._lines) and not self._lines[self._next][1].startswith("@"):
            self._next += 1
            yield self._lines[self._next - 1]

    def _read_title(self, place: Place, rest: str) -> None:
        if not rest:
            fail(place, "@specification needs a title, as in: @specification RFC 6733")
        self._title = rest

    def _read_vendor(self, place: Place, rest: str) -> None:
        number = rest.partition(" ")[0]
        if not re.fullmatch(r"[0-9]+", number):
            fail(place, "@vendor needs the vendor's number, 0 for the IETF, as in: @vendor 10415 3GPP")
        self._vendor = _bounded(place, "a vendor", number, CODE_MAX)

    def _read_avps(self, place: Place, _rest: str) -> None:
        if self._vendor is None:
            fail(place, "@avps needs a vendor before it, as in: @vendor 0 IETF")
        for line_place, line in self._body():
            match = _AVP_LINE.fullmatch(line)
            if not match:
                fail(line_place, f"{line!r} is not an AVP; write: NAME CODE TYPE M [SECTION]")
            name, code, type_, mandatory, section = match.groups()
            self._result.avps.append(
                AvpStatement(
                    name=name,
                    code=_bounded(line_place, "an AVP code", code, CODE_MAX),
                    vendor=self._vendor,
                    type=_word(line_place, DataType, "a data type", type_),
                    mandatory=_word(line_place, MandatoryBit, "an M bit rule", mandatory),
                    reference=f"{self._title} {section or ''}".strip(),
                    place=line_place,
                )
            )

    def _read_enum(self, place: Place, rest: str) -> None:
        if not re.fullmatch(_NAME, rest):
            fail(place, "@enum needs the name of one AVP, as in: @enum CC-Request-Type")
        values: dict[int, str] = {}
        for line_place, line in self._body():
            match = _ENUM_LINE.fullmatch(line)
            if not match:
                fail(line_place, f"{line!r} is not a value; write: NUMBER TEXT")
            sign = -1 if match[1].startswith("-") else 1
            number = sign * _bounded(line_place, "a value", match[1].lstrip("-"), 2**31 if sign < 0 else CODE_MAX)
            if number in values:
                fail(line_place, f"{rest} has the value {number} already, as {values[number]}; keep one of them")
            values[number] = match[2]
        self._result.enums.append(EnumStatement(name=rest, values=values, place=place))

    def _read_groups(self, _place: Place, _rest: str) -> None:
        body = list(self._body())
        for place, line, member_lines in _definitions(body):
            match = _GROUP_HEAD.fullmatch(line)
            if not match:
                fail(place, f"{line!r} is not the head of a group; write: NAME ::= < AVP Header: CODE [VENDOR] >")
            name, code, vendor = match.groups()
            self._result.groups.append(
                GroupStatement(
                    name=name,
                    code=_bounded(place, "an AVP code", code, CODE_MAX),
                    vendor=_bounded(place, "a vendor", vendor or "0", CODE_MAX),
                    members=_members(name, member_lines),
                    place=place,
                )
            )

    def _read_commands(self, _place: Place, _rest: str) -> None:
        body = list(self._body())
        for place, line, member_lines in _definitions(body):
            match = _COMMAND_HEAD.fullmatch(line)
            if not match:
                fail(
                    place,
                    f"{line!r} is not the head of a command; write: "
                    "ABBREVIATION NAME ::= < Diameter Header: CODE[, REQ][, PXY][, APPLICATION] >",
                )
            abbreviation, name, code, request, proxiable, application = match.groups()
            self._result.commands.append(
                CommandStatement(
                    name=name,
                    abbreviation=abbreviation,
                    code=_bounded(place, "a command code", code, COMMAND_CODE_MAX),
                    is_request=request is not None,
                    is_proxiable=proxiable is not None,
                    application=_bounded(place, "an application", application or "0", CODE_MAX),
                    members=_members(name, member_lines),
                    place=place,
                )
            )


def _meaningful(text: str) -> Iterator[tuple[int, str]]:
    """Yield number and text of the lines that say something, comments and outer blanks removed."""
    for number, raw in enumerate(text.splitlines(), start=1):
        line = " ".join(_COMMENT.sub("", raw).split())
        if line:
            yield number, line


def _definitions(body: list[tuple[Place, str]]) -> Iterator[tuple[Place, str, list[tuple[Place, str]]]]:
    """Cut a section into heads (the lines with `::=`) and the lines under each."""
    heads = [index for index, (_, line) in enumerate(body) if "::=" in line]
    if body and heads[:1] != [0]:
        fail(body[0][0], f"{body[0][1]!r} stands before the first definition; write NAME ::= < ... > above it")
    for index, stop in zip(heads, [*heads[1:], len(body)], strict=True):
        place, line = body[index]
        yield place, line, body[index + 1 : stop]


def _members(owner: str, lines: list[tuple[Place, str]]) -> tuple[Occurrence, ...]:
    members: dict[str, Occurrence] = {}
    for place, line in lines:
        match = _MEMBER.fullmatch(line)
        if not match:
            fail(place, f"{line!r} is not a member; write < NAME >, {{ NAME }} or [ NAME ], with * before it to repeat")
        low, high, fixed, required, optional = match.groups()
        name = fixed or required or optional
        if name in members:
            fail(place, f"{owner} names {name} already at {members[name].place}; one line holds all its occurrences")
        # RFC 6733 section 3.2: without a qualifier, once; a required AVP is there at least once.
        minimum = _bounded(place, "a minimum", low, COUNT_MAX) if low else (0 if optional else 1)
        maximum = 1 if high is None else (_bounded(place, "a maximum", high, COUNT_MAX) if high else None)
        if maximum is not None and minimum > maximum:
            fail(place, f"{name} cannot occur at least {minimum} times and at most {maximum} times")
        members[name] = Occurrence(name=name, fixed=bool(fixed), minimum=minimum, maximum=maximum, place=place)
    return tuple(members.values())


def _bounded(place: Place, what: str, digits: str, maximum: int) -> int:
    # Python refuses to convert thousands of digits, so the length is looked at first.
    if len(digits) > 10 or int(digits) > maximum:
        fail(place, f"{what} is {maximum} at the most; got {digits[:20]}")
    return int(digits)


def _word(place: Place, kind: type[_E], what: str, word: str) -> _E:
    words = [member.value for member in kind]
    if word not in words:
        fail(place, f"{word!r} is not {what}{suggestion(word, words)}; there are {', '.join(words)}")
    return kind(word)
