from __future__ import annotations

import msgspec
import pytest
import quantized_records as quantized
import record_factory as factory

from mbench.analysis import type_pairs, type_waterfall, type_words
from mbench.core.quantized import QuantizationOutcome, SignalToNoise
from mbench.core.records import Record

replace = msgspec.structs.replace


def said(record: Record) -> tuple[str, str]:
    [pair] = type_pairs.of_record(record)
    return type_words.gain(pair), type_words.loss(pair, type_waterfall.of_pair(pair, record), record)


@pytest.mark.parametrize(
    ("quicker", "expected"),
    [
        (3.0, "3.0 times quicker, where 4 are expected of int8"),
        (0.8, "1.2 times slower, where 4 times quicker is expected of int8"),
        (5.0, "5.0 times quicker, at least the 4 expected of int8"),
    ],
)
def test_the_gain_is_said_beside_what_is_expected(quicker: float, expected: str) -> None:
    gain, loss = said(quantized.both(quicker=quicker))
    assert gain == expected
    assert bool(loss) is (quicker < 4)


def test_the_costs_are_said_in_both_types() -> None:
    [pair] = type_pairs.of_record(quantized.both(quicker=2.0))
    words = type_words.costs(pair)
    assert words.count(" µs in ") + words.count(" ms in ") == 2
    assert words.endswith(" in int8")
    [untimed] = type_pairs.of_record(quantized.both(latency=False))
    assert type_words.costs(untimed) == "not timed in float32, not timed in int8"
    assert type_words.gain(untimed) == "4 times quicker is expected of int8"


def test_a_loss_names_its_layers() -> None:
    name = "block2.pw"
    record = quantized.both(left_float=(name,), quicker=3.9)
    [pair] = type_pairs.of_record(record)
    way = type_waterfall.of_pair(pair, record)
    assert not isinstance(way, str)
    [step] = [step for step in way.steps if step.cause == "stayed_float"]
    assert type_words.cause(step, pair, record) == f"layers that stayed float ({step.change:+.2f}x: {name})"


def test_a_processor_without_a_dot_product_is_said_to_have_none() -> None:
    record = quantized.both(quicker=1.2)
    calibration = record.device.calibration
    assert calibration is not None
    rates = {"float32": quantized.PEAK, "int8": 1.3 * quantized.PEAK}
    record = replace(record, device=replace(record.device, calibration=replace(calibration, flops_per_s=rates)))
    processor = replace(record.target.processor, requires=("avx2", "fma"), vector_bits=256)
    record = replace(record, target=replace(record.target, processor=processor))
    [pair] = type_pairs.of_record(record)
    way = type_waterfall.of_pair(pair, record)
    assert not isinstance(way, str)
    [step] = [step for step in way.steps if step.cause == "instructions"]
    assert type_words.cause(step, pair, record) == (
        "instructions of the processor (no dot product of bytes on this processor; its int8 peak is 1.3 times that of "
        "float32)"
    )


def test_why_more_is_not_known_is_said() -> None:
    record = quantized.both()
    calibration = record.device.calibration
    assert calibration is not None
    without = replace(calibration, flops_per_s={"float32": quantized.PEAK})
    _, loss = said(replace(record, device=replace(record.device, calibration=without)))
    assert loss.startswith("where the rest is lost is not known: the machine's peak in int8 was not measured")


def test_a_disturbed_gain_is_no_figure() -> None:
    record = factory.in_sessions(quantized.both(), disturbed=range(5), only=(f"{quantized.NETWORK}_int8",))
    assert said(record) == ("its gain is disturbed, where 4 times are expected of int8", "")


def test_several_networks_have_a_range() -> None:
    found = [(type_pairs.of_record(quantized.both(quicker=times))[0], f"net {times:g}") for times in (3.0, 2.0, 2.5)]
    assert type_words.several(found) == (
        "int8: from 2.0 times (net 2) to 3.0 times quicker (net 3) than float32, of the 4 expected"
    )
    untimed = type_pairs.of_record(quantized.both(latency=False))[0]
    assert type_words.several([(untimed, "net")]) is None


def outcome() -> QuantizationOutcome:
    found = quantized.both(left_float=("conv0",)).results[1].quantized
    assert found is not None
    return found


def test_quality_is_no_accuracy_where_images_were_drawn() -> None:
    assert type_words.quality(outcome()) == (
        "output 19.5 dB signal to noise; 75 % agree with float32 (4 drawn images, no accuracy); 1 operation left float"
    )
    assert "(4 images)" in type_words.quality(replace(outcome(), drawn=False))


def test_top1_is_said_where_it_was_counted() -> None:
    found = quantized.evaluated(quantized.both()).results[1].quantized
    assert found is not None
    assert "top-1 88.0 %, 90.0 % in float32 (100 images)" in type_words.quality(found)


def test_the_value_with_most_noise() -> None:
    values = [SignalToNoise(name=name, sqnr_db=value) for name, value in (("a", 9.0), ("b", None), ("c", 3.0))]
    assert type_words.lowest(values) == values[2]
    assert type_words.lowest(values[1:2]) is None
    assert type_words.decibels(3.04) == "3.0 dB"
