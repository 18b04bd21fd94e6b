"""AVPs that are cut wrongly, unknown, missing, doubled or of no sense: rows 7 and 10 to 20, against a real server.

Each stands in a CCR-U that reports use.  The session then goes on with the same number: the fault has moved nothing.
"""

import struct
from collections.abc import Callable, Iterable
from itertools import count
from typing import NamedTuple

import pytest

from faults.audit import Audit
from live.wire import (
    CCR,
    INITIAL,
    TERMINATION,
    UPDATE,
    Gateway,
    avp,
    ccr,
    group,
    message,
    mscc,
    services,
)

pytestmark = pytest.mark.live

ODD = "odd.visited.example"
SESSION_ID, ORIGIN_HOST, CONTEXT_ID, TYPE, NUMBER = 263, 264, 461, 416, 415
MSCC, USU, RSU, TOTAL, INPUT, OUTPUT, RATING_GROUP = 456, 446, 437, 421, 412, 414, 432
FAILED_AVP, PROXY_INFO = 279, 284
V3GPP = 10415
UNKNOWN = avp(70000, b"what")
_numbers = count(1)


class Case(NamedTuple):
    """What makes a sound CCR-U a bad one, and what Failed-AVP says of it; b"" for none."""

    spoil: Callable[[list[bytes]], list[bytes]]
    failed: bytes


def raw(code: int, flags: int, length: int, data: bytes = b"") -> bytes:
    return struct.pack(">II", code, flags << 24 | length) + data


def code_of(encoded: bytes) -> int:
    return int.from_bytes(encoded[:4], "big")


def more(*extra: bytes) -> Callable[[list[bytes]], list[bytes]]:
    return lambda avps: [*avps, *extra]


def changed(code: int, *instead: bytes) -> Callable[[list[bytes]], list[bytes]]:
    """Put others in the place of each AVP with this code."""

    def spoil(avps: list[bytes]) -> list[bytes]:
        return [one for old in avps for one in (instead if code_of(old) == code else (old,))]

    return spoil


def bearer(*members: bytes) -> bytes:
    return group(873, group(874, *members, vendor=V3GPP), vendor=V3GPP)


def octets(code: int, number: int) -> bytes:
    return avp(code, struct.pack(">Q", number))


def reported(*counters: bytes) -> bytes:
    return group(MSCC, group(RSU), group(USU, *counters), avp(RATING_GROUP, 1))


def refused(audit: Audit, code: int, cases: Iterable[Case]) -> None:
    """Send each case in a session of its own; insist on the code, on Failed-AVP and on nothing having moved."""
    cases = list(cases)
    with Gateway(audit.port, host=ODD).open() as gateway:
        for case in cases:
            session = f"{ODD};avp;{next(_numbers)}"
            assert gateway.ask(CCR, ccr(gateway, session, INITIAL, 0, mscc(1))).result_code == 2001
            answer = gateway.ask(CCR, case.spoil(ccr(gateway, session, UPDATE, 1, mscc(1, used=5000))))
            assert answer.result_code == code, (answer, case)
            assert answer.flags == 0x40, "a permanent failure has the command's own grammar"
            failed = answer.avps.all(FAILED_AVP)
            assert b"".join(one.data for one in failed) == case.failed
            assert not answer.avps.has(MSCC)
            goes_on(audit, gateway, session)
    assert audit.rose("ocs_ccr_answers", result_code=str(code)) == len(cases)
    assert audit.rose("ocs_conflicts") == 0


def taken(audit: Audit, cases: Iterable[Callable[[list[bytes]], list[bytes]]], octets_used: int = 70) -> None:
    """Send each variant in a session of its own; insist on 2001, a grant, and on its use being charged."""
    with Gateway(audit.port, host=ODD).open() as gateway:
        for spoil in cases:
            session = f"{ODD};avp;{next(_numbers)}"
            first = gateway.ask(CCR, ccr(gateway, session, INITIAL, 0, mscc(1)))
            assert first.result_code == 2001
            answer = gateway.ask(CCR, spoil(ccr(gateway, session, UPDATE, 1, mscc(1, used=octets_used))))
            assert answer.result_code == 2001, answer
            assert services(answer)[0].granted
            assert not answer.avps.has(FAILED_AVP)
            assert gateway.ask(CCR, ccr(gateway, session, TERMINATION, 2)).result_code == 2001
            audit.used += octets_used


