"""What Purchaser and handler tell each other.  While both are one process nobody signs it, and it has no octets;
its field numbers are taken all the same, in proto/settlement.proto.
"""

import msgspec


class Grant(msgspec.Struct, frozen=True, gc=False):
    """Octets granted over Gy to a session so far, all its grants together."""

    gy_session_id: str
    cc_request_number: int  # of the CCR that the newest grant answered
    cum_granted_bytes: int


class Reconciliation(msgspec.Struct, frozen=True, gc=False):
    """A session's octets as two signatures prove them, beside what was charged over Gy."""

    gy_session_id: str
    handler_cum_bytes: int  # over all incarnations of the session
    purchaser_cum_bytes: int

    @property
    def difference(self) -> int:
        """Give what is proven above what was charged; negative where less is proven."""
        return self.handler_cum_bytes - self.purchaser_cum_bytes
