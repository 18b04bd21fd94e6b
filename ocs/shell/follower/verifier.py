"""One process that verifies reports: frames of octets in, what they open to out; it ends with whoever started it.

    python -m ocs.shell.follower.verifier

Not a thread of the follower: each signature's end waits there for the interpreter's lock, and the second core stood
still.  docs/adr/0021-doors-of-usage.md.
"""

import sys
from typing import Final

import msgspec

from ocs.shell.frame import frame, read_frame_from
from ocs.units import UnixMillis
from ocs.usage.keys import KeyView
from ocs.usage.opening import Opened, Refused, open_report


class Keys(msgspec.Struct, array_like=True, tag=1):
    """The keys that are registered from now on."""

    keys: list[tuple[bytes, KeyView]]


class Check(msgspec.Struct, array_like=True, tag=2):
    """Reports to be opened; they are answered in one frame, in their order."""

    network: str
    now: UnixMillis
    reports: list[bytes]


to_verifier: Final = msgspec.msgpack.Decoder(Keys | Check)
to_follower: Final = msgspec.msgpack.Decoder(list[Opened | Refused])


def main() -> None:
    """Answer until the other end closes."""
    keys: dict[bytes, KeyView] = {}
    while (octets := read_frame_from(sys.stdin.buffer)) is not None:
        match to_verifier.decode(octets):
            case Keys(some):
                keys = dict(some)
            case Check(network, now, reports):
                opened = [open_report(one, keys, network, now) for one in reports]
                sys.stdout.buffer.write(frame(opened))
                sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
