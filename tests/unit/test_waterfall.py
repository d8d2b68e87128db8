from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
import record_factory as factory

from mbench.analysis import pairs, waterfall
from mbench.core.records import Layer, Record, Result

replace = msgspec.structs.replace
PEAK = factory.PEAK_FLOPS


def taken(record: Record) -> waterfall.Waterfall:
    [pair] = pairs.of_record(record)
    found = waterfall.of_pair(pair, record)
    assert isinstance(found, waterfall.Waterfall), found
    return found


def changed(record: Record, which: int, change: Callable[[Layer], Layer]) -> Record:
    result = record.results[which]
    edited = replace(result, layers=tuple(change(layer) for layer in result.layers))
    return replace(record, results=tuple(edited if item is result else item for item in record.results))


def at_peak(record: Record) -> Record:
    """Return the record as if every layer ran at the peak, and nothing else took time."""

    def ideal(layer: Layer) -> Layer:
        seconds = 2 * layer.macs / PEAK
        roof = layer.roofline and replace(
            layer.roofline, flops_per_s=PEAK, bound="compute", fraction_of_peak=1.0, fraction_of_bound=1.0
        )
        return replace(layer, latency_s=(seconds,) * 3, roofline=roof)

    for which in range(2):
        record = changed(record, which, ideal)
    results = []
    for result in record.results:
        whole = sum(layer.latency_s[0] for layer in result.layers if layer.latency_s)
        balance = result.time_balance and replace(result.time_balance, overhead_s=0.0)
        whole_runs = replace(result.end_to_end, latency_s=(whole,) * 3)
        results.append(replace(result, end_to_end=whole_runs, time_balance=balance))
    return replace(record, results=tuple(results))


def slower(record: Record, which: int, name: str, seconds: float) -> Record:
    """Return the record with one layer, and so its network, slower."""

    def change(layer: Layer) -> Layer:
        if layer.name != name or layer.latency_s is None:
            return layer
        roof = layer.roofline
        spent = layer.latency_s[0] + seconds
        if roof:
            rate = 2 * layer.macs / spent
            roof = replace(roof, flops_per_s=rate, fraction_of_peak=rate / PEAK, fraction_of_bound=rate / PEAK)
        return replace(layer, latency_s=(spent,) * 3, roofline=roof)

    record = changed(record, which, change)
    result = record.results[which]
    whole = (result.end_to_end.latency_s or ())[0] + seconds
    edited = replace(result, end_to_end=replace(result.end_to_end, latency_s=(whole,) * 3))
    return replace(record, results=tuple(edited if item is result else item for item in record.results))


def alone(record: Record) -> Record:
    """Return the record as if one thread had run: none had to be started."""
    calibration = record.device.calibration
    assert calibration is not None
    return replace(
        record, device=replace(record.device, calibration=replace(calibration, threads=1, parallel_loop_s=None))
    )


@pytest.mark.parametrize("record", [factory.record(), factory.emulated(), factory.counted(factory.record())])
def test_the_steps_add_up_exactly(record: Record) -> None:
    found = taken(record)
    assert found.predicted + sum(step.change for step in found.steps) == pytest.approx(found.achieved, rel=1e-12)
    for step in found.steps:
        if step.part != "whole":
            assert sum(share.excess for share in step.shares) == pytest.approx(step.excess)
    [pair] = pairs.of_record(record)
    assert found.achieved == pytest.approx(pair.fewer if found.by_instructions else pair.achieved)
    assert found.predicted == pytest.approx(4866774016 / 568740352, rel=1e-3)  # the paper's ratio


def test_at_the_peak_nothing_is_lost() -> None:
    found = taken(at_peak(factory.record()))
    assert found.achieved == pytest.approx(found.predicted)
    assert all(abs(step.change) < 1e-9 for step in found.steps)


def test_a_slow_layer_is_named_with_what_it_cost() -> None:
    record = alone(slower(at_peak(factory.record()), 0, "block3.dw", 1e-3))
    found = taken(record)
    step = found.steps[0]
    assert (step.part, step.cause, step.shares[0].layer) == ("depthwise", "kernel", "block3.dw")
    assert step.excess == pytest.approx(1e-3)
    assert step.change == pytest.approx(found.achieved - found.predicted)


def test_threads_take_what_empty_loops_took_and_never_more_than_there_is() -> None:
    record = slower(slower(at_peak(factory.record()), 0, "block3.dw", 1e-3), 0, "block4.dw", 5e-7)
    steps = {step.cause: step for step in taken(record).steps if step.part == "depthwise"}
    assert {share.layer: share.excess for share in steps["threads"].shares if share.excess > 1e-12} == {
        "block3.dw": pytest.approx(2e-6), "block4.dw": pytest.approx(5e-7),
    }  # fmt: skip
    assert steps["kernel"].excess == pytest.approx(1e-3 - 2e-6)
    twice = changed(record, 0, lambda layer: replace(layer, parallel_loops=2))
    [first, *_] = next(step for step in taken(twice).steps if step.cause == "threads").shares
    assert first.layer == "block3.dw"
    assert first.excess == pytest.approx(4e-6)
    assert not [step for step in taken(alone(record)).steps if step.cause == "threads"]


