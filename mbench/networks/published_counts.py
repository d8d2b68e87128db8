"""Multiply-adds and parameters as they are published, beside those that mbench counts."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable

from mbench.core.errors import CollisionError
from mbench.core.records import Variant
from mbench.networks import architectures, costs, published, variants
from mbench.networks.published import Published, PublishedCount

_STATISTICS = (".mean", ".variance")
"""What BatchNorm keeps and nobody trains."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ComparedCount:
    """A count as it is printed, and as mbench has it."""

    printed: PublishedCount
    counted: int

    @property
    def agrees(self) -> bool:
        """Whether they are the same in all digits that are printed."""
        return self.printed.agrees(self.counted)

    @property
    def difference(self) -> float:
        """How much more mbench counts, as a share of what is printed."""
        return self.counted / self.printed.value - 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class ComparedNetwork:
    """The counts of a network, both ways; None where one is not published."""

    row: Published
    macs: ComparedCount | None
    params: ComparedCount | None


def compared(names: Iterable[str] = ()) -> tuple[ComparedNetwork, ...]:
    """Return what is published of networks and counted, in the file's order: each pair of figures once.

    Args:
        names: of networks, in float32; all of them where there are none.

    Raises:
        UsageError: no count of a network is published.
    """
    wanted = set(names)
    found: dict[tuple[str, str, str], ComparedNetwork] = {}
    for row in published.table():
        if row.macs is None and row.params is None:
            continue
        name = _plain_name(row)
        key = (name, row.macs.text if row.macs else "", row.params.text if row.params else "")
        if key not in found and (not wanted or name in wanted):
            found[key] = _compared(row, variants.parse(name))
    if missing := next((name for name in wanted if name not in {key[0] for key in found}), None):
        said = f"no counts of {missing!r} are published; see 'mbench variants --published' for all there are"
        raise CollisionError(said, "--published", "NETWORK")
    return tuple(found.values())


def _plain_name(row: Published) -> str:
    """Return the name of the network in float32: its counts do not depend on its type."""
    return row.name.removesuffix(variants.type_suffix(row.variant.dtype))


def _compared(row: Published, variant: Variant) -> ComparedNetwork:
    cost = costs.total(costs.of_layer(spec) for spec in architectures.layers(variant))
    params = trained(variant) if row.counted == "trained" else cost.params
    return ComparedNetwork(
        row=row,
        macs=ComparedCount(printed=row.macs, counted=cost.macs) if row.macs else None,
        params=ComparedCount(printed=row.params, counted=params) if row.params else None,
    )


def trained(variant: Variant) -> int:
    """Return the number of parameters that are trained: weights, biases, and two for each channel of a BatchNorm."""
    graph = architectures.graph(variant)
    return sum(math.prod(each.shape) for name, each in graph.parameters.items() if not name.endswith(_STATISTICS))
