"""Keys, trees and published octets that the tests of the log share; signatures are PyNaCl's."""

from collections.abc import Callable
from hashlib import sha256

from nacl.exceptions import BadSignatureError
from nacl.signing import SigningKey, VerifyKey

from ocs.tlog import checkpoint, merkle, tiles
from ocs.tlog.checkpoint import Checkpoint, CosignerKey
from ocs.tlog.note import Note, VerifierKey

ORIGIN = "log.example.net/usage"


def verify(public_key: bytes, message: bytes, signature: bytes) -> bool:
    try:
        VerifyKey(public_key).verify(message, signature)
    except BadSignatureError:
        return False
    return True


def private_key(seed: int) -> SigningKey:
    return SigningKey(bytes([seed]) * 32)


def signer(seed: int) -> Callable[[bytes], bytes]:
    return lambda message: private_key(seed).sign(message).signature


def log_key(seed: int = 1, name: str = ORIGIN) -> VerifierKey:
    return VerifierKey(name, bytes(private_key(seed).verify_key))


def cosigner_key(seed: int, name: str | None = None) -> CosignerKey:
    return CosignerKey(name or f"witness.example.net/{seed}", bytes(private_key(seed).verify_key))


def signed(head: Checkpoint, seed: int = 1) -> Note:
    return checkpoint.sign(head, log_key(seed, head.origin), signer(seed))


def entry(index: int) -> bytes:
    return sha256(index.to_bytes(8, "big")).digest()


class Tree:
    """All nodes of a tree kept in memory: a NodeReader that also knows every root there was."""

    def __init__(self, entries: list[bytes]) -> None:
        self.entries = entries
        self.leaves = [merkle.leaf_hash(one) for one in entries]
        self.rows = [self.leaves]
        while len(row := self.rows[-1]) > 1:
            self.rows.append([merkle.node_hash(*pair) for pair in zip(row[::2], row[1::2], strict=False)])
        frontier = merkle.Frontier()
        self.roots = [frontier.root()]
        for leaf in self.leaves:
            frontier.append(leaf)
            self.roots.append(frontier.root())

    def __call__(self, level: int, index: int) -> bytes:
        return self.rows[level][index]

    def head(self, size: int | None = None) -> Checkpoint:
        size = len(self.leaves) if size is None else size
        return Checkpoint(ORIGIN, size, self.roots[size])


def tiled(leaves: list[bytes], *sizes: int) -> dict[str, bytes]:
    """Write the tiles of a log that grew through these sizes; none is ever removed."""
    files: dict[str, bytes] = {}
    for old, new in zip((0, *sizes), sizes, strict=False):
        for tile, content in list(tiles.grow(old, leaves[old:new], files.__getitem__)):
            assert tile.path not in files, "a tile is written once"
            files[tile.path] = content
    return files


def flipped(octets: bytes, bit: int) -> bytes:
    changed = bytearray(octets)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)
