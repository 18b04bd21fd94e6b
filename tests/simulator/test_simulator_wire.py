"""scapy's octets beside their meaning, and beside what an independent stack reads in them."""

import pytest
from diameter.message import Message as PeerMessage

from simulator.messages import (
    CreditRequest,
    Identity,
    Reason,
    ServiceKey,
    ServiceUnits,
    Volume,
    capabilities_exchange_request,
    credit_control_request,
    device_watchdog_request,
    disconnect_peer_request,
)
from simulator.profile import MAGMA, OPEN5GS, PROFILES, STANDARD, RequestType, TerminationCause
from simulator.wire import Avp, Malformed, Message, avp, message_octets

IDENTITY = Identity(host="sgw.test", realm="test", address="127.0.0.1", destination_realm="ocs.test")

ORIGIN = "00000108 40000010 7367772e74657374  00000128 4000000c 74657374"


def octets(shown: str) -> bytes:
    return bytes.fromhex(shown)


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        (device_watchdog_request(IDENTITY), f"01000030 80000118 00000000 00000000 00000000 {ORIGIN}"),
        (
            disconnect_peer_request(IDENTITY, 0),
            f"0100003c 8000011a 00000000 00000000 00000000 {ORIGIN} 00000111 4000000c 00000000",
        ),
    ],
    ids=["DWR", "DPR"],
)
def test_base_requests_have_these_octets(message, shown):
    assert message.encode() == octets(shown)
    assert Message.decode(octets(shown)) == message


@pytest.mark.parametrize(
    ("one", "shown"),
    [
        (avp("Requested-Service-Unit", []), "000001b5 40000008"),
        (avp("Host-IP-Address", "127.0.0.1"), "00000101 4000000e 0001 7f000001 0000"),
        (avp("Host-IP-Address", "::1"), "00000101 4000001a 0002 00000000000000000000000000000001 0000"),
        (avp("CC-Total-Octets", 2**40), "000001a5 40000010 0000010000000000"),
        (avp("Volume-Quota-Threshold", 5), "00000365 c0000010 000028af 00000005"),
        (avp("3GPP-RAT-Type", b"\x06"), "00000015 8000000d 000028af 06 000000"),
        (Avp("AVP 193/7", 7, 193, 0x80, b"ab"), "00000007 8000000e 000000c1 6162 0000"),
        (
            avp("Used-Service-Unit", [avp("CC-Input-Octets", 1), avp("Reporting-Reason", 0)]),
            "000001be 40000028 0000019c 40000010 0000000000000001 00000368 c0000010 000028af 00000000",
        ),
    ],
    ids=lambda value: value.name if isinstance(value, Avp) else "",
)
def test_avps_have_these_octets(one, shown):
    body = octets(shown)
    message = Message(command=272, flags=0xC0, application=4, hop_by_hop=1, end_to_end=2, avps=(one,))
    header = octets(f"01{20 + len(body):06x} c0000110 00000004 00000001 00000002")
    assert message.encode() == header + body
    assert Message.decode(header + body) == message


def a_request(request_type: RequestType, *, imsi: str = "001010123456789") -> CreditRequest:
    final = request_type is RequestType.TERMINATION
    first = request_type is RequestType.INITIAL
    return CreditRequest(
        session_id=b"sgw.test;1;2",
        request_type=request_type,
        number=0 if first else 7,
        imsi=imsi,
        event_time=1_700_000_000,
        services=(
            ServiceUnits(
                key=ServiceKey(1, 9),
                wanted=not final,
                used=None if first else Volume(30, 70),
                reason=None if first else Reason.FINAL if final else Reason.THRESHOLD,
            ),
        ),
        termination_cause=TerminationCause.ADMINISTRATIVE if final else None,
        server_host="ocs.test",
    )


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
@pytest.mark.parametrize("request_type", RequestType)
def test_an_independent_stack_reads_every_request(profile, request_type):
    message = credit_control_request(a_request(request_type), profile, IDENTITY)
    assert Message.decode(message.encode()) == message

    read = PeerMessage.from_bytes(message.encode())
    assert read.session_id == "sgw.test;1;2"
    assert (read.cc_request_type, read.cc_request_number) == (request_type, message.number("CC-Request-Number"))
    assert read.subscription_id[0].subscription_id_data == "001010123456789"
    assert read.service_context_id == profile.service_context_id
    assert read.service_information.ps_information.called_station_id == "internet"
    (service,) = read.multiple_services_credit_control
    assert (service.requested_service_unit is not None) == (request_type is not RequestType.TERMINATION)
    if request_type is not RequestType.INITIAL:
        (used,) = service.used_service_unit
        assert (used.cc_input_octets, used.cc_output_octets) == (30, 70)
        assert used.cc_total_octets == (None if profile is OPEN5GS else 100)


