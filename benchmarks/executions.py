"""How often each block of a generated matrix product is executed, worked out from its code. Runs nothing.

Turns of a loop are read off the code where it counts to a constant; where it counts to what a register holds (tasks,
and the panels and tiles of a task) they are the rule's. What is executed how often then follows from the blocks alone:
whatever flows into one flows out of it.
"""

from __future__ import annotations

import collections
import dataclasses
import re
from collections.abc import Collection, Mapping, Sequence
from fractions import Fraction

from assembly import AssemblyError, Block, Function, Instruction, Loop, place


@dataclasses.dataclass(frozen=True, kw_only=True)
class Nest:
    """The loops as the rule wrote them: tasks, in each some panels, and for each panel some tiles of each size.

    A task takes one of `len(row_parts)` parts of the tiles; `row_parts[i]` has how many it has of each size, by the
    number of sums in a tile (rows x vectors).
    """

    tasks: int
    panels: Fraction
    """Of a task, on average."""
    row_parts: tuple[Mapping[int, int], ...]

    def tiles_vary(self, sums: int) -> bool:
        """Whether tasks have different numbers of tiles of a size."""
        return len({part.get(sums, 0) for part in self.row_parts}) > 1

    def share(self, sums: int, before: Mapping[int, int]) -> Fraction:
        """Return the share of tasks that have one more tile of a size, among those with tiles `before`, by size."""
        among = [part for part in self.row_parts if all(part.get(size, 0) >= before[size] for size in before)]
        further = sum(part.get(sums, 0) > before.get(sums, 0) for part in among)
        return Fraction(further, max(1, len(among)))

    def tiles(self, sums: int) -> Fraction:
        """Return how many tiles of a size follow each other, where there are any."""
        found = [part[sums] for part in self.row_parts if part.get(sums)]
        if not found:
            raise AssemblyError(f"a loop multiplies and adds to {sums} sums; the rule has no tile of that size")
        return Fraction(sum(found), len(found))


def counts(function: Function, nest: Nest) -> list[Fraction]:
    """Return how often each block is executed if one thread executes all tasks.

    Raises:
        AssemblyError: the code is not of the form that can be read.
    """
    turns = _turns(function, nest)
    flow: list[dict[int, Fraction]] = []
    for number, block in enumerate(function.blocks):
        if len(block.successors) < 2:
            flow.append({successor: Fraction(1) for successor in block.successors})
        else:
            taken = _taken(function, nest, turns, number)
            flow.append({block.successors[0]: taken, block.successors[1]: 1 - taken})
    return _solve(flow)


def _turns(function: Function, nest: Nest) -> dict[Loop, Fraction]:
    """Return the turns of each loop, each time it is entered."""
    constants = {loop: constant_turns(function, loop) for loop in function.loops}
    known = {loop: Fraction(turns) for loop, turns in constants.items() if turns is not None}
    found = dict(known)
    for number, block in enumerate(function.blocks):
        if block.fmas:
            around = function.around(number)
            unknown = [loop for loop in around if loop not in known]
            levels = _levels(nest, _sums(block), len(unknown), {known[loop] for loop in around[:-1] if loop in known})
            found.update(zip(unknown, levels, strict=True))
    if set(found) != set(function.loops):
        raise AssemblyError("there is a loop that multiplies nothing, and goes round nobody knows how often")
    return found


def _levels(nest: Nest, sums: int, wanted: int, known: Collection[Fraction]) -> list[Fraction]:
    """Return the turns, as the rule has them, of the loops around a tile that count to no constant, outer first.

    `known` are the turns of those that do, but for the innermost.
    """
    levels = [Fraction(nest.tasks)] if nest.tasks > 1 else []
    more = wanted - len(levels)
    if more == 1:
        levels.append(nest.tiles(sums) if nest.tiles_vary(sums) or nest.panels in {1, *known} else nest.panels)
    elif more == 2:
        levels += [nest.panels, nest.tiles(sums)]
    elif more:
        raise AssemblyError(f"{wanted} loops around a tile count to no constant; expected tasks, panels and tiles")
    return levels


