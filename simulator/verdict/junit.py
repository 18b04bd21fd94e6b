"""JUnit XML, the form in which build servers read results of tests."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from xml.etree import ElementTree as Xml

FORBIDDEN: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 lets no document hold, escaped or not; a server's Error-Message may (section 2.2)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One thing that was looked at.

    Attributes:
        group: what it belongs to.
        failures: what was wrong; none for a case that holds.
        left_out: why it was not looked at; empty where it was.
        told: what else is to be known.
    """

    group: str
    name: str
    seconds: float = 0.0
    failures: Sequence[str] = ()
    left_out: str = ""
    told: str = ""


def junit(name: str, cases: Sequence[Case], properties: Mapping[str, str]) -> str:
    """Write a document with one suite for each group, in the order in which the groups come first."""
    root = Xml.Element("testsuites", {"name": name, **_counts(cases)})
    for group in dict.fromkeys(one.group for one in cases):
        members = [one for one in cases if one.group == group]
        suite = Xml.SubElement(root, "testsuite", {"name": group, **_counts(members)})
        listed = Xml.SubElement(suite, "properties")
        for key, value in properties.items():
            Xml.SubElement(listed, "property", {"name": key, "value": _clean(value)})
        for one in members:
            _write(suite, one)
    Xml.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + Xml.tostring(root, encoding="unicode") + "\n"


def _write(suite: Xml.Element, case: Case) -> None:
    where = {"classname": case.group, "name": _clean(case.name), "time": f"{case.seconds:.3f}"}
    element = Xml.SubElement(suite, "testcase", where)
    for failure in case.failures:
        Xml.SubElement(element, "failure", {"message": _clean(failure.partition("\n")[0])}).text = _clean(failure)
    if case.left_out:
        Xml.SubElement(element, "skipped", {"message": _clean(case.left_out)})
    if case.told:
        Xml.SubElement(element, "system-out").text = _clean(case.told)


def _counts(cases: Sequence[Case]) -> dict[str, str]:
    return {
        "tests": str(len(cases)),
        "failures": str(sum(bool(one.failures) for one in cases)),
        "skipped": str(sum(bool(one.left_out) for one in cases)),
        "errors": "0",
        "time": f"{sum(one.seconds for one in cases):.3f}",
    }


def _clean(text: str) -> str:
    return FORBIDDEN.sub("\ufffd", text)
