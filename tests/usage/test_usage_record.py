"""Records of usage: both ways, and the edge of what each field may hold."""

from typing import Any

import pytest

from ocs.signed import fields
from ocs.signed.malformed import Malformed
from ocs.signed.refusal import Refusal
from ocs.usage import record
from ocs.usage.dispute import Dispute, DisputeKind
from ocs.usage.record import Cause, Countersign, SessionInit, Usage
from signed_reports import countersign, session_init, signed, usage

COUNTER_MAX = fields.COUNTER_MAX


@pytest.mark.parametrize(
    "kept",
    [
        session_init(),
        session_init(rat=0, started_at_ms=0, granted_bytes=0, tariff_id=0),
        session_init(network="n" * 64, operator="310410", gy_session_id="é" * 127, granted_bytes=COUNTER_MAX),
        usage(),
        usage(cum_up_bytes=0, cum_down_bytes=0, measured_at_ms=0, cc_request_number=0),
        usage(cum_up_bytes=COUNTER_MAX, cum_down_bytes=0, final=True, measured_at_ms=2**64 - 1),
        usage(seq=2**64 - 2, cc_request_number=2**32 - 1),
        *[usage(cause=cause) for cause in Cause],
        countersign(signed(usage())),
        countersign(signed(session_init()), received_at_ms=0, miner_seq=2**64 - 1),
        countersign(b"", inner_id=bytes(32)),
        Dispute(DisputeKind.SAME_SEQ, b"one", b"other"),
    ],
)
def test_records_both_ways(kept: SessionInit | Usage | Countersign | Dispute) -> None:
    assert type(kept).decode(kept.encode()) == kept


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"version": 0}, Refusal.OUT_OF_RANGE),
        ({"version": 2}, Refusal.OUT_OF_RANGE),
        ({"network": ""}, Refusal.MALFORMED),
        ({"network": "n" * 65}, Refusal.MALFORMED),
        ({"network": "test net"}, Refusal.MALFORMED),
        ({"network": "test\nnet"}, Refusal.MALFORMED),
        ({"network": "tést"}, Refusal.MALFORMED),
        ({"channel_id": b""}, Refusal.MALFORMED),
        ({"channel_id": bytes(31)}, Refusal.MALFORMED),
        ({"session_id": bytes(17)}, Refusal.MALFORMED),
        ({"sgw_key": bytes(32)}, Refusal.MALFORMED),
        ({"miner_key": bytes(34)}, Refusal.MALFORMED),
        ({"cum_up_bytes": COUNTER_MAX, "cum_down_bytes": 1}, Refusal.OUT_OF_RANGE),  # row 12
        ({"cum_up_bytes": 2**64 - 1, "cum_down_bytes": 2**64 - 1}, Refusal.OUT_OF_RANGE),
        ({"cause": 0}, Refusal.OUT_OF_RANGE),
        ({"cause": 10}, Refusal.OUT_OF_RANGE),
        ({"prev_id": b""}, Refusal.MALFORMED),
        ({"cc_request_number": 2**32}, Refusal.OUT_OF_RANGE),
        ({"final": 2}, Refusal.OUT_OF_RANGE),
        ({"seq": 0}, Refusal.BAD_SEQ),  # row 11
        ({"seq": 2**64 - 1}, Refusal.BAD_SEQ),
        ({"seq": 0, "cause": 0}, Refusal.OUT_OF_RANGE),  # and not bad_seq, which comes last
    ],
)
def test_what_no_usage_holds(change: dict[str, Any], code: Refusal) -> None:
    with pytest.raises(Malformed) as refused:
        Usage.decode(usage(**change).encode())
    assert refused.value.code is code


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"subscriber_tag": b"001010000000001"}, Refusal.MALFORMED),
        ({"operator": "0010"}, Refusal.MALFORMED),
        ({"operator": "0010101"}, Refusal.MALFORMED),
        ({"operator": "00l01"}, Refusal.MALFORMED),
        ({"operator": "٠٠١"}, Refusal.MALFORMED),  # digits, and not those of ASCII
        ({"gy_session_id": ""}, Refusal.MALFORMED),
        ({"gy_session_id": "g" * 256}, Refusal.MALFORMED),
        ({"granted_bytes": COUNTER_MAX + 1}, Refusal.OUT_OF_RANGE),
        ({"rat": 2**32}, Refusal.OUT_OF_RANGE),
    ],
)
def test_what_no_session_init_holds(change: dict[str, Any], code: Refusal) -> None:
    with pytest.raises(Malformed) as refused:
        SessionInit.decode(session_init(**change).encode())
    assert refused.value.code is code


@pytest.mark.parametrize(
    "change", [{"inner_id": bytes(31)}, {"channel_id": b""}, {"inner": bytes(record.INNER_OCTETS_MAX + 1)}]
)
def test_what_no_countersign_holds(change: dict[str, bytes]) -> None:
    with pytest.raises(Malformed) as refused:
        Countersign.decode(countersign(**({"inner": signed(usage()), "inner_id": bytes(32)} | change)).encode())
    assert refused.value.code is Refusal.MALFORMED


def test_the_longest_honest_messages_fit() -> None:
    longest = session_init(
        network="n" * 64,
        operator="310410",
        gy_session_id="g" * 255,
        granted_bytes=COUNTER_MAX,
        started_at_ms=2**64 - 1,
        rat=2**32 - 1,
        tariff_id=2**32 - 1,
    )
    assert len(signed(longest)) < 800 < record.INNER_OCTETS_MAX


def test_sizes_are_about_those_of_the_reference() -> None:
    assert abs(len(usage().encode()) - 195) < 10
    assert abs(len(signed(usage())) - 332) < 20


def test_cumulative_octets_are_those_of_both_directions() -> None:
    assert usage(cum_up_bytes=3, cum_down_bytes=4).cum_bytes == 7


def test_a_message_has_an_end() -> None:
    with pytest.raises(Malformed, match="at the most"):
        Usage.decode(bytes(10_000_000))
