"""A real server that faults befall, and what must be so after each of them."""

import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any, Final

import httpx

from faults.faulty_ocs import NOTE
from live.ocs_server import TOKEN, OcsServer
from live.wire import CCR, Gateway, Message

PROGRAM: Final = Path(__file__).with_name("faulty_ocs.py")
READY_SECONDS: Final = 5.0
SECTOR_OCTETS: Final = 512
END_SECONDS: Final = 20.0
EXIT_STORE: Final = 4
EXIT_BUG: Final = 70

POINTS: Final = ("before_write", "before_sync", "before_answer", "after_answer")
"""Of a commit, in their order: nothing is written; written, not synced; synced, not answered; answered."""


class FaultyServer(OcsServer):
    """An `OcsServer` that runs as `faulty_ocs`."""

    def __init__(self, folder: Path, settings: Mapping[str, Any] | None = None) -> None:
        super().__init__(folder, settings, (str(PROGRAM), str(folder)))

    def inject(self, act: str, point: str, passings: int = 0, *, once: bool = False) -> None:
        """Let `act` befall the core when it passes `point`; with `passings` that many are let go before."""
        if once:
            (self.folder / "once").touch()
        aside = self.folder / "fault.part"
        aside.write_text(f"{act} {point} {passings}")
        aside.rename(self.folder / "fault")

    def heal(self) -> None:
        for name in ("fault", "once"):
            (self.folder / name).unlink(missing_ok=True)

    def turn_clock(self, seconds: int) -> None:
        """Set the wall clock of the machine wrong by so much, from now on."""
        aside = self.folder / "clock.part"
        aside.write_text(str(seconds))
        aside.rename(self.folder / "clock")

    def ended(self) -> int:
        """Wait until the core has ended, and its follower after it; its exit code."""
        assert self.process is not None
        code = self.process.wait(END_SECONDS)
        until = time.monotonic() + END_SECONDS
        while followers_of(self):
            assert time.monotonic() < until, "a follower lives on"
            time.sleep(0.01)
        return code

    def again(self) -> None:
        """Start it on what is left; it is ready within the time that is promised."""
        self.heal()
        with soon():
            self.start()

    def lose_power(self, rng: Random) -> int:
        """Keep, drop or tear what the ended process wrote to the journal and did not sync; how many writes that met."""
        assert not followers_of(self), "the power is gone for everybody"
        met = 0
        for path in (self.data / "journal.sqlite", self.data / "journal.sqlite-wal"):
            notes = self.folder / f"unsynced-{path.name}"
            if not notes.exists() or not path.exists():
                continue
            writes = list(_writes(notes.read_bytes()))
            notes.unlink()
            content = bytearray(path.read_bytes())
            for offset, old, data, size in reversed(writes):
                content[offset : offset + len(data)] = old
                del content[size:]
            for offset, _, data, _ in writes:
                fate = rng.choice(("kept", "dropped", "torn"))
                if not data and fate == "kept":
                    del content[offset:]
                for place in range(0, len(data), SECTOR_OCTETS):
                    if fate == "kept" or (fate == "torn" and rng.random() < 0.5):
                        part = data[place : place + SECTOR_OCTETS]
                        content.extend(bytes(max(0, offset + place - len(content))))
                        content[offset + place : offset + place + len(part)] = part
            path.write_bytes(content)
            met += len(writes)
        (self.data / "journal.sqlite-shm").unlink(missing_ok=True)  # it lives in memory
        return met


@contextmanager
def soon() -> Iterator[None]:
    """Insist that a server gets ready within the time that is promised, of a machine with nothing else to do."""
    began = time.monotonic()
    yield
    took = time.monotonic() - began
    others = os.getloadavg()[0] / (os.cpu_count() or 1)
    assert took < READY_SECONDS * max(1, others), f"ready after {took:.1f} s"


def _writes(octets: bytes) -> Any:
    place = 0
    while place < len(octets):
        offset, length, kept, size = NOTE.unpack_from(octets, place)
        place += NOTE.size
        yield offset, octets[place : place + kept], octets[place + kept : place + kept + length], size
        place += kept + length


def followers_of(server: FaultyServer) -> list[int]:
    """Give the followers on these data, also one that is just starting or ending."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            arguments = path.read_bytes().split(b"\0")
        except OSError:
            continue  # it has just ended
        if arguments[1:4] == [os.fsencode(PROGRAM), os.fsencode(server.folder), b"follower"]:
            found.append(int(path.parent.name))
    return found


def asked(gateway: Gateway, avps: list[bytes], *, again: bool = False) -> Message | None:
    """Send a CCR, with the T bit where it is a repeat; its answer, or None where the server ends instead."""
    try:
        return gateway.ask(CCR, avps, flags=0xD0 if again else 0xC0)
    except ConnectionError:
        return None


def topped_up(server: OcsServer, amount: int, key: str) -> dict[str, Any] | None:
    """Top up `home`; what the server answered, or None where it ends instead."""
    try:
        with httpx.Client(base_url=server.api.base_url, headers={"Authorization": f"Bearer {TOKEN}"}) as client:
            answer = client.post(
                "/api/v1/operators/home/top-ups",
                json={"amount": str(amount), "reference": key},
                headers={"Idempotency-Key": key},
                timeout=10,
            )
    except httpx.TransportError:
        return None
    if answer.status_code == 503:
        return None
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


def money_is_whole(server: OcsServer, *, credited: int, consumed: int, reserved: int | None = 0) -> None:
    """Insist on the balance of `home`: just what was topped up, just what was reported, and nothing besides."""
    server.wait_caught_up()
    balance = server.balance()
    assert balance["credited"] == balance["available"] + balance["reserved"] + balance["consumed"]
    assert (balance["credited"], balance["consumed"], balance["overrun"]) == (credited, consumed, 0)
    if reserved is not None:
        assert balance["reserved"] == reserved


def stops_clean(server: OcsServer) -> None:
    """End the server in order; everything it leaves holds against itself."""
    assert server.stop() == 0, server.tail()
    server.verify()


def killed(server: FaultyServer) -> bool:
    """Wait for the end; whether it was by SIGKILL."""
    return server.ended() == -signal.SIGKILL


def wait_for(condition: Callable[[], bool]) -> None:
    """Look again and again, until it is so."""
    until = time.monotonic() + END_SECONDS
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)