def goes_on(audit: Audit, gateway: Gateway, session: str) -> None:
    assert gateway.ask(CCR, ccr(gateway, session, UPDATE, 1, mscc(1, used=7))).result_code == 2001
    assert gateway.ask(CCR, ccr(gateway, session, TERMINATION, 2)).result_code == 2001
    audit.used += 7


def nested(failed: bytes, *groups: int) -> bytes:
    for code in reversed(groups):
        failed = group(code, failed)
    return failed


@pytest.mark.fault(7)
def test_reserved_bits_of_an_avp(audit: Audit) -> None:
    """They are ignored, and no answer has them: not in the Proxy-Info either, which goes back as it came."""

    def odd(one: bytes) -> bytes:
        return one[:4] + bytes([one[4] | 0x3F]) + one[5:]

    def spoil(avps: list[bytes]) -> list[bytes]:
        return [odd(one) for one in (*avps, relayed)]

    relayed = group(PROXY_INFO, avp(280, "relay.example"), avp(33, b"state"))
    taken(audit, [spoil])
    refused(audit, 5001, [Case(lambda avps: [*spoil(avps), odd(UNKNOWN)], odd(UNKNOWN))])
    with Gateway(audit.port, host=ODD).open() as gateway:
        # The V bit with no vendor behind it names none.
        vendorless = raw(PROXY_INFO, 0xC0, 12 + len(relayed) - 8, bytes(4) + relayed[8:])
        for one in (relayed, odd(relayed), vendorless):
            for kind in (UPDATE, 9):
                answer = gateway.ask(CCR, ccr(gateway, "none", kind, 0, more=[one]))
                assert answer.result_code in (5002, 5004)
                (again,) = answer.avps.all(PROXY_INFO)
                assert (again.data, again.mandatory) == (relayed[8:], True)


@pytest.mark.fault(10)
@pytest.mark.parametrize("length", range(8))
def test_a_length_below_the_header(audit: Audit, length: int) -> None:
    broken, mended = raw(TYPE, 0x40, length), avp(TYPE, 0)
    unknown = raw(70000, 0x40, length)
    vendor = raw(70001, 0xC0, length)
    cases = [
        Case(more(broken), mended),
        Case(changed(TYPE, broken), mended),
        Case(more(group(MSCC, broken)), nested(mended, MSCC)),
        Case(more(group(MSCC, group(USU, raw(TOTAL, 0x40, length)))), nested(octets(TOTAL, 0), MSCC, USU)),
        Case(more(unknown), raw(70000, 0x40, 8)),
        Case(more(vendor), vendor_header(70001)),
    ]
    refused(audit, 5014, cases)


def vendor_header(code: int) -> bytes:
    """Give what stands for an AVP whose V bit has no room for a vendor."""
    return raw(code, 0x40, 8)


@pytest.mark.fault(11)
def test_a_length_past_the_end(audit: Audit) -> None:
    refused(
        audit,
        5014,
        [
            Case(more(raw(NUMBER, 0x40, 400, bytes(4))), avp(NUMBER, 0)),
            Case(more(raw(NUMBER, 0x40, 13, bytes(4))), avp(NUMBER, 0)),
            Case(more(raw(70000, 0x40, 0xFFFFFF)), raw(70000, 0x40, 8)),
            Case(more(bytes.fromhex("000001a0")), raw(TYPE, 0, 8)),
            Case(more(group(443, raw(450, 0x40, 99, bytes(4)))), nested(avp(450, 0), 443)),
            Case(more(raw(MSCC, 0x40, 16, avp(RATING_GROUP, 5))), nested(avp(RATING_GROUP, 0), MSCC)),
            Case(
                more(group(MSCC, raw(USU, 0x40, 16, octets(TOTAL, 5)), avp(RATING_GROUP, 5))),
                nested(octets(TOTAL, 0), MSCC, USU),
            ),
        ],
    )


