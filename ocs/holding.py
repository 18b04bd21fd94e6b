"""Hold in a channel what Gy grants to a gateway that signs its use.  docs/adr/0017-channels.md.

A gateway without registered keys has no channel and pays for nothing here.  Where one signs, a session that began since
holds room for all that it may sign for, from its CCR-I on; without room there is no grant.
"""

from ocs.credit_control.event import Gateway, Stepped
from ocs.credit_control.event import State as SessionState
from ocs.credit_control.session import Session
from ocs.credit_control.sessions import Sessions
from ocs.reporting import SignedUsage
from ocs.units import Octets, SessionId, UnixMillis


def room(signed: SignedUsage, sessions: Sessions, event: Stepped, gateway: Gateway) -> Octets | None:
    """Say how much each service may be granted where a channel cannot hold what `event` grants; None where one can, or
    none has to.

    Args:
        sessions: before the event.
    """
    if not signed.register.gateways:
        return None
    name = event.session_id
    if event.opening is not None:
        is_held = not event.opening.emergency and _signs(signed, gateway)
    else:
        is_held = name in signed.channels.holds
    if not is_held:
        return None
    granted = [step.granted for step in event.services if step.granted]
    if not granted:
        return None
    before = sessions.octets(SessionId(name)) if event.opening is None else 0
    # More than it will have, for what was granted before may end; where there is room for that, there is.
    if signed.channels.placement(name, before + sum(step.used + step.granted for step in event.services)) is not None:
        return None
    octets = _octets_after(sessions.get(SessionId(name)) if event.opening is None else None, event)
    if signed.channels.placement(name, octets) is not None:
        return None
    others = octets - sum(granted)
    return Octets(max(0, signed.channels.ceiling(name) - others) // len(granted))


def follow(signed: SignedUsage, sessions: Sessions, event: Stepped) -> None:
    """Hold what a served request granted, once it is applied; the session ends here as it ends there."""
    if not signed.register.gateways:
        return
    channels, name = signed.channels, event.session_id
    if event.opening is not None:
        begins = event.state == SessionState.OPEN and not event.opening.emergency
        if not begins or event.gateway is None or not _signs(signed, event.gateway):
            return
    elif name not in channels.holds:
        return
    octets = sessions.octets(SessionId(name))
    placement = channels.placement(name, octets)
    if placement is not None:
        gateway = event.gateway.origin_host if event.gateway is not None else channels.holds[name].gateway
        channels.hold(name, gateway, octets, placement)
    else:
        # Use that nobody granted: it may be signed for, and the channel pays what it can.
        channels.raise_ceiling(name, octets)
    if event.state == SessionState.ENDED:
        channels.end_gy(name, event.at)


def end(signed: SignedUsage, session_id: SessionId, at: UnixMillis) -> None:
    """Note that supervision ended a session."""
    signed.channels.end_gy(session_id, at)


def _signs(signed: SignedUsage, gateway: Gateway) -> bool:
    return signed.register.signs(gateway.origin_host)


def _octets_after(session: Session | None, event: Stepped) -> Octets:
    """Give the octets used and granted in all, once `event` is applied."""
    services: dict[tuple[int, tuple[int, ...]], tuple[int, int]] = {}
    if session is not None:
        services = {(one.rating_group, one.service_ids): (one.used, one.granted) for one in session.services}
    for step in event.services:
        key = step.rating_group, tuple(sorted(step.service_ids))
        used, granted = services.get(key, (0, 0))
        if step.ended:
            granted = 0
        services[key] = used + step.used, step.granted or granted
    return Octets(sum(used + granted for used, granted in services.values()))
