"""Matrix products of 8-bit values by i8mm of Arm, which multiplies small matrices: pointwise and linear layers.

An instruction multiplies two rows of eight values by two channels of eight weights, and adds to four sums: twice what a
dot product does. Rows are first laid out anew, two and two, eight bytes of one beside eight of the other; of an odd
number the last two are a pair as well. A tile is `pairs` of rows x `vectors` of four channels.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from tvm import tirx
from tvm.script.ir_builder import tirx as T  # noqa: N812 - the name that TVM's script language has

from mbench.compile.kernel import Kernel
from mbench.compile.kernel_kinds import Matmul
from mbench.compile.machine import KernelMachine
from mbench.compile.schedules import emit
from mbench.compile.schedules.cpu import arm_dots, byte_output, dots, integer_matmul, tile_loops, tiling
from mbench.compile.schedules.cpu.byte_output import ByteOutput
from mbench.compile.schedules.cpu.byte_products import ByteProduct
from mbench.compile.schedules.cpu.dots import WeightPanels
from mbench.compile.schedules.rule import KernelPlan, Parameters, positive

_OCTET = 8
_REGISTER = 2 * _OCTET
_NAMES = ("pairs", "vectors", "pair_parts", "panel_parts")
_WORTH = 0.96
_LAYING = 3.0
"""Cycles to lay 32 bytes out anew."""


def candidates(kernel: Kernel, machine: KernelMachine) -> Iterator[Parameters]:
    """Yield tiles and task grids, quickest first."""
    for _, parameters in _ranked(kernel, machine):
        yield parameters


def pays(kernel: Kernel, machine: KernelMachine) -> bool:
    """Return whether it is quicker than dot products, by more than the models of both are worth.

    Few values are laid out anew, and their sums into rows, for too few multiply-adds. Compared is what would be taken
    of each.
    """
    ours, others = _ranked(kernel, machine), integer_matmul.ranked(kernel, machine)
    return bool(ours) and (not others or ours[0][0] <= _WORTH * others[0][0])


def _ranked(kernel: Kernel, machine: KernelMachine) -> list[tuple[float, Parameters]]:
    """Return (cycles of the busiest core, parameters) in the order in which they are tried; empty for other kernels."""
    matmul, dot = kernel.matmul, arm_dots.of_matrices(kernel, machine)
    if matmul is None or dot is None or not _takes(matmul):
        return []
    octets = matmul.reduction // _OCTET
    product = ByteProduct(
        matmul=matmul, dot=dot, lanes=arm_dots.LANES, units=_pairs(matmul), steps=octets, names=_NAMES,
        once=_pairs(matmul) * octets / 2 * _LAYING,
    )  # fmt: skip
    return byte_output.with_tables(kernel, machine, product.lanes, product.ranked(machine))


def _takes(matmul: Matmul) -> bool:
    return matmul.rows > 1 and matmul.columns >= arm_dots.LANES and matmul.reduction % _OCTET == 0


def _pairs(matmul: Matmul) -> int:
    return -(-matmul.rows // 2)


def build(kernel: Kernel, machine: KernelMachine, parameters: Parameters) -> KernelPlan | None:
    """Write the kernel."""
    matmul, epilogue, dot = kernel.matmul, kernel.epilogue_of_sum, arm_dots.of_matrices(kernel, machine)
    if matmul is None or epilogue is None or dot is None or not _takes(matmul):
        return None
    pairs, vectors, pair_parts, panel_parts = positive(parameters, *_NAMES)
    if pairs > _pairs(matmul):
        raise ValueError(f"a tile of {pairs} pairs of rows is larger than {matmul.rows} rows")
    panels = WeightPanels.of(
        kernel, dot, channels=matmul.columns, lanes=arm_dots.LANES, vectors=vectors, words=dots.words(matmul.reduction)
    )  # fmt: skip
    count, cut = len(panels.starts), tiling.Cut.of(_pairs(matmul), pairs)
    writer = emit.Writer(kernel, packed_elements=panels.elements)
    with writer.function() as arrays:
        output = ByteOutput.of(kernel, epilogue, writer, arrays[-1], machine)
        laid = _laid(arrays[0], matmul, str(kernel.dtype), pair_parts * panel_parts)
        tile = _PairTile(matmul, panels, output, kernel.parameter_shapes[-1], (laid, arrays[1]))
        with emit.tasks(cut.count, pair_parts, count, panel_parts) as ((first_tile, tiles), (first_panel, here)):
            for step in emit.turns(here):
                for start, size, _ in tile_loops.shared(cut, first_tile, tiles):
                    tile.write(first_panel + step, emit.named(start), size)
    return KernelPlan(
        function=writer.result(), tile=f"{2 * pairs}x{vectors * arm_dots.LANES}x{_OCTET}", pack=panels.packed,
        lanes=arm_dots.LANES,
    )  # fmt: skip


def _first_row(matmul: Matmul, pair: Any) -> Any:
    """Return the first of a pair's two rows; of an odd number the last pair begins early."""
    return emit.named(emit.panel_start(pair, 2, matmul.rows))


