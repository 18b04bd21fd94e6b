"""What only a real server and its real peers show at the command line; the commands in turn are in live/."""

import json
import shlex
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from live.ocs_server import OcsServer
from live.wire import CCR, INITIAL, TERMINATION, Gateway, ccr, mscc

pytestmark = pytest.mark.live


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OcsServer]:
    """Run one server that lets in nobody by itself, with operator `home`."""
    with OcsServer(tmp_path_factory.mktemp("cli"), {"gy": {"peers": []}}) as running:
        running.add_operator(credit=10**9)
        yield running
        assert running.stop() == 0, running.tail()


def ended(done: subprocess.CompletedProcess[str], code: int) -> subprocess.CompletedProcess[str]:
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done


def test_how_each_refusal_ends(server: OcsServer) -> None:
    price = ("--prefix", "00102", "--price", "1", "--per-octets", "1")
    again = ended(server.ocs("operator", "add", "home", *price), 5)
    assert (again.stdout, again.stderr.count("\n")) == ("", 1)
    assert "home" in again.stderr
    assert "nobody" in ended(server.ocs("operator", "show", "nobody"), 2).stderr
    for name in ("..", "."):
        assert "is no name" in ended(server.ocs("operator", "show", name), 2).stderr
    assert "whole number" in ended(server.ocs("operator", "top-up", "home", "1.0", "--reference", "r"), 2).stderr
    wrong = {**server.environment, "OCS_API_TOKEN": "wrong"}
    refused = subprocess.run(
        [sys.executable, "-m", "ocs", "operator", "list", "--config", str(server.config)],
        capture_output=True,
        text=True,
        timeout=60,
        env=wrong,
        check=False,
    )
    assert "token" in ended(refused, 6).stderr


def test_what_people_wrote_is_shown_as_they_wrote_it(server: OcsServer) -> None:
    reference = "[bold]Überweisung[/bold] :moneybag: 網 100%"
    ended(server.ocs("operator", "top-up", "home", "5", "--reference", reference, "--key", "k7"), 0)
    assert reference in ended(server.ocs("operator", "show", "home"), 0).stdout
    told = json.loads(ended(server.ocs("operator", "show", "home", "-o", "json"), 0).stdout)
    assert reference in [one["reference"] for one in told["top_ups"]]
    assert all(isinstance(value, str) for value in told["balance"].values()), "amounts are decimal strings"


def test_a_stranger_is_let_in_by_the_command_that_is_shown(server: OcsServer) -> None:
    with Gateway(server.gy_port, host="pgw.stranger.example", product="\x1b[2J PGW") as gateway:
        assert gateway.introduce().result_code == 3010
    table = ended(server.ocs("peer", "list"), 0).stdout
    assert "\x1b" not in table
    assert "pgw.stranger.example" in table
    (waiting,) = json.loads(ended(server.ocs("peer", "list", "-o", "json"), 0).stdout)["waiting"]
    assert waiting["allow"] in table
    found = json.loads(ended(server.ocs("doctor", "-o", "json"), 0).stdout)
    (told,) = [one for one in found if one["what"] == "server"]
    assert (told["grade"], waiting["allow"] in told["mend"]) == ("warning", True)

    name, *arguments = shlex.split(waiting["allow"])
    assert name == "ocs"
    ended(server.ocs(*arguments), 0)
    with Gateway(server.gy_port, host="pgw.stranger.example").open():
        connected = json.loads(ended(server.ocs("peer", "list", "-o", "json"), 0).stdout)["connected"]
        assert [one["origin_host"] for one in connected] == ["pgw.stranger.example"]
        gone = json.loads(ended(server.ocs("peer", "revoke", "pgw.stranger.example", "-o", "json"), 0).stdout)
        assert gone == {"origin_host": "pgw.stranger.example", "allowed": False}
    assert "pgw.stranger.example" in ended(server.ocs("peer", "revoke", "pgw.stranger.example"), 2).stderr


@pytest.mark.parametrize("session_id", ["sgw/a;1;%2F?x=y#z", "[red]sgw;1;:smile:", "..;1;2"])
def test_a_session_of_any_name_is_found_by_it(server: OcsServer, session_id: str) -> None:
    ended(server.ocs("peer", "allow", "sgw.visited.example"), 0)
    with Gateway(server.gy_port).open() as gateway:
        assert gateway.ask(CCR, ccr(gateway, session_id, INITIAL, 0, mscc(1))).result_code == 2001
        assert session_id in ended(server.ocs("session", "list"), 0).stdout
        assert session_id in ended(server.ocs("session", "show", session_id), 0).stdout
        shown = json.loads(ended(server.ocs("session", "show", session_id, "-o", "json"), 0).stdout)
        assert shown["session_id"] == session_id
        assert gateway.ask(CCR, ccr(gateway, session_id, TERMINATION, 1)).result_code == 2001


@pytest.mark.fault(52)
def test_a_second_server_on_the_data_folder_is_five(server: OcsServer) -> None:
    done = ended(server.ocs("serve"), 5)
    assert server.process is not None
    assert f"pid {server.process.pid} already runs on data folder {server.data}" in done.stderr


@pytest.mark.fault(54)
def test_what_serve_cannot_use_is_three(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        server = OcsServer(tmp_path, {"gy": {"listen": [f"127.0.0.1:{port}"]}})
        assert f"gy.listen: 127.0.0.1:{port} cannot be opened" in ended(server.ocs("serve"), 3).stderr
    (tmp_path / "file").write_text("")
    server = OcsServer(tmp_path, {"data": "file"})
    assert "set `data` to a folder this user may write" in ended(server.ocs("serve"), 3).stderr
    (tmp_path / "open").mkdir(mode=0o755)
    server = OcsServer(tmp_path, {"data": "open"})
    assert "close it with: chmod 700" in ended(server.ocs("serve"), 3).stderr
    pem = {"certificate": "none.pem", "key": "none.key", "ca": "none.pem"}
    server = OcsServer(tmp_path, {"gy": {"tls": pem}})
    assert "gy.tls: " in ended(server.ocs("serve"), 3).stderr


def test_after_its_end(tmp_path: Path) -> None:
    with OcsServer(tmp_path) as server:
        server.add_operator(credit=7)
        assert server.stop() == 0, server.tail()
        assert "start it with `ocs serve`" in ended(server.ocs("operator", "list"), 4).stderr
        assert "clean" in ended(server.ocs("journal", "verify"), 0).stdout
        ended(server.ocs("doctor"), 0)
