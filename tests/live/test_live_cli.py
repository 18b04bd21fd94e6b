"""The command line against a real server: what it says, as a table and as JSON, and how it ends."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from live.ocs_server import TOKEN, OcsServer, free_ports
from live.wire import CCR, INITIAL, Gateway, ccr, mscc
from ocs.shell.cli.app import main

pytestmark = pytest.mark.live


class Said(NamedTuple):
    code: int
    out: str
    err: str

    def json(self) -> Any:
        assert self.code == 0, self.err
        return json.loads(self.out)


Ocs = Callable[..., Said]


@pytest.fixture
def ocs(shared_server: OcsServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Ocs:
    """Run a command in this process, against the file's server."""
    monkeypatch.setenv("OCS_API_TOKEN", TOKEN)

    def run(*arguments: str) -> Said:
        code = main([*arguments, "--config", str(shared_server.config)])
        said = capsys.readouterr()
        return Said(code, said.out, said.err)

    return run


def test_an_operators_life(ocs: Ocs) -> None:
    price = ("--price", "3", "--per-octets", "1000")
    assert "life" in ocs("operator", "add", "life", "--prefix", "24001", "--prefix", "240010077", *price).out
    again = ocs("operator", "add", "life", "--prefix", "24009", *price)
    assert (again.code, again.out) == (5, "")
    assert "life" in again.err
    overlap = ocs("operator", "add", "other", "--prefix", "24001", *price)
    assert overlap.code == 5
    assert "24001" in overlap.err

    top_up = ("operator", "top-up", "life", "5000", "--reference", "invoice 1", "--key", "k1")
    first = ocs(*top_up, "-o", "json").json()
    assert first["balance_after"]["credited"] == "5000"
    assert ocs(*top_up, "-o", "json").json() == first, "a repeat credits nothing"
    other = ocs("operator", "top-up", "life", "5001", "--reference", "invoice 1", "--key", "k1")
    assert other.code == 2
    assert "k1" in other.err or "Idempotency-Key" in other.err
    fresh = ocs("operator", "top-up", "life", "7", "--reference", "invoice 2")
    assert "--key" in fresh.err, "the key is told, so that the command can be repeated"

    number = str(first["number"])
    assert ocs("operator", "reverse", "life", number, "1000", "--reason", "paid twice").code == 0
    assert ocs("operator", "reverse", "life", number, "9000", "--reason", "too much").code in (2, 5)
    assert ocs("operator", "write-off", "life", "1", "--reason", "nothing owed").code == 5
    assert ocs("operator", "prefix", "life", "24003").code == 0
    assert ocs("operator", "tariff", "life", "--rating-group", "7", "--apn", "ims", *price).code == 0

    shown = ocs("operator", "show", "life", "-o", "json").json()
    assert shown["balance"]["available"] == "4007"
    assert set(shown["prefixes"]) == {"24001", "240010077", "24003"}
    table = ocs("operator", "show", "life").out
    assert "4,007" in table
    assert "invoice 1" in table
    assert {"home", "life"} <= {one["name"] for one in ocs("operator", "list", "-o", "json").json()}
    assert "life" in ocs("operator", "list").out


def test_a_session_is_listed_shown_and_asked_to_end(ocs: Ocs, shared_server: OcsServer) -> None:
    with Gateway(shared_server.gy_port).open() as gateway:
        gateway.ask(CCR, ccr(gateway, "cli;1;2", INITIAL, 0, mscc(1)))
        listed = ocs("session", "list", "--operator", "home", "--state", "open", "-o", "json").json()
        assert [one["session_id"] for one in listed] == ["cli;1;2"]
        assert "cli;1;2" in ocs("session", "list").out
        table = ocs("session", "show", "cli;1;2").out
        assert "10,000,000 octets granted" in table
        assert ocs("session", "show", "cli;1;2", "-o", "json").json()["state"] == "open"
        peers = ocs("peer", "list", "-o", "json").json()
        assert [one["origin_host"] for one in peers["connected"]] == [gateway.host]
        assert ocs("session", "terminate", "cli;1;2", "--reason", "a test").code == 0
        asked = gateway.request()
        assert asked.avps.one(263).data == b"cli;1;2"
        gateway.reply(asked, 2001)
        gateway.ask(CCR, ccr(gateway, "cli;1;2", 3, 1))
    assert ocs("session", "terminate", "cli;1;2").code == 5
    assert ocs("session", "list", "--state", "ended", "--limit", "1", "-o", "json").json()[0]["state"] == "ended"


