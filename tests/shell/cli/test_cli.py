"""The command line without a server: help, wrong use, output, checks of files, and how each of them ends."""

import json
import os
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import typer

from live.ocs_server import free_ports
from made_folder import made
from ocs.shell.cli.app import app_for, main
from ocs.shell.cli.output import Output, printable, show
from ocs.shell.config_file import settings
from ocs.version import VERSION


class Said(NamedTuple):
    code: int
    out: str
    err: str


Ocs = Callable[..., Said]


@pytest.fixture
def ocs(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Ocs:
    """Run a command in this process, in an empty working directory and with nothing in the environment."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    for name in [name for name in os.environ if name.startswith("OCS_")]:
        monkeypatch.delenv(name)

    def run(*arguments: str) -> Said:
        code = main(list(arguments))
        said = capsys.readouterr()
        assert "Traceback" not in said.err
        return Said(code, said.out, said.err)

    return run


def process(*arguments: str, **how: Any) -> subprocess.CompletedProcess[str]:
    """Run a command as people do, in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "ocs", *arguments], text=True, stderr=subprocess.PIPE, timeout=60, check=False, **how
    )


# Help


def commands(group: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    yield path, group
    for name, inner in getattr(group, "commands", {}).items():
        yield from commands(inner, (*path, name))


COMMANDS = dict(commands(typer.main.get_command(app_for(()))))
CONTRACT = """serve  operator add  operator list  operator show  operator top-up  session list  session show
session terminate  peer list  peer allow  peer revoke  journal verify  doctor  decode  version  config check
config explain  key new  key show  key add  key list  key revoke  key rotate  channel credits  channel top-up
channel open  channel list  channel show  channel close  reconcile sessions  reconcile show  reconcile days
reconcile incidents  reconcile check"""


def test_the_commands_of_the_contract_are_there() -> None:
    assert {tuple(one.split()) for one in re.split(r"  |\n", CONTRACT)} <= COMMANDS.keys()


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
@pytest.mark.parametrize("option", ["--help", "-h"])
def test_help_names_and_explains_every_option(ocs: Ocs, path: tuple[str, ...], option: str) -> None:
    said = ocs(*path, option)
    assert (said.code, said.err) == (0, "")
    assert "Usage: ocs " + " ".join(path) in said.out
    command = COMMANDS[path]
    for one in command.params:
        for name in one.opts if one.param_type_name == "option" else [one.metavar or one.name]:
            assert name in said.out
        assert one.help, f"{one.name} has no help"
        assert one.help.split()[0] in said.out
    for name, inner in getattr(command, "commands", {}).items():
        assert name in said.out
        assert inner.help.split()[0] in said.out


@pytest.mark.parametrize("path", [path for path in COMMANDS if not hasattr(COMMANDS[path], "commands")], ids=" ".join)
def test_every_command_but_serve_answers_as_json_too(path: tuple[str, ...]) -> None:
    names = {name for one in COMMANDS[path].params for name in one.opts}
    assert ({"-o", "--output"} <= names) == (path[-1] != "serve")


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (["nothing"], "No such command 'nothing'"),
        (["operator", "nothing"], "No such command 'nothing'"),
        (["version", "extra"], "extra"),
        (["version", "--wrong"], "--wrong"),
        (["version", "-o"], "-o"),
        (["version", "-o", "xml"], "'table', 'json'"),
        (["operator", "add"], "'name'"),
        (["operator", "top-up", "home"], "'amount'"),
        (["operator", "top-up", "home", "1"], "--reference"),
        (["operator", "reverse", "home", "0", "1", "--reason", "r"], "'number'"),
        (["operator", "tariff", "home", "--price", "1", "--per-octets", "1", "--rating-group", "x"], "--rating-group"),
        (["session", "list", "--limit", "0"], "--limit"),
        (["session", "show"], "'session_id'"),
        (["peer", "allow"], "'origin_host'"),
        (["key", "add", "--origin-host", "h"], "--sgw"),
        (["key", "revoke", "00"], "--reason"),
        (["key", "rotate", "old.pem"], "'new'"),
        (["channel", "top-up", "1"], "--reference"),
        (["channel", "show"], "'channel'"),
        (["journal"], ""),
        ([], ""),
        (["config", "explain", "gy.listn"], "did you mean gy.listen?"),
        (["config", "explain", "nothing.like.it"], "`ocs config explain` lists"),
        (["decode", "zz"], "hexadecimal"),
        (["decode", ""], "no Diameter message"),
    ],
)
def test_wrong_use_is_two_and_says_what(ocs: Ocs, arguments: list[str], names: str) -> None:
    said = ocs(*arguments)
    assert said.code == 2
    assert names in said.err


