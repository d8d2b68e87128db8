"""Rules for GPUs: what TVM's dlight has, matrix products and reductions. It has no rule for convolution.

Good enough to compile for an architecture; not good enough to measure it by.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from tvm import target as tvm_target
from tvm import tirx
from tvm.s_tir import dlight

from mbench.compile.kernel import Kernel
from mbench.compile.schedules import Machine, Parameters, Plan, Rule


def _by_dlight(rule: Any, kernel: Kernel, _machine: Machine, _parameters: Parameters) -> Plan | None:
    try:
        schedule = rule.apply(kernel.function, tvm_target.Target.current(), False)
    except AssertionError:  # dlight asserts its rules' assumptions: this kernel is not of the form that the rule is for
        return None
    if schedule is None or isinstance(schedule, list):
        return None
    return Plan(function=schedule.mod["main"])


def fallback(kernel: Kernel, _machine: Machine) -> tirx.PrimFunc:
    """Correct and slow: the output's elements shared out to threads."""
    schedule = dlight.gpu.Fallback().apply(kernel.function, tvm_target.Target.current(), False)
    return schedule.mod["main"]


def _rule(rule: Any) -> Rule:
    return Rule(candidates=lambda _kernel, _machine: [{}], build=partial(_by_dlight, rule))


RULES: dict[str, Rule] = {
    "gpu.matmul": _rule(dlight.gpu.Matmul()),
    "gpu.gemv": _rule(dlight.gpu.GEMV()),
    "gpu.reduction": _rule(dlight.gpu.Reduction()),
}
