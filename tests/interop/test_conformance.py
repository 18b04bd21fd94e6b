"""The probes against other people's stacks as Gy servers: what each departs from is found, and nothing else.

Both are the servers of `make bench`, which grant and keep nothing.  What is theirs and what is their stack's is told
apart below; a new release that mends something fails here, and its row goes.
"""

from pathlib import Path

import pytest

from bench.servers import SERVERS
from simulator.conformance.examiner import Target
from simulator.conformance.report import Report
from simulator.conformance.run import examine
from simulator.messages import Identity

pytestmark = [pytest.mark.live, pytest.mark.interop]

OF_A_SERVER_THAT_KEEPS_NOTHING = {
    "unknown-session",
    "unknown-session-end",
    "check-balance",
    "price-enquiry",
    "invalid-value",  # both stacks leave enumerated values to the application
    "forbidden-avp",  # and what else may stand in a request
    "services",  # Service-Identifier is not given back
}

OF_PYTHON_DIAMETER = {
    "answered": "octets that are no message, or an AVP beyond its message's end, are met with silence",
    "avp-length": "the same",
    "bad-version": "version 2 is answered, with version 2",
    "readable": "the same",
    "bad-message-length": "it waits for more",
    "e-bit-protocol-error": "3003 and 3007 come without E",
    "m-bit-set": "Origin-Host and Origin-Realm of a CCA come without M",
    "origin": "the answer to an unknown command is a bare header",
    "unknown-command": "the same: no Result-Code",
    "repeat": "a repeat with T is answered 5012",
    "repeat-elsewhere": "the same",
    "e-bit-in-request": "a request with E is served",
    "unknown-mandatory": "an unknown AVP with M is passed over",
    "missing-avp": "Auth-Application-Id is not missed",
    "avp-twice": "the last of two counts",
    "type-length": "an Unsigned32 of three octets is taken for a missing AVP",
}

OF_FREE_DIAMETER = {
    "answered": "an unknown command, or an Unsigned32 of three octets, is met with silence",
    "unknown-command": "the same",
    "type-length": "the same",
    "p-bit": "answers with E come without P",
    "missing-avp": "without Destination-Realm a request is answered 3001",
}

SOMETIMES = {
    # freeDiameter closes on a DWR of 71 octets; now and then it answers first, with R set.
    "freediameter": {"bad-message-length", "answer-bits"},
    "python-diameter": set(),
}


def probed(server: str, folder: Path) -> Report:
    with SERVERS[server](folder, 1) as running:
        identity = Identity()
        return examine(
            Target(host="127.0.0.1", port=running.port, identity=identity, imsi="001010000000001", seconds=3.0)
        )


@pytest.mark.parametrize(
    ("server", "departs"), [("python-diameter", OF_PYTHON_DIAMETER), ("freediameter", OF_FREE_DIAMETER)]
)
def test_what_a_stack_departs_from_is_found_and_nothing_else(
    tmp_path: Path, server: str, departs: dict[str, str]
) -> None:
    report = probed(server, tmp_path)
    assert report.not_played == []
    seen = {rule.name: [one.detail for one in report.faults(rule)] for rule in report.broken()}
    wanted = departs.keys() | OF_A_SERVER_THAT_KEEPS_NOTHING
    assert wanted <= seen.keys() <= wanted | SOMETIMES[server], seen


def test_ours_departs_from_nothing(tmp_path: Path) -> None:
    report = probed("ours", tmp_path)
    assert report.broken() == []
    assert report.not_played == []