@pytest.mark.fault(11)
def test_a_length_that_is_not_the_types(audit: Audit) -> None:
    def of(code: int, size: int) -> bytes:
        return avp(code, bytes(size))

    wrong = [(NUMBER, 3), (NUMBER, 0), (NUMBER, 5), (NUMBER, 8), (TYPE, 2), (258, 8), (55, 3)]
    cases = [Case(changed(code, of(code, size)), of(code, size)) for code, size in wrong if code != 55]
    cases += [
        Case(more(of(55, 3)), of(55, 3)),
        Case(more(group(MSCC, of(RATING_GROUP, 1))), nested(of(RATING_GROUP, 1), MSCC)),
        Case(more(reported(of(TOTAL, 4))), nested(of(TOTAL, 4), MSCC, USU)),
        Case(more(reported(of(TOTAL, 9))), nested(of(TOTAL, 9), MSCC, USU)),
    ]
    refused(audit, 5014, cases)


@pytest.mark.fault(12)
def test_padding_within(audit: Audit) -> None:
    imsi = b"001010000000001"
    bare = raw(444, 0x40, 8 + len(imsi), imsi)  # its group ends with it, one octet before the next AVP begins
    subscription = avp(450, 1) + bare
    odd = raw(443, 0x40, 8 + len(subscription), subscription)

    def dirty(avps: list[bytes]) -> list[bytes]:
        found = []
        for one in avps:
            length = int.from_bytes(one[5:8], "big")
            found.append(one[:length] + b"\xff" * (len(one) - length))
        assert found != avps
        return found

    taken(audit, [changed(443, odd + b"\0"), changed(443, odd + b"\xff"), dirty])


@pytest.mark.fault(12)
def test_no_padding_at_the_end(audit: Audit) -> None:
    """The message's length is then none that a message has."""
    with Gateway(audit.port, host=ODD).open() as gateway:
        session = f"{ODD};12"
        gateway.ask(CCR, ccr(gateway, session, INITIAL, 0, mscc(1)))
        avps = [*ccr(gateway, session, UPDATE, 1, mscc(1, used=5000)), raw(1, 0x40, 11, b"abc")]
        gateway.put(message(0xC0, CCR, 4, 7, 8, avps))
        assert gateway.answer(7).result_code == 5015
        assert gateway.closed()
    with Gateway(audit.port, host=ODD).open() as gateway:
        goes_on(audit, gateway, session)
    assert audit.rose("ocs_connections_closed", reason="length") == 1


@pytest.mark.fault(13)
def test_an_unknown_avp_with_m(audit: Audit) -> None:
    vendor = avp(77, b"what", vendor=4242)
    refused(
        audit,
        5001,
        [
            Case(more(UNKNOWN), UNKNOWN),
            Case(lambda avps: [avps[0], UNKNOWN, *avps[1:]], UNKNOWN),
            Case(more(vendor), vendor),
            Case(changed(TYPE, avp(TYPE, UPDATE, vendor=V3GPP)), avp(TYPE, UPDATE, vendor=V3GPP)),
            Case(changed(MSCC, group(MSCC, avp(RATING_GROUP, 1), UNKNOWN)), nested(UNKNOWN, MSCC)),
            Case(changed(MSCC, reported(octets(TOTAL, 5000), vendor)), nested(vendor, MSCC, USU)),
            Case(more(bearer(UNKNOWN)), bearer(UNKNOWN)),
            Case(more(avp(70000, bytes(5000))), raw(70000, 0x40, 8)),  # too long to be sent back
        ],
    )


@pytest.mark.fault(14)
def test_an_unknown_avp_without_m(audit: Audit) -> None:
    strangers = [
        avp(code, data, vendor=vendor, mandatory=False)
        for vendor in (0, 9, 193, 2011, 8164, V3GPP, 4242)
        for code, data in ((70000, b"what"), (70001, b""), (70002, bytes(300)))
    ]
    taken(
        audit,
        [
            more(*strangers),
            lambda avps: [avps[0], *strangers, *avps[1:]],
            changed(MSCC, group(MSCC, *strangers, group(RSU), group(USU, *strangers, octets(TOTAL, 70)), avp(432, 1))),
            more(bearer(*strangers)),
            # M within a group that has none itself (RFC 6733 section 4.4)
            more(group(70003, UNKNOWN, mandatory=False)),
        ],
    )


