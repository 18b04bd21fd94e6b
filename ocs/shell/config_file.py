"""Read the configuration from its file and the environment, and say all that is wrong with it, each with its place."""

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import UnionType
from typing import Any, Final, Literal, NamedTuple, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from ocs.errors import BadConfiguration
from ocs.shell.config import Config

FILE_NAME: Final = "ocs.yaml"
PREFIX: Final = "OCS__"

PLACES_MAX: Final = 100_000
"""Ten thousand named peers fit; aliases of aliases, which double without end, are stopped here."""

SHOWN_OF_VALUE: Final = 80

_Path = tuple[str | int, ...]


class Setting(NamedTuple):
    """One key, as documentation shows it."""

    key: str
    kind: str
    default: str
    meaning: str

    @property
    def variable(self) -> str:
        """The environment variable; empty for what belongs to an entry of a list."""
        return PREFIX + self.key.upper().replace(".", "__") if "[]" not in self.key else ""


def load(path: Path | None, environ: Mapping[str, str]) -> Config:
    """Read the configuration.

    Args:
        path: the file; None means `ocs.yaml` of the working directory where there is one, else the defaults.
        environ: `OCS__GY__LISTEN` and its like overrule the file.

    Raises:
        BadConfiguration: names every fault with its place and how to mend it.
    """
    if path is None and Path(FILE_NAME).is_file():
        path = Path(FILE_NAME)
    tree: dict[str, object] = {}
    places: dict[_Path, str] = {}
    if path is not None:
        tree, places = _read(path)
        _drop_empty(tree, Config)
    faults = list(_overlay(tree, places, environ))
    config = None
    try:
        config = Config.model_validate(tree)
    except ValidationError as error:
        faults += [_explain(fault["loc"], fault, places) for fault in _told_once(error)]
    if faults or config is None:
        raise BadConfiguration("\n".join(dict.fromkeys(faults)))
    return config.placed(path.parent if path is not None else Path())


def settings() -> list[Setting]:
    """Give every key there is, in the file's order; those of list entries as `gy.peers[].origin_host`."""
    return list(_settings(Config, ""))


# The file


class _Loader(yaml.SafeLoader):
    """YAML as people write it here: 2026-01-01 is text, since no key takes a date."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}

_KEY_TAGS: Final = frozenset({"tag:yaml.org,2002:str", "tag:yaml.org,2002:merge"})


def _read(path: Path) -> tuple[dict[str, object], dict[_Path, str]]:
    """Read the file: its content, and where each key stands."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise BadConfiguration(f"{path}: cannot be read ({error.strerror}); name it with --config FILE") from None
    except UnicodeDecodeError as error:
        raise BadConfiguration(f"{path}: octet {error.start} is not UTF-8; save the file as UTF-8") from None
    try:
        node = yaml.compose(text, Loader=_Loader)
        places: dict[_Path, str] = {}
        wrong = list(_place(node, (), path, places)) if node is not None else []
        if wrong:
            raise BadConfiguration("\n".join(wrong))
        content = yaml.load(text, Loader=_Loader)  # noqa: S506  # it is a SafeLoader
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{path}:{mark.line + 1}:{mark.column + 1}" if mark is not None else str(path)
        raise BadConfiguration(f"{where}: this is not YAML: {error.problem or error.context}") from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise BadConfiguration(
            f"{path}:{line}: this is not YAML: take the character U+{error.character:04X} out"
        ) from None
    except RecursionError:
        raise BadConfiguration(f"{path}: this is nested too deep, or in itself; write it out") from None
    if content is None:
        return {}, places
    if not isinstance(content, dict):
        raise BadConfiguration(f"{path}:1: keys are wanted, as in `origin_host: ocs.example.net`")
    return content, places


def _drop_empty(tree: dict[str, object], section: type[BaseModel]) -> None:
    """Take a section without keys, all of them commented out perhaps, as one that is not there."""
    for name, field in section.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            inner = tree.get(name, {})
            if inner is None:
                del tree[name]
            elif isinstance(inner, dict):
                _drop_empty(inner, field.annotation)


