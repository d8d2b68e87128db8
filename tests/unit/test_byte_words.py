"""Layers of bytes by the rules for GPUs, run on a CPU thread by thread: every byte as the exact reference has it."""

from __future__ import annotations

from typing import Any

import byte_layers as layers
import cuda_on_cpu
import cuda_programs
import numpy as np
import pytest
import tvm
from byte_layers import ByteConv

from mbench.compile.schedules.gpu import byte_words
from mbench.compile.schedules.gpu.byte_words import WordWeights
from mbench.hardware import targets
from mbench.networks.graph import Graph
from mbench.networks.graph_builder import GraphBuilder
from mbench.tuning import candidates

SAME: dict[str, Any] = {"kernel": (3, 3), "padding": (1, 1, 1, 1)}
POINTWISE = {
    "whole": ByteConv(inputs=32, channels=32, zero_point=3),
    "words": ByteConv(batch=2, inputs=24, channels=40, zero_point=200, residual=True, to="int8"),
    "odd": ByteConv(inputs=9, channels=20, zero_point=255, residual=True, table=True),
    "signed": ByteConv(inputs=20, channels=17, dtype="int8", zero_point=-5, bias=False, to="int8"),
    "all weights' zero points": ByteConv(inputs=16, channels=16, other_zero_point=-128, zero_point=7),
    "deep": ByteConv(height=10, width=10, inputs=272, channels=24, other_zero_point=9, zero_point=7, bias=False),
}
CONVOLUTIONS = {
    "padded": ByteConv(inputs=16, channels=24, zero_point=9, **SAME),
    "first": ByteConv(height=14, width=14, inputs=3, channels=16, strides=(2, 2), channels_last=False, zero_point=9,
                      kernel=(3, 3), padding=(0, 0, 1, 1)),
    "odd": ByteConv(batch=2, inputs=6, channels=20, kernel=(1, 5), padding=(0, 2, 0, 2), dilation=(1, 2), bias=False,
                    zero_point=-100, dtype="int8", residual=True),
    "weights' zero points": ByteConv(inputs=10, channels=16, other_zero_point=-7, zero_point=100, **SAME),
    "groups": ByteConv(inputs=32, channels=64, groups=2, zero_point=9, table=True, **SAME),
}  # fmt: skip
DEPTHWISE = {
    "odd": ByteConv(height=9, inputs=21, channels=21, groups=21, zero_point=9, **SAME),
    "multiplied": ByteConv(batch=2, inputs=6, channels=18, groups=6, zero_point=-9, dtype="int8", **SAME),
    "zero points": ByteConv(inputs=8, channels=8, groups=8, zero_point=9, bias=False, other_zero_point=4, **SAME),
}
DOTS = {
    "plain": ByteConv(height=9, inputs=16, channels=16, groups=16, zero_point=9, **SAME),
    "wide": ByteConv(height=9, width=11, inputs=24, channels=24, groups=24, kernel=(5, 5), padding=(2, 2, 2, 2),
                     strides=(2, 2), zero_point=9, residual=True),
    "apart": ByteConv(batch=2, height=11, width=13, inputs=8, channels=8, groups=8, kernel=(3, 4), dilation=(2, 3),
                      padding=(2, 3, 1, 0), strides=(1, 2), dtype="int8", zero_point=-120, to="int8", table=True),
}  # fmt: skip


def pools(dtype: str, *, largest: bool) -> Graph:
    """Return a pool of windows, and one of all that it gives."""
    builder = GraphBuilder()
    x = layers.image(builder, "x", (2, 8, 9, 7), last=True, dtype=dtype)
    known: dict[str, Any] = {"kernel": (3, 2), "strides": (2, 1), "padding": (1, 0, 1, 1), "ceil_mode": False}
    rounded: dict[str, Any] = {"scale": 1.0, "zero_point": 3, "to": dtype, "low": -90 if dtype == "int8" else 5}
    if largest:
        x = builder.add("max_pool2d", "pool", x, **known)
    else:
        sums = builder.add("sum_pool2d", "sums", x, **known, zero_point=17)
        x = builder.add("requantize", "pool", sums, builder.parameter("multiplier", (1, 1, 1, 1)), **rounded, high=120)
    sums = builder.add("global_sum_pool", "all", x, zero_point=-3 if dtype == "int8" else 60)
    y = builder.add("requantize", "mean", sums, builder.parameter("other", (1, 1, 1, 1)), **rounded, high=120)
    return builder.graph(builder.add("reshape", "flat", y, shape=(2, 8)))


