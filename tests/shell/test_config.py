"""The model of the configuration: what each key takes, at its bounds and just past them."""

from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from annotated_types import Ge, Le
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from ocs.errors import InvalidInput
from ocs.shell.config import Config, Gy, Peer, Quota, Tls
from ocs.shell.config_values import parse_listen


def integers(section: type[BaseModel], prefix: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], int, int]]:
    """Give the path of every key that takes an integer, with its bounds; what has none fails here."""
    for name, field in section.model_fields.items():
        path = (*prefix, name)
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from integers(field.annotation, path)
        elif field.annotation in (int, int | None):
            (least,) = (one.ge for one in field.metadata if isinstance(one, Ge))
            (most,) = (one.le for one in field.metadata if isinstance(one, Le))
            assert isinstance(least, int)
            assert isinstance(most, int)
            yield path, least, most


INTEGERS = list(integers(Config))


def refused(path: tuple[str, ...], value: object) -> bool:
    """Say whether the key itself refuses the value; what it means for its neighbours does not count."""
    tree: Any = value
    for step in reversed(path):
        tree = {step: tree}
    try:
        Config.model_validate(tree)
    except ValidationError as error:
        return any(fault["loc"] == path for fault in error.errors())
    return False


@pytest.mark.parametrize(("path", "least", "most"), INTEGERS, ids=[".".join(path) for path, _, _ in INTEGERS])
def test_integers_have_two_ends(path: tuple[str, ...], least: int, most: int) -> None:
    assert not refused(path, least)
    assert not refused(path, most)
    assert refused(path, least - 1)
    assert refused(path, most + 1)
    for other in (str(least), float(most), True, [least]):
        assert refused(path, other), f"{other!r} is no integer"


def test_there_are_integers_to_look_at() -> None:
    assert ("gy", "watchdog_seconds") in {path for path, _, _ in INTEGERS}
    assert ("quota", "holding_seconds") in {path for path, _, _ in INTEGERS}


def test_nothing_changes_once_it_is_read() -> None:
    with pytest.raises(ValidationError):
        Config().gy.watchdog_seconds = 7


# Places to listen


@given(host=st.ip_addresses().map(str), port=st.integers(0, 65535))
def test_every_address_is_a_place(host: str, port: int) -> None:
    text = f"[{host}]:{port}" if ip_address(host).version == 6 else f"{host}:{port}"
    assert parse_listen(text) == (host, port)


@given(text=st.text() | st.from_regex(r"\[?[0-9a-z:._-]{0,9}\]?:[0-9]{0,6}", fullmatch=True))
def test_any_text_is_a_place_or_refused(text: str) -> None:
    try:
        host, port = parse_listen(text)
    except InvalidInput:
        return
    assert 0 <= port <= 65535
    # The resolver raises UnicodeError, and nothing we would expect, for a name that idna cannot encode.
    assert host.encode("idna")


@pytest.mark.parametrize(
    "host",
    [
        "127.1",
        "256.0.0.1",
        "1.2.3.4.5",
        "1",
        "a..b",
        ".a",
        "a b",
        "-a",
        "a/b",
        "a" * 64,
        "ä",
        "a_b\n",
        "*",
        "[::1",
        "::1",
    ],
)
def test_what_is_no_host(host: str) -> None:
    with pytest.raises(InvalidInput, match=r"write 127\.0\.0\.1:3868 or \[::1\]:3868"):
        parse_listen(f"{host}:3868")


@pytest.mark.parametrize("host", ["a", "ocs.example.net", "ocs.example.net.", "pod_7.svc", "a-b.c-d", "0a", "a" * 63])
def test_what_is_a_host(host: str) -> None:
    assert parse_listen(f"{host}:3868") == (host, 3868)


@pytest.mark.parametrize("port", ["", "65536", "000001", "-1", "+1", " 1", "1 ", "1e3", "²", "9" * 5000])
def test_what_is_no_port(port: str) -> None:
    with pytest.raises(InvalidInput, match="has no port between 0 and 65535"):
        parse_listen(f"127.0.0.1:{port}")


# Sections that must make sense as a whole


def test_tls_alone_may_listen() -> None:
    tls = Tls(certificate="c", key="k", ca="a")
    assert Gy(listen=[], tls=tls).tls == tls
    for nowhere in (None, Tls(certificate="c", key="k", ca="a", listen=[])):
        with pytest.raises(ValidationError, match="no place to listen is left"):
            Gy(listen=[], tls=nowhere)


def test_a_peer_is_named_once_whatever_its_case() -> None:
    Gy(peers=[Peer(origin_host="a"), Peer(origin_host="b")])
    with pytest.raises(ValidationError, match="peers names a twice"):
        Gy(peers=[Peer(origin_host="a"), Peer(origin_host="b"), Peer(origin_host="A")])


@pytest.mark.parametrize(("least", "first", "most"), [(5, 5, 5), (1, 2, 3)])
def test_grants_rise(least: int, first: int, most: int) -> None:
    assert Quota(min_octets=least, default_octets=first, max_octets=most).default_octets == first
    for wrong in ((first + 1, first, most), (least, most + 1, most)):
        with pytest.raises(ValidationError, match="must rise in this order"):
            Quota(min_octets=wrong[0], default_octets=wrong[1], max_octets=wrong[2])


def test_paths_are_placed_once(tmp_path: Path) -> None:
    tls = Tls(certificate="c", key="/k", ca="sub/../a")
    placed = Config(gy=Gy(tls=tls, dictionaries=["d"])).placed(tmp_path)
    assert placed.data == str(tmp_path / "data")
    assert placed.gy.dictionaries == [str(tmp_path / "d")]
    assert placed.gy.tls is not None
    assert (placed.gy.tls.certificate, placed.gy.tls.key) == (str(tmp_path / "c"), "/k")
    assert placed.placed(Path("/elsewhere")) == placed
