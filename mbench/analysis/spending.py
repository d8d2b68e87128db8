"""Where the time of a network goes, or its instructions: by layer and by kind of layer. Derived from a record.

Of a disturbed network the shares are doubtful: who shows them marks them, as `share` does.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from mbench.analysis import disturbances, pairs
from mbench.core import units
from mbench.core.field_types import Op
from mbench.core.records import Layer, Result

_WHOLE = 0.01
"""From which share on a doubtful one is in whole percent."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class LayerPart:
    """A layer and its share of the sum over all layers."""

    layer: Layer
    place: int
    """Among the layers of the network, from 0."""
    share: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class Spending:
    """What the layers of one kind have of the sum over all, in time or, where nothing was timed, instructions."""

    op: Op
    layers: int
    share: float


def of_layers(result: Result, *, instructions: bool) -> tuple[LayerPart, ...]:
    """Return the layers with their shares, the largest first; empty where some layer's part is not known."""
    take = pairs.layer_instructions if instructions else pairs.layer_latency_s
    amounts = [take(layer) for layer in result.layers]
    known = [amount for amount in amounts if amount is not None]
    whole = sum(known)
    if len(known) < len(amounts) or not whole:
        return ()
    parts = (
        LayerPart(layer=layer, place=place, share=amount / whole)
        for place, (layer, amount) in enumerate(zip(result.layers, known, strict=True))
    )
    return tuple(sorted(parts, key=lambda part: -part.share))


def by_kind(parts: Iterable[LayerPart]) -> tuple[Spending, ...]:
    """Return what each kind of layer has, the largest first."""
    kinds: dict[Op, list[float]] = {}
    for part in parts:
        kinds.setdefault(part.layer.op, []).append(part.share)
    found = [Spending(op=op, layers=len(shares), share=sum(shares)) for op, shares in kinds.items()]
    return tuple(sorted(found, key=lambda each: -each.share))


def share(value: float | None, *, doubtful: object, decimals: int = 0) -> str:
    """Return a share: `46.3 %`; where it is doubtful, as of a disturbed network, `~46 %`."""
    if value is None or not doubtful:
        return units.percent(value, decimals)
    return f"{disturbances.MARK}{units.percent(value, 1 if 0 < value < _WHOLE else 0)}"
