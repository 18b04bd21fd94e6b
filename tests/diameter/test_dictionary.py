"""The dictionary: every row of the reference, what a file may say, and how a wrong one is told."""

import csv
import re
from pathlib import Path

import pytest
from gy_samples import DICTIONARY, REFERENCE

from ocs.diameter.dictionary import Dictionary
from ocs.diameter.grammar import DataType, MandatoryBit
from ocs.errors import BadConfiguration
from ocs.shell.dictionaries import load, shipped

MEMBER = re.compile(r"(?:(\d*)\*(\d*))?([<{\[]) (\S+) [>}\]]")
MANDATORY = {"must": MandatoryBit.MUST, "may": MandatoryBit.MAY, "mustnot": MandatoryBit.MUST_NOT}

SMALL = """
@specification Example guide
@vendor 99999 Example
@avps
    Example-Cell       1  Grouped     may   2.1
    Example-Cell-Id    2  Unsigned32  must  2.2
    Example-Cell-Kind  3  Enumerated  must-not
@enum Example-Cell-Kind
    0  Macro cell, outdoors
    1  Small
@groups
    Example-Cell ::= < AVP Header: 1 99999 >
          < Example-Cell-Id >
        1*{ User-Name }
         *2[ Example-Cell-Kind ]
        *0[ Class ]
         *[ AVP ]
"""


def shipped_texts() -> dict[str, str]:
    return {path.name: path.read_text() for path in sorted(shipped().glob("*.dia"))}


def with_file(text: str) -> Dictionary:
    return Dictionary.parse(shipped_texts() | {"mine.dia": text})