def _laid(values: Any, matmul: Matmul, dtype: str, parts: int) -> Any:
    """Write the pass that lays rows out anew, two and two, shared out in so many parts; return the array of it."""
    count, reduction = _pairs(matmul), matmul.reduction
    copy = T.alloc_buffer((count * 2 * reduction,), dtype)
    whole, rest = divmod(reduction, _REGISTER)
    with emit.tasks(count, min(parts, count), 1, 1) as ((first, own), _), emit.loop(own) as number:
        pair = emit.named(first + number)
        source = emit.named(_first_row(matmul, pair) * reduction)
        target = emit.named(pair * (2 * reduction))

        def copied(at: Any, size: int) -> None:
            read = [T.bind(emit.vector(values, source + row * reduction + at, size)) for row in range(2)]
            for half in range(size // _OCTET):
                places = [*range(_OCTET * half, _OCTET * (half + 1))]
                both = tirx.Shuffle(read, [*places, *(size + place for place in places)])
                emit.store(copy, both, target + (2 * at + half * _REGISTER), _REGISTER)

        if whole:
            with emit.loop(whole) as turn:
                copied(emit.named(turn * _REGISTER), _REGISTER)
        if rest:
            copied(whole * _REGISTER, _OCTET)
    return copy


class _PairTile:
    """Writes the code of one tile."""

    def __init__(
        self, matmul: Matmul, panels: WeightPanels, output: ByteOutput, shape: Sequence[int], arrays: tuple[Any, Any]
    ) -> None:
        self._matmul, self._panels, self._output, self._shape = matmul, panels, output, shape
        self._rows, self._weights = arrays

    def write(self, panel: Any, pair: Any, pairs: int) -> None:
        """Write the tile of so many pairs of rows from `pair` on, and of panel `panel`."""
        matmul, panels, lanes = self._matmul, self._panels, self._panels.lanes
        panel = emit.named(panel)
        _, column = panels.start(panel)
        fours = emit.Accumulators(pairs, 2 * panels.vectors, lanes, "int32")
        fours.each(lambda *_: tirx.const(0, "int32"))
        octets = matmul.reduction // _OCTET
        read, packed = emit.named(pair * (2 * matmul.reduction)), emit.named(panel * panels.panel_bytes)
        unroll = 2 if octets % 2 == 0 else 1
        with emit.loop(octets // unroll) as turn:
            for number in range(unroll):
                octet = emit.named(turn * unroll + number)
                self._add(fours, read + octet * _REGISTER, packed + octet * (_OCTET * panels.width))
        rows = [_first_row(matmul, pair + number) for number in range(pairs)]

        def row(r: int) -> Any:
            return rows[r // 2] + r % 2

        def indices(r: int, v: int, lane: Any) -> list[Any]:
            return emit.indices(self._shape, row(r), column + (v * lanes + lane))

        sums = self._output.begun(2 * pairs, panels.vectors, lanes, indices)
        panels.begin(sums, self._weights, panel)
        for r in range(2 * pairs):
            for v in range(panels.vectors):
                sums.add(r, v, _of_row(fours.vector(r // 2, 2 * v), fours.vector(r // 2, 2 * v + 1), r % 2))
            self._output.finish(sums, r, indices, emit.named(row(r) * matmul.columns + column))

    def _add(self, fours: emit.Accumulators, read: Any, line: Any) -> None:
        """Add eight multiply-adds to each sum: the values of pairs lie from `read` on, the weights from `line` on."""
        dot, apart = self._panels.dot, 2 * self._matmul.reduction
        values = [
            dot.operand(emit.vector(self._rows, read + p * apart, _REGISTER), arm_dots.LANES) for p in range(fours.rows)
        ]
        for both in range(fours.vectors):
            weights = T.bind(emit.vector(self._weights, line + both * _REGISTER, _REGISTER))
            for p in range(fours.rows):
                dot.add(fours, p, both, values[p], weights)


def _of_row(low: Any, high: Any, row: int) -> Any:
    """Return four sums of a row of a pair, given those of both rows of two channels, and of the next two."""
    first = 2 * row
    return tirx.Shuffle([low, high], [first, first + 1, 4 + first, 5 + first])
