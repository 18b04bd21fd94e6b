"""A scenario's YAML, read strictly: what is unknown, of another kind, or out of bounds is an error with its place."""

import difflib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeVar

import yaml

T = TypeVar("T")

DEPTH_MAX: Final = 8
"""Steps within steps within the file; anchors could nest them without end."""

FILE_OCTETS_MAX: Final = 1_000_000

_TAG: Final = "tag:yaml.org,2002:"


class ScriptError(Exception):
    """A file that is no scenario; the text begins with the file and the line."""


@dataclass(slots=True)
class Cast:
    """Who plays: the names that steps may use, filled as the file is read.

    Attributes:
        sessions: with their Rating-Groups.
        tunnels: those of them that are bearers of UEs.
    """

    gateways: set[str] = field(default_factory=set)
    operators: set[str] = field(default_factory=set)
    sessions: dict[str, tuple[int, ...]] = field(default_factory=dict)
    tunnels: set[str] = field(default_factory=set)
    noted: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Value:
    """One value of the file, where it stands, and under which key."""

    node: yaml.Node
    file: str
    key: str
    cast: Cast
    depth: int = 0

    @property
    def line(self) -> int:
        return int(self.node.start_mark.line) + 1

    @property
    def shown(self) -> str:
        """Show a scalar as it is written; what is not one, by its kind."""
        if isinstance(self.node, yaml.ScalarNode):
            return str(self.node.value)
        return "a list" if isinstance(self.node, yaml.SequenceNode) else "a mapping"

    def wrong(self, why: str) -> ScriptError:
        """Make an error of this place."""
        return ScriptError(f"{self.file}:{self.line}: {why}")

    def should_be(self, what: str) -> ScriptError:
        return self.wrong(f"{self.key} is {what}, not {self.shown}")

    def scalar(self, what: str) -> str:
        """Give a scalar's characters, whatever YAML takes them for.

        Raises:
            ScriptError: it is a list, a mapping, or nothing.
        """
        if not isinstance(self.node, yaml.ScalarNode) or self.node.tag == f"{_TAG}null":
            raise self.should_be(what)
        return str(self.node.value)

    def text(self) -> str:
        """Give text that is not empty.

        Raises:
            ScriptError: it is none.
        """
        found = self.scalar("text").strip()
        if not found:
            raise self.should_be("text")
        return found

    def boolean(self) -> bool:
        """Give `true` or `false` (`yes`, `no`).

        Raises:
            ScriptError: it is neither.
        """
        if self.node.tag != f"{_TAG}bool":
            raise self.should_be("yes or no")
        return self.scalar("yes or no").lower() in ("true", "yes", "on")

    def one_of(self, known: Collection[str], what: str) -> str:
        """Give one of these words.

        Raises:
            ScriptError: it is another; with the nearest.
        """
        found = self.scalar(f"one {what}")
        if found not in known:
            raise self.wrong(f"{self.key}: {found!r} is no {what}{nearest(found, known)}")
        return found

    def items(self) -> "list[Value]":
        """Give a list's values; one value is a list of one.

        Raises:
            ScriptError: it is empty, a mapping, or too deep.
        """
        if self.depth > DEPTH_MAX:
            raise self.wrong(f"more than {DEPTH_MAX} lists within lists")
        if isinstance(self.node, yaml.SequenceNode) and self.node.value:
            return [Value(one, self.file, self.key, self.cast, self.depth + 1) for one in self.node.value]
        if isinstance(self.node, yaml.ScalarNode):
            return [self]
        raise self.should_be("a list with something in it")

    def listed(self, read: "Callable[[Value], T]") -> tuple[T, ...]:
        return tuple(read(one) for one in self.items())

    def mapping(self, known: Collection[str] | None = None) -> "dict[str, Value]":
        """Give a mapping's values by their keys; with `known`, these keys and no other.

        Raises:
            ScriptError: it is no mapping, or a key is unknown or there twice.
        """
        if not isinstance(self.node, yaml.MappingNode):
            raise self.should_be("a mapping")
        found: dict[str, Value] = {}
        for key, value in self.node.value:
            shown = str(key.value) if isinstance(key, yaml.ScalarNode) else "a mapping"
            at = self._under(key, shown)
            if shown in found:
                raise at.wrong(f"{shown} is there twice")
            if known is not None and shown not in known:
                raise at.wrong(f"{shown!r} is unknown here{nearest(shown, known)}")
            found[shown] = self._under(value, shown)
        return found

    def pairs(self, what: str) -> "list[tuple[Value, Value]]":
        """Give a mapping's keys, which are read like values, each with its value; `what` the keys are.

        Raises:
            ScriptError: it is no mapping, or a key is there twice.
        """
        values = self.mapping().values()
        return [(self._under(key, what), value) for (key, _), value in zip(self.node.value, values, strict=True)]

    def _under(self, node: yaml.Node, key: str) -> "Value":
        return Value(node, self.file, key, self.cast, self.depth)


def nearest(word: str, known: Collection[str]) -> str:
    """Say which word was meant, or which there are."""
    if close := difflib.get_close_matches(word, known, 1):
        return f"; did you mean {close[0]}?"
    return f"; there are {', '.join(sorted(known))}" if known else ""


def read_yaml(path: Path) -> Value:
    """Read one file.

    Raises:
        ScriptError: it cannot be read, or is not one document of YAML.
    """
    try:
        octets = path.read_bytes()
        if len(octets) > FILE_OCTETS_MAX:
            raise ScriptError(f"{path}: more than {FILE_OCTETS_MAX} octets")
        return parse_yaml(octets.decode(), str(path))
    except OSError as error:
        raise ScriptError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise ScriptError(f"{path}: not UTF-8 at octet {error.start}") from None


def parse_yaml(text: str, file: str) -> Value:
    """Read the text of one file.

    Raises:
        ScriptError: it is not one document of YAML.
    """
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ScriptError(f"{file}:{line}: {error.problem or error.context}") from None
    except (yaml.YAMLError, RecursionError) as error:
        raise ScriptError(f"{file}: {error}") from None
    if node is None:
        raise ScriptError(f"{file}: there is nothing in it")
    return Value(node, file, "a scenario", Cast())


def without(values: Mapping[str, Value], left_out: str) -> dict[str, Value]:
    return {key: value for key, value in values.items() if key != left_out}
