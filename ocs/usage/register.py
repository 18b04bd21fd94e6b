"""The keys that may sign usage, and the gateways they belong to.

A revoked or replaced key stays: old proofs are still verified with it.
"""

from dataclasses import dataclass, field
from typing import assert_never

import msgspec

from ocs.usage.event import KeyRevoked, KeyRotated, SignersAdded
from ocs.usage.keys import KeyView, Role


@dataclass(slots=True)
class KeyRegister:
    """Keys by public key, 32 octets; a `KeyView` never changes, it is replaced."""

    keys: dict[bytes, KeyView] = field(default_factory=dict)
    changes: int = 0  # since the process began: who holds a copy sees whether it is still one
    gateways: dict[str, int] = field(default_factory=dict)  # Origin-Host in lower case: SGW keys not revoked

    def signs(self, origin_host: str) -> bool:
        """Say whether a gateway signs what it reports; then its grants are held in channels."""
        return bool(self.gateways) and origin_host.lower() in self.gateways

    def apply(self, event: SignersAdded | KeyRevoked | KeyRotated) -> None:
        self.changes += 1
        match event:
            case SignersAdded():
                self._add(event)
            case KeyRevoked():
                key = self.keys[event.public_key]
                if key.role is Role.SGW and key.revoked_at is None:
                    self._count(key.origin_host, -1)
                self.keys[event.public_key] = msgspec.structs.replace(key, revoked_at=event.at)
            case KeyRotated():
                self._rotate(event)
            case _:
                assert_never(event)

    def restore(self, keys: dict[bytes, KeyView]) -> None:
        """Take the keys of a snapshot."""
        self.keys = keys
        self.changes += 1
        for key in keys.values():
            if key.role is Role.SGW and key.revoked_at is None:
                self._count(key.origin_host, 1)

    def _add(self, event: SignersAdded) -> None:
        host, until = event.origin_host.lower(), event.valid_until or None
        sgw, miner = event.sgw_key, event.miner_key
        for role, key, partner in ((Role.SGW, sgw, miner), (Role.MINER, miner, sgw)):
            self.keys[key] = KeyView(
                role=role, pairs=(partner,), origin_host=host, valid_from=event.valid_from, valid_until=until
            )
        self._count(host, 1)

    def _rotate(self, event: KeyRotated) -> None:
        old, new = event.old_key, event.new_key
        key = self.keys[old]
        self.keys[new] = msgspec.structs.replace(key, valid_from=event.effective_at)
        self.keys[old] = msgspec.structs.replace(key, valid_until=event.old_until)
        for partner in key.pairs:
            other = self.keys[partner]
            self.keys[partner] = msgspec.structs.replace(other, pairs=(*other.pairs, new))
        if key.role is Role.SGW:
            self._count(key.origin_host, 1)

    def _count(self, host: str, by: int) -> None:
        count = self.gateways.get(host, 0) + by
        if count:
            self.gateways[host] = count
        else:
            del self.gateways[host]
