"""The command line over the real routes, in this process and without a socket."""

from collections.abc import Callable
from typing import Any, NamedTuple

import httpx
import pytest

from api_door import AUTHORIZED, Door
from ocs.shell.cli.app import main


class Said(NamedTuple):
    code: int
    out: str
    err: str


Ocs = Callable[..., Said]


class Wire:
    """What commands say through a door.

    Attributes:
        requests: their octets, bodies and headers, as they would travel.
    """

    def __init__(self, door: Door, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self.requests: list[bytes] = []
        self._capsys = capsys
        real = httpx.Client

        def pass_on(request: httpx.Request) -> httpx.Response:
            content = request.read()
            self.requests.append(b"\n".join([request.url.raw_path, *map(b": ".join, request.headers.raw), content]))
            request.headers.update(AUTHORIZED)
            where = request.url.raw_path.decode()
            answer = door.ask(request.method, where, headers=request.headers, content=content)
            return httpx.Response(answer.status_code, content=answer.content)

        def client(**how: Any) -> httpx.Client:
            return real(**how, transport=httpx.MockTransport(pass_on))

        monkeypatch.setattr("ocs.shell.cli.client.httpx.Client", client)
        monkeypatch.setenv("OCS_API_TOKEN", "t")
        monkeypatch.setenv("OCS_SERVER", "http://ocs.test")

    def run(self, *arguments: str) -> Said:
        code = main(list(arguments))
        said = self._capsys.readouterr()
        assert "Traceback" not in said.err
        return Said(code, said.out, said.err)
