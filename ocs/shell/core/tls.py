"""Diameter over TLS: the handshake, of which each failure is told with its reason, and the names in a certificate.

asyncio drops a connection whose handshake failed without a word, and whoever looks for a gateway that "does not
connect" would find nothing.  RFC 6733 section 13.1.
"""

import asyncio
import ssl
from collections import Counter
from collections.abc import Callable
from typing import Final, TypedDict

import structlog

HANDSHAKE_SECONDS: Final = 10
HANDSHAKES_MAX: Final = 256
HANDSHAKES_PER_ADDRESS_MAX: Final = 32
"""Under way at the same time: each holds a quarter of a megabyte until its deadline, whoever is behind it."""

TOLD_MAX: Final = 200  # characters of what OpenSSL says

log = structlog.get_logger()


class PeerCertificate(TypedDict, total=False):
    """The part that is read here of what `getpeercert` gives for a verified certificate."""

    subjectAltName: tuple[tuple[str, str], ...]


def names_of(certificate: PeerCertificate) -> list[str]:
    """Give the DNS names of a certificate; the common name, which is free text, is none (RFC 6125 section 6.4.4)."""
    return [value for kind, value in certificate.get("subjectAltName", ()) if kind == "DNS"]


def certificate_names(certificate: PeerCertificate, origin_host: str) -> bool:
    """Tell whether a certificate names a host; `*.` at the head stands for one label (RFC 6125 section 6.4.3)."""
    host = origin_host.lower().removesuffix(".")
    _, _, domain = host.partition(".")
    for name in names_of(certificate):
        wanted = name.lower().removesuffix(".")
        if wanted == host or (wanted.startswith("*.") and domain and wanted[2:] == domain):
            return True
    return False


class Handshakes:
    """Counts those under way, by address."""

    def __init__(self) -> None:
        self._by_address: Counter[str] = Counter()

    def begin(self, address: str) -> bool:
        """Tell whether there is room for one more; then `end` must follow."""
        if self._by_address.total() >= HANDSHAKES_MAX or self._by_address[address] >= HANDSHAKES_PER_ADDRESS_MAX:
            return False
        self._by_address[address] += 1
        return True

    def end(self, address: str) -> None:
        self._by_address[address] -= 1
        if not self._by_address[address]:
            del self._by_address[address]


class TlsDoor(asyncio.Protocol):
    """Takes one connection from accept to the end of the handshake, and hands it to `inside`.

    What the peer sends right behind its handshake may come before `inside` has the connection; it is kept until then.
    """

    def __init__(
        self,
        context: ssl.SSLContext,
        handshakes: Handshakes,
        inside: Callable[[], asyncio.BufferedProtocol],
        turned_away: Callable[[str], None],
    ) -> None:
        self._context = context
        self._handshakes = handshakes
        self._inside = inside
        self._turned_away = turned_away
        self._early = b""
        self._lost = False
        self._task: asyncio.Task[None] | None = None  # held, for the loop holds tasks weakly

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        peername = transport.get_extra_info("peername") or ("",)
        address = str(peername[0]).removeprefix("::ffff:")
        if not self._handshakes.begin(address):
            self._turned_away("tls-handshakes-max")
            transport.abort()
            return
        transport.pause_reading()  # until the handshake listens: nothing may be read past it
        self._task = asyncio.get_running_loop().create_task(self._open(transport, address))

    def connection_lost(self, error: Exception | None) -> None:
        self._lost = True

    def data_received(self, data: bytes) -> None:
        self._early += data

    async def _open(self, transport: asyncio.Transport, address: str) -> None:
        try:
            secure = await asyncio.get_running_loop().start_tls(
                transport, self, self._context, server_side=True, ssl_handshake_timeout=HANDSHAKE_SECONDS
            )
        except OSError as error:
            self._turned_away("tls")
            log.warning("tls refused", address=address, reason=_reason(error))
            # Its traceback holds the handshake, with a quarter of a megabyte, in a circle that the collector would come
            # to only after a thousand of them.
            error.__traceback__ = None
            return
        finally:
            self._handshakes.end(address)
        if secure is None or self._lost:
            return
        inside = self._inside()
        secure.set_protocol(inside)
        inside.connection_made(secure)
        early, self._early = self._early, b""
        while early:
            room = memoryview(inside.get_buffer(len(early)))
            taken = min(len(room), len(early))
            room[:taken] = early[:taken]
            inside.buffer_updated(taken)
            early = early[taken:]


def _reason(error: OSError) -> str:
    """Put a failed handshake into words that say which side did what."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is refused: {error.verify_message}"
    if isinstance(error, ssl.SSLError) and error.reason is not None:
        return error.reason.lower().replace("_", " ")[:TOLD_MAX]
    return (str(error) or type(error).__name__)[:TOLD_MAX]
