"""Probes of the peer connection: capabilities, watchdog, farewell.  RFC 6733 sections 5.3 to 5.6."""

from typing import Final

from simulator.conformance import rules
from simulator.conformance.answers import SUCCESS
from simulator.conformance.examiner import Examiner, changed
from simulator.conformance.link import Link
from simulator.conformance.octets import ORIGIN_REALM, every
from simulator.messages import device_watchdog_request, disconnect_peer_request
from simulator.profile import RequestType
from simulator.wire import VENDOR_3GPP, avp

NO_COMMON_APPLICATION: Final = 5010
MISSING_AVP: Final = 5005
GX: Final = 16777238
CREDIT_CONTROL: Final = 4
RELAY: Final = 0xFFFF_FFFF
AUTH_APPLICATION_ID: Final = 258


def capabilities(examiner: Examiner) -> None:
    with examiner.opened():
        pass  # the connection before may have to be forgotten first
    link = examiner.connect()
    cea = examiner.ask(link, examiner.numbered(examiner.cer()))
    if cea is not None:
        examiner.look(rules.CEA, cea.code == SUCCESS, f"Result-Code {cea.code}")
        if cea.code == SUCCESS:
            for code, name in ((257, "Host-IP-Address"), (266, "Vendor-Id"), (269, "Product-Name")):
                examiner.look(rules.CEA_AVPS, bool(cea.all(code)), f"without {name}")
            offered = {one.number for one in every(cea.avps) if one.code == AUTH_APPLICATION_ID and not one.vendor}
            examiner.look(rules.CEA_APPLICATION, bool(offered & {CREDIT_CONTROL, RELAY}), f"offers {sorted(offered)}")
    _leave(examiner, link)


def vendor_specific(examiner: Examiner) -> None:
    with examiner.opened():
        pass
    inside = [avp("Vendor-Id", VENDOR_3GPP), avp("Auth-Application-Id", CREDIT_CONTROL)]
    cer = changed(changed(examiner.cer(), "Auth-Application-Id"), "Vendor-Specific-Application-Id")
    cer = changed(cer, "Product-Name", avp("Product-Name", "probe"), avp("Vendor-Specific-Application-Id", inside))
    link = examiner.connect()
    cea = examiner.ask(link, examiner.numbered(cer))
    if cea is not None:
        examiner.look(rules.CER_VENDOR_SPECIFIC, cea.code == SUCCESS, f"Result-Code {cea.code}")
    _leave(examiner, link)


def nothing_in_common(examiner: Examiner) -> None:
    with examiner.opened():
        pass
    cer = changed(changed(examiner.cer(), "Auth-Application-Id"), "Vendor-Specific-Application-Id")
    cer = changed(cer, "Product-Name", avp("Product-Name", "probe"), avp("Auth-Application-Id", GX))
    link = examiner.connect()
    cea = examiner.ask(link, examiner.numbered(cer))
    if cea is not None:
        examiner.look(rules.CER_NOTHING_COMMON, cea.code == NO_COMMON_APPLICATION, f"Result-Code {cea.code}")
    _leave(examiner, link)


def cer_without_realm(examiner: Examiner) -> None:
    with examiner.opened():
        pass
    link = examiner.connect()
    cea = examiner.ask(link, examiner.numbered(changed(examiner.cer(), "Origin-Realm")), may_close=True)
    code = cea.code if cea is not None else 0
    examiner.look(rules.CER_LACKS, code // 1000 in (0, 3, 5), f"Result-Code {code}")
    if code == MISSING_AVP and cea is not None:
        examiner.look(rules.FAILED_AVP, ORIGIN_REALM in cea.failed, f"Failed-AVP holds {sorted(cea.failed)}")
    _leave(examiner, link)


def early(examiner: Examiner) -> None:
    with examiner.opened():
        pass
    link = examiner.connect()
    request = examiner.ccr(RequestType.INITIAL, examiner.session_id(), 0)
    examiner.send(link, request.encode())
    came = examiner.hear(link)
    got = examiner.judge(request.encode(), came) if came is not None else None
    examiner.look(rules.EARLY, got is None or got.code != SUCCESS, "the CCR was answered 2001")
    link.close()


def watchdog(examiner: Examiner) -> None:
    with examiner.opened() as link:
        for _ in range(2):
            dwa = examiner.ask(link, examiner.numbered(device_watchdog_request(examiner.target.identity)))
            if dwa is not None:
                examiner.look(rules.DWA, dwa.code == SUCCESS, f"Result-Code {dwa.code}")


def farewell(examiner: Examiner) -> None:
    with examiner.opened() as link:
        dpa = examiner.ask(link, examiner.numbered(disconnect_peer_request(examiner.target.identity, 0)))
        if dpa is not None:
            examiner.look(rules.DPA, dpa.code == SUCCESS, f"Result-Code {dpa.code}")
        link.is_closed = True  # whoever has said goodbye says it once


def _leave(examiner: Examiner, link: Link) -> None:
    """Say goodbye on a connection that may be closed already."""
    if not link.is_closed:
        link.send(examiner.numbered(disconnect_peer_request(examiner.target.identity, 0)).encode())
        link.receive()
    link.close()
