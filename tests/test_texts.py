"""Moments as people write them: RFC 3339 with its zone, to the millisecond, and nothing that only looks like one."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocs.errors import InvalidInput
from ocs.shell.api.values import time_text
from ocs.texts import moment
from ocs.units import DAY, TIME_MAX, UnixMillis


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("2027-01-15T08:00:00Z", 1_800_000_000_000),
        ("2027-01-15t08:00:00z", 1_800_000_000_000),
        ("2027-01-15T08:00:00.007Z", 1_800_000_000_007),
        ("2027-01-15T08:00:00.0079+00:00", 1_800_000_000_007),
        ("2027-01-15T08:00:00.123456789Z", 1_800_000_000_123),
        ("2027-01-15T13:30:00+05:30", 1_800_000_000_000),
        ("2027-01-14T22:00:00-10:00", 1_800_000_000_000),
        ("1970-01-01T00:00:00.001Z", 1),
        ("9999-12-31T23:59:59.999Z", TIME_MAX),
    ],
)
def test_a_moment_is_read(text: str, at: int) -> None:
    assert moment(text) == at


@pytest.mark.parametrize(
    "text",
    [
        *("", "now", "2027-01-15", "2027-01-15T08:00Z", "1800000000", "20270115T080000Z", "2027-W02-5T08:00:00Z"),
        *("2027-01-15T08:00:00", "2027-01-15 08:00:00Z", "2027-01-15T08:00:00+0100", "2027-01-15T08:00:00.Z"),
        *("2027-13-15T08:00:00Z", "2027-02-29T08:00:00Z", "2027-01-15T24:00:00Z", "2027-01-15T08:00:60Z"),
        *("2027-01-15T08:00:00+24:00", "٢٠٢٧-01-15T08:00:00Z", "2027-01-15T08:00:00Z\n"),
        *("1970-01-01T00:00:00Z", "1969-12-31T23:59:59Z", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-01:00"),
    ],
)
def test_what_is_no_moment_is_told(text: str) -> None:
    with pytest.raises(InvalidInput, match="with its zone, 2027-01-15T08:00:00Z"):
        moment(text)


@given(st.integers(1, TIME_MAX).map(UnixMillis))
def test_what_is_written_is_read_again(at: UnixMillis) -> None:
    assert moment(time_text(at)) == at


@given(st.integers(DAY, TIME_MAX - DAY).map(UnixMillis), st.integers(-23 * 60, 23 * 60))
def test_a_zone_is_another_name_of_the_same_moment(at: UnixMillis, minutes: int) -> None:
    zone = timezone(timedelta(minutes=minutes))
    local = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=at)
    assert moment(local.astimezone(zone).isoformat()) == at
