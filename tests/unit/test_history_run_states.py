"""What two records of one run are to each other."""

from __future__ import annotations

import msgspec
import pytest
import record_factory as factory
import store_records as stores

from mbench.core.records import Record
from mbench.history import run_states

replace = msgspec.structs.replace
WHOLE = stores.timed(names=(stores.SMALL, stores.OTHER))
PART = replace(WHOLE, results=WHOLE.results[:1])
COUNTED = factory.emulated([stores.SMALL])


def in_sessions(count: int, *, wanted: int, factor: float = 1.0) -> Record:
    made = factory.in_sessions(factory.short(factory.record([stores.SMALL], repeat=10)), count=count)
    return factory.again(replace(made, settings=replace(made.settings, sessions=wanted)), "run-1", factor)


def counting(instructions: int) -> Record:
    [result] = COUNTED.results
    assert result.counts
    counters = replace(result.counts.counters, instructions=instructions)
    return replace(COUNTED, results=(replace(result, counts=replace(result.counts, counters=counters)),))


@pytest.mark.parametrize(
    ("record", "stored", "expected"),
    [
        (WHOLE, WHOLE, "same"),
        (replace(WHOLE, labels={"a": "b"}), WHOLE, "same"),
        (replace(WHOLE, results=WHOLE.results[::-1]), WHOLE, "same"),
        (WHOLE, PART, "later"),
        (PART, WHOLE, "earlier"),
        (replace(PART, results=()), PART, "earlier"),
        (factory.again(WHOLE, WHOLE.run_id, 1.5), WHOLE, "contradiction"),
        (factory.again(PART, PART.run_id, 1.5), WHOLE, "contradiction"),
        (replace(WHOLE, results=WHOLE.results[1:]), PART, "contradiction"),
        (counting(1), counting(1), "same"),
        (counting(1), counting(2), "contradiction"),
    ],
)
def test_relations(record: Record, stored: Record, expected: str) -> None:
    assert run_states.relation(record, stored) == expected


def test_what_had_too_few_sessions_may_be_measured_anew() -> None:
    few, all_of_them = in_sessions(2, wanted=5), in_sessions(5, wanted=5, factor=1.1)
    assert run_states.relation(all_of_them, few) == "later"
    assert run_states.relation(few, all_of_them) == "earlier"
    assert run_states.relation(all_of_them, in_sessions(5, wanted=5)) == "contradiction"
