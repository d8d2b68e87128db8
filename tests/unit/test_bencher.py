"""Bencher Metric Format, version 0.

The schema says what bencher.dev's reference of the format says in words, and is stricter: nothing else may be in it,
names have the lengths that Bencher takes (1024 characters a benchmark, 64 a measure).
"""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest
import verdict_factory as make

from mbench.gating.comparison import Verdict
from mbench.gating.outputs import bencher

METRIC = {
    "type": "object",
    "required": ["value"],
    "additionalProperties": False,
    "properties": {name: {"type": "number"} for name in ("value", "lower_value", "upper_value")},
}
SCHEMA = {
    "type": "object",
    "propertyNames": {"minLength": 1, "maxLength": 1024},
    "additionalProperties": {
        "type": "object",
        "propertyNames": {"minLength": 1, "maxLength": 64, "pattern": "^[a-z-]+$"},
        "additionalProperties": METRIC,
    },
}


def read(verdict: Verdict) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(bencher.render(verdict))
    return found


@pytest.mark.parametrize("name", make.EVERY)
def test_valid_and_in_order(name: str) -> None:
    found = read(make.EVERY[name])
    jsonschema.validate(found, SCHEMA)
    for measures in found.values():
        for metric in measures.values():
            if "lower_value" in metric:
                assert metric["lower_value"] <= metric["value"] <= metric["upper_value"]


@pytest.mark.parametrize("broken", [{"a": []}, {"a": {"latency": 1.0}}, {"a": {"latency": {"mean": 1}}}, {"": {}}, []])
def test_the_schema_refuses_a_broken_document(broken: Any) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(broken, SCHEMA)


def test_times_in_nanoseconds_as_its_own_measure_is() -> None:
    found = read(make.regressed())
    assert found[f"{make.SMALL}/network"] == {
        "latency": {"value": 1_031_000, "lower_value": 1_026_000, "upper_value": 1_036_000},
        "memory": {"value": 561_600},
    }
    assert found[f"{make.SMALL}/fc"] == {"latency": {"value": 5000}}  # an infinite interval is none
    assert read(make.incomparable()) == {}


def test_a_network_that_was_not_measured_has_no_value_and_leaves_a_gap() -> None:
    assert set(read(make.unmeasured())) == {f"{make.SMALL}/network"}


def test_a_long_name_is_cut() -> None:
    found = read(make.verdict("passed", "", make.comparison(make.finding("x" * 5000))))
    assert [len(name) for name in found] == [1024]
