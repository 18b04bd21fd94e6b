"""An independent Gy server on python-diameter, with a small purse: the peer that the gateway is tried against."""

import logging
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from diameter.message import constants
from diameter.message.avp.grouped import FinalUnitIndication, GrantedServiceUnit, MultipleServicesCreditControl
from diameter.message.commands import AbortSessionRequest, ReAuthRequest
from diameter.node import Node
from diameter.node.application import SimpleThreadingApplication

logging.getLogger("diameter").setLevel(logging.CRITICAL)

HOST, REALM = "ocs.example.net", "example.net"


@dataclass
class Seen:
    """A CCR as python-diameter read it."""

    session_id: str
    request_type: int
    number: int
    termination_cause: int | None
    imsi: str
    destination_host: str
    retransmitted: bool
    used: list[int]
    reasons: list[int]


@dataclass
class CreditServer:
    """Grants from one purse of octets and refuses when it is empty; a grant is held until its use is reported."""

    purse: int = 10**12
    grant: int = 1_000_000
    threshold: int | None = 50_000
    validity: int = 600
    refusal: int = 4012
    refuse_command: bool = False
    final_action: int = 0
    break_answer: object = None
    busy: int = 0
    seen: list[Seen] = field(default_factory=list)
    held: dict[str, int] = field(default_factory=dict)
    answers: list[tuple[int, int]] = field(default_factory=list)

    @contextmanager
    def running(self, gateway_host: str, gateway_realm: str) -> Iterator[int]:
        """Listen on a free loopback port and yield it."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.node = Node(HOST, REALM, ip_addresses=["127.0.0.1"], tcp_port=port)
        self.node.wakeup_interval = 1
        peer = self.node.add_peer(f"aaa://{gateway_host}", gateway_realm)
        self.application = SimpleThreadingApplication(
            constants.APP_DIAMETER_CREDIT_CONTROL_APPLICATION, is_auth_application=True, request_handler=self.handle
        )
        # Open5GS sends to its own realm, the others to the server's.
        self.node.add_application(self.application, [peer], realms=[REALM])
        self.gateway = (gateway_host, gateway_realm)
        self.node.start()
        try:
            yield port
        finally:
            # Its queues are looked at every 3 s only; waiting for them would cost each test more than its subject.
            self.node.applications.clear()
            self.application._recv_queue_consumer.stop()
            self.application._resp_queue_consumer.stop()
            self.node.stop(wait_timeout=5, force=True)

    def handle(self, application, request):
        asked = request.multiple_services_credit_control
        self.seen.append(
            Seen(
                session_id=request.session_id,
                request_type=request.cc_request_type,
                number=request.cc_request_number,
                termination_cause=request.termination_cause,
                imsi=request.subscription_id[0].subscription_id_data,
                destination_host=(request.destination_host or b"").decode(),
                retransmitted=request.header.is_retransmit,
                used=[
                    unit.cc_total_octets or (unit.cc_input_octets or 0) + (unit.cc_output_octets or 0)
                    for service in asked
                    for unit in service.used_service_unit
                ],
                reasons=[
                    reason
                    for service in asked
                    for reason in [
                        *service.reporting_reason,
                        *(unit.reporting_reason for unit in service.used_service_unit),
                    ]
                    if reason is not None
                ],
            )
        )
        answer = application.generate_answer(request, result_code=2001)
        answer.cc_request_type, answer.cc_request_number = request.cc_request_type, request.cc_request_number
        if self.busy:
            self.busy -= 1
            answer.result_code = 3004
            answer.header.is_error = True
            return answer
        services = [self.service(request.session_id, request.cc_request_type, one) for one in asked]
        if self.refuse_command and any(service.result_code != 2001 for service in services):
            answer.result_code, services = self.refusal, []
        answer.multiple_services_credit_control = services
        if self.break_answer is not None:
            self.break_answer(answer)
        return answer

    def service(self, session_id, request_type, asked):
        answer = MultipleServicesCreditControl(
            rating_group=asked.rating_group, service_identifier=asked.service_identifier, result_code=2001
        )
        used = sum(
            unit.cc_total_octets or (unit.cc_input_octets or 0) + (unit.cc_output_octets or 0)
            for unit in asked.used_service_unit
        )
        key = f"{session_id}/{asked.rating_group}"
        self.purse += self.held.pop(key, 0) - used
        if request_type != 3:
            answer.validity_time = self.validity
        if asked.requested_service_unit is None:
            return answer
        granted = min(self.grant, self.purse)
        if granted <= 0:
            answer.result_code = self.refusal
            return answer
        self.purse -= granted
        self.held[key] = granted
        answer.granted_service_unit = GrantedServiceUnit(cc_total_octets=granted)
        if self.purse == 0:
            answer.final_unit_indication = FinalUnitIndication(final_unit_action=self.final_action)
        elif self.threshold is not None:
            answer.volume_quota_threshold = self.threshold
        return answer

    def reauthorise(self, session_id: str) -> threading.Thread:
        """Send a RAR from a thread of its own; its RAA lands in `answers`."""
        return self._ask(ReAuthRequest(), session_id, re_auth_request_type=0)

    def abort(self, session_id: str) -> threading.Thread:
        return self._ask(AbortSessionRequest(), session_id)

    def _ask(self, request, session_id: str, **values: int) -> threading.Thread:
        host, realm = self.gateway
        request.session_id = session_id
        request.origin_host, request.origin_realm = HOST.encode(), REALM.encode()
        request.destination_host, request.destination_realm = host.encode(), realm.encode()
        request.auth_application_id = request.header.application_id = 4
        request.header.is_proxyable = True
        for name, value in values.items():
            setattr(request, name, value)

        def ask() -> None:
            answer = self.application.send_request(request, timeout=5)
            self.answers.append((answer.header.command_code, answer.result_code))

        thread = threading.Thread(target=ask)
        thread.start()
        return thread
