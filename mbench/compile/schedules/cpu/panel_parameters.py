"""Numbers of each channel that a kernel reads besides its weights, packed panel by panel.

Where the lanes of a panel have channels in another order than memory, these numbers are packed in the same one, so that
they are loaded as vectors.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from tvm import tirx

from mbench.compile.kernel import Kernel
from mbench.compile.kernel_kinds import Epilogue
from mbench.compile.schedules.cpu.dots import WeightPanels
from mbench.compile.schedules.rule import Packer
from mbench.core import dtypes

_TABLE = 256
"""Numbers of a table, which is read by a value and not by place."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class PanelParameters:
    """The parameters that are packed: (panels, channels of a panel) each."""

    places: tuple[int, ...]
    """Which parameters of the kernel they are."""
    panels: WeightPanels

    @classmethod
    def of(cls, kernel: Kernel, epilogue: Epilogue, panels: WeightPanels) -> PanelParameters | None:
        """Return those of a kernel that reads numbers of channels, and tables, alone; None for others."""
        read: list[tuple[Any, Any]] = []
        places = [tirx.Var("i", "int32") for _ in kernel.parameter_shapes[-1]]

        def load(source: Any, at: Sequence[Any]) -> Any:
            if [int(extent) for extent in source.shape] != [_TABLE] or str(source.dtype) not in dtypes.EIGHT_BITS:
                read.append((source, at[-1]))
            return tirx.Var("element", str(source.dtype))

        if epilogue.start:
            epilogue.start(places, load)
        epilogue.finish(tirx.Var("total", "int32"), places, load)
        if any(not places[-1].same_as(at) or _size(source) != panels.channels for source, at in read):
            return None
        given = enumerate(kernel.function.params)
        found = [place for place, each in given if any(each.same_as(source) for source, _ in read)]
        return cls(places=tuple(found), panels=panels)

    @property
    def elements(self) -> dict[int, int]:
        """How many numbers each packed parameter has."""
        return dict.fromkeys(self.places, len(self.panels.starts) * self.panels.width)

    @property
    def packs(self) -> dict[int, Packer]:
        """What packs each parameter."""
        return dict.fromkeys(self.places, functools.partial(packed, self.panels, rows=1))


def packed(panels: WeightPanels, numbers: np.ndarray, *, rows: int) -> np.ndarray:
    """Return a number of each channel as panels have it, each panel's `rows` times."""
    flat = numbers.reshape(-1)
    return np.concatenate([np.tile(panels.of_panel(flat, start), rows) for start in panels.starts])


def _size(source: Any) -> int:
    return math.prod(map(int, source.shape))