def _place(node: yaml.Node, path: _Path, file: Path, places: dict[_Path, str]) -> Iterator[str]:
    """Note where each key stands; give a fault for each that stands twice or is none, and for each value without sense.

    Raises:
        BadConfiguration: it has no end.
    """
    line = f"{file}:{node.start_mark.line + 1}"
    if len(places) > PLACES_MAX:
        raise BadConfiguration(f"{line}: more than {PLACES_MAX} keys and values; aliases multiply, so write them out")
    places.setdefault(path, line)
    match node:
        case yaml.MappingNode():
            for key, value in node.value:
                where = f"{file}:{key.start_mark.line + 1}"
                if not isinstance(key, yaml.ScalarNode) or key.tag not in _KEY_TAGS:
                    name = repr(key.value) if isinstance(key, yaml.ScalarNode) else "a list or section"
                    yield f"{where}: {name} is no key; keys are words, as in `origin_host: ocs.example.net`"
                    continue
                inner = (*path, str(key.value))
                if inner in places:
                    yield f"{where}: {_dotted(inner)} stands here and at {places[inner]}; leave one of them out"
                places[inner] = where
                yield from _place(value, inner, file, places)
        case yaml.SequenceNode():
            for number, value in enumerate(node.value):
                yield from _place(value, (*path, number), file, places)
        case _ if not _has_sense(node):
            kind = str(node.tag).rpartition(":")[2]
            yield f"{line}: {_dotted(path)} is {_shown(node.value)}, which YAML takes for {kind}, and is none; quote it"


def _has_sense(node: yaml.Node) -> bool:
    """Say whether a scalar's text is what its tag says: `0x_` looks like a number, and is none."""
    try:
        _Loader("").construct_object(node)
    except yaml.YAMLError:
        return True  # an unknown tag, which is told with its column when the whole is read
    except (ValueError, KeyError, AttributeError):  # what PyYAML raises, undocumented, for a text that does not fit
        return False
    return True


# The environment


def _overlay(tree: dict[str, object], places: dict[_Path, str], environ: Mapping[str, str]) -> Iterator[str]:
    """Lay the variables over the file's content; give a fault for each that names no key."""
    variables = {setting.variable: setting for setting in settings() if setting.variable}
    for name in sorted(environ):
        if not name.startswith(PREFIX):
            continue
        if name not in variables:
            yield f"environment: {name if name.isprintable() else ascii(name)} names no key{hint(name, variables)}"
            continue
        path: _Path = tuple(variables[name].key.split("."))
        branch = tree
        for step in path[:-1]:
            inner = branch.setdefault(str(step), {})
            if not isinstance(inner, dict):
                inner = {}
                branch[str(step)] = inner
            branch = inner
        branch[str(path[-1])] = _value(environ[name], variables[name].kind)
        places[path] = f"environment: {name}"


def _value(text: str, kind: str) -> object:
    """Read a variable as YAML; where text is wanted as it stands, and a list also as words with commas between."""
    if kind == "text" or (kind == "text or null" and text not in {"", "~", "null"}):
        return text
    if kind.startswith("list") and not text.lstrip().startswith(("[", "- ")):
        inner = kind.removeprefix("list of ")
        return [_value(part.strip(), inner) for part in text.split(",") if part.strip()]
    try:
        return yaml.load(text, Loader=_Loader)  # noqa: S506  # it is a SafeLoader
    except (yaml.YAMLError, ValueError, RecursionError):
        return text  # which is told as what it is not


# Faults


def _explain(where: tuple[str | int, ...], fault: Mapping[str, object], places: dict[_Path, str]) -> str:
    """Say what is wrong, where, and how to mend it."""
    kind, given = str(fault["type"]), fault.get("input")
    known = _known(where, kind)
    place = next((places[known[:end]] for end in range(len(known), -1, -1) if known[:end] in places), "configuration")
    if kind == "extra_forbidden":
        return f"{place}: there is no key {_dotted(known)}{_instead(known)}"
    message = str(fault["msg"]).removeprefix("Value error, ")
    key = _dotted(known, "[]")
    if kind == "missing":
        meaning = next((f"; add it: {one.meaning}" for one in settings() if one.key == key), "")
        return f"{place}: {_dotted(known)} is missing{meaning}"
    if kind in {"model_type", "dict_type"}:
        return f"{place}: {_dotted(known)} is a section with keys of its own, and not {_shown(given)}"
    if kind == "value_error":  # says by itself how to mend it
        said = "" if isinstance(given, dict | BaseModel) else f" is {_shown(given)}"
        return f"{place}: {_dotted(known)}{said}: {message}"
    takes = "".join(
        f"; it takes {one.kind}" + (f", by default {one.default}" if one.default != "required" else "")
        for one in settings()
        if one.key == key.removesuffix("[]")
    )
    return f"{place}: {_dotted(known)} is {_shown(given)}: {message[0].lower()}{message[1:]}{takes}"


