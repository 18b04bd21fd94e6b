"""Decide what administrators ask: operators, tariffs, money, peers.  Each gives one event, or raises an `OcsError` that
says what is wrong and how to mend it.
"""

from hashlib import blake2b
from ipaddress import ip_network
from typing import Final

from ocs import command as cmd
from ocs.balance.event import OperatorAdded, OperatorChanged, Reversed, TariffAdded, ToppedUp, WrittenOff
from ocs.balance.operator import Operator
from ocs.credit_control.event import State as SessionState
from ocs.credit_control.event import TerminationAsked
from ocs.credit_control.profile import PROFILES
from ocs.errors import Conflict, InsufficientBalance, InvalidInput, NotFound, OutOfTurn
from ocs.rating.tariff import PER_OCTETS_MAX, PRICE_MAX
from ocs.state import PeerAllowed, PeerRevoked, State
from ocs.texts import check_origin_host, check_text
from ocs.units import CREDITS_MAX, OCTETS_MAX, Credits, Octets, OperatorId, SessionId, TariffId, UnixMillis

NAME_CHARACTERS_MAX: Final = 64
PEERS_MAX: Final = 10_000
OPERATORS_MAX: Final = 100_000
ADDRESSES_MAX: Final = 64
RATING_GROUP_MAX: Final = 2**32 - 1


def add_operator(state: State, command: cmd.AddOperator, now: UnixMillis) -> OperatorAdded:
    directory = state.charging.operators
    _check_name(command.name)
    if directory.named(command.name) is not None:
        raise Conflict(f"operator {command.name!r} is there already; top it up, or choose another name")
    if len(directory) >= OPERATORS_MAX:
        raise Conflict(f"this server keeps {OPERATORS_MAX} operators at the most")
    directory.check_new(command.prefixes)
    _check_price(command.price, command.per_octets)
    _check_grant_max(command.grant_max)
    return OperatorAdded(
        at=now,
        operator=OperatorId(len(directory) + 1),
        name=command.name,
        prefixes=command.prefixes,
        grant_max=command.grant_max,
        tariff=TariffId(state.charging.tariffs.newest + 1),
        price=command.price,
        per_octets=command.per_octets,
    )


def change_operator(state: State, command: cmd.ChangeOperator, now: UnixMillis) -> OperatorChanged:
    operator = operator_named(state, command.name)
    if command.add_prefixes:
        state.charging.operators.check_new(command.add_prefixes, operator)
    _check_grant_max(command.grant_max)
    return OperatorChanged(at=now, operator=operator.number, added=command.add_prefixes, grant_max=command.grant_max)


def add_tariff(state: State, command: cmd.AddTariff, now: UnixMillis) -> TariffAdded:
    operator = operator_named(state, command.operator)
    _check_price(command.price, command.per_octets)
    if command.rating_group is not None and not 0 <= command.rating_group <= RATING_GROUP_MAX:
        raise InvalidInput(f"a Rating-Group is 0 to {RATING_GROUP_MAX}; got {command.rating_group}")
    if command.apn is not None:
        check_text("an APN", command.apn)
    return TariffAdded(
        at=now,
        tariff=TariffId(state.charging.tariffs.newest + 1),
        operator=operator.number,
        rating_group=command.rating_group,
        apn=command.apn.lower() if command.apn is not None else None,
        price=command.price,
        per_octets=command.per_octets,
    )


def top_up(state: State, command: cmd.TopUp, now: UnixMillis) -> tuple[ToppedUp, bool]:
    """Give the top-up's event, and whether this command is a repeat of it.

    Raises:
        InvalidInput: the key was used with other content; keys are kept for ever.
    """
    operator = operator_named(state, command.operator)
    check_text("an Idempotency-Key", command.key)
    check_text("a reference", command.reference)
    digest = _digest(command)
    before = state.top_up_keys.get((operator.number, command.key))
    if before is not None:
        event = state.top_ups[before]
        if event.digest != digest:
            raise InvalidInput(
                f"Idempotency-Key {command.key!r} was used for another top-up "
                f"(number {before}, {event.amount} credits); a new top-up needs a new key"
            )
        return event, True
    account = operator.account
    if not 0 < command.amount <= CREDITS_MAX:
        raise InvalidInput(f"an amount is between 1 and {CREDITS_MAX} credits; got {command.amount}")
    if account.funded + command.amount + account.owed > CREDITS_MAX:
        raise InvalidInput(f"with this top-up operator {operator.name!r} would hold more than {CREDITS_MAX} credits")
    paid = min(command.amount, account.overrun)
    return (
        ToppedUp(
            at=now,
            number=len(state.top_ups) + 1,
            operator=operator.number,
            amount=command.amount,
            kind=command.kind,
            reference=command.reference,
            key=command.key,
            digest=digest,
            credited=Credits(account.funded + command.amount),
            available=Credits(account.available + command.amount - paid),
            reserved=account.reserved,
            consumed=Credits(account.consumed + paid),
            overrun=Credits(account.overrun - paid),
        ),
        False,
    )


