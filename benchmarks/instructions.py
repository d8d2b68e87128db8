"""How many instructions pointwise kernels take for each vector multiply-add, counted in the code made for a target.

Run: python benchmarks/instructions.py [VARIANT...] [--target NAME]. Nothing is executed, so that the target may be one
that this machine cannot run. Exit code 1 if a kernel's multiply-adds are not as many as its sizes say; nothing that is
counted then means anything. Goal, on Arm: 1.6 instructions for each multiply-add.
"""

from __future__ import annotations

import argparse
import collections
import dataclasses
import itertools
import json
import sys
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import assembly
import executions
import layout
import machine
from assembly import AssemblyError, Function
from executions import Nest

from mbench import pipeline, units, variants
from mbench.errors import MbenchError

if TYPE_CHECKING:
    from mbench.compile.kernel import Matmul
    from mbench.compile.schedules import Parameters
    from mbench.records import Target

VARIANT = "mobilenet_v1_1.0_224"
TARGET = "arm64_cortex_a72"
GOALS = {"arm": 1.6}
"""Instructions for each multiply-add, by family of targets."""
HEADING = ("pointwise layer", "kernel", "multiply-adds", "in the loop", "of the kernel", "spills", "goal")
_WORDS = 2
NOTES = (
    "multiply-adds: vector instructions that a layer's sizes ask for; the code was found to execute exactly these, or",
    "  the more that is named where panels of channels overlap. x5: one kernel of five layers, counted for one.",
    "in the loop: instructions for each of them in the innermost loops. spills: vectors moved to or from the stack",
    "  there. of the kernel: for each of them, all instructions of one thread that executes all tasks.",
    "Not counted: checking arguments, launching threads, what the runtime does to allocate and free workspace, and",
    "  what the assembler puts in to align loops. One instruction is one, whatever it costs.",
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Counted:
    """What executing one kernel takes."""

    layers: tuple[str, ...]
    """That it serves; the counts are of one of them."""
    rule: str
    needed: int
    """Vector multiply-adds by the layer's sizes."""
    expected: int
    """The same, with those of channels that two panels share."""
    multiply_adds: Fraction
    """As found in the code."""
    instructions: Fraction
    loop_multiply_adds: Fraction
    loop_instructions: Fraction
    spills: int

    @property
    def in_loop(self) -> float:
        """Instructions for each multiply-add, in the innermost loops."""
        return float(self.loop_instructions / self.loop_multiply_adds)

    @property
    def of_kernel(self) -> float:
        """Instructions for each multiply-add that is needed."""
        return float(self.instructions / self.needed)

    @property
    def wrong(self) -> str | None:
        """Why the counts mean nothing; None if they do."""
        if self.multiply_adds == self.expected:
            return None
        return f"{float(self.multiply_adds):.10g} multiply-adds found in the code, expected {self.expected}"


def nest(matmul: Matmul, lanes: int, parameters: Parameters) -> Nest:
    """Return the loops that `mbench.compile.schedules.cpu.matmul` writes."""
    from mbench.compile.schedules.cpu import tiling

    vectors, row_parts, panel_parts = parameters["vectors"], parameters["row_parts"], parameters["panel_parts"]
    sizes = tiling.even_parts(matmul.rows, parameters["rows"])
    bounds = [len(sizes) * part // row_parts for part in range(row_parts + 1)]
    parts = [collections.Counter(sizes[low:high]) for low, high in itertools.pairwise(bounds)]
    panels = -(-matmul.columns // (vectors * lanes))
    return Nest(
        tasks=row_parts * panel_parts,
        panels=Fraction(panels, panel_parts),
        row_parts=tuple({size * vectors: count for size, count in part.items()} for part in parts),
    )


def count(function: Function, loops: Nest, matmul: Matmul, lanes: int, **described: Any) -> Counted:
    """Count a kernel's instructions.

    Raises:
        AssemblyError: its code is not of the form that can be read.
    """
    executed = list(zip(function.blocks, executions.counts(function, loops), strict=True))
    inner = [
        (block, times)
        for number, (block, times) in enumerate(executed)
        if block.fmas and any(loop.blocks == {number} for loop in function.loops)
    ]
    if not inner:
        raise AssemblyError("no innermost loop multiplies and adds vectors")
    tiles = sum(sums * number for part in loops.row_parts for sums, number in part.items())
    panels = loops.panels * loops.tasks / len(loops.row_parts)
    return Counted(
        needed=matmul.rows * matmul.columns * matmul.reduction // lanes,
        expected=int(tiles * panels) * matmul.reduction,
        multiply_adds=sum((block.fmas * times for block, times in executed), Fraction(0)),
        instructions=sum((len(block.instructions) * times for block, times in executed), Fraction(0)),
        loop_multiply_adds=sum((block.fmas * times for block, times in inner), Fraction(0)),
        loop_instructions=sum((len(block.instructions) * times for block, times in inner), Fraction(0)),
        spills=sum(instruction.spills for block, _ in inner for instruction in block.instructions),
        **described,
    )


def count_network(name: str, target: Target) -> tuple[list[Counted], list[str]]:
    """Count each pointwise kernel of a network; return also what kernels could not be counted, and why."""
    from mbench.compile import lower

    lowered = lower.lower(variants.parse(name))
    kernels: dict[str, tuple[Any, list[str]]] = {}
    for call, (kernel, function) in zip(lowered.calls, lower.kernel_calls(lowered.module), strict=True):
        if call.anchor:
            kernels.setdefault(kernel, (function, []))[1].append(call.layer)
    found, failed = [], []
    for function, layers in kernels.values():
        try:
            counted = _count_kernel(function, tuple(layers), target)
        except AssemblyError as error:
            failed.append(f"{layers[0]}: {error}")
            continue
        found += [counted] if counted else []
    return found, failed


def _count_kernel(function: Any, layers: tuple[str, ...], target: Target) -> Counted | None:
    """Make a kernel by its rule and count it; None if it is not pointwise."""
    from mbench.compile.kernel import Kernel
    from mbench.compile.schedules import Machine, schedule

    kernel = Kernel(function)
    if kernel.convolution is None or kernel.matmul is None:
        return None
    made = schedule(function, Machine.of(target))
    lanes = made.plan.lanes
    if made.rule != "cpu.matmul" or lanes is None:
        raise AssemblyError(f"made by {made.rule}, whose loops are not known here; expected cpu.matmul")
    functions = assembly.functions(_code(made.plan.function, target))
    if len(functions) != 1:
        raise AssemblyError(f"{len(functions)} functions have instructions that multiply and add vectors; expected one")
    (code,) = functions.values()
    loops = nest(kernel.matmul, lanes, made.parameters)
    return count(code, loops, kernel.matmul, lanes, layers=layers, rule=made.description)


def _code(function: Any, target: Target) -> str:
    """Return the assembly of a kernel, made as for an artifact."""
    import tvm

    from mbench.compile import build, codegen, lowering

    lowering.register()
    module = tvm.IRModule({"main": function.with_attr("global_symbol", "main")})
    made = tvm.tirx.build(module, codegen.tvm_target(target, build.HOST_TRIPLE), pipeline=lowering.PIPELINE)
    return str(made.inspect_source("asm"))


def table(seen: Sequence[Counted], goal: float | None, *, markdown: bool) -> str:
    """Return a line a kernel, and one for all layers together."""
    rows = [_row(one, goal) for one in seen]
    if len(seen) > 1:
        rows.append(_total(seen, goal))
    return layout.table(HEADING, rows, words=_WORDS, markdown=markdown)


def _row(one: Counted, goal: float | None) -> tuple[str, ...]:
    more = f" x{len(one.layers)}" if len(one.layers) > 1 else ""
    counts = (units.count(one.needed), f"{one.in_loop:.3f}", f"{one.of_kernel:.3f}", str(one.spills))
    return (one.layers[0] + more, one.rule, *counts, "WRONG" if one.wrong else _verdict(one.of_kernel, goal))


def _total(seen: Sequence[Counted], goal: float | None) -> tuple[str, ...]:
    layers = [one for one in seen for _ in one.layers]
    needed = sum(one.needed for one in layers)
    in_loop = sum(one.loop_instructions for one in layers) / sum(one.loop_multiply_adds for one in layers)
    ratio = network_ratio(seen)
    spills = str(sum(one.spills for one in seen))
    verdict = "WRONG" if any(one.wrong for one in seen) else _verdict(ratio, goal)
    return (f"all {len(layers)}", "", units.count(needed), f"{float(in_loop):.3f}", f"{ratio:.3f}", spills, verdict)


def network_ratio(seen: Sequence[Counted]) -> float:
    """Return the instructions of all layers for each multiply-add that they need."""
    needed = sum(one.needed * len(one.layers) for one in seen)
    return float(sum(one.instructions * len(one.layers) for one in seen) / needed)


def _verdict(ratio: float, goal: float | None) -> str:
    if goal is None:
        return units.NOT_AVAILABLE
    return "met" if ratio <= goal else "missed"


def findings(seen: Sequence[Counted]) -> list[str]:
    """Return what is wrong with counts, and which kernels execute more than their sizes ask for."""
    wrong = [f"WRONG: {one.layers[0]}: {one.wrong}" for one in seen if one.wrong]
    more = [
        f"{one.layers[0]}: panels overlap; {units.percent(one.expected / one.needed - 1)} more multiply-adds than asked"
        for one in seen
        if one.expected > one.needed
    ]
    return wrong + more


def _as_json(name: str, target: str, seen: Sequence[Counted], failed: Sequence[str]) -> dict[str, object]:
    kernels = [
        {key: float(value) if isinstance(value, Fraction) else value for key, value in dataclasses.asdict(one).items()}
        for one in seen
    ]
    ratio = network_ratio(seen) if seen else None
    return {"variant": name, "target": target, "ratio": ratio, "kernels": kernels, "failed": list(failed)}


def _report(name: str, target: Target, counted: tuple[Sequence[Counted], Sequence[str]], *, markdown: bool) -> str:
    seen, failed = counted
    goal = GOALS.get(target.family)
    said = f"goal {goal:g}" if goal else "no goal for this family of targets"
    parts = [f"\n{name}, target {target.name}; {said}"]
    parts += [table(seen, goal, markdown=markdown)] if seen else []
    more = (*findings(seen), *(f"NOT COUNTED: {reason}" for reason in failed))
    return "\n\n".join([*parts, *(["\n".join(more)] if more else [])])


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("variants", nargs="*", metavar="VARIANT", help="names or grids, as for mbench run")
    parser.add_argument("--target", default=TARGET)
    parser.add_argument("--markdown", action="store_true")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the counts there")
    return parser.parse_args()


def main() -> int:
    """Count, print, return the exit code."""
    arguments = _arguments()
    networks, code = [], 0
    try:
        names = variants.expand(arguments.variants or [VARIANT])
        target = pipeline.resolve_target(arguments.target)
        print(machine.heading())
        for name in names:
            seen, failed = count_network(name, target)
            print(_report(name, target, (seen, failed), markdown=arguments.markdown))
            code = max(code, int(bool(failed or not seen or any(one.wrong for one in seen))))
            networks.append(_as_json(name, target.name, seen, failed))
    except MbenchError as error:
        print(f"instructions.py: {error}", file=sys.stderr)
        return error.exit_code
    print("\n" + "\n".join(NOTES))
    if arguments.json:
        arguments.json.write_text(json.dumps(networks))
    return code


if __name__ == "__main__":
    sys.exit(main())
