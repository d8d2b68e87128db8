"""Schedules by rule: how each kernel runs on a kind of device. One file a kind; each lists its rules in order.

A rule looks at a kernel and answers a `Scheduled`, or None for "not mine"; then the next is asked. What no rule takes
gets the kind's fall-back, which always works, is slow, and is reported.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable

from tvm import tirx
from tvm.s_tir.schedule import ScheduleError

from mbench.compile.kernel import Kernel
from mbench.records import Target

FALLBACK = "fallback"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Machine:
    """What the rules may depend on; all of it goes into the artifact's digest."""

    kind: str
    lanes: int
    """float32 elements in a vector register."""
    registers: int
    broadcasts_from_memory: bool
    """Whether a multiply-add can broadcast one operand from memory (x86), or needs it in a register (arm)."""

    @classmethod
    def of(cls, target: Target) -> Machine:
        """Read it off a target's description."""
        processor = target.processor
        return cls(
            kind="gpu" if target.family == "gpu" else "cpu",
            lanes=processor.vector_bits // 32,
            registers=processor.vector_registers or 16,
            broadcasts_from_memory=target.family == "x86",
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plan:
    """A rule's answer. `tile` says how, for people: rows x vectors x lanes.

    With `weight_tile`, the kernel's second parameter, its weights, is packed: (c/tile, ky, kx, ci, tile).
    """

    function: tirx.PrimFunc
    tile: str = ""
    weight_tile: int | None = None
    lanes: int | None = None
    """Lanes of a vector that are in use, where the rule vectorizes by channels."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Scheduled:
    """A scheduled kernel: the plan, the rule that made it, and if none did, the reason."""

    plan: Plan
    rule: str
    reason: str | None = None

    @property
    def description(self) -> str:
        """The rule and its tile, as the record names it."""
        return f"{self.rule} {self.plan.tile}".strip()


Rule = Callable[[Kernel, Machine], Plan | None]


def schedule(function: tirx.PrimFunc, machine: Machine) -> Scheduled:
    """Schedule one kernel by the first rule that takes it."""
    from mbench.compile.schedules import cpu, gpu

    rules, fallback = (gpu.RULES, gpu.fallback) if machine.kind == "gpu" else (cpu.RULES, cpu.fallback)
    refused = []
    for name, rule in rules.items():
        try:
            plan = rule(Kernel(function), machine)
        except ScheduleError as error:  # TVM refused a step: the kernel is not of the shape that the rule is for
            refused.append(f"{name}: {_first_line(error)}")
            continue
        if plan is not None:
            return Scheduled(plan=plan, rule=name)
    reason = "; ".join(refused) or f"no rule is for blocks {', '.join(Kernel(function).blocks)}"
    return Scheduled(plan=Plan(function=fallback(Kernel(function), machine)), rule=FALLBACK, reason=reason)


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    told = [line for line in lines if line.startswith("Error message:")]
    return (told or lines or ["refused"])[0][:200]


def schedule_all(functions: Iterable[tuple[str, tirx.PrimFunc]], machine: Machine) -> dict[str, Scheduled]:
    """Schedule each named kernel once."""
    return {name: schedule(function, machine) for name, function in dict(functions).items()}
