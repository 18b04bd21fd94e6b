"""An independent stack, python-diameter, through CER, CCR-I, U, T and DPR."""

import datetime
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from diameter.message.avp.grouped import RequestedServiceUnit, UsedServiceUnit
from diameter.message.commands.credit_control import CreditControlRequest
from diameter.message.constants import APP_DIAMETER_CREDIT_CONTROL_APPLICATION
from diameter.message.constants import E_CC_REQUEST_TYPE_INITIAL_REQUEST as INITIAL
from diameter.message.constants import E_CC_REQUEST_TYPE_TERMINATION_REQUEST as TERMINATION
from diameter.message.constants import E_CC_REQUEST_TYPE_UPDATE_REQUEST as UPDATE
from diameter.message.constants import E_SUBSCRIPTION_ID_TYPE_END_USER_IMSI as IMSI
from diameter.node import Node
from diameter.node.application import SimpleThreadingApplication

from live.ocs_server import OcsServer

pytestmark = pytest.mark.live


@contextmanager
def gateway(server: OcsServer) -> Iterator[SimpleThreadingApplication]:
    """Run a node of that stack, connected to the server; at the end it leaves with a DPR."""
    logging.getLogger("diameter").setLevel(logging.CRITICAL)
    node = Node("pgw.independent.example", "independent.example", ip_addresses=["127.0.0.1"], vendor_ids=[10415])
    peer = node.add_peer(
        f"aaa://ocs.example.net:{server.gy_port};transport=tcp",
        "example.net",
        ip_addresses=["127.0.0.1"],
        is_persistent=True,
    )
    application = SimpleThreadingApplication(APP_DIAMETER_CREDIT_CONTROL_APPLICATION, is_auth_application=True)
    node.add_application(application, [peer])
    node.start()
    try:
        application.wait_for_ready(timeout=10)
        yield application
    finally:
        node.stop(wait_timeout=10)


def request(application: SimpleThreadingApplication, session_id: str, kind: int, number: int) -> CreditControlRequest:
    node = application.node
    ccr = CreditControlRequest()
    ccr.session_id = session_id
    ccr.origin_host = node.origin_host.encode()
    ccr.origin_realm = node.realm_name.encode()
    ccr.destination_realm = b"example.net"
    ccr.service_context_id = "32251@3gpp.org"
    ccr.cc_request_type = kind
    ccr.cc_request_number = number
    ccr.event_timestamp = datetime.datetime(2026, 1, 1, 12, 0, number, tzinfo=datetime.UTC).replace(tzinfo=None)
    ccr.add_subscription_id(subscription_id_type=IMSI, subscription_id_data="001010123456789")
    return ccr


def test_a_session(server: OcsServer) -> None:
    server.add_operator(price=2, per_octets=1000, credit=10**6)
    with gateway(server) as application:
        session_id = application.node.session_generator.next_id()

        first = request(application, session_id, INITIAL, 0)
        first.add_multiple_services_credit_control(requested_service_unit=RequestedServiceUnit(), rating_group=7)
        answer = application.send_request(first, timeout=5)
        assert answer.result_code == 2001
        (service,) = answer.multiple_services_credit_control
        assert (service.result_code, service.rating_group) == (2001, 7)
        assert service.granted_service_unit.cc_total_octets == 10_000_000

        second = request(application, session_id, UPDATE, 1)
        second.add_multiple_services_credit_control(
            requested_service_unit=RequestedServiceUnit(),
            used_service_unit=UsedServiceUnit(cc_total_octets=12_345),
            rating_group=7,
        )
        answer = application.send_request(second, timeout=5)
        assert answer.result_code == 2001
        assert answer.multiple_services_credit_control[0].granted_service_unit.cc_total_octets > 0

        last = request(application, session_id, TERMINATION, 2)
        last.add_multiple_services_credit_control(
            used_service_unit=UsedServiceUnit(cc_total_octets=655), rating_group=7
        )
        last.termination_cause = 1
        answer = application.send_request(last, timeout=5)
        assert answer.result_code == 2001
        peers = server.api.get("/api/v1/peers").json()
        assert "pgw.independent.example" in str(peers)
    assert server.balance()["consumed"] == 2 * 13
    assert server.balance()["reserved"] == 0
    until = time.monotonic() + 5
    while "peer closed" not in server.log.read_text() and time.monotonic() < until:
        time.sleep(0.05)
    closed = [line for line in server.log.read_text().splitlines() if '"peer closed"' in line]
    assert len(closed) == 1, "it left with a DPR"
    assert "pgw.independent.example" in closed[0]
