"""Keys over HTTP: registered in pairs, revoked, replaced, and refused with the rule that is broken."""

import base64
from collections.abc import Iterator
from pathlib import Path

import pytest

from api_door import Door, problem
from ocs.signed.ed25519 import signer_of
from ocs.usage.rotation import KeyRotation, seal
from signed_reports import MINER, NETWORK, OTHER_MINER, SGW, STRANGER
from signing_node import SigningNode


@pytest.fixture
def node() -> SigningNode:
    return SigningNode()


@pytest.fixture
def door(tmp_path: Path, node: SigningNode) -> Iterator[Door]:
    with Door(tmp_path, node=node) as opened:
        yield opened


def pair(sgw: str, miner: str, **more: object) -> dict[str, object]:
    return {"origin_host": "other.example", "sgw_key": sgw, "miner_key": miner} | more


def test_a_pair_is_registered(door: Door) -> None:
    body = pair(STRANGER.public_key.hex(), signer_of(OTHER_MINER.public_key).hex().upper())
    answer = door.post("/keys", body | {"valid_until": "2100-01-01T00:00:00+01:00"})
    assert answer.status_code == 201, answer.text
    sgw, miner = answer.json()
    assert (sgw["role"], miner["role"]) == ("sgw", "miner")
    assert sgw["public_key"] == STRANGER.public_key.hex()
    assert sgw["pairs"] == [OTHER_MINER.public_key.hex()]
    assert miner["signer"] == signer_of(OTHER_MINER.public_key).hex()
    assert sgw["valid_until"] == "2099-12-31T23:00:00.000Z"
    assert sgw["revoked_at"] is None
    assert len(door.get("/keys").json()["items"]) == 4
    first = door.get("/keys", limit="3").json()
    rest = door.get("/keys", limit="3", cursor=first["next"]).json()
    assert [one["public_key"] for one in first["items"] + rest["items"]][-1] == OTHER_MINER.public_key.hex()
    assert rest["next"] is None


@pytest.mark.parametrize(
    ("body", "status", "slug", "code"),
    [
        (pair("00" * 32, MINER.public_key.hex()), 422, "invalid-input", "bad_key"),
        (pair("11" + STRANGER.public_key.hex(), "00" * 32), 422, "invalid-input", "bad_key"),
        (pair(STRANGER.public_key.hex(), STRANGER.public_key.hex()), 422, "invalid-input", "role_mismatch"),
        (pair(STRANGER.public_key.hex(), MINER.public_key.hex()), 409, "conflict", None),
        (pair("xyz", "00"), 422, "invalid-input", None),
        (
            pair(STRANGER.public_key.hex(), OTHER_MINER.public_key.hex(), valid_until="2001-01-01T00:00:00Z"),
            422,
            "invalid-input",
            None,
        ),
    ],
)
def test_what_is_no_pair_is_refused(door: Door, body: object, status: int, slug: str, code: str | None) -> None:
    assert problem(door.post("/keys", body), status, slug).get("code") == code
    assert len(door.get("/keys").json()["items"]) == 2


@pytest.mark.parametrize("name", ["valid_from", "valid_until"])
@pytest.mark.parametrize(
    "at",
    [
        *("yesterday", "2100-01-01T00:00:00", "2100-01-01", "1960-01-01T00:00:00Z", "9999-12-31T23:59:59-01:00"),
        *("4102444800", 4102444800, 4102444800.5, True, []),
    ],
)
def test_a_date_is_a_moment_with_its_zone(door: Door, name: str, at: object) -> None:
    body = pair(STRANGER.public_key.hex(), OTHER_MINER.public_key.hex(), **{name: at})
    (told,) = problem(door.post("/keys", body), 422, "invalid-input")["errors"]
    assert told["where"] == f"body/{name}"
    assert "2027-01-15T08:00:00Z" in told["mend"]
    assert len(door.get("/keys").json()["items"]) == 2


def test_without_data_credits_no_keys(tmp_path: Path) -> None:
    with Door(tmp_path) as door:
        told = problem(
            door.post("/keys", pair(STRANGER.public_key.hex(), OTHER_MINER.public_key.hex())), 409, "out-of-turn"
        )
        assert "buy some first" in told["detail"]


def test_a_key_is_revoked_once(door: Door) -> None:
    path = f"/keys/{MINER.public_key.hex()}/revocation"
    answer = door.post(path, {"reason": "lost"})
    assert answer.status_code == 201
    assert answer.json()["revoked_at"] is not None
    problem(door.post(path, {"reason": "lost"}), 409, "out-of-turn")
    problem(door.post(f"/keys/{STRANGER.public_key.hex()}/revocation", {"reason": "lost"}), 404, "not-found")
    problem(door.post("/keys/abc/revocation", {"reason": "lost"}), 422, "invalid-input")


def test_a_key_follows_another(node: SigningNode, door: Door) -> None:
    rotation = KeyRotation(signer_of(MINER.public_key), signer_of(OTHER_MINER.public_key), node.now, NETWORK)
    sealed = seal(rotation, old=MINER, new=OTHER_MINER)
    answer = door.post("/keys/rotations", {"rotation": base64.b64encode(sealed).decode()})
    assert answer.status_code == 201, answer.text
    assert answer.json()["new_key"] == OTHER_MINER.public_key.hex()
    keys = {one["public_key"]: one for one in door.get("/keys").json()["items"]}
    assert keys[MINER.public_key.hex()]["valid_until"] == answer.json()["old_until"]
    assert keys[OTHER_MINER.public_key.hex()]["pairs"] == [SGW.public_key.hex()]
    assert set(keys[SGW.public_key.hex()]["pairs"]) == {MINER.public_key.hex(), OTHER_MINER.public_key.hex()}

    one_sided = seal(rotation, old=STRANGER, new=OTHER_MINER)
    told = problem(
        door.post("/keys/rotations", {"rotation": base64.b64encode(one_sided).decode()}), 422, "invalid-input"
    )
    assert told["code"] == "bad_rotation"
    problem(door.post("/keys/rotations", {"rotation": "~"}), 422, "invalid-input")


def test_a_rotation_that_never_comes_changes_nothing(door: Door) -> None:
    never = KeyRotation(signer_of(MINER.public_key), signer_of(OTHER_MINER.public_key), 2**64 - 1, NETWORK)
    sealed = base64.b64encode(seal(never, old=MINER, new=OTHER_MINER)).decode()
    assert problem(door.post("/keys/rotations", {"rotation": sealed}), 422, "invalid-input")["code"] == "out_of_range"
    assert len(door.get("/keys").json()["items"]) == 2