MANDATORY = {
    263: avp(263, b""),
    264: avp(264, b""),
    296: avp(296, b""),
    283: avp(283, b""),
    258: avp(258, 0),
    461: avp(461, b""),
    416: avp(416, 0),
    415: avp(415, 0),
}


@pytest.mark.fault(15)
def test_each_mandatory_avp_left_out(audit: Audit) -> None:
    cases = [Case(changed(code), example) for code, example in MANDATORY.items()]
    cases += [
        Case(lambda avps: [*avps[1:], avps[0]], MANDATORY[263]),  # it is there, and not where it must be
        Case(more(group(443, avp(444, "1"))), nested(avp(450, 0), 443)),
        Case(more(group(443, avp(450, 1))), nested(avp(444, b""), 443)),
        Case(more(group(PROXY_INFO, avp(280, "relay"))), nested(avp(33, b""), PROXY_INFO)),
    ]
    refused(audit, 5005, cases)
    with Gateway(audit.port, host=ODD).open() as gateway:
        answer = gateway.ask(CCR, changed(263)(ccr(gateway, "none", INITIAL, 0, mscc(1))))
        assert not answer.avps.has(263), "what was not there is not in the answer"
        assert (answer.avps.one(TYPE).number, answer.avps.one(NUMBER).number) == (INITIAL, 0)


SINGLE = {
    **dict.fromkeys(MANDATORY),
    293: avp(293, "ocs.example.net"),
    1: avp(1, "somebody"),
    278: avp(278, 1),
    55: avp(55, 0xE9AF2B00),
    295: avp(295, 1),
    436: avp(436, 0),
    455: avp(455, 1),
    2055: avp(2055, 1, vendor=V3GPP),
    873: bearer(),
}


@pytest.mark.fault(16)
def test_each_single_avp_twice(audit: Audit) -> None:
    def twice(code: int) -> Case:
        known = SINGLE[code]
        second = known or next(one for one in ccr_like() if code_of(one) == code)

        def spoil(avps: list[bytes]) -> list[bytes]:
            first = [] if known is None else [known]
            mine = second if known is not None else next(one for one in avps if code_of(one) == code)
            return [*avps, *first, mine]

        return Case(spoil, second)

    cases = [twice(code) for code in SINGLE if code != SESSION_ID]
    cases += [
        Case(
            changed(MSCC, group(MSCC, avp(RATING_GROUP, 1), avp(RATING_GROUP, 2))),
            nested(avp(RATING_GROUP, 2), MSCC),
        ),
        Case(
            changed(MSCC, reported(octets(TOTAL, 5000), octets(TOTAL, 5001))),
            nested(octets(TOTAL, 5001), MSCC, USU),
        ),
    ]
    refused(audit, 5009, cases)
    with Gateway(audit.port, host=ODD).open() as gateway:
        first = ccr(gateway, "odd;first", INITIAL, 0, mscc(1))
        answer = gateway.ask(CCR, [*first, avp(SESSION_ID, "odd;second")])
        assert (answer.result_code, answer.avps.one(SESSION_ID).data) == (5009, b"odd;first")
        assert answer.avps.one(FAILED_AVP).data == avp(SESSION_ID, "odd;second")


def ccr_like() -> list[bytes]:
    """Give what every CCR-U of these tests holds, but for its session."""

    class Named:
        host, realm = ODD, "visited.example"

    return ccr(Named(), "", UPDATE, 1)  # type: ignore[arg-type]  # two names are all it takes of a gateway


