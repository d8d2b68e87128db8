"""The network in one CUDA graph, beside the one whose kernels are launched one by one."""

from __future__ import annotations

import platform

import cuda_on_cpu
import network_cases as networks
import pytest
import tvm
from tvm import relax

from mbench.compile import codegen, pack, to_relax
from mbench.compile.schedules.dispatch import schedule_all
from mbench.core.artifact import CALIBRATION_CALLS, CALIBRATION_ENTRY, CALIBRATION_GRAPH_ENTRY, ENTRY, GRAPH_ENTRY
from mbench.hardware import targets
from mbench.networks import variants

CAPTURED = f"{GRAPH_ENTRY}_cuda_graph_capture"


@pytest.fixture(scope="module")
def planned() -> tvm.IRModule:
    lowered = networks.lowered(variants.parse("mobilenet_v1_0.25_32"))
    target = codegen.tvm_target(targets.load("cuda_sm80"), f"{platform.machine()}-linux-gnu")
    with target:
        made = schedule_all(to_relax.kernel_calls(lowered.module), cuda_on_cpu.machine("cuda_sm80"))
        return codegen.plan(pack.install(lowered.module, made), target)


def called(module: tvm.IRModule, name: str) -> list[str]:
    """Return what a function calls, in order."""
    found: list[str] = []

    def visit(expression: object) -> None:
        if isinstance(expression, relax.Call):
            operator = expression.op
            first = expression.args[0] if expression.args else None
            named = getattr(operator, "name_hint", operator)
            found.append(str(first.global_symbol if isinstance(first, relax.ExternFunc) else named))

    relax.analysis.post_order_visit(module[name], visit)
    return found


def kernels_in(module: tvm.IRModule, name: str) -> list[str]:
    return [
        text
        for text in called(module, name)
        if text.startswith(("fused", "global_avg_pool", "linear", "instrument_null"))
    ]


def test_all_kernels_but_the_first_and_the_last_are_captured(planned: tvm.IRModule) -> None:
    graphed = codegen._with_graphs(planned)
    everything = kernels_in(planned, ENTRY)
    assert len(everything) == 29  # 27 convolutions, the mean, and the dense layer
    assert kernels_in(graphed, CAPTURED) == everything[1:-1]
    assert kernels_in(graphed, GRAPH_ENTRY) == [everything[0], everything[-1]]
    assert "vm.builtin.cuda_graph.run_or_capture" in called(graphed, GRAPH_ENTRY)


def test_the_kernels_can_still_be_launched_one_by_one(planned: tvm.IRModule) -> None:
    graphed = codegen._with_graphs(planned)
    assert kernels_in(graphed, ENTRY) == kernels_in(planned, ENTRY)
    assert not [text for text in called(graphed, ENTRY) if "cuda_graph" in text]
    assert codegen.called_kernels(graphed) == codegen.called_kernels(planned)


def test_the_instruments_calibration_is_a_graph_like_the_network(planned: tvm.IRModule) -> None:
    graphed = codegen._with_graphs(planned)
    assert kernels_in(graphed, CALIBRATION_ENTRY) == ["instrument_null"] * CALIBRATION_CALLS
    assert len(kernels_in(graphed, f"{CALIBRATION_GRAPH_ENTRY}_cuda_graph_capture")) == CALIBRATION_CALLS - 2
    assert "vm.builtin.cuda_graph.run_or_capture" in called(graphed, CALIBRATION_GRAPH_ENTRY)
