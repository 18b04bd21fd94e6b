"""A registered key, as whoever checks a signature sees it."""

from enum import StrEnum

import msgspec

from ocs.units import UnixMillis


class Role(StrEnum):
    SGW = "sgw"
    MINER = "miner"


class KeyView(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What the registry says of one public key; `check_public_key` has passed it when it was registered.

    Attributes:
        pairs: public keys of the miners, or SGWs, that it works with, 32 octets each; two while one is replaced.
        origin_host: of the gateway that both belong to, as it is known over Gy.
        valid_from, valid_until: it signs from the first on and before the second; None is without end.
        revoked_at: from then on it signs nothing, whatever date its messages bear.
    """

    role: Role
    pairs: tuple[bytes, ...]
    origin_host: str
    valid_from: UnixMillis
    valid_until: UnixMillis | None = None
    revoked_at: UnixMillis | None = None
