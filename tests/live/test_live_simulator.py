"""The simulator, which speaks through scapy, plays every scenario against a real server and finds no rule broken.

As a standard gateway it does so in `tests/simulator/test_planted_faults.py`.
"""

import pytest

from live.ocs_server import OcsServer

pytestmark = pytest.mark.live


@pytest.mark.parametrize("profile", ["open5gs", "magma"])
def test_every_scene(shared_server: OcsServer, profile: str) -> None:
    shared_server.play(profile, "--origin-host", f"{profile}.visited.example")
