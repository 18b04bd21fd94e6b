"""From the octets of a CCR to what charging reads, every check of its form and way on it.

The order is the protocol's: structure (5014), routing (3002, 3003, 3005), then what the dictionary says (5001, 5005,
5009, 5008, 5004).  A message that fails changes nothing.
"""

from dataclasses import dataclass

from ocs.credit_control.form import Form
from ocs.credit_control.forms import Forms
from ocs.credit_control.request import CreditControlRequest, read
from ocs.diameter import avp, strict
from ocs.diameter.codes import Avp
from ocs.diameter.dictionary import Dictionary
from ocs.diameter.framing import HEADER_OCTETS
from ocs.errors import DiameterError, InvalidAvpLength, LoopDetected, RealmNotServed, UnableToDeliver


@dataclass(frozen=True, slots=True, kw_only=True)
class Destinations:
    """Where a request may be sent to and be served here; all names in lower case."""

    origin_host: str
    realms: frozenset[str]
    strict: bool  # Destination-Host must name this host, and Destination-Realm be listed


class Reception:
    """The checks of one server."""

    def __init__(self, dictionary: Dictionary, destinations: Destinations) -> None:
        self._dictionary = dictionary
        self._destinations = destinations

    def receive(self, message: bytes, peer_realm: str, forms: Forms) -> tuple[CreditControlRequest, Form | None]:
        """Read a CCR; with it comes its form, where it has one that was met before.

        Args:
            peer_realm: Origin-Realm of the admitted peer; gateways send it as Destination-Realm.
            forms: what was learnt from this peer; a message that has one of these forms passed all checks but those
                of its values.

        Raises:
            DiameterError: the one error that wins, with its Failed-AVP.
        """
        form = forms.find(message)
        if form is not None:
            request = form.read(message)
            if request is not None:
                return request, form
        request = self.receive_in_full(message, peer_realm)
        if form is None:
            forms.learn(message, request, self._dictionary)
        return request, None

    def receive_in_full(self, message: bytes, peer_realm: str) -> CreditControlRequest:
        """Read a CCR without what was learnt."""
        try:
            strict.check(message, self._dictionary)
        except InvalidAvpLength:
            raise
        except DiameterError:
            self._route(message, peer_realm)
            raise
        self._route(message, peer_realm)
        return read(message)

    def _route(self, message: bytes, peer_realm: str) -> None:
        """Refuse what is for another node (RFC 6733 section 6.1.4)."""
        here = self._destinations
        realm = host = ""
        for raw in avp.walk(message, HEADER_OCTETS, len(message)):
            if raw.vendor:
                continue
            if raw.code == Avp.DESTINATION_REALM:
                realm = _name(message, raw)
            elif raw.code == Avp.DESTINATION_HOST:
                host = _name(message, raw)
            elif raw.code == Avp.ROUTE_RECORD and _name(message, raw) == here.origin_host:
                raise LoopDetected("this node stands in a Route-Record: the request has been here before")
        if realm and realm not in here.realms and (here.strict or realm != peer_realm.lower()):
            raise RealmNotServed(f"realm {realm!r} is not served here; add it to gy.realms if it should be")
        if host and here.strict and host != here.origin_host:
            raise UnableToDeliver(f"this node is {here.origin_host!r}, and not {host!r}")


def _name(message: bytes, raw: avp.RawAvp) -> str:
    return message[raw.start : raw.end].decode("ascii", "replace").lower()
