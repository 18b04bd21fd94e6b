"""IPv6, TLS with client certificates, and the limits that one peer meets without another noticing."""

import socket
import ssl
import time
from pathlib import Path

import pytest

from live.certificates import Authority
from live.ocs_server import OcsServer, free_ports
from live.wire import CCR, DWR, INITIAL, TERMINATION, UPDATE, Gateway, avp, ccr, group, message, mscc

pytestmark = pytest.mark.live


def works(gateway: Gateway, session_id: str) -> None:
    assert gateway.ask(CCR, ccr(gateway, session_id, INITIAL, 0, mscc(1))).result_code == 2001
    assert gateway.ask(CCR, ccr(gateway, session_id, TERMINATION, 1)).result_code == 2001


def test_ipv6_beside_ipv4(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    with OcsServer(tmp_path, {"gy": {"listen": [f"127.0.0.1:{port}", f"[::1]:{port}"]}}) as server:
        server.gy_port = port
        server.add_operator(credit=10**9)
        with Gateway(port, address="::1", host="six.visited.example").open() as six:
            works(six, "six;1")
            peer = next(one for one in server.api.get("/api/v1/peers").json()["connected"])
            assert peer["address"].startswith("[::1]:")
        with Gateway(port, host="four.visited.example").open() as four:
            works(four, "four;1")


def client(authority: Authority, pair: tuple[Path, Path] | None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(authority.certificate))
    if pair is not None:
        context.load_cert_chain(*pair)
    return context


def is_refused(port: int, tls: ssl.SSLContext | None) -> bool:
    with socket.create_connection(("127.0.0.1", port), 5) as raw:
        raw.settimeout(5)
        try:
            secure = tls.wrap_socket(raw, server_hostname="ocs.example.net") if tls is not None else raw
            with secure:
                secure.sendall(message(0x80, 257, 0, 1, 1, [avp(264, "sgw.visited.example")]))
                return secure.recv(1) == b""
        except (ssl.SSLError, ConnectionError):
            return True


@pytest.mark.fault(35)
def test_tls_with_client_certificates(tmp_path: Path) -> None:
    authority, stranger = Authority(tmp_path), Authority(tmp_path, "stranger")
    certificate, key = authority.issue("ocs.example.net")
    (port,) = free_ports(1)
    tls = {
        "certificate": certificate.name,
        "key": key.name,
        "ca": authority.certificate.name,
        "listen": [f"127.0.0.1:{port}"],
    }
    with OcsServer(tmp_path, {"gy": {"tls": tls}}) as server:
        server.add_operator(credit=10**9)
        gateway = client(authority, authority.issue("sgw.visited.example"))
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            gateway.maximum_version = gateway.minimum_version = version
            with Gateway(port, tls=gateway).open() as secure:
                works(secure, f"tls;{version}")
                assert server.api.get("/api/v1/peers").json()["connected"][0]["secure"] is True
        assert is_refused(port, client(authority, None))
        assert is_refused(port, client(authority, stranger.issue("evil.visited.example")))
        old = client(authority, authority.issue("old.visited.example"))
        with pytest.warns(DeprecationWarning, match="TLSv1_1"):
            old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
        assert is_refused(port, old)
        assert is_refused(port, None), "in the clear, on the port of TLS"
        with Gateway(server.gy_port).open() as plain:
            works(plain, "plain;1")
        assert server.stop() == 0


@pytest.mark.fault(13)
def test_a_vendors_dictionary_ends_5001(tmp_path: Path) -> None:
    (tmp_path / "vendor.dia").write_text(
        "@specification Example guide\n@vendor 99999 Example\n@avps\n    Example-Cell  1  Unsigned32  may  2.1\n"
    )
    cell = avp(1, 7, vendor=99999)
    with OcsServer(tmp_path, {"gy": {"dictionaries": ["vendor.dia"]}}) as server:
        server.add_operator(credit=10**9)
        with Gateway(server.gy_port).open() as gateway:
            assert gateway.ask(CCR, ccr(gateway, "v;1", INITIAL, 0, mscc(1), more=[cell])).result_code == 2001
            unknown = avp(2, 7, vendor=99999)
            assert gateway.ask(CCR, ccr(gateway, "v;2", INITIAL, 0, mscc(1), more=[unknown])).result_code == 5001


@pytest.mark.fault(4, 29)
def test_who_says_nothing_is_not_waited_for(tmp_path: Path) -> None:
    """No CER, half a CER, half a CCR: each loses its own connection, and nobody else's."""
    with OcsServer(tmp_path) as server:
        server.add_operator(credit=10**9)
        with (
            Gateway(server.gy_port).open() as sound,
            Gateway(server.gy_port, host="stuck.visited.example", timeout=15).open() as stuck,
        ):
            began = time.monotonic()
            update = message(0xC0, CCR, 4, 7, 7, ccr(stuck, "stuck;1", UPDATE, 1, mscc(1, used=5000)))
            stuck.ask(CCR, ccr(stuck, "stuck;1", INITIAL, 0, mscc(1)))
            stuck.put(update[:-1])
            with Gateway(server.gy_port, timeout=15) as silent, Gateway(server.gy_port, timeout=15) as half:
                half.put(message(0x80, 257, 0, 1, 1, [avp(264, "half.visited.example")])[:30])
                works(sound, "sound;0")
                assert silent.closed()
                assert half.closed()
                assert stuck.closed()
            assert 9 < time.monotonic() - began < 14
            works(sound, "sound;1")
        assert 'ocs_connections_closed_total{reason="stalled"} 2.0' in server.api.get("/metrics").text
        assert server.balance()["consumed"] == 0, "what did not come whole was not charged"
        with Gateway(server.gy_port, host="stuck.visited.example").open() as again:
            again.put(update)
            assert again.answer(7).result_code == 2001
            assert again.ask(CCR, ccr(again, "stuck;1", TERMINATION, 2)).result_code == 2001
        balance = server.balance()
        assert (balance["consumed"], balance["reserved"], balance["available"]) == (5000, 0, 10**9 - 5000)
        assert server.stop() == 0
        server.verify()


@pytest.mark.fault(29)
def test_connections_are_limited(tmp_path: Path) -> None:
    with OcsServer(tmp_path, {"gy": {"connections_max": 6, "connections_per_address_max": 3}}) as server:
        held = [Gateway(server.gy_port, host=f"g{number}.visited.example").open() for number in range(3)]
        with Gateway(server.gy_port) as fourth:
            assert fourth.closed()
        other = [socket.create_connection(("127.0.0.1", server.gy_port), 5, (f"127.0.0.{n}", 0)) for n in (2, 2, 2)]
        last = socket.create_connection(("127.0.0.1", server.gy_port), 5, ("127.0.0.3", 0))
        assert last.recv(1) == b""
        for one in held:
            answer = one.ask(DWR, [avp(264, one.host), avp(296, one.realm)], application=0)
            assert answer.result_code == 2001
        assert 'ocs_peers_refused_total{reason="connections-max"} 1.0' in server.api.get("/metrics").text
        for each in (*held, last):
            (each.socket if isinstance(each, Gateway) else each).close()
        for each in other:
            each.close()


@pytest.mark.fault(18)
def test_messages_are_limited_in_depth_and_number(shared_server: OcsServer) -> None:
    nested = avp(1, b"x", mandatory=False)
    for _ in range(1000):
        nested = group(456, nested)
    many = [avp(9999, b"", mandatory=False)] * 6000
    for number, odd in enumerate(([nested], many)):
        with Gateway(shared_server.gy_port, host="deep.visited.example").open() as gateway:
            began = time.monotonic()
            answer = gateway.ask(CCR, ccr(gateway, f"deep;{number}", INITIAL, 0, more=odd))
            assert answer.result_code == 5004
            assert time.monotonic() - began < 1
            works(gateway, f"after;{number}")


@pytest.mark.fault(36)
def test_a_client_that_repeats_everything_over_a_new_connection(server: OcsServer) -> None:
    """Each request comes twice more: with the T bit over a new connection, and without it over another one."""
    server.add_operator(price=2, per_octets=10, credit=10**9)
    reported = 0
    for number, (kind, used) in enumerate([(1, 0), (2, 1234), (2, 1), (2, 0), (3, 77)]):
        parts = [mscc(1, used=used or None, asked=kind != TERMINATION)]
        answers = []
        for flags in (0xC0, 0xD0, 0xC0):
            with Gateway(server.gy_port).open() as gateway:
                answer = gateway.ask(CCR, ccr(gateway, "again;1", kind, number, *parts), flags=flags)
                answers.append(answer.octets[20:])
                assert answer.flags == 0x40
        assert answers[0] == answers[1] == answers[2]
        reported += used
    assert server.balance()["consumed"] == 2 * -(-reported // 10)
    assert server.session("again;1")["requests"] == 5
