"""What single values of the configuration may be, each with the words that say what is wrong with another."""

import re
from ipaddress import IPv4Address, IPv6Address, ip_network
from typing import Annotated, Final, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from ocs.errors import InvalidInput
from ocs.signed.fields import NETWORK_OCTETS_MAX
from ocs.tlog.checkpoint import CosignerKey
from ocs.tlog.errors import Malformed

PORT_MAX: Final = 65535
UNSIGNED32_MAX: Final = 2**32 - 1
CPU_MAX: Final = 8191
"""As many as Linux is ever built for."""

_HOST_NAME: Final = re.compile(r"(?!.{254})[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,62})(?:\.[A-Za-z0-9_-]{1,63})*\.?")
_DIGITS_AND_DOTS: Final = re.compile(r"[0-9.]+")

ProfileName = Literal["standard", "open5gs", "magma"]


def parse_listen(text: str) -> tuple[str, int]:
    """Split `host:port` or `[IPv6]:port`.

    Raises:
        InvalidInput: it is neither.
    """
    host, colon, port = text.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    if not colon or not host or (":" in host and not bracketed):
        raise InvalidInput(f"{text!r} is no place to listen; write 127.0.0.1:3868 or [::1]:3868")
    if not (port.isascii() and port.isdigit() and len(port) <= len(str(PORT_MAX))) or int(port) > PORT_MAX:
        raise InvalidInput(f"{text!r} has no port between 0 and {PORT_MAX}")
    host = host[1:-1] if bracketed else host
    if not (_is_ipv6(host) if bracketed else _is_ipv4_or_name(host)):
        kind = "IPv6 address" if bracketed else "IPv4 address or host name"
        raise InvalidInput(f"{host!r} is no {kind}; write 127.0.0.1:3868 or [::1]:3868")
    return host, int(port)


def _is_ipv6(host: str) -> bool:
    try:
        IPv6Address(host)
    except ValueError:
        return False
    return True


def _is_ipv4_or_name(host: str) -> bool:
    # What looks like an address is one: the resolver would take 127.1, and look up 256.0.0.1 as a name.
    if _DIGITS_AND_DOTS.fullmatch(host):
        try:
            IPv4Address(host)
        except ValueError:
            return False
        return True
    return _HOST_NAME.fullmatch(host) is not None


def _listen(text: str) -> str:
    try:
        parse_listen(text)
    except InvalidInput as error:
        raise ValueError(str(error)) from None
    return text


def _identity(text: str) -> str:
    """RFC 6733 section 4.3.1: a DiameterIdentity is a fully qualified domain name."""
    allowed = set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._")
    if not 0 < len(text) <= 255 or not set(text) <= allowed:
        raise ValueError("a Diameter identity is a domain name such as ocs.example.net")
    return text


def _network(text: str) -> str:
    try:
        whole = ip_network(text, strict=False)
    except ValueError:
        raise ValueError(f"{text!r} is no address or network; write 192.0.2.7, 192.0.2.0/24 or 2001:db8::/32") from None
    try:
        ip_network(text)
    except ValueError:
        raise ValueError(f"{text!r} names one address of a network; write {whole} for all of it") from None
    return text


def _text(text: str) -> str:
    """Refuse what no message can carry and no file be called; an empty path would be the configuration's own folder."""
    if not text.isprintable() or not text.strip():
        raise ValueError("some text of printable characters is wanted")
    return text


def _network_name(text: str) -> str:
    if not 0 < len(text) <= NETWORK_OCTETS_MAX or not all("!" <= char <= "~" for char in text):
        raise ValueError(f"a network's name is 1 to {NETWORK_OCTETS_MAX} ASCII characters without blanks")
    return text


def _cosigner_key(text: str) -> str:
    try:
        CosignerKey.parse(text)
    except Malformed as error:
        raise ValueError(f"{error}; its witness says which it is") from None
    return text


def _http_url(text: str) -> str:
    url = urlsplit(text)
    if url.scheme not in ("http", "https") or not url.hostname or url.query or url.fragment:
        raise ValueError(f"{text!r} is no address such as https://witness.example.net/ocs")
    return text


Listen = Annotated[str, AfterValidator(_listen)]
NetworkName = Annotated[str, AfterValidator(_network_name)]
Identity = Annotated[str, AfterValidator(_identity)]
CosignerKeyText = Annotated[str, AfterValidator(_cosigner_key)]
HttpUrl = Annotated[str, AfterValidator(_http_url)]
Network = Annotated[str, AfterValidator(_network)]
Text = Annotated[str, AfterValidator(_text)]
ScreeningMode = Literal["off", "detect", "refuse"]
ImsiPrefix = Annotated[str, Field(pattern="^[0-9]{1,15}$")]
Plmn = Annotated[str, Field(pattern="^[0-9]{5,6}$")]
Cpu = Annotated[int, Field(ge=0, le=CPU_MAX)]
RatingGroup = Annotated[int, Field(ge=0, le=UNSIGNED32_MAX)]