def _sums(block: Block) -> int:
    return len({instruction.accumulator for instruction in block.instructions if instruction.is_fma})


def _taken(function: Function, nest: Nest, turns: Mapping[Loop, Fraction], number: int) -> Fraction:
    """Return how often the branch at the end of a block is taken, as a share."""
    block = function.blocks[number]
    target, following = block.successors
    loop = next(iter(reversed(function.around(number))), None)
    if loop is not None and number == loop.latch:
        again = 1 - 1 / turns[loop]
        return again if target == loop.header else 1 - again
    if any(instruction.is_call for instruction in block.instructions):
        return Fraction(0)  # the call failed
    if loop is not None and (target in loop.blocks) != (following in loop.blocks):
        return Fraction(target in loop.blocks)  # out of a loop before its end: something failed
    for entering, passing in ((target, following), (following, target)):
        share = _entered(function, nest, number, entering, passing)
        if share is not None:
            return share if entering == target else 1 - share
    raise AssemblyError(f"a branch that guards no loop: {block.label}, {block.instructions[-1].name}")


def _entered(function: Function, nest: Nest, number: int, entering: int, passing: int) -> Fraction | None:
    """Return how often a guard lets its loop be entered; None unless `entering` leads to one that `passing` misses."""
    for loop in function.loops:
        if entering not in function.dominators[loop.header] or number in loop.blocks:
            continue
        outer = function.around(number)
        if function.outside(loop) != outer or loop.header in function.reached(passing, outer[-1] if outer else None):
            continue
        sums = _tile_sums(function, loop)
        if len(sums) != 1:  # the loop of tasks or panels: there always are some
            return Fraction(1)
        siblings = [other for other in function.loops if function.outside(other) == outer and other != loop]
        before = [other for other in siblings if other.header in function.dominators[number]]
        sizes = collections.Counter(size for other in before for size in _tile_sums(function, other))
        return nest.share(next(iter(sums)), sizes)
    return None


def _tile_sums(function: Function, loop: Loop) -> set[int]:
    """Return the sizes of the tiles in a loop."""
    return {_sums(function.blocks[number]) for number in loop.blocks if function.blocks[number].fmas}


def _solve(flow: Sequence[Mapping[int, Fraction]]) -> list[Fraction]:
    """Return how often each block is executed, if the first is once: x = e + Pᵀx, by elimination."""
    size = len(flow)
    rows = [{number: Fraction(1)} for number in range(size)]
    right = [Fraction(number == 0) for number in range(size)]
    for number, successors in enumerate(flow):
        for successor, share in successors.items():
            rows[successor][number] = rows[successor].get(number, Fraction(0)) - share
    for pivot in range(size):
        scale = rows[pivot].get(pivot, Fraction(0))
        if not scale:
            raise AssemblyError("a loop that never ends")
        for number in range(size):
            factor = rows[number].get(pivot, Fraction(0)) / scale
            if number != pivot and factor:
                for column, value in rows[pivot].items():
                    rows[number][column] = rows[number].get(column, Fraction(0)) - factor * value
                right[number] -= factor * right[pivot]
    return [right[number] / rows[number][number] for number in range(size)]


# ------------------------------------------------------------------------------------------- turns that the code tells
def constant_turns(function: Function, loop: Loop) -> int | None:
    """Return how often a loop goes round each time it is entered, if the code itself says so."""
    body = function.blocks[loop.latch].instructions
    if _tests_a_flag(body):
        return _flag_turns(function, loop, body)
    index = next((i for i in reversed(range(len(body) - 1)) if _sets_flags(body[i])), None)
    if index is None:
        return None
    counter, bound = _compared(body[index])
    steps = _steps(body[: index + 1], counter)
    if steps is None or bound is None:
        return None
    homes, step = steps
    starts = [_before(function, loop, home) for home in homes]
    start = next((value for value in starts if value is not None), None)
    return None if start is None or step == 0 or (bound - start) % step else (bound - start) // step


