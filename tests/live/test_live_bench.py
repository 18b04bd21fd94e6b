"""The server that `make bench` measures with its store off is the one of today, and serves."""

from pathlib import Path

import pytest

from bench.servers import PLMN, store_off
from live.wire import CCR, INITIAL, UPDATE, Gateway, ccr, mscc

pytestmark = pytest.mark.live


def test_a_server_with_its_store_off_answers(tmp_path: Path) -> None:
    with store_off(tmp_path) as running, Gateway(running.port).open() as gateway:
        imsi = PLMN + "0000000001"
        first = gateway.ask(CCR, ccr(gateway, "sgw;1", INITIAL, 0, mscc(1), imsi=imsi))
        then = gateway.ask(CCR, ccr(gateway, "sgw;1", UPDATE, 1, mscc(1, used=5, reason=3), imsi=imsi))
        assert (first.result_code, then.result_code) == (2001, 2001)
