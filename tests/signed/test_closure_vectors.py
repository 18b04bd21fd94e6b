"""The published closures, which nothing of `ocs` has made (`write_closure_vectors.py`): octets beside the verdict."""

import io
import json
from typing import Any

import pytest
import write_closure_vectors

from ocs.auditing import Trust, audit
from ocs.channel.closure_file import read, write
from ocs.tlog.note import VerifierKey
from places import VECTORS

TOLD = json.loads((VECTORS / "closures.json").read_text("utf-8"))
TRUST = Trust(
    owner=bytes.fromhex(TOLD["owner"]),
    log_key=VerifierKey.parse(TOLD["log_key"]),
    per_octets=int(TOLD["per_octets"]),
    pairs=frozenset((bytes.fromhex(sgw), bytes.fromhex(miner)) for sgw, miner in TOLD["pairs"]),
)


@pytest.mark.parametrize("vector", TOLD["closures"], ids=lambda vector: vector["meaning"])
def test_each_has_its_verdict(vector: dict[str, Any]) -> None:
    found = audit(io.BytesIO(bytes.fromhex(vector["octets"])).read, TRUST)
    assert found.is_verified == (vector["code"] is None)
    if found.fault is not None:
        assert (found.fault.code, found.fault.place) == (vector["code"], vector["place"])


def test_the_good_one_says_what_was_signed() -> None:
    octets = bytes.fromhex(TOLD["closures"][0]["octets"])
    found = audit(io.BytesIO(octets).read, TRUST)
    assert found.recount is not None
    (summary,) = found.recount.summaries.values()
    assert (summary.commits, summary.credits, summary.octets, summary.sessions) == (3, 475, 9_500_000, 1)
    assert (found.entries, found.recount.used) == (4, 475)
    assert b"".join(write(read(io.BytesIO(octets).read))) == octets


def test_the_file_is_what_its_witness_writes() -> None:
    assert write_closure_vectors.whole() == TOLD
