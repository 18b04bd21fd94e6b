"""The proposal's stream between a gateway and its forwarder, over real gRPC."""

import asyncio

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st
from senders import reading

from ocs.wire_pb import orc8r_pb2, proposal_pb2
from simulator.settlement import wire
from simulator.settlement.messages import Cause, Counters
from simulator.settlement.reading import Reading
from simulator.settlement.statistics import METHOD, SERVICE, Statistics, subscribe

NOW = 1_790_000_000_000
U32 = st.integers(0, 2**32 - 1)
U64 = st.integers(0, 2**64 - 1)


@given(
    st.builds(
        Reading,
        gy_session_id=st.text(min_size=1, max_size=40),
        incarnation=U32,
        imsi=st.text("0123456789", max_size=15),
        rat=U32,
        octets=st.builds(Counters, U64, U64),
        granted_bytes=U64,
        measured_at_ms=U64,
        cause=st.sampled_from(Cause),
        cc_request_number=U32,
        final=st.booleans(),
    )
)
def test_the_proposals_message_octet_for_octet(one):
    theirs = proposal_pb2.SessionStatisticsUpdate(
        gy_session_id=one.gy_session_id,
        incarnation=one.incarnation,
        imsi=one.imsi,
        rat=one.rat,
        cum_up_bytes=one.octets.up,
        cum_down_bytes=one.octets.down,
        granted_bytes=one.granted_bytes,
        measured_at_ms=one.measured_at_ms,
        cause=one.cause.value,
        cc_request_number=one.cc_request_number,
        final=one.final,
    )
    assert one.encode() == theirs.SerializeToString(deterministic=True)
    assert Reading.decode(one.encode()) == one


@pytest.mark.parametrize("octets", [b"", b"\x48\x01", b"\x0a\x01a\x48\x0a", b"\x0a\x01\xff\x48\x01"])
def test_what_is_no_reading_is_told(octets):
    with pytest.raises(wire.Unreadable):
        Reading.decode(octets)


def test_a_subscriber_is_told_what_is_and_what_comes():
    async def run() -> None:
        statistics = Statistics()
        statistics.tell(reading("a", 1, 1, NOW))
        statistics.tell(reading("a", 2, 2, NOW))
        statistics.tell(reading("a", 1, 0, NOW, incarnation=1))
        statistics.tell(reading("b", 3, 3, NOW, final=True))
        async with statistics.serving("127.0.0.1:0") as port:
            came = subscribe(f"127.0.0.1:{port}")
            first = await arrived(came, 3)
            assert [(one.gy_session_id, one.incarnation, one.octets) for one in first] == [
                ("a", 0, (2, 2)),
                ("a", 1, (1, 0)),
                ("b", 0, (3, 3)),
            ]
            statistics.tell(reading("c", 4, 4, NOW))
            assert [one.gy_session_id for one in await arrived(came, 1)] == ["c"]
            await came.aclose()

    asyncio.run(run())


def test_whoever_comes_back_is_told_again():
    async def run() -> None:
        statistics, said = Statistics(), []
        async with statistics.serving("127.0.0.1:0") as port:
            came = subscribe(f"127.0.0.1:{port}", said.append)
            statistics.tell(reading("a", 1, 1, NOW))
            await arrived(came, 1)
        statistics.tell(reading("a", 2, 2, NOW, final=True))
        async with statistics.serving(f"127.0.0.1:{port}"):
            (again,) = await arrived(came, 1)
            assert again.final
            await came.aclose()
        assert said

    asyncio.run(run())


def test_it_is_the_proposals_service():
    """A client of the generated messages finds it under the proposal's names, spelling included."""
    assert (SERVICE, METHOD) == ("SessionStaticsStreamer", "SessionStatistics")

    async def run() -> None:
        statistics = Statistics()
        statistics.tell(reading("a", 1, 1, NOW))
        async with statistics.serving("127.0.0.1:0") as port, grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            stream = channel.unary_stream(
                "/SessionStaticsStreamer/SessionStatistics",
                request_serializer=orc8r_pb2.Void.SerializeToString,
                response_deserializer=proposal_pb2.SessionStatisticsUpdate.FromString,
            )
            call = stream(orc8r_pb2.Void())
            assert (await call.read()).gy_session_id == "a"
            call.cancel()

    asyncio.run(run())


async def arrived(came, count: int) -> list[Reading]:
    """Wait until so many readings have come."""
    readings: list[Reading] = []
    async with asyncio.timeout(10):
        while len(readings) < count:
            readings += await anext(came)
    assert len(readings) == count
    return readings
