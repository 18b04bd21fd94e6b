"""What is wrong is found and told with its mend, and nothing is changed by looking."""

import json
import os
import resource
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import apsw
import pytest
import yaml

from live.ocs_server import free_ports
from made_folder import made
from ocs.shell.cli import doctor
from ocs.shell.cli.app import main
from real_time import needs_real_time


class Examined:
    """One run of the doctor; `found[what]` is a finding."""

    def __init__(self, capsys: pytest.CaptureFixture[str], path: Path) -> None:
        capsys.readouterr()  # what was said before
        self.code = main(["doctor", "--config", str(path), "-o", "json"])
        findings: list[dict[str, Any]] = json.loads(capsys.readouterr().out)
        self.found = {one["what"]: one for one in findings}
        for one in findings:
            assert (one["grade"] == "ok") == (not one["mend"]), "what is wrong says how to mend it"
        assert self.code == (1 if any(one["grade"] == "fault" for one in findings) else 0)

    def grade(self, what: str) -> str:
        return str(self.found[what]["grade"])


@pytest.fixture
def config(tmp_path: Path) -> Path:
    gy, api = free_ports(2)
    path = tmp_path / "ocs.yaml"
    path.write_text(
        yaml.safe_dump(
            {"gy": {"listen": [f"127.0.0.1:{gy}"], "connections_max": 100}, "api": {"listen": f"127.0.0.1:{api}"}}
        )
    )
    return path


def change(path: Path, **sections: Any) -> None:
    tree = yaml.safe_load(path.read_text())
    for name, values in sections.items():
        tree[name] = {**tree.get(name, {}), **values} if isinstance(values, dict) else values
    path.write_text(yaml.safe_dump(tree))


