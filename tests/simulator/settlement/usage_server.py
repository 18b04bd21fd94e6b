"""A server for signed usage over real HTTP: the API's two routes and the log's, in front of a `SigningNode`.

It misbehaves as it is told: it decides and then says nothing, cuts an answer in half, answers 503, or is not there.
"""

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum, auto
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from ocs.units import UnixMillis
from signing_door import LOG_KEY, NodeDoor
from simulator.settlement.door import Outcome
from simulator.settlement.forwarder import now_ms


class Fault(Enum):
    """What becomes of a request to report."""

    NONE = auto()
    BUSY = auto()  # 503, nothing decided
    DEAF = auto()  # the connection ends, nothing decided
    MUTE = auto()  # decided, and the connection ends
    CUT = auto()  # decided, and half of the answer comes
    ODD = auto()  # an answer that is none, nothing decided
    AGAIN = auto()  # half of the reports decided, the others to come again


class UsageServer:
    """The node, and what is done to its clients.

    Attributes:
        faults: for the requests to come, one each; none are left: all is well.
        passes: every Authorization header that came.
    """

    def __init__(self, door: NodeDoor) -> None:
        self.door = door
        self.faults: list[Fault] = []
        self.passes: set[str] = set()
        self.lock = threading.Lock()
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @contextmanager
    def running(self) -> Iterator[None]:
        """Serve; on the same port as before when it ran already."""

        class Server(ThreadingHTTPServer):
            allow_reuse_address = True
            daemon_threads = True

        handler = type("Handler", (_Handler,), {"usage": self})
        server = Server(("127.0.0.1", self.port), handler)
        self.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            server.server_close()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    usage: UsageServer
    protocol_version = "HTTP/1.0"  # a connection for each request: none outlives its server

    def do_GET(self) -> None:
        usage, where = self.usage, urlsplit(self.path)
        usage.passes.add(self.headers["Authorization"])
        with usage.lock:
            usage.door.node.now = UnixMillis(now_ms())
            if where.path == "/api/v1/log/key":
                self._answer({"key": LOG_KEY.text})
            elif where.path == "/api/v1/log/checkpoint":
                self._answer(usage.door.checkpoint(), "text/plain; charset=utf-8")
            else:
                (gy_session_id,) = parse_qs(where.query)["gy_session_id"]
                channel = usage.door.active(gy_session_id)
                self._answer(
                    {
                        "network": usage.door.node.usage_policy.network,
                        "channel_id": channel.channel_id.hex() if channel else None,
                        "tariff_id": channel.tariff_id if channel else 0,
                        "cum_granted_bytes": str(channel.granted) if channel else "0",
                    }
                )

    def do_POST(self) -> None:
        usage = self.usage
        usage.passes.add(self.headers["Authorization"])
        reports = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["reports"]
        assert 1 <= len(reports) <= 500
        with usage.lock:
            fault = usage.faults.pop(0) if usage.faults else Fault.NONE
            if fault is Fault.DEAF:
                return
            if fault is Fault.ODD:
                self._answer({"results": []})
                return
            if fault is Fault.BUSY:
                self._answer({"title": "too busy"}, "application/problem+json", 503)
                return
            usage.door.node.now = UnixMillis(now_ms())
            heard = reports[: len(reports) // 2] if fault is Fault.AGAIN else reports
            results = [_result(usage.door.decide(base64.b64decode(one, validate=True))) for one in heard]
        again = {
            "message_id": "",
            "status": "again",
            "code": None,
            "detail": "",
            "proof": None,
            "next_channel_id": None,
        }
        results += [again] * (len(reports) - len(heard))
        if fault is not Fault.MUTE:
            self._answer({"results": results}, cut=fault is Fault.CUT)

    def _answer(self, body: object, kind: str = "application/json", status: int = 200, *, cut: bool = False) -> None:
        octets = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(octets)))
        self.end_headers()
        self.wfile.write(octets[: len(octets) // 2] if cut else octets)

    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002  (the library's name)
        pass


def _result(outcome: Outcome) -> dict[str, object]:
    return {
        "message_id": outcome.message_id.hex(),
        "status": outcome.status.value,
        "code": outcome.code or None,
        "detail": outcome.detail,
        "log_index": None,
        "proof": outcome.proof or None,
        "next_channel_id": outcome.next_channel_id.hex() or None,
    }
