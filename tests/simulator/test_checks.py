"""Each check passes a good answer and fails on one planted fault."""

from dataclasses import replace

import pytest

from simulator.checks import Rule, check_capabilities, check_credit_control, check_server_request
from simulator.wire import Avp, Flag, Message, avp

HOST = b"ocs.test"


def request(request_type: int = 2, *, wanted: bool = True, rating_groups: tuple[int, ...] = (1,)) -> Message:
    services = [
        avp(
            "Multiple-Services-Credit-Control",
            [
                avp("Rating-Group", group),
                *([avp("Requested-Service-Unit", [])] if wanted else []),
                avp("Used-Service-Unit", [avp("CC-Total-Octets", 5)]),
            ],
        )
        for group in rating_groups
    ]
    return Message(
        command=272,
        flags=Flag.REQUEST | Flag.PROXIABLE,
        application=4,
        hop_by_hop=11,
        end_to_end=22,
        avps=(
            avp("Session-Id", "sgw;1;2"),
            avp("CC-Request-Type", request_type),
            avp("CC-Request-Number", 3),
            *services,
        ),
    )


def service(*changes: Avp, without: tuple[str, ...] = (), code: int = 2001, group: int = 1) -> Avp:
    members = [
        avp("Rating-Group", group),
        avp("Result-Code", code),
        avp("Granted-Service-Unit", [avp("CC-Total-Octets", 1000)]),
        avp("Validity-Time", 60),
        avp("Volume-Quota-Threshold", 50),
    ]
    left_out = {*without, *(one.name for one in changes)}
    return avp("Multiple-Services-Credit-Control", [*(one for one in members if one.name not in left_out), *changes])


def refused(code: int = 4012, group: int = 1) -> Avp:
    return service(without=("Granted-Service-Unit", "Volume-Quota-Threshold"), code=code, group=group)


def without_code() -> Avp:
    return service(without=("Result-Code", "Granted-Service-Unit", "Volume-Quota-Threshold"))


def answer(asked: Message, *services: Avp, code: int = 2001) -> Message:
    return asked.answer(
        avp("Session-Id", asked.session_id),
        avp("Result-Code", code),
        avp("Origin-Host", HOST),
        avp("Origin-Realm", "test"),
        avp("Auth-Application-Id", 4),
        avp("CC-Request-Type", asked.number("CC-Request-Type")),
        avp("CC-Request-Number", asked.number("CC-Request-Number")),
        *services,
    )


def rules(asked: Message, got: Message) -> set[Rule]:
    return {violation.rule for violation in check_credit_control(asked, got, HOST)}


def changed(message: Message, name: str, *instead: Avp) -> Message:
    """Put other AVPs where the one of this name stands."""
    avps = [new for one in message.avps for new in (instead if one.name == name else (one,))]
    return replace(message, avps=tuple(avps))


FINAL_UNITS = avp("Final-Unit-Indication", [avp("Final-Unit-Action", 0)])

GOOD = {
    "grant": (request(), answer(request(), service())),
    "grant of the last units": (
        request(),
        answer(request(), service(FINAL_UNITS, without=("Volume-Quota-Threshold",))),
    ),
    "refused service": (request(), answer(request(), refused())),
    "one granted, one refused": (
        request(rating_groups=(1, 2)),
        answer(request(rating_groups=(1, 2)), service(), refused(group=2)),
    ),
    "report without a wish": (
        request(wanted=False),
        answer(request(wanted=False), service(without=("Granted-Service-Unit", "Volume-Quota-Threshold"))),
    ),
    "termination without services": (request(3, wanted=False), answer(request(3, wanted=False))),
    "refused command": (request(), answer(request(), code=5003)),
    "protocol error": (
        request(),
        replace(answer(request(), code=3004), flags=Flag.PROXIABLE | Flag.ERROR),
    ),
}


@pytest.mark.parametrize(("asked", "got"), GOOD.values(), ids=GOOD)
def test_a_good_answer_breaks_no_rule(asked, got):
    assert check_credit_control(asked, got, HOST) == []


def with_service(*changes: Avp, **how: object) -> Message:
    return answer(request(), service(*changes, **how))


PLAIN = answer(request(), service())

