"""How the tiles of a matrix product of bytes are ranked: one model for all instructions that multiply them."""

from __future__ import annotations

import dataclasses
import itertools

from mbench.compile.kernel_kinds import Matmul
from mbench.compile.machine import KernelMachine
from mbench.compile.schedules.cpu import dots, tiling
from mbench.compile.schedules.cpu.dots import DotProduct
from mbench.compile.schedules.rule import Parameters

_GRIDS = 4
_L2_BYTES_A_CYCLE = 64
"""What weights cost that the first cache does not keep, as in `matmul`: they are read in order, ahead of their use."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ByteProduct:
    """A product as a rule goes through it: in units of one row or several, and in steps of the reduction."""

    matmul: Matmul
    dot: DotProduct
    lanes: int
    """Of a register of sums; 0: the columns fill none."""
    names: tuple[str, str, str, str]
    """Of a rule's parameters: units and registers of a tile, parts of the units and of the panels."""
    units: int
    steps: int
    once: float = 0.0
    """Cycles of what is done once, whatever the tile is."""

    def ranked(self, machine: KernelMachine) -> list[tuple[float, Parameters]]:
        """Return (cycles of the busiest core, parameters), quickest first."""
        matmul, found = self.matmul, list[tuple[float, Parameters]]()
        moved = float(matmul.rows * (matmul.reduction + matmul.columns))
        for units, vectors in self.dot.tiles() if self.lanes else ():
            if vectors * self.lanes > matmul.columns or units > self.units:
                continue
            cut, panels = tiling.Cut.of(self.units, units), -(-matmul.columns // (vectors * self.lanes))
            cycles = panels * self._panel_cycles(cut, vectors, machine) + self.once
            for grid in itertools.islice(tiling.grids([1] * cut.count, panels, cycles, moved, machine), _GRIDS):
                numbers = (units, vectors, grid.outer, grid.inner)
                found.append((grid.cycles(cycles, moved), dict(zip(self.names, numbers, strict=True))))
        return sorted(found, key=lambda pair: pair[0])

    def _panel_cycles(self, cut: tiling.Cut, vectors: int, machine: KernelMachine) -> float:
        """Model of all rows with one panel of weights on one core."""
        dot = self.dot
        compute = sum((part.end - part.begin) * dot.tile_cycles(part.size, vectors, self.steps) for part in cut.parts)
        panel_bytes = dots.words(self.matmul.reduction) * dot.weight_bytes * vectors * self.lanes
        far = cut.count * panel_bytes if panel_bytes > machine.l1_bytes / 2 else 0
        return compute + far / _L2_BYTES_A_CYCLE
