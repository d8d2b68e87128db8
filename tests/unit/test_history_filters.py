"""Parts of records that a filter wants; what it wants of a store is in `test_history_store.py`."""

from __future__ import annotations

import datetime

import msgspec
import pytest
import store_records as stores

from mbench.history import filters
from mbench.history.filters import Filter

BOTH = msgspec.structs.replace(stores.timed(names=(stores.SMALL, stores.OTHER)), labels={"branch": "main"})
DAY = datetime.datetime(2025, 3, 1, 12, tzinfo=datetime.UTC)


@pytest.mark.parametrize(
    ("where", "names"),
    [
        (Filter(), [stores.SMALL, stores.OTHER]),
        (Filter(networks=("*_64",)), [stores.OTHER]),
        (Filter(networks=("*_64", stores.SMALL)), [stores.SMALL, stores.OTHER]),
        (Filter(networks=("*_128",)), None),
        (Filter(dtypes=("float32",), threads=(2,), machines=("testhost",)), [stores.SMALL, stores.OTHER]),
        (Filter(threads=(1,)), None),
        (Filter(targets=("x",)), None),
        (Filter(branches=("main", "x")), [stores.SMALL, stores.OTHER]),
        (Filter(branches=("x",)), None),
        (Filter(since=DAY), [stores.SMALL, stores.OTHER]),
        (Filter(until=DAY), None),
    ],
)
def test_parts_of_records(where: Filter, names: list[str] | None) -> None:
    found = filters.part(BOTH, where)
    assert (found and [result.variant.name for result in found.results]) == names


def test_a_name_with_brackets_is_found_as_it_is_written() -> None:
    [result] = stores.timed().results
    named = msgspec.structs.replace(result, variant=msgspec.structs.replace(result.variant, name="net[1]"))
    record = msgspec.structs.replace(BOTH, results=(named,))
    assert filters.part(record, Filter(networks=("net[1]",))) is not None
    assert filters.part(record, Filter(networks=("net[23]",))) is None