# Output


def test_version(ocs: Ocs) -> None:
    assert json.loads(ocs("version", "-o", "json").out)["session-purchaser"] == VERSION
    table = ocs("version").out.splitlines()
    assert table[0].split() == ["what", "version"]
    assert table[1].split() == ["session-purchaser", VERSION]
    assert ocs("--version").out == f"session-purchaser {VERSION}\n"


def test_explain(ocs: Ocs) -> None:
    told = json.loads(ocs("config", "explain", "-o", "json").out)
    assert [(one["key"], one["default"], one["variable"]) for one in told] == [
        (one.key, one.default, one.variable) for one in settings()
    ]
    table = ocs("config", "explain", "gy.tls").out
    assert "gy.tls.certificate" in table
    assert "gy.peers" not in table
    assert "its Origin-Host" in ocs("config", "explain", "gy.peers").out


def test_check(ocs: Ocs, tmp_path: Path) -> None:
    assert "127.0.0.1:3868" in ocs("config", "check").out
    path = tmp_path / "other.yaml"
    path.write_text("gy: {peers: any}\ndata: d")
    told = json.loads(ocs("config", "check", "--config", str(path), "-o", "json").out)
    assert (told["gy"]["peers"], told["data"]) == ("any", str(tmp_path / "d"))
    path.write_text("gy: {dictionaries: [none.dia]}")
    missing = ocs("config", "check", "--config", str(path))
    assert (missing.code, missing.out) == (3, "")
    assert "gy.dictionaries: " in missing.err
    assert "none.dia is not there" in missing.err


def test_check_takes_the_file_by_place_once(ocs: Ocs, tmp_path: Path) -> None:
    path = tmp_path / "other.yaml"
    path.write_text("gy: {listen: ['127.0.0.1:3999']}")
    assert "127.0.0.1:3999" in ocs("config", "check", str(path)).out
    assert ocs("config", "check", str(path), "--config", str(path)).code == 2


@pytest.mark.parametrize(
    "command",
    ["config check", "serve", "journal verify", "operator list", "peer list", "session list", "decode 00"],
)
def test_a_bad_configuration_is_three_and_says_where(ocs: Ocs, tmp_path: Path, command: str) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text("origin_host: a\ngy: {lisen: []}\nquota: {min_octets: 0}")
    said = ocs(*command.split(), "--config", str(path))
    assert (said.code, said.out) == (3, "")
    assert said.err.splitlines() == [
        f"ocs: {path}:2: there is no key gy.lisen; did you mean listen?",
        f"ocs: {path}:3: quota.min_octets is 0: input should be greater than or equal to 1; it takes integer, by "
        "default 100000",
    ]
    missing = ocs(*command.split(), "--config", str(tmp_path / "none.yaml"))
    assert missing.code == 3
    assert "name it with --config FILE" in missing.err


@pytest.mark.fault(19)
def test_what_is_shown_steers_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    show(Output.TABLE, [], ["a\x1b[2J"], [["\x1b]0;owned\x07"], ["[red]plain[/red] :smile:"], ["\u202eleft"], ["ä 網"]])
    told = capsys.readouterr().out
    assert not set(told) & set("\x1b\x07\u202e")
    assert "[red]plain[/red] :smile:" in told, "neither markup nor emoji"
    assert r"\u202eleft" in told
    assert "ä 網" in told
    assert printable("two\nlines") == "two\nlines"


@pytest.mark.fault(19)
def test_json_steers_no_terminal_either(capsys: pytest.CaptureFixture[str]) -> None:
    names = ["\x1b[2J\x7f", "\x9b2Jä"]
    show(Output.JSON, names, [], [])
    told = capsys.readouterr().out
    assert json.loads(told) == names
    assert not set(told) & set("\x1b\x7f\x9b")
    assert "ä" in told


