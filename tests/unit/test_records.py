"""Types of fields, and the schema that is made of them."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest
import record_factory as factory
from record_documents import Change, changed, delete_at, plain_record, refused, set_at

from mbench.core import record_files, records


def test_unfinished() -> None:
    record: records.Record = factory.record(factory.PAIR[:1], failed=("mobilenet_v1_0.5_128",))
    assert record.unfinished() == ("mobilenet_v1_0.5_128",)


@pytest.fixture(scope="module")
def plain() -> dict[str, Any]:
    return plain_record()


MUTATIONS: dict[str, tuple[Change, str]] = {
    "negative latency": (set_at("results", 0, "end_to_end", "latency_s", 0, value=-1e-3), "latency_s"),
    "negative layer latency": (set_at("results", 0, "layers", 3, "latency_s", 0, value=-1.0), "latency_s"),
    "negative bytes": (set_at("results", 0, "memory", "weight_bytes", value=-1), "weight_bytes"),
    "no threads": (set_at("settings", "threads", value=0), "threads"),
    "unknown field": (set_at("surprise", value=1), "surprise"),
    "unknown field deep": (set_at("results", 0, "layers", 0, "surprise", value=1), "surprise"),
    "unknown field with a line break": (set_at("sur\nprise", value=1), "sur"),
    "missing field": (delete_at("host"), "host"),
    "missing field deep": (delete_at("results", 1, "layers", 0, "op"), "op"),
    "text for a number": (set_at("results", 0, "artifact", "library_bytes", value="1000"), "library_bytes"),
    "number for text": (set_at("run_id", value=7), "run_id"),
    "null for text": (set_at("run_id", value=None), "run_id"),
    "fraction for a whole number": (set_at("settings", "repeat", value=1.5), "repeat"),
    "an op in other letters": (set_at("results", 0, "layers", 0, "op", value="Conv 3D"), "layers[0].op"),
    "impossible device": (set_at("device", "kind", value="the moon"), "kind"),
    "empty name": (set_at("run_id", value=""), "run_id"),
    "long name": (set_at("run_id", value="x" * 201), "run_id"),
    "list for an object": (set_at("host", value=[]), "host"),
    "object for a list": (set_at("results", value={}), "results"),
    "a count of 2^63": (set_at("results", 0, "layers", 1, "macs", value=2**63), "$.results[0].layers[1].macs"),
    "a count above 1e308": (set_at("results", 0, "layers", 1, "macs", value=10**309), "$.results[0].layers[1].macs"),
    "bytes above all memory": (set_at("results", 0, "memory", "weight_bytes", value=10**19), "weight_bytes"),
    "a network without layers": (set_at("results", 0, "layers", value=[]), "$.results[0].layers"),
    "a replacement of no layers": (
        set_at("results", 1, "replaced", 0, "layers", value=[]),
        "$.results[1].replaced[0].layers",
    ),
    "a replacement of less than nothing": (
        set_at("results", 1, "replaced", 2, "macs_before", value=-1),
        "$.results[1].replaced[2].macs_before",
    ),
    "a shape without sides": (
        set_at("results", 0, "layers", 0, "output_shape", value=[]),
        "layers[0].output_shape",
    ),
    "a shape of thousands of sides": (
        set_at("results", 0, "layers", 0, "output_shape", value=[1] * 4_000),
        "layers[0].output_shape",
    ),
    "a side of 0": (set_at("results", 0, "layers", 0, "input_shape", 2, value=0), "layers[0].input_shape[2]"),
    "a latency of ages": (set_at("results", 0, "end_to_end", "latency_s", 0, value=1e300), "latency_s[0]"),
    "samples without end": (
        set_at("results", 0, "end_to_end", "latency_s", value=[0.1] * 100_001),
        "latency_s",
    ),
    "threads that no machine has": (set_at("settings", "threads", value=10**9), "$.settings.threads"),
    "a timeout of ages": (set_at("settings", "timeout_s", value=1e300), "$.settings.timeout_s"),
    "a negative timeout": (set_at("settings", "timeout_s", value=-1), "$.settings.timeout_s"),
    "runs a sample without end": (set_at("settings", "number", value=10**18), "$.settings.number"),
    "more variants than a run takes": (
        set_at("settings", "networks", value=[f"n{number}" for number in range(10_001)]),
        "$.settings.networks",
    ),
    "a text without end": (set_at("host", "cpu", value="x" * 10**6), "$.host.cpu"),
    "a table without end": (
        set_at("results", 0, "missing", value=dict.fromkeys(map(str, range(20_001)), "why")),
        "$.results[0].missing",
    ),
    "a date that is none": (set_at("created_at_utc", value="yesterday"), "$.created_at_utc"),
    "a date elsewhere": (set_at("created_at_utc", value="2025-03-01T12:00:00+05:00"), "$.created_at_utc"),
    "figure with neither source nor estimate": (
        set_at("target", "processor", "frequency_hz", value={"value": 1.0}),
        "source",
    ),
    "figure with both": (
        set_at("target", "processor", "frequency_hz", value={"value": 1.0, "source": "a", "estimate": "b"}),
        "source",
    ),
}


@pytest.mark.parametrize("name", MUTATIONS)
def test_fields_that_break_the_format(plain: dict[str, Any], name: str) -> None:
    change, said = MUTATIONS[name]
    message = refused(json.dumps(changed(plain, change)))
    assert "not a valid record" in message
    assert said in message


@pytest.fixture(scope="module")
def validator() -> jsonschema.Draft202012Validator:
    schema = record_files.json_schema()
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(json.loads(json.dumps(schema)))


@pytest.mark.parametrize("latency", [True, False])
def test_the_schema_accepts_what_we_write(validator: jsonschema.Draft202012Validator, latency: bool) -> None:
    for record in (factory.record(latency=latency), factory.hostile(factory.record(latency=latency))):
        validator.validate(json.loads(record_files.encode(record)))


@pytest.mark.parametrize("name", sorted(set(MUTATIONS) - {name for name in MUTATIONS if name.startswith("figure")}))
def test_the_schema_refuses_what_reading_refuses(
    plain: dict[str, Any], validator: jsonschema.Draft202012Validator, name: str
) -> None:
    assert not validator.is_valid(changed(plain, MUTATIONS[name][0]))


@pytest.mark.parametrize("version", [0, 1, 3, "2", None])
def test_the_schema_refuses_other_versions(
    plain: dict[str, Any], validator: jsonschema.Draft202012Validator, version: object
) -> None:
    assert not validator.is_valid({**plain, "format_version": version})
