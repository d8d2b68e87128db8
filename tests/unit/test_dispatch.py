"""From a torch network, through all the rules, to its output; and which rule takes a kernel, or why none does."""

from __future__ import annotations

import dataclasses
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import kernel_cases as kernels
import network_cases as networks
import numpy as np
import prologue_cases
import pytest
import tvm
from kernel_cases import AVX2, MACHINES, SSE, Conv, Dense, Layer, Pool
from network_cases import Network
from prologue_cases import FORMS, Gated
from tvm import relax, topi

from mbench.compile import codegen, expressions, pack, to_relax
from mbench.compile.kernel import Kernel
from mbench.compile.machine import KernelMachine
from mbench.compile.schedules import cpu
from mbench.compile.schedules.cpu import tiling
from mbench.compile.schedules.dispatch import make, schedule, schedule_all
from mbench.compile.schedules.rule import FALLBACK, KernelPlan, Parameters, Rule, Scheduled, StaleChoiceError
from mbench.core import dtypes
from mbench.core.choices import Choice
from mbench.hardware import targets
from mbench.measure import numerics
from mbench.networks import folding, variants
from mbench.networks import kernels as grouping
from mbench.networks.graph import Graph
from mbench.networks.graph_builder import GraphBuilder

TOLERANCE = dtypes.of("float32").network_tolerance


def run(module: tvm.IRModule, machine: str, x: np.ndarray) -> tuple[np.ndarray, dict[str, Scheduled]]:
    """Schedule, compile and run a module; return its output, and how each kernel was scheduled."""
    target = kernels.host_target()
    with target:
        scheduled = schedule_all(to_relax.kernel_calls(module), MACHINES[machine])
        installed = pack.install(module, scheduled)
    executable = codegen.generate(codegen.plan(installed, target), target)
    vm = relax.VirtualMachine(executable, tvm.cpu())
    return vm["main"](tvm.runtime.tensor(x)).numpy(), scheduled


def rules_of(scheduled: Mapping[str, Scheduled]) -> set[str]:
    return {kernel.rule for kernel in scheduled.values()}


# ---------------------------------------------------------------------------------------------- right on every machine
@dataclasses.dataclass(frozen=True)
class Shape:
    """A small network with each kind of layer: (batch, ci, side, side), then `a` channels, then `b`."""

    batch: int
    ci: int
    side: int
    a: int
    b: int
    stride: int = 1


SHAPES = [
    Shape(1, 3, 14, 32, 64, stride=2),
    Shape(1, 16, 1, 48, 96),
    Shape(1, 5, 13, 21, 42),  # channels that no vector divides
    Shape(2, 4, 15, 24, 40, stride=2),
]


def every_kind(shape: Shape) -> Graph:
    builder, a, b = GraphBuilder(), shape.a, shape.b
    x = builder.input("image", (shape.batch, shape.ci, shape.side, shape.side))
    x = builder.convolution("first", x, a, kernel=3, stride=shape.stride, activation="relu")
    x = builder.convolution("depthwise", x, a, kernel=3, groups=a, activation="relu6")
    x = builder.convolution("down", x, a, kernel=3, stride=2, groups=a, activation="hard_swish")
    x = builder.convolution("pointwise", x, b, activation="silu")
    x = builder.add("add", "residual", builder.convolution("standard", x, b, kernel=3), x)
    x = builder.add("global_avg_pool", "pool", x)
    flat = builder.add("reshape", "flat", x, shape=(shape.batch, b))
    return builder.graph(builder.linear("dense", flat, 100))


@pytest.mark.parametrize(
    ("machine", "shape"),
    [
        *zip(MACHINES, SHAPES, strict=True),
        *zip(reversed(MACHINES), SHAPES, strict=True),
    ],
    ids=str,
)
def test_networks_of_every_kind_of_layer_compute_what_torch_does(machine: str, shape: Shape) -> None:
    network = networks.of_graph(every_kind(shape))
    output, scheduled = run(network.module, machine, network.example)
    assert numerics.compare(output, network.expected, 1e-5).passed
    assert {"cpu.matmul", "cpu.depthwise", "cpu.convolution", "cpu.pool"} <= rules_of(scheduled) <= cpu.RULES.keys()
    for kernel in scheduled.values():
        *_, lanes = map(int, kernel.plan.tile.split("x"))
        assert lanes == kernel.plan.lanes
        assert lanes <= MACHINES[machine].lanes()
        assert kernel.description == f"{kernel.rule} {kernel.plan.tile}"


