"""A Gy client on python-diameter: it charges one session as it is told on standard input.

The stack connects, watches and says goodbye by itself.  A request whose connection is lost it leaves to the
application, so the repeat with the T flag (RFC 6733 section 5.5.4) is made here, out of the same message.

Each line in is  KIND NUMBER USED  (1 initial, 2 update, 3 termination; USED is octets, or - for none), or  quit.
Each line out begins with "GY " and goes on with JSON.
"""

import json
import logging
import sys
import time
from typing import Any

from diameter.message.avp.grouped import RequestedServiceUnit, UsedServiceUnit
from diameter.message.commands.credit_control import CreditControlAnswer, CreditControlRequest
from diameter.message.constants import APP_DIAMETER_CREDIT_CONTROL_APPLICATION
from diameter.message.constants import E_CC_REQUEST_TYPE_INITIAL_REQUEST as INITIAL
from diameter.message.constants import E_CC_REQUEST_TYPE_TERMINATION_REQUEST as TERMINATION
from diameter.message.constants import E_SUBSCRIPTION_ID_TYPE_END_USER_IMSI as IMSI
from diameter.node import Node
from diameter.node.application import SimpleThreadingApplication
from diameter.node.peer import PEER_READY_STATES, Peer

OCS, DRA = "ocs.example.net", "dra.visited.example"
OPEN_SECONDS = 30
ANSWER_SECONDS = 3  # then the request is sent again; the server has one second
REPEAT_SECONDS = 30
VOLUME_QUOTA_THRESHOLD = (869, 10415)


def direct_first(_node: Node, _application: Any, _message: Any, peers: list[Peer]) -> Peer:
    """Choose the server itself while it is up, else who relays to it."""
    return next((peer for peer in peers if peer.node_name == OCS), peers[0])


class Gateway:
    def __init__(self, watchdog_seconds: int, ports: list[int]) -> None:
        self.node = Node("pgw.visited.example", "visited.example", ip_addresses=["127.0.0.1"], vendor_ids=[10415])
        self.node.idle_timeout = watchdog_seconds
        self.node.wakeup_interval = 1
        self.node.peer_route_select_func = direct_first
        self.peers = [
            self.node.add_peer(
                f"aaa://{host}:{port};transport=tcp", realm, ip_addresses=["127.0.0.1"], is_persistent=True
            )
            for host, realm, port in zip((OCS, DRA), ("example.net", "visited.example"), ports, strict=False)
        ]
        self.application = SimpleThreadingApplication(APP_DIAMETER_CREDIT_CONTROL_APPLICATION, is_auth_application=True)
        self.node.add_application(self.application, self.peers, realms=["example.net"])
        self.session_id = ""

    def open(self) -> None:
        self.node.start()
        until = time.monotonic() + OPEN_SECONDS
        while not all(peer.connection and peer.connection.state in PEER_READY_STATES for peer in self.peers):
            if time.monotonic() > until:
                sys.exit("a peer did not open")
            time.sleep(0.1)

    def charge(self, kind: int, number: int, used: int | None) -> CreditControlAnswer:
        if kind == INITIAL:
            self.session_id = self.node.session_generator.next_id()
        ccr = CreditControlRequest()
        ccr.session_id = self.session_id
        ccr.origin_host = self.node.origin_host.encode()
        ccr.origin_realm = self.node.realm_name.encode()
        ccr.destination_realm = b"example.net"
        ccr.service_context_id = "32251@3gpp.org"
        ccr.cc_request_type = kind
        ccr.cc_request_number = number
        ccr.add_subscription_id(subscription_id_type=IMSI, subscription_id_data="001010123456789")
        if kind != INITIAL:
            ccr.destination_host = OCS.encode()
        if kind == TERMINATION:
            ccr.termination_cause = 1
        ccr.add_multiple_services_credit_control(
            requested_service_unit=None if kind == TERMINATION else RequestedServiceUnit(),
            used_service_unit=None if used is None else UsedServiceUnit(cc_total_octets=used),
            rating_group=7,
        )
        try:
            return self.application.send_request(ccr, timeout=ANSWER_SECONDS)
        except TimeoutError:
            ccr.header.is_retransmit = True
            ccr.header.hop_by_hop_identifier = 0  # a new one for the other connection; the End-to-End id stays
            return self.application.send_request(ccr, timeout=REPEAT_SECONDS)


def told(answer: CreditControlAnswer) -> dict[str, int | bool]:
    values: dict[str, int | bool | None] = {
        "is_error": answer.header.is_error,
        "result_code": answer.result_code,
        "kind": answer.cc_request_type,
        "number": answer.cc_request_number,
    }
    for service in answer.multiple_services_credit_control:
        granted = service.granted_service_unit
        values |= {
            "service_result_code": service.result_code,
            "rating_group": service.rating_group,
            "granted": granted and granted.cc_total_octets,
            "validity": service.validity_time,
            "threshold": next(
                (avp.value for avp in service.additional_avps if (avp.code, avp.vendor_id) == VOLUME_QUOTA_THRESHOLD),
                getattr(service, "volume_quota_threshold", None),
            ),
        }
    return {name: value for name, value in values.items() if value is not None}


def say(values: dict[str, Any]) -> None:
    print("GY", json.dumps(values), flush=True)


def main() -> None:
    logging.getLogger("diameter").setLevel(logging.CRITICAL)
    watchdog_seconds, *ports = map(int, sys.argv[1:])
    gateway = Gateway(watchdog_seconds, ports)
    gateway.open()
    say({"open": True})
    for line in sys.stdin:
        words = line.split()
        if words == ["quit"]:
            break
        kind, number, used = words
        say(told(gateway.charge(int(kind), int(number), None if used == "-" else int(used))))
    gateway.node.stop(wait_timeout=10)


if __name__ == "__main__":
    main()
