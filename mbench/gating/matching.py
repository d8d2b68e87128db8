"""Which layer of one run is which of the other.

Layers are matched by name and shapes. Where the two differ in between, a stretch of layers is a group if it takes and
gives the same shapes in both: fusion differs, the work is the same, and the sums are compared.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from mbench.core.field_types import Op
from mbench.core.records import Counters, Layer


class LayerKind(NamedTuple):
    """What a layer is: by its operation, by what it does in its block, by the block."""

    op: Op
    role: str = "other"
    block: str | None = None


def kind(layer: Layer) -> LayerKind:
    """Return what a layer is."""
    return LayerKind(layer.op, layer.role, layer.block)


class Match(NamedTuple):
    """The same layer, or group of layers, in both runs; one side is empty where it is new or gone."""

    base: tuple[Layer, ...]
    head: tuple[Layer, ...]
    comparable: bool = True
    """False: the same name, but other shapes."""

    @property
    def name(self) -> str:
        """The names of the layers as the base has them; of new ones, as the head has."""
        return " + ".join(layer.name for layer in self.base or self.head)

    @property
    def kind(self) -> LayerKind:
        """What the layer is; of a group, the layer with most multiply-adds, and the block if it is one."""
        layers = self.base or self.head
        most = max(layers, key=lambda layer: layer.macs)
        return LayerKind(most.op, most.role, most.block if len({layer.block for layer in layers}) == 1 else None)


def total(layers: Sequence[Layer], field: str) -> int | None:
    """Return the sum of a field of layers, or of their counters; None where one of them was not counted."""
    values: list[int | None] = [
        getattr(layer.counters, field, None) if field in Counters.__struct_fields__ else getattr(layer, field)
        for layer in layers
    ]
    known = [value for value in values if value is not None]
    return sum(known) if layers and len(known) == len(values) else None


def layers(base: Sequence[Layer], head: Sequence[Layer]) -> tuple[Match, ...]:
    """Return the layers of both networks in order of execution, matched."""
    ours, theirs = ([(layer.name, layer.input_shape, layer.output_shape) for layer in side] for side in (base, head))
    found: list[Match] = []
    for tag, i, j, k, m in difflib.SequenceMatcher(None, ours, theirs, autojunk=False).get_opcodes():
        if tag == "equal":
            found.extend(Match((one,), (other,)) for one, other in zip(base[i:j], head[k:m], strict=True))
        else:
            found.extend(_stretch(tuple(base[i:j]), tuple(head[k:m])))
    return tuple(found)


def _stretch(base: tuple[Layer, ...], head: tuple[Layer, ...]) -> Iterator[Match]:
    if base and head and _ends(base) == _ends(head):
        yield Match(base, head)
        return
    theirs = {layer.name: layer for layer in head}
    for layer in base:
        other = theirs.pop(layer.name, None)
        yield Match((layer,), (other,) if other else (), comparable=other is None)
    for layer in theirs.values():
        yield Match((), (layer,))


def _ends(stretch: tuple[Layer, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    return stretch[0].input_shape, stretch[-1].output_shape
