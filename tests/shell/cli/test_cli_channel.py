"""`ocs channel` over the real routes: what was bought, what is locked, and each miner's sums."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from api_door import OWNER, Door
from cli_door import Ocs, Wire
from ocs.signed.ed25519 import signer_of
from signed_reports import MINER
from signing_node import PER_OCTETS, SigningNode


@pytest.fixture
def node() -> SigningNode:
    """Let the door's own key open channels."""
    made = SigningNode()
    made.usage_policy = replace(made.usage_policy, owner_key=OWNER.public_key)
    return made


@pytest.fixture
def ocs(
    tmp_path: Path, node: SigningNode, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Ocs]:
    monkeypatch.chdir(tmp_path)
    with Door(tmp_path, node=node) as door:
        yield Wire(door, monkeypatch, capsys).run


def test_data_credits_are_bought_once_for_each_key(ocs: Ocs) -> None:
    first = ocs("channel", "top-up", "500", "--reference", "burn 1", "--key", "a", "-o", "json")
    again = ocs("channel", "top-up", "500", "--reference", "burn 1", "--key", "a", "-o", "json")
    assert (first.code, first.err) == (0, "")
    assert json.loads(again.out) == json.loads(first.out)
    other = ocs("channel", "top-up", "501", "--reference", "burn 1", "--key", "a")
    assert (other.code, other.out) == (5, "")
    fresh = ocs("channel", "top-up", "7", "--reference", "burn 2")
    assert re.search(r"--key [0-9a-f-]{36}$", fresh.err.strip()), "told, so that the command can be repeated"
    account = {"available": "1000507", "locked": "0", "spent": "0", "funded": "1000507"}
    assert json.loads(ocs("channel", "credits", "-o", "json").out) == account
    assert "1,000,507" in ocs("channel", "credits").out


def test_a_channels_life(ocs: Ocs, node: SigningNode) -> None:
    opened = json.loads(ocs("channel", "open", "--amount", "1000", "-o", "json").out)
    assert (opened["number"], opened["state"], opened["amount"]) == (1, "open", "1000")
    node.attach("sgw;1")
    sgw = node.begin("sgw;1")
    node.report(node.usage(sgw, 5 * PER_OCTETS))
    table = ocs("channel", "show", "1").out
    assert opened["channel_id"] in table
    assert signer_of(MINER.public_key).hex() in table
    assert "1 for 20,000 octets" in table
    shown = json.loads(ocs("channel", "show", opened["channel_id"], "-o", "json").out)
    assert (shown["used"], shown["miners"][0]["octets"]) == ("5", str(5 * PER_OCTETS))
    closed = json.loads(ocs("channel", "close", "1", "-o", "json").out)
    assert (closed["state"], closed["reason"]) == ("closing", "owner")
    rest = json.loads(ocs("channel", "open", "-o", "json").out)
    assert rest["amount"] == "999000", "all there is, where no amount is given"
    listed = json.loads(ocs("channel", "list", "-o", "json").out)
    assert [one["number"] for one in listed] == [2, 1]
    assert [one["number"] for one in json.loads(ocs("channel", "list", "--state", "open", "-o", "json").out)] == [2]
    assert "closing" in ocs("channel", "list").out
    again = ocs("channel", "close", "1")
    assert (again.code, again.out) == (5, "")
    assert "a channel that is closing cannot close" in again.err


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (("top-up", "1.5", "--reference", "r", "--key", "a"), 2, "amount: this is no whole number"),
        (("top-up", "0", "--reference", "r", "--key", "a"), 2, "an amount is 1 to"),
        (("top-up", "1", "--reference", "", "--key", "a"), 2, "a reference is"),
        (("open", "--amount", "1000001"), 2, "buy more first"),
        (("open", "--amount", "x"), 2, "amount: this is no whole number"),
        (("show", "9"), 2, "there is no channel 9; `ocs channel list` shows them"),
        (("show", "0" * 64), 2, "there is no channel"),
        (("show", "abc"), 2, "channel-id"),
        (("show", ".."), 2, "is no name"),
        (("close", "9"), 2, "there is no channel 9"),
        (("closure", "9", "channel.closure"), 2, "there is no channel 9"),
        (("closure", "1", "channel.closure"), 2, "channel 1"),
        (("list", "--state", "shut"), 2, "state: input should be 'open', 'draining', 'closing' or 'settled'"),
    ],
)
def test_what_goes_wrong_is_told_and_changes_nothing(
    ocs: Ocs, node: SigningNode, arguments: tuple[str, ...], code: int, told: str
) -> None:
    assert ocs("channel", "open", "--amount", "1000").code == 0
    events = len(node.events)
    said = ocs("channel", *arguments)
    assert (said.code, said.out) == (code, "")
    assert told in said.err
    assert len(node.events) == events
    assert not Path("channel.closure").exists()