def test_before_the_first_start(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = Examined(capsys, config)
    assert run.code == 0
    assert "will be made" in run.found["data"]["told"]
    assert main(["doctor", "--config", str(config)]) == 0
    assert "will be made" in capsys.readouterr().out
    assert not (config.parent / "data").exists()


def test_a_folder_of_a_server_that_ran(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = made(config.parent / "data").close()
    before = {path: path.read_bytes() for path in folder.path.rglob("*") if path.is_file()}
    run = Examined(capsys, config)
    assert run.code == 0
    assert "groups" in run.found["journal"]["told"]
    assert "the newest of group" in run.found["snapshots"]["told"]
    after = {path: path.read_bytes() for path in folder.path.rglob("*") if path.is_file()}
    assert {path: after[path] for path in before} == before
    assert {path.name for path in after.keys() - before.keys()} <= {"journal.sqlite-wal", "journal.sqlite-shm"}


def test_a_bad_configuration_ends_the_examination(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config.write_text("gy: {lisen: []}")
    run = Examined(capsys, config)
    assert run.code == 1
    assert "did you mean listen?" in run.found["configuration"]["told"]
    assert "python" in run.found


def test_ports_that_are_taken(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        change(config, api={"listen": f"127.0.0.1:{taken.getsockname()[1]}"})
        run = Examined(capsys, config)
    assert run.grade("api.listen") == "fault"
    assert run.grade("gy.listen") == "ok"


def test_a_folder_others_may_read(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = made(config.parent / "data").close()
    folder.path.chmod(0o755)
    run = Examined(capsys, config)
    assert run.grade("data") == "fault"
    assert run.found["data"]["mend"] == f"chmod 700 {folder.path}"
    folder.path.chmod(0o700)
    folder.token.write_text("x")
    folder.token.chmod(0o644)
    assert Examined(capsys, config).found["data"]["mend"] == f"chmod 600 {folder.token}"


def test_a_disk_that_is_nearly_full(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made(config.parent / "data").close()
    change(config, journal={"free_octets_min": 2**62})
    assert Examined(capsys, config).grade("disk") == "fault"
    free = Path("/proc/mounts").exists() and doctor.DataFolder(config.parent / "data").free_octets()
    change(config, journal={"free_octets_min": int(free / 2)})
    assert Examined(capsys, config).grade("disk") == "warning"


def test_files_of_tls(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    change(config, gy={"tls": {"certificate": "none.pem", "key": "none.key", "ca": "none.pem"}})
    run = Examined(capsys, config)
    assert run.grade("gy.tls") == "fault"
    assert "PEM" in run.found["gy.tls"]["mend"]


def test_files_of_tls_for_usage(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    change(config, usage={"tls": {"certificate": "none.pem", "key": "none.key"}})
    assert Examined(capsys, config).grade("usage.tls") == "fault"


def test_processors_that_are_not_there(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    change(config, processors={"core": [min(os.sched_getaffinity(0))]})
    assert Examined(capsys, config).grade("processors") == "ok"
    change(config, processors={"follower": [8191]})
    run = Examined(capsys, config)
    assert run.code == 1
    assert "processors.follower names CPU 8191" in run.found["processors"]["told"]


@needs_real_time
def test_a_core_that_goes_first_needs_a_second_cpu(
    config: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    change(config, processors={"real_time": True})
    monkeypatch.setattr(doctor.processors, "count", lambda: 2)
    assert Examined(capsys, config).grade("processors") == "ok"
    monkeypatch.setattr(doctor.processors, "count", lambda: 1)
    assert Examined(capsys, config).grade("processors") == "warning"


def test_a_core_that_may_not_go_first(
    config: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "sched_setscheduler")
    change(config, processors={"real_time": True})
    run = Examined(capsys, config)
    assert run.grade("processors") == "fault"
    assert "real-time class" in run.found["processors"]["told"]


def test_a_broken_dictionary(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (config.parent / "vendor.dia").write_text("@avps\n  nonsense\n")
    change(config, gy={"dictionaries": ["vendor.dia"]})
    run = Examined(capsys, config)
    assert run.grade("dictionaries") == "fault"
    assert "vendor.dia" in run.found["dictionaries"]["told"]


def test_too_few_open_files(config: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (100, 100))
    run = Examined(capsys, config)
    assert run.grade("open files") == "warning"
    assert "ulimit -n 164" in run.found["open files"]["mend"]


def test_a_clock_that_is_wrong(
    config: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor.time, "time", lambda: 1_000_000_000.0)
    assert Examined(capsys, config).grade("clock") == "fault"


def test_assertions_that_are_switched_off(config: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-O", "-m", "ocs", "doctor", "--config", str(config), "-o", "json"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    (python,) = [one for one in json.loads(run.stdout) if one["what"] == "python"]
    assert run.returncode == 1
    assert python["grade"] == "fault"
    assert "run it without -O" in python["mend"]


@pytest.mark.parametrize(
    ("head", "told"),
    [
        (b"no database" * 20, "no SQLite file"),
        (b"SQLite format 3\0".ljust(60, b"\0") + (99).to_bytes(4, "big") + bytes(100), "format 99"),
    ],
)
def test_books_that_will_not_open(config: Path, capsys: pytest.CaptureFixture[str], head: bytes, told: str) -> None:
    folder = made(config.parent / "data").close()
    folder.books.write_bytes(head)
    run = Examined(capsys, config)
    assert run.grade("books") == "fault"
    assert told in run.found["books"]["told"]
    assert "made again" in run.found["books"]["mend"]


@pytest.mark.parametrize("what", ["journal", "snapshots", "archive"])
def test_data_that_cannot_be_read(config: Path, capsys: pytest.CaptureFixture[str], what: str) -> None:
    folder = made(config.parent / "data").close()
    if what == "journal":
        with apsw.Connection(str(folder.journal)) as connection:
            connection.execute("PRAGMA user_version = 99")
    elif what == "snapshots":
        next(folder.snapshots.glob("*.snapshot")).write_bytes(b"OCSS\x63" + bytes(60))
    else:
        (folder.archive / "nonsense.groups").write_bytes(b"")
    run = Examined(capsys, config)
    assert run.grade(what) == "fault"
    assert "copy" in run.found[what]["mend"]