def test_sessions_of_a_gateway_without_keys_are_reconciled_with_nothing(ocs: Ocs, shared_server: OcsServer) -> None:
    with Gateway(shared_server.gy_port).open() as gateway:
        gateway.ask(CCR, ccr(gateway, "cli;1;3", INITIAL, 0, mscc(1)))
        gateway.ask(CCR, ccr(gateway, "cli;1;3", 3, 1, mscc(1, used=700, asked=False)))
    shown = ocs("reconcile", "show", "cli;1;3", "-o", "json").json()
    assert (shown["state"], shown["used"], shown["difference"]) == ("exempt", "700", "-700")
    assert "no registered keys" in ocs("reconcile", "show", "cli;1;3").out
    for command in ("sessions", "days", "incidents", "check"):
        assert ocs("reconcile", command, "-o", "json").json() == []


def test_peers_are_allowed_and_revoked(ocs: Ocs) -> None:
    assert ocs("peer", "allow", "pgw.cli.example", "--address", "192.0.2.0/24", "--profile", "magma").code == 0
    allowed = ocs("peer", "list", "-o", "json").json()["allowed"]
    assert ("pgw.cli.example", "magma") in [(one["origin_host"], one["profile"]) for one in allowed]
    assert ocs("peer", "revoke", "pgw.cli.example").code == 0
    assert ocs("peer", "revoke", "pgw.cli.example").code == 2
    assert "192.0.2.300" in ocs("peer", "allow", "pgw.cli.example", "--address", "192.0.2.300").err
    assert "open5gs" in ocs("peer", "allow", "pgw.cli.example", "--profile", "other").err


BAD = {
    ("operator", "show", "nobody"): (2, "nobody"),
    ("operator", "add", "x y", "--prefix", "26001", "--price", "1", "--per-octets", "1"): (2, "x y"),
    ("operator", "add", "x", "--prefix", "2600", "--price", "1", "--per-octets", "1"): (2, "5 to 14"),
    ("operator", "add", "x", "--prefix", "26001", "--price", "1.5", "--per-octets", "1"): (2, "whole number"),
    ("operator", "add", "x", "--prefix", "26001", "--price", "-1", "--per-octets", "1"): (2, "whole number"),
    ("operator", "add", "x", "--prefix", "26001", "--price", "1", "--per-octets", "0"): (2, "per_octets"),
    ("operator", "add", "x", "--price", "1", "--per-octets", "1"): (2, "--prefix"),
    ("operator", "top-up", "home", "0", "--reference", "r"): (2, "amount"),
    ("operator", "top-up", "home", "ten", "--reference", "r"): (2, "whole number"),
    ("operator", "top-up", "home", "1", "--reference", ""): (2, "reference"),
    ("operator", "top-up", "home", "1", "--reference", "r", "--kind", "given"): (2, "kind"),
    ("operator", "top-up", "home", "1"): (2, "--reference"),
    ("operator", "top-up", "nobody", "1", "--reference", "r"): (2, "nobody"),
    ("operator", "reverse", "home", "999", "1", "--reason", "r"): (2, "999"),
    ("operator", "frobnicate"): (2, "frobnicate"),
    ("session", "show", "none;1"): (2, "none;1"),
    ("session", "list", "--state", "running"): (2, "state"),
    ("session", "list", "--imsi", "x"): (2, "imsi"),
    ("session", "list", "--operator", "nobody"): (2, "nobody"),
    ("session", "list", "--limit", "0"): (2, "--limit"),
    ("session", "terminate", "none;1"): (2, "none;1"),
    ("reconcile", "show", "none;1"): (2, "none;1"),
    ("reconcile", "days", "--from", "1.1.2027"): (2, "from: this is no day of the calendar"),
    ("operator", "list", "-o", "xml"): (2, "table"),
    ("nothing",): (2, "nothing"),
}


