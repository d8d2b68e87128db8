"""From the expected gain to the achieved one; the figures are computed by hand."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest
import quantized_records as quantized
import record_factory as factory
from quantized_records import BYTE_PEAK, PEAK

from mbench.analysis import type_pairs, type_waterfall, waterfall
from mbench.analysis.waterfall import Step, Waterfall
from mbench.core.records import Layer, Record, Result

replace = msgspec.structs.replace


def found(record: Record) -> Waterfall | str:
    [pair] = type_pairs.of_record(record)
    return type_waterfall.of_pair(pair, record)


def taken(record: Record) -> Waterfall:
    way = found(record)
    assert isinstance(way, Waterfall), way
    return way


def steps(record: Record) -> dict[str, Step]:
    return {step.cause: step for step in taken(record).steps if abs(step.change) > 1e-9}


def whole(result: Result, extra: float = 0.0) -> Result:
    """Return the result as if its layers were all that takes time, but for `extra`."""
    seconds = sum(layer.latency_s[0] for layer in result.layers if layer.latency_s) + extra
    balance = result.time_balance and replace(result.time_balance, overhead_s=0.0)
    return replace(result, end_to_end=replace(result.end_to_end, latency_s=(seconds,) * 3), time_balance=balance)


def at_peak(record: Record, byte_peak: float = BYTE_PEAK, floats: tuple[str, ...] = ()) -> Record:
    """Return the record as if every layer ran at its type's peak, and nothing else took time."""
    calibration = record.device.calibration
    assert calibration is not None
    calibration = replace(calibration, flops_per_s={"float32": PEAK, "int8": byte_peak}, parallel_loop_s=None)

    def ideal(result: Result) -> Result:
        def peak(layer: Layer) -> float:
            return PEAK if result.quantized is None or layer.name in floats else byte_peak

        layers = tuple(
            quantized.timed(layer, 2 * layer.macs / peak(layer), peak(layer)) for layer in result.layers
        )  # fmt: skip
        return whole(replace(result, layers=layers))

    return quantized.changed(replace(record, device=replace(record.device, calibration=calibration)), ideal)


def slower(record: Record, side: int, name: str, seconds: float) -> Record:
    """Return the record with one layer of one network slower."""
    peak = (PEAK, BYTE_PEAK)[side]

    def change(layer: Layer) -> Layer:
        return quantized.timed(layer, (layer.latency_s or (0,))[0] + seconds, peak) if layer.name == name else layer

    results = list(record.results)
    results[side] = whole(replace(results[side], layers=tuple(map(change, results[side].layers))))
    return replace(record, results=tuple(results))


@pytest.mark.parametrize(
    "record",
    [
        quantized.both(),
        quantized.both("mobilenet_v2_0.35_96", left_float=("block3.dw",), quicker=1.5),
        quantized.both(quicker=6.0),
        quantized.both(quicker=0.5, left_float=("conv0", "block1.pw")),
    ],
)
def test_the_steps_add_up_exactly(record: Record) -> None:
    way = taken(record)
    assert way.predicted == 4
    assert way.predicted + sum(step.change for step in way.steps) == pytest.approx(way.achieved, rel=1e-12)
    [pair] = type_pairs.of_record(record)
    assert way.achieved == pytest.approx(pair.achieved)
    for step in way.steps:
        assert step.part in ("types", "whole")
        if step.part == "types":
            assert sum(share.excess for share in step.shares) == pytest.approx(step.excess)


@pytest.mark.parametrize("times", [1.0, 2.0, 3.5, 4.0, 8.0])
def test_at_the_peaks_there_is_only_what_the_instructions_lack_or_exceed(times: float) -> None:
    record = at_peak(quantized.both(), times * PEAK)
    assert taken(record).achieved == pytest.approx(times)
    assert {cause: step.change for cause, step in steps(record).items()} == (
        {} if times == 4 else {"instructions": pytest.approx(times - 4)}
    )


def test_a_layer_that_stayed_float_gains_nothing() -> None:
    record = at_peak(quantized.both(left_float=("block2.pw",)), 4 * PEAK, floats=("block2.pw",))
    [layer] = [layer for layer in record.results[0].layers if layer.name == "block2.pw"]
    [step] = steps(record).values()
    seconds = 2 * layer.macs / PEAK
    assert (step.cause, [share.layer for share in step.shares]) == ("stayed_float", ["block2.pw"])
    assert step.excess == pytest.approx(seconds * 3 / 4)
    assert step.change == pytest.approx(taken(record).achieved - 4)


def test_passes_that_round_are_a_cause_of_their_own() -> None:
    record = slower(at_peak(quantized.both(), 4 * PEAK), 1, quantized.PASS, 1e-4)
    [step] = steps(record).values()
    assert (step.cause, step.shares[0].layer) == ("rounding", quantized.PASS)
    assert step.excess == pytest.approx(1e-4)