@pytest.mark.parametrize("machine", MACHINES)
def test_a_network_of_many_operations_is_what_torch_computes(machine: str) -> None:
    rules = set[str]()
    for graph in (networks.mixed(), networks.of_files()):
        network = networks.of_graph(graph)
        output, scheduled = run(network.module, machine, network.example)
        assert numerics.compare(output, network.expected, 1e-5).passed
        rules |= rules_of(scheduled)
    of_bytes = {name for name in cpu.RULES if "integer" in name}
    assert rules | {"cpu.strassen"} == cpu.RULES.keys() - {"cpu.winograd", "cpu.inverted_residual", *of_bytes}


@pytest.mark.parametrize(
    ("machine", "name", "batch"),
    [
        ("avx2", "mobilenet_v1_0.25_32", 1),
        ("sse", "mobilenet_v1_0.33_33", 3),
        ("avx512", "mobilenet_v1_0.25_40_standard", 3),
        ("neon", "mobilenet_v1_0.25_40_standard", 3),
    ],
)
def test_whole_networks_agree_with_torch(machine: str, name: str, batch: int) -> None:
    lowered = networks.lowered(variants.parse(name, batch=batch))
    output, scheduled = run(lowered.module, machine, lowered.example)
    seen = numerics.compare(output, lowered.expected, TOLERANCE)
    assert seen.passed, seen.detail
    wanted = {"cpu.convolution", "cpu.pool", "cpu.matmul"}
    wanted |= set() if "standard" in name else {"cpu.depthwise"}
    assert rules_of(scheduled) - {"cpu.winograd", "cpu.strassen"} == wanted


# ------------------------------------------------------------------------------------------------- activations in a row
_MOST_NODES = 1000
"""Of the expressions of all blocks of a kernel, constants and indices among them."""


def in_a_row(op: str) -> Graph:
    builder = GraphBuilder()
    y = builder.convolution("conv", builder.input("image", (1, 3, 5, 5)), 24, norm=None)
    for place in range(12):
        shift = builder.parameter(f"shift{place}", (1, 24, 1, 1))
        y = builder.add(op, f"{op}{place}", builder.add("add", f"add{place}", y, shift))
    pooled = builder.add("global_avg_pool", "pool", y)
    return builder.graph(builder.add("reshape", "flat", pooled, shape=(1, 24)))


def nodes(function: tvm.tirx.PrimFunc) -> int:
    kernel = Kernel(function)
    return sum(1 for name in kernel.blocks for _ in expressions.walk(kernel.store(name).value))


@pytest.mark.parametrize("op", ["hard_swish", "silu", "gelu", "gelu_tanh"])
def test_twelve_activations_in_a_row_stay_small_and_are_what_torch_computes(op: str) -> None:
    network = networks.of_graph(in_a_row(op))
    sizes = [nodes(function) for _, function in to_relax.kernel_calls(network.module)]
    assert len(sizes) < 12
    assert max(sizes) < _MOST_NODES
    output, scheduled = run(network.module, "avx2", network.example)
    assert not [kernel.reason for kernel in scheduled.values() if kernel.reason]
    assert network.expected.std() > 0.01 * abs(network.expected).max()
    assert numerics.compare(output, network.expected, TOLERANCE).passed


def test_without_a_bound_the_expression_of_twelve_is_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grouping, "_MOST_OPERATIONS", 10**9)
    lowered = to_relax.lower(folding.fold(in_a_row("hard_swish")).graph)
    assert max(nodes(function) for _, function in to_relax.kernel_calls(lowered.module)) > 30 * _MOST_NODES


