"""What is known about AVPs and commands: names, types, values, members, grammars.

Pure: the texts of dictionary files go in (dictionaries/README.md describes them); who reads the files is
`ocs.shell.dictionaries`.  What a received message must look like is `ocs.diameter.strict`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Self

from ocs.diameter.grammar import (
    WILDCARD,
    AvpStatement,
    CommandStatement,
    DataType,
    EnumStatement,
    GroupStatement,
    MandatoryBit,
    Occurrence,
    Place,
    Specification,
    fail,
    parse,
    suggestion,
)

_INTEGERS = frozenset({DataType.ENUMERATED, DataType.INTEGER32, DataType.UNSIGNED32, DataType.OCTET_STRING})


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """An AVP's part in a group or command."""

    name: str
    code: int
    vendor: int
    fixed: bool  # `< >`: it has this very place
    minimum: int
    maximum: int | None  # None for any number; 0 for "must not be there"


@dataclass(frozen=True, slots=True, kw_only=True)
class AvpDefinition:
    """One AVP (RFC 6733 section 4.5)."""

    name: str
    code: int
    vendor: int
    type: DataType
    mandatory: MandatoryBit
    values: Mapping[int, str]  # the names of an enumeration's values; empty for none
    members: tuple[Member, ...]  # of a Grouped AVP, without the wildcard
    is_open: bool  # its grammar ends in *[ AVP ]
    reference: str  # the specification and its section


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandDefinition:
    """One command (RFC 6733 section 3.2)."""

    name: str
    abbreviation: str
    code: int
    is_request: bool
    is_proxiable: bool
    application: int
    members: tuple[Member, ...]  # without the wildcard


class Dictionary:
    """AVPs by number and by name, commands by code.  Made once at start and never changed."""

    def __init__(self, avps: Iterable[AvpDefinition], commands: Iterable[CommandDefinition]) -> None:
        self._avps = {(avp.code, avp.vendor): avp for avp in avps}
        self._names = {avp.name: avp for avp in self._avps.values()}
        self._commands = {(command.code, command.is_request): command for command in commands}

    @classmethod
    def parse(cls, texts: Mapping[str, str]) -> Self:
        """Read dictionary files.

        Args:
            texts: the text of each file under its name; the order matters to messages only.

        Raises:
            BadConfiguration: a file is wrong or two contradict each other; names file, line and what to mend.
        """
        return cls(*_Linker([parse(file, text) for file, text in texts.items()]).link())

    @property
    def avps(self) -> Iterable[AvpDefinition]:
        """Every AVP, in the order of the files."""
        return self._avps.values()

    @property
    def commands(self) -> Iterable[CommandDefinition]:
        """Every command, in the order of the files."""
        return self._commands.values()

    def avp(self, code: int, vendor: int = 0) -> AvpDefinition | None:
        return self._avps.get((code, vendor))

    def by_name(self, name: str) -> AvpDefinition | None:
        return self._names.get(name)

    def command(self, code: int, request: bool) -> CommandDefinition | None:
        return self._commands.get((code, request))