def test_starting_threads_takes_as_long_in_both_types_and_so_three_quarters_too_long() -> None:
    record = at_peak(quantized.both(), 4 * PEAK)
    calibration = record.device.calibration
    assert calibration is not None
    record = replace(record, device=replace(record.device, calibration=replace(calibration, parallel_loop_s=2e-6)))
    for side in (0, 1):
        record = slower(record, side, "block2.pw", 2e-6)
    [step] = steps(record).values()
    assert step.cause == "threads"
    assert step.excess == pytest.approx(2e-6 * 3 / 4)


def test_narrow_channels_leave_places_of_words_empty() -> None:
    """A depthwise layer of 8 channels: half of 16 sums, and 3 of each 4 taps. float32 leaves half empty too."""
    record = at_peak(quantized.both(), 4 * PEAK)
    record = slower(record, 1, "block1.dw", 1e-3)
    [layer] = [layer for layer in record.results[1].layers if layer.name == "block1.dw"]
    assert (layer.output_shape[1], layer.kernel_size) == (8, (3, 3))
    found = steps(record)
    at_peak_s = 2 * layer.macs / (4 * PEAK)
    assert found["vectors"].excess == pytest.approx(at_peak_s * (2 * 4 / 3 - 1))
    assert found["kernel"].excess == pytest.approx(1e-3 - found["vectors"].excess)


def test_the_first_convolution_fills_three_of_four_places() -> None:
    record = slower(at_peak(quantized.both("mobilenet_v1_1.0_128"), 4 * PEAK), 1, "conv0", 1e-3)
    [layer] = [layer for layer in record.results[1].layers if layer.name == "conv0"]
    assert (layer.input_shape[1], layer.output_shape[1]) == (3, 32)
    assert steps(record)["vectors"].excess == pytest.approx(2 * layer.macs / (4 * PEAK) / 3)


def test_bandwidth_is_what_the_levels_add_beyond_a_quarter_of_float32s() -> None:
    def fed(layer: Layer, peak: float) -> Layer:
        if layer.name != "block2.pw" or layer.roofline is None:
            return layer
        seconds = 2 * 2 * layer.macs / peak  # at half of the peak, which is all that L2 feeds
        roof = replace(layer.roofline, flops_per_s=peak / 2, bound="L2", fraction_of_peak=0.5, fraction_of_bound=1.0)
        return replace(layer, latency_s=(seconds,) * 3, roofline=roof)

    record = at_peak(quantized.both(), 4 * PEAK)
    floats, narrow = record.results
    narrow = whole(replace(narrow, layers=tuple(fed(layer, 4 * PEAK) for layer in narrow.layers)))
    [step] = steps(replace(record, results=(floats, narrow))).values()
    [layer] = [layer for layer in narrow.layers if layer.name == "block2.pw"]
    assert (step.cause, step.shares[0].level) == ("bandwidth", "L2")
    assert step.excess == pytest.approx(2 * layer.macs / (4 * PEAK))
    floats = whole(replace(floats, layers=tuple(fed(layer, PEAK) for layer in floats.layers)))
    assert steps(replace(record, results=(floats, narrow))) == {}, "float32 is as much bound by it"


def test_a_fused_block_of_float32_stands_beside_its_layers() -> None:
    record = at_peak(quantized.both("mobilenet_v2_0.35_96"), 4 * PEAK)
    floats, narrow = record.results
    inside = [layer for layer in floats.layers if layer.block == "block3"]
    whole_block = replace(
        inside[-1], name="block3.fused", op="inverted_residual", macs=sum(layer.macs for layer in inside),
        contains=tuple(layer.name for layer in inside),
    )  # fmt: skip
    block = quantized.timed(whole_block, 2 * whole_block.macs / PEAK, PEAK)
    layers = tuple(block if layer is inside[0] else layer for layer in floats.layers if layer not in inside[1:])
    fused = replace(record, results=(whole(replace(floats, layers=layers)), narrow))
    assert steps(fused) == {}, "the same work at the same peaks"
    slow = slower(fused, 1, "block3.dw", 1e-5)
    shares = {share.layer for step in steps(slow).values() for share in step.shares if share.excess > 1e-9}
    assert shares == {"block3.fused"}


def test_what_runs_between_the_layers_and_what_nothing_explains_is_of_no_layer() -> None:
    record = at_peak(quantized.both(), 4 * PEAK)
    floats, narrow = record.results
    assert narrow.time_balance is not None
    late = replace(whole(narrow, 3e-5), time_balance=replace(narrow.time_balance, overhead_s=1e-5))
    found = steps(replace(record, results=(floats, late)))
    assert {cause: step.excess for cause, step in found.items()} == {
        "runtime": pytest.approx(1e-5), "rest": pytest.approx(2e-5),
    }  # fmt: skip
    assert {step.shares for step in found.values()} == {()}