# ------------------------------------------------------------------------------------------- kernels with a prologue
def test_a_kernel_of_stages_is_for_rules_that_know_them(monkeypatch: pytest.MonkeyPatch) -> None:
    function, asked = Gated().function(), list[str]()

    def curious(kernel: Kernel, _machine: KernelMachine) -> Iterator[Parameters]:
        asked.append(str(kernel.function.attrs))
        yield {}

    rule = Rule(candidates=curious, build=not_mine)
    monkeypatch.setattr(cpu, "RULES", {"cpu.curious": rule, **cpu.RULES})
    assert schedule(function, AVX2).rule == "cpu.matmul"
    assert not asked
    schedule(Conv(kernel=1, padding=(0, 0, 0, 0)).function(), AVX2)
    assert asked
    monkeypatch.setattr(cpu, "RULES", {"cpu.curious": dataclasses.replace(rule, stages=True)})
    assert schedule(function, AVX2).rule == FALLBACK
    assert len(asked) > 1


@pytest.mark.parametrize("form", FORMS)
def test_the_fall_back_of_a_kernel_with_a_prologue_is_right(form: str) -> None:
    case = Gated(form=form, adds=True, outputs=24)
    prologue_cases.check_plan(make(case.function(), AVX2, FALLBACK, {}), case)


def test_a_wrong_packing_of_weights_is_seen_by_the_numerics(monkeypatch: pytest.MonkeyPatch) -> None:
    lowered = networks.lowered(variants.parse("mobilenet_v1_0.25_32"))
    right = tiling.pack

    def reversed_panels(weights: np.ndarray, starts: list[int], width: int) -> np.ndarray:
        return right(weights[:, ::-1], starts, width)

    monkeypatch.setattr(tiling, "pack", reversed_panels)
    output, _ = run(lowered.module, "sse", lowered.example)
    assert not numerics.compare(output, lowered.expected, TOLERANCE).passed


def small(machine: str, **how: Any) -> tuple[Network, np.ndarray, set[str]]:
    """Return a network of one convolution of 16 channels, its output, and the rules that made it."""
    builder = GraphBuilder()
    x = builder.input("image", (2, 16, 12, 12))
    x = builder.convolution("first", x, 16)
    x = builder.convolution("own", x, **{"channels": 32, **how})
    x = builder.add("global_avg_pool", "pool", x)
    network = networks.of_graph(builder.graph(builder.add("reshape", "flat", x, shape=builder.shape(x)[:2])))
    output, scheduled = run(network.module, machine, network.example)
    return network, output, rules_of(scheduled)


@pytest.mark.parametrize(
    ("machine", "how"),
    [
        ("avx2", {"kernel": 5, "stride": 2}),
        ("neon", {"kernel": 3, "padding": (0, 0, 1, 1), "stride": 2}),
        ("avx2", {"kernel": 7, "stride": 2, "groups": 16, "channels": 16, "activation": "gelu"}),
        ("neon", {"kernel": (1, 7), "stride": (2, 1)}),
        ("sse", {"kernel": 3, "dilation": 2, "groups": 16, "channels": 48}),
        ("avx512", {"kernel": 3, "groups": 4, "activation": "tanh"}),
    ],
    ids=str,
)
def test_other_kernels_strides_and_activations(machine: str, how: dict[str, Any]) -> None:
    network, output, rules = small(machine, **how)
    assert numerics.compare(output, network.expected, 1e-5).passed
    assert rules <= cpu.RULES.keys()  # no fall-back


# ------------------------------------------------------------------------------------------------------------- threads
@cache
def fingerprints() -> tuple[tuple[str, int, int, str], ...]:
    """Return (rule, tasks, threads, hash of the output) of kernels, from a process with several threads."""
    program = Path(kernels.__file__)
    path = os.pathsep.join(filter(None, (str(program.parent), os.environ.get("PYTHONPATH"))))
    environment = {**os.environ, "TVM_NUM_THREADS": "3", "PYTHONPATH": path}
    command = [sys.executable, str(program)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=300)
    rows = [line.split() for line in done.stdout.splitlines()]
    return tuple((rule, int(tasks), int(threads), bits) for rule, tasks, threads, bits in rows)


@pytest.mark.parametrize("rule", kernels.SHARED)
def test_the_number_of_threads_changes_no_bit_of_the_output(rule: str) -> None:
    rows = [row for row in fingerprints() if row[0] == rule]
    assert {threads for _, _, threads, _ in rows} == {1, 2, 3}
    assert all(tasks >= 3 for _, tasks, _, _ in rows)
    assert len({bits for _, _, _, bits in rows}) == 1