class _Linker:
    """Joins the statements of all files; every contradiction is found here."""

    def __init__(self, specifications: Iterable[Specification]) -> None:
        self._avps: dict[str, AvpStatement] = {}
        self._codes: dict[tuple[int, int], AvpStatement] = {}
        self._values: dict[str, dict[int, tuple[str, Place]]] = {}
        self._groups: dict[str, GroupStatement] = {}
        self._commands: dict[tuple[int, bool], CommandStatement] = {}
        specifications = list(specifications)
        for specification in specifications:
            for avp in specification.avps:
                self._add_avp(avp)
        for specification in specifications:
            for enum in specification.enums:
                self._add_enum(enum)
            for group in specification.groups:
                self._add_group(group)
            for command in specification.commands:
                self._add_command(command)

    def link(self) -> tuple[list[AvpDefinition], list[CommandDefinition]]:
        avps = [
            AvpDefinition(
                name=avp.name,
                code=avp.code,
                vendor=avp.vendor,
                type=avp.type,
                mandatory=avp.mandatory,
                values={number: name for number, (name, _) in self._values.get(avp.name, {}).items()},
                members=self._resolve(self._groups[avp.name].members) if avp.name in self._groups else (),
                is_open=avp.name not in self._groups or _has_wildcard(self._groups[avp.name].members),
                reference=avp.reference,
            )
            for avp in self._avps.values()
        ]
        commands = [
            CommandDefinition(
                name=command.name,
                abbreviation=command.abbreviation,
                code=command.code,
                is_request=command.is_request,
                is_proxiable=command.is_proxiable,
                application=command.application,
                members=self._resolve(command.members),
            )
            for command in self._commands.values()
        ]
        return avps, commands

    def _add_avp(self, avp: AvpStatement) -> None:
        if avp.name == WILDCARD:
            fail(avp.place, f"{WILDCARD} stands for any AVP in a grammar; give this one another name")
        for known in (self._codes.get((avp.code, avp.vendor)), self._avps.get(avp.name)):
            if known and (known.name, known.code, known.vendor, known.type) != (
                avp.name,
                avp.code,
                avp.vendor,
                avp.type,
            ):
                fail(avp.place, f"{_described(avp)}, but {known.place} says {_described(known)}; change one of them")
        # A second statement that agrees may refine the M bit and the reference.
        self._avps[avp.name] = self._codes[avp.code, avp.vendor] = avp

    def _add_enum(self, enum: EnumStatement) -> None:
        avp = self._known(enum.name, enum.place)
        if avp.type not in _INTEGERS:
            fail(enum.place, f"{avp.name} is {avp.type.value} ({avp.place}), which has no enumerated values")
        values = self._values.setdefault(enum.name, {})
        for number, name in enum.values.items():
            known, place = values.setdefault(number, (name, enum.place))
            if known != name:
                fail(enum.place, f"{enum.name} {number} is {name!r} here and {known!r} at {place}; change one of them")

    def _add_group(self, group: GroupStatement) -> None:
        avp = self._known(group.name, group.place)
        if (group.code, group.vendor) != (avp.code, avp.vendor):
            fail(group.place, f"the head of {group.name} says {_number(group)}, but {avp.place} says {_number(avp)}")
        if avp.type is not DataType.GROUPED:
            fail(group.place, f"{avp.name} is {avp.type.value} at {avp.place}; only a Grouped AVP has members")
        first = self._groups.setdefault(group.name, group)
        if first is not group:
            fail(group.place, f"{group.name} has its members at {first.place} already; change them there")

    def _add_command(self, command: CommandStatement) -> None:
        first = self._commands.setdefault((command.code, command.is_request), command)
        if first is not command:
            kind = "request" if command.is_request else "answer"
            fail(command.place, f"the {kind} {command.code} is {first.name} at {first.place} already; change it there")

    def _known(self, name: str, place: Place) -> AvpStatement:
        if name not in self._avps:
            fail(place, f"no file defines the AVP {name}{suggestion(name, self._avps)}; add it under @avps")
        return self._avps[name]

    def _resolve(self, members: Iterable[Occurrence]) -> tuple[Member, ...]:
        resolved = []
        for member in members:
            if member.name != WILDCARD:
                avp = self._known(member.name, member.place)
                resolved.append(
                    Member(
                        name=avp.name,
                        code=avp.code,
                        vendor=avp.vendor,
                        fixed=member.fixed,
                        minimum=member.minimum,
                        maximum=member.maximum,
                    )
                )
        return tuple(resolved)


def _has_wildcard(members: Iterable[Occurrence]) -> bool:
    return any(member.name == WILDCARD for member in members)


def _number(statement: AvpStatement | GroupStatement) -> str:
    return f"{statement.code} of vendor {statement.vendor}"


def _described(avp: AvpStatement) -> str:
    return f"{avp.name} is {_number(avp)}, {avp.type.value}"
