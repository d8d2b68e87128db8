from __future__ import annotations

import dataclasses
from typing import Any

import kernel_cases as kernels
import planted_faults
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from kernel_cases import AVX2, NEON, Conv
from planted_faults import Fault

from mbench.compile.machine import KernelMachine
from mbench.compile.schedules.cpu import convolution, tiling

RULE = "cpu.convolution"
MOST_STATEMENTS = 1500
"""Of a layer in blocks; seen are up to 1000, of which LLVM takes a second."""


@st.composite
def convolutions(draw: st.DrawFn, *, channels_last: bool) -> Conv:
    window = draw(kernels.windows())
    inputs = kernels.channels().filter(lambda count: count <= 96) if channels_last else st.integers(1, 4)
    groups = draw(st.sampled_from([1, 1, 2, 3]))
    return Conv(
        batch=draw(st.integers(1, 3)),
        inputs=groups * draw(inputs.filter(lambda count: groups == 1 or not channels_last or count > 1)),
        channels=groups * draw(kernels.channels()),
        groups=groups,
        channels_last=channels_last,
        epilogue=draw(st.sampled_from(kernels.EPILOGUES)),
        **dataclasses.asdict(window),
    )


@kernels.repeatable(16)
@given(data=st.data(), layer=convolutions(channels_last=True), machine=kernels.machines())
def test_convolutions_are_what_torch_computes(data: st.DataObject, layer: Conv, machine: KernelMachine) -> None:
    kernels.check_any(data, RULE, layer, machine)


@kernels.repeatable(12)
@given(data=st.data(), layer=convolutions(channels_last=False), machine=kernels.machines())
def test_images_are_convolved_as_they_come(data: st.DataObject, layer: Conv, machine: KernelMachine) -> None:
    kernels.check_any(data, RULE, layer, machine)


IN_BLOCKS = [(24, 2), (24, 3), (24, 8), (26, 3), (37, 4), (37, 7), (24, 24)]
WRITTEN_OUT = [(44, 2), (48, 3)]
EPILOGUES = ["none", "bias+relu", "residual"]


@pytest.mark.parametrize(
    ("blocks", "written_out", "epilogue"),
    [
        (blocks, written_out, EPILOGUES[(row + column) % len(EPILOGUES)])
        for row, blocks in enumerate(IN_BLOCKS)
        for column, written_out in enumerate(WRITTEN_OUT)
    ],
)
def test_sums_wait_in_the_output_between_blocks_of_input_channels(
    blocks: tuple[int, int], written_out: tuple[int, int], epilogue: str
) -> None:
    inputs, count = blocks
    channels, panel_parts = written_out
    layer = Conv(batch=2, height=5, width=7, inputs=inputs, channels=channels, epilogue=epilogue)
    parameters = {"rows": 4, "vectors": 2, "blocks": count, "line_parts": 3, "panel_parts": panel_parts}
    kernels.check(RULE, layer, AVX2, parameters)


