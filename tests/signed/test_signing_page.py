"""docs/signing.md says what is in the messages: a sender in another language is written from it alone."""

import re

import pytest

from ocs.reporting import CLOCK_MS_MAX, SEQ_JUMP_MAX
from ocs.signed.refusal import Refusal
from ocs.units import MINUTE
from ocs.usage.door_pass import DOOR_TYPE
from ocs.usage.opening import REPORT_OCTETS_MAX
from ocs.usage.record import COUNTERSIGN_TYPE, SESSION_INIT_TYPE, USAGE_TYPE, Cause
from ocs.wire_pb import settlement_pb2 as pb
from places import DOCS

PAGE = (DOCS / "signing.md").read_text()
OF_OTHERS = {
    # Of a rotation, an Open, a Close or a proof: no report is refused with them.
    "bad_rotation", "bad_nonce", "reused_id", "bad_expiry", "over_balance", "unknown_operator", "too_many_channels",
    "already_closed", "stale_nonce", "overspent", "summaries_unsorted", "summaries_duplicate", "wrong_sum",
    "wrong_root", "wrong_refund", "proof_invalid",
}  # fmt: skip


@pytest.mark.parametrize(
    ("heading", "message", "begins"),
    [
        ("Envelope", pb.Envelope, 1),
        (f"SessionInit: `{SESSION_INIT_TYPE}`, signed by the SGW", pb.SessionInit, 1),
        (f"Usage: `{USAGE_TYPE}`, signed by the SGW", pb.Usage, 7),
        (f"Countersign: `{COUNTERSIGN_TYPE}`, signed by the miner", pb.Countersign, 1),
        ("How reports are sent", pb.DoorPass, 1),
    ],
)
def test_each_field_is_there_with_its_number(heading: str, message: type, begins: int) -> None:
    (section,) = re.findall(rf"^##+ {re.escape(heading)}\n(.*?)(?=^##|\Z)", PAGE, re.MULTILINE | re.DOTALL)
    told = re.findall(r"^\| (\d+) \| `(\w+)` \| (\w+)", section, re.MULTILINE)
    fields = [field for field in message.DESCRIPTOR.fields if field.number >= begins]  # type: ignore[attr-defined]  # a generated class has one
    assert [(int(number), name) for number, name, _ in told] == [(field.number, field.name) for field in fields]
    kinds = {3: "string", 4: "uint64", 8: "bool", 9: "string", 12: "bytes", 13: "uint32", 14: "enum"}
    assert [kind for _, _, kind in told] == [kinds[field.type] for field in fields]


def test_each_cause_and_code_is_there() -> None:
    assert all(f"{int(cause)} {cause.name}" in PAGE for cause in Cause)
    (table,) = re.findall(r"^## Refusals\n(.*)", PAGE, re.MULTILINE | re.DOTALL)
    told = set(re.findall(r"`(\w+)`", "\n".join(re.findall(r"^\| (`.*?) \| ", table, re.MULTILINE))))
    assert told == {code.value for code in Refusal} - OF_OTHERS


def test_its_figures_are_ours() -> None:
    assert f"`{DOOR_TYPE}`" in PAGE
    assert f"{REPORT_OCTETS_MAX:,} at the most" in PAGE
    assert (CLOCK_MS_MAX, SEQ_JUMP_MAX) == (5 * MINUTE, 1_000_000)
    for figure in ("within five minutes", "more than a million above"):
        assert figure in PAGE
