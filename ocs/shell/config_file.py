"""Read the configuration from its file and the environment, and say all that is wrong with it, each with its place."""

import difflib
import re
from collections.abc import Iterator, Mapping
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

_Path = tuple[str | int, ...]


class Setting(NamedTuple):
    """One key, as documentation shows it."""

    key: str
    kind: str
    default: str
    meaning: str

    @property
    def variable(self) -> str:
        return PREFIX + self.key.upper().replace(".", "__")


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


def _read(path: Path) -> tuple[dict[str, object], dict[_Path, str]]:
    """Read the file: its content, and where each key stands."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise BadConfiguration(f"{path}: cannot be read ({error.strerror}); name it with --config FILE") from None
    except UnicodeDecodeError as error:
        raise BadConfiguration(f"{path}: octet {error.start} is not UTF-8; save the file as UTF-8") from None
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        places: dict[_Path, str] = {}
        doubled = list(_place(node, (), path, places)) if node is not None else []
        content = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{path}:{mark.line + 1}:{mark.column + 1}" if mark is not None else str(path)
        raise BadConfiguration(f"{where}: this is not YAML: {error.problem or error.context}") from None
    except yaml.YAMLError as error:
        raise BadConfiguration(f"{path}: this is not YAML: {error}") from None
    if doubled:
        raise BadConfiguration("\n".join(doubled))
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
    """Note where each key stands, and give a fault for each that stands twice."""
    places.setdefault(path, f"{file}:{node.start_mark.line + 1}")
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            inner = (*path, str(key.value))
            line = f"{file}:{key.start_mark.line + 1}"
            if inner in places:
                yield f"{line}: {_dotted(inner)} stands here and at {places[inner]}; leave one of them out"
            places[inner] = line
            yield from _place(value, inner, file, places)
    elif isinstance(node, yaml.SequenceNode):
        for number, value in enumerate(node.value):
            yield from _place(value, (*path, number), file, places)


# The environment


def _overlay(tree: dict[str, object], places: dict[_Path, str], environ: Mapping[str, str]) -> Iterator[str]:
    """Lay the variables over the file's content; give a fault for each that names no key."""
    variables = {setting.variable: setting for setting in settings() if "[]" not in setting.key}
    for name in sorted(environ):
        if not name.startswith(PREFIX):
            continue
        if name not in variables:
            yield f"environment: {name} names no key{_hint(name, variables)}"
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
    """Read a variable as YAML, and a list also as words with commas between."""
    if kind.startswith("list") and not text.lstrip().startswith("["):
        return [part.strip() for part in text.split(",") if part.strip()]
    if kind == "text":
        return text
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        return text


# Faults


def _explain(where: tuple[str | int, ...], fault: Mapping[str, object], places: dict[_Path, str]) -> str:
    """Say what is wrong, where, and how to mend it."""
    known = _known(where)
    place = next((places[known[:end]] for end in range(len(known), -1, -1) if known[:end] in places), "configuration")
    kind, given = str(fault["type"]), fault.get("input")
    if kind == "extra_forbidden":
        section = known[:-1]
        names = {setting.key: setting for setting in settings()}
        siblings = {key.rpartition(".")[2] for key in names if key.rpartition(".")[0] == _dotted(section, "[]")}
        siblings |= {
            key.removeprefix(f"{_dotted(section, '[]')}.").partition(".")[0]
            for key in names
            if not section or key.startswith(f"{_dotted(section, '[]')}.")
        }
        everywhere = [key for key in names if key.rpartition(".")[2] == known[-1]]
        hint = f"; it is a key of another section: {everywhere[0]}" if everywhere else _hint(str(known[-1]), siblings)
        return f"{place}: there is no key {_dotted(known)}{hint}"
    message = str(fault["msg"]).removeprefix("Value error, ")
    if kind == "missing":
        return f"{place}: {_dotted(known)} is missing"
    if kind in {"model_type", "dict_type"}:
        return f"{place}: {_dotted(known)} is a section with keys of its own, and not {given!r}"
    if isinstance(given, dict | BaseModel):
        return f"{place}: {_dotted(known)}: {message}"
    message = message[0].lower() + message[1:]
    key = _dotted(known, "[]").removesuffix("[]")
    takes = "".join(
        f"; it takes {one.kind}" + (f", by default {one.default}" if one.default != "required" else "")
        for one in settings()
        if one.key == key and kind != "value_error"  # which says by itself how to mend it
    )
    return f"{place}: {_dotted(known)} is {given!r}: {message}{takes}"


def _told_once(error: ValidationError) -> Iterator[Mapping[str, Any]]:
    """Give the errors, without those of `"any"` where the other form, a list, has its own."""
    found = error.errors(include_url=False)
    for one in found:
        here = _known(one["loc"])
        others = [_known(other["loc"])[: len(here)] for other in found if other is not one]
        if one["type"] != "literal_error" or here not in others:
            yield one


def _known(where: tuple[str | int, ...]) -> _Path:
    """Drop what pydantic adds to a path for the branches of a union."""
    return tuple(step for step in where if isinstance(step, int) or re.fullmatch(r"[a-z_0-9]+|[^\[(]*", step))


def _dotted(path: _Path, number: str | None = None) -> str:
    text = ""
    for step in path:
        text += (number or f"[{step}]") if isinstance(step, int) else f".{step}"
    return text.removeprefix(".")


def _hint(name: str, known: Mapping[str, object] | set[str]) -> str:
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f"; did you mean {close[0]}?" if close else "; `ocs config explain` lists the keys there are"


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