def test_a_table_in_a_pipe_is_not_cut_to_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    show(Output.TABLE, [], ["session", "other"], [["s" * 150, "o"]])
    assert "s" * 150 in capsys.readouterr().out


@pytest.mark.parametrize("form", ["table", "json"])
def test_standard_output_that_takes_nothing(form: str) -> None:
    with open("/dev/full", "w") as full:  # noqa: PTH123  # a device
        done = process("version", "-o", form, stdout=full)
    assert (done.returncode, done.stderr) == (
        4,
        "ocs: standard output cannot be written (No space left on device); the command itself is done\n",
    )
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w") as broken:
        done = process("version", "-o", form, stdout=broken)
    assert (done.returncode, done.stderr) == (0, ""), "whoever read has seen enough"


def test_a_terminal_without_unicode(tmp_path: Path) -> None:
    (tmp_path / "ocs.yaml").write_text("services: {context_ids: ['für alle']}\ndata: Ü", encoding="utf-8")
    how: dict[str, Any] = {
        "stdout": subprocess.PIPE,
        "cwd": tmp_path,
        "env": {**os.environ, "PYTHONIOENCODING": "ascii"},
    }
    told = process("config", "check", "-o", "json", **how)
    assert json.loads(told.stdout)["services"]["context_ids"] == ["für alle"]
    table = process("config", "check", **how)
    assert (table.returncode, table.stderr) == (0, "")
    assert r"\xdc" in table.stdout


# Checks of what is kept


def test_a_sound_journal_is_clean(ocs: Ocs, tmp_path: Path) -> None:
    made(tmp_path / "data").close()
    assert ocs("journal", "verify").code == 0
    told = json.loads(ocs("journal", "verify", "-o", "json").out)
    assert (told["ok"], told["faults"]) == (True, [])


