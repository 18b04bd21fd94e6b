"""What SGW and miner write: octet for octet the published vectors, and what the server's own readers take."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from senders import MINER, SGW

from ocs.signed import envelope as server_envelope
from ocs.usage import record
from places import VECTORS
from signed_reports import NETWORK
from simulator.settlement import wire
from simulator.settlement.keys import Key
from simulator.settlement.messages import (
    Cause,
    Counters,
    Countersign,
    DoorPass,
    Envelope,
    Message,
    Names,
    SessionInit,
    Usage,
    seal,
    signed_bytes,
    subscriber_tag,
)
from simulator.settlement.miner import Miner, NotMine

ACCEPTED = [
    vector
    for vector in json.loads((VECTORS / "signed.json").read_text("utf-8"))
    if vector["message"] in {"SessionInit", "Usage", "Countersign"}
]
REFUSED = json.loads((VECTORS / "signed_refused.json").read_text("utf-8"))["refused"]


def message_of(vector) -> Message:
    """Make a message of a vector's fields, where numbers are decimal strings and octets hexadecimal."""
    fields = dict(vector["fields"])

    def octets(name: str) -> bytes:
        return bytes.fromhex(fields[name])

    def number(name: str) -> int:
        return int(fields[name])

    if vector["message"] == "Countersign":
        return Countersign(
            channel_id=octets("channel_id"),
            inner_id=octets("inner_id"),
            received_at_ms=number("received_at_ms"),
            miner_seq=number("miner_seq"),
            inner=octets("inner"),
        )
    names = Names(
        network=fields["network"],
        channel_id=octets("channel_id"),
        session_id=octets("session_id"),
        sgw_key=octets("sgw_key"),
        miner_key=octets("miner_key"),
    )
    if vector["message"] == "SessionInit":
        return SessionInit(
            names=names,
            subscriber_tag=octets("subscriber_tag"),
            rat=number("rat"),
            operator=fields["operator"],
            gy_session_id=fields["gy_session_id"],
            started_at_ms=number("started_at_ms"),
            granted_bytes=number("granted_bytes"),
            tariff_id=number("tariff_id"),
        )
    return Usage(
        names=names,
        seq=number("seq"),
        octets=Counters(number("cum_up_bytes"), number("cum_down_bytes")),
        measured_at_ms=number("measured_at_ms"),
        cause=Cause(number("cause")),
        prev_id=octets("prev_id"),
        cc_request_number=number("cc_request_number"),
        final=fields["final"],
    )


@pytest.mark.parametrize("vector", ACCEPTED, ids=lambda vector: vector["meaning"])
def test_the_vectors_octet_for_octet(vector):
    message = message_of(vector)
    assert message.encode().hex() == vector["payload"]
    assert signed_bytes(message.TYPE, message.encode()).hex() == vector["signed_bytes"]
    sealed = seal(message, Key(bytes.fromhex(vector["signer_seed"])))
    assert sealed.encode().hex() == vector["envelope"]
    assert sealed.message_id.hex() == vector["id"]
    assert Envelope.decode(sealed.encode()) == sealed
    assert sealed.signed


def test_each_of_the_three_has_a_vector():
    assert {vector["message"] for vector in ACCEPTED} == {"SessionInit", "Usage", "Countersign"}


@pytest.mark.parametrize("vector", [one for one in ACCEPTED if one["message"] == "Countersign"], ids=lambda v: v["id"])
def test_the_miner_writes_the_vectors(vector):
    fields = vector["fields"]
    written = Miner(MINER, SGW.signer, NETWORK).countersign(
        bytes.fromhex(fields["inner"]), int(fields["received_at_ms"]), int(fields["miner_seq"])
    )
    assert written.encode().hex() == vector["envelope"]


def inner_of(octets: bytes) -> bytes:
    """Open a countersigned envelope as its own miner would, and give what is inside.

    Raises:
        Unreadable, NotMine: no miner has written it.
    """
    outer = Envelope.decode(octets)
    if outer.payload_type != Countersign.TYPE or not outer.signed:
        raise NotMine
    return wire.read(outer.payload, known=range(1, 7)).octets(6)


MINER_OF_THE_VECTORS = Miner(MINER, SGW.signer, NETWORK)
SAID_BY_THE_SERVER = {"bad_seq", "out_of_range", "bad_key", "unpaired"}
"""Rules on what a pair may say, which its own miner does not hold against it."""


@pytest.mark.parametrize(
    "vector", [one for one in REFUSED if one["code"] not in SAID_BY_THE_SERVER], ids=lambda vector: vector["meaning"]
)
def test_the_miner_would_not_pass_on_what_is_refused(vector):
    """What the server refuses for its octets or its signatures is not what this miner countersigns again."""
    octets = bytes.fromhex(vector["octets"])
    with pytest.raises((wire.Unreadable, NotMine)):  # noqa: PT012  (either step may refuse)
        passed_on = MINER_OF_THE_VECTORS.countersign(inner_of(octets), 1, 1)
        if wire.read(Envelope.decode(octets).payload).octets(3) != wire.read(passed_on.payload).octets(3):
            raise NotMine("inner_id of another message")
        if wire.read(Envelope.decode(octets).payload).octets(2) != wire.read(passed_on.payload).octets(2):
            raise NotMine("another channel outside than inside")
        if Envelope.decode(octets).signer != MINER.signer:
            raise NotMine("another miner's")


