"""Sums of float16: every rule that multiplies them, on this processor and under QEMU, beside what torch computes."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable

import emulated_bytes as emulated
import kernel_cases as kernels
import network_cases as networks
import numpy as np
import pytest
from kernel_cases import NEON, Conv, Dense, Layer, Pool, Product, Transposed, WindowPool

from mbench.compile.kernel import Kernel
from mbench.compile.machine import KernelMachine
from mbench.compile.schedules import emit
from mbench.compile.schedules.cpu import float_sums
from mbench.compile.schedules.cpu.float_sums import PartSums, StepSpan
from mbench.compile.schedules.dispatch import schedule
from mbench.hardware import half_sums, targets
from mbench.networks import torch_network
from mbench.networks.graph import Graph

HALF = half_sums.TYPE
HALVES = dataclasses.replace(NEON, half_terms=half_sums.TERMS)
UNPADDED = (0, 0, 0, 0)
POINTWISE = Conv(height=9, width=5, inputs=16, channels=40, kernel=1, padding=UNPADDED, dtype=HALF)
DEPTHWISE = Conv(height=9, width=9, inputs=40, channels=40, groups=40, dtype=HALF)
IMAGE = Conv(height=9, width=9, inputs=3, channels=24, strides=(2, 2), channels_last=False, dtype=HALF)
LAYERS: dict[str, tuple[str, Layer]] = {
    "a short sum": ("cpu.matmul", dataclasses.replace(POINTWISE, epilogue="bias+relu6")),
    "two parts": ("cpu.matmul", dataclasses.replace(POINTWISE, inputs=96, epilogue="bias+hard_swish")),
    "parts of two sizes": ("cpu.matmul", dataclasses.replace(POINTWISE, inputs=296, epilogue="bias+residual")),
    "steps one by one": ("cpu.matmul", dataclasses.replace(POINTWISE, inputs=131, channels=5, epilogue="none")),
    "a classifier": ("cpu.matmul", Dense(reduction=1280, columns=100, dtype=HALF)),
    "an image": ("cpu.convolution", IMAGE),
    "parts of lines": ("cpu.convolution", Conv(inputs=16, channels=24, epilogue="bias+silu", dtype=HALF)),
    "parts of taps": ("cpu.convolution", Conv(height=5, width=5, inputs=200, channels=16, dtype=HALF)),
    "nine taps": ("cpu.depthwise", dataclasses.replace(DEPTHWISE, epilogue="bias+hard_swish")),
    "few channels": ("cpu.depthwise", dataclasses.replace(DEPTHWISE, inputs=5, channels=5, groups=5)),
    "many taps": ("cpu.depthwise", dataclasses.replace(DEPTHWISE, kernel=13, padding=(6, 6, 6, 6), epilogue="bias")),
    "transposed": ("cpu.transposed", Transposed(inputs=40, dtype=HALF)),
    "rows of a batch": ("cpu.batch_matmul", Product(left=(2,), right=(2,), depth=150, dtype=HALF)),
    "a mean": ("cpu.pool", Pool(channels=40, dtype=HALF)),
    "means of windows": ("cpu.window_pool", WindowPool(kind="avg", channels=40, dtype=HALF)),
    "the largest of windows": ("cpu.window_pool", WindowPool(channels=40, dtype=HALF)),
}


@pytest.mark.parametrize("name", LAYERS)
def test_every_rule_gives_what_torch_computes(name: str) -> None:
    rule, layer = LAYERS[name]
    made = schedule(layer.function(), HALVES)
    assert made.rule == rule
    kernels.check(rule, layer, HALVES, made.parameters)


@pytest.mark.parametrize("machine", [NEON, kernels.AVX2])
def test_a_processor_without_their_arithmetic_gets_no_such_kernel(machine: KernelMachine) -> None:
    made = schedule(POINTWISE.function(), machine)
    assert made.rule == "fallback"
    assert HALVES.multiplies(HALF)
    assert not machine.multiplies(HALF)


@pytest.mark.parametrize(("terms", "expected"), [(half_sums.TERMS, 4096), (8192, 2048)])
def test_float32_adds_up_what_float16_would_lose(terms: int, expected: int) -> None:
    """4096 ones: float16 has no number between 2048 and 2050, so that its sum stays where it is."""
    layer = Dense(reduction=4096, columns=8, epilogue="none", dtype=HALF)
    arrays = [np.ones(shape, HALF) for shape in (layer.input_shape, layer.weights_shape)]
    made = schedule(layer.function(), dataclasses.replace(NEON, half_terms=terms))
    assert set(kernels.executed(made.plan, layer, arrays).ravel()) == {expected}


@pytest.mark.parametrize("target", [name for name, each in targets.load_all().items() if each.family == "arm"])
def test_a_target_sums_halves_where_it_has_their_arithmetic(target: str) -> None:
    machine = KernelMachine.of(targets.load(target))
    has = "asimdhp" in targets.load(target).processor.requires
    core = targets.load(target).tvm["mcpu"]
    assert machine.multiplies(HALF) == has == (core not in ("cortex-a53", "cortex-a57", "cortex-a72"))


# --------------------------------------------------------------------------------------------------------------- parts
def spans(steps: int, terms: int, most: int = 128) -> list[StepSpan]:
    with function_in_writing():
        return PartSums(1, 1, 8, terms=terms, most=most).spans(steps)


def function_in_writing() -> contextlib.AbstractContextManager[object]:
    """Return a function that is being written: sums are arrays of one."""
    return emit.Writer(Kernel(POINTWISE.function())).function()


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        (128, [(0, 128, 1)]),
        (144, [(0, 72, 2)]),
        (576, [(0, 96, 6)]),
        (960, [(0, 120, 8)]),
        (328, [(0, 112, 2), (224, 104, 1)]),
        (131, [(0, 66, 1), (66, 65, 1)]),
    ],
)
def test_parts_are_few_and_alike(steps: int, expected: list[tuple[int, int, int]]) -> None:
    found = [dataclasses.astuple(span) for span in spans(steps, steps)]
    assert found == expected
    assert sum(size * count for _, size, count in found) == steps
    assert max(size for _, size, _ in found) <= 128


def test_what_fits_one_part_is_not_split() -> None:
    assert spans(96, 96) == [StepSpan(start=0, size=96, count=1)]
    assert float_sums.unrolled(HALF, 96) == 8
    assert float_sums.unrolled("float32", 96) == 4


# --------------------------------------------------------------------------------------------------------- under QEMU
NETWORKS: dict[str, Callable[[str], Graph]] = {"attention": networks.mixed, "norms": networks.of_files}


@pytest.mark.parametrize(("instruction", "name"), [("sdot", "attention"), ("sdot", "norms"), ("usdot", "attention")])
def test_networks_of_all_kinds_of_layers_are_near_float32(instruction: str, name: str) -> None:
    """On Cortex-A76, and on Neoverse V2, which has scalable vectors too; no kernel is left to TVM for its type."""
    emulated.needs_emulator()
    wide, narrow = NETWORKS[name]("float32"), NETWORKS[name](HALF)
    drawn, inputs = torch_network.draw(wide), torch_network.example_inputs(wide)
    [expected] = torch_network.run(wide, drawn, inputs)
    machine = emulated.machine_of(instruction)
    program = emulated.compiled(narrow, drawn, instruction, machine)
    assert program.rules == emulated.compiled(wide, drawn, instruction, machine).rules
    [found] = program.run({name: value.numpy().astype(HALF) for name, value in inputs.items()})
    assert found.dtype == HALF
    error = np.abs(found - expected.numpy()).max() / np.abs(expected.numpy()).max()
    assert 0 < error < 1e-2
