"""The quantities of a scenario, as people write them: octets, seconds, bounds, and use in terms of a grant.

10 MB        12_345        whole grant        50% of grant        grant and 2 MB        to report
300 ms       2 min         at least 1 MB      at most 5           3 to 7               none       some
"""

import re
from dataclasses import dataclass
from typing import Final

from simulator.profile import Profile
from simulator.quota import Quota
from simulator.script.value import ScriptError, Value

_UNITS: Final = {"": 1, "B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_SECONDS: Final = {"ms": 0.001, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}

_NUMBER: Final = re.compile(r"(0|[1-9][0-9_]*) ?([A-Za-z]*)")
_PERCENT: Final = re.compile(r"([1-9][0-9]*) ?% of grant")

NUMBER_MAX: Final = 2**64 - 1


def integer(value: Value, least: int = 0, most: int = NUMBER_MAX) -> int:
    """Give a whole number.

    Raises:
        ScriptError: it is none, or out of bounds.
    """
    what = f"a whole number from {least} to {most}" if most < NUMBER_MAX else f"a whole number from {least} on"
    found = value.scalar(what)
    if not re.fullmatch(r"0|[1-9][0-9_]*", found) or not least <= int(found) <= most:
        raise value.should_be(what)
    return int(found)


def positive(value: Value) -> int:
    return integer(value, 1, 10_000)


def rating_group(value: Value) -> int:
    return integer(value, 0, 2**32 - 1)


def percent(value: Value) -> int:
    """Give 0 to 100, with the sign or without."""
    found = value.scalar("a percentage").removesuffix("%").strip()
    if not found.isdecimal() or not found.isascii() or int(found) > 100:
        raise value.should_be("0 to 100 %")
    return int(found)


def octets(value: Value) -> int:
    """Give octets: a number alone, or with kB, MB, GB or TB of a thousand each.

    Raises:
        ScriptError: it is neither.
    """
    return _octets(value, value.scalar("octets"))


def seconds(value: Value) -> float:
    """Give a time: a number with ms, s, min, h or d.

    Raises:
        ScriptError: it is none.
    """
    found = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?) ?([a-z]+)", value.scalar("a time"))
    if found is None or found[2] not in _SECONDS:
        raise value.should_be("a time such as 300 ms, 2 s or 5 min")
    return float(found[1]) * _SECONDS[found[2]]


def codes(value: Value) -> tuple[int, ...]:
    """Give one Result-Code or several."""
    return value.listed(lambda one: integer(one, 1000, 5999))


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a number may be, both ends included; `most` None leaves it open."""

    least: float
    most: float | None

    def holds(self, number: float) -> bool:
        return self.least <= number and (self.most is None or number <= self.most)

    def __str__(self) -> str:
        if self.most is None:
            return f"at least {self.least:,.10g}"
        if self.least == self.most:
            return f"{self.least:,.10g}"
        return f"{self.least:,.10g} to {self.most:,.10g}" if self.least else f"at most {self.most:,.10g}"


def bounds(value: Value) -> Bounds:
    """Give the bounds of octets or of any count: a number, `at least`, `at most`, `A to B`, `none` or `some`.

    Raises:
        ScriptError: it is none of them.
    """
    found = value.scalar("a bound")
    if found in ("none", "some"):
        return Bounds(0, 0) if found == "none" else Bounds(1, None)
    if found.startswith("at least "):
        return Bounds(_octets(value, found[9:]), None)
    if found.startswith("at most "):
        return Bounds(0, _octets(value, found[8:]))
    least, between, most = found.partition(" to ")
    low = _octets(value, least)
    high = _octets(value, most) if between else low
    if high < low:
        raise value.should_be("a range from less to more")
    return Bounds(low, high)


@dataclass(frozen=True, slots=True)
class Amount:
    """Octets to use: so many, and a part of the present grant besides.

    Attributes:
        to_report: what is left until the next report is due, in place of everything else.
    """

    octets: int = 0
    percent: int = 0
    to_report: bool = False

    def of(self, quota: Quota, profile: Profile) -> int:
        if self.to_report:
            return max(quota.report_at(profile) - quota.used, 0)
        return self.octets + quota.granted * self.percent // 100

    def __str__(self) -> str:
        return "to report" if self.to_report else f"{self.percent} % of grant and {self.octets:,} octets"


def amount(value: Value) -> Amount:
    """Give octets to use; see the head of this file.

    Raises:
        ScriptError: it is none of these.
    """
    found = value.scalar("octets")
    if found == "to report":
        return Amount(to_report=True)
    if found.startswith("grant and "):
        return Amount(_octets(value, found[10:]), 100)
    if found == "whole grant":
        return Amount(percent=100)
    if part := _PERCENT.fullmatch(found):
        return Amount(percent=int(part[1]))
    return Amount(_octets(value, found))


def _octets(value: Value, shown: str) -> int:
    found = _NUMBER.fullmatch(shown)
    if found is None or found[2] not in _UNITS:
        raise _no_octets(value)
    number = int(found[1]) * _UNITS[found[2]]
    if number > NUMBER_MAX:
        raise _no_octets(value)
    return number


def _no_octets(value: Value) -> ScriptError:
    return value.should_be("a number such as 12345, 10 MB, `at least 1 MB`, `none` or `some`")
