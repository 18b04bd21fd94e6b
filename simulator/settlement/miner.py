"""The miner: looks at what its own SGW signed, and countersigns it.  docs/signing.md, "Countersign".

It holds no secret of the SGW's and believes no other: the two of them are registered as a pair.
"""

from typing import Final

from simulator.settlement import wire
from simulator.settlement.keys import Key
from simulator.settlement.messages import Countersign, DoorPass, Envelope, SessionInit, Usage, seal

_FIELDS: Final = {SessionInit.TYPE: range(1, 14), Usage.TYPE: range(1, 15)}


class NotMine(Exception):
    """What a miner was given is not its own SGW's, and it puts no signature under it."""


class Miner:
    """Countersigns for one SGW.

    Args:
        sgw_key: that SGW's signer, 33 octets.
        network: the deployment in which they are registered.
    """

    def __init__(self, key: Key, sgw_key: bytes, network: str) -> None:
        self.key = key
        self._sgw_key = sgw_key
        self._network = network

    def countersign(self, inner: bytes, received_at_ms: int, miner_seq: int) -> Envelope:
        """Countersign the octets of an SGW's envelope, as they came.

        Args:
            received_at_ms: when the miner had it.
            miner_seq: counts what this miner has signed.

        Raises:
            NotMine: another signed it, the signature is bad, it names another miner, or it is no report.
        """
        try:
            envelope = Envelope.decode(inner)
            known = _FIELDS.get(envelope.payload_type)
            if envelope.signer != self._sgw_key or not envelope.signed:
                raise NotMine("the signature is not that of this miner's SGW")
            if known is None:
                raise NotMine(f"{envelope.payload_type} is no report")
            fields = wire.read(envelope.payload, known=known)
            if (fields.octets(5), fields.octets(6)) != (self._sgw_key, self.key.signer):
                raise NotMine("it names other keys than those of this SGW and its miner")
            if fields.text(2) != self._network:
                raise NotMine(f"it is for another network than {self._network}")
            channel_id = fields.octets(3)
        except wire.Unreadable as error:
            raise NotMine(f"it cannot be read: {error}") from None
        message = Countersign(
            channel_id=channel_id,
            inner_id=envelope.message_id,
            received_at_ms=received_at_ms,
            miner_seq=miner_seq,
            inner=inner,
        )
        return seal(message, self.key)

    def door_pass(self, at_ms: int) -> bytes:
        """Show who sends: the octets of a pass, good for five minutes."""
        return seal(DoorPass(network=self._network, miner_key=self.key.signer, at_ms=at_ms), self.key).encode()
