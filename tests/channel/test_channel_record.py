"""Records of a channel: both ways, and the edge of what each field may hold."""

from typing import Any

import pytest

from ocs.channel import record
from ocs.channel.record import ChannelClose, ChannelOpen, CloseReason, Commit, Summary
from ocs.signed import envelope
from ocs.signed.malformed import Malformed
from ocs.signed.refusal import Refusal

KEY = b"\x01" + bytes.fromhex("aa" * 32)


def commit(**changes: Any) -> Commit:
    return Commit(
        **{
            "version": 1,
            "channel_id": bytes.fromhex("c0" * 32),
            "index": 4,
            "countersign_id": bytes.fromhex("cc" * 32),
            "miner_key": KEY,
            "session_id": bytes(16),
            "seq": 3,
            "delta_bytes": 1_000_000,
            "delta_dc": 50,
            "channel_total_dc": 1250,
            "committed_at_ms": 1_790_000_000_000,
            "prev_commit": bytes.fromhex("dd" * 32),
        }
        | changes
    )


def channel_open(**changes: Any) -> ChannelOpen:
    return ChannelOpen(
        **{
            "version": 1,
            "network": "testnet",
            "owner_key": KEY,
            "owner_nonce": 1,
            "amount_dc": 10_000_000,
            "open_height": 497_000,
            "expire_height": 497_024,
            "grace_blocks": 2,
            "tariff_id": 1,
            "max_miners": 100,
            "operator_id": "",
        }
        | changes
    )


def channel_close(miners: int = 2, **changes: Any) -> ChannelClose:
    return ChannelClose(
        **{
            "version": 1,
            "channel_id": bytes.fromhex("c0" * 32),
            "nonce": 2,
            "reason": CloseReason.EPOCH_END,
            "used_dc": 1250,
            "refund_dc": 9_998_750,
            "log_size": 5,
            "log_root": bytes.fromhex("ee" * 32),
            "summaries": tuple(
                Summary(b"\x01" + place.to_bytes(32, "big"), 10, 625, 12_500_000, 1) for place in range(miners)
            ),
        }
        | changes
    )


@pytest.mark.parametrize(
    "kept",
    [
        commit(),
        commit(index=0, seq=0, delta_bytes=0, delta_dc=0, channel_total_dc=0, prev_commit=record.NO_COMMIT),
        commit(channel_total_dc=2**63 - 1, delta_bytes=2**63),
        channel_open(),
        channel_open(operator_id="Telefónica", max_miners=record.MINERS_MAX, amount_dc=2**63 - 1),
        channel_close(),
        channel_close(miners=0, used_dc=0),
        channel_close(miners=record.MINERS_MAX),
        *[channel_close(reason=reason) for reason in CloseReason],
        channel_close(summaries=(Summary(KEY, 0, 0, 0, 0),)),
    ],
    ids=lambda kept: type(kept).__name__,
)
def test_records_both_ways(kept: Commit | ChannelOpen | ChannelClose) -> None:
    assert type(kept).decode(kept.encode()) == kept


@pytest.mark.parametrize(
    ("broken", "code"),
    [
        (commit(version=2), Refusal.OUT_OF_RANGE),
        (commit(prev_commit=b""), Refusal.MALFORMED),
        (commit(miner_key=bytes(32)), Refusal.MALFORMED),
        (commit(delta_dc=2**63), Refusal.OUT_OF_RANGE),
        (commit(delta_bytes=2**63 + 1), Refusal.OUT_OF_RANGE),
        (channel_open(network=""), Refusal.MALFORMED),
        (channel_open(owner_key=b""), Refusal.MALFORMED),
        (channel_open(amount_dc=2**63), Refusal.OUT_OF_RANGE),
        (channel_open(max_miners=record.MINERS_MAX + 1), Refusal.OUT_OF_RANGE),
        (channel_open(operator_id="o" * 257), Refusal.MALFORMED),
        (channel_close(reason=0), Refusal.OUT_OF_RANGE),
        (channel_close(reason=5), Refusal.OUT_OF_RANGE),
        (channel_close(log_root=bytes(31)), Refusal.MALFORMED),
        (channel_close(miners=record.MINERS_MAX + 1), Refusal.MALFORMED),
        (channel_close(summaries=(Summary(KEY[1:], 1, 1, 1, 1),)), Refusal.MALFORMED),
        (channel_close(summaries=(Summary(KEY, 1, 2**63, 1, 1),)), Refusal.OUT_OF_RANGE),
    ],
)
def test_what_no_record_holds(broken: Commit | ChannelOpen | ChannelClose, code: Refusal) -> None:
    with pytest.raises(Malformed) as refused:
        type(broken).decode(broken.encode())
    assert refused.value.code is code


def test_an_open_has_no_field_3() -> None:
    with pytest.raises(Malformed, match="field 3 at octet"):
        ChannelOpen.decode(channel_open().encode() + b"\x1a\x00")


def test_a_channel_is_named_by_what_opens_it() -> None:
    payload = channel_open().encode()
    covered = envelope.signed_bytes("settlement/channel-open/v1", payload)
    assert record.channel_id(payload) == envelope.digest(covered)
    assert record.channel_id(payload) != record.channel_id(channel_open(amount_dc=1).encode())


def test_commits_are_chained_by_id() -> None:
    first = commit(index=0, prev_commit=record.NO_COMMIT).encode()
    second = commit(index=1, prev_commit=record.commit_id(first))
    assert second.prev_commit == envelope.digest(envelope.signed_bytes("settlement/commit/v1", first))


def test_sizes_are_about_those_of_the_reference() -> None:
    assert abs(len(commit().encode()) - 182) < 12
    largest = channel_close(miners=record.MINERS_MAX).encode()
    assert len(largest) < 110_000
    assert len(envelope.encode(envelope.Envelope("t", largest, KEY, bytes(64)))) < envelope.ENVELOPE_OCTETS_MAX
