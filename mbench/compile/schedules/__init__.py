"""Schedules by rule: how each kernel runs on a kind of device. One file a kind; each lists its rules in order.

A rule looks at a kernel and answers a `Scheduled`, or None for "not mine"; then the next is asked. What no rule takes
gets the kind's fall-back, which always works, is slow, and is reported. A tuned choice goes before all rules.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping

import numpy as np
from tvm import tirx
from tvm.s_tir.schedule import ScheduleError

from mbench.compile.kernel import Kernel
from mbench.compile.schedules.limits import Limits
from mbench.records import Cache, Target
from mbench.tuned import METASCHEDULE, Choice

FALLBACK = "fallback"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Machine:
    """What the rules may depend on; all of it goes into the artifact's digest."""

    kind: str
    lanes: int
    """float32 elements in a vector register."""
    registers: int
    broadcasts_from_memory: bool
    """Whether an element is broadcast as it is loaded (x86), or multiplied by as a lane of a register (arm)."""
    l1_bytes: int
    l2_bytes: int
    """What one core has for itself of each."""
    cores: int
    limits: Limits | None = None
    """Of a GPU."""

    @classmethod
    def of(cls, target: Target) -> Machine:
        """Read it off a target's description."""
        processor = target.processor
        return cls(
            kind="gpu" if target.family == "gpu" else "cpu",
            lanes=processor.vector_bits // 32,
            registers=processor.vector_registers or 16,
            broadcasts_from_memory=target.family == "x86",
            l1_bytes=_of_one_core(processor.l1d, 32 * 2**10),
            l2_bytes=_of_one_core(processor.l2, 256 * 2**10),
            cores=processor.cores,
            limits=Limits.of(target) if target.family == "gpu" else None,
        )


def _of_one_core(cache: Cache | None, usual: int) -> int:
    return usual if cache is None else int(cache.bytes.value / cache.shared_by)


Parameters = Mapping[str, int]
"""What a rule leaves open, by name: sizes of tiles, numbers of tasks (`…_parts`)."""


def positive(parameters: Parameters, *names: str) -> tuple[int, ...]:
    """Return the named parameters.

    Raises:
        ValueError: one is missing, or not a positive whole number.
    """
    for name in names:
        if name not in parameters or parameters[name] < 1:
            got = parameters.get(name, "missing")
            raise ValueError(f"parameter {name!r} is {got}; it has to be a positive whole number")
    return tuple(parameters[name] for name in names)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plan:
    """A rule's answer. `tile` says how, for people: rows x vectors x lanes.

    With `pack`, the kernel's second parameter, its weights, is a flat array that `pack` makes of them.
    """

    function: tirx.PrimFunc
    tile: str = ""
    pack: Callable[[np.ndarray], np.ndarray] | None = None
    lanes: int | None = None
    """Lanes of a vector that are in use, where the rule vectorizes by channels."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Scheduled:
    """A scheduled kernel: the plan, the rule that made it, and if none did, the reason.

    `ignored` says why a tuned choice was not followed.
    """

    plan: Plan
    rule: str
    parameters: Parameters = dataclasses.field(default_factory=dict)
    reason: str | None = None
    tuned: bool = False
    ignored: str | None = None

    @property
    def description(self) -> str:
        """The rule and its tile, as the record names it."""
        return f"{self.rule} {self.plan.tile}".strip() + (" (tuned)" if self.tuned else "")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rule:
    """How one kind of kernel is made.

    `candidates` yields the parameters worth trying, best first by a model of the machine; none for a kernel of another
    kind. `build` makes the kernel with one of them, or answers None where it finds that it cannot; it raises ValueError
    for parameters that make no sense for the kernel.
    `by_default` says whether the rule takes a kernel without a measurement that chose it.
    `dtypes` are those of operands that are summed; what sums nothing is taken in any.
    """

    candidates: Callable[[Kernel, Machine], Iterable[Parameters]]
    build: Callable[[Kernel, Machine, Parameters], Plan | None]
    by_default: Callable[[Kernel, Machine], bool] = lambda _kernel, _machine: True
    dtypes: tuple[str, ...] = ("float32",)

    def offers(self, kernel: Kernel, machine: Machine) -> Iterable[Parameters]:
        """Return the candidates; none for a kernel of a dtype that is not taken."""
        return self.candidates(kernel, machine) if kernel.anchor is None or kernel.dtype in self.dtypes else ()


def schedule(function: tirx.PrimFunc, machine: Machine, choices: Mapping[str, Choice] | None = None) -> Scheduled:
    """Schedule one kernel: as it was tuned, else by the first rule that takes it."""
    choice = (choices or {}).get(signature(Kernel(function)) or "")
    if choice is None:
        return _by_rule(function, machine)
    try:
        return _as_tuned(function, machine, choice)
    except StaleChoiceError as error:
        return dataclasses.replace(_by_rule(function, machine), ignored=str(error))


def signature(kernel: Kernel) -> str | None:
    """Return the word that a kernel's tuned choice is filed under; None for kinds of kernels that are not tuned."""
    product = kernel.convolution or kernel.matmul
    return product.signature if product else None


