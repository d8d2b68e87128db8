"""What a layer's time is split into; test_waterfall.py has the rest, on whole networks."""

from __future__ import annotations

import msgspec
import pytest
import quantized_records as quantized
import record_factory as factory

from mbench.analysis import layer_causes
from mbench.core.records import Layer

replace = msgspec.structs.replace
RECORD = quantized.both()


def of(name: str, **changes: object) -> Layer:
    [layer] = [layer for layer in RECORD.results[0].layers if layer.name == name]
    return replace(layer, **changes)


def test_a_machine_of_bytes_has_four_in_each_place_of_a_sum() -> None:
    floats, whole = (layer_causes.machine(RECORD, dtype) for dtype in ("float32", "int8"))
    assert floats is not None
    assert whole is not None
    assert (floats.lanes, floats.depth, floats.peak) == (16, 1, factory.PEAK_FLOPS)
    assert (whole.lanes, whole.depth, whole.peak) == (16, 4, quantized.BYTE_PEAK)
    assert layer_causes.machine(RECORD, "float16") is None
    assert layer_causes.machine(quantized.both(latency=False), "float32") is None


@pytest.mark.parametrize("dtype", ["float32", "int8"])
@pytest.mark.parametrize("name", ["conv0", "block1.dw", "block2.pw", "pool", "fc"])
def test_the_parts_of_a_layer_are_all_of_its_time(name: str, dtype: str) -> None:
    machine, layer = layer_causes.machine(RECORD, dtype), of(name)
    assert machine is not None
    assert layer.latency_s is not None
    parts = layer_causes.seconds(layer, machine)
    assert parts is not None
    assert sum(parts.values()) == pytest.approx(sorted(layer.latency_s)[len(layer.latency_s) // 2], rel=0.01)


def test_what_was_not_timed_or_has_no_place_is_not_split() -> None:
    machine = layer_causes.machine(RECORD, "float32")
    assert machine is not None
    assert layer_causes.seconds(of("conv0", latency_s=None), machine) is None
    assert layer_causes.seconds(of("conv0", roofline=None), machine) is None
    assert layer_causes.instructions(of("conv0"), 16) is None