def test_a_damaged_one_is_one(ocs: Ocs, tmp_path: Path) -> None:
    folder = made(tmp_path / "data").close()
    snapshot = max(path for path in folder.snapshots.iterdir() if path.is_file())
    octets = bytearray(snapshot.read_bytes())
    octets[len(octets) // 2] ^= 1
    snapshot.write_bytes(octets)
    table = ocs("journal", "verify", "--data", str(folder.path))
    assert table.code == 1
    assert re.search(rf"^FAULT .*{re.escape(snapshot.name)}", table.out, re.MULTILINE)
    told = ocs("journal", "verify", "-o", "json")
    assert told.code == 1
    assert json.loads(told.out)["ok"] is False


def test_nothing_to_verify_is_three(ocs: Ocs, tmp_path: Path) -> None:
    assert "there is no data folder" in ocs("journal", "verify").err
    (tmp_path / "data").mkdir()
    empty = ocs("journal", "verify")
    assert (empty.code, empty.out) == (3, "")
    assert "no server has run on" in empty.err
    file = ocs("journal", "verify", "--data", __file__)
    assert file.code == 3


def test_the_doctor_tells_a_file_from_a_folder(ocs: Ocs, tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")
    said = ocs("doctor", "-o", "json")
    assert said.code == 1
    (found,) = [one for one in json.loads(said.out) if one["what"] == "data"]
    assert (found["told"], found["grade"]) == (f"{tmp_path / 'data'} is no folder", "fault")
    assert ocs("operator", "list").code == 3


# Servers that are not there, or not ours


NO_URLS = ["ftp://a", "127.0.0.1:99999", "127.0.0.1:0", "http://", "http://no such", "::1", "http://[::1", "http://a?b"]


@pytest.mark.parametrize("url", NO_URLS)
@pytest.mark.parametrize("token", ["t", ""])
def test_what_is_no_url_is_two(ocs: Ocs, monkeypatch: pytest.MonkeyPatch, url: str, token: str) -> None:
    monkeypatch.setenv("OCS_API_TOKEN", token)
    named = ocs("operator", "list", "--server", url)
    monkeypatch.setenv("OCS_SERVER", url)
    for said in (named, ocs("peer", "list")):
        assert said.code == 2
        assert f"{url!r} is no server's URL; write http://127.0.0.1:8080" in said.err


@pytest.mark.parametrize("token", ["a b", "a\nb", "\udcff", "ä"])
def test_a_token_that_cannot_be_sent_is_two(ocs: Ocs, monkeypatch: pytest.MonkeyPatch, token: str) -> None:
    monkeypatch.setenv("OCS_API_TOKEN", token)
    said = ocs("operator", "list", "--server", "127.0.0.1:1")
    assert said.code == 2
    assert "OCS_API_TOKEN takes printable ASCII" in said.err


def test_no_token_is_six_elsewhere_and_four_here(ocs: Ocs) -> None:
    elsewhere = ocs("operator", "list", "--server", "http://192.0.2.1:8080")
    assert elsewhere.code == 6
    assert "set OCS_API_TOKEN" in elsewhere.err
    here = ocs("operator", "list", "--server", "localhost:1")
    assert here.code == 4
    assert "has run on this data folder" in here.err


@pytest.mark.parametrize("name", ["", ".", ".."])
def test_a_name_that_is_a_path_is_two(ocs: Ocs, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv("OCS_API_TOKEN", "t")
    for command in (("operator", "show"), ("session", "show"), ("peer", "revoke")):
        said = ocs(*command, name, "--server", "127.0.0.1:1")
        assert said.code == 2
        assert f"{name!r} is no name" in said.err


def test_no_server_is_four(ocs: Ocs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OCS_API_TOKEN", "t")
    (port,) = free_ports(1)
    said = ocs("operator", "top-up", "home", "1", "--reference", "r", "--server", f"127.0.0.1:{port}")
    assert (said.code, said.out) == (4, "")
    key, failure = said.err.splitlines()
    assert re.search(r"--key [0-9a-f-]{36}$", key), "told before it is sent"
    assert "no server answers at" in failure


def answer_once(octets: bytes) -> int:
    """Listen on loopback, answer one request with these octets, and close; the port."""
    listening = socket.create_server(("127.0.0.1", 0))
    listening.settimeout(10)

    def serve() -> None:
        with listening:
            connection, _ = listening.accept()
        with connection:
            connection.settimeout(10)
            connection.recv(65536)
            connection.sendall(octets)

    threading.Thread(target=serve, daemon=True).start()
    return int(listening.getsockname()[1])


def http(status: str, body: str) -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n{body}".encode()


def problem(slug: str, **more: object) -> str:
    return json.dumps({"type": f"/problems/{slug}", "title": "t", "status": 400, "detail": "in its words", **more})


@pytest.mark.parametrize(
    ("octets", "code", "told"),
    [
        (b"", 4, "what was asked may be done"),
        (b"SSH-2.0-other\r\n", 4, "did not answer properly"),
        (http("200 OK", "<html>"), 4, "is --server right?"),
        (http("302 Found", ""), 4, "is --server right?"),
        (http("502 Bad Gateway", "<html>"), 4, "answered 502 and no problem"),
        (http("500 Oops", problem("internal")), 1, "in its words"),
        (http("409 Conflict", problem("conflict")), 5, "in its words"),
        (http("409 Conflict", problem("insufficient-balance")), 5, "in its words"),
        (http("404 Not Found", problem("not-found")), 2, "in its words"),
        (http("401 Unauthorized", problem("unauthorized")), 6, "refused the token from OCS_API_TOKEN"),
        (http("403 Forbidden", problem("refused-by-policy")), 6, "in its words"),
        (http("503 Busy", problem("unavailable")), 4, "in its words"),
        (http("422 No", problem("newer", errors=[{"where": "a", "what": "b", "mend": "c"}])), 2, "ocs: a: b; c\n"),
        (
            http("422 No", problem("newer", errors=[{"where": "body/tariff/per_octets", "what": "b", "mend": "c"}])),
            2,
            "ocs: per-octets: b; c\n",
        ),
        (http("422 No", problem("invalid-input", detail="\x1b[2J")), 2, r"ocs: \x1b[2J"),
    ],
)
def test_what_a_server_may_answer(
    ocs: Ocs, monkeypatch: pytest.MonkeyPatch, octets: bytes, code: int, told: str
) -> None:
    monkeypatch.setenv("OCS_API_TOKEN", "t")
    said = ocs("operator", "show", "home", "--server", f"127.0.0.1:{answer_once(octets)}")
    assert (said.code, said.out) == (code, "")
    assert told in said.err