@pytest.mark.parametrize("arguments", BAD)
def test_a_bad_argument_is_explained(ocs: Ocs, arguments: tuple[str, ...]) -> None:
    code, names = BAD[arguments]
    said = ocs(*arguments)
    assert said.code == code, said
    assert names in said.err
    assert said.out == ""
    assert "Traceback" not in said.err


def test_a_server_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    (port,) = free_ports(1)
    path = tmp_path / "ocs.yaml"
    path.write_text(f"api: {{listen: '127.0.0.1:{port}'}}")
    monkeypatch.delenv("OCS_API_TOKEN", raising=False)
    assert main(["operator", "list", "--config", str(path)]) == 4
    assert "start one with `ocs serve`" in capsys.readouterr().err
    monkeypatch.setenv("OCS_API_TOKEN", "any")
    assert main(["operator", "list", "--config", str(path)]) == 4
    assert f"no server answers at http://127.0.0.1:{port}" in capsys.readouterr().err


def test_the_token_opens_the_door(shared_server: OcsServer, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    config = ["--config", str(shared_server.config)]
    monkeypatch.setenv("OCS_API_TOKEN", "wrong")
    assert main(["operator", "list", *config]) == 6
    assert "token" in capsys.readouterr().err
    monkeypatch.delenv("OCS_API_TOKEN")
    assert main(["operator", "list", *config]) == 0, "the data folder holds it"
    elsewhere = ["--server", f"127.0.0.1:{shared_server.api_port}"]
    assert main(["operator", "list", *config, *elsewhere]) == 0
    assert main(["operator", "list", "--server", "http://192.0.2.1:8080"]) == 6, "it is sent to no other machine"


def test_checks_of_a_sound_server_find_nothing(ocs: Ocs) -> None:
    report = ocs("journal", "verify", "-o", "json").json()
    assert report["ok"] is True
    assert report["faults"] == []
    assert report["books_index"] == report["last"] > 0
    assert "clean" in ocs("journal", "verify").out
    findings = ocs("doctor", "-o", "json").json()
    assert {one["grade"] for one in findings} <= {"ok", "warning"}
    assert "answers" in next(one["told"] for one in findings if one["what"] == "server")
    assert ocs("config", "check").code == 0
    assert "gy.listen" in ocs("config", "check").out or "gy" in ocs("config", "check").out


def test_what_needs_no_server(capsys: Any) -> None:
    assert main(["version"]) == 0
    assert "session-purchaser" in capsys.readouterr().out
    assert main(["--version"]) == 0
    assert main(["config", "explain", "quota", "-o", "json"]) == 0
    capsys.readouterr()
    assert main(["config", "explain", "gy.nothing"]) == 2
    assert "gy.nothing" in capsys.readouterr().err
    assert main(["journal", "verify", "--data", "/nowhere/at/all"]) == 3
    assert "/nowhere/at/all" in capsys.readouterr().err
    assert main(["serve", "--config", "/nowhere.yaml"]) == 3
    assert "/nowhere.yaml" in capsys.readouterr().err


@pytest.mark.parametrize(
    "command",
    [
        *("", "serve", "version", "doctor", "decode", "config", "config check", "config explain"),
        *("operator", "operator add", "operator list", "operator show", "operator top-up", "operator reverse"),
        *("session", "session list", "session show", "session terminate"),
        *("peer", "peer list", "peer allow", "peer revoke", "journal", "journal verify"),
    ],
)
def test_every_command_has_its_help(command: str, capsys: Any) -> None:
    assert main([*command.split(), "--help"]) == 0
    text = capsys.readouterr().out
    assert "Usage" in text
    assert "--help" in text