BROKEN = {
    "R set": (Rule.HEADER_FLAGS, replace(PLAIN, flags=0xC0)),
    "P lost": (Rule.HEADER_FLAGS, replace(PLAIN, flags=0)),
    "T set": (Rule.HEADER_FLAGS, replace(PLAIN, flags=0x50)),
    "E with success": (Rule.HEADER_FLAGS, replace(PLAIN, flags=0x60)),
    "3004 without E": (Rule.HEADER_FLAGS, answer(request(), code=3004)),
    "other command": (Rule.COMMAND, replace(PLAIN, command=258)),
    "other application": (Rule.COMMAND, replace(PLAIN, application=0)),
    "other end-to-end id": (Rule.IDENTIFIERS, replace(PLAIN, end_to_end=23)),
    "Session-Id second": (Rule.SESSION_ID_FIRST, replace(PLAIN, avps=(PLAIN.avps[1], PLAIN.avps[0], *PLAIN.avps[2:]))),
    "other Session-Id": (Rule.SESSION_ID_ECHO, changed(PLAIN, "Session-Id", avp("Session-Id", "SGW;1;2"))),
    "other type": (Rule.REQUEST_TYPE_ECHO, changed(PLAIN, "CC-Request-Type", avp("CC-Request-Type", 1))),
    "other number": (Rule.REQUEST_NUMBER_ECHO, changed(PLAIN, "CC-Request-Number", avp("CC-Request-Number", 4))),
    "no Origin-Realm": (Rule.MISSING_AVP, changed(PLAIN, "Origin-Realm")),
    "no Result-Code": (Rule.MISSING_AVP, changed(PLAIN, "Result-Code")),
    "two Result-Codes": (Rule.REPEATED_AVP, replace(PLAIN, avps=(*PLAIN.avps, avp("Result-Code", 2001)))),
    "Destination-Realm": (Rule.FORBIDDEN_AVP, replace(PLAIN, avps=(*PLAIN.avps, avp("Destination-Realm", "x")))),
    "unknown with M": (
        Rule.UNKNOWN_MANDATORY_AVP,
        replace(PLAIN, avps=(*PLAIN.avps, Avp("AVP 193/7", 7, 193, 0xC0, b""))),
    ),
    "unknown with M in a service": (
        Rule.UNKNOWN_MANDATORY_AVP,
        with_service(Avp("AVP 0/65000", 65000, 0, 0x40, b"")),
    ),
    "other application id": (Rule.APPLICATION, changed(PLAIN, "Auth-Application-Id", avp("Auth-Application-Id", 1))),
    "other Origin-Host": (Rule.ORIGIN_HOST, changed(PLAIN, "Origin-Host", avp("Origin-Host", "node-2"))),
    "service missing": (Rule.SERVICES, answer(request())),
    "service of another key": (Rule.SERVICES, answer(request(), service(group=2))),
    "service with a key added": (Rule.SERVICES, with_service(avp("Service-Identifier", 1))),
    "service twice": (Rule.SERVICES, answer(request(), service(), service())),
    "no code in a service": (Rule.SERVICE_CODE, answer(request(), without_code())),
    "strange code in a service": (Rule.SERVICE_CODE, answer(request(), refused(5030))),
    "two grants": (
        Rule.REPEATED_AVP,
        with_service(avp("Granted-Service-Unit", [avp("CC-Total-Octets", 1000)]), avp("Granted-Service-Unit", [])),
    ),
    "2001 and no grant": (
        Rule.GRANT_MISSING,
        with_service(without=("Granted-Service-Unit", "Volume-Quota-Threshold")),
    ),
    "grant with 4012": (Rule.GRANT_UNASKED, with_service(code=4012)),
    "grant of nothing": (
        Rule.GRANT_ZERO,
        with_service(avp("Granted-Service-Unit", [avp("CC-Total-Octets", 0)]), without=("Volume-Quota-Threshold",)),
    ),
    "grant of another kind": (
        Rule.GRANT_ZERO,
        with_service(avp("Granted-Service-Unit", [avp("CC-Input-Octets", 9)]), without=("Volume-Quota-Threshold",)),
    ),
    "no Validity-Time": (Rule.VALIDITY_TIME, with_service(without=("Validity-Time",))),
    "Validity-Time 0": (Rule.VALIDITY_TIME, with_service(avp("Validity-Time", 0))),
    "threshold as large as the grant": (Rule.THRESHOLD, with_service(avp("Volume-Quota-Threshold", 1000))),
    "threshold beside final units": (Rule.THRESHOLD, with_service(FINAL_UNITS)),
    "threshold without a grant": (Rule.THRESHOLD, with_service(without=("Granted-Service-Unit",), code=4012)),
    "threshold without V": (
        Rule.THRESHOLD,
        with_service(replace(avp("Volume-Quota-Threshold", 50), flags=0x40)),
    ),
    "final units without an action": (
        Rule.FINAL_UNIT,
        with_service(avp("Final-Unit-Indication", []), without=("Volume-Quota-Threshold",)),
    ),
}


