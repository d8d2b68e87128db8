"""Dates of records: as records write them, as databases hold them, and as people ask for them. Always UTC."""

from __future__ import annotations

import datetime
import re

from mbench.core import labels
from mbench.core.errors import UsageError, shortened
from mbench.core.records import Record

EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
MICROSECOND = datetime.timedelta(microseconds=1)
_DAY = datetime.timedelta(days=1)
_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_WRITTEN = re.compile(r"\d{4}-\d\d-\d\d.{,30}")
_BACK = re.compile(r"(\d{1,5})d")
_LONGEST = 40


def of_record(record: Record) -> datetime.datetime:
    """Return a record's place in time: its label `committed_at`, or when it was made.

    An earlier commit that is measured afterwards stands where it was committed: the order of a history is that of the
    code. A label that is no moment, in a file that was edited, does not count.
    """
    return committed(record) or datetime.datetime.fromisoformat(record.created_at_utc).astimezone(datetime.UTC)


def committed(record: Record) -> datetime.datetime | None:
    """Return what a record's label `committed_at` says; None: it has none, or one that is no moment."""
    return labels.moment(record.labels.get(labels.COMMITTED_AT, ""))


def microseconds(at: datetime.datetime) -> int:
    """Return a moment as a store holds it."""
    return (at - EPOCH) // MICROSECOND


def of_number(number: int) -> datetime.datetime:
    """Return the moment that a store holds as a number."""
    return EPOCH + number * MICROSECOND


def since(text: str) -> datetime.datetime:
    """Return the first moment that `--since` wants: a date, a moment, or `30d` for so many days before now.

    Raises:
        UsageError: it is none of these.
    """
    return _parsed(text, "--since")


def until(text: str) -> datetime.datetime:
    """Return the first moment that `--until` does not want: the end of the day that is named, or the moment.

    Raises:
        UsageError: it is neither a date nor a moment.
    """
    found = _parsed(text, "--until")
    try:
        return found + _DAY if _DATE.fullmatch(text.strip()) else found
    except OverflowError:
        return found


def _parsed(text: str, option: str) -> datetime.datetime:
    try:
        if back := _BACK.fullmatch(text.strip()):
            return datetime.datetime.now(datetime.UTC) - int(back[1]) * _DAY
        if _WRITTEN.fullmatch(text.strip()):
            found = datetime.datetime.fromisoformat(text.strip())
            return found.replace(tzinfo=datetime.UTC) if found.tzinfo is None else found.astimezone(datetime.UTC)
    except (ValueError, OverflowError):  # the 31st of February, or beyond what a calendar has
        pass
    raise UsageError(
        f"{option} {shortened(repr(text), _LONGEST)}: expected a date such as 2026-11-01, a moment such as "
        "2026-11-01T12:00, or 30d for the last 30 days"
    )