U64 = st.integers(0, 2**64 - 1)
U32 = st.integers(0, 2**32 - 1)
HALF = st.integers(0, 2**62)
NAMES = st.builds(
    Names,
    network=st.just(NETWORK),
    channel_id=st.binary(min_size=32, max_size=32),
    session_id=st.binary(min_size=16, max_size=16),
    sgw_key=st.just(SGW.signer),
    miner_key=st.just(MINER.signer),
)
USAGES = st.builds(
    Usage,
    names=NAMES,
    seq=st.integers(1, 2**64 - 2),
    octets=st.builds(Counters, HALF, HALF),
    measured_at_ms=U64,
    cause=st.sampled_from(Cause),
    prev_id=st.binary(min_size=32, max_size=32),
    cc_request_number=U32,
    final=st.booleans(),
)
INITS = st.builds(
    SessionInit,
    names=NAMES,
    subscriber_tag=st.binary(min_size=32, max_size=32),
    rat=U32,
    operator=st.text("0123456789", min_size=5, max_size=6),
    gy_session_id=st.text(min_size=1, max_size=60),
    started_at_ms=U64,
    granted_bytes=HALF,
    tariff_id=U32,
)


@given(st.one_of(USAGES, INITS), U64, U64)
def test_the_server_reads_what_is_written(report, received_at_ms, miner_seq):
    sealed = seal(report, SGW)
    outer = Miner(MINER, SGW.signer, NETWORK).countersign(sealed.encode(), received_at_ms, miner_seq)
    read = record.Countersign.decode(server_envelope.decode(outer.encode()).payload)
    assert (read.inner, read.received_at_ms, read.miner_seq) == (sealed.encode(), received_at_ms, miner_seq)
    assert read.inner_id == server_envelope.message_id(server_envelope.decode(read.inner)) == sealed.message_id
    payload = server_envelope.decode(read.inner).payload
    kind = record.Usage if isinstance(report, Usage) else record.SessionInit
    assert kind.decode(payload).encode() == payload
    assert read.channel_id == kind.decode(payload).channel_id == report.names.channel_id


@given(USAGES, st.data())
def test_a_miner_passes_on_no_flipped_bit(report, data):
    octets = bytearray(seal(report, SGW).encode())
    bit = data.draw(st.integers(0, 8 * len(octets) - 1))
    octets[bit // 8] ^= 1 << bit % 8
    with pytest.raises(NotMine):
        Miner(MINER, SGW.signer, NETWORK).countersign(bytes(octets), 1, 1)


def test_a_miner_passes_on_its_own_pairs_reports_alone():
    vector = next(one for one in ACCEPTED if one["message"] == "Usage")
    inner = bytes.fromhex(vector["envelope"])
    with pytest.raises(NotMine, match="not that of this miner's SGW"):
        Miner(MINER, MINER.signer, NETWORK).countersign(inner, 1, 1)
    with pytest.raises(NotMine, match="other keys"):
        Miner(Key(bytes(32)), SGW.signer, NETWORK).countersign(inner, 1, 1)
    with pytest.raises(NotMine, match="another network"):
        Miner(MINER, SGW.signer, "live").countersign(inner, 1, 1)
    stray = seal(DoorPass(network="n", miner_key=MINER.signer, at_ms=1), SGW)
    with pytest.raises(NotMine, match="no report"):
        Miner(MINER, SGW.signer, NETWORK).countersign(stray.encode(), 1, 1)


def test_the_subscriber_tag_is_a_keyed_one():
    """RFC 4231 section 4.3 (test case 2), where the key and the data are texts."""
    tag = subscriber_tag(b"Jefe", "what do ya want for nothing?")
    assert tag.hex() == "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"


@given(st.lists(st.tuples(st.integers(1, 15), U64 | st.binary(max_size=200)), unique_by=lambda pair: pair[0]))
def test_what_is_written_is_read_back(pairs):
    written = b"".join(
        wire.number(field, value) if isinstance(value, int) else wire.octets(field, value) for field, value in pairs
    )
    read = wire.read(written)
    for field, value in pairs:
        if value:
            assert (read.number if isinstance(value, int) else read.octets)(field) == value


@pytest.mark.parametrize(
    ("octets", "why"),
    [
        ("0801", None),
        ("08010801", "twice"),
        ("088100", "octets to spare"),
        ("08ffffffffffffffffff02", "more than 64 bits"),
        ("08", "cut short"),
        ("0a05616263", "cut short"),
        ("0d00000000", "wire type 5"),
        ("7801", "unknown"),
        ("0001", "unknown"),
    ],
)
def test_a_message_has_one_meaning(octets, why):
    if why is None:
        assert wire.read(bytes.fromhex(octets), known=(1,)).number(1) == 1
        return
    with pytest.raises(wire.Unreadable, match=why):
        wire.read(bytes.fromhex(octets), known=(1,))
