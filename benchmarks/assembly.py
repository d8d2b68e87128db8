"""Reads generated assembly, AArch64 and x86-64 (AT&T): instructions, blocks, loops.

How often what is executed is not here, but in `executions`.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property

_LABEL = re.compile(r"^([.\w$]+):")
_CONDITIONAL = re.compile(r"^(b\.\w+|cbn?z|tbn?z|j(?!mp)\w+)$")
_JUMPS = {"b", "jmp"}
_ENDS = {"ret", "retq", "br"}
_CALLS = {"bl", "blr", "call", "callq"}
_FMA = re.compile(r"^(fmla|vfn?m(add|sub)\w*p[sd])$")
_REGISTER = re.compile(r"^%?[a-z]\w*$")
_OPERANDS = re.compile(r",\s*(?![^(\[{]*[)\]}])")
_ON_STACK = re.compile(r"\[sp|\(%rsp")
_VECTOR = re.compile(r"\b[qvz]\d+|%[xyz]mm\d+")
_SUBREGISTER = re.compile(r"^%?(?:[re]?([abcd])[xlh]|[re]?([sd]i|[sb]p)l?|(r\d+)[dwb]?|[wx](\d+))$")
_READS_ONLY = re.compile(r"^(st|cmp|cmn|tst|test|prfm|prefetch|b|cb|tb|j|push)")


class AssemblyError(Exception):
    """The code is not of the form that can be read here; says what was met."""


@dataclasses.dataclass(frozen=True)
class Instruction:
    """One instruction."""

    name: str
    operands: tuple[str, ...]

    @property
    def is_fma(self) -> bool:
        """Whether it multiplies and adds vectors."""
        return bool(_FMA.match(self.name))

    @property
    def is_conditional(self) -> bool:
        """Whether it branches or goes on."""
        return bool(_CONDITIONAL.match(self.name))

    @property
    def is_call(self) -> bool:
        """Whether it calls a function."""
        return self.name in _CALLS

    @property
    def spills(self) -> bool:
        """Whether it moves a vector to or from the stack, or computes with one that lies there."""
        text = ", ".join(self.operands)
        return bool(_ON_STACK.search(text) and _VECTOR.search(text))

    @property
    def accumulator(self) -> str:
        """The register that a multiply-add adds to."""
        return self.operands[-1 if self.operands[0].startswith(("%", "-", "(")) or "(" in self.operands[0] else 0]

    @property
    def written(self) -> str:
        """The register or place in memory that it writes, as `place` names them; nothing if none."""
        if not self.operands or self.is_call:
            return ""
        if any("%" in operand or "$" in operand for operand in self.operands):
            return "" if _READS_ONLY.match(self.name) else place(self.operands[-1])
        if self.name in ("str", "stur"):
            return place(self.operands[1])
        return "" if _READS_ONLY.match(self.name) else place(self.operands[0])


def place(operand: str) -> str:
    """Return a register's name, the same for all its widths, or the operand itself."""
    match = _SUBREGISTER.match(operand)
    return next(group for group in match.groups() if group) if match else operand


@dataclasses.dataclass(frozen=True)
class Block:
    """Instructions that are executed together; `successors` by number: where it branches to, then where it goes on."""

    label: str
    instructions: tuple[Instruction, ...]
    successors: tuple[int, ...]

    @property
    def fmas(self) -> int:
        """How many of its instructions are vector multiply-adds."""
        return sum(instruction.is_fma for instruction in self.instructions)


@dataclasses.dataclass(frozen=True)
class Loop:
    """A loop, by numbers of blocks; it is left at `latch`, which branches back to `header`."""

    header: int
    latch: int
    blocks: frozenset[int]


def functions(assembly: str) -> dict[str, Function]:
    """Return the functions that have vector multiply-adds, by name."""
    found: dict[str, Function] = {}
    for match in re.finditer(r"^([.\w$]+):[^\n]*\n\.Lfunc_begin\d+:(.*?)^\.Lfunc_end", assembly, re.M | re.S):
        function = Function(match[2].splitlines())
        if any(block.fmas for block in function.blocks):
            found[match[1]] = function
    return found


