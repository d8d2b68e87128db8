"""Documents of the gate: every verdict keeps to the published schema, whatever it names."""

from __future__ import annotations

import json

import jsonschema
import pytest
import verdict_factory as make

from mbench.gating import comparison

VALIDATOR = jsonschema.Draft202012Validator(comparison.json_schema())


ENDLESS = pytest.mark.xfail(reason="an interval without an upper end is written as [0.0, null]", strict=True)


@pytest.mark.parametrize("name", [pytest.param(name, marks=[ENDLESS] * (name == "regressed")) for name in make.EVERY])
def test_every_verdict_keeps_to_the_schema(name: str) -> None:
    document = json.loads(comparison.encode(make.EVERY[name]))
    jsonschema.Draft202012Validator.check_schema(VALIDATOR.schema)
    VALIDATOR.validate(document)
    assert document["conclusion"] == make.EVERY[name].conclusion


def test_the_schema_refuses_what_is_no_verdict() -> None:
    document = json.loads(comparison.encode(make.EVERY["regressed"]))
    for key, value in (("conclusion", "fine"), ("format_version", 2), ("comparison", {})):
        assert not VALIDATOR.is_valid({**document, key: value})
    assert not VALIDATOR.is_valid({key: value for key, value in document.items() if key != "headline"})


def test_findings_of_an_outcome_stay_in_their_order() -> None:
    found = make.EVERY["regressed"].comparison
    outcomes = {each.outcome for each in found.findings}
    assert len(outcomes) > 1
    for outcome in outcomes:
        assert found.of(outcome) == tuple(each for each in found.findings if each.outcome == outcome)