def test_the_bits_of_other_kernels_are_others() -> None:
    assert len({bits for _, _, _, bits in fingerprints()}) == len(kernels.SHARED)


# ------------------------------------------------------------------------------------------- what no rule is made for
UNPADDED = (0, 0, 0, 0)
POINTWISE = Conv(kernel=1, padding=UNPADDED)
DEPTHWISE = Conv(inputs=16, groups=16)
STRANGE: dict[str, Layer] = {
    "a standard convolution in halves": Conv(dtype="float16"),
    "a depthwise one in halves": dataclasses.replace(DEPTHWISE, dtype="float16"),
    "a product in halves": Dense(dtype="float16"),
    "a mean in halves": Pool(dtype="float16"),
}


@pytest.mark.parametrize("name", STRANGE)
def test_what_is_no_rules_falls_back_and_is_right(name: str) -> None:
    layer = STRANGE[name]
    function, arrays = layer.function(), kernels.drawn(layer)
    for rule in cpu.RULES.values():
        assert not list(rule.offers(Kernel(function), AVX2))
    scheduled = schedule(function, AVX2)
    assert (scheduled.rule, scheduled.description, scheduled.plan.pack) == ("fallback", "fallback", None)
    assert scheduled.reason is not None
    assert re.fullmatch(r"no rule is for blocks \w+(, \w+)*", scheduled.reason)
    assert kernels.wrong(layer, kernels.executed(scheduled.plan, layer, arrays), arrays) is None


KNOWN: dict[str, tuple[Layer, str]] = {
    "padded below and right alone": (Conv(strides=(2, 2), padding=(0, 0, 1, 1)), "cpu.convolution"),
    "more padding below": (Conv(padding=(1, 1, 4, 4)), "cpu.convolution"),
    "more padding than kernel": (Conv(padding=(4, 4, 4, 4)), "cpu.convolution"),
    "more padding than kernel, depthwise": (dataclasses.replace(DEPTHWISE, padding=(4, 4, 4, 4)), "cpu.depthwise"),
    "depthwise padded below and right": (
        dataclasses.replace(DEPTHWISE, strides=(2, 2), padding=(0, 0, 1, 1)),
        "cpu.depthwise",
    ),
    "an image padded below and right": (
        Conv(inputs=3, channels_last=False, strides=(2, 2), padding=(0, 0, 1, 1)),
        "cpu.convolution",
    ),
    "a part of the input unread": (Conv(height=8, width=8, strides=(2, 2), padding=UNPADDED), "cpu.convolution"),
    "stride 3": (Conv(strides=(3, 3)), "cpu.convolution"),
    "kernel 2": (Conv(kernel=2, padding=UNPADDED), "cpu.convolution"),
    "depthwise of one tap": (dataclasses.replace(DEPTHWISE, kernel=1, padding=UNPADDED), "cpu.depthwise"),
    "one input channel": (Conv(inputs=1, channels=5), "cpu.convolution"),
    "one channel in, one out": (Conv(inputs=1, channels=1), "cpu.convolution"),
    "1x1 with padding": (Conv(kernel=1), "cpu.convolution"),
    "1x1 of stride 2": (Conv(kernel=1, strides=(2, 2), padding=UNPADDED), "cpu.convolution"),
    "1x1": (POINTWISE, "cpu.matmul"),
    "two groups": (Conv(groups=2), "cpu.convolution"),
    "two outputs of each channel": (Conv(inputs=8, channels=16, groups=8), "cpu.depthwise"),
    "eight outputs of each channel": (Conv(inputs=2, channels=16, groups=2), "cpu.convolution"),
    "dilated": (Conv(dilation=2, padding=(2, 2, 2, 2)), "cpu.convolution"),
    "dilated depthwise": (dataclasses.replace(DEPTHWISE, dilation=2), "cpu.depthwise"),
    "unequal strides": (Conv(strides=(1, 2)), "cpu.convolution"),
    "unequal strides, depthwise": (dataclasses.replace(DEPTHWISE, strides=(2, 1)), "cpu.depthwise"),
    "unequal strides of an image": (Conv(inputs=3, channels_last=False, strides=(1, 2)), "cpu.convolution"),
    "unequal padding": (Conv(padding=(1, 0, 1, 0)), "cpu.convolution"),
    "unequal padding, depthwise": (dataclasses.replace(DEPTHWISE, padding=(0, 1, 0, 1)), "cpu.depthwise"),
    "sigmoid": (Conv(epilogue="sigmoid"), "cpu.convolution"),
    "sigmoid of a depthwise": (dataclasses.replace(DEPTHWISE, epilogue="sigmoid"), "cpu.depthwise"),
    "sigmoid of a pointwise": (dataclasses.replace(POINTWISE, epilogue="sigmoid"), "cpu.matmul"),
    "sigmoid of a matrix product": (Dense(epilogue="sigmoid"), "cpu.matmul"),
    "sigmoid of a mean": (Pool(epilogue="sigmoid"), "cpu.pool"),
    "ReLU without bias": (Conv(epilogue="relu"), "cpu.convolution"),
    "mean, bias, ReLU": (Pool(epilogue="bias+relu"), "cpu.pool"),
    "mean and another": (Pool(epilogue="residual"), "cpu.pool"),
    "twice": (Conv(epilogue="twice"), "cpu.convolution"),
    "depthwise, twice": (dataclasses.replace(DEPTHWISE, epilogue="twice"), "cpu.depthwise"),
    "matrix product, twice": (Dense(epilogue="twice"), "cpu.matmul"),
    "mean, twice": (Pool(epilogue="twice"), "cpu.pool"),
}