@pytest.mark.parametrize(("rule", "got"), BROKEN.values(), ids=BROKEN)
def test_a_planted_fault_is_named(rule, got):
    assert rules(request(), got) == {rule}


def test_a_grant_nobody_asked_for_is_named():
    asked = request(wanted=False)
    assert rules(asked, answer(asked, service())) == {Rule.GRANT_UNASKED}


def test_services_in_another_order_are_named():
    asked = request(rating_groups=(1, 2))
    assert rules(asked, answer(asked, service(group=2), service())) == {Rule.SERVICES}


def test_a_violation_names_rule_and_session():
    (violation,) = check_credit_control(request(), answer(request()), HOST)
    assert str(violation).startswith("services-not-mirrored: ")
    assert str(violation).endswith("[sgw;1;2]")


def reauth(**header: int) -> Message:
    avps = (
        avp("Session-Id", "sgw;1;2"),
        avp("Origin-Host", HOST),
        avp("Origin-Realm", "test"),
        avp("Destination-Realm", "visited"),
        avp("Destination-Host", "sgw"),
        avp("Auth-Application-Id", 4),
        avp("Re-Auth-Request-Type", 0),
    )
    return replace(Message(command=258, flags=0xC0, application=4, avps=avps), **header)


@pytest.mark.parametrize(
    ("rule", "got"),
    [
        (None, reauth()),
        (None, reauth(flags=0xD0)),
        (Rule.HEADER_FLAGS, reauth(flags=0x80)),
        (Rule.APPLICATION, reauth(application=0)),
        (Rule.MISSING_AVP, changed(reauth(), "Destination-Realm")),
        (Rule.ORIGIN_HOST, changed(reauth(), "Origin-Host", avp("Origin-Host", "other"))),
        (Rule.SERVER_REQUEST, changed(reauth(), "Destination-Host", avp("Destination-Host", "other"))),
        (Rule.SERVER_REQUEST, changed(reauth(), "Re-Auth-Request-Type", avp("Re-Auth-Request-Type", 1))),
        (Rule.SESSION_ID_FIRST, replace(reauth(), avps=(*reauth().avps[1:], reauth().avps[0]))),
    ],
)
def test_a_request_of_the_server_is_checked(rule, got):
    assert {one.rule for one in check_server_request(got, HOST, b"sgw")} == ({rule} if rule else set())


def capabilities(*without: str) -> Message:
    avps = (
        avp("Result-Code", 2001),
        avp("Origin-Host", HOST),
        avp("Origin-Realm", "test"),
        avp("Host-IP-Address", "127.0.0.1"),
        avp("Vendor-Id", 10415),
        avp("Product-Name", "ocs"),
        avp("Auth-Application-Id", 4),
    )
    return Message(command=257, flags=0, application=0, avps=tuple(one for one in avps if one.name not in without))


def test_the_capabilities_are_checked():
    assert check_capabilities(capabilities()) == []
    for name in ("Origin-Host", "Host-IP-Address", "Vendor-Id", "Product-Name"):
        assert [one.rule for one in check_capabilities(capabilities(name))] == [Rule.MISSING_AVP]
    assert [one.rule for one in check_capabilities(capabilities("Auth-Application-Id"))] == [Rule.APPLICATION]
    with_gx = replace(capabilities(), avps=(*capabilities().avps, avp("Auth-Application-Id", 16777238)))
    assert [one.rule for one in check_capabilities(with_gx)] == [Rule.APPLICATION]
