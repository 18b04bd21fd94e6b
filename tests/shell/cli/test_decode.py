"""`ocs decode` reads messages to people from wherever they come, and judges them as the server would."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
from scapy.all import IP, TCP, Raw, wrpcap

from ledger_node import INITIAL, UPDATE, ccr, service
from ocs.diameter import avp
from ocs.shell.cli.app import main

GOOD = ccr(INITIAL, 0, service(1), session="d;1")
OTHER = ccr(UPDATE, 1, service(1, used=5), session="d;1")
BAD = ccr(5, 0, session="d;2")  # there is no CC-Request-Type 5
SUBSCRIBER = "001010000000001"


def decoded(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = main(["decode", *arguments])
    said = capsys.readouterr()
    return code, said.out, said.err


@pytest.mark.parametrize(
    "text",
    [
        GOOD.hex(),
        GOOD.hex().upper(),
        "0x" + GOOD.hex(),
        " ".join(f"0x{octet:02x}" for octet in GOOD),
        GOOD.hex(" "),
        GOOD.hex(":"),
        GOOD.hex("\n", 16) + "\n",
    ],
    ids=["plain", "capitals", "0x", "0x of each", "blanks", "colons", "lines"],
)
def test_hexadecimal_in_all_its_dresses(capsys: pytest.CaptureFixture[str], text: str) -> None:
    code, out, _ = decoded(capsys, text)
    assert code == 0
    assert "Credit-Control-Request (272)" in out
    assert "CC-Request-Type (416) M 1 (INITIAL_REQUEST)" in out
    assert out.rstrip().endswith("well formed")


def test_several_messages_and_one_that_is_wrong(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = decoded(capsys, (GOOD + BAD + OTHER).hex())
    assert code == 1
    assert out.count("Credit-Control-Request") == 3
    assert "WRONG 5004: CC-Request-Type" in out
    assert out.count("well formed") == 2


def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = decoded(capsys, (GOOD + BAD).hex(), "-o", "json")
    first, second = json.loads(out)
    assert code == 1
    assert (first["ok"], first["message"]["command"]) == (True, "Credit-Control-Request")
    assert (second["ok"], second["fault"]["result_code"]) == (False, 5004)
    assert second["fault"]["failed_avp"].startswith("000001a0")


def test_files_and_standard_input(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "message.hex"
    path.write_text(GOOD.hex(" ") + "\n")
    assert decoded(capsys, str(path))[0] == 0
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(GOOD.hex().encode())))
    code, out, _ = decoded(capsys, "-")
    assert code == 0
    assert '"d;1"' in out


def test_a_capture_says_when_and_between_whom(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    packet = (
        IP(src="192.0.2.1", dst="192.0.2.2")
        / TCP(sport=40000, dport=3868, seq=1, flags="A")
        / Raw(GOOD + OTHER + b"\x01")
    )
    packet.time = 1_800_000_000
    path = tmp_path / "trace.pcap"
    wrpcap(str(path), [packet])
    code, out, err = decoded(capsys, str(path))
    assert code == 0
    assert out.count("2027-01-15T08:00:00.000000Z 192.0.2.1:40000 -> 192.0.2.2:3868") == 2
    assert "note:" in err
    _, out, _ = decoded(capsys, str(path), "-o", "json")
    assert json.loads(out)[1]["source"] == "192.0.2.1:40000"


@pytest.mark.parametrize(
    ("octets", "told"),
    [
        (GOOD[:-4], "5015"),
        (GOOD[:10], "5015"),
        (b"\x02" + GOOD[1:], "version 2"),
        (GOOD[:24] + b"\x00\x00\x00\x04" + GOOD[28:], "5014"),
    ],
)
def test_what_is_broken_is_shown_as_far_as_it_goes(
    capsys: pytest.CaptureFixture[str], octets: bytes, told: str
) -> None:
    code, out, _ = decoded(capsys, octets.hex())
    assert code == 1
    assert told in out


@pytest.mark.parametrize("source", ["", "xyz", "0102030", "/nowhere/trace.pcap", "-x"])
def test_what_is_neither_file_nor_hexadecimal(capsys: pytest.CaptureFixture[str], source: str) -> None:
    code, out, err = decoded(capsys, "--", source)
    assert code == 2
    assert out == ""
    assert err.startswith("ocs: ")


def test_a_vendors_dictionary(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "vendor.dia"
    path.write_text("@specification Guide\n@vendor 99999 Example\n@avps\n  Example-Cell 1 Unsigned32 may 2.1\n")
    message = ccr(INITIAL, 0, service(1), extra=avp.unsigned32(1, 7, vendor=99999)).hex()
    code, out, _ = decoded(capsys, message)
    assert code == 1
    assert "WRONG 5001" in out
    code, out, _ = decoded(capsys, message, "--dictionary", str(path))
    assert code == 0
    assert "Example-Cell (1/99999) VM 7" in out
    path.write_text("@avps\n nonsense")
    code, _, err = decoded(capsys, message, "--dictionary", str(path))
    assert code == 3
    assert "vendor.dia" in err


def test_subscribers_can_be_hidden(capsys: pytest.CaptureFixture[str]) -> None:
    assert SUBSCRIBER in decoded(capsys, GOOD.hex())[1]
    code, out, _ = decoded(capsys, GOOD.hex(), "--mask")
    assert code == 0
    assert SUBSCRIBER not in out
    assert "00101******0001" in out


def test_whatever_the_octets_are_it_says_something(capsys: Any) -> None:
    for octets in (bytes(20), b"\xff" * 64, b"\x01\x00\x00\x14" + b"\xff" * 16, GOOD[:60] + b"\xff" * 60):
        code, out, _ = decoded(capsys, octets.hex())
        assert code == 1
        assert "WRONG" in out
