"""Pairs of bfloat16 as words: how weights lie, and kernels of every kind beside what PyTorch computes in float64."""

from __future__ import annotations

import dataclasses
import re

import kernel_cases as kernels
import ml_dtypes
import numpy as np
import pytest
import tvm
from kernel_cases import AVX512, Conv, Dense, Layer, Pool, Product, WindowPool
from pair_layers import executed, problem, runs_here
from tvm import tirx

from mbench.compile import codegen, tvm_passes
from mbench.compile.machine import KernelMachine
from mbench.compile.schedules.cpu import pairs
from mbench.compile.schedules.dispatch import schedule
from mbench.hardware import targets

UNPADDED = (0, 0, 0, 0)
LAYERS: dict[str, tuple[str, Layer]] = {
    "pointwise": ("cpu.matmul", Conv(height=14, width=14, inputs=32, channels=96, kernel=1, padding=UNPADDED)),
    "pointwise with a residual": (
        "cpu.matmul",
        Conv(inputs=24, channels=48, kernel=1, padding=UNPADDED, epilogue="bias+residual"),
    ),
    "odd rows": ("cpu.matmul", Conv(inputs=7, channels=20, kernel=1, padding=UNPADDED)),
    "few channels": ("cpu.matmul", Conv(inputs=6, channels=3, kernel=1, padding=UNPADDED)),
    "linear": ("cpu.matmul", Dense(reduction=128, columns=100)),
    "odd linear": ("cpu.matmul", Dense(rows=3, reduction=33, columns=40)),
    "first convolution": (
        "cpu.convolution",
        Conv(height=21, width=18, inputs=3, channels=32, strides=(2, 2), channels_last=False),
    ),
    "convolution": ("cpu.convolution", Conv(inputs=16, channels=40)),
    "odd convolution": ("cpu.convolution", Conv(batch=2, inputs=5, channels=17, strides=(2, 1), dilation=(1, 2))),
    "groups": ("cpu.convolution", Conv(inputs=24, channels=48, groups=3)),
    "odd groups": ("cpu.convolution", Conv(inputs=9, channels=24, groups=3)),
    "depthwise": ("cpu.depthwise", Conv(inputs=40, channels=40, groups=40, strides=(2, 2))),
    "depthwise with a multiplier": ("cpu.depthwise", Conv(inputs=16, channels=32, groups=16)),
    "mean": ("cpu.pool", Pool(channels=40)),
    "largest of a window": ("cpu.window_pool", WindowPool(channels=24)),
    "mean of a window": ("cpu.window_pool", WindowPool(channels=20, kind="avg", epilogue="relu")),
    "batch": ("cpu.batch_matmul", Product(left=(2,), right=(2,), rows=5, depth=9, columns=20)),
}


def typed(layer: Layer) -> Layer:
    return dataclasses.replace(layer, dtype="bfloat16")


@runs_here
@pytest.mark.parametrize("name", LAYERS)
def test_kernels_are_what_torch_computes(name: str) -> None:
    rule, layer = LAYERS[name]
    assert problem(rule, typed(layer), AVX512) is None


@runs_here
def test_a_wrong_weight_is_seen() -> None:
    rule, layer = LAYERS["pointwise"]
    arrays = kernels.drawn(typed(layer))
    plan = kernels.built(rule, typed(layer), AVX512, kernels.candidates(rule, typed(layer), AVX512)[0])
    found = executed(plan, layer, arrays)
    arrays[1].reshape(-1)[5] += 1
    assert kernels.wrong(typed(layer), found, arrays) is not None


def test_a_lane_has_the_pair_that_its_channel_is_multiplied_by() -> None:
    weights = np.arange(2 * 3 * 4).reshape(2, 3, 4).astype(ml_dtypes.bfloat16)  # taps, inputs, channels
    found = pairs.packed(weights, 3, 4, "bfloat16")
    assert found.shape == (2 * 2, 4)
    split = found.view(ml_dtypes.bfloat16).reshape(4, 4, 2).astype(int)
    assert split[0].tolist() == [[0, 4], [1, 5], [2, 6], [3, 7]]
    assert split[3].tolist() == [[20, 0], [21, 0], [22, 0], [23, 0]]


def test_sums_of_blocks_do_not_wait_in_an_output_of_16_bits() -> None:
    layer = typed(Conv(inputs=2048, channels=512, height=3, width=3))
    offered = kernels.candidates("cpu.convolution", layer, AVX512)
    assert {each["blocks"] for each in offered} == {1}
    with pytest.raises(ValueError, match="2 blocks: sums would be rounded to bfloat16 between them; expected 1"):
        kernels.built("cpu.convolution", layer, AVX512, {**offered[0], "blocks": 2})


@pytest.mark.parametrize("name", ["pointwise", "first convolution", "groups", "odd linear"])
def test_code_multiplies_pairs_by_one_instruction_and_rounds_by_another(name: str) -> None:
    target = targets.load("x86_64_v4_bf16")
    made = codegen.tvm_target(target, str(target.tvm["mtriple"]))
    tvm_passes.register()
    with made:
        plan = schedule(typed(LAYERS[name][1]).function(), KernelMachine.of(target)).plan
        module = tvm.IRModule({"kernel": plan.function.with_attr("global_symbol", "kernel")})
        code = str(tirx.build(module, target=made, pipeline=tvm_passes.PIPELINE).inspect_source("asm"))
    assert re.search(r"\bvdpbf16ps\b.*%zmm", code)
    assert "vcvtneps2bf16" in code
    assert "vfmadd" not in code
    assert "__truncsfbf2" not in code
