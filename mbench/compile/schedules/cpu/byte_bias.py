"""The bias that the sums of a tile begin with, as Arm loads it best: anew for each register of sums.

A register that is added to has to be copied first where others begin with the same numbers. A load of two registers
takes one instruction instead of two copies, so that the packed bias has each panel's numbers once for every row.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from tvm import tirx

from mbench.compile.kernel import Kernel
from mbench.compile.kernel_kinds import Epilogue
from mbench.compile.schedules import emit
from mbench.compile.schedules.cpu import panel_parameters
from mbench.compile.schedules.cpu.dots import WeightPanels
from mbench.compile.schedules.rule import Packer


@dataclasses.dataclass(frozen=True, kw_only=True)
class SpreadBias:
    """A bias that is packed: (panels, rows, channels of a panel)."""

    place: int
    """Of the kernel's parameter."""
    rows: int
    """Of the largest tile."""
    panels: WeightPanels

    @classmethod
    def of(cls, kernel: Kernel, epilogue: Epilogue, panels: WeightPanels, rows: int) -> SpreadBias | None:
        """Return that of a kernel whose sums begin with a number of each channel; None for others, and on x86."""
        read: list[tuple[Any, Any]] = []
        bias, places = tirx.Var("bias", "int32"), [tirx.Var("i", "int32") for _ in kernel.parameter_shapes[-1]]

        def load(source: Any, at: Sequence[Any]) -> Any:
            read.append((source, at[-1]))
            return bias

        value = epilogue.start(places, load) if epilogue.start and panels.dot.group > 1 else None
        if value is None or not bias.same_as(value) or len(read) != 1:
            return None
        source, channel = read[0]
        if not places[-1].same_as(channel) or math.prod(map(int, source.shape)) != panels.channels:
            return None
        place = next(number for number, each in enumerate(kernel.function.params) if each.same_as(source))
        return cls(place=place, rows=rows, panels=panels)

    @property
    def elements(self) -> int:
        """Of the packed bias."""
        return len(self.panels.starts) * self.rows * self.panels.width

    def packed(self, bias: np.ndarray) -> np.ndarray:
        """Return a bias of each channel as it is loaded."""
        return panel_parameters.packed(self.panels, bias, rows=self.rows)

    def begun(self, array: Any, panel: Any, rows: int) -> emit.Accumulators:
        """Return the sums of a tile of so many rows, with what they begin with."""
        vectors, lanes = self.panels.vectors, self.panels.lanes
        sums, first = (
            emit.Accumulators(rows, vectors, lanes, "int32"),
            emit.named(panel * (self.rows * vectors * lanes)),
        )
        sums.each(lambda row, v, lane: array[first + ((row * vectors + v) * lanes + lane)])
        return sums


def packed_elements(panels: WeightPanels, spread: SpreadBias | None) -> dict[int, int]:
    """Return how many numbers each packed parameter has."""
    found = {1: panels.elements}
    return found if spread is None else {**found, spread.place: spread.elements}


def packs(spread: SpreadBias | None) -> dict[int, Packer]:
    """Return what packs a bias, by the place of its parameter."""
    return {} if spread is None else {spread.place: spread.packed}
