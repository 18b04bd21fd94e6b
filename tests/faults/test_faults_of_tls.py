"""Peers that the port of TLS turns away, each with its reason in the log: row 35."""

import socket
import ssl
import struct
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from faults.aftermath import conserved, counted, finished, size, told, wait_for
from live.certificates import Authority
from live.ocs_server import OcsServer, free_ports
from live.wire import CCR, CER, INITIAL, TERMINATION, Gateway, avp, ccr, message, mscc
from ocs.shell.core.tls import HANDSHAKES_PER_ADDRESS_MAX

pytestmark = pytest.mark.live

HOST = "sgw.visited.example"
STORM = 200


class Secured(OcsServer):
    """A server with a port for TLS, and the authority of its peers."""

    def __init__(self, folder: Path, *, match: bool = True) -> None:
        self.authority, self.stranger = Authority(folder), Authority(folder, "stranger")
        certificate, key = self.authority.issue("ocs.example.net")
        (self.tls_port,) = free_ports(1)
        tls = {
            "certificate": certificate.name,
            "key": key.name,
            "ca": self.authority.certificate.name,
            "listen": [f"127.0.0.1:{self.tls_port}"],
            "match_origin_host": match,
        }
        super().__init__(folder, {"gy": {"tls": tls}})

    def client(self, pair: tuple[Path, Path] | None) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(self.authority.certificate))
        if pair is not None:
            context.load_cert_chain(*pair)
        return context


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    server = Secured(tmp_path_factory.mktemp("tls"))
    with finished(server):
        server.add_operator(credit=10**12)
        yield server


def charge(gateway: Gateway, session: str) -> None:
    assert gateway.ask(CCR, ccr(gateway, session, INITIAL, 0, mscc(1))).result_code == 2001
    last = gateway.ask(CCR, ccr(gateway, session, TERMINATION, 1, mscc(1, used=5, asked=False)))
    assert last.result_code == 2001


def is_refused(server: Secured, tls: ssl.SSLContext | None) -> bool:
    """Tell whether a CER over such a handshake, or over none, brings no octet of Diameter."""
    with socket.create_connection(("127.0.0.1", server.tls_port), 5) as raw:
        raw.settimeout(5)
        try:
            secure = tls.wrap_socket(raw, server_hostname="ocs.example.net") if tls is not None else raw
            with secure:
                secure.sendall(message(0x80, CER, 0, 1, 1, [avp(264, HOST)]))
                # A client of TLS 1.3 is done before the server has looked at its certificate.  In the clear an alert
                # of TLS may come, which is no Diameter.
                return secure.recv(1) in (b"", b"\x15")
        except (ssl.SSLError, ConnectionError):
            return True


def old(context: ssl.SSLContext) -> ssl.SSLContext:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    return context


@pytest.mark.fault(35)
@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("no certificate", "peer did not return a certificate"),
        ("wrong CA", "its certificate is refused: unable to get local issuer certificate"),
        ("expired", "its certificate is refused: certificate has expired"),
        ("TLS 1.1", "unsupported protocol"),
        ("plain text", "wrong version number"),
        ("hung up", "reset"),
    ],
)
def test_a_handshake_that_fails_is_told_with_its_reason(server: Secured, fault: str, reason: str) -> None:
    before = conserved(server)
    refused, said = counted(server, "ocs_peers_refused_total", reason="tls"), len(told(server, "tls refused"))
    good = server.client(server.authority.issue(HOST))
    with Gateway(server.tls_port, host=HOST, tls=good).open() as sound:
        match fault:
            case "no certificate":
                assert is_refused(server, server.client(None))
            case "wrong CA":
                assert is_refused(server, server.client(server.stranger.issue("evil.visited.example")))
            case "expired":
                assert is_refused(server, server.client(server.authority.issue("late.visited.example", expired=True)))
            case "TLS 1.1":
                assert is_refused(server, old(server.client(server.authority.issue("old.visited.example"))))
            case "plain text":
                assert is_refused(server, None)
            case _:
                with socket.create_connection(("127.0.0.1", server.tls_port), 5) as raw:
                    raw.sendall(b"\x16\x03\x01")
                    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        wait_for("the log tells", lambda: len(told(server, "tls refused")) > said)
        (line,) = told(server, "tls refused")[said:]
        assert reason in line["reason"].lower()
        assert line["address"] == "127.0.0.1"
        assert counted(server, "ocs_peers_refused_total", reason="tls") == refused + 1
        charge(sound, f"35;{fault}")
    assert conserved(server)["consumed"] == before["consumed"] + 5