class StaleChoiceError(ValueError):
    """A tuned choice does not fit the rules as they are now; the message says why."""


def make(function: tirx.PrimFunc, machine: Machine, rule: str, parameters: Parameters) -> Plan:
    """Make a kernel by a named rule with given parameters.

    Raises:
        StaleChoiceError: there is no such rule, or it does not take this kernel with these parameters.
    """
    rules, fallback = rules_for(machine)
    if rule == FALLBACK:
        return Plan(function=fallback(Kernel(function), machine))
    if rule not in rules:
        raise StaleChoiceError(f"there is no rule {rule}")
    expected = next(iter(rules[rule].offers(Kernel(function), machine)), None)
    if expected is None:
        raise StaleChoiceError(f"{rule} does not take this kernel")
    if set(parameters) != set(expected):
        raise StaleChoiceError(f"{rule} takes {', '.join(expected) or 'no parameters'}, not {', '.join(parameters)}")
    try:
        plan = rules[rule].build(Kernel(function), machine, parameters)
    except (ScheduleError, ValueError, ArithmeticError) as error:
        raise StaleChoiceError(f"{rule}: {_first_line(error)}") from error
    if plan is None:
        raise StaleChoiceError(f"{rule} does not take this kernel")
    return plan


def _as_tuned(function: tirx.PrimFunc, machine: Machine, choice: Choice) -> Scheduled:
    if choice.rule == METASCHEDULE:
        from mbench.compile.tuning import deep

        plan = deep.recorded(function, choice)
    else:
        plan = make(function, machine, choice.rule, choice.parameters)
    return Scheduled(plan=plan, rule=choice.rule, parameters=choice.parameters, tuned=True)


def _by_rule(function: tirx.PrimFunc, machine: Machine) -> Scheduled:
    rules, fallback = rules_for(machine)
    refused = []
    for name, rule in rules.items():
        kernel = Kernel(function)
        parameters = next(iter(rule.offers(kernel, machine)), None) if rule.by_default(kernel, machine) else None
        if parameters is None:
            continue
        try:
            plan = rule.build(kernel, machine, parameters)
        except ScheduleError as error:  # TVM refused a step: the kernel is not of the shape that the rule is for
            refused.append(f"{name}: {_first_line(error)}")
            continue
        if plan is not None:
            return Scheduled(plan=plan, rule=name, parameters=parameters)
    reason = "; ".join(refused) or f"no rule is for blocks {', '.join(Kernel(function).blocks)}"
    return Scheduled(plan=Plan(function=fallback(Kernel(function), machine)), rule=FALLBACK, reason=reason)


def rules_for(machine: Machine) -> tuple[Mapping[str, Rule], Callable[[Kernel, Machine], tirx.PrimFunc]]:
    """Return the rules of a kind of machine, in the order that they are asked, and its fall-back."""
    from mbench.compile.schedules import cpu, gpu

    return (gpu.RULES, gpu.fallback) if machine.kind == "gpu" else (cpu.RULES, cpu.fallback)


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    told = [line for line in lines if line.startswith("Error message:")]
    return (told or lines or ["refused"])[0][:200]


def schedule_all(
    functions: Iterable[tuple[str, tirx.PrimFunc]], machine: Machine, choices: Mapping[str, Choice] | None = None
) -> dict[str, Scheduled]:
    """Schedule each named kernel once."""
    return {name: schedule(function, machine, choices) for name, function in dict(functions).items()}
