"""Which records are of one run: a run counts once, whatever its copies are called and wherever they lie.

A record is a copy of another if it has the same run_id, or shares a measurement with it: two runs never take the same
times to the nanosecond, sample by sample. Without times, it is a copy if all but its run_id is the same: counts are the
same in every run.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import msgspec

from mbench.core import record_files
from mbench.core.records import Record, Result

_DIGITS = 9
"""Significant ones, as records hold them."""
_FEWEST_SAMPLES = 3
"""Fewer may be the same by chance, where a clock is coarse."""

SAME_ID = "has the same run_id"
SAME_SAMPLES = "has the same samples"
SAME_CONTENT = "is the same but for its run_id"


class Copy(NamedTuple):
    """A record that is of the same run as another: their indices, and how that shows."""

    at: int
    of: int
    why: str


def copies(items: Sequence[Record]) -> tuple[Copy, ...]:
    """Return which records are copies of which others, in order.

    Of several of one run, the one with most results counts (a run that was interrupted, and then resumed), of these the
    oldest, then the first.
    """
    order = sorted(
        range(len(items)), key=lambda index: (-len(items[index].results), items[index].created_at_utc, index)
    )
    seen: dict[str, int] = {}
    found = []
    for index in order:
        marks = _marks(items[index])
        before = next(((seen[mark], why) for mark, why in marks.items() if mark in seen), None)
        if before is not None:
            found.append(Copy(index, *before))
            continue
        seen.update(dict.fromkeys(marks, index))
    return tuple(sorted(found))


def distinct(items: Iterable[Record]) -> tuple[Record, ...]:
    """Return the records in order, each run once."""
    given = tuple(items)
    left_out = {copy.at for copy in copies(given)}
    return tuple(record for index, record in enumerate(given) if index not in left_out)


def shared(items: Sequence[Record], others: Sequence[Record]) -> tuple[Copy, ...]:
    """Return which records hold what one of `others`, whose index is `of`, holds too.

    A run_id alone does not show that: where nothing that was measured is the same, there is something to compare.
    """
    known = {mark: number for number, record in reversed(tuple(enumerate(others))) for mark in measured(record)}
    met = ((number, mark, why) for number, record in enumerate(items) for mark, why in measured(record).items())
    found = {number: Copy(number, known[mark], why) for number, mark, why in met if mark in known}
    return tuple(found.values())


def _marks(record: Record) -> dict[str, str]:
    """Return what no record of another run has, each with how to say that it is the same."""
    return {f"run_id {record.run_id}": SAME_ID} | measured(record)


def measured(record: Record) -> dict[str, str]:
    """Return what of a record's measurements no other run has, each with how to say that it is the same."""
    found = [digest for result in record.results if (digest := of_samples(result)) is not None]
    if found:
        return dict.fromkeys(found, SAME_SAMPLES)
    anonymous = msgspec.structs.replace(record, run_id="-")
    return {_digest(json.loads(record_files.encode(anonymous))): SAME_CONTENT}


def of_samples(result: Result) -> str | None:
    """Return the SHA-256 of a result's times; None where they are too few to be its own."""
    samples = _samples(result)
    return _digest(samples) if samples else None


def _samples(result: Result) -> tuple[tuple[str, ...], ...]:
    """Return the times of a result as a record holds them; nothing where they are too few to be its own."""
    whole = result.end_to_end
    given = (whole.latency_s, whole.twin_latency_s, *(layer.latency_s for layer in result.layers))
    lists = tuple(tuple(f"{value:.{_DIGITS}g}" for value in samples) for samples in given if samples)
    return lists if len({value for samples in lists for value in samples}) >= _FEWEST_SAMPLES else ()


def _digest(content: object) -> str:
    return hashlib.sha256(msgspec.json.encode(content, order="deterministic")).hexdigest()
