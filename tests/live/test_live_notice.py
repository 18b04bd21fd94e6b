"""What the core tells its follower of synced groups: the newest, and in far fewer words than groups."""

import socket
import time
from pathlib import Path

import pytest

from live.ocs_server import OcsServer
from live.wire import CCR, INITIAL, TERMINATION, UPDATE, Gateway, ccr, mscc
from ocs.shell import link
from ocs.shell.core.core_link import NOTICE_SECONDS
from ocs.shell.frame import frame, read_frame_from

pytestmark = pytest.mark.live

UPDATES = 300


def test_whoever_follows_hears_of_the_newest_group(tmp_path: Path) -> None:
    with OcsServer(tmp_path) as server:
        server.add_operator(credit=10**9)
        with socket.socket(socket.AF_UNIX) as following, Gateway(server.gy_port).open() as gateway:
            following.settimeout(5)
            following.connect(str(server.data / "core.sock"))
            following.sendall(frame(link.Follow()))
            heard = following.makefile("rb")
            first = link.to_follower.decode(read_frame_from(heard) or b"")
            assert isinstance(first, link.Synced)
            began = time.monotonic()
            gateway.ask(CCR, ccr(gateway, "n;1", INITIAL, 0, mscc(1)))
            for number in range(1, UPDATES):
                gateway.ask(CCR, ccr(gateway, "n;1", UPDATE, number, mscc(1, used=1)))
            gateway.ask(CCR, ccr(gateway, "n;1", TERMINATION, UPDATES, mscc(1, used=1, asked=False)))
            following.sendall(frame(link.AskIndex(7)))
            notices, newest, asked = 0, first.index, None
            while asked is None or newest < asked:
                message = link.to_follower.decode(read_frame_from(heard) or b"")
                if isinstance(message, link.Index):
                    asked = message.index
                elif isinstance(message, link.Synced):
                    assert message.index > newest, "never the same again, and never an older one"
                    notices, newest = notices + 1, message.index
            assert newest == asked
            groups = newest - first.index
            assert groups > UPDATES, "each answer was synced"
            assert notices <= (time.monotonic() - began) / NOTICE_SECONDS + 2