def test_a_layer_that_only_moves_data_is_layout() -> None:
    record = slower(at_peak(factory.record()), 0, "pool", 1e-4)
    assert taken(record).steps[0].cause == "no_macs"
    moved = changed(record, 0, lambda layer: replace(layer, op="other") if layer.name == "pool" else layer)
    assert taken(moved).steps[0].cause == "layout"


def test_a_slow_standard_layer_is_a_gain() -> None:
    record = alone(slower(at_peak(factory.record()), 1, "block5.conv", 1e-2))
    found = taken(record)
    step = found.steps[-1]
    assert (step.part, step.cause, step.shares[0].layer) == ("standard", "kernel", "block5.conv")
    assert step.excess == pytest.approx(-1e-2 / found.predicted)
    assert step.change > 0


def test_what_memory_adds_is_bandwidth_of_its_level() -> None:
    def fed(layer: Layer) -> Layer:
        if layer.name != "block1.pw" or layer.roofline is None:
            return layer
        spent = 2 * layer.macs / PEAK * 2
        rate = PEAK / 2
        roof = replace(
            layer.roofline, flops_per_s=rate, bound="L2", fraction_of_peak=0.5, fraction_of_bound=1.0
        )  # runs at what L2 feeds: half of the peak
        return replace(layer, latency_s=(spent,) * 3, roofline=roof)

    record = changed(at_peak(factory.record()), 0, fed)
    step = next(step for step in taken(record).steps if step.cause == "bandwidth")
    [share] = [share for share in step.shares if share.layer == "block1.pw"]
    assert share.level == "L2"
    assert share.excess == pytest.approx(2 * 25690112 / PEAK, rel=1e-6)  # 64 x 32 x 112 x 112 multiply-adds at peak
    kernel = [step for step in taken(record).steps if step.cause == "kernel" and step.part == "pointwise"]
    assert all(abs(step.excess) < 1e-12 for step in kernel)


def test_empty_lanes_are_low_vector_use() -> None:
    names = ("mobilenet_v1_0.25_128", "mobilenet_v1_0.25_128_standard")
    record = slower(at_peak(factory.record(names)), 0, "block1.dw", 1e-3)
    step = next(step for step in taken(record).steps if (step.part, step.cause) == ("depthwise", "vectors"))
    [share] = step.shares
    assert share.layer == "block1.dw"
    assert share.excess == pytest.approx(2 * 8 * 9 * 64 * 64 / PEAK)  # 8 channels in 16 lanes: as much again
    full = slower(at_peak(factory.record()), 0, "block1.dw", 1e-3)  # 32 channels
    assert not [step for step in taken(full).steps if step.part == "depthwise" and step.cause == "vectors"]


def test_a_step_names_first_what_makes_it() -> None:
    record = slower(at_peak(factory.record()), 0, "block3.dw", 1e-3)
    record = slower(record, 0, "block5.dw", -1e-6)
    step = taken(record).steps[0]
    assert [step.shares[0].layer, step.shares[-1].layer] == ["block3.dw", "block5.dw"]
    record = slower(slower(at_peak(factory.record()), 1, "block5.conv", 1e-2), 1, "block4.conv", -1e-4)
    step = taken(record).steps[-1]
    assert [step.shares[0].layer, step.shares[-1].layer] == ["block5.conv", "block4.conv"]


def test_unattributed_time_is_said_to_be() -> None:
    record = at_peak(factory.record())
    [result, other] = record.results
    whole = (result.end_to_end.latency_s or ())[0]
    late = replace(result, end_to_end=replace(result.end_to_end, latency_s=(whole + 2e-3,) * 3))
    [step] = [step for step in taken(replace(record, results=(late, other))).steps if abs(step.change) > 1e-9]
    assert (step.part, step.cause, step.shares) == ("whole", "rest", ())
    assert step.excess == pytest.approx(2e-3)