LINEAR = {f"{rows} rows": layers.linear(rows, 70 - rows, 30) for rows in (1, 2, 8)}
LARGE_LINEAR = {"20 rows": layers.linear(20, 64, 40), "9 odd rows": layers.linear(9, 37, 21)}
GRAPHS: dict[str, dict[str, Graph]] = {
    "gpu.matmul": {**{name: layer.graph() for name, layer in POINTWISE.items()}, **LARGE_LINEAR},
    "gpu.convolution": {name: layer.graph() for name, layer in CONVOLUTIONS.items()},
    "gpu.depthwise": {name: layer.graph() for name, layer in DEPTHWISE.items()},
    "gpu.byte_depthwise": {name: layer.graph() for name, layer in DOTS.items()},
    "gpu.dense": LINEAR,
    "gpu.pool": {dtype: pools(dtype, largest=False) for dtype in ("uint8", "int8")},
    "gpu.window_pool": {dtype: pools(dtype, largest=True) for dtype in ("uint8", "int8")},
}


def named(graphs: dict[str, Graph]) -> dict[str, Graph]:
    """Return graphs under names that are ones in C."""
    return {f"k{number}": graph for number, graph in enumerate(graphs.values())}


@pytest.mark.parametrize("number", [0, 7])
@pytest.mark.parametrize("rule", GRAPHS)
def test_layers_are_exact(rule: str, number: int) -> None:
    assert cuda_programs.wrong(named(GRAPHS[rule]), rule=rule, number=number) == {}


@pytest.mark.parametrize("target", ["cuda_sm87", "cuda_sm90"])
def test_other_targets_have_choices_that_are_exact(target: str) -> None:
    """Of each rule one layer, the first that it is asked for."""
    graphs = {f"k{number}": next(iter(graphs.values())) for number, graphs in enumerate(GRAPHS.values())}
    assert cuda_programs.wrong(graphs, target=target) == {}


# ------------------------------------------------------------------------------------------------- checks that can fail
FAULTS = {
    "rows of another sign": ("gpu.matmul", "mma<uint8_t, int8_t, int>(", "mma<int8_t, int8_t, int>("),
    "weights of another sign": ("gpu.matmul", "mma<uint8_t, int8_t, int>(", "mma<uint8_t, uint8_t, int>("),
    "taps of pixels of another sign": ("gpu.byte_depthwise", "dot_u8_s8(", "__dp4a("),
    "pixels that are not transposed": ("gpu.byte_depthwise", ", 21520)", ", 30258)"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_wrong_instruction_is_noticed(monkeypatch: pytest.MonkeyPatch, fault: str) -> None:
    rule, right, wrong = FAULTS[fault]
    as_cpp = cuda_on_cpu.as_cpp

    def spoiled(source: str) -> str:
        code = as_cpp(source)
        start = code.index("run_grid(const int*")
        assert right in code[start:]
        return code[:start] + code[start:].replace(right, wrong)

    monkeypatch.setattr(cuda_on_cpu, "as_cpp", spoiled)
    graph = next(iter(GRAPHS[rule].values()))
    assert "differ" in cuda_programs.wrong({"k": graph}, rule=rule)["k"]


def test_what_weights_of_many_zero_points_are_the_sum_of() -> None:
    weights = np.array([[-128, 127, 0, 1]], np.int8)
    for zero in range(-128, 128):
        made = WordWeights(reduction=1, columns=4, zero_points=(5, zero))
        parts = made.in_words(weights).view(np.int8).reshape(made.parts, 4, 4)[..., 0].astype(int)
        assert (parts.sum(0) == weights[0].astype(int) - zero).all()
        begun = made.packed(made.in_words(weights), weights).view("<i4")[-4:]
        assert (begun == -5 * (weights[0].astype(int) - zero)).all()


def test_words_are_as_wide_as_rows_allow() -> None:
    assert [byte_words.at_once(numbers) for numbers in (64, 24, 36, 18, 3)] == [4, 2, 1, 0, 0]


def test_tuning_has_other_tiles_to_try() -> None:
    for layer, rules in (
        (POINTWISE["whole"], {"gpu.matmul", "gpu.convolution"}),
        (DOTS["plain"], {"gpu.byte_depthwise", "gpu.depthwise"}),
    ):
        function = tvm.ir.save_json(layers.kernels_of(layer)[1].function)
        default, others = candidates.tiles(function, targets.load("cuda_sm87"), 3)
        assert default.rule in rules
        assert rules <= {default.rule, *(other.rule for other in others)}
        assert len({(other.rule, other.tile) for other in others}) >= 3
