"""The command line's way to a running server: HTTP, with problems turned back into the errors they came from.

What the server says is passed on in its own words; what never reached it is said here, with what to do about it.
"""

import os
import ssl
from collections.abc import Iterator, Mapping
from contextlib import closing
from ipaddress import ip_address
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import quote, urlsplit

import httpx

from ocs.errors import BadConfiguration, Conflict, InvalidInput, NotFound, OcsError, RefusedByPolicy, Unavailable
from ocs.shell.config import Api, ApiTls, Config
from ocs.shell.config_file import load
from ocs.shell.config_values import parse_listen

TIMEOUT_SECONDS: Final = 30.0
PREFIX: Final = "/api/v1"
SERVER_VARIABLE: Final = "OCS_SERVER"
CA_VARIABLE: Final = "OCS_SERVER_CA"
TOKEN_VARIABLE: Final = "OCS_API_TOKEN"  # noqa: S105  # the name of the variable, not a token

Json = dict[str, Any]


class Client:
    """A server's API.

    Args:
        url: where the server is, without `/api/v1`.
        token: the administrator's.
        token_from: where it was found, for whoever has to look for another.
        trust: what its certificate is held against, over HTTPS; None for the authorities that httpx knows.
    """

    def __init__(
        self, url: str, token: str, token_from: str = TOKEN_VARIABLE, trust: ssl.SSLContext | None = None
    ) -> None:
        if not token.isascii() or not token.isprintable() or " " in token:
            raise InvalidInput(f"the token cannot be sent; {TOKEN_VARIABLE} takes printable ASCII without spaces")
        self.url = url.rstrip("/")
        self._token_from = token_from
        try:
            # Proxies of the environment are for the world outside; this server is ours.
            self._http = httpx.Client(
                base_url=self.url,
                headers={"Authorization": f"Bearer {token}"},
                timeout=TIMEOUT_SECONDS,
                trust_env=False,
                verify=trust if trust is not None else True,
            )
        except httpx.InvalidURL:
            raise _no_url(url) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def get(self, path: str, **query: str | int | None) -> Json:
        """Read one thing; a query parameter that is None is left out.

        Raises:
            OcsError: the server refused, in its words; Unavailable where it does not answer.
        """
        return self._call("GET", path, query={name: value for name, value in query.items() if value is not None})

    def pages(self, path: str, *, most: int | None = None, **query: str | int | None) -> Iterator[Json]:
        """Give the items of a list, page after page, `most` of them at the most.

        Raises:
            OcsError: as `get`.
        """
        left = most
        cursor: str | None = None
        while left is None or left > 0:
            page = self.get(path, limit=min(left, 1000) if left is not None else 1000, cursor=cursor, **query)
            yield from page["items"]
            left = left - len(page["items"]) if left is not None else None
            cursor = page["next"]
            if cursor is None:
                return

    def post(self, path: str, body: Json, *, key: str | None = None) -> Json:
        """Have something done; `key` is the Idempotency-Key.

        Raises:
            OcsError: as `get`.
        """
        return self._call("POST", path, body=body, headers={"Idempotency-Key": key} if key is not None else {})

    def patch(self, path: str, body: Json) -> Json:
        return self._call("PATCH", path, body=body)

    def put(self, path: str, body: Json) -> Json:
        return self._call("PUT", path, body=body)

    def delete(self, path: str) -> None:
        self._call("DELETE", path)

    def download(self, path: str, file: Path) -> int:
        """Write what is at a path to a new file; how many octets.

        Raises:
            Conflict: there is a file.
            BadConfiguration: it cannot be written.
            OcsError: as `get`; no file is left.
        """
        answer = self._sent("GET", path, stream=True)
        size = 0
        try:
            with closing(answer), file.open("xb") as into:
                for octets in answer.iter_bytes():
                    size += into.write(octets)
        except FileExistsError:
            raise Conflict(f"{file} is there already; name another file") from None
        except httpx.TransportError as error:
            file.unlink()
            raise Unavailable(f"{self.url} stopped in the middle ({error or type(error).__name__})") from None
        except OSError as error:
            raise BadConfiguration(f"{file} cannot be written ({error.strerror})") from None
        return size

    def _call(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str | int] | None = None,
        body: Json | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Json:
        answer = self._sent(method, path, query=query, body=body, headers=headers)
        if answer.status_code == httpx.codes.NO_CONTENT:
            return {}
        try:
            told: Json = answer.json()
        except ValueError:
            raise Unavailable(f"{self.url} answers, and not as this server does; is --server right?") from None
        return told

    def _sent(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str | int] | None = None,
        body: Json | None = None,
        headers: Mapping[str, str] | None = None,
        stream: bool = False,
    ) -> httpx.Response:
        """Send a request; an answer that is no error."""
        try:
            request = self._http.build_request(method, PREFIX + path, params=query, json=body, headers=headers)
            answer = self._http.send(request, stream=stream)
            if answer.is_error:
                answer.read()
        except httpx.ConnectError as error:
            if "CERTIFICATE_VERIFY_FAILED" in str(error):
                raise Unavailable(
                    f"{self.url} shows a certificate that is not trusted here ({error}); name the file of its "
                    f"authority in {CA_VARIABLE}"
                ) from None
            raise Unavailable(
                f"no server answers at {self.url}; start it with `ocs serve`, or say where it is with --server or "
                f"{SERVER_VARIABLE}"
            ) from None
        except httpx.TransportError as error:
            raise Unavailable(
                f"{self.url} did not answer properly ({error or type(error).__name__}); what was asked may be done"
            ) from None
        except UnicodeEncodeError:
            raise InvalidInput("this text is no UTF-8, or no ASCII where it is a key; write it otherwise") from None
        if answer.status_code == httpx.codes.UNAUTHORIZED:
            raise RefusedByPolicy(
                f"{self.url} refused the token from {self._token_from}: it is another server's; set "
                f"{TOKEN_VARIABLE} to the one this server was started with, or name its configuration with --config"
            )
        if answer.is_error:
            raise refusal(answer, self.url)
        return answer


