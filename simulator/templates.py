"""CCRs for the load generator: scapy builds each once, and where the numbers stand is found by looking for marks."""

from typing import Final

from simulator.load import Template
from simulator.messages import (
    CreditRequest,
    Identity,
    Reason,
    ServiceKey,
    ServiceUnits,
    Volume,
    capabilities_exchange_request,
    credit_control_request,
)
from simulator.profile import Profile, RequestType, TerminationCause

SESSION_MARK: Final = b"@" * 16
SUBSCRIBER_MARK: Final = b"888888888"
NUMBER_MARK: Final = 0x7E7D7C7B
USED: Final = Volume(up=150_000, down=850_000)


def templates(identity: Identity, profile: Profile, *, imsi_prefix: str, groups: int = 1) -> dict[str, Template]:
    """Build the CCR-I, -U and -T of one profile.

    Args:
        imsi_prefix: five or six digits; the rest of the IMSI is the session's.
        groups: how many Rating-Groups each request names.
    """
    return {
        kind.name.lower(): _template(kind, identity, profile, imsi_prefix, groups)
        for kind in (RequestType.INITIAL, RequestType.UPDATE, RequestType.TERMINATION)
    }


def capabilities(identity: Identity, profile: Profile) -> bytes:
    return capabilities_exchange_request(identity, profile).encode()


def _template(kind: RequestType, identity: Identity, profile: Profile, imsi_prefix: str, groups: int) -> Template:
    first, last = kind is RequestType.INITIAL, kind is RequestType.TERMINATION
    services = tuple(
        ServiceUnits(
            key=ServiceKey(rating_group=number),
            wanted=not last,
            used=None if first else USED,
            reason=None if first else Reason.FINAL if last else Reason.THRESHOLD,
        )
        for number in range(1, groups + 1)
    )
    request = CreditRequest(
        session_id=identity.host.encode() + b";" + SESSION_MARK,
        request_type=kind,
        number=NUMBER_MARK,
        imsi=imsi_prefix + SUBSCRIBER_MARK.decode() + "0" * (6 - len(imsi_prefix)),
        event_time=1_800_000_000,
        services=services,
        termination_cause=TerminationCause.LOGOUT if last else None,
    )
    octets = credit_control_request(request, profile, identity).encode()
    return Template(
        octets=octets,
        session=_place(octets, SESSION_MARK),
        subscriber=_place(octets, SUBSCRIBER_MARK),
        number=_place(octets, NUMBER_MARK.to_bytes(4, "big")),
        services=0 if last else groups,
    )


def _place(octets: bytes, mark: bytes) -> int:
    place = octets.find(mark)
    if place < 0 or octets.find(mark, place + 1) >= 0:
        raise ValueError(f"the mark {mark!r} is not once in the message")
    return place
