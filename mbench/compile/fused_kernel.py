"""Kernels that are fused of several: which stages they have, and where each finds its parameters.

A stage is a kernel of its own, as it would be were it not fused; the fused function carries them as an attribute.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

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


def stage(function: tirx.PrimFunc, places: Sequence[int | None]) -> tirx.PrimFunc:
    """Mark a stage's function with where the fused kernel has its parameters."""
    return function.with_attr(_PLACES, [_INSIDE if place is None else place for place in places])


def with_stages(function: tirx.PrimFunc, stages: Sequence[tirx.PrimFunc]) -> tirx.PrimFunc:
    """Mark a fused function with its stages."""
    return function.with_attr(_STAGES, list(stages))


def plain(function: tirx.PrimFunc) -> tirx.PrimFunc:
    """Return a fused function without its stages, as any other, for what knows nothing of them."""
    return function.without_attr(_STAGES) if _STAGES in (function.attrs or {}) else function


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