@pytest.mark.fault(35)
def test_a_certificate_of_another_name(server: Secured) -> None:
    tls = server.client(server.authority.issue(HOST))
    with Gateway(server.tls_port, host="pgw.visited.example", tls=tls) as other:
        refused = other.introduce()
        assert (refused.result_code, refused.flags & 0x20) == (3010, 0x20)
        assert other.closed()
    (line,) = told(server, "peer refused", peer="pgw.visited.example")
    assert line["names"] == [HOST]
    assert "match_origin_host" in line["mend"]
    assert counted(server, "ocs_peers_refused_total", reason="certificate-name") == 1
    wide = server.client(server.authority.issue("*.visited.example"))
    for host, context in ((HOST.upper(), tls), ("pgw.visited.example", wide)):
        with Gateway(server.tls_port, host=host, tls=context).open() as gateway:
            charge(gateway, f"35;{host}")
    with Gateway(server.gy_port, host="clear.visited.example").open() as plain:
        charge(plain, "35;plain")


@pytest.mark.fault(35)
def test_a_storm_of_handshakes_leaves_nothing_behind(server: Secured) -> None:
    contexts = [
        server.client(None),
        server.client(server.stranger.issue("storm.visited.example")),
        server.client(server.authority.issue("gone.visited.example", expired=True)),
        None,
    ]
    tls = server.client(server.authority.issue(HOST))
    with Gateway(server.tls_port, host=HOST, tls=tls).open() as sound:
        charge(sound, "35;before")
        before = size(server)
        with ThreadPoolExecutor(8) as threads:
            refused = list(threads.map(lambda place: is_refused(server, contexts[place % 4]), range(STORM)))
        assert all(refused)
        charge(sound, "35;after")
        wait_for("no descriptor is left behind", lambda: size(server).descriptors <= before.descriptors)
        assert size(server).resident_octets - before.resident_octets < 16 * 2**20


@pytest.mark.fault(29, 35)
def test_who_never_begins_a_handshake_is_limited(server: Secured) -> None:
    """An idle connection costs more on this port, before anything is known of the peer."""
    before, excess = size(server), 20
    refused = counted(server, "ocs_peers_refused_total", reason="tls-handshakes-max")
    idle = [
        socket.create_connection(("127.0.0.1", server.tls_port), 5, ("127.3.0.1", 0))
        for _ in range(HANDSHAKES_PER_ADDRESS_MAX + excess)
    ]
    wait_for(
        "the excess is turned away",
        lambda: counted(server, "ocs_peers_refused_total", reason="tls-handshakes-max") == refused + excess,
    )
    with Gateway(server.tls_port, host=HOST, tls=server.client(server.authority.issue(HOST))).open() as sound:
        charge(sound, "29;tls")
    for one in idle:
        one.close()
    wait_for("no descriptor is left behind", lambda: size(server).descriptors <= before.descriptors)
    with socket.create_connection(("127.0.0.1", server.tls_port), 5, ("127.3.0.1", 0)) as again:
        again.settimeout(0.2)
        with pytest.raises(TimeoutError):
            again.recv(1)  # let in, and waited for


@pytest.mark.fault(35)
def test_names_may_be_left_uncompared(tmp_path: Path) -> None:
    server = Secured(tmp_path, match=False)
    with finished(server):
        server.add_operator(credit=10**9)
        tls = server.client(server.authority.issue(HOST))
        with Gateway(server.tls_port, host="pgw.visited.example", tls=tls).open() as other:
            charge(other, "35;unmatched")
