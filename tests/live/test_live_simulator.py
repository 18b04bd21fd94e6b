"""The simulator, which speaks through scapy, plays every scene against a real server and finds no rule broken."""

import subprocess
import sys

import pytest

from live.ocs_server import OcsServer

pytestmark = pytest.mark.live


@pytest.mark.parametrize("profile", ["standard", "open5gs", "magma"])
def test_every_scene(shared_server: OcsServer, profile: str) -> None:
    done = subprocess.run(
        [
            *(sys.executable, "-m", "simulator", "run", "all"),
            *("--port", str(shared_server.gy_port), "--api", f"http://127.0.0.1:{shared_server.api_port}"),
            *("--profile", profile, "--origin-host", f"{profile}.visited.example"),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        env=shared_server.environment,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
