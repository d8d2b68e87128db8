from __future__ import annotations

import dataclasses
import platform
import re
import warnings
from functools import cache

import numpy as np
import pytest
import torch
import tvm
from conftest import require
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from tvm import relax, te
from tvm.relax.frontend.torch import from_exported_program

from mbench import host, targets, variants
from mbench.compile import codegen, lower, pack
from mbench.compile.kernel import Kernel
from mbench.compile.schedules import Machine, Plan, Scheduled, cpu, schedule, schedule_all
from mbench.measure import numerics

TOLERANCE = numerics.TOLERANCE["float32"]
SSE = Machine(kind="cpu", lanes=4, registers=16, broadcasts_from_memory=True)
MACHINES = {
    "avx512": (Machine(kind="cpu", lanes=16, registers=32, broadcasts_from_memory=True), "x86_64_v4"),
    "avx2": (Machine(kind="cpu", lanes=8, registers=16, broadcasts_from_memory=True), "x86_64_v3"),
    "sse": (SSE, "x86_64_v2"),
    # Arm's rules, run as x86 code: what is computed does not depend on who computes it.
    "neon": (Machine(kind="cpu", lanes=4, registers=32, broadcasts_from_memory=False), "x86_64_v2"),
}


@cache
def features() -> tuple[str, ...]:
    return host.describe().features


def executable_target(machine: str) -> tvm.target.Target:
    target = targets.load(MACHINES[machine][1])
    require(platform.machine() == "x86_64", "needs an x86-64 processor")
    lacking = set(target.processor.requires) - set(features())
    require(not lacking, f"needs a processor with {', '.join(sorted(lacking))}")
    return tvm.target.Target(dict(target.tvm))


def fused(network: nn.Module, x: torch.Tensor) -> tvm.IRModule:
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        exported = torch.export.export(network.eval(), (x,))
        module = from_exported_program(exported, keep_params_as_input=False, unwrap_unit_return_tuple=True)
    return lower._fuse(module)


def run(module: tvm.IRModule, machine: str, x: np.ndarray) -> tuple[np.ndarray, dict[str, Scheduled]]:
    """Schedule, compile and run a module; return its output, and how each kernel was scheduled."""
    target = executable_target(machine)
    with target:
        kernels = schedule_all(lower.kernel_calls(module), MACHINES[machine][0])
        installed = pack.install(module, kernels)
    executable = codegen.generate(codegen.plan(installed, target), target)
    vm = relax.VirtualMachine(executable, tvm.cpu())
    return vm["main"](tvm.runtime.tensor(x)).numpy(), kernels


def rules_of(kernels: dict[str, Scheduled]) -> set[str]:
    return {kernel.rule for kernel in kernels.values()}


def seeded(network: nn.Module) -> nn.Module:
    generator = torch.Generator().manual_seed(5)
    for parameter in network.parameters():
        nn.init.normal_(parameter, generator=generator)
    return network


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
    Shape(1, 3, 5, 128, 33),
]


def every_kind(shape: Shape) -> nn.Module:
    a, b = shape.a, shape.b
    return seeded(
        nn.Sequential(
            nn.Conv2d(shape.ci, a, 3, shape.stride, 1), nn.ReLU(),
            nn.Conv2d(a, a, 3, 1, 1, groups=a), nn.ReLU(),
            nn.Conv2d(a, a, 3, 2, 1, groups=a), nn.ReLU(),
            nn.Conv2d(a, b, 1), nn.ReLU(),
            nn.Conv2d(b, b, 3, 1, 1), nn.ReLU(),
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(b, 100),
        )
    )  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("machine", MACHINES)
