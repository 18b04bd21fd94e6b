"""The money side, over the server's HTTP API: operators, their balances, top-ups, sessions.

Amounts travel as decimal strings and are integers here.  `charge` is the simulator's own arithmetic, against which the
server's books are held.
"""

import asyncio
import os
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import quote

import httpx

TIMEOUT_SECONDS: Final = 10.0

UNAVAILABLE: Final = 503
BEHIND_SECONDS: Final = 30.0
"""What is read of a server that was loaded fully a moment ago may be behind what it answered; it says so, by a 503."""

BEHIND_PAUSE_SECONDS: Final = 0.2


class ApiError(Exception):
    """The API refused, or answered what it should not."""


class ApiUnreachable(ApiError):
    """Nobody answered."""


@dataclass(frozen=True, slots=True)
class Tariff:
    """`price` credits for each started block of `per_octets`."""

    price: int
    per_octets: int

    def charge(self, octets: int) -> int:
        """Return what one service of one session costs for all its octets together."""
        return -(-octets // self.per_octets) * self.price


@dataclass(frozen=True, slots=True, kw_only=True)
class Balance:
    """An operator's accounts in credits."""

    credited: int
    available: int
    reserved: int
    consumed: int
    overrun: int

    @property
    def adds_up(self) -> bool:
        return self.credited == self.available + self.reserved + self.consumed and self.available >= 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """A channel of data credits; one of them pays for a started block of `per_octets`."""

    channel_id: str
    state: str
    amount: int
    used: int
    per_octets: int
    commits: int

    @classmethod
    def of(cls, shown: dict[str, Any]) -> Self:
        """Read what the API shows.

        Raises:
            ApiError: it shows something else.
        """
        if not isinstance(shown.get("commits"), int):
            raise ApiError(f"commits is {shown.get('commits')!r}, not a number")
        return cls(
            channel_id=str(shown.get("channel_id")),
            state=str(shown.get("state")),
            amount=_amount(shown, "amount"),
            used=_amount(shown, "used"),
            per_octets=_amount(shown, "per_octets"),
            commits=shown["commits"],
        )


class Accounts:
    """A client of the API.

    Args:
        url: where the server is, without `/api/v1`.
        token: the bearer token; `OCS_API_TOKEN` when none is given.
        transport: the way there, where it is not a plain connection.
    """

    def __init__(self, url: str, token: str | None = None, transport: httpx.AsyncBaseTransport | None = None) -> None:
        token = os.environ.get("OCS_API_TOKEN", "") if token is None else token
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        # Proxies of the environment are for the world outside, not for a server beside us.
        self._client = httpx.AsyncClient(
            base_url=url, headers=headers, timeout=TIMEOUT_SECONDS, trust_env=False, transport=transport
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.aclose()

    async def ready(self) -> bool:
        """Tell whether the server says it serves requests."""
        try:
            return (await self._client.get("/readyz", timeout=1.0)).status_code == httpx.codes.OK
        except httpx.TransportError:
            return False

    async def create_operator(
        self, name: str, prefixes: Sequence[str], tariff: Tariff, grant_max: int | None = None
    ) -> None:
        """Create a home operator, found by IMSI prefix and charged by this tariff.

        Args:
            grant_max: octets of its largest grant; None: the server's own limit.

        Raises:
            ApiError: it exists already, or the server refused it otherwise.
        """
        body: dict[str, Any] = {
            "name": name,
            "prefixes": list(prefixes),
            "tariff": {"price": str(tariff.price), "per_octets": tariff.per_octets},
        }
        if grant_max is not None:
            body["grant_max"] = str(grant_max)
        await self._call("POST", "/operators", json=body)

    async def balance(self, name: str) -> Balance:
        """Read an operator's balance.

        Raises:
            ApiError: the server refused, or an amount is no decimal string.
        """
        shown = (await self._call("GET", f"/operators/{name}"))["balance"]
        return Balance(**{field: _amount(shown, field) for field in Balance.__dataclass_fields__})

    async def tariff(self, name: str) -> Tariff:
        """Read the one tariff of an operator.

        Raises:
            ApiError: there are several in force, or the server refused.
        """
        shown = (await self._call("GET", f"/operators/{name}"))["tariffs"]
        if len(shown) != 1:
            raise ApiError(f"{name} has {len(shown)} tariffs in force: what is due would depend on the service")
        return Tariff(_amount(shown[0], "price"), _amount(shown[0], "per_octets"))

    async def top_up(self, name: str, amount: int, reference: str, key: str | None = None) -> None:
        """Add credit.  The same `key` twice credits once.

        Raises:
            ApiError: the server refused.
        """
        await self._call(
            "POST",
            f"/operators/{name}/top-ups",
            json={"amount": str(amount), "reference": reference},
            headers={"Idempotency-Key": key or str(uuid.uuid4())},
        )

    async def sessions(self, operator: str, state: str | None = None) -> list[dict[str, Any]]:
        """List the first page of an operator's sessions."""
        query = {"operator": operator} | ({"state": state} if state else {})
        answer = await self._call("GET", "/sessions", params=query)
        listed: list[dict[str, Any]] = answer["items"] if isinstance(answer, dict) else answer
        return listed

    async def terminate(self, session_id: str, reason: str) -> None:
        """End a session from the server's side; it sends an ASR where the gateway's profile honours it.

        Raises:
            ApiError: the server refused.
        """
        await self._call("POST", f"/sessions/{quote(session_id, safe='')}/terminate", json={"reason": reason})

    async def buy_credits(self, amount: int, reference: str) -> None:
        """Credit the deployment with data credits.

        Raises:
            ApiError: the server refused.
        """
        await self._call(
            "POST",
            "/data-credits/top-ups",
            json={"amount": str(amount), "reference": reference},
            headers={"Idempotency-Key": str(uuid.uuid4())},
        )

    async def add_keys(self, origin_host: str, sgw_key: str, miner_key: str) -> None:
        """Register the public keys of a gateway's SGW and miner, in hex.

        Raises:
            ApiError: the server refused.
        """
        await self._call("POST", "/keys", json={"origin_host": origin_host, "sgw_key": sgw_key, "miner_key": miner_key})

    async def channels(self) -> list[dict[str, Any]]:
        """List the newest channels."""
        answer = await self._call("GET", "/channels")
        listed: list[dict[str, Any]] = answer["items"]
        return listed

    async def open_channel(self, amount: int) -> Channel:
        """Open one more channel that locks so many data credits.

        Raises:
            ApiError: the server refused, for one because it has not so many.
        """
        return Channel.of(await self._call("POST", "/channels", json={"amount": str(amount)}))

    async def channel(self, name: str) -> Channel:
        """Read a channel by its id in hex or its number."""
        return Channel.of(await self._call("GET", f"/channels/{name}"))

    async def close_channel(self, name: str) -> Channel:
        """Close a channel before its end.

        Raises:
            ApiError: the server refused.
        """
        return Channel.of(await self._call("POST", f"/channels/{name}/close", json={}))

    async def log_key(self) -> str:
        """Read the verifier key of the log."""
        return str((await self._call("GET", "/log/key"))["key"])

    async def closure(self, number: int) -> bytes:
        """Fetch a settled channel's closure.

        Raises:
            ApiError: it is not settled, or the server refused otherwise.
        """
        path = f"/api/v1/channels/{number}/closure"
        answer = await self._client.get(path)
        if answer.is_error:
            raise ApiError(f"GET {path}: {answer.status_code} {answer.text[:300]}")
        return answer.content

    async def unexplained_octets(self) -> int:
        """Sum up what differs between Gy and what was signed, and has no cause."""
        answer = await self._call("GET", "/reconciliation/days")
        return sum(abs(int(day["unexplained"])) for day in answer["items"])

    async def _call(self, method: str, path: str, **how: Any) -> Any:
        until = time.monotonic() + BEHIND_SECONDS
        while True:
            try:
                answer = await self._client.request(method, f"/api/v1{path}", **how)
            except httpx.TransportError as error:
                raise ApiUnreachable(f"{method} {path}: {error or type(error).__name__}") from error
            if method != "GET" or answer.status_code != UNAVAILABLE or time.monotonic() > until:
                break
            await asyncio.sleep(BEHIND_PAUSE_SECONDS)
        if answer.is_error:
            raise ApiError(f"{method} {path}: {answer.status_code} {answer.text[:300]}")
        return answer.json()


def _amount(shown: dict[str, Any], field: str) -> int:
    value = shown.get(field)
    if not isinstance(value, str) or not value.isdecimal():
        raise ApiError(f"{field} is {value!r}, not a decimal string")
    return int(value)
