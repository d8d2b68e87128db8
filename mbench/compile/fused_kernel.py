"""Kernels that are made of several: which stages they have, and where each finds its parameters.

A stage is a kernel of its own, as it would be were it not fused; the fused function carries them as an attribute.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from tvm import tirx

from mbench.compile.kernel import Kernel

_STAGES = "mbench.stages"
_PLACES = "mbench.places"
_INSIDE = -1


@dataclasses.dataclass(frozen=True, kw_only=True)
class FusedStage:
    """A kernel that is part of a fused one.

    `places` says where the fused kernel has each of its parameters but the output; None: the stage before makes it.
    """

    kernel: Kernel
    places: tuple[int | None, ...]

    def read(self, arrays: Sequence[Any]) -> list[tuple[Any, Any]]:
        """Return what it reads from outside: its parameters, each with the array that the fused kernel has for it."""
        given = zip(self.kernel.function.params, self.places, strict=False)
        return [(parameter, arrays[place]) for parameter, place in given if place is not None]


def stage(function: tirx.PrimFunc, places: Sequence[int | None]) -> tirx.PrimFunc:
    """Mark a stage's function with where the fused kernel has its parameters."""
    return function.with_attr(_PLACES, [_INSIDE if place is None else place for place in places])


def with_stages(function: tirx.PrimFunc, stages: Sequence[tirx.PrimFunc]) -> tirx.PrimFunc:
    """Mark a fused function with its stages."""
    return function.with_attr(_STAGES, list(stages))


def has_stages(function: tirx.PrimFunc) -> bool:
    """Whether a function is made of several kernels."""
    return _STAGES in (function.attrs or {})


def plain(function: tirx.PrimFunc) -> tirx.PrimFunc:
    """Return a fused function without its stages, as any other, for what knows nothing of them."""
    return function.without_attr(_STAGES) if has_stages(function) else function


def stages(function: tirx.PrimFunc) -> tuple[FusedStage, ...]:
    """Return the stages of a fused function; none of any other."""
    found = (function.attrs or {}).get(_STAGES, ())
    return tuple(
        FusedStage(
            kernel=Kernel(each),
            places=tuple(None if int(place) == _INSIDE else int(place) for place in each.attrs[_PLACES]),
        )
        for each in found
    )