def _instead(unknown: _Path) -> str:
    """Say what may have been meant by a key that there is not."""
    name = str(unknown[-1])
    keys = [one.key for one in settings()]
    if name in keys:
        section, _, last = name.rpartition(".")
        return f"; write it as a section: {section.replace('.', ': {')}: {{{last}: ...}}{'}' * section.count('.')}"
    section = _dotted(unknown[:-1], "[]")
    start = f"{section}." if section else ""
    siblings = {key.removeprefix(start).partition(".")[0].removesuffix("[]") for key in keys if key.startswith(start)}
    elsewhere = [key for key in keys if key.rpartition(".")[2] == name]
    return f"; it is a key of another section: {elsewhere[0]}" if elsewhere else hint(name, siblings)


def _shown(given: object) -> str:
    """Write a value as its file would, cut where it is long."""
    if given is None or isinstance(given, bool):
        return {None: "null", True: "true", False: "false"}[given]
    text = repr(given)
    return text if len(text) <= SHOWN_OF_VALUE else f"{text[:SHOWN_OF_VALUE]}..."


def _told_once(error: ValidationError) -> Iterator[Mapping[str, Any]]:
    """Give the errors, without those of `"any"` where the other form, a list, has its own."""
    found = error.errors(include_url=False)
    for one in found:
        here = _known(one["loc"], one["type"])
        others = [_known(other["loc"], other["type"])[: len(here)] for other in found if other is not one]
        if one["type"] != "literal_error" or here not in others:
            yield one


def _known(where: tuple[str | int, ...], kind: str) -> _Path:
    """Drop what pydantic adds to a path for the branches of a union, such as `list[Peer]`."""
    # The last step of a key that there is not is the user's own, whatever it looks like.
    own = where[-1:] if kind == "extra_forbidden" else ()
    rest = where[: len(where) - len(own)]
    return (*(step for step in rest if isinstance(step, int) or "[" not in step), *own)


def _dotted(path: _Path, number: str | None = None) -> str:
    text = ""
    for step in path:
        if isinstance(step, int):
            text += number or f"[{step}]"
        else:
            text += "." + (step if re.fullmatch(r"[\w.-]+", step) else _shown(step))
    return text.removeprefix(".")


def hint(name: str, known: Iterable[str]) -> str:
    """Say which of the known names was meant, or where all of them are listed."""
    by_lower = {one.lower(): one for one in known}
    close = difflib.get_close_matches(name.lower(), list(by_lower), n=1, cutoff=0.6)
    return f"; did you mean {by_lower[close[0]]}?" if close else "; `ocs config explain` lists the keys there are"


# What there is


def _settings(section: type[BaseModel], prefix: str) -> Iterator[Setting]:
    for name, field in section.model_fields.items():
        key = f"{prefix}{name}"
        inner = _section_of(field.annotation)
        if inner is None or field.description:
            yield Setting(key, _kind(field.annotation), _default(field), field.description or "")
        if inner is not None:
            listed = "[]" if "list" in str(field.annotation) else ""
            yield from _settings(inner, f"{key}{listed}.")


def _section_of(annotation: object) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := _section_of(part)) is not None), None)


def _kind(annotation: object) -> str:
    """Name a type as people call it."""
    origin = get_origin(annotation)
    if origin is Literal:
        return " or ".join(str(value) for value in get_args(annotation))
    if origin is list:
        return f"list of {_kind(get_args(annotation)[0])}"
    if origin in (Union, UnionType):
        return " or ".join("null" if part is type(None) else _kind(part) for part in get_args(annotation))
    if hasattr(annotation, "__metadata__"):
        return _kind(get_args(annotation)[0])
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "section"
    return {str: "text", int: "integer", bool: "true or false"}.get(annotation, str(annotation))  # type: ignore[call-overload,no-any-return]  # a type is a key like any other


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.default
    if isinstance(value, BaseModel):
        return ""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return "[" + ", ".join(f'"{one}"' for one in value) + "]"
    return str(value)
