"""Accepting on uvloop: who connects is served, who spoils it is let go, and without descriptors it is calm."""

import asyncio
import errno
import gc
import socket
import ssl
import struct
from pathlib import Path

import pytest
import uvloop

from live.certificates import Authority
from ocs.shell import accepting
from ocs.shell.accepting import Accepting
from ocs.shell.listening_socket import ListeningSocket

PAUSE = 0.05


class Starved(ListeningSocket):
    """A socket that has no descriptor for anybody, and none spare, for some calls."""

    __slots__ = ("asked", "starves")

    def accept(self) -> tuple[socket.socket, object]:
        self.asked += 1
        if self.asked <= self.starves:
            raise OSError(errno.EMFILE, "Too many open files")
        return super().accept()


class Greeter(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.write(b"welcome")  # type: ignore[attr-defined]  # uvloop's are of no class of asyncio's
        transport.close()


def listening(starves: int = 0) -> Starved:
    made = Starved(socket.AF_INET, socket.SOCK_STREAM)
    made.asked, made.starves = 0, starves
    made.bind(("127.0.0.1", 0))
    made.listen(200)
    return made


async def greeted(at: socket.socket) -> bytes:
    reader, writer = await asyncio.open_connection(*at.getsockname())
    said = await reader.read()
    writer.close()
    return said


def test_all_who_connect_are_served_until_it_is_closed() -> None:
    async def run() -> list[bytes]:
        with listening() as at:
            door = Accepting(at, Greeter, None)
            said = await asyncio.gather(*(greeted(at) for _ in range(150)))
            door.close()
            late = asyncio.ensure_future(greeted(at))
            await asyncio.sleep(PAUSE)
            assert not late.done()
            late.cancel()
            return said

    assert uvloop.run(run()) == [b"welcome"] * 150


def test_without_descriptors_it_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accepting, "PAUSE_SECONDS", PAUSE)

    async def run() -> tuple[int, float, bytes]:
        loop = asyncio.get_running_loop()
        with listening(starves=5) as at:
            began = loop.time()
            door = Accepting(at, Greeter, None)
            said = await asyncio.wait_for(greeted(at), 10)
            door.close()
            return at.asked, loop.time() - began, said

    asked, seconds, said = uvloop.run(run())
    assert said == b"welcome"
    assert asked <= 8, "five in vain, the one that was served, and a look at who else is there"
    assert seconds >= 4 * PAUSE


def without_a_handshake(address: tuple[str, int]) -> None:
    """Connect in every way of which no TLS comes: nothing said, no TLS said, half a hello; closed, and broken off."""
    for said in (b"", b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00"):
        for how in (b"", struct.pack("ii", 1, 0)):  # linger for no time: a reset
            with socket.create_connection(address) as connection:
                connection.sendall(said)
                if how:
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, how)


def test_handshakes_that_fail_are_nobodys_fault(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    certificate, key = authority.issue("api.example")
    ours = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ours.load_cert_chain(certificate, key)

    async def run() -> tuple[list[object], bytes]:
        told: list[object] = []
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: told.append(context))
        with listening() as at:
            door = Accepting(at, Greeter, ours)
            await asyncio.to_thread(without_a_handshake, at.getsockname())
            theirs = ssl.create_default_context(cafile=str(authority.certificate))
            reader, writer = await asyncio.open_connection(*at.getsockname(), ssl=theirs, server_hostname="api.example")
            said = await reader.read()
            writer.close()
            door.close()
            await asyncio.sleep(PAUSE)
            gc.collect()  # a task that failed unheard tells when it goes
            return told, said

    assert uvloop.run(run()) == ([], b"welcome")