def test_winograd_counts_against_the_ratio() -> None:
    record = factory.emulated()

    def fewer(layer: Layer) -> Layer:
        counters = layer.counters
        if layer.name != "block4.conv" or counters is None:
            return layer
        saved = counters.fma_instructions // 2
        return replace(
            layer,
            counters=replace(
                counters, fma_instructions=counters.fma_instructions - saved, instructions=counters.instructions - saved
            ),
        )

    step = next(
        step for step in taken(changed(record, 1, fewer)).steps if (step.part, step.cause) == ("standard", "extra_macs")
    )
    assert step.shares[0].layer == "block4.conv"
    assert step.change < 0


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda record: replace(record, device=replace(record.device, calibration=None)), "peak was not measured"),
        (lambda record: changed(record, 0, lambda layer: replace(layer, latency_s=None)), "not timed"),
        (lambda record: changed(record, 0, lambda layer: replace(layer, roofline=None)), "no place under the roofline"),
    ],
)
def test_without_what_it_needs_there_is_a_reason(spoil: Callable[[Record], Record], reason: str) -> None:
    record = spoil(factory.record())
    [pair] = pairs.of_record(record)
    found = waterfall.of_pair(pair, record)
    assert isinstance(found, str)
    assert reason in found
    [pair] = pairs.of_record(factory.record(latency=False))
    assert waterfall.of_pair(pair, factory.record(latency=False)) == "the two networks were not both timed"


def renamed(result: Result, **changes: Any) -> Result:
    layers = tuple(replace(layer, name=f"n{layer.index}", inputs=(), **changes) for layer in result.layers)
    return replace(result, layers=layers, replaced=())


def changes_of(record: Record) -> dict[tuple[str, str], float]:
    return {(step.part, step.cause): step.change for step in taken(record).steps}


def test_parts_of_a_record_of_before_go_by_role_and_not_by_name() -> None:
    record = factory.record()
    found = changes_of(replace(record, results=tuple(map(renamed, record.results))))
    assert found == pytest.approx(changes_of(record))
    assert {"depthwise", "pointwise", "standard", "shared"} <= {part for part, _ in found}


@pytest.mark.parametrize("name", ["mobilenet_v1_0.25_32", "mobilenet_v2_0.35_96", "mobilenet_v4_conv_small_1.0_224"])
def test_parts_go_by_what_was_replaced_and_not_by_role_or_name(name: str) -> None:
    record = factory.record((name, f"{name}_standard"))
    network, twin = record.results
    ours, theirs = ({layer.name: f"n{layer.index}" for layer in result.layers} for result in record.results)
    replaced = tuple(
        replace(each, layer=theirs[each.layer], layers=tuple(ours[part] for part in each.layers))
        for each in twin.replaced
    )
    other = (renamed(network, role="other"), replace(renamed(twin, role="other"), replaced=replaced))
    assert changes_of(replace(record, results=other)) == pytest.approx(changes_of(record))


def test_the_expansion_is_of_both_networks_and_the_projection_was_replaced() -> None:
    """What one layer takes longer is a loss of its part: the steps add up whichever that is."""
    record = factory.record(("mobilenet_v2_0.35_96", "mobilenet_v2_0.35_96_standard"))
    for name, part in (("expand", "shared"), ("dw", "depthwise"), ("project", "pointwise")):
        before, after = (
            {(step.part, step.cause): step.excess for step in taken(each).steps}
            for each in (record, slower(record, 0, f"block3.{name}", 1e-3))
        )
        assert [key for key in after if after[key] > before.get(key, 0.0) + 5e-4] == [(part, "kernel")], name


def test_a_block_that_one_kernel_computes_is_a_part_of_its_own() -> None:
    record = factory.record(("mobilenet_v2_0.35_96", "mobilenet_v2_0.35_96_standard"))
    [network, twin] = record.results
    inside = [layer for layer in network.layers if layer.block == "block3"]
    whole = replace(
        inside[-1], name="block3.fused", op="inverted_residual", role="fused", macs=sum(layer.macs for layer in inside),
        contains=tuple(layer.name for layer in inside), latency_s=(2e-5,) * 20,
    )  # fmt: skip
    layers = tuple(whole if layer is inside[0] else layer for layer in network.layers if layer not in inside[1:])
    fused = replace(record, results=(replace(network, layers=layers), twin))
    found = taken(fused)
    shares = [share.layer for step in found.steps if step.part == "fused" for share in step.shares]
    assert set(shares) == {"block3.fused"}
    of_standard = {share.layer for step in found.steps if step.part == "standard" for share in step.shares}
    assert {"block3.expand", "block3.conv"} <= of_standard
    assert sum(step.change for step in found.steps) == pytest.approx(found.achieved - found.predicted)


@pytest.mark.parametrize(("op", "cause"), [("transpose", "layout"), ("concat", "layout"), ("softmax", "no_macs")])
def test_what_only_moves_data_is_told_from_what_computes(op: str, cause: str) -> None:
    record = changed(factory.record(), 0, lambda layer: replace(layer, op=op) if layer.op == "pool" else layer)
    causes = {step.cause for step in taken(record).steps for share in step.shares if share.layer == "pool"}
    assert cause in causes


def test_what_is_disturbed_has_no_waterfall() -> None:
    record = factory.in_sessions(factory.record(), disturbed=range(5), only=factory.PAIR[1:])
    [pair] = pairs.of_record(record)
    assert waterfall.of_pair(pair, record) == f"disturbed: {factory.BUSY}"
    assert taken(factory.in_sessions(factory.record(), disturbed=(1,)))
