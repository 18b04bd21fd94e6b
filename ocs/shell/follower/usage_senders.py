"""Who sends reports: a miner that shows its pass, or whoever holds the administrator's token; at both doors alike.

authorization: Settlement <a miner's pass in base64>        ocs.usage.door_pass
authorization: Bearer <token>
"""

import base64
import binascii
import hmac
from typing import Final

from ocs.errors import OcsError
from ocs.shell.follower.usage_door import UsageDoor
from ocs.signed.malformed import Malformed

HOW: Final = "send authorization: Settlement and a miner's pass in base64 (docs/signing.md), or Bearer and the token"


class NotAdmitted(OcsError):
    """Nobody who may send usage."""

    status, slug = 401, "unauthorized"


async def sender_of(authorization: str, door: UsageDoor, token: bytes) -> bytes | None:
    """Give the public key of the miner that sends, 32 octets; None for the administrator, who sends anybody's reports.

    Raises:
        NotAdmitted: it is neither.
    """
    scheme, _, shown = authorization.strip().partition(" ")
    shown = shown.strip()
    match scheme.lower():
        # Compared in constant time: how long a refusal takes tells nothing of the token.
        case "bearer" if hmac.compare_digest(shown.encode("utf-8", "replace"), token):
            return None
        case "settlement":
            try:
                return await door.admit(base64.b64decode(shown, validate=True))
            except (binascii.Error, ValueError):
                raise NotAdmitted("the pass is no base64") from None
            except Malformed as error:
                raise NotAdmitted(f"{error.code}: {error.detail}") from None
        case _:
            raise NotAdmitted(HOW)