def _tests_a_flag(body: Sequence[Instruction]) -> bool:
    tested = body[-2] if len(body) > 1 else None
    on_x86 = tested is not None and tested.name == "testb" and tested.operands[0] == "$1"
    return on_x86 or (body[-1].name == "tbnz" and body[-1].operands[1] == "#0")


def _flag_turns(function: Function, loop: Loop, body: Sequence[Instruction]) -> int | None:
    """Return 2 if a loop goes on while a flag is set that is so before it and no more after the first turn."""
    flag = place(body[-2].operands[1] if body[-2].name == "testb" else body[-1].operands[0])
    inside = [instruction for number in loop.blocks for instruction in function.blocks[number].instructions]
    copied = [
        place(operand) for i in inside if i.written == flag and i.name.startswith("mov") for operand in i.operands
    ]
    for home in (flag, *copied):
        if _before(function, loop, home) == 1 and [_value(i) for i in inside if i.written == home] == [0]:
            return 2
    return None


def _before(function: Function, loop: Loop, wanted: str) -> int | None:
    """Return the constant that a register or place in memory holds as a loop is entered."""
    outside = function.dominators[loop.header] - loop.blocks
    for number in sorted(outside, key=lambda block: -len(function.dominators[block])):
        for instruction in reversed(function.blocks[number].instructions):
            if instruction.written == wanted:
                return _value(instruction)
    return None


def _sets_flags(instruction: Instruction) -> bool:
    return bool(re.match(r"^(subs|adds|cmp|add[lq]|sub[lq]|inc[lq]|dec[lq])", instruction.name))


def _compared(instruction: Instruction) -> tuple[str, int | None]:
    """Return the register whose value decides, and the value at which a loop ends; None if that is no constant."""
    if instruction.name.startswith("cmp"):
        if "%" in instruction.operands[-1]:  # AT&T: cmp bound, counter
            return place(instruction.operands[1]), _immediate(instruction.operands[:1])
        return place(instruction.operands[0]), _immediate(instruction.operands[1:])
    return instruction.written, 0


def _steps(body: Sequence[Instruction], counter: str) -> tuple[list[str], int] | None:
    """Return where the counter may be kept between turns, and what each adds to it; None if that is no constant."""
    total, seen = 0, False
    for instruction in reversed(body):
        if instruction.written != counter or instruction.name.startswith("cmp"):
            continue
        step = _step(instruction)
        if step is None:  # loaded from where it is kept between turns
            kept = [place(operand) for operand in instruction.operands if place(operand) != counter]
            loaded = seen and instruction.name.startswith(("mov", "ldr"))
            return ([*kept, counter], total) if loaded else None
        total, seen = total + step, True
    return ([counter], total) if seen else None


def _step(instruction: Instruction) -> int | None:
    name, operands = instruction.name, instruction.operands
    if re.match(r"^(inc|dec)[lq]$", name):
        return 1 if name.startswith("inc") else -1
    match = re.match(r"^(add|sub)(s|[lq])?$", name)
    if not match:
        return None
    amount = _immediate([operand for operand in operands if operand.startswith(("#", "$", "lsl"))])
    own = len(operands) == 2 or place(operands[0]) == place(operands[1])
    return None if amount is None or not own else amount if match[1] == "add" else -amount


def _value(instruction: Instruction) -> int | None:
    """Return the constant that an instruction writes."""
    if instruction.name.startswith("xor") and len(set(instruction.operands)) == 1:
        return 0
    if not instruction.name.startswith("mov"):
        return None
    source = instruction.operands[:1] if "$" in instruction.operands[0] else instruction.operands[1:]
    return 0 if source[0] in ("xzr", "wzr") else _immediate(source)


def _immediate(operands: Sequence[str]) -> int | None:
    """Return a constant operand: `$4096`, `#64`, or `#1, lsl #12`."""
    if not operands or not re.match(r"^[#$]-?\d+$", operands[0]):
        return None
    value = int(operands[0][1:])
    return value << int(operands[1].split("#")[1]) if len(operands) > 1 and "lsl" in operands[1] else value