@pytest.mark.parametrize("name", KNOWN)
def test_which_rule_takes_a_kernel(name: str) -> None:
    layer, rule = KNOWN[name]
    arrays, scheduled = kernels.drawn(layer), schedule(layer.function(), AVX2)
    assert (scheduled.rule, scheduled.reason, scheduled.tuned) == (rule, None, False)
    assert kernels.wrong(layer, kernels.executed(scheduled.plan, layer, arrays), arrays) is None


@pytest.mark.parametrize("what", ["max", "mean"])
def test_a_network_with_kernels_that_no_rule_takes_is_right(what: str) -> None:
    x = np.random.default_rng(3).standard_normal((4, 7), dtype=np.float32)
    given, builder = relax.Var("x", relax.TensorType(x.shape, "float32")), relax.BlockBuilder()
    with builder.function("main", [given]):
        with builder.dataflow():
            y = builder.emit_output(builder.emit_te(getattr(topi, {"max": "max", "mean": "sum"}[what]), given, 0))
        builder.emit_func_output(y)
    output, scheduled = run(builder.get(), "sse", x)
    np.testing.assert_allclose(output, x.max(0) if what == "max" else x.sum(0), rtol=1e-6, atol=1e-6)
    [kernel] = scheduled.values()
    assert (kernel.rule, bool(kernel.reason)) == ("fallback", True)


# ------------------------------------------------------------------------------------------------- rules in their order
def takes_all(_kernel: Kernel, _machine: KernelMachine) -> Iterator[Parameters]:
    yield {}


def refusing(kernel: Kernel, _machine: KernelMachine, _parameters: Parameters) -> KernelPlan | None:
    kernel.schedule.get_sblock("no such block")
    return None


def broken(_kernel: Kernel, _machine: KernelMachine, _parameters: Parameters) -> KernelPlan | None:
    raise ZeroDivisionError


def not_mine(_kernel: Kernel, _machine: KernelMachine, _parameters: Parameters) -> KernelPlan | None:
    return None


@pytest.mark.parametrize("build", [refusing, not_mine])
def test_what_one_rule_cannot_make_the_next_is_asked(
    monkeypatch: pytest.MonkeyPatch, build: Callable[..., KernelPlan | None]
) -> None:
    monkeypatch.setattr(cpu, "RULES", {"cpu.first": Rule(candidates=takes_all, build=build), **cpu.RULES})
    scheduled = schedule(POINTWISE.function(), SSE)
    assert (scheduled.rule, scheduled.reason) == ("cpu.matmul", None)


