from __future__ import annotations

from typing import Any

import msgspec
import pytest
import record_factory as factory

from mbench.core.records import Counters, Layer, Result
from mbench.gating import exact, limits, matching
from mbench.gating.comparison import Finding
from mbench.gating.limits import Limits

NAME = "mobilenet_v1_0.25_32"
RESULT = factory.counted(factory.record([NAME])).results[0]
INDEX = 5
LAYER = RESULT.layers[INDEX]
DEFAULT = Limits()


def with_layer(**fields: Any) -> Result:
    """Return the result with one layer changed."""
    layer = msgspec.structs.replace(LAYER, **fields)
    return msgspec.structs.replace(RESULT, layers=(*RESULT.layers[:INDEX], layer, *RESULT.layers[INDEX + 1 :]))


def counting(**more: int) -> Counters:
    assert LAYER.counters
    return msgspec.structs.replace(
        LAYER.counters, **{name: getattr(LAYER.counters, name) + value for name, value in more.items()}
    )


def of_layers(head: Result, wanted: Limits = DEFAULT, *, counts: bool = True) -> list[Finding]:
    return list(exact.of_layers(NAME, matching.layers(RESULT.layers, head.layers), wanted, counts=counts))


def of_network(head: Result, *, counts: bool = True) -> dict[str, Finding]:
    return {each.metric: each for each in exact.of_network(RESULT, head, Limits(), counts=counts)}


def not_same(findings: list[Finding]) -> list[tuple[str | None, str, str]]:
    return [(each.layer, each.metric, each.outcome) for each in findings if each.outcome != "same"]


def test_a_run_against_itself_has_no_difference() -> None:
    assert not_same(of_layers(RESULT)) == []
    assert not_same(list(of_network(RESULT).values())) == []
    assert {each.reason for each in of_layers(RESULT)} == {"the same"}


@pytest.mark.parametrize("metric", ["instructions", "loads", "stores"])
def test_a_count_regresses_with_the_first_one_beyond_its_threshold_and_not_before(metric: str) -> None:
    assert LAYER.counters
    tolerated = int(0.005 * getattr(LAYER.counters, metric))
    assert not_same(of_layers(with_layer(counters=counting(**{metric: tolerated})))) == []
    [found] = [each for each in of_layers(with_layer(counters=counting(**{metric: tolerated + 1})))
               if each.outcome != "same"]  # fmt: skip
    assert (found.layer, found.metric, found.outcome, found.way) == (LAYER.name, metric, "regressed", "counts")
    assert f"{tolerated + 1:,} more" in found.reason
    assert "0.5" in found.reason
    assert not_same(of_layers(with_layer(counters=counting(**{metric: -tolerated - 1})))) == [
        (LAYER.name, metric, "improved")
    ]


def test_one_more_instruction_is_seen_where_the_threshold_asks_for_it() -> None:
    fine = limits.read(None, ["layer.instructions=0.0000001%"])
    assert not_same(of_layers(with_layer(counters=counting(instructions=1)), fine)) == [
        (LAYER.name, "instructions", "regressed")
    ]


@pytest.mark.parametrize("metric", ["macs", "weight_bytes"])
def test_multiply_adds_and_weights_are_exact(metric: str) -> None:
    [found] = [each for each in of_layers(with_layer(**{metric: getattr(LAYER, metric) + 1})) if each.outcome != "same"]
    assert (found.layer, found.metric, found.outcome, found.way) == (LAYER.name, metric, "regressed", "static")
    assert "it has to be the same" in found.reason


def test_memory_of_a_network_is_exact_and_its_library_nearly() -> None:
    replace = msgspec.structs.replace
    fatter = replace(RESULT.memory, activation_peak_bytes=RESULT.memory.activation_peak_bytes + 1)
    assert of_network(replace(RESULT, memory=fatter))["memory"].outcome == "regressed"
    for more, outcome in ((2000, "same"), (2001, "regressed"), (-2001, "improved")):
        library = replace(RESULT.artifact, library_bytes=RESULT.artifact.library_bytes + more)
        assert of_network(replace(RESULT, artifact=library))["library_bytes"].outcome == outcome
    assert of_network(with_layer(macs=LAYER.macs + 1))["macs"].outcome == "regressed"


def test_counts_of_a_network_have_a_threshold_of_their_own() -> None:
    assert RESULT.counts
    for factor, outcome in ((1.0019, "same"), (1.0021, "regressed"), (0.997, "improved")):
        counters = msgspec.structs.replace(
            RESULT.counts.counters, instructions=int(RESULT.counts.counters.instructions * factor)
        )
        head = msgspec.structs.replace(RESULT, counts=msgspec.structs.replace(RESULT.counts, counters=counters))
        assert of_network(head)["instructions"].outcome == outcome


def test_counts_are_left_out_where_they_do_not_compare_or_one_side_has_none() -> None:
    changed = with_layer(counters=counting(instructions=10**6))
    assert not_same(of_layers(changed, counts=False)) == []
    assert "instructions" not in of_network(changed, counts=False)
    assert not_same(of_layers(with_layer(counters=None))) == []
    assert not any(
        each.metric == "instructions" and each.layer == LAYER.name for each in of_layers(with_layer(counters=None))
    )


def test_the_sum_is_compared_where_fusion_differs() -> None:
    pair: tuple[Layer, Layer] = RESULT.layers[3], RESULT.layers[4]
    assert pair[0].counters
    assert pair[1].counters
    both = {name: getattr(pair[0].counters, name) + getattr(pair[1].counters, name)
            for name in Counters.__struct_fields__}  # fmt: skip
    joined = msgspec.structs.replace(
        pair[1], name="both", input_shape=pair[0].input_shape, macs=pair[0].macs + pair[1].macs,
        weight_bytes=pair[0].weight_bytes + pair[1].weight_bytes, counters=Counters(**both),
    )  # fmt: skip
    group = f"{pair[0].name} + {pair[1].name}"
    for extra, expected in ((0, []), (both["instructions"], [(group, "instructions", "regressed")])):
        counters = Counters(**{**both, "instructions": both["instructions"] + extra})
        layers = (*RESULT.layers[:3], msgspec.structs.replace(joined, counters=counters), *RESULT.layers[5:])
        assert not_same(of_layers(msgspec.structs.replace(RESULT, layers=layers))) == expected


def test_layers_that_are_gone_or_changed_fail_and_new_ones_are_told() -> None:
    last = RESULT.layers[-1]
    gone = msgspec.structs.replace(RESULT, layers=RESULT.layers[:-1])
    assert not_same(of_layers(gone)) == [(last.name, "presence", "regressed")]
    other = msgspec.structs.replace(last, output_shape=(1, 7, 1, 1))
    changed = msgspec.structs.replace(RESULT, layers=(*RESULT.layers[:-1], other))
    assert not_same(of_layers(changed)) == [(last.name, "presence", "regressed")]
    found = list(exact.of_layers(NAME, matching.layers(gone.layers, RESULT.layers), Limits(), counts=True))
    assert not_same(found) == [(last.name, "presence", "information")]
