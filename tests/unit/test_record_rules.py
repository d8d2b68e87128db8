"""What a record keeps to beyond the types of its fields."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
import quantized_records as quantized
import record_factory as factory
from record_documents import Change, changed, plain_record, refused, set_at

from mbench.core import record_files, record_rules
from mbench.core.records import Result


@pytest.fixture(scope="module")
def plain() -> dict[str, Any]:
    return plain_record()


def _multiply_adds_without_end(record: dict[str, Any]) -> None:
    for layer in record["results"][0]["layers"]:
        layer.update(macs=10**18)


RULES: dict[str, tuple[Change, str]] = {
    "a month that is none": (set_at("created_at_utc", value="2025-13-01T12:00:00Z"), "$.created_at_utc"),
    "a day that is none, deep": (
        set_at("results", 0, "end_to_end", "conditions_before", "at_utc", value="2025-02-30T12:00:00Z"),
        "$.results[0].end_to_end.conditions_before.at_utc",
    ),
    "a sample next to 0": (set_at("results", 1, "end_to_end", "latency_s", 3, value=5e-324), "latency_s[3]"),
    "a number next to 0": (set_at("results", 0, "energy", "energy_j", value=5e-324), "$.results[0].energy.energy_j"),
    "a number next to 0 in a table": (
        set_at("results", 0, "energy", "components_j", "DRAM", value=5e-324),
        '$.results[0].energy.components_j["DRAM"]',
    ),
    "a network twice": (lambda record: record["results"].append(record["results"][0]), "$.results"),
    "a variant twice": (lambda record: record["settings"]["networks"].extend(factory.PAIR[:1]), "$.settings.networks"),
    "a result not asked for": (
        set_at("results", 0, "network", "name", value="another"),
        "$.results[0].network.name",
    ),
    "a failure not asked for": (set_at("failures", 0, "network", value="another"), "$.failures[0].network"),
    "two layers of one name": (set_at("results", 0, "layers", 1, "name", value="conv0"), "$.results[0].layers"),
    "a layer out of its place": (set_at("results", 0, "layers", 4, "index", value=5), "$.results[0].layers[4].index"),
    "counts whose sum is too large": (
        _multiply_adds_without_end,
        "sum of `macs`",
    ),
    "a convolution of two sides": (
        set_at("results", 0, "layers", 0, "output_shape", value=[1, 8]),
        "$.results[0].layers[0].output_shape",
    ),
    "a convolution without a kernel": (
        set_at("results", 0, "layers", 0, "kernel_size", value=None),
        "$.results[0].layers[0].kernel_size",
    ),
    "groups that do not divide the channels": (
        set_at("results", 0, "layers", 1, "groups", value=7),
        "$.results[0].layers[1].groups",
    ),
    "a tensor larger than all memory": (
        set_at("results", 0, "layers", 27, "input_shape", value=[10**9, 10**9, 7, 7]),
        "$.results[0].layers[27].input_shape",
    ),
    "a time balance that does not add up": (
        set_at("results", 0, "time_balance", "layer_sum_s", value=7.0),
        "$.results[0].time_balance",
    ),
    "an input that no layer gives": (
        set_at("results", 0, "layers", 4, "inputs", value=["another"]),
        "$.results[0].layers[4].inputs",
    ),
    "an input that comes later": (
        set_at("results", 0, "layers", 4, "inputs", value=["fc"]),
        "$.results[0].layers[4].inputs",
    ),
}


@pytest.mark.parametrize("name", RULES)
def test_what_a_type_cannot_say(plain: dict[str, Any], name: str) -> None:
    change, said = RULES[name]
    message = refused(json.dumps(changed(plain, change)))
    assert "not a valid record" in message
    assert said in message


def test_layers_that_count_more_than_their_network() -> None:
    plain = json.loads(record_files.encode(factory.counted(factory.record())))
    record_files.decode(json.dumps(plain).encode(), source="x")
    plain["results"][1]["counts"]["counters"]["loads"] -= 1
    assert "$.results[1].counts.counters.loads" in refused(json.dumps(plain))


@pytest.mark.parametrize("field", ["float32_correct", "int8_correct", "agreeing"])
def test_no_more_images_are_named_rightly_than_there_are(field: str) -> None:
    record = quantized.evaluated(quantized.both(latency=False))
    assert record_rules.broken(record) is None

    def more(result: Result) -> Result:
        if result.quantized is None or result.quantized.evaluation is None:
            return result
        wrong = msgspec.structs.replace(result.quantized.evaluation, **{field: 101})
        return msgspec.structs.replace(result, quantized=msgspec.structs.replace(result.quantized, evaluation=wrong))

    assert f"got 101 - at `$.results[1].quantized.evaluation.{field}`" in str(
        record_rules.broken(quantized.changed(record, more))
    )


def test_the_first_that_is_broken_is_named_and_a_good_record_breaks_none() -> None:
    good = factory.record()
    assert record_rules.broken(good) is None
    [first, second] = good.results
    assert second.time_balance is not None
    balance = msgspec.structs.replace(second.time_balance, layer_sum_s=7.0)
    wrong = msgspec.structs.replace(second, time_balance=balance)
    said = record_rules.broken(msgspec.structs.replace(good, results=(first, wrong)))
    assert said is not None
    assert said.endswith("at `$.results[1].time_balance.end_to_end_s`")
