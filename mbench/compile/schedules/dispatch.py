"""Choose the schedule of each kernel: the tuned choice if there is one, else the first rule that takes it.

What no rule takes gets the fall-back of its kind of device, which always works, is slow, and is reported.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterable, Mapping

from tvm import tirx
from tvm.s_tir.schedule import ScheduleError

from mbench.compile import fused_kernel
from mbench.compile.kernel import Kernel
from mbench.compile.machine import KernelMachine
from mbench.compile.schedules import cpu, gpu, weight_limit
from mbench.compile.schedules.rule import (
    FALLBACK,
    AddedRule,
    KernelPlan,
    Parameters,
    Rule,
    Scheduled,
    StaleChoiceError,
)
from mbench.core import plugins
from mbench.core.choices import METASCHEDULE, Choice, Prefer


def schedule(function: tirx.PrimFunc, machine: KernelMachine, choices: Mapping[str, Choice] | None = None) -> Scheduled:
    """Schedule one kernel: as it was tuned, else by the first rule that takes it."""
    choice = choices.get(signature(Kernel(function)) or "") if choices else None
    if choice is None:
        return _by_rule(function, machine)
    try:
        return _as_tuned(function, machine, choice)
    except StaleChoiceError as error:
        return dataclasses.replace(_by_rule(function, machine), ignored=str(error))


def signature(kernel: Kernel) -> str | None:
    """Return the word that a kernel's tuned choice is filed under; None for kinds of kernels that are not tuned."""
    if fused_kernel.has_stages(kernel.function):
        return None
    product = kernel.convolution or kernel.matmul
    return product.signature if product else None


def make(function: tirx.PrimFunc, machine: KernelMachine, rule: str, parameters: Parameters) -> KernelPlan:
    """Make a kernel by a named rule with given parameters.

    Raises:
        StaleChoiceError: there is no such rule, or it does not take this kernel with these parameters.
    """
    rules, fallback = rules_for(machine)
    if rule == FALLBACK:
        return _as_fallback(function, machine, fallback)
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


def _as_tuned(function: tirx.PrimFunc, machine: KernelMachine, choice: Choice) -> Scheduled:
    if choice.rule == METASCHEDULE:
        from mbench.compile.schedules import metaschedule

        plan = metaschedule.recorded(function, choice)
    else:
        plan = make(function, machine, choice.rule, choice.parameters)
    return Scheduled(plan=plan, rule=choice.rule, parameters=choice.parameters, tuned=True)


def _by_rule(function: tirx.PrimFunc, machine: KernelMachine, without: str | None = None) -> Scheduled:
    rules, fallback = rules_for(machine)
    refused = []
    kernel = Kernel(function)  # to read; a rule that builds has one of its own, which it may have half changed
    for name, rule in rules.items():
        if name == without or not rule.knows(function):
            continue
        parameters = next(iter(rule.offers(kernel, machine)), None) if rule.by_default(kernel, machine) else None
        if parameters is None:
            continue
        try:
            plan = rule.build(Kernel(function), machine, parameters)
        except ScheduleError as error:  # TVM refused a step: the kernel is not of the shape that the rule is for
            refused.append(f"{name}: {_first_line(error)}")
            continue
        if plan is not None:
            return Scheduled(plan=plan, rule=name, parameters=parameters)
    reason = "; ".join(refused) or f"no rule is for blocks {', '.join(kernel.blocks)}"
    return Scheduled(plan=_as_fallback(function, machine, fallback), rule=FALLBACK, reason=reason)


def _as_fallback(
    function: tirx.PrimFunc, machine: KernelMachine, fallback: Callable[[Kernel, KernelMachine], tirx.PrimFunc]
) -> KernelPlan:
    return KernelPlan(function=fallback(Kernel(fused_kernel.plain(function)), machine))


def rules_for(machine: KernelMachine) -> tuple[Mapping[str, Rule], Callable[[Kernel, KernelMachine], tirx.PrimFunc]]:
    """Return the rules of a kind of machine, in the order that they are asked, and its fall-back.

    Raises:
        PluginError: a package that adds a rule is broken, or two add the same.
    """
    module = {"cpu": cpu, "gpu": gpu}[machine.kind]
    own, fallback = module.RULES, module.fallback
    added = {name: each for name, each in _added().items() if each.machine == machine.kind}
    if not added:
        return own, fallback
    before = {name: each.rule for name, each in added.items() if each.first}
    after = {name: each.rule for name, each in added.items() if not each.first}
    return {**before, **own, **after}, fallback


def _added() -> dict[str, AddedRule]:
    """Return the rules that other packages add."""
    found = {}
    for name, plugin in plugins.entries(plugins.RULES, {*cpu.RULES, *gpu.RULES, FALLBACK, METASCHEDULE}).items():
        found[name] = plugin.load()
        if not isinstance(found[name], AddedRule):
            raise plugin.refuse(f"it is of type {type(found[name]).__name__}, expected AddedRule")
    return found


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    told = [line for line in lines if line.startswith("Error message:")]
    return (told or lines or ["refused"])[0][:200]


def schedule_all(
    functions: Iterable[tuple[str, tirx.PrimFunc]],
    machine: KernelMachine,
    choices: Mapping[str, Choice] | None = None,
    prefer: Prefer = None,
) -> dict[str, Scheduled]:
    """Schedule each named kernel of a network once, such that its weights keep to the limit that `prefer` sets."""
    calls = list(functions)
    found = {name: schedule(function, machine, choices) for name, function in dict(calls).items()}
    return weight_limit.within(calls, found, prefer, functools.partial(_lighter, machine))


def _lighter(machine: KernelMachine, function: tirx.PrimFunc, before: Scheduled) -> Scheduled:
    """Return a kernel with smaller weights than before: by the same rule where it offers that, else by another."""
    rules, _ = rules_for(machine)
    if before.rule in rules:
        kernel = Kernel(function)
        parameters = rules[before.rule].lighter(kernel, machine, before.parameters)
        plan = None if parameters is None else rules[before.rule].build(kernel, machine, parameters)
        if parameters is not None and plan is not None:
            return Scheduled(plan=plan, rule=before.rule, parameters=parameters)
    return _by_rule(function, machine, without=before.rule)
