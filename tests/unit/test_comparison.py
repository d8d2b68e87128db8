"""Documents of the gate: every verdict keeps to the published schema, whatever it names."""

from __future__ import annotations

import json

import jsonschema
import msgspec
import pytest
import verdict_factory as make

from mbench.gating import comparison
from mbench.gating.outputs import words

VALIDATOR = jsonschema.Draft202012Validator(comparison.json_schema())


@pytest.mark.parametrize("name", make.EVERY)
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


def test_an_interval_without_an_upper_end_is_read_again() -> None:
    written = comparison.encode(make.EVERY["regressed"])
    found = msgspec.json.decode(written, type=comparison.Verdict).comparison.findings
    [endless] = [each for each in found if each.interval is not None and each.interval[1] is None]
    assert (endless.layer, endless.interval, words.bounds(endless)) == ("fc", (0.0, None), None)
    schema = comparison.json_schema()["$defs"]["Finding"]["properties"]["interval"]
    assert not jsonschema.Draft202012Validator(schema).is_valid([None, 1.0])