def test_threads_do_not_add_to_the_same_outputs() -> None:
    """The last panel of 44 channels overlaps the one before it: with blocks, both add to what the other has begun."""
    layer = Conv(height=5, width=7, inputs=24, channels=44)
    parameters = {"rows": 4, "vectors": 2, "blocks": 2, "line_parts": 1, "panel_parts": 3}
    with pytest.raises(ValueError, match="panels of 16 of 44 channels overlap; 3 parts share their sums"):
        kernels.built(RULE, layer, AVX2, parameters)
    small = dataclasses.replace(AVX2, l2_bytes=8192)
    offered = kernels.candidates(RULE, dataclasses.replace(layer, height=1, width=1, inputs=400, channels=300), small)
    in_blocks = [one for one in offered if one["blocks"] > 1]
    assert any(one["panel_parts"] > 1 for one in offered)
    overlapping = [one for one in in_blocks if 300 % (8 * one["vectors"])]
    assert any(one["panel_parts"] > 1 for one in overlapping)
    assert all(last_two_in_one_task(-(-300 // (8 * one["vectors"])), one["panel_parts"]) for one in overlapping)


@pytest.mark.parametrize(("groups", "inputs", "channels"), [(2, 24, 44), (3, 8, 20), (8, 4, 4), (5, 1, 12)])
def test_panels_lie_within_groups(groups: int, inputs: int, channels: int) -> None:
    layer = Conv(height=5, width=6, inputs=groups * inputs, channels=groups * channels, groups=groups)
    offered = kernels.candidates(RULE, layer, AVX2)
    assert all(parameters["vectors"] * min(8, 1 << channels.bit_length() - 1) <= channels for parameters in offered)
    kernels.check(RULE, layer, AVX2, max(offered, key=kernels.tasks))


def test_groups_in_blocks_do_not_share_sums() -> None:
    layer = Conv(height=5, width=6, inputs=48, channels=40, groups=2)  # 20 channels: the last panel of each overlaps
    parameters = {"rows": 4, "vectors": 2, "blocks": 3, "line_parts": 2, "panel_parts": 2}
    with pytest.raises(ValueError, match="panels of 16 of 20 channels overlap; 2 parts share their sums"):
        kernels.built(RULE, layer, AVX2, parameters)
    kernels.check(RULE, layer, AVX2, {**parameters, "panel_parts": 1})


def last_two_in_one_task(panels: int, parts: int) -> bool:
    """Return whether the part of the last panel begins before it, as `emit.part` shares panels out."""
    return (parts - 1) * panels // parts < panels - 1


@kernels.repeatable(20)
@example(inputs=1402, channels=1402, l2_bytes=2**18)
@example(inputs=1402, channels=1402, l2_bytes=2**14)
@given(inputs=st.integers(1, 1434), channels=st.integers(1, 1434), l2_bytes=st.sampled_from([2**14, 2**18, 2**20]))
def test_no_number_of_channels_multiplies_the_code(inputs: int, channels: int, l2_bytes: int) -> None:
    """Blocks share their code, however many there are: a layer of 1402 channels was written out 701 times."""
    layer = Conv(height=4, width=4, inputs=inputs, channels=channels)
    machine = dataclasses.replace(AVX2, l2_bytes=l2_bytes)
    most = max(kernels.candidates(RULE, layer, machine), key=lambda parameters: parameters["blocks"])
    assert kernels.statements(kernels.built(RULE, layer, machine, most).function) <= MOST_STATEMENTS


@pytest.mark.parametrize(("channels", "blocks"), [(1402, 9), (1402, 2), (24, 24), (37, 7), (1, 1), (1393, 5), (96, 3)])
def test_blocks_are_all_input_channels_in_order(channels: int, blocks: int) -> None:
    ends = [0]
    for each in convolution._cut(channels, blocks):
        assert each.start == ends[-1]
        ends += [each.start + each.size * (number + 1) for number in range(each.count)]
    assert ends[-1] == channels
    assert sorted(set(ends)) == ends
    assert len(ends) - 1 <= blocks


def test_weights_that_outgrow_the_second_cache_are_taken_in_blocks() -> None:
    small = dataclasses.replace(AVX2, l2_bytes=32768)
    layer = Conv(height=5, width=5, inputs=96, channels=24)
    offered = [parameters for parameters in kernels.candidates(RULE, layer, small) if parameters["blocks"] > 1]
    assert offered
    for parameters in offered:
        assert parameters["vectors"] * 8 * 4 * 9 * 96 / parameters["blocks"] <= 32768
    kernels.check(RULE, layer, small, offered[0])


@pytest.mark.parametrize("inputs", [3, 4, 6, 8, 12])
def test_arm_multiplies_by_lanes_where_a_vector_of_inputs_is_whole(inputs: int) -> None:
    layer = Conv(height=4, width=5, inputs=inputs, channels=24)
    parameters = {"rows": 5, "vectors": 2, "blocks": 1, "line_parts": 1, "panel_parts": 1}
    written = kernels.built(RULE, layer, NEON, parameters).function.script()
    assert ("T.Shuffle(" in written) == (inputs % 4 == 0)
    kernels.check(RULE, layer, NEON, parameters)


# ------------------------------------------------------------------------------------------------------- planted faults
LAYER = Conv(height=7, width=9, inputs=10, channels=20)
PARAMETERS = {"rows": 4, "vectors": 2, "blocks": 2, "line_parts": 2, "panel_parts": 1}
finish = convolution.ConvolutionLayer._finish


def finished_with_each_block(layer: Any, *arguments: Any, last: bool) -> None:
    del last
    finish(layer, *arguments, last=True)


FAULTS = {
    **planted_faults.OF_TAPS,
    **planted_faults.OF_TILES,
    "ReLU after each block": Fault(convolution.ConvolutionLayer, "_finish", finished_with_each_block, "the worst"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_is_seen(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    planted_faults.check_seen(monkeypatch, FAULTS[name], RULE, LAYER, PARAMETERS)


# ----------------------------------------------------------------------------------------------------------- candidates
@kernels.repeatable(40)
@given(layer=convolutions(channels_last=True), machine=kernels.machines())
def test_candidates_fit_the_registers_and_the_layer(layer: Conv, machine: KernelMachine) -> None:
    offered = kernels.candidates(RULE, layer, machine)
    assert offered
    batch, height, width, channels = layer.output_shape
    channels //= layer.groups
    lanes = tiling.vector_lanes(channels, machine)
    for parameters in offered:
        rows, vectors = parameters["rows"], parameters["vectors"]
        inputs = 1 if machine.broadcasts_from_memory else rows
        assert rows * vectors + vectors + inputs <= machine.registers
        assert rows <= width
        assert vectors * lanes <= channels
        assert 1 <= parameters["blocks"] <= -(-layer.inputs // layer.groups // 4)
        assert 1 <= parameters["line_parts"] <= batch * height
        assert 1 <= parameters["panel_parts"] <= layer.groups * -(-channels // (vectors * lanes))
    assert len({tuple(parameters.values()) for parameters in offered}) == len(offered)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"vectors": 3}, "a tile of 4 outputs x 24 channels does not fit 9 x 20"),
        ({"rows": 10}, "a tile of 10 outputs x 16 channels does not fit 9 x 20"),
        ({"blocks": 4}, "10 input channels do not fit 4 blocks"),
    ],
)
def test_a_tile_that_does_not_fit_is_refused(changed: dict[str, int], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        kernels.built(RULE, LAYER, AVX2, {**PARAMETERS, **changed})


@pytest.mark.parametrize("value", [0, -1])
@pytest.mark.parametrize("name", PARAMETERS)
def test_parameters_below_one_are_refused(name: str, value: int) -> None:
    with pytest.raises(ValueError, match=f"parameter '{name}' is {value}; it has to be a positive whole number"):
        kernels.built(RULE, LAYER, AVX2, {**PARAMETERS, name: value})


@pytest.mark.parametrize("name", PARAMETERS)
def test_a_parameter_that_is_missing_is_named(name: str) -> None:
    with pytest.raises(ValueError, match=f"parameter '{name}' is missing"):
        kernels.built(RULE, LAYER, AVX2, {other: value for other, value in PARAMETERS.items() if other != name})
