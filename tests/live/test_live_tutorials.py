"""What docs/tutorials tell a reader to write: the server starts with it, and serves the gateway it was written for."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from live.ocs_server import PLAIN, OcsServer
from tutorial_files import TUTORIALS, blocks

pytestmark = pytest.mark.live


@pytest.mark.parametrize("tutorial", sorted(path.stem for path in TUTORIALS.glob("*.md")))
def test_its_gateway_is_served(tutorial: str, tmp_path: Path) -> None:
    """Play scenarios under the name, the realm and the profile that the tutorial's configuration gives its gateway."""
    tree: dict[str, Any] = yaml.safe_load(blocks(TUTORIALS / f"{tutorial}.md")["ocs.yaml"])
    del tree["gy"]["listen"]
    gateway = tree["gy"]["peers"][0]
    realm = gateway["origin_host"].partition(".")[2]
    with OcsServer(tmp_path, tree) as server:
        name = ("--origin-host", gateway["origin_host"], "--origin-realm", realm)
        server.play(gateway["profile"], *name, scenarios=PLAIN)
        server.verify()


def test_magmas_section_names_this_server_and_its_gateway() -> None:
    files = blocks(TUTORIALS / "magma.md")
    ours = yaml.safe_load(files["ocs.yaml"])
    (server,) = json.loads(files["gateway.mconfig"])["configs_by_key"]["session_proxy"]["gy"]["servers"]
    assert [server["address"]] == ours["gy"]["listen"]
    assert (server["destHost"], server["destRealm"]) == (ours["origin_host"], ours["origin_realm"])
    assert server["host"] == ours["gy"]["peers"][0]["origin_host"]
    assert server["requestTimeout"] * 1000 > ours["gy"]["answer_deadline_ms"]
