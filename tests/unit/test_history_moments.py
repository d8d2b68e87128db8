"""Dates: in UTC whatever was written, exact to the microsecond, and as people ask for them."""

from __future__ import annotations

import datetime

import msgspec
import pytest
import record_factory as factory
from hypothesis import given
from hypothesis import strategies as st

from mbench.core.errors import UsageError
from mbench.history import moments

UTC = datetime.UTC


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2025-03-01T12:00:00Z", datetime.datetime(2025, 3, 1, 12, tzinfo=UTC)),
        ("2025-03-01T12:00:00+00:00", datetime.datetime(2025, 3, 1, 12, tzinfo=UTC)),
        ("2025-03-01T12:00:00.123456789Z", datetime.datetime(2025, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)),
    ],
)
def test_of_records(text: str, expected: datetime.datetime) -> None:
    record = msgspec.structs.replace(factory.record(), created_at_utc=text)
    assert moments.of_record(record) == expected


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        ("2026-11-22T23:39:08+01:00", datetime.datetime(2026, 11, 22, 22, 39, 8, tzinfo=UTC)),
        ("2026-11-22T22:39:08", datetime.datetime(2025, 3, 1, 12, tzinfo=UTC)),  # no time zone
        ("yesterday", datetime.datetime(2025, 3, 1, 12, tzinfo=UTC)),
        ("0001-01-01T00:00:00+23:00", datetime.datetime(2025, 3, 1, 12, tzinfo=UTC)),  # before the first year
    ],
)
def test_the_label_committed_at_is_the_place_in_time(label: str, expected: datetime.datetime) -> None:
    """What is no moment can only be in a file that was edited; the command line refuses it."""
    record = msgspec.structs.replace(
        factory.record(), created_at_utc="2025-03-01T12:00:00Z", labels={"committed_at": label}
    )
    assert moments.of_record(record) == expected


@given(st.datetimes(timezones=st.just(UTC)))
def test_numbers_are_exact(at: datetime.datetime) -> None:
    assert moments.of_number(moments.microseconds(at)) == at
    assert abs(moments.microseconds(at)) < 2**63


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("2026-11-01", datetime.datetime(2026, 11, 1, tzinfo=UTC), datetime.datetime(2026, 11, 2, tzinfo=UTC)),
        ("2026-11-01T12:30", *[datetime.datetime(2026, 11, 1, 12, 30, tzinfo=UTC)] * 2),
        ("2026-11-01T12:30+02:00", *[datetime.datetime(2026, 11, 1, 10, 30, tzinfo=UTC)] * 2),
        ("9999-12-31", *[datetime.datetime(9999, 12, 31, tzinfo=UTC)] * 2),
    ],
)
def test_as_people_write_them(text: str, first: datetime.datetime, last: datetime.datetime) -> None:
    assert (moments.since(text), moments.until(text)) == (first, last)


def test_days_back() -> None:
    between = moments.since("1d") - moments.since("3d")
    assert round(between / datetime.timedelta(days=1)) == 2


@pytest.mark.parametrize("text", ["", "yesterday", "2026-13-01", "99999d", "0001-01-01T00:00+14:00", "1" * 1000])
def test_no_dates(text: str) -> None:
    for option, read in (("--since", moments.since), ("--until", moments.until)):
        if text == "99999d":
            continue
        with pytest.raises(UsageError, match=f"{option} .*: expected a date such as 2026-11-01"):
            read(text)