def reverse(state: State, command: cmd.ReverseTopUp, now: UnixMillis) -> Reversed:
    operator = operator_named(state, command.operator)
    check_text("a reason", command.reason)
    event = state.top_ups.get(command.top_up)
    if event is None or event.operator != operator.number:
        raise NotFound(f"operator {operator.name!r} has no top-up {command.top_up}")
    left = event.amount - state.reversed_credits.get(command.top_up, 0)
    if not 0 < command.amount <= left:
        raise InvalidInput(f"{left} credits of top-up {command.top_up} can still be reversed; got {command.amount}")
    if command.amount > operator.account.available:
        raise InsufficientBalance(
            f"{operator.account.available} credits are available, {command.amount} were to be taken back; the rest is "
            "reserved or used: end the sessions, or reverse less"
        )
    return Reversed(
        at=now, top_up=command.top_up, operator=operator.number, amount=command.amount, reason=command.reason
    )


def write_off(state: State, command: cmd.WriteOff, now: UnixMillis) -> WrittenOff:
    operator = operator_named(state, command.operator)
    check_text("a reason", command.reason)
    if not 0 < command.amount <= operator.account.overrun:
        raise InsufficientBalance(
            f"operator {operator.name!r} owes {operator.account.overrun} credits, not {command.amount}"
        )
    return WrittenOff(at=now, operator=operator.number, amount=command.amount, reason=command.reason)


def allow_peer(state: State, command: cmd.AllowPeer, now: UnixMillis) -> PeerAllowed:
    check_origin_host(command.origin_host)
    if len(state.peers) >= PEERS_MAX and command.origin_host.lower() not in state.peers:
        raise Conflict(f"this server admits {PEERS_MAX} peers at the most; revoke one first")
    if len(command.addresses) > ADDRESSES_MAX:
        raise InvalidInput(f"a peer has {ADDRESSES_MAX} addresses at the most; name a network (10.1.0.0/24) instead")
    for address in command.addresses:
        try:
            ip_network(address)
        except ValueError:
            raise InvalidInput(f"{address!r} is no IP address or network such as 192.0.2.7 or 192.0.2.0/24") from None
    if command.profile is not None and command.profile not in PROFILES:
        raise InvalidInput(f"there is no profile {command.profile!r}; choose one of {', '.join(sorted(PROFILES))}")
    return PeerAllowed(now, command.origin_host.lower(), tuple(command.addresses), command.profile)


def revoke_peer(state: State, command: cmd.RevokePeer, now: UnixMillis) -> PeerRevoked:
    if command.origin_host.lower() not in state.peers:
        raise NotFound(f"peer {command.origin_host!r} was never allowed by command; configured peers stand in gy.peers")
    return PeerRevoked(now, command.origin_host.lower())


def terminate(state: State, command: cmd.TerminateSession, now: UnixMillis) -> TerminationAsked:
    session = state.charging.sessions.get(SessionId(command.session_id))
    name = command.session_id.decode("utf-8", "backslashreplace")
    if session is None:
        raise NotFound(f"there is no session {name!r} any more, or never was; `ocs session list` shows those there are")
    if session.state == SessionState.ENDED:
        raise OutOfTurn(f"session {name!r} has ended already")
    check_text("a reason", command.reason)
    return TerminationAsked(now, command.session_id, command.reason, session.last)


def operator_named(state: State, name: str) -> Operator:
    operator = state.charging.operators.named(name)
    if operator is None:
        raise NotFound(f"there is no operator {name[:NAME_CHARACTERS_MAX]!r}; `ocs operator list` shows them")
    return operator


def _check_name(name: str) -> None:
    allowed = set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.")
    if not 0 < len(name) <= NAME_CHARACTERS_MAX or not set(name) <= allowed:
        raise InvalidInput(
            f"a name is 1 to {NAME_CHARACTERS_MAX} letters, digits, hyphens, underscores or dots; got {name[:80]!r}"
        )


def _check_price(price: Credits, per_octets: Octets) -> None:
    if not 0 <= price <= PRICE_MAX:
        raise InvalidInput(f"a price is 0 to {PRICE_MAX} credits; got {price}")
    if not 0 < per_octets <= PER_OCTETS_MAX:
        raise InvalidInput(
            f"per_octets is 1 to {PER_OCTETS_MAX}, the size of the block that `price` buys; got {per_octets}"
        )


def _check_grant_max(grant_max: Octets | None) -> None:
    if grant_max is not None and not 0 < grant_max <= OCTETS_MAX:
        raise InvalidInput(f"grant_max is 1 to {OCTETS_MAX} octets, or null for none; got {grant_max}")


def _digest(command: cmd.TopUp) -> bytes:
    content = f"{command.amount}\0{int(command.kind)}\0{command.reference}".encode()
    return blake2b(content, digest_size=16).digest()
