from __future__ import annotations

import dataclasses

import kernel_cases as kernels
import planted_faults
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kernel_cases import AVX2, Conv

from mbench.compile.machine import KernelMachine
from mbench.compile.schedules.cpu import tiling

RULE = "cpu.depthwise"


@st.composite
def depthwise(draw: st.DrawFn) -> Conv:
    window = draw(kernels.windows((3, 3, 3, 5, 1, 7)))
    inputs = draw(kernels.channels().filter(lambda count: count > 1))  # of one channel it is a standard one
    return Conv(
        batch=draw(st.integers(1, 3)),
        inputs=inputs,
        channels=inputs * draw(st.sampled_from([1, 1, 1, 2, 3, 4])),
        groups=inputs,
        epilogue=draw(st.sampled_from(kernels.EPILOGUES)),
        **dataclasses.asdict(window),
    )


@kernels.repeatable(16)
@given(data=st.data(), layer=depthwise(), machine=kernels.machines())
def test_depthwise_convolutions_are_what_torch_computes(
    data: st.DataObject, layer: Conv, machine: KernelMachine
) -> None:
    kernels.check_any(data, RULE, layer, machine)


@pytest.mark.parametrize("lines", [1, 2, 3, 4])
@pytest.mark.parametrize("stride", [1, 2])
def test_groups_of_lines_of_two_sizes(lines: int, stride: int) -> None:
    layer = Conv(batch=2, height=7 * stride, width=5, inputs=11, channels=11, groups=11, strides=(stride, stride))
    parameters = {"lines": lines, "rows": 2, "vectors": 1, "line_parts": 3, "panel_parts": 2}
    kernels.check(RULE, layer, AVX2, parameters)


@pytest.mark.parametrize("kernel", [11, 31])
def test_the_lines_of_a_large_kernel_are_a_loop(kernel: int) -> None:
    layer = Conv(height=9, width=10, inputs=24, channels=24, groups=24, kernel=kernel, padding=(kernel // 2,) * 4)
    parameters = {"lines": 1, "rows": 4, "vectors": 2, "line_parts": 2, "panel_parts": 2}
    plan = kernels.built(RULE, layer, AVX2, parameters)
    assert kernels.statements(plan.function) < 300 * kernel  # written out, each would be a statement for each line
    kernels.check(RULE, layer, AVX2, parameters)
    for offered in kernels.candidates(RULE, layer, AVX2):
        registers = offered["lines"] * offered["rows"] * offered["vectors"]
        assert offered["lines"] == 1 or kernel**2 * registers <= 700


@pytest.mark.parametrize("multiplier", [2, 3, 4])
def test_a_vector_of_inputs_is_spread_over_the_outputs_of_each_channel(multiplier: int) -> None:
    layer = Conv(inputs=20, channels=20 * multiplier, groups=20)
    offered = kernels.candidates(RULE, layer, AVX2)
    assert {parameters["vectors"] % multiplier for parameters in offered} == {0}
    kernels.check(RULE, layer, AVX2, offered[0])
    with pytest.raises(ValueError, match=f"1 vectors are not {multiplier} outputs of each channel"):
        kernels.built(RULE, layer, AVX2, {**offered[0], "vectors": 1})


def test_more_outputs_of_each_channel_are_a_grouped_convolutions() -> None:
    layer = Conv(inputs=4, channels=20, groups=4)
    assert not kernels.candidates(RULE, layer, AVX2)
    assert kernels.candidates("cpu.convolution", layer, AVX2)


@pytest.mark.parametrize("lines", [1, 2, 3])
def test_what_is_padding_in_one_image_is_not_read_from_the_next(lines: int) -> None:
    layer = Conv(batch=3, height=3, width=3, inputs=8, channels=8, groups=8, kernel=5, padding=(2, 2, 2, 2))
    kernels.check(RULE, layer, AVX2, {"lines": lines, "rows": 3, "vectors": 1, "line_parts": 1, "panel_parts": 1})


# ------------------------------------------------------------------------------------------------------- planted faults
LAYER = Conv(height=7, width=9, inputs=20, channels=20, groups=20)
PARAMETERS = {"lines": 2, "rows": 4, "vectors": 2, "line_parts": 2, "panel_parts": 1}
FAULTS = planted_faults.OF_TAPS | planted_faults.OF_TILES


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_is_seen(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    planted_faults.check_seen(monkeypatch, FAULTS[name], RULE, LAYER, PARAMETERS)


# ----------------------------------------------------------------------------------------------------------- candidates
@kernels.repeatable(40)
@given(layer=depthwise(), machine=kernels.machines())
def test_candidates_fit_the_registers_and_the_layer(layer: Conv, machine: KernelMachine) -> None:
    offered = kernels.candidates(RULE, layer, machine)
    assert offered
    batch, height, width, channels = layer.output_shape
    lanes = tiling.vector_lanes(layer.inputs, machine)
    for parameters in offered:
        lines, rows, vectors = parameters["lines"], parameters["rows"], parameters["vectors"]
        assert lines * rows * vectors < machine.registers  # one is left for a tap
        assert lines <= height
        assert rows <= width
        assert vectors * lanes <= channels
        assert 1 <= parameters["line_parts"] <= batch * -(-height // lines)
        assert 1 <= parameters["panel_parts"] <= -(-channels // (vectors * lanes))
    assert len({tuple(parameters.values()) for parameters in offered}) == len(offered)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"vectors": 4}, "a tile of 2 lines x 4 outputs x 32 channels is larger than 7 x 9 x 20"),
        ({"rows": 10}, "a tile of 2 lines x 10 outputs x 16 channels is larger than 7 x 9 x 20"),
        ({"lines": 8}, "a tile of 8 lines x 4 outputs x 16 channels is larger than 7 x 9 x 20"),
    ],
)
def test_a_tile_larger_than_the_layer_is_refused(changed: dict[str, int], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        kernels.built(RULE, LAYER, AVX2, {**PARAMETERS, **changed})


def test_a_tile_tells_its_lines_where_there_are_several() -> None:
    tiles = [kernels.built(RULE, LAYER, AVX2, {**PARAMETERS, "lines": lines}).tile for lines in (1, 2)]
    assert tiles == ["4x2x8", "2x4x2x8"]


@pytest.mark.parametrize("value", [0, -1])
@pytest.mark.parametrize("name", PARAMETERS)
def test_parameters_below_one_are_refused(name: str, value: int) -> None:
    with pytest.raises(ValueError, match=f"parameter '{name}' is {value}; it has to be a positive whole number"):
        kernels.built(RULE, LAYER, AVX2, {**PARAMETERS, name: value})


@pytest.mark.parametrize("name", PARAMETERS)
def test_a_parameter_that_is_missing_is_named(name: str) -> None:
    with pytest.raises(ValueError, match=f"parameter '{name}' is missing"):
        kernels.built(RULE, LAYER, AVX2, {other: value for other, value in PARAMETERS.items() if other != name})


def test_a_layer_is_cut_as_the_products_beside_it_are() -> None:
    """Along pixels where they are many; along channels where the weights of those products outweigh the pixels."""
    two_cores = dataclasses.replace(AVX2, cores=2)
    for size, channels, cut in ((14, 512, (2, 1)), (56, 128, (2, 1)), (7, 1024, (1, 2))):
        layer = Conv(batch=1, height=size, width=size, inputs=channels, channels=channels, groups=channels)
        best = kernels.candidates(RULE, layer, two_cores)[0]
        assert (best["line_parts"], best["panel_parts"]) == cut, size