@pytest.mark.fault(17)
def test_values_that_no_enumeration_has(audit: Audit) -> None:
    cases = [Case(changed(TYPE, avp(TYPE, wrong)), avp(TYPE, wrong)) for wrong in (0, 5, 2**31, 2**32 - 1)]
    cases += [Case(changed(258, avp(258, wrong)), avp(258, wrong)) for wrong in (0, 3, 2**32 - 1)]
    cases += [Case(more(avp(436, wrong)), avp(436, wrong)) for wrong in (4, 2**32 - 1)]
    cases += [Case(more(avp(455, wrong)), avp(455, wrong)) for wrong in (2, 2**32 - 1)]
    cases += [
        Case(changed(443, group(443, avp(450, wrong), avp(444, "1"))), nested(avp(450, wrong), 443))
        for wrong in (9, 2**32 - 1)
    ]
    refused(audit, 5004, cases)


HOSTILE_SIZES = {
    "a thousand deep": [nested(b"", *[MSCC] * 1000)],
    "8,000 AVPs": [avp(70000, b"", mandatory=False)] * 8_000,
    "8,000 groups": [group(MSCC)] * 8_000,
    "3,000 reports": [group(MSCC, group(USU))] * 3_000,
    "one long text": [avp(1, "é" * 30_000)],
}


@pytest.mark.fault(18)
@pytest.mark.parametrize("name", HOSTILE_SIZES)
def test_a_size_that_is_hostile(audit: Audit, name: str) -> None:
    times = 20
    with Gateway(audit.port, host=ODD).open() as gateway:
        session = f"{ODD};18;{name}"
        gateway.ask(CCR, ccr(gateway, session, INITIAL, 0, mscc(1)))
        update = [*ccr(gateway, session, UPDATE, 1, mscc(1, used=5000)), *HOSTILE_SIZES[name]]
        before = audit.cpu_seconds()
        for _ in range(times):
            answer = gateway.ask(CCR, update)
            assert answer.result_code == 5004
            assert len(answer.octets) < 16_384, "an answer is no echo of it"
        assert audit.cpu_seconds() - before < times * 0.05
        goes_on(audit, gateway, session)
    assert audit.rose("ocs_ccr_answers", result_code="5004") == times


@pytest.mark.fault(18)
def test_ten_thousand_avps_are_longer_than_a_message(audit: Audit) -> None:
    with Gateway(audit.port, host=ODD).open() as gateway:
        update = [*ccr(gateway, "odd;18", UPDATE, 1, mscc(1)), *[avp(70000, b"", mandatory=False)] * 10_000]
        gateway.put(message(0xC0, CCR, 4, 7, 8, update))
        assert gateway.answer(7).result_code == 5015
        assert gateway.closed()


@pytest.mark.fault(18)
def test_ever_new_long_messages_are_not_kept(audit: Audit) -> None:
    """Each is sound, nearly as long as a message may be, and of a length that was never there."""
    with Gateway(audit.port, host=ODD).open() as gateway:
        warm = 0
        for number in range(250):
            long = avp(70000, bytes(60_000 + 4 * number), mandatory=False)
            assert gateway.ask(CCR, ccr(gateway, "none", UPDATE, 0, mscc(1), more=[long])).result_code == 5002
            warm = warm or audit.memory_kb()
        assert audit.memory_kb() < warm + 8 * 1024


NAMES = (b"\xff\xfe", b"a\xc3", b"a\0b", b"\x1b[2J", b"a\nb", b"x" * 4096)


@pytest.mark.fault(19)
def test_texts_that_are_none(audit: Audit) -> None:
    cases = [Case(more(avp(1, name)), avp(1, name)) for name in NAMES]
    cases += [Case(more(bearer(avp(30, name))), bearer(avp(30, name))) for name in NAMES]
    cases += [Case(changed(264, avp(264, name)), avp(264, name)) for name in NAMES]
    cases += [Case(changed(296, avp(296, name)), avp(296, name)) for name in NAMES]
    contexts = [name + b"8.32251@3gpp.org" for name in NAMES]
    cases += [Case(changed(461, avp(461, context)), avp(461, context)) for context in contexts[:-1]]
    cases.append(Case(changed(461, avp(461, contexts[-1])), avp(461, b"")))  # too long to be sent back
    refused(audit, 5004, cases)
    with Gateway(audit.port, host=ODD).open() as gateway:
        for name in (*NAMES, b""):
            answer = gateway.ask(CCR, changed(263, avp(263, name))(ccr(gateway, "x", INITIAL, 0, mscc(1))))
            assert answer.result_code == 5004
            assert answer.avps.one(FAILED_AVP).data == avp(263, name)
    assert_harmless(audit.log())