def path_part(text: str) -> str:
    """Percent-encode one segment of a path, slashes too; octets of an argument that are no UTF-8 stay as they are.

    Raises:
        InvalidInput: it is empty or only dots, which would be another path.
    """
    if text in {"", ".", ".."}:
        raise InvalidInput(f"{text!r} is no name; see the names with `list`")
    return quote(text, safe="", errors="surrogateescape")


def _family() -> dict[str, type[OcsError]]:
    """Give the errors by slug; a family's own name stands for none."""
    found: dict[str, type[OcsError]] = {}
    left: list[type[OcsError]] = [OcsError]
    while left:
        kind = left.pop()
        left.extend(kind.__subclasses__())
        if "slug" in kind.__dict__:
            found[kind.slug] = kind
    return found


_BY_STATUS: Final[dict[int, type[OcsError]]] = {
    400: InvalidInput,
    401: RefusedByPolicy,
    403: RefusedByPolicy,
    404: NotFound,
    409: Conflict,
    413: InvalidInput,
    415: InvalidInput,
    422: InvalidInput,
    503: Unavailable,
}


def refusal(answer: httpx.Response, url: str) -> OcsError:
    """Turn a problem back into the error it was made from, with the server's words."""
    try:
        problem = answer.json()
        told, slug = str(problem["detail"]), str(problem["type"]).rpartition("/")[2]
    except (ValueError, KeyError, TypeError):
        return Unavailable(f"{url} answered {answer.status_code} and no problem; is --server right?")
    errors = problem.get("errors") or []
    if errors:
        told = "\n".join(f"{_option(error['where'])}: {error['what']}; {error['mend']}" for error in errors)
    kind = _family().get(slug) or _BY_STATUS.get(answer.status_code, OcsError)
    return kind(told)


