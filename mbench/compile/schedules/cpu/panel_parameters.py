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
from mbench.compile.schedules.cpu import lookup
from mbench.compile.schedules.cpu.dots import WeightPanels
from mbench.compile.schedules.rule import Packer
from mbench.core import dtypes


@dataclasses.dataclass(frozen=True, kw_only=True)
class PanelParameters:
    """The parameters that are packed: (panels, channels of a panel) each."""

    places: tuple[int, ...]
    """Which parameters of the kernel they are."""
    panels: WeightPanels

    @classmethod
    def of(cls, kernel: Kernel, panels: WeightPanels) -> PanelParameters | None:
        """Return those of a kernel that reads numbers of channels, and tables, alone; None for others."""
        found = places(kernel)
        return None if found is None else cls(places=found, panels=panels)

    @property
    def elements(self) -> dict[int, int]:
        """How many numbers each packed parameter has."""
        return dict.fromkeys(self.places, len(self.panels.starts) * self.panels.width)

    @property
    def packs(self) -> dict[int, Packer]:
        """What packs each parameter."""
        return dict.fromkeys(self.places, functools.partial(packed, self.panels, rows=1))


def places(kernel: Kernel) -> tuple[int, ...] | None:
    """Return which parameters of a kernel are numbers of its channels; None where it reads others, but for tables.

    A table is read by a value, and not by place. A bias and multipliers, which are constants, are all that an
    integer layer has of such. What is computed may have their shape, in an image of one pixel: as 8 bits, or as a
    second parameter of the type.
    """
    epilogue, channels = kernel.epilogue_of_sum, kernel.parameter_shapes[-1][-1]
    if epilogue is None:
        return None
    read: list[tuple[Any, Any]] = []
    axes = [tirx.Var("i", "int32") for _ in kernel.parameter_shapes[-1]]

    def load(source: Any, at: Sequence[Any]) -> Any:
        if not lookup.is_table(source.shape, str(source.dtype)):
            read.append((source, at[-1]))
        return tirx.Var("element", str(source.dtype))

    if epilogue.start:
        epilogue.start(axes, load)
    epilogue.finish(tirx.Var("total", "int32"), axes, load)
    if any(not axes[-1].same_as(at) or math.prod(map(int, source.shape)) != channels for source, at in read):
        return None
    given = enumerate(kernel.function.params)
    found = tuple(place for place, each in given if any(each.same_as(source) for source, _ in read))
    types = [kernel.parameter_dtypes[place] for place in found]
    constants = len(set(types)) == len(types) and not set(dtypes.EIGHT_BITS).intersection(types)
    return found if constants else None


def packed(panels: WeightPanels, numbers: np.ndarray, *, rows: int) -> np.ndarray:
    """Return a number of each channel as panels have it, each panel's `rows` times.

    Panels that have more channels than there are numbers have them several times.
    """
    flat = np.resize(numbers, panels.channels)
    return np.concatenate([np.tile(panels.of_panel(flat, start), rows) for start in panels.starts])