def test_what_tvm_refused_is_the_reason_of_the_fallback(monkeypatch: pytest.MonkeyPatch) -> None:
    rules = {"cpu.refusing": Rule(candidates=takes_all, build=refusing), "cpu.pool": cpu.RULES["cpu.pool"]}
    monkeypatch.setattr(cpu, "RULES", rules)
    scheduled = schedule(POINTWISE.function(), SSE)
    assert scheduled.rule == "fallback"
    assert scheduled.reason is not None
    assert scheduled.reason.startswith("cpu.refusing: ")
    assert "no such block" in scheduled.reason
    assert "\n" not in scheduled.reason


def test_an_error_of_our_own_is_not_taken_for_a_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cpu, "RULES", {"cpu.broken": Rule(candidates=takes_all, build=broken)})
    with pytest.raises(ZeroDivisionError):
        schedule(POINTWISE.function(), SSE)


def test_a_rule_that_does_not_pay_by_default_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    rule = Rule(candidates=takes_all, build=broken, by_default=lambda _kernel, _machine: False)
    monkeypatch.setattr(cpu, "RULES", {"cpu.measured": rule, **cpu.RULES})
    assert schedule(POINTWISE.function(), SSE).rule == "cpu.matmul"


def test_the_same_kernel_is_scheduled_once() -> None:
    function = POINTWISE.function()
    assert list(schedule_all([("a", function), ("b", function), ("a", function)], AVX2)) == ["a", "b"]


# ------------------------------------------------------------------------------------------------------- tuned choices
WORD = "conv2d_nhwc_1x7x7x8_k1x1_s1_p0_16"
CHOSEN = {"rows": 3, "vectors": 1, "row_parts": 1, "panel_parts": 1}


def test_a_tuned_choice_goes_before_the_rules() -> None:
    choices = {WORD: Choice(rule="cpu.matmul", parameters=CHOSEN)}
    scheduled = schedule(POINTWISE.function(), AVX2, choices)
    assert (scheduled.description, scheduled.tuned) == ("cpu.matmul 3x1x8 (tuned)", True)
    assert scheduled.parameters == CHOSEN
    other = schedule(dataclasses.replace(POINTWISE, width=8).function(), AVX2, choices)
    assert (other.tuned, other.ignored) == (False, None)


@pytest.mark.parametrize(
    ("rule", "parameters", "said"),
    [
        ("cpu.product", CHOSEN, "there is no rule cpu.product"),
        ("cpu.depthwise", CHOSEN, "cpu.depthwise does not take this kernel"),
        ("cpu.matmul", {"rows": 3}, "cpu.matmul takes rows, vectors, row_parts, panel_parts, not rows"),
        ("cpu.matmul", {**CHOSEN, "rows": 50}, "cpu.matmul: a tile of 50 rows x 8 columns is larger than 49 x 16"),
        ("cpu.matmul", {**CHOSEN, "panel_parts": 0}, "cpu.matmul: parameter 'panel_parts' is 0; "),
    ],
    ids=["no such rule", "another rule's", "other parameters", "too large", "zero"],
)
def test_a_choice_that_fits_no_longer_is_ignored_and_says_why(rule: str, parameters: dict[str, int], said: str) -> None:
    function = POINTWISE.function()
    with pytest.raises(StaleChoiceError) as caught:
        make(function, AVX2, rule, parameters)
    assert str(caught.value).startswith(said)
    scheduled = schedule(function, AVX2, {WORD: Choice(rule=rule, parameters=parameters)})
    assert (scheduled.rule, scheduled.tuned, scheduled.ignored) == ("cpu.matmul", False, str(caught.value))


# ---------------------------------------------------------------------------------------------------------- the machine
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("x86_64_v2", (4, 16, True, 32768, 262144)),
        ("x86_64_v3", (8, 16, True, 32768, 262144)),
        ("x86_64_v4", (16, 32, True, 49152, 1310720)),
        ("arm64_cortex_a72", (4, 32, False, 32768, 1048576 // 4)),
        ("arm64_apple_m1", (4, 32, False, 131072, 12582912 // 4)),
    ],
)
def test_the_machine_of_a_target_is_what_its_manual_says(name: str, expected: tuple[object, ...]) -> None:
    machine = KernelMachine.of(targets.load(name))
    seen = (machine.lanes(), machine.registers, machine.broadcasts_from_memory, machine.l1_bytes, machine.l2_bytes)
    assert seen == expected
    assert (machine.kind, machine.cores) == ("cpu", targets.load(name).processor.cores)