def _option(where: str) -> str:
    """Name a place in a request as the command line does.

    >>> _option("body/tariff/per_octets"), _option("query/state"), _option("body/prefixes/0")
    ('per-octets', 'state', 'prefixes')
    """
    names = [part for part in where.split("/")[1:] if not part.isdigit()]
    return names[-1].replace("_", "-") if names else where


def connect(config: Path | None, server: str | None) -> Client:
    """Find the server and the token that opens it.

    `server` or OCS_SERVER, else `api.listen` of the configuration; OCS_API_TOKEN, else the file `token` in the data
    folder, which goes to no other machine.  Over HTTPS the server's certificate is that of the configuration, or comes
    from an authority in the file OCS_SERVER_CA, or from one that everybody trusts.

    Raises:
        BadConfiguration: the configuration cannot be read.
        InvalidInput: the URL or the token is none.
        RefusedByPolicy: no token is found.
    """
    url = _checked(server or os.environ.get(SERVER_VARIABLE, ""))
    token, token_from = os.environ.get(TOKEN_VARIABLE, ""), TOKEN_VARIABLE
    settings: Config | None = None
    trust = _authority(os.environ.get(CA_VARIABLE, ""))
    if not url:
        settings = load(config, os.environ)
        url = _url_of(settings.api)
        trust = trust or _own(settings.api.tls)
    if not token and (settings is not None or _is_here(url)):
        settings = settings or load(config, os.environ)
        token, token_from = _token_in(settings, url), str(_token_file(settings))
    if not token:
        raise RefusedByPolicy(f"no token for {url}; set {TOKEN_VARIABLE} to the administrator's token of that server")
    return Client(url, token, token_from, trust)


def _checked(url: str) -> str:
    """Give the URL of a server with its scheme; empty stays empty."""
    if not url:
        return url
    whole = url if "://" in url else f"http://{url}"
    try:
        parts = urlsplit(whole)
        # A port of more than 65535 is told by reading it.
        sound = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        sound = False
    if not sound or any(one.isspace() for one in whole) or parts.query or parts.fragment:
        raise _no_url(url)
    return whole


def _no_url(url: str) -> InvalidInput:
    return InvalidInput(f"{url!r} is no server's URL; write http://127.0.0.1:8080 or http://[::1]:8080")


def _authority(name: str) -> ssl.SSLContext | None:
    """Give trust in the authorities of a file; None for an empty name."""
    if not name:
        return None
    try:
        return ssl.create_default_context(cafile=name)
    except (OSError, ssl.SSLError) as error:
        raise BadConfiguration(f"{CA_VARIABLE}: {name} has no certificates in PEM ({error})") from None


def _own(tls: ApiTls | None) -> ssl.SSLContext | None:
    """Give trust in one certificate: that of the server here, whatever address it is reached by."""
    if tls is None:
        return None
    try:
        chain = Path(tls.certificate).read_text()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        first, end, _ = chain.partition("-----END CERTIFICATE-----")
        context.load_verify_locations(cadata=first + end)
    except (OSError, ValueError, ssl.SSLError) as error:
        raise BadConfiguration(f"api.tls: {tls.certificate} has no certificate in PEM ({error})") from None
    return context


def _url_of(api: Api) -> str:
    """Give the address of a server that listens here; a wildcard is reached over loopback."""
    scheme = "http" if api.tls is None else "https"
    host, port = parse_listen(api.listen)
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104  # nothing is bound here
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


def _is_here(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _token_file(settings: Config) -> Path:
    return Path(settings.data) / "token"


def _token_in(settings: Config, url: str) -> str:
    path = _token_file(settings)
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        raise Unavailable(
            f"{path} is not there: no server for {url} has run on this data folder; start one with `ocs serve`, name "
            f"its configuration with --config, or set {TOKEN_VARIABLE}"
        ) from None
    except NotADirectoryError:
        raise BadConfiguration(f"{settings.data} is no folder; set `data` to the server's data folder") from None
    except OSError as error:
        raise RefusedByPolicy(
            f"{path} cannot be read ({error.strerror}); run this as the server's user, or set {TOKEN_VARIABLE}"
        ) from None
