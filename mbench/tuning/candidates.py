"""Which ways to make a kernel are tried, and how one of them becomes a library. Runs in a process of its own.

Two steps keep them few. First the best tiles of each rule, each with the task grid that the cost model predicts to be
best. Then the other grids for the tiles that proved quickest.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

import tvm
from tvm import tirx

from mbench.compile import codegen
from mbench.compile.kernel import Kernel
from mbench.compile.machine import KernelMachine
from mbench.compile.schedules.dispatch import make, rules_for, schedule, signature
from mbench.compile.schedules.rule import FALLBACK, KernelPlan
from mbench.core.choices import METASCHEDULE, Choice
from mbench.core.errors import BuildError
from mbench.core.machine_types import Target
from mbench.core.records import Variant
from mbench.hardware import linker
from mbench.hardware.linker import HOST_TRIPLE
from mbench.tuning.plans import Candidate, Task

ENTRY = "kernel"
"""The function's name in a candidate's library."""
AS_IS = Candidate(rule=FALLBACK)
"""The kernel as TVM made it."""


def tasks(variant: Variant, target: Target) -> tuple[Task, ...]:
    """Return the kernels of a network, as it is built for a target, that can be tuned, each once."""
    from mbench.compile import fusing, to_relax
    from mbench.networks import weights

    graph = weights.compiled_graph(variant)
    lowered = to_relax.lower(graph, fusing.plan(graph, KernelMachine.of(target)))
    found: dict[str, tuple[tirx.PrimFunc, list[str]]] = {}
    for call, (_, function) in zip(lowered.calls, to_relax.kernel_calls(lowered.module), strict=True):
        kernel = signature(Kernel(function))
        if kernel is not None:
            found.setdefault(kernel, (function, []))[1].append(f"{variant.name} {call.layer}")
    return tuple(
        Task(kernel=kernel, function=str(tvm.ir.save_json(function)), layers=tuple(layers))
        for kernel, (function, layers) in found.items()
    )


def tiles(function: str, target: Target, tries: int) -> tuple[Candidate, tuple[Candidate, ...]]:
    """Return what the rules choose, and of each rule up to `tries` other tiles, best first by its model.

    Rules that are not asked by default are tried like the others.
    """
    loaded, machine = tvm.ir.load_json(function), KernelMachine.of(target)
    with _tvm_target(target):
        chosen = schedule(loaded, machine)
        default = Candidate(rule=chosen.rule, parameters=dict(chosen.parameters))
        found: list[Candidate] = []
        for name in rules_for(machine)[0]:
            others = (one for one in _distinct(_of_rule(name, loaded, machine)) if one.tile != default.tile)
            found.extend(itertools.islice(others, tries))
    return default, tuple(found)


def grids(function: str, target: Target, chosen: Collection[Candidate], tries: int) -> tuple[Candidate, ...]:
    """Return other task grids of the chosen candidates' tiles, up to `tries` of each."""
    loaded, machine = tvm.ir.load_json(function), KernelMachine.of(target)
    found: list[Candidate] = []
    for one in chosen:
        same = (other for other in _of_rule(one.rule, loaded, machine) if other.tile == one.tile and other != one)
        found.extend(itertools.islice(same, tries))
    return tuple(found)


def _of_rule(name: str, function: tirx.PrimFunc, machine: KernelMachine) -> Iterator[Candidate]:
    """Yield a rule's candidates, best first; none where it leaves nothing open."""
    rule = rules_for(machine)[0].get(name)
    for parameters in rule.offers(Kernel(function), machine) if rule else ():
        if parameters:
            yield Candidate(rule=name, parameters=dict(parameters))


def _distinct(candidates: Iterable[Candidate]) -> Iterator[Candidate]:
    """Yield the first candidate of each tile."""
    seen = set()
    for candidate in candidates:
        if candidate.tile not in seen:
            seen.add(candidate.tile)
            yield candidate


def plan(function: tirx.PrimFunc, target: Target, candidate: Candidate) -> KernelPlan:
    """Return the kernel as a candidate makes it for a target.

    Raises:
        StaleChoiceError: its rule does not take it.
    """
    if candidate.rule == METASCHEDULE:
        from mbench.compile.schedules import metaschedule

        choice = Choice(rule=METASCHEDULE, parameters={}, database=candidate.database)
        return metaschedule.recorded(function, choice)
    with _tvm_target(target):
        return make(function, KernelMachine.of(target), candidate.rule, candidate.parameters)


def compile_candidate(function: str, target: Target, candidate: Candidate, library: str) -> None:
    """Compile a candidate to a shared library, with the passes that whole networks are compiled with.

    Raises:
        StaleChoiceError: its rule does not take it.
        BuildError: code generation or linking failed.
    """
    made = plan(tvm.ir.load_json(function), target, candidate).function
    module = tvm.IRModule({ENTRY: made.with_attr("global_symbol", ENTRY)})
    link = linker.find(str(target.tvm.get("mtriple", HOST_TRIPLE)))
    codegen.export(codegen.generate(module, _tvm_target(target)), Path(library), link)
    if not Path(library).exists():
        raise BuildError(f"{library} was not written")


def _tvm_target(target: Target) -> tvm.target.Target:
    return codegen.tvm_target(target, str(target.tvm.get("mtriple", HOST_TRIPLE)))
