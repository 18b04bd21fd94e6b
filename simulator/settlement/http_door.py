"""The door over HTTP, with a miner's pass in each request.  docs/signing.md, "How reports are sent"."""

import base64
from collections.abc import Callable, Sequence
from typing import Any, Final

import httpx

from simulator.settlement.door import DoorError, Outcome, Status
from simulator.settlement.receipt import Checkpoint, LogKey, Unproven, opened
from simulator.settlement.signer import Channel

ANSWER_SECONDS: Final = 30.0
"""A server under load verifies, syncs and folds before it answers; a report that is sent twice costs it more."""

_SHOWN_MAX: Final = 200


class HttpDoor:
    """A client of the HTTP API.

    Args:
        url: where the server is, without `/api/v1`.
        authorization: gives the header's value for a request about to be sent; passes are good for minutes only.
    """

    def __init__(self, url: str, authorization: Callable[[], str]) -> None:
        self._authorization = authorization
        # Proxies of the environment are for the world outside, not for a server beside us.
        self._client = httpx.AsyncClient(base_url=url, timeout=ANSWER_SECONDS, trust_env=False)

    async def report(self, envelopes: Sequence[bytes]) -> list[Outcome]:
        """Send reports; see `Door`.

        Raises:
            DoorError: no answer came, or none to each.
        """
        body = {"reports": [base64.b64encode(one).decode() for one in envelopes]}
        results = (await self._call("POST", "/usage", json=body)).get("results")
        if not isinstance(results, list) or len(results) != len(envelopes):
            raise DoorError(f"POST /usage: {len(envelopes)} reports were sent, and there is not one result for each")
        try:
            return [_outcome(one) for one in results]
        except (KeyError, TypeError, ValueError) as error:
            raise DoorError(f"POST /usage: a result is not what it should be: {error!r}") from None

    async def active_channel(self, gy_session_id: str) -> Channel | None:
        """Ask for a Gy session's channel; see `Door`.

        Raises:
            DoorError: no answer came, or one that cannot be read.
        """
        answer = await self._call("GET", "/usage/active-channel", params={"gy_session_id": gy_session_id})
        try:
            if answer["channel_id"] is None:
                return None
            return Channel(
                bytes.fromhex(answer["channel_id"]), int(answer["tariff_id"]), int(answer["cum_granted_bytes"])
            )
        except (KeyError, TypeError, ValueError) as error:
            raise DoorError(f"GET /usage/active-channel: the answer is not what it should be: {error!r}") from None

    async def log_key(self) -> LogKey:
        """Ask for the log's public key; believe it once, and hold everything after against it.

        Raises:
            DoorError: no answer came, or no key.
        """
        try:
            return LogKey.parse((await self._call("GET", "/log/key"))["key"])
        except (KeyError, TypeError, AttributeError, Unproven) as error:
            raise DoorError(f"GET /log/key: {error}") from None

    async def checkpoint(self, key: LogKey) -> Checkpoint:
        """Ask for the newest checkpoint, and check the log's signature on it.

        Raises:
            DoorError: no answer came.
            Unproven: the log has not signed it.
        """
        return opened((await self._send("GET", "/log/checkpoint")).text, key)

    async def close(self) -> None:
        await self._client.aclose()

    async def _call(self, method: str, path: str, **how: Any) -> Any:
        answer = await self._send(method, path, **how)
        try:
            return answer.json()
        except ValueError:
            raise DoorError(f"{method} {path}: the answer is no JSON: {answer.text[:_SHOWN_MAX]!r}") from None

    async def _send(self, method: str, path: str, **how: Any) -> httpx.Response:
        headers = {"Authorization": self._authorization()}
        try:
            answer = await self._client.request(method, f"/api/v1{path}", headers=headers, **how)
        except httpx.HTTPError as error:
            raise DoorError(f"{method} {path}: {error or type(error).__name__}") from None
        if answer.is_error:
            raise DoorError(f"{method} {path}: {answer.status_code} {answer.text[:_SHOWN_MAX]}")
        return answer


def pass_header(octets: bytes) -> str:
    """Write a miner's pass as the value of an Authorization header."""
    return f"Settlement {base64.b64encode(octets).decode()}"


def _outcome(result: dict[str, Any]) -> Outcome:
    return Outcome(
        message_id=bytes.fromhex(result["message_id"]),
        status=Status(result["status"]),
        code=result["code"] or "",
        detail=result["detail"] or "",
        proof=result["proof"] or "",
        next_channel_id=bytes.fromhex(result["next_channel_id"] or ""),
    )
