"""A Gy server on python-diameter that stores nothing: it reads each CCR and grants, and that is all.

The named peer of `make bench`: an independent, pure Python stack, doing the least that an answer needs.
"""

import logging
import signal
import sys
import threading

from diameter.message import Message
from diameter.message.avp.grouped import GrantedServiceUnit, MultipleServicesCreditControl
from diameter.message.commands.credit_control import CreditControlAnswer, CreditControlRequest
from diameter.message.constants import APP_DIAMETER_CREDIT_CONTROL_APPLICATION
from diameter.node import Node
from diameter.node.application import SimpleThreadingApplication

GRANTED = 10_000_000


def answer(application: SimpleThreadingApplication, request: Message) -> Message:
    assert isinstance(request, CreditControlRequest)
    made = application.generate_answer(request)
    assert isinstance(made, CreditControlAnswer)
    made.session_id = request.session_id
    made.result_code = 2001
    made.auth_application_id = request.auth_application_id
    made.cc_request_type = request.cc_request_type
    made.cc_request_number = request.cc_request_number
    made.multiple_services_credit_control = [
        MultipleServicesCreditControl(
            rating_group=asked.rating_group,
            result_code=2001,
            granted_service_unit=GrantedServiceUnit(cc_total_octets=GRANTED)
            if asked.requested_service_unit is not None
            else None,
            validity_time=3600,
        )
        for asked in request.multiple_services_credit_control
    ]
    return made


def main() -> None:
    logging.disable(logging.CRITICAL)
    node = Node("ocs.example.net", "example.net", ip_addresses=["127.0.0.1"], tcp_port=int(sys.argv[1]))
    peer = node.add_peer("aaa://sgw.visited.example", "visited.example", ip_addresses=["127.0.0.1"])
    application = SimpleThreadingApplication(
        APP_DIAMETER_CREDIT_CONTROL_APPLICATION, is_auth_application=True, request_handler=answer
    )
    node.add_application(application, [peer], realms=["example.net"])
    node.start()
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    ended.wait()
    node.stop(wait_timeout=2)


if __name__ == "__main__":
    main()
