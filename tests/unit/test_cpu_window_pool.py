from __future__ import annotations

from typing import Any

import byte_layers
import kernel_cases as kernels
import numpy as np
import planted_faults
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from kernel_cases import AVX2, Pool, WindowPool
from planted_faults import Fault
from torch.nn import functional
from tvm import te, tirx

from mbench.compile import computations
from mbench.compile.kernel import Kernel
from mbench.compile.machine import KernelMachine
from mbench.compile.schedules import cpu, emit
from mbench.compile.schedules.dispatch import schedule
from mbench.networks.graph_builder import GraphBuilder

RULE = "cpu.window_pool"


@st.composite
def pools(draw: st.DrawFn) -> WindowPool:
    kernel = draw(st.tuples(st.integers(1, 5), st.integers(1, 5)))
    top, left = (draw(st.integers(0, side // 2)) for side in kernel)  # torch takes no more
    alike = draw(st.booleans())
    bottom, right = (top, left) if alike else (draw(st.integers(0, side // 2)) for side in kernel)
    return WindowPool(
        batch=draw(st.integers(1, 3)),
        height=draw(kernels.sides(kernel[0])),
        width=draw(kernels.sides(kernel[1])),
        channels=draw(kernels.channels()),
        kind=draw(st.sampled_from(["max", "avg"])),
        kernel=kernel,
        strides=draw(st.tuples(st.integers(1, 3), st.integers(1, 3))),
        padding=(top, left, bottom, right),
        ceil_mode=alike and draw(st.booleans()),
        count_include_pad=draw(st.booleans()),
        epilogue=draw(st.sampled_from(["none", "none", "relu", "bias", "bias+residual", "twice"])),
    )


@kernels.repeatable(16)
@given(data=st.data(), layer=pools(), machine=kernels.machines())
def test_pools_are_what_torch_computes(data: st.DataObject, layer: WindowPool, machine: KernelMachine) -> None:
    kernels.check_any(data, RULE, layer, machine)


@kernels.repeatable(12)
@given(layer=pools())
def test_pools_as_they_are_written_are_what_torch_computes(layer: WindowPool) -> None:
    arrays = kernels.drawn(layer)
    output = kernels.run(kernels.compiled(layer.function()), arrays, layer.output_shape)
    assert kernels.wrong(layer, output, arrays) is None


@kernels.repeatable(40)
@given(layer=pools())
def test_a_pool_is_read_off_its_blocks(layer: WindowPool) -> None:
    pool = Kernel(layer.function()).pooling
    assert pool is not None
    window = pool.window
    assert pool.largest == (layer.kind == "max")
    assert (window.batch, window.height, window.width, window.channels) == layer.output_shape
    assert (window.input_height, window.input_width) == (layer.height, layer.width)
    assert (window.kernel_height, window.kernel_width, window.strides) == (*layer.kernel, layer.strides)
    assert (window.padding[:2], window.dilation, window.group_channels) == (layer.padding[:2], (1, 1), 1)


def test_a_mean_over_all_pixels_is_none_of_windows() -> None:
    assert Kernel(Pool().function()).pooling is None
    assert schedule(Pool().function(), AVX2).rule == "cpu.pool"


@pytest.mark.parametrize("kind", ["max", "avg"])
def test_negative_elements_beside_padding(kind: str) -> None:
    """Padding is no element of a maximum: zeros would be larger than all of these."""
    layer = WindowPool(kind=kind, height=5, width=6, channels=11, count_include_pad=False)
    plan = schedule(layer.function(), AVX2).plan
    arrays = [-1 - np.abs(array) for array in kernels.drawn(layer)]
    output = kernels.executed(plan, layer, arrays)
    assert kernels.wrong(layer, output, arrays) is None
    assert output.max() <= -1


@pytest.mark.parametrize("kernel", [13, 29])
def test_the_lines_of_a_large_window_are_a_loop(kernel: int) -> None:
    half = kernel // 2
    layer = WindowPool(height=14, width=14, kernel=(kernel, kernel), strides=(1, 1), padding=(half,) * 4)
    best = kernels.candidates(RULE, layer, AVX2)[0]
    assert kernels.statements(kernels.built(RULE, layer, AVX2, best).function) < 300 * kernel
    kernels.check(RULE, layer, AVX2, best)


@kernels.repeatable(20)
@given(
    layer=pools(), dtype=st.sampled_from(["uint8", "int8"]), zero_point=st.sampled_from([0, 17, -3]),
    name=st.sampled_from(sorted(byte_layers.MACHINES)),
)  # fmt: skip
def test_pools_of_bytes_are_exact(layer: WindowPool, dtype: str, zero_point: int, name: str) -> None:
    builder = GraphBuilder()
    x = builder.input("x", (layer.batch, layer.channels, layer.height, layer.width), dtype=dtype)
    plain: dict[str, Any] = {"kernel": (1, 1), "strides": (1, 1), "padding": (0, 0, 0, 0)}
    x = builder.add("max_pool2d", "image", x, **plain)
    known: dict[str, Any] = {
        "kernel": layer.kernel, "strides": layer.strides, "padding": layer.padding, "ceil_mode": layer.ceil_mode,
    }  # fmt: skip
    if layer.kind == "max":
        y = builder.add("max_pool2d", "pool", x, **known)
    else:
        zero = max(zero_point, int(np.iinfo(dtype).min))
        sums = builder.add("sum_pool2d", "sums", x, **known, count_include_pad=True, zero_point=zero)
        result: dict[str, Any] = {"scale": 1.0, "zero_point": 3, "to": dtype, "low": -90 if dtype == "int8" else 5}
        y = builder.add(
            "requantize", "pool", sums, builder.parameter("multiplier", (1, 1, 1, 1)), **result, high=120
        )  # fmt: skip
    graph = builder.graph(builder.add("max_pool2d", "end", y, **plain))
    parameters, inputs = byte_layers.drawn(graph)
    parameters = {each: np.full_like(value, 0.04) for each, value in parameters.items()}
    program = byte_layers.exact(graph, parameters, inputs, byte_layers.MACHINES[name])
    assert RULE in program.rules.values()


# ------------------------------------------------------------------------------------------------------- planted faults
LAYER = WindowPool(batch=2, height=7, width=9, channels=20, strides=(1, 1))
PARAMETERS = {"lines": 2, "rows": 4, "vectors": 2, "line_parts": 2, "panel_parts": 1}


def smallest_kept(sums: emit.Accumulators, row: int, column: int, value: Any) -> None:
    array = sums._arrays[row][column]
    emit.store(array, tirx.min(emit.vector(array, 0, sums.lanes), value), 0, sums.lanes)


FAULTS = {
    **planted_faults.OF_TAPS,
    "a tile cut short": planted_faults.OF_TILES["a tile cut short"],
    "a panel beyond the last channel": planted_faults.OF_TILES["a panel beyond the last channel"],
    "the smallest": Fault(emit.Accumulators, "keep_largest", smallest_kept, "the worst"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_is_seen(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    planted_faults.check_seen(monkeypatch, FAULTS[name], RULE, LAYER, PARAMETERS)


# ---------------------------------------------------------------------------------------------- what is pooled is given
@pytest.mark.parametrize("kind", ["max", "avg"])
def test_an_image_may_be_pooled_as_it_comes(kind: str) -> None:
    """No rule is for channels that come first; what is written is right all the same."""
    x = np.random.default_rng(2).standard_normal((2, 3, 9, 8), dtype=np.float32)
    known = {"kernel": (3, 2), "strides": (2, 2), "padding": (1, 1, 1, 1), "count_include_pad": False}
    pooled = getattr(functional, f"{kind}_pool2d")
    excluded = {} if kind == "max" else {"count_include_pad": False}
    expected = pooled(torch.from_numpy(x), (3, 2), (2, 2), (1, 1), **excluded).permute(0, 2, 3, 1).numpy()
    image = te.placeholder(x.shape, "float32", "image")
    y = computations.pooling(image, kind, known, expected.shape[1:3], channels_first=True)
    scheduled = schedule(te.create_prim_func([image, y]), AVX2)
    assert scheduled.rule == "fallback"
    output = kernels.run(kernels.compiled(scheduled.plan.function), [x], expected.shape)
    np.testing.assert_allclose(output, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    ("changed", "said"), [({"rows": 10}, "larger than 7 x 9 x 20"), ({"lines": 0}, "'lines' is 0")]
)
def test_a_tile_that_makes_no_sense_is_refused(changed: dict[str, int], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        kernels.built(RULE, LAYER, AVX2, {**PARAMETERS, **changed})


def test_no_kernel_of_another_kind_is_taken() -> None:
    for layer in (Pool(), kernels.Conv(), kernels.Dense()):
        assert not list(kernels.candidates(RULE, layer, AVX2))
        assert cpu.RULES[RULE].build(Kernel(layer.function()), AVX2, PARAMETERS) is None
