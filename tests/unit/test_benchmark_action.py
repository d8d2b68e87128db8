"""The format of benchmark-action/github-action-benchmark, tool `customSmallerIsBetter`.

The schema is written from what its sources (v1, src/extract.ts) do: `BenchmarkResult` needs a name, a number and a
unit; `extractRangeInfo` understands `± NUMBER` of at least two characters; an empty array is "No benchmark result".
"""

from __future__ import annotations

import json
import math
import re
from typing import Any

import jsonschema
import pytest
import verdict_factory as make

from mbench.gating.comparison import Verdict
from mbench.gating.outputs import benchmark_action

SCHEMA = {
    "type": "array",
    "minItems": 1,
    "items": {
        "type": "object",
        "required": ["name", "unit", "value"],
        "additionalProperties": False,
        "properties": {
            "name": {"type": "string", "minLength": 1},
            "unit": {"type": "string", "minLength": 1},
            "value": {"type": "number"},
            "range": {"type": "string", "pattern": r"^± \d[\d.]+$"},
            "extra": {"type": "string"},
        },
    },
}


def entries(verdict: Verdict) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(benchmark_action.render(verdict))
    return found


@pytest.mark.parametrize("name", [name for name in make.EVERY if name != "incomparable"])
def test_valid_and_each_name_once(name: str) -> None:
    found = entries(make.EVERY[name])
    jsonschema.validate(found, SCHEMA)
    assert len({entry["name"] for entry in found}) == len(found)


@pytest.mark.parametrize("change", [{"value": "1.0 ms"}, {"unit": None}, {"range": "5"}, {"name": ""}, {"time": 1}])
def test_the_schema_refuses_a_broken_document(change: dict[str, Any]) -> None:
    first, *rest = entries(make.regressed())
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate([{**first, **change}, *rest], SCHEMA)


def test_times_in_nanoseconds_with_half_the_interval() -> None:
    whole = next(entry for entry in entries(make.regressed()) if entry["name"] == f"{make.SMALL}/network/latency")
    assert (whole["unit"], whole["value"], whole["range"]) == ("ns", 1_031_000.0, "± 5000.000")
    assert whole["extra"].startswith("paired: 1.00 ms → 1.03 ms, +3.1 % (+2.6 to +3.6 %)")
    match = re.match(r"(?P<prefix>(\+-|±)\s*)(?P<value>\d.+)", whole["range"])
    assert match is not None
    assert float(match["value"]) == 5000


def test_no_range_where_there_is_none_and_nothing_that_is_gone() -> None:
    found = {entry["name"]: entry for entry in entries(make.regressed())}
    assert "range" not in found[f"{make.SMALL}/fc/latency"]  # an infinite interval
    assert "range" not in found[f"{make.SMALL}/network/memory"]
    assert found[f"{make.SMALL}/network/memory"]["unit"] == "B"
    assert not any("block9" in name for name in found)
    assert entries(make.incomparable()) == []


def test_a_network_that_was_not_measured_has_no_value_and_leaves_a_gap() -> None:
    assert {entry["name"].partition("/")[0] for entry in entries(make.unmeasured())} == {make.SMALL}


def test_what_was_measured_now_comes_before_what_a_record_holds() -> None:
    now, then = make.finding(ratio=1.5), make.finding(way="recorded", ratio=3.0)
    missing = make.finding("fc", head=math.nan)
    (entry,) = entries(make.verdict("passed", "", make.comparison(then, now, missing)))
    assert entry["value"] == 1_500_000