def without_peak(record: Record, dtype: str) -> Record:
    calibration = record.device.calibration
    assert calibration is not None
    rates = {name: rate for name, rate in calibration.flops_per_s.items() if name != dtype}
    return replace(record, device=replace(record.device, calibration=replace(calibration, flops_per_s=rates)))


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda record: without_peak(record, "int8"), "the machine's peak in int8 was not measured"),
        (lambda record: without_peak(record, "float32"), "the machine's peak in float32 was not measured"),
        (
            lambda record: quantized.changed(
                record, lambda result: replace(
                    result, layers=tuple(replace(layer, roofline=None) for layer in result.layers)
                )
            ),
            "no place under the roofline",
        ),
    ],
)  # fmt: skip
def test_without_what_it_needs_there_is_a_reason(spoil: Callable[[Record], Record], reason: str) -> None:
    way = found(spoil(quantized.both()))
    assert isinstance(way, str)
    assert reason in way


def test_what_was_only_compiled_or_disturbed_has_none() -> None:
    assert found(quantized.both(latency=False)) == waterfall.UNTIMED
    record = factory.in_sessions(quantized.both(), disturbed=range(5), only=("mobilenet_v1_0.25_128_int8",))
    assert found(record) == f"disturbed: {factory.BUSY}"
    assert isinstance(found(factory.in_sessions(quantized.both(), disturbed=(1,))), Waterfall)


def counted(record: Record, target: str, vector_bits: int, each: float, beside: int = 1000) -> Record:
    """Return the record as counted only, of code for `target`: a multiply-add of bytes takes `each` instructions."""
    record = factory.counted(record, target=target, vector_bits=vector_bits)

    def narrow(layer: Layer) -> Layer:
        counters = layer.counters
        if counters is None or not layer.macs:
            return layer
        return replace(layer, counters=replace(counters, instructions=int(layer.macs * each) + beside))

    floats, bytes_ = record.results
    layers = tuple(map(narrow, bytes_.layers))
    assert bytes_.counts is not None
    summed = sum(layer.counters.instructions for layer in layers if layer.counters)
    counts = replace(bytes_.counts, counters=replace(bytes_.counts.counters, instructions=summed))
    record = replace(record, results=(floats, replace(bytes_, layers=layers, counts=counts)))
    return quantized.changed(
        record, lambda result: replace(result, end_to_end=replace(result.end_to_end, latency_s=None))
    )


@pytest.mark.parametrize(
    ("target", "vector_bits", "each", "beyond"),
    [
        ("x86_64_v3", 256, 3 / 32, 2 / 32),  # three instructions for 32 multiply-adds, where one is expected
        ("arm64_cortex_a72", 128, 3 / 16, 2 / 16),
        ("arm64_cortex_a76", 128, 1 / 16, 0.0),  # sdot
        ("arm64_neoverse_v2", 128, 1 / 32, -1 / 32),  # smmla does twice as many
    ],
)
def test_by_instructions_it_is_what_the_processor_lacks_and_what_stands_beside(
    target: str, vector_bits: int, each: float, beyond: float
) -> None:
    record = counted(quantized.both(), target, vector_bits, each)
    way = taken(record)
    assert way.by_instructions
    assert way.predicted + sum(step.change for step in way.steps) == pytest.approx(way.achieved, rel=1e-12)
    layers = [layer for layer in record.results[1].layers if layer.macs]
    found = {step.cause: step for step in way.steps}
    lacking = found["instructions"].excess if "instructions" in found else 0.0
    assert lacking == pytest.approx(sum(layer.macs for layer in layers) * beyond)
    floats = [layer.counters for layer in record.results[0].layers if layer.macs and layer.counters]
    theirs = sum(counters.instructions - counters.fma_instructions for counters in floats) / 4
    assert found["beside"].excess == pytest.approx(1000 * len(layers) - theirs, abs=len(layers))


def test_counts_of_a_target_that_is_not_known_are_split_as_others() -> None:
    way = taken(counted(quantized.both(), "another", 128, 1 / 16))
    assert "instructions" not in {step.cause for step in way.steps}
    assert way.predicted + sum(step.change for step in way.steps) == pytest.approx(way.achieved, rel=1e-12)


def test_code_that_was_not_wholly_counted_is_not_split() -> None:
    record = counted(quantized.both(), "x86_64_v3", 256, 3 / 32)
    floats, narrow = record.results
    layers = tuple(replace(layer, counters=None) if layer.name == "conv0" else layer for layer in narrow.layers)
    assert found(replace(record, results=(floats, replace(narrow, layers=layers)))) == waterfall.NOT_ALL_COUNTED


def test_the_ratio_of_the_peaks() -> None:
    record = quantized.both()
    assert type_waterfall.peak_ratio(record, "int8") == pytest.approx(3.5)
    assert type_waterfall.peak_ratio(without_peak(record, "int8"), "int8") is None
    assert type_waterfall.peak_ratio(quantized.both(latency=False), "int8") is None
