"""Two records of one run: the same, an earlier and a later state of it, or two that cannot both be true.

`mbench run --resume` goes on with a run: the later record has all that the earlier one has, and more. What an earlier
one has not finished may be measured anew. Records of one run that hold other measurements contradict each other.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from mbench.analysis import runs
from mbench.core.records import Record, Result

Relation = Literal["same", "later", "earlier", "contradiction"]


def relation(record: Record, stored: Record) -> Relation:
    """Return what a record is to another one of the same run."""
    has_all, is_in = _covers(record, stored), _covers(stored, record)
    if has_all and is_in:
        more, less = _progress(record), _progress(stored)
        return "later" if more > less else "earlier" if more < less else "same"
    return "later" if has_all else "earlier" if is_in else "contradiction"


def _covers(whole: Record, part: Record) -> bool:
    """Return whether a record has all measurements of another; what that one had not finished may be other ones."""
    results = {result.variant.name: result for result in whole.results}
    open_yet = part.unfinished()
    for result in part.results:
        other = results.get(result.variant.name)
        if other is None:
            return False
        longer = result.variant.name in open_yet and len(other.sessions) >= len(result.sessions)
        if not longer and _evidence(other) != _evidence(result):
            return False
    return True


def _evidence(result: Result) -> tuple[object, ...]:
    """Return what was measured: the times, or the counts; nothing of what was written about it."""
    counters = msgspec.structs.astuple(result.counts.counters) if result.counts else None
    return runs.of_samples(result), counters, result.artifact.digest


def _progress(record: Record) -> tuple[int, int, int]:
    sustained = sum(result.sustained is not None for result in record.results)
    return len(record.results), sum(len(result.sessions) for result in record.results), sustained
