"""`ocs key` over the real routes: pairs in any spelling, what follows, and private keys that stay where they are."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from api_door import Door
from cli_door import Ocs, Wire
from ocs.shell import key_file
from ocs.signed.ed25519 import SeedSigner, signer_of
from ocs.texts import moment
from ocs.units import DAY
from signed_reports import MINER, NETWORK
from signing_node import SigningNode


@pytest.fixture
def node() -> SigningNode:
    return SigningNode()


@pytest.fixture
def wire(
    tmp_path: Path, node: SigningNode, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Wire]:
    with Door(tmp_path, node=node) as door:
        monkeypatch.chdir(tmp_path)
        yield Wire(door, monkeypatch, capsys)


@pytest.fixture
def ocs(wire: Wire) -> Ocs:
    return wire.run


def made(ocs: Ocs, name: str) -> SeedSigner:
    """Make a pair of files; the seed in them."""
    said = ocs("key", "new", f"{name}.pem", "--public", f"{name}.pub.pem", "-o", "json")
    assert said.code == 0, said.err
    signer = key_file.load(Path(f"{name}.pem"))
    assert json.loads(said.out)["public_key"] == signer.public_key.hex()
    return signer


def seed_of(name: str) -> bytes:
    text = "".join(Path(f"{name}.pem").read_text().splitlines()[1:-1])
    return base64.b64decode(text)[-32:]


def pair(sgw: str, miner: str, host: str = "other.example") -> tuple[str, ...]:
    return "key", "add", "--origin-host", host, "--sgw", sgw, "--miner", miner


@pytest.mark.parametrize("spelling", ["public file", "private file", "public key", "signer", "capitals"])
def test_a_key_is_given_in_any_spelling(ocs: Ocs, spelling: str) -> None:
    sgw, miner = made(ocs, "sgw"), made(ocs, "miner")
    given = {
        "public file": ("sgw.pub.pem", "miner.pub.pem"),
        "private file": ("sgw.pem", "miner.pem"),
        "public key": (sgw.public_key.hex(), miner.public_key.hex()),
        "signer": (signer_of(sgw.public_key).hex(), signer_of(miner.public_key).hex()),
        "capitals": (sgw.public_key.hex().upper(), miner.public_key.hex().upper()),
    }[spelling]
    said = ocs(*pair(*given))
    assert (said.code, said.err) == (0, "")
    assert "from now on what other.example is granted needs room in a channel" in said.out
    listed = {one["public_key"]: one for one in json.loads(ocs("key", "list", "-o", "json").out)}
    assert listed[sgw.public_key.hex()]["role"] == "sgw"
    assert listed[miner.public_key.hex()]["pairs"] == [sgw.public_key.hex()]


def test_json_is_json_alone(ocs: Ocs) -> None:
    made(ocs, "sgw"), made(ocs, "miner")
    said = ocs(*pair("sgw.pem", "miner.pem"), "--until", "2100-01-01T00:00:00+01:00", "-o", "json")
    sgw, miner = json.loads(said.out)
    assert sgw["valid_until"] == miner["valid_until"] == "2099-12-31T23:00:00.000Z"


def test_no_private_key_travels(ocs: Ocs, wire: Wire) -> None:
    for name in ("sgw", "miner", "next"):
        made(ocs, name)
    assert ocs(*pair("sgw.pem", "miner.pem")).code == 0
    assert ocs("key", "rotate", "miner.pem", "next.pem", "--network", NETWORK).code == 0
    assert ocs("key", "revoke", "miner.pem", "--reason", "replaced").code == 0
    assert len(wire.requests) == 3
    rotation = base64.b64decode(json.loads(wire.requests[1].splitlines()[-1])["rotation"])
    for name in ("sgw", "miner", "next"):
        seed = seed_of(name)
        assert seed not in rotation
        for octets in wire.requests:
            for spelt in (seed, seed.hex().encode(), base64.b64encode(seed)[:40], b"PRIVATE"):
                assert spelt not in octets


def test_a_rotation_tells_what_follows_and_until_when(ocs: Ocs, node: SigningNode) -> None:
    for name in ("sgw", "miner", "next"):
        made(ocs, name)
    assert ocs(*pair("sgw.pem", "miner.pem")).code == 0
    at = "2027-02-01T00:00:00Z"
    rotate = ("key", "rotate", "miner.pem", "next.pem", "--network", NETWORK, "--effective", at)
    said = ocs(*rotate, "-o", "json")
    told = json.loads(said.out)
    assert told["new_key"] == key_file.load(Path("next.pem")).public_key.hex()
    assert (told["effective_at"], told["old_until"]) == ("2027-02-01T00:00:00.000Z", "2027-02-02T00:00:00.000Z")
    old = node.state.signed.register.keys[key_file.load(Path("miner.pem")).public_key]
    assert old.valid_until == moment(at) + DAY
    again = ocs(*rotate)
    assert (again.code, again.out) == (5, "")
    assert "registered already" in again.err


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (pair("sgw.pub", "miner.pub.pem"), 2, "'sgw.pub' is no key: write 64 digits in hex"),
        (pair("ab" * 31, "miner.pub.pem"), 2, "is no key"),
        (pair("x" * 5000, "miner.pub.pem"), 2, "is no key"),
        (pair("text", "miner.pub.pem"), 3, "`openssl pkey -pubout`"),
        (pair(".", "miner.pub.pem"), 3, "Is a directory"),
        (pair("open.pem", "miner.pub.pem"), 3, "chmod 600"),
        (pair("00" * 32, "miner.pub.pem"), 2, "key"),
        (pair("miner.pem", "miner.pem"), 2, "one key"),
        (pair("sgw.pem", "miner.pem", host="a b"), 2, "no Origin-Host"),
        (pair("sgw.pem", MINER.public_key.hex()), 5, "registered already"),
        ((*pair("sgw.pem", "miner.pem"), "--from", "tomorrow"), 2, "valid-from: this is no moment"),
        (("key", "revoke", "sgw.pem", "--reason", "lost"), 2, "`ocs key list` shows them"),
        (("key", "revoke", "..", "--reason", "lost"), 3, "Is a directory"),
        (("key", "rotate", "sgw.pem", "none.pem"), 3, "none.pem cannot be read"),
        (("key", "rotate", "sgw.pub.pem", "miner.pem"), 3, "chmod 600"),
        (("key", "rotate", "sgw.pem", "miner.pem", "--effective", "2027-02-01"), 2, "no moment in time"),
        (("key", "rotate", "sgw.pem", "miner.pem", "--network", "another"), 2, "another network"),
        (("key", "rotate", "sgw.pem", "miner.pem", "--network", NETWORK), 2, "not registered"),
        (("key", "new", "new.pem", "--public", "sgw.pub.pem"), 5, "sgw.pub.pem is there already"),
        (("key", "new", "new.pem", "--public", "none/sgw.pub.pem"), 3, "cannot be made"),
    ],
)
def test_what_goes_wrong_is_told_and_changes_nothing(
    ocs: Ocs, node: SigningNode, arguments: tuple[str, ...], code: int, told: str
) -> None:
    made(ocs, "sgw"), made(ocs, "miner")
    Path("text").write_text("nothing\n")
    Path("open.pem").write_bytes(Path("sgw.pem").read_bytes())
    Path("open.pem").chmod(0o644)
    events = len(node.events)
    said = ocs(*arguments)
    assert (said.code, said.out) == (code, "")
    assert told in said.err
    assert len(node.events) == events
    assert not Path("new.pem").exists(), "a pair is made of two files or of none"
