"""Requests for the tests of this folder, built AVP by AVP so that a test can leave out, repeat or spoil one."""

import json
from collections.abc import Iterable
from pathlib import Path

from ocs.diameter import avp, framing
from ocs.diameter.codes import VENDOR_3GPP, Avp, Avp3gpp
from ocs.shell.dictionaries import load

ROOT = Path(__file__).resolve().parents[2]
VECTORS = ROOT / "tests" / "vectors" / "diameter"
REFERENCE = ROOT.parent / "shared" / "reference"
CAPTURES = ROOT.parent / "shared" / "captures"

DICTIONARY = load()

SESSION_ID = avp.utf8(Avp.SESSION_ID, "pgw.visited.example;1;2")
ORIGIN = [
    avp.utf8(Avp.ORIGIN_HOST, "pgw.visited.example"),
    avp.utf8(Avp.ORIGIN_REALM, "visited.example"),
]
REQUIRED = [
    SESSION_ID,
    *ORIGIN,
    avp.utf8(Avp.DESTINATION_REALM, "example.net"),
    avp.unsigned32(Avp.AUTH_APPLICATION_ID, 4),
    avp.utf8(Avp.SERVICE_CONTEXT_ID, "32251@3gpp.org"),
    avp.unsigned32(Avp.CC_REQUEST_TYPE, 1),
    avp.unsigned32(Avp.CC_REQUEST_NUMBER, 0),
]
SUBSCRIPTION = avp.grouped(
    Avp.SUBSCRIPTION_ID,
    avp.unsigned32(Avp.SUBSCRIPTION_ID_TYPE, 1),
    avp.utf8(Avp.SUBSCRIPTION_ID_DATA, "262011234567890"),
)
SERVICE = avp.grouped(
    Avp.MULTIPLE_SERVICES_CREDIT_CONTROL,
    avp.grouped(Avp.REQUESTED_SERVICE_UNIT),
    avp.unsigned32(Avp.RATING_GROUP, 1),
)


def service_information(*members: bytes) -> bytes:
    inner = avp.grouped(Avp3gpp.PS_INFORMATION, *members, vendor=VENDOR_3GPP)
    return avp.grouped(Avp3gpp.SERVICE_INFORMATION, inner, vendor=VENDOR_3GPP)


FULL = [
    *REQUIRED,
    SUBSCRIPTION,
    SERVICE,
    service_information(avp.utf8(Avp.CALLED_STATION_ID, "internet")),
]


def ccr(avps: Iterable[bytes]) -> bytes:
    return framing.encode(0xC0, 272, 4, 1, 2, b"".join(avps))


def captured_requests() -> list[bytes]:
    """Requests of live gateways, where the captures are at hand."""
    return [
        bytes.fromhex(json.loads(line)["request"])
        for path in sorted(CAPTURES.glob("*.jsonl"))
        for line in path.read_text().splitlines()
    ]


def golden_messages() -> list[dict]:
    return json.loads((VECTORS / "messages.json").read_text())
