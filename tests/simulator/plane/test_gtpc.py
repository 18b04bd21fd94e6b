"""GTPv2-C messages: what stands in which, read by hand, and back again through scapy."""

import contextlib
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.plane.gtpc import BearerContext, Cause, ControlMessage, FTeid, Interface, Kind
from simulator.plane.layers import Malformed

MME = FTeid(Interface.S11_MME, 0x11, "127.0.0.2")
PGW = FTeid(Interface.S8C_PGW, 0x22, "127.0.0.5")
ENB = FTeid(Interface.S1U_ENB, 0x33, "127.0.0.1")
SGW_S1 = FTeid(Interface.S1U_SGW, 0x44, "127.0.0.3")
SGW_S8 = FTeid(Interface.S8U_SGW, 0x55, "127.0.0.3")
PGW_S8 = FTeid(Interface.S8U_PGW, 0x66, "127.0.0.5")

CREATE = ControlMessage(
    kind=Kind.CREATE_SESSION_REQUEST,
    teid=0,
    sequence=0x010203,
    imsi="001010123456789",
    plmn="99970",
    rat=6,
    apn="internet.home",
    address="0.0.0.0",
    fteids=(MME, PGW),
    bearer=BearerContext(qos=True, fteids=(ENB, SGW_S8, PGW_S8)),
    recovery=3,
)
CREATED = ControlMessage(
    kind=Kind.CREATE_SESSION_RESPONSE,
    teid=0x11,
    sequence=1,
    cause=Cause.ACCEPTED,
    address="10.45.0.1",
    fteids=(replace(MME, interface=Interface.S11_SGW), PGW),
    bearer=BearerContext(cause=Cause.ACCEPTED, fteids=(SGW_S1, PGW_S8), qos=True, charging_id=9),
    recovery=0,
)
MODIFY = ControlMessage(
    kind=Kind.MODIFY_BEARER_REQUEST, teid=0x44, plmn="310410", rat=6, bearer=BearerContext(fteids=(ENB, SGW_S8))
)
DELETE = ControlMessage(kind=Kind.DELETE_SESSION_REQUEST, teid=0x44, linked_ebi=5, forward=True)
DELETE_BEARER = ControlMessage(kind=Kind.DELETE_BEARER_REQUEST, teid=0x44, linked_ebi=5)
ECHO = ControlMessage(kind=Kind.ECHO_REQUEST, teid=0, sequence=7, recovery=0)


def elements(octets: bytes) -> list[tuple[int, int, bytes]]:
    """Read type, instance and value of each element (TS 29.274 section 8.2.1)."""
    found = []
    while octets:
        length = int.from_bytes(octets[1:3], "big")
        found.append((octets[0], octets[3] & 0xF, octets[4 : 4 + length]))
        octets = octets[4 + length :]
    return found


def test_the_octets_of_a_create_session_request() -> None:
    octets = CREATE.encode()
    assert octets[:2] == bytes([0b0100_1000, 32])
    assert int.from_bytes(octets[2:4], "big") == len(octets) - 4
    assert octets[4:12] == bytes.fromhex("00000000 010203 00")
    found = elements(octets[12:])
    assert [(kind, instance) for kind, instance, _ in found] == [
        *[(1, 0), (83, 0), (82, 0), (87, 0), (87, 1), (71, 0), (128, 0), (99, 0), (79, 0), (127, 0), (72, 0)],
        *[(93, 0), (3, 0)],
    ]
    values = {(kind, instance): value for kind, instance, value in found}
    assert values[1, 0] == bytes.fromhex("00010121436587f9")
    assert values[83, 0] == bytes.fromhex("99f907")
    assert values[87, 0] == bytes([0x80 | 10]) + bytes.fromhex("00000011 7f000002")
    assert values[87, 1] == bytes([0x80 | 7]) + bytes.fromhex("00000022 7f000005")
    assert values[71, 0] == b"\x08internet\x04home"
    assert values[79, 0] == bytes.fromhex("01 00000000")
    bearer = elements(values[93, 0])
    assert [(kind, instance) for kind, instance, _ in bearer] == [(73, 0), (87, 0), (87, 2), (87, 3), (80, 0)]
    assert len(bearer[-1][2]) == 22


def test_where_the_tunnels_stand_in_the_other_messages() -> None:
    """The instances of tables 7.2.2-2, 7.2.7-2; a delete that is to go on to the PGW has its flag (section 8.12)."""
    created = {(kind, instance): value for kind, instance, value in elements(CREATED.encode()[12:])}
    assert created[2, 0] == bytes([16, 0])
    assert [place[:2] for place in elements(created[93, 0])] == [(73, 0), (2, 0), (87, 0), (87, 2), (80, 0), (94, 0)]
    modify = {kind: value for kind, _, value in elements(MODIFY.encode()[12:])}
    assert modify[83] == bytes.fromhex("130014")
    assert [place[:2] for place in elements(modify[93])] == [(73, 0), (87, 0), (87, 1)]
    assert elements(DELETE.encode()[12:]) == [(73, 0, b"\x05"), (77, 0, bytes([0b1000, 0]))]


def test_an_echo_names_no_tunnel() -> None:
    assert ECHO.encode() == bytes.fromhex("40010009 000007 00 03 0001 00 00")


@pytest.mark.parametrize("message", [CREATE, CREATED, MODIFY, DELETE, DELETE_BEARER, ECHO], ids=lambda one: one.kind)
def test_each_message_comes_back(message: ControlMessage) -> None:
    assert ControlMessage.decode(message.encode()) == message


@given(
    st.from_regex(r"[0-9]{15}", fullmatch=True),
    st.from_regex(r"[0-9]{5,6}", fullmatch=True),
    st.integers(0, 2**32 - 1),
    st.integers(0, 2**24 - 1),
    st.ip_addresses(v=4),
    st.sampled_from(Interface),
    st.sampled_from([None, *Cause]),
)
def test_any_values_come_back(imsi, plmn, teid, sequence, address, interface, cause) -> None:
    message = ControlMessage(
        kind=Kind.CREATE_SESSION_RESPONSE,
        teid=teid,
        sequence=sequence,
        cause=cause,
        imsi=imsi,
        plmn=plmn,
        address=str(address),
        fteids=(FTeid(interface, teid, str(address)),),
        bearer=BearerContext(ebi=15, cause=cause, charging_id=teid),
    )
    assert ControlMessage.decode(message.encode()) == message


@given(st.data())
def test_damaged_messages_are_messages_or_malformed(data: st.DataObject) -> None:
    octets = bytearray(data.draw(st.sampled_from([CREATE, CREATED, MODIFY, DELETE])).encode())
    for _ in range(data.draw(st.integers(1, 3))):
        octets[data.draw(st.integers(0, len(octets) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(octets[: data.draw(st.integers(0, len(octets)))])
    for hostile in (cut, cut[:2] + max(len(cut) - 4, 0).to_bytes(2, "big") + cut[4:]):
        with contextlib.suppress(Malformed):
            assert isinstance(ControlMessage.decode(hostile), ControlMessage)


def test_a_missing_tunnel_is_named() -> None:
    with pytest.raises(Malformed, match="S8U_PGW"):
        MODIFY.fteid(Interface.S8U_PGW)
