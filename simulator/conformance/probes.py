"""The list of probes, in the order in which they are played."""

from typing import Final

from simulator.conformance import credit, peers, repeats, streams, wrong
from simulator.conformance.examiner import Probe

PROBES: Final[dict[str, Probe]] = {
    "capabilities": peers.capabilities,
    "vendor-specific application": peers.vendor_specific,
    "nothing in common": peers.nothing_in_common,
    "CER without Origin-Realm": peers.cer_without_realm,
    "CCR before the CER": peers.early,
    "watchdog": peers.watchdog,
    "farewell": peers.farewell,
    "a session": credit.session,
    "two services": credit.two_services,
    "a service with an identifier": credit.identifier,
    "a service without a key": credit.keyless,
    "AVPs in another order": credit.any_order,
    "a report without a wish": credit.report_only,
    "a session nobody opened": credit.unknown_session,
    "balance check": credit.check_balance,
    "price enquiry": credit.price_enquiry,
    "Proxy-Info": credit.proxied,
    "repeats with T": repeats.repeated,
    "a repeat on a new connection": repeats.elsewhere,
    "T on a first request": repeats.t_alone,
    "pipelined requests": streams.pipelined,
    "segments": streams.segments,
    "version 2": streams.bad_version,
    "impossible message lengths": streams.bad_length,
    "unknown command": wrong.command,
    "unknown application": wrong.application,
    "E in a request": wrong.error_bit,
    "foreign realm": wrong.realm,
    "unknown AVPs": wrong.unknown_avps,
    "missing AVPs": wrong.missing,
    "an AVP twice": wrong.twice,
    "a forbidden AVP": wrong.forbidden,
    "undefined values": wrong.values,
    "impossible AVP lengths": wrong.avp_lengths,
    "a number of three octets": wrong.type_length,
}