def names(message: Message) -> list[str]:
    return [one.name for one in message.avps]


def test_open5gs_sends_no_key_and_its_own_realm():
    message = credit_control_request(a_request(RequestType.INITIAL), OPEN5GS, IDENTITY)
    (service,) = message.services
    assert [one.name for one in service.members] == ["Requested-Service-Unit", "QoS-Information"]
    assert message.octets("Destination-Realm") == b"test"
    assert "Destination-Host" not in names(message)
    assert message.number("Requested-Action") == 0
    assert message.number("Multiple-Services-Indicator") == 0


def test_open5gs_knows_one_termination_cause():
    message = credit_control_request(a_request(RequestType.TERMINATION), OPEN5GS, IDENTITY)
    assert message.number("Termination-Cause") == TerminationCause.LOGOUT


def test_magma_sends_its_origin_last_and_no_termination_cause():
    message = credit_control_request(a_request(RequestType.TERMINATION), MAGMA, IDENTITY)
    assert names(message)[:2] == ["Session-Id", "Multiple-Services-Credit-Control"]
    assert names(message)[-4:] == ["Origin-Host", "Origin-Realm", "Origin-State-Id", "Destination-Realm"]
    assert "Termination-Cause" not in names(message)


def test_the_standard_gateway_lets_the_server_choose():
    message = credit_control_request(a_request(RequestType.INITIAL), STANDARD, IDENTITY)
    (wanted,) = message.services[0].all("Requested-Service-Unit")
    assert wanted.members == ()


def test_reasons_stand_where_the_standard_puts_them():
    update = credit_control_request(a_request(RequestType.UPDATE), STANDARD, IDENTITY).services[0]
    assert update.all("Used-Service-Unit")[0].number("Reporting-Reason") == Reason.THRESHOLD
    assert update.number("Reporting-Reason") is None
    final = credit_control_request(a_request(RequestType.TERMINATION), STANDARD, IDENTITY).services[0]
    assert final.all("Used-Service-Unit")[0].number("Reporting-Reason") is None
    assert final.number("Reporting-Reason") == Reason.FINAL


def test_the_capabilities_offer_credit_control_both_ways():
    cer = capabilities_exchange_request(IDENTITY, STANDARD)
    assert cer.number("Auth-Application-Id") == 4
    (vendor_specific,) = cer.all("Vendor-Specific-Application-Id")
    assert vendor_specific.number("Auth-Application-Id") == 4
    assert PeerMessage.from_bytes(cer.encode()).host_ip_address == [(1, "127.0.0.1")]


def test_a_message_cut_anywhere_is_no_message():
    whole = credit_control_request(a_request(RequestType.UPDATE), STANDARD, IDENTITY).encode()
    for end in range(len(whole)):
        with pytest.raises(Malformed):
            Message.decode(whole[:end])


@pytest.mark.parametrize(
    "shown",
    [
        "0100001c c0000110 00000004 00000001 00000002  000001a0 40000010",  # an AVP longer than the message
        "01000020 c0000110 00000004 00000001 00000002  000001a0 40000010 00000001",  # a number of another length
        "0100002c c0000110 00000004 00000001 00000002  000001c8 40000018 000001b0 40000010 00000001 00000000",
        "02000014 c0000110 00000004 00000001 00000002",
    ],
    ids=["avp-length", "number-length", "group-length", "version"],
)
def test_lengths_that_do_not_add_up_are_no_message(shown):
    with pytest.raises(Malformed):
        Message.decode(octets(shown))


@pytest.mark.parametrize("header", ["01000010", "01000015", "01ffffff"])
def test_an_impossible_length_is_refused_before_it_is_awaited(header):
    with pytest.raises(Malformed):
        message_octets(octets(header))