def test_each_rule_computes_what_torch_does(machine: str, shape: Shape) -> None:
    network = every_kind(shape)
    x = torch.randn(shape.batch, shape.ci, shape.side, shape.side, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected = network(x).numpy()
    output, kernels = run(fused(network, x), machine, x.numpy())
    assert numerics.compare(output, expected, 1e-5).passed
    assert "fallback" not in rules_of(kernels)
    registers = MACHINES[machine][0].registers
    tiles = [kernel.plan.tile for kernel in kernels.values() if kernel.plan.tile]
    assert len(tiles) >= 4  # one each for standard, depthwise, pointwise
    for rows, vectors, lanes in (map(int, tile.split("x")) for tile in tiles):
        assert rows * vectors + vectors + 1 <= registers
        assert lanes <= MACHINES[machine][0].lanes


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
    lowered = lower.lower(variants.parse(name, batch=batch))
    output, kernels = run(lowered.module, machine, lowered.example)
    seen = numerics.compare(output, lowered.expected, TOLERANCE)
    assert seen.passed, seen.detail
    wanted = {"cpu.standard", "cpu.pool", "cpu.dense", "cpu.elementwise"}
    assert rules_of(kernels) == (wanted if "standard" in name else wanted | {"cpu.depthwise", "cpu.pointwise"})


@pytest.mark.parametrize(
    ("machine", "network"),
    [
        ("avx2", nn.Conv2d(8, 32, 5, 1, 2)),
        ("neon", nn.Conv2d(8, 32, 3, 1, 0)),
        ("avx2", nn.Conv2d(16, 16, 7, 2, 3, groups=16)),
        ("neon", nn.Conv2d(8, 48, 1, 2)),
        ("avx2", nn.Sequential(nn.Conv2d(8, 64, 1), nn.ReLU6())),
        ("neon", nn.Sequential(nn.Conv2d(8, 64, 3, padding=1), nn.Hardswish())),
    ],
    ids=str,
)
def test_other_kernels_strides_and_activations(machine: str, network: nn.Module) -> None:
    channels = next(module for module in network.modules() if isinstance(module, nn.Conv2d)).in_channels
    x = torch.randn(1, channels, 12, 12, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        expected = seeded(network)(x).numpy()
    output, kernels = run(fused(network, x), machine, x.numpy())
    assert numerics.compare(output, expected, 1e-5).passed
    assert "fallback" not in rules_of(kernels)


def test_a_wrong_packing_of_weights_is_seen_by_the_numerics(monkeypatch: pytest.MonkeyPatch) -> None:
    lowered = lower.lower(variants.parse("mobilenet_v1_0.25_32"))
    right = pack.packed_weights

    def channels_of_each_tile_reversed(weights: np.ndarray, tile: int) -> np.ndarray:
        return np.ascontiguousarray(right(weights, tile)[..., ::-1])

    monkeypatch.setattr(pack, "packed_weights", channels_of_each_tile_reversed)
    output, kernels = run(lowered.module, "sse", lowered.example)
    assert any(kernel.plan.weight_tile for kernel in kernels.values())
    assert not numerics.compare(output, lowered.expected, TOLERANCE).passed


def test_packing_moves_each_weight_where_the_kernel_reads_it() -> None:
    weights = np.arange(2 * 3 * 5 * 12, dtype="float32").reshape(2, 3, 5, 12)
    packed = pack.packed_weights(weights, 4)
    assert packed.shape == (3, 2, 3, 5, 4)
    for ky, kx, ci, c in np.ndindex(*weights.shape):
        assert packed[c // 4, ky, kx, ci, c % 4] == weights[ky, kx, ci, c]


# ------------------------------------------------------------------------------------------- what no rule is made for
def largest_of_each_line() -> tvm.IRModule:
    x = relax.Var("x", relax.TensorType((4, 7), "float32"))
    k = te.reduce_axis((0, 7), "k")
    builder = relax.BlockBuilder()
    with builder.function("main", [x]):
        with builder.dataflow():
            y = builder.emit_te(lambda a: te.compute((4,), lambda i: te.max(a[i, k], axis=k), "largest"), x)
            y = builder.emit_output(y)
        builder.emit_func_output(y)
    return builder.get()


class MeanOfChannels(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.mean(1)


@pytest.mark.parametrize("what", ["max", "mean"])
def test_a_kernel_that_no_rule_takes_falls_back_says_why_and_is_right(what: str) -> None:
    x = torch.randn(4, 7, generator=torch.Generator().manual_seed(3))
    module, expected = (largest_of_each_line(), x.amax(1)) if what == "max" else (fused(MeanOfChannels(), x), x.mean(1))
    output, kernels = run(module, "sse", x.numpy())
    np.testing.assert_allclose(output, expected.numpy(), rtol=1e-6, atol=1e-7)
    [kernel] = [kernel for kernel in kernels.values() if kernel.rule == "fallback"]
    assert kernel.reason is not None
    assert re.fullmatch(r"no rule is for blocks \w+(, \w+)*", kernel.reason)
    assert kernel.description == "fallback"


def convolution() -> lower.tirx.PrimFunc:
    module = fused(seeded(nn.Sequential(nn.Conv2d(8, 16, 1), nn.ReLU())), torch.zeros(1, 8, 6, 6))
    return dict(lower.kernel_calls(module))["fused_conv2d_add_relu"]


def refusing(kernel: Kernel, _machine: Machine) -> Plan | None:
    kernel.schedule.get_sblock("no such block")
    return None


def test_a_rule_that_tvm_refuses_leads_to_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cpu, "RULES", {"cpu.refusing": refusing, **cpu.RULES})
    scheduled = schedule(convolution(), SSE)
    assert (scheduled.rule, scheduled.reason) == ("cpu.pointwise", None)


def test_what_tvm_refused_is_the_reason_of_the_fallback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cpu, "RULES", {"cpu.refusing": refusing, "cpu.dense": cpu.dense})
    function = convolution()
    scheduled = schedule(function, SSE)
    assert scheduled.rule == "fallback"
    assert scheduled.reason is not None
    assert scheduled.reason.startswith("cpu.refusing: ")
    assert "no such block" in scheduled.reason
    assert "\n" not in scheduled.reason
    tvm.ir.assert_structural_equal(scheduled.plan.function, function)


def test_an_error_of_our_own_is_not_taken_for_a_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_kernel: Kernel, _machine: Machine) -> Plan | None:
        raise ZeroDivisionError

    monkeypatch.setattr(cpu, "RULES", {"cpu.broken": broken})
    with pytest.raises(ZeroDivisionError):
        schedule(convolution(), SSE)


def test_a_kernel_is_read_off_its_blocks() -> None:
    kernel = Kernel(convolution())
    assert kernel.anchor == "conv2d_nhwc"
    assert kernel.extents == (1, 6, 6, 16, 1, 1, 8)
    assert kernel.blocks[kernel.blocks.index("conv2d_nhwc") + 1 :] == kernel.epilogue
    assert len(kernel.epilogue) == 2  # bias, ReLU


# ----------------------------------------------------------------------------------------------------------- the tiles
MACHINE = st.builds(
    Machine,
    kind=st.just("cpu"),
    lanes=st.sampled_from([1, 2, 4, 8, 16, 32]),
    registers=st.integers(3, 64),
    broadcasts_from_memory=st.booleans(),
)


def fits(rows: int, vectors: int, machine: Machine) -> bool:
    """Accumulators, weights, and one input, or on Arm one of each row."""
    return rows * vectors + vectors + (1 if machine.broadcasts_from_memory else rows) <= machine.registers


@given(width=st.integers(1, 300), channels=st.integers(1, 2048), machine=MACHINE)
def test_a_register_tile_fits_and_divides(width: int, channels: int, machine: Machine) -> None:
    rows, vectors, lanes = cpu.register_tile(width, channels, machine)
    assert fits(rows, vectors, machine)
    assert width % rows == 0
    assert channels % (vectors * lanes) == 0
    assert machine.lanes % lanes == 0
    assert lanes == machine.lanes or channels % (2 * lanes)  # the widest vector that divides the channels


@given(width=st.integers(1, 56), channels=st.integers(1, 64).map(lambda n: 8 * n), machine=MACHINE)
def test_no_other_tile_does_more_for_each_load(width: int, channels: int, machine: Machine) -> None:
    rows, vectors, lanes = cpu.register_tile(width, channels, machine)
    most = 4 if machine.broadcasts_from_memory else 2
    others = [
        (r, v)
        for r in range(1, 15)
        for v in range(1, most + 1)
        if width % r == 0 and channels % (v * lanes) == 0 and fits(r, v, machine)
    ]
    assert rows * vectors / (rows + vectors) == max(r * v / (r + v) for r, v in others)


def test_the_tile_of_cortex_a72_is_the_one_without_spills() -> None:
    # 8 rows x 2 vectors x 4 lanes: counted under emulation, 1.74 instructions for each multiply-add; 3 vectors spill
    neon, _ = MACHINES["neon"]
    assert cpu.register_tile(56, 128, neon) == (8, 2, 4)


@given(number=st.integers(1, 5000), limit=st.integers(1, 100))
def test_largest_divisor(number: int, limit: int) -> None:
    found = cpu.largest_divisor(number, limit)
    assert number % found == 0
    assert found <= limit
    assert all(number % other for other in range(found + 1, min(limit, number) + 1))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("x86_64_v2", Machine(kind="cpu", lanes=4, registers=16, broadcasts_from_memory=True)),
        ("x86_64_v3", Machine(kind="cpu", lanes=8, registers=16, broadcasts_from_memory=True)),
        ("x86_64_v4", Machine(kind="cpu", lanes=16, registers=32, broadcasts_from_memory=True)),
        ("arm64_cortex_a72", Machine(kind="cpu", lanes=4, registers=32, broadcasts_from_memory=False)),
    ],
)
def test_the_machine_of_a_target_is_what_its_manual_says(name: str, expected: Machine) -> None:
    assert Machine.of(targets.load(name)) == expected
