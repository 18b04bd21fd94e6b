"""The public log: whoever has its key checks it without a token."""

import base64
from collections.abc import Iterator

import pytest

from api_door import Door, problem
from ocs.errors import NotFound
from ocs.signed.ed25519 import verify
from ocs.tlog import checkpoint, merkle, note, proof, tiles
from ocs.tlog.note import VerifierKey
from signing_node import SigningNode

LEAVES = 300


@pytest.fixture(scope="module")
def node() -> SigningNode:
    made = SigningNode(bought=10**6)
    made.channel(10_000)
    return made


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory, node: SigningNode) -> Iterator[Door]:
    with Door(tmp_path_factory.mktemp("door"), node=node) as opened:
        node.attach("s;1")
        sgw = node.begin("s;1")
        for _ in range(LEAVES - 1):
            assert not hasattr(node.report(node.usage(sgw, 10)), "code")
        yield opened


def get(door: Door, path: str, **query: object) -> bytes:
    answer = door.ask("GET", f"/api/v1/log/{path}", headers={}, params=query or None)
    assert answer.status_code == 200, answer.text
    return answer.content


def key(door: Door) -> VerifierKey:
    told = door.ask("GET", "/api/v1/log/key", headers={}).json()
    assert told["size"] == LEAVES
    return VerifierKey.parse(told["key"])


def test_the_checkpoint_is_signed(node: SigningNode, door: Door) -> None:
    head = checkpoint.opened(note.parse(get(door, "checkpoint")), [key(door)], verify)
    assert (head.origin, head.size, head.root) == (key(door).name, LEAVES, node.state.signed.log.root())


@pytest.mark.parametrize("index", [0, 255, 256, LEAVES - 1])
def test_each_leaf_is_proved(node: SigningNode, door: Door, index: int) -> None:
    octets = get(door, f"proof/{index}")
    head = proof.verify(octets, node.leaves[index], key(door).name, [key(door)], proof.NO_COSIGNERS, verify)
    assert head.size == LEAVES
    commit = proof.parse(octets).extra
    assert node.leaves[index].startswith(commit), "a miner, who has the envelope, makes the leaf with this alone"
    assert len(node.leaves[index]) - len(commit) > 500


def test_receipts_made_together_are_those_made_one_by_one(node: SigningNode, door: Door) -> None:
    log = door.backend.usage.log
    indices = [LEAVES - 1, 0, 255, 256, 0]
    assert log.proofs(indices) == [log.proof(index) for index in indices]
    assert log.proofs([]) == []
    with pytest.raises(NotFound, match=f"the log has {LEAVES} leaves, and none with index {LEAVES}"):
        log.proofs([0, LEAVES])


def test_growth_is_proved(node: SigningNode, door: Door) -> None:
    old = merkle.Frontier()
    for leaf in node.leaves[:77]:
        old.append(merkle.leaf_hash(leaf))
    lines = get(door, "consistency", old=77, size=LEAVES).decode().splitlines()
    hashes = [base64.b64decode(line) for line in lines]
    merkle.verify_consistency(77, LEAVES, hashes, old.root(), node.state.signed.log.root())
    problem(door.ask("GET", "/api/v1/log/consistency?old=2&size=1"), 422, "invalid-input")
    problem(door.ask("GET", f"/api/v1/log/consistency?old=0&size={LEAVES + 1}"), 422, "invalid-input")


def test_tiles_and_bundles_are_served(node: SigningNode, door: Door) -> None:
    assert tiles.read_bundle(get(door, "tile/entries/000"), 256) == node.leaves[:256]
    width = LEAVES - 256
    assert tiles.read_bundle(get(door, f"tile/entries/001.p/{width}"), width) == node.leaves[256:]
    hashes = get(door, "tile/0/000")
    assert hashes == b"".join(map(merkle.leaf_hash, node.leaves[:256]))
    full = door.ask("GET", "/api/v1/log/tile/0/000", headers={})
    assert "immutable" in full.headers["cache-control"]
    assert full.headers["content-type"] == "application/octet-stream"
    partial = door.ask("GET", f"/api/v1/log/tile/0/001.p/{width}", headers={})
    assert partial.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("path", "status", "slug"),
    [
        (f"proof/{LEAVES}", 404, "not-found"),
        ("proof/-1", 422, "invalid-input"),
        (f"proof/{2**63}", 422, "invalid-input"),
        ("tile/0/002", 404, "not-found"),
        ("tile/9/000", 404, "not-found"),
        ("tile/../token", 404, "not-found"),
        ("tile/0/0001", 422, "invalid-input"),
        ("tile/" + "x001/" * 20 + "000", 404, "not-found"),
    ],
)
def test_what_is_not_there_is_told(door: Door, path: str, status: int, slug: str) -> None:
    problem(door.ask("GET", f"/api/v1/log/{path}", headers={}), status, slug)