def assert_harmless(text: str) -> None:
    """Insist that nothing in it moves a terminal's cursor."""
    assert not [one for one in text if (ord(one) < 32 and one not in "\n\t") or 127 <= ord(one) < 160]


@pytest.mark.fault(19)
def test_what_is_shown_is_escaped(audit: Audit) -> None:
    """A Product-Name and a telephone number are taken as they come; the log and the tables escape them."""
    hostile = "\x1b[2J\x07\x9b"
    with Gateway(audit.port, host=ODD, product=hostile).open() as gateway:
        session = f"{ODD};19"
        number = group(443, avp(450, 0), avp(444, "49" + hostile))
        assert gateway.ask(CCR, ccr(gateway, session, INITIAL, 0, mscc(1), more=[number])).result_code == 2001
        peers = audit.server.ocs("peer", "list")
        shown = audit.server.ocs("session", "show", session)
        for done in (peers, shown):
            assert done.returncode == 0, done.stderr
            assert_harmless(done.stdout + done.stderr)
        assert ODD in peers.stdout
        assert session in shown.stdout
        assert gateway.ask(CCR, ccr(gateway, session, TERMINATION, 1)).result_code == 2001
    assert_harmless(audit.log())


@pytest.mark.fault(20)
def test_counters_beyond_plausibility(audit: Audit) -> None:
    most = 2**62

    def of(*counters: bytes) -> Case:
        return Case(changed(MSCC, reported(*counters)), nested(group(USU, *counters), MSCC))

    halves = (group(USU, octets(TOTAL, most)), group(USU, octets(TOTAL, 1)))
    refused(
        audit,
        5004,
        [
            of(octets(TOTAL, 2**64 - 1)),
            of(octets(TOTAL, 2**63)),
            of(octets(TOTAL, most + 1)),
            of(octets(INPUT, 2**64 - 1)),
            of(octets(INPUT, most), octets(OUTPUT, 1)),
            of(octets(INPUT, 2**64 - 1), octets(OUTPUT, 2**64 - 1)),
            Case(changed(MSCC, group(MSCC, *halves, avp(RATING_GROUP, 1))), nested(halves[1], MSCC)),
        ],
    )


@pytest.mark.fault(20)
@pytest.mark.parametrize(
    ("counters", "used", "flagged"),
    [
        ([(TOTAL, 70), (INPUT, 50), (OUTPUT, 30)], 70, True),
        ([(OUTPUT, 30), (INPUT, 2**64 - 1), (TOTAL, 70)], 70, True),
        ([(TOTAL, 80), (INPUT, 50), (OUTPUT, 30)], 80, False),
        ([(INPUT, 50), (OUTPUT, 30)], 80, False),
        ([(INPUT, 50)], 50, False),
        ([], 0, False),
    ],
)
def test_the_total_counts(audit: Audit, counters: list[tuple[int, int]], used: int, flagged: bool) -> None:
    taken(audit, [changed(MSCC, reported(*(octets(code, number) for code, number in counters)))], used)
    assert audit.rose("ocs_notes", note="unequal_counters") == flagged


@pytest.mark.fault(20)
def test_a_wish_beyond_plausibility(audit: Audit) -> None:
    """It moves nothing, so it is no error; the grant has its own limit."""
    with Gateway(audit.port, host=ODD).open() as gateway:
        for number, wish in enumerate((2**64 - 1, 2**63, 2**62 + 1)):
            session = f"{ODD};20;{number}"
            answer = gateway.ask(CCR, ccr(gateway, session, INITIAL, 0, mscc(1, asked=wish)))
            (service,) = services(answer)
            assert service.result_code == 2001
            assert 0 < (service.granted or 0) <= 100_000_000
            goes_on(audit, gateway, session)
