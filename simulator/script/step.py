"""A step: one verb, whom it is about, how, and what is expected of it.

    - use: first
      octets: 50% of grant
      expect: {code: 2001}

The verbs are the classes of `simulator.script.steps`, entered here under their names.
"""

from abc import abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Final, TypeVar

from simulator.profile import PROFILES
from simulator.scenario import Stage
from simulator.script.fields import keys, option, read_fields
from simulator.script.value import ScriptError, Value, nearest, without

S = TypeVar("S", bound="type[Step]")


def make(value: Value) -> str:
    """Give the name of a make of gateway."""
    return value.one_of(PROFILES, "make of gateway")


def makes(value: Value) -> tuple[str, ...]:
    return value.listed(make)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What every verb has.

    Attributes:
        at: the verb, whom it is about, and the line, for whoever reads what was broken.
        only_for: the makes of gateway that play this step; none: all do.
        of_tunnels: whether it is for sessions with tunnels alone, or for those without; None: for both.
    """

    of_tunnels: ClassVar[bool | None] = None
    at: str
    only_for: tuple[str, ...] = option(makes, ())

    @abstractmethod
    async def play(self, stage: Stage) -> None:
        """Do it and judge it."""


VERBS: Final[dict[str, type[Step]]] = {}


def verb(name: str) -> Callable[[S], S]:
    """Enter a class as a verb; its field `subject` is read from the verb's own value."""

    def enter(kind: S) -> S:
        VERBS[name] = kind
        return kind

    return enter


def options(kind: type[Step]) -> list[str]:
    """Give the keys that may stand beside a verb."""
    return [key for key in keys(kind) if key != "subject"]


def step(value: Value) -> Step:
    """Read a step.

    Raises:
        ScriptError: it has no verb or two, or a key or value that its verb does not take.
    """
    values = value.mapping()
    named = [key for key in values if key in VERBS]
    if len(named) != 1:
        if named:
            raise value.wrong(f"a step has one verb, not {' and '.join(named)}")
        raise value.wrong(f"{next(iter(values), 'nothing')!r} is no verb{nearest(next(iter(values), ''), VERBS)}")
    name, kind = named[0], VERBS[named[0]]
    for key, one in without(values, name).items():
        if key not in options(kind):
            raise ScriptError(f"{one.file}:{one.line}: {name} takes no {key!r}{nearest(key, options(kind))}")
    subject = {"subject": values[name]} if any(one.name == "subject" for one in fields(kind)) else {}
    shown = values[name].shown
    read: dict[str, Any] = read_fields(kind, value, without(values, name) | subject)
    _check_service(values, read)
    if kind.of_tunnels is not None:
        _check_tunnels(values[name], kind, read["subject"])
    return kind(at=f"line {value.line}, {name}{'' if shown.startswith('a ') else ': ' + shown}", **read)


def steps(value: Value) -> tuple[Step, ...]:
    return value.listed(step)


def _check_service(values: dict[str, Value], read: dict[str, Any]) -> None:
    """Insist that the sessions of a step have the Rating-Group that it names.

    Raises:
        ScriptError: one of them has not.
    """
    if "service" in values:
        at, service = values["service"], read["service"]
        for name in read["subject"]:
            if service not in at.cast.sessions[name]:
                raise at.wrong(f"{name} has no Rating-Group {service}; name it in its services")


def _check_tunnels(at: Value, kind: type[Step], sessions: Iterable[str]) -> None:
    """Insist that sessions whose octets are packets move packets, and no others do.

    Raises:
        ScriptError: one of them is of the other sort.
    """
    for name in sessions:
        if kind.of_tunnels and name not in at.cast.tunnels:
            raise at.wrong(f"{name} has no tunnels; say tunnels: yes where it is described")
        if not kind.of_tunnels and name in at.cast.tunnels:
            raise at.wrong(f"{name} has tunnels, and {at.key} moves no packets; use packets or hand_over")


async def play_all(played: tuple[Step, ...], stage: Stage) -> None:
    """Play steps one after the other."""
    for one in played:
        if not one.only_for or stage.profile.name in one.only_for:
            await one.play(stage)