def instructions(lines: Sequence[str]) -> Iterator[str | Instruction]:
    """Yield labels and instructions."""
    for line in lines:
        text = re.split(r"//|(?<!\$)#(?!-?\d|:)", line)[0].strip()
        label = _LABEL.match(text)
        if label:
            yield label[1]
        elif text and not text.startswith("."):
            name, _, rest = text.partition("\t")
            yield Instruction(name.strip(), tuple(_OPERANDS.split(rest.strip())) if rest.strip() else ())


class Function:
    """One function: its blocks and loops. Block 0 is where it begins."""

    def __init__(self, lines: Sequence[str]) -> None:
        self.blocks = _blocks(list(instructions(lines)))

    @cached_property
    def predecessors(self) -> list[set[int]]:
        """The blocks that lead to each."""
        found: list[set[int]] = [set() for _ in self.blocks]
        for number, block in enumerate(self.blocks):
            for successor in block.successors:
                found[successor].add(number)
        return found

    @cached_property
    def dominators(self) -> list[set[int]]:
        """The blocks that are on every way to each, itself among them."""
        everything = set(range(len(self.blocks)))
        found = [{0}, *(set(everything) for _ in self.blocks[1:])]
        changed = True
        while changed:
            changed = False
            for number in range(1, len(self.blocks)):
                before = [found[other] for other in self.predecessors[number]]
                now = {number} | (set.intersection(*before) if before else set())
                changed = changed or now != found[number]
                found[number] = now
        return found

    @cached_property
    def loops(self) -> tuple[Loop, ...]:
        """All loops, outer before inner.

        Raises:
            AssemblyError: one has two ways back.
        """
        found: dict[int, Loop] = {}
        for latch, block in enumerate(self.blocks):
            for header in block.successors:
                if header in self.dominators[latch]:
                    if header in found:
                        raise AssemblyError(f"the loop at {self.blocks[header].label} has two ways back")
                    found[header] = Loop(header, latch, self._body(header, latch))
        return tuple(sorted(found.values(), key=lambda loop: -len(loop.blocks)))

    def _body(self, header: int, latch: int) -> frozenset[int]:
        inside, waiting = {header}, [latch]
        while waiting:
            number = waiting.pop()
            if number not in inside:
                inside.add(number)
                waiting += self.predecessors[number]
        return frozenset(inside)

    def reached(self, start: int, within: Loop | None) -> set[int]:
        """Return the blocks that can be reached from one, in the same turn of a loop if one is given."""
        seen: set[int] = set()
        waiting = [start]
        while waiting:
            number = waiting.pop()
            if number not in seen and (within is None or number in within.blocks):
                seen.add(number)
                if within is None or number != within.latch:
                    waiting += self.blocks[number].successors
        return seen

    def outside(self, loop: Loop) -> list[Loop]:
        """Return the loops around a loop, outer before inner."""
        return [other for other in self.loops if loop.blocks < other.blocks]

    def around(self, number: int) -> list[Loop]:
        """Return the loops around a block, outer before inner."""
        return [loop for loop in self.loops if number in loop.blocks]


def _blocks(code: Sequence[str | Instruction]) -> tuple[Block, ...]:
    """Cut code at labels and after branches."""
    parts: list[tuple[str, list[Instruction]]] = [("entry", [])]
    for item in code:
        if isinstance(item, str):
            if not item.startswith(".Ltmp"):
                parts.append((item, []))
            continue
        parts[-1][1].append(item)
        if item.is_conditional or item.name in _JUMPS | _ENDS:
            parts.append(("", []))
    parts = [part for part in parts if any(part)]  # nothing follows a jump but the next label
    numbers = {label: number for number, (label, _) in enumerate(parts) if label}
    return tuple(
        Block(label or f"block {number}", tuple(body), _successors(body, number, numbers))
        for number, (label, body) in enumerate(parts)
    )


def _successors(body: Sequence[Instruction], number: int, numbers: Mapping[str, int]) -> tuple[int, ...]:
    last = body[-1] if body else None
    if last is None or not (last.is_conditional or last.name in _JUMPS | _ENDS):
        return (number + 1,)
    if last.name in _ENDS or last.operands[-1] not in numbers:  # returns, or goes on in another function
        return ()
    target = numbers[last.operands[-1]]
    return (target, number + 1) if last.is_conditional else (target,)