@pytest.mark.skipif(not (REFERENCE / "avps.csv").exists(), reason="the reference table is not at hand")
def test_every_row_of_the_reference() -> None:
    with (REFERENCE / "avps.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) > 700
    for row in rows:
        avp = DICTIONARY.avp(int(row["code"]), int(row["vendor_id"]))
        assert avp is not None, row["name"]
        assert (avp.name, avp.type.value, avp.mandatory) == (row["name"], row["type"], MANDATORY[row["m_flag"]])
        values = [entry.rsplit("=", 1) for entry in row["enumerated_values"].split(";") if entry]
        assert avp.values == {int(number): name.strip() for name, number in values}, row["name"]
        members = [
            (
                name,
                bracket == "<",
                int(low) if low else int(bracket != "["),
                (int(high) if high else None) if f"*{bracket}" in match or high else 1,
            )
            for match, low, high, bracket, name in (
                (found[0], *found.groups()) for found in MEMBER.finditer(row["grouped_members"])
            )
        ]
        assert [(m.name, m.fixed, m.minimum, m.maximum) for m in avp.members] == [
            member for member in members if member[0] != "AVP"
        ], row["name"]
        if row["grouped_members"]:
            assert avp.is_open == any(member[0] == "AVP" for member in members), row["name"]
        reference = row["spec"].replace("4006/", "").replace("RFC 8506 8506", "RFC 8506")
        assert avp.reference == reference
    assert len(list(DICTIONARY.avps)) == len(rows)


def test_commands_are_those_this_server_speaks() -> None:
    found = {(c.abbreviation, c.code, c.is_request, c.is_proxiable, c.application) for c in DICTIONARY.commands}
    assert found == {
        ("CER", 257, True, False, 0),
        ("CEA", 257, False, False, 0),
        ("RAR", 258, True, True, 0),
        ("RAA", 258, False, True, 0),
        ("CCR", 272, True, True, 4),
        ("CCA", 272, False, True, 4),
        ("ASR", 274, True, True, 0),
        ("ASA", 274, False, True, 0),
        ("DWR", 280, True, False, 0),
        ("DWA", 280, False, False, 0),
        ("DPR", 282, True, False, 0),
        ("DPA", 282, False, False, 0),
    }


def test_the_ccr_is_the_standards() -> None:
    command = DICTIONARY.command(272, True)
    assert command is not None
    assert [m.name for m in command.members if m.fixed] == ["Session-Id"]
    assert [m.name for m in command.members if m.minimum and not m.fixed] == [
        "Origin-Host",
        "Origin-Realm",
        "Destination-Realm",
        "Auth-Application-Id",
        "Service-Context-Id",
        "CC-Request-Type",
        "CC-Request-Number",
    ]
    assert {m.name for m in command.members if m.maximum == 0} == {
        "Result-Code",
        "Granted-Service-Unit",
        "Final-Unit-Indication",
        "Validity-Time",
        "Cost-Information",
        "CC-Session-Failover",
        "Credit-Control-Failure-Handling",
    }


def test_names_and_numbers_lead_to_the_same_definition() -> None:
    for avp in DICTIONARY.avps:
        assert DICTIONARY.by_name(avp.name) is avp
        assert DICTIONARY.avp(avp.code, avp.vendor) is avp
    assert DICTIONARY.by_name("Reporting-Reason") is DICTIONARY.avp(872, 10415)
    assert DICTIONARY.avp(872) is None
    assert DICTIONARY.by_name("Raporting-Reason") is None
    assert DICTIONARY.command(272, True) is not DICTIONARY.command(272, False)
    assert DICTIONARY.command(271, True) is None


def test_a_file_of_ones_own() -> None:
    dictionary = with_file(SMALL)
    cell = dictionary.avp(1, 99999)
    assert cell is not None
    assert (cell.type, cell.mandatory, cell.reference) == (DataType.GROUPED, MandatoryBit.MAY, "Example guide 2.1")
    assert cell.is_open
    assert [(m.name, m.code, m.vendor, m.fixed, m.minimum, m.maximum) for m in cell.members] == [
        ("Example-Cell-Id", 2, 99999, True, 1, 1),
        ("User-Name", 1, 0, False, 1, None),
        ("Example-Cell-Kind", 3, 99999, False, 0, 2),
        ("Class", 25, 0, False, 0, 0),
    ]
    kind = dictionary.by_name("Example-Cell-Kind")
    assert kind is not None
    assert kind.values == {0: "Macro cell, outdoors", 1: "Small"}
    assert kind.mandatory is MandatoryBit.MUST_NOT


def test_files_may_be_read_in_any_order() -> None:
    texts = shipped_texts()
    reversed_ = Dictionary.parse(dict(reversed(texts.items())))
    assert {avp.name: avp for avp in reversed_.avps} == {avp.name: avp for avp in DICTIONARY.avps}


def test_a_statement_that_agrees_may_be_repeated_and_values_added() -> None:
    dictionary = with_file(
        "@vendor 0 IETF\n@avps\nTermination-Cause 295 Enumerated must\n@enum Termination-Cause\n11 User Request\n"
    )
    cause = dictionary.by_name("Termination-Cause")
    assert cause is not None
    assert cause.values[1] == "DIAMETER_LOGOUT"
    assert cause.values[11] == "User Request"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Example 1 Grouped may", "mine.dia:1: 'Example 1 Grouped may' stands outside of a section"),
        ("@avp\n", "mine.dia:1: '@avp' stands outside of a section"),
        ("@specification\n", "mine.dia:1: @specification needs a title"),
        ("@vendor x\n", "mine.dia:1: @vendor needs the vendor's number"),
        ("@vendor 4294967296 X\n", "mine.dia:1: a vendor is 4294967295 at the most"),
        ("@avps\nA 1 Grouped may\n", "mine.dia:1: @avps needs a vendor before it"),
        ("@vendor 9 X\n@avps\n\n; why\nA Grouped may\n", "mine.dia:5: 'A Grouped may' is not an AVP"),
        ("@vendor 9 X\n@avps\nA 1 Unsigned23 may\n", "did you mean Unsigned32?; there are OctetString"),
        ("@vendor 9 X\n@avps\nA 1 Grouped mast\n", "mine.dia:3: 'mast' is not an M bit rule; did you mean must?"),
        ("@vendor 9 X\n@avps\nA 4294967296 Grouped may\n", "mine.dia:3: an AVP code is 4294967295 at the most"),
        (f"@vendor 9 X\n@avps\nA {'9' * 5000} Grouped may\n", "an AVP code is 4294967295 at the most"),
        ("@vendor 9 X\n@avps\nAVP 1 Grouped may\n", "AVP stands for any AVP in a grammar"),
        ("@vendor 0 IETF\n@avps\nMine 456 Grouped may\n", "rfc8506.dia:"),
        (
            "@vendor 9 X\n@avps\nUser-Name 1 UTF8String may\n",
            "User-Name is 1 of vendor 9, UTF8String, but rfc6733",
        ),
        ("@vendor 0 IETF\n@avps\nUser-Name 1 OctetString may\n", "change one of them"),
        ("@enum User Name\n0 A\n", "mine.dia:1: @enum needs the name of one AVP"),
        ("@enum Trigger-Typ\n0 A\n", "no file defines the AVP Trigger-Typ; did you mean Trigger-Type?"),
        ("@enum User-Name\n0 A\n", "User-Name is UTF8String (rfc6733.dia:"),
        ("@enum Trigger-Type\nA 0\n", "mine.dia:2: 'A 0' is not a value"),
        ("@enum Trigger-Type\n900 A\n900 B\n", "mine.dia:3: Trigger-Type has the value 900 already, as A"),
        ("@enum Trigger-Type\n4294967296 A\n", "mine.dia:2: a value is 4294967295 at the most"),
        ("@enum CC-Request-Type\n1 FIRST\n", "'FIRST' here and 'INITIAL_REQUEST' at rfc8506.dia:"),
        ("@groups\n[ User-Name ]\n", "mine.dia:2: '[ User-Name ]' stands before the first definition"),
        ("@groups\nA ::= < AVP Header >\n", "mine.dia:2: 'A ::= < AVP Header >' is not the head of a group"),
        ("@groups\nNone ::= < AVP Header: 1 >\n", "no file defines the AVP None"),
        ("@groups\nUser-Name ::= < AVP Header: 1 >\n", "only a Grouped AVP has members"),
        ("@groups\nCC-Money ::= < AVP Header: 414 >\n", "the head of CC-Money says 414 of vendor 0, but rfc8506.dia:"),
        ("@groups\nCC-Money ::= < AVP Header: 413 >\n", "CC-Money has its members at rfc8506.dia:"),
        ("@commands\nCCR ::= < Diameter Header: 272 >\n", "is not the head of a command"),
        ("@commands\nX Xy ::= < Diameter Header: 16777216 >\n", "a command code is 16777215 at the most"),
        ("@commands\nX Xy ::= < Diameter Header: 272, REQ >\n", "the request 272 is Credit-Control-Request at rfc8506"),
        ("@commands\nX Xy ::= < Diameter Header: 9 >\nUser-Name\n", "mine.dia:3: 'User-Name' is not a member"),
        ("@commands\nX Xy ::= < Diameter Header: 9 >\n{ User-Name ]\n", "'{ User-Name ]' is not a member"),
        ("@commands\nX Xy ::= < Diameter Header: 9 >\n[ Usr-Name ]\n", "mine.dia:3: no file defines the AVP Usr-Name"),
        ("@commands\nX Xy ::= < Diameter Header: 9 >\n[ Class ]\n[ Class ]\n", "Xy names Class already at mine.dia:3"),
        (
            "@commands\nX Xy ::= < Diameter Header: 9 >\n3*2[ Class ]\n",
            "Class cannot occur at least 3 times and at",
        ),
    ],
)
def test_a_wrong_file_is_told_with_its_line(text: str, message: str) -> None:
    with pytest.raises(BadConfiguration, match=re.escape(message)) as caught:
        with_file(text)
    assert re.match(r"mine\.dia:\d+: ", str(caught.value))


def test_loading_from_files_and_folders(tmp_path: Path) -> None:
    (tmp_path / "one.dia").write_text(SMALL)
    (tmp_path / "notes.txt").write_text("not a dictionary")
    for extra in (tmp_path, tmp_path / "one.dia"):
        assert load([extra]).by_name("Example-Cell") is not None
    assert load().by_name("Example-Cell") is None


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadConfiguration, match=r"none\.dia is not there"):
        load([tmp_path / "none.dia"])
    (tmp_path / "latin.dia").write_bytes(b"; caf\xe9\n")
    with pytest.raises(BadConfiguration, match=r"latin\.dia: octet 5 is not UTF-8"):
        load([tmp_path])


def test_the_example_in_the_description_is_a_dictionary() -> None:
    text = (shipped() / "README.md").read_text()
    example = "\n".join(line for line in text.splitlines() if line.startswith("    "))
    assert with_file(example).by_name("Example-Cell") is not None
