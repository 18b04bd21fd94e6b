"""`ocs-verify`: a closure is checked with its file and nothing else, and what is wrong is told with its place."""

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest

from closures import LOG_KEY, OTHER_SGW, PAIRS, Handover, settled
from ocs.shell import closure_audit
from ocs.shell.cli.verify_closure import main
from ocs.signed.ed25519 import SeedSigner, signer_of
from ocs.tlog import checkpoint, proof
from ocs.tlog.checkpoint import CosignerKey
from ocs.units import UnixMillis
from places import ROOT
from signed_reports import MINER, OTHER_MINER, SGW
from signing_node import OWNER, PER_OCTETS

NODE = settled()
MADE = Handover(NODE)
WITNESS = SeedSigner(bytes.fromhex("0c" * 32))
COSIGNER = CosignerKey("witness.example", WITNESS.public_key)
PINNED = ("--log-key", LOG_KEY.text, "--owner", OWNER.public_key.hex(), "--per-octets", str(PER_OCTETS))


class Said(NamedTuple):
    code: int
    out: str
    err: str


Verify = Callable[..., Said]


@pytest.fixture
def verify(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Verify:
    monkeypatch.chdir(tmp_path)

    def run(octets: bytes, *arguments: str) -> Said:
        Path("channel.closure").write_bytes(octets)
        code = main(["channel.closure", *arguments])
        said = capsys.readouterr()
        assert "Traceback" not in said.err
        return Said(code, said.out, said.err)

    return run


def alone(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run it in a process of its own, in a folder of its own, with nothing in the environment."""
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env={"PYTHONPATH": str(ROOT)},
        text=True,
        capture_output=True,
        timeout=60,
        check=False,
    )


def test_it_needs_the_file_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "channel.closure").write_bytes(MADE.octets())
    done = alone(tmp_path, "-m", "ocs.shell.cli.verify_closure", "channel.closure", *PINNED)
    assert (done.returncode, done.stderr) == (0, "")
    assert "verified" in done.stdout
    assert [one.name for one in tmp_path.iterdir()] == ["channel.closure"]


def test_it_brings_in_no_part_of_a_server(tmp_path: Path) -> None:
    of_a_server = ("apsw", "aiosqlite", "sqlite3", "fastapi", "uvicorn", "grpc", "httpx", "socket", "asyncio", "yaml")
    asks = f"import sys, ocs.shell.cli.verify_closure as one; print([n for n in {of_a_server} if n in sys.modules])"
    assert alone(tmp_path, "-c", asks).stdout == "[]\n"


def test_it_tells_people_what_was_settled(verify: Verify) -> None:
    said = verify(MADE.octets(), *PINNED)
    assert said.code == 0
    close = MADE.proposed()
    rows = {line.split()[0]: line.split(None, 1)[1].strip() for line in said.out.splitlines() if " " in line.strip()}
    assert rows["channel"] == MADE.channel_id.hex()
    assert (rows["amount"], rows["used"], rows["refund"]) == ("2,000", str(close.used_dc), f"{close.refund_dc:,}")
    assert rows["owner"] == f"{OWNER.public_key.hex()} (as given)"
    assert rows["verdict"] == "verified"
    for one in close.summaries:
        figures = [f"{figure:,}" for figure in (one.num_packets, one.num_bytes, one.num_dcs, one.num_sessions)]
        assert rows[one.client_pubkeybin[1:].hex()].split() == figures


def test_it_says_what_it_took_from_the_file(verify: Verify) -> None:
    said = verify(MADE.octets())
    assert said.code == 0
    assert said.out.count("as the file says: compare") == 3
    assert LOG_KEY.text in said.out
    assert "not held against a register" in said.out
    told = json.loads(verify(MADE.octets(), "-o", "json").out)
    assert len(told["not_checked"]) == 5
    assert [one.split()[1] for one in told["not_checked"][:2]] == ["owner's", "log's"]


def test_json(verify: Verify) -> None:
    told = json.loads(verify(MADE.octets(), *PINNED, "-o", "json").out)
    close = MADE.proposed()
    assert told["verified"] is True
    assert told["fault"] is None
    assert (told["amount_dc"], told["used_dc"], told["refund_dc"]) == ("2000", str(close.used_dc), str(close.refund_dc))
    assert (told["reason"], told["entries"], told["log_size"]) == ("owner", len(NODE.leaves), len(NODE.leaves))
    assert [one["miner"] for one in told["miners"]] == [one.client_pubkeybin[1:].hex() for one in close.summaries]
    assert told["miners"][0]["octets"] == str(close.summaries[0].num_bytes)


def test_a_fault_is_one_and_says_where(verify: Verify) -> None:
    octets = Handover(NODE, close={"refund_dc": 1}).octets()
    said = verify(octets)
    assert said.code == 1
    assert (
        said.out.splitlines()[-1] == f"FAULT wrong_refund at the Close: refund_dc is to be {MADE.proposed().refund_dc}"
    )
    assert "a fault was found" in said.out
    told = json.loads(verify(octets, "-o", "json").out)
    assert told["verified"] is False
    assert (told["fault"]["code"], told["fault"]["place"]) == ("wrong_refund", "the Close")


def test_octets_that_are_no_closure(verify: Verify) -> None:
    said = verify(b"%PDF-1.7\n")
    assert said.code == 1
    assert "FAULT malformed at the file: record 0, at octet 0" in said.out
    told = json.loads(verify(b"", "-o", "json").out)
    assert (told["channel_id"], told["owner"], told["miners"]) == (None, None, [])


def rows(*pairs: tuple[SeedSigner, SeedSigner]) -> list[dict[str, object]]:
    """Write keys as `ocs key list -o json` does."""
    listed = []
    for sgw, miner in pairs:
        for role, key, other in (("sgw", sgw, miner), ("miner", miner, sgw)):
            listed.append(
                {
                    "public_key": key.public_key.hex(),
                    "signer": signer_of(key.public_key).hex(),
                    "role": role,
                    "origin_host": "sgw.visited.example",
                    "pairs": [other.public_key.hex()],
                }
            )
    return listed


def test_keys_are_held_against_a_register(verify: Verify, tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.mkdir()
    (keys / "one.json").write_text(json.dumps(rows((SGW, MINER))))
    said = verify(MADE.octets(), "--keys", "keys")
    assert said.code == 1
    assert "FAULT unpaired at entry 2, commit 2 of the channel" in said.out
    (keys / "two.json").write_text(json.dumps(rows((OTHER_SGW, OTHER_MINER))))
    assert verify(MADE.octets(), "--keys", "keys").code == 0
    (keys / "two.json").unlink()
    half = [row for row in rows((OTHER_SGW, OTHER_MINER)) if row["role"] == "sgw"]
    (keys / "two.json").write_text(json.dumps(half))
    assert verify(MADE.octets(), "--keys", "keys").code == 1, "both sides of a pair name each other"
    assert len(PAIRS) == 3


def test_a_receipt_is_held_or_challenges(verify: Verify, tmp_path: Path) -> None:
    receipt = MADE.receipt(3)
    (tmp_path / "r.tlog-proof").write_bytes(receipt.proof)
    (tmp_path / "r.report").write_bytes(receipt.report)
    asked = ("--receipt", "r.tlog-proof", "--report", "r.report")
    said = verify(MADE.octets(), *asked)
    assert said.code == 0
    assert any(line.split() == ["receipt", "held"] for line in said.out.splitlines())
    proved = replace(proof.parse(receipt.proof), index=4)
    (tmp_path / "r.tlog-proof").write_bytes(proved.octets)
    assert "FAULT proof_invalid at the receipt" in verify(MADE.octets(), *asked).out


def test_cosigners_are_asked_for(verify: Verify) -> None:
    asked = ("--cosigner", COSIGNER.text)
    assert "FAULT bad_signature at the checkpoint" in verify(MADE.octets(), *asked).out
    assert verify(MADE.octets(), *asked, "--quorum", "0").code == 0
    signed = checkpoint.cosign(MADE.signed_head().text, COSIGNER, UnixMillis(1000), WITNESS.sign)
    said = verify(Handover(NODE, cosignatures=(signed,)).octets(), *asked)
    assert said.code == 0
    assert "at least 1 of 1" in said.out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--log-key", "x"), "a verifier key is"),
        (("--owner", "zz"), "--owner: a public key is 64 digits"),
        (("--owner", "00" * 32), "no Ed25519 public key"),
        (("--owner", "11" + "00" * 32), "--owner: a public key is 64 digits"),
        (("--quorum", "1"), "only 0 cosigners are named"),
        (("--receipt", "channel.closure"), "belong together"),
        (("--receipt", "none", "--report", "none"), "none cannot be read"),
        (("--keys", "none.json"), "none.json cannot be read"),
        (("--keys", "channel.closure"), "no list of keys"),
        (("--keys", "."), "there is no *.json"),
        (("--per-octets", "0"), "--per-octets"),
    ],
)
def test_wrong_use_is_two_and_says_what(verify: Verify, arguments: tuple[str, ...], says: str) -> None:
    said = verify(MADE.octets(), *arguments)
    assert said.code == 2
    assert says in said.err


def test_a_file_that_is_not_there(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main([str(tmp_path / "none")]) == 2
    assert "none cannot be read: No such file" in capsys.readouterr().err


@pytest.mark.parametrize("threads", [1, 2, 3, 64])
def test_threads_change_nothing(threads: int, tmp_path: Path) -> None:
    path = tmp_path / "channel.closure"
    path.write_bytes(MADE.octets())
    alone = closure_audit.audit_file(path, threads=1)
    assert closure_audit.audit_file(path, threads=threads) == alone
    assert alone.is_verified
    leaves = list(NODE.leaves)
    leaves[5] = leaves[5][:-1] + bytes([leaves[5][-1] ^ 1])
    path.write_bytes(Handover(NODE, leaves=leaves).octets())
    found = closure_audit.audit_file(path, threads=threads)
    assert found.fault is not None
    assert found.fault.place.startswith("entry 5, ")
