"""The sockets of a server: Diameter in the clear and over TLS, and the one for HTTP that followers inherit."""

import asyncio
import errno
import ipaddress
import socket
import ssl
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Final

from ocs.errors import BadConfiguration
from ocs.shell.config import Api, Gy
from ocs.shell.config_values import parse_listen
from ocs.shell.core.diameter_tcp import DiameterConnection, Host
from ocs.shell.core.tls import Handshakes, TlsDoor
from ocs.shell.listening_socket import ListeningSocket

BACKLOG: Final = 512
DOOR_SECONDS: Final = 5.0
"""The follower of a core that was killed may still hold the HTTP socket for a moment."""


async def gy_servers(config: Gy, core: Host) -> list[asyncio.Server]:
    """Open every socket that gateways connect to, without accepting yet.

    Raises:
        BadConfiguration: one cannot be opened, or a file of TLS cannot be used.
    """
    loop = asyncio.get_running_loop()
    servers = []
    plain = partial(DiameterConnection, core, secure=False)
    wanted: list[tuple[str, str, Callable[[], asyncio.BaseProtocol]]] = [
        ("gy.listen", place, plain) for place in config.listen
    ]
    tls = config.tls
    if tls is not None:
        context = _tls_context(tls.certificate, tls.key, tls.ca, required=tls.require_client_certificate)
        inside = partial(DiameterConnection, core, secure=True, match_names=tls.match_origin_host)
        door = partial(TlsDoor, context, Handshakes(), inside, core.connections.turned_away)
        wanted.extend(("gy.tls.listen", place, door) for place in tls.listen)
    for key, place, protocol in wanted:
        host, port = parse_listen(place)
        try:
            listening = _bound(host, port)
        except OSError as error:
            raise BadConfiguration(
                f"{key}: {place} cannot be opened ({error.strerror or error}); stop what holds it, or name an "
                "address and port of this machine that are free"
            ) from None
        servers += [
            await loop.create_server(protocol, sock=each, backlog=BACKLOG, start_serving=False) for each in listening
        ]
    return servers


def _bound(host: str, port: int) -> list[ListeningSocket]:
    """Give a socket for each address of a host."""
    found = []
    infos = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    for family, kind, proto, _, address in dict.fromkeys(infos):
        listening = ListeningSocket(family, kind, proto)
        found.append(listening)
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)  # IPv4 is listened on by its own name
            listening.bind(address)
        except OSError:
            for each in found:
                each.close()
            raise
    return found


async def http_socket(api: Api) -> socket.socket:
    """Open the socket for HTTP, which every follower in turn inherits.

    Raises:
        BadConfiguration: it cannot be opened, or a file of TLS cannot be used.
    """
    if api.tls is not None:
        _certified("api.tls", api.tls.certificate, api.tls.key)  # the follower uses it; whether it can shows here
    listen = api.listen
    host, port = parse_listen(listen)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    until = time.monotonic() + DOOR_SECONDS
    while True:
        try:
            return socket.create_server((host, port), family=family, backlog=BACKLOG)
        except OSError as error:
            if error.errno == errno.EADDRINUSE and time.monotonic() < until:
                await asyncio.sleep(0.05)
                continue
            raise BadConfiguration(
                f"api.listen: {listen} cannot be opened ({error.strerror or error}); "
                "stop what holds it, or name an address and port of this machine that are free"
            ) from None


def place_of(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def addresses(listen: list[str]) -> tuple[ipaddress.IPv4Address | ipaddress.IPv6Address, ...]:
    """Give the addresses for Host-IP-Address; a wildcard stands for the address the routing table would use."""
    found = []
    for place in listen:
        host, _ = parse_listen(place)
        with suppress(ValueError):
            address = ipaddress.ip_address(host)
            found.append(address if not address.is_unspecified else ipaddress.ip_address(_own_address(address.version)))
    return tuple(dict.fromkeys(found)) or (ipaddress.ip_address("127.0.0.1"),)


def _own_address(version: int) -> str:
    family, elsewhere = (socket.AF_INET6, "2001:db8::1") if version == 6 else (socket.AF_INET, "192.0.2.1")
    with socket.socket(family, socket.SOCK_DGRAM) as probe, suppress(OSError):
        probe.connect((elsewhere, 9))  # chooses a route; nothing is sent
        return str(probe.getsockname()[0])
    return "::1" if version == 6 else "127.0.0.1"


def _certified(section: str, certificate: str, key: str) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        raise BadConfiguration(
            f"{section}: certificate {certificate} with key {key}: {error}; name PEM files that belong together "
            "and that this user may read"
        ) from None
    return context


def _tls_context(certificate: str, key: str, ca: str, *, required: bool) -> ssl.SSLContext:
    context = _certified("gy.tls", certificate, key)
    try:
        context.load_verify_locations(ca)
    except (OSError, ssl.SSLError) as error:
        raise BadConfiguration(f"gy.tls.ca: {ca}: {error}; name a PEM file that this user may read") from None
    context.verify_mode = ssl.CERT_REQUIRED if required else ssl.CERT_OPTIONAL
    return context
