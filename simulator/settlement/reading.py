"""What a gateway knows of a session, unsigned: the proposal's SessionStatisticsUpdate.  proto/proposal.proto.

It goes from the gateway to its forwarder and no further: the IMSI in it leaves the gateway only as a tag.
"""

from dataclasses import dataclass
from typing import Final, Self

from simulator.settlement import wire
from simulator.settlement.messages import Cause, Counters

RAT_EUTRAN: Final = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """The counters of a Gy session, read once.

    Attributes:
        incarnation: rises when the counters begin again.
        octets: since the incarnation began.
        granted_bytes: cumulative over the Gy session.
        cc_request_number: of the CCR that told the same over Gy.
        final: the Gy session has ended.
    """

    gy_session_id: str
    incarnation: int = 0
    imsi: str
    rat: int = RAT_EUTRAN
    octets: Counters
    granted_bytes: int
    measured_at_ms: int
    cause: Cause
    cc_request_number: int
    final: bool = False

    def encode(self) -> bytes:
        return b"".join(
            (
                wire.text(1, self.gy_session_id),
                wire.number(2, self.incarnation),
                wire.text(3, self.imsi),
                wire.number(4, self.rat),
                wire.number(5, self.octets.up),
                wire.number(6, self.octets.down),
                wire.number(7, self.granted_bytes),
                wire.number(8, self.measured_at_ms),
                wire.number(9, self.cause),
                wire.number(10, self.cc_request_number),
                wire.number(11, self.final),
            )
        )

    @classmethod
    def decode(cls, message: bytes) -> Self:
        """Read one as it came from a gateway.

        Raises:
            Unreadable: it is none, names no session, or its cause is unknown.
        """
        fields = wire.read(message)
        try:
            cause = Cause(fields.number(9))
        except ValueError:
            raise wire.Unreadable(f"{fields.number(9)} is no cause of a report") from None
        gy_session_id = fields.text(1)
        if not gy_session_id:
            raise wire.Unreadable("it names no Gy session")
        return cls(
            gy_session_id=gy_session_id,
            incarnation=fields.number(2),
            imsi=fields.text(3),
            rat=fields.number(4),
            octets=Counters(fields.number(5), fields.number(6)),
            granted_bytes=fields.number(7),
            measured_at_ms=fields.number(8),
            cause=cause,
            cc_request_number=fields.number(10),
            final=bool(fields.number(11)),
        )
