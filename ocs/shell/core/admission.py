"""Which peers are let in, and who waits outside.  RFC 6733 section 5.3, configuration `gy.peers`, `ocs peer allow`."""

from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import Final

from ocs.credit_control.profile import PROFILES, Profile, propose
from ocs.credit_control.screening import Agreement
from ocs.diameter.base import Introduction
from ocs.shell.live import WaitingView
from ocs.state import PeerAllowed
from ocs.units import UnixMillis

WAITING_MAX: Final = 1000
"""Strangers are remembered for the administrator, but not without end; the one seen longest ago goes first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfiguredPeer:
    origin_host: str  # lower case
    addresses: tuple[str, ...]  # networks; none: any address
    profile: str | None
    speaks_for: frozenset[str] = frozenset()  # lower case
    imsi_prefixes: tuple[str, ...] = ()
    plmns: frozenset[str] = frozenset()


class Doorkeeper:
    """Judges introductions by configuration and by what administrators allowed."""

    def __init__(
        self,
        *,
        any_peer: bool,
        configured: tuple[ConfiguredPeer, ...],
        allowed: dict[str, PeerAllowed],
        default_profile: str | None,
    ) -> None:
        self._any = any_peer
        self._configured = {peer.origin_host: peer for peer in configured}
        self._allowed = allowed  # the node's own, as it changes
        self._default_profile = default_profile
        self.waiting: dict[tuple[str, str], WaitingView] = {}

    def judge(self, introduction: Introduction, address: str, now: UnixMillis) -> str | None:
        """Give None to let a peer in, or the reason why it is turned away; then it is remembered as waiting."""
        host = introduction.origin_host.lower()
        reason = self._reason(host, address)
        if reason is None:
            self.waiting.pop((host, address), None)
            return None
        before = self.waiting.pop((host, address), None)
        if before is None and len(self.waiting) >= WAITING_MAX:
            del self.waiting[next(iter(self.waiting))]
        self.waiting[host, address] = WaitingView(
            introduction.origin_host,
            introduction.origin_realm,
            address,
            introduction.product_name,
            reason,
            before.first_seen if before is not None else now,
            now,
            before.attempts + 1 if before is not None else 1,
        )
        return reason

    def judge_again(self, origin_host: str, address: str) -> str | None:
        """Tell whether a connected peer would still be let in; nobody is remembered as waiting."""
        return self._reason(origin_host.lower(), address)

    def profile(self, introduction: Introduction) -> Profile:
        """Give the profile of an admitted peer: its own, the default one, or what its Product-Name suggests."""
        host = introduction.origin_host.lower()
        named = None
        if host in self._allowed:
            named = self._allowed[host].profile
        if named is None and host in self._configured:
            named = self._configured[host].profile
        named = named or self._default_profile
        return PROFILES[named] if named is not None else propose(introduction.product_name)

    def agreement(self, introduction: Introduction) -> Agreement:
        """Give what is agreed with an admitted peer; with one that is not configured, nothing in particular."""
        agreed = self._configured.get(introduction.origin_host.lower())
        host, realm = introduction.origin_host, introduction.origin_realm
        if agreed is None:
            return Agreement(origin_host=host, origin_realm=realm)
        return Agreement(
            origin_host=host,
            origin_realm=realm,
            speaks_for=agreed.speaks_for,
            imsi_prefixes=agreed.imsi_prefixes,
            plmns=agreed.plmns,
        )

    def forget(self, origin_host: str) -> None:
        """Drop the waiting entries of a peer that has been allowed."""
        for key in [key for key in self.waiting if key[0] == origin_host.lower()]:
            del self.waiting[key]

    def _reason(self, host: str, address: str) -> str | None:
        if self._any:
            return None
        known = False
        for addresses in self._addresses(host):
            known = True
            if not addresses or any(ip_address(address) in ip_network(network, strict=False) for network in addresses):
                return None
        return "known, but not from this address" if known else "unknown identity"

    def _addresses(self, host: str) -> list[tuple[str, ...]]:
        found = []
        if host in self._configured:
            found.append(self._configured[host].addresses)
        if host in self._allowed:
            found.append(self._allowed[host].addresses)
        return found
