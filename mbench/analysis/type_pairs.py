"""A network in two types beside each other, such as float32 and int8: which of their layers do the same work.

Derived from a record's results; no formatting, no measuring. A pair is found inside one record, where both ran on the
same device with the same settings. One kernel of either network may compute several layers of the other: layers meet
by what they contain.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Sequence

from mbench.analysis import layer_types, pairs
from mbench.core import dtypes
from mbench.core.quantized import FloatLayer
from mbench.core.records import Layer, Record, Result, Variant


@dataclasses.dataclass(frozen=True, kw_only=True)
class TypedLayers:
    """Layers of both networks that do the same work; one side may be empty, as of a pass that rounds the input."""

    wide: tuple[Layer, ...]
    narrow: tuple[Layer, ...]
    sqnr_db: float | None
    """Of the last value that they make; None: it is not rounded."""
    stayed_float: FloatLayer | None
    """Why one of them is computed in floating point in the narrow network; None: none is."""

    @property
    def named_as_wide(self) -> bool:
        """Whether the name is that of the wide network's layers: it has fewer of them, but not none."""
        return bool(self.wide) and (not self.narrow or len(self.wide) < len(self.narrow))

    @property
    def name(self) -> str:
        """The name of the one kernel that computes all of them, or those of the first and the last."""
        layers = self.wide if self.named_as_wide else self.narrow
        return layers[0].name if len(layers) == 1 else f"{layers[0].name} … {layers[-1].name}"

    @property
    def wide_s(self) -> float | None:
        """Median seconds in the wide network; None: not timed, or not there."""
        return _sum(pairs.layer_latency_s(layer) for layer in self.wide)

    @property
    def narrow_s(self) -> float | None:
        """The same in the narrow network."""
        return _sum(pairs.layer_latency_s(layer) for layer in self.narrow)

    @property
    def wide_instructions(self) -> float | None:
        """Instructions as counted in the wide network; None: not counted, or not there."""
        return _sum(pairs.layer_instructions(layer) for layer in self.wide)

    @property
    def narrow_instructions(self) -> float | None:
        """The same in the narrow network."""
        return _sum(pairs.layer_instructions(layer) for layer in self.narrow)

    @property
    def macs(self) -> int:
        """Multiply-adds."""
        return sum(layer.macs for layer in self.narrow or self.wide)

    @property
    def gain(self) -> float | None:
        """How many times quicker the narrow network is in these layers; None: one side has no time."""
        return pairs.ratio(self.wide_s, self.narrow_s)

    @property
    def fewer(self) -> float | None:
        """How many times fewer instructions the narrow network executes in them."""
        return pairs.ratio(self.wide_instructions, self.narrow_instructions)


@dataclasses.dataclass(frozen=True, kw_only=True)
class TypePair(pairs.ResultPair):
    """Two results that differ only by the type of the numbers."""

    wide: Result
    """In the type of more bytes."""
    narrow: Result

    @property
    def expected(self) -> float:
        """The gain that is expected of the type: how many of its numbers lie in the place of one of the other."""
        return dtypes.width(self.wide.variant.dtype) / dtypes.width(self.narrow.variant.dtype)

    @property
    def sides(self) -> tuple[Result, Result]:
        """The network in the wider type, and in the narrower one."""
        return self.wide, self.narrow

    def layers(self) -> tuple[TypedLayers, ...]:
        """Return the layers of both that do the same work, in order of execution."""
        signals, left = layer_types.signals(self.narrow), layer_types.stayed_float(self.narrow)
        return tuple(
            TypedLayers(
                wide=wide,
                narrow=narrow,
                sqnr_db=next((signals[layer.name] for layer in reversed(narrow) if layer.name in signals), None),
                stayed_float=next((left[layer.name] for layer in narrow if layer.name in left), None),
            )
            for wide, narrow in matched(self.wide.layers, self.narrow.layers)
        )


def of_record(record: Record) -> tuple[TypePair, ...]:
    """Return the pairs of a record, in the order of the networks in the narrower type."""
    return tuple(
        TypePair(wide=wide, narrow=narrow)
        for narrow in record.results
        for wide in record.results
        if wide.variant.dtype == dtypes.DEFAULT != narrow.variant.dtype and same_network(wide.variant, narrow.variant)
    )


def same_network(one: Variant, other: Variant) -> bool:
    """Return whether two networks differ in nothing but their type."""
    return _beside_type(one) == _beside_type(other)


def _beside_type(variant: Variant) -> tuple[object, ...]:
    return variant.source, variant.family, variant.parameters, variant.convolution, variant.batch


def same_layers(ours: Result, theirs: Result) -> Iterator[tuple[tuple[Layer, ...], tuple[Layer, ...]]]:
    """Yield the layers of both that do the same work: of one name, or in two types by what their kernels contain."""
    if ours.variant.dtype != theirs.variant.dtype:
        found = matched(ours.layers, theirs.layers)
        yield from ((before, after) for before, after in found if before and after)
        return
    named = {layer.name: layer for layer in ours.layers}
    yield from (((named[layer.name],), (layer,)) for layer in theirs.layers if layer.name in named)


def matched(wide: Sequence[Layer], narrow: Sequence[Layer]) -> Iterator[tuple[tuple[Layer, ...], tuple[Layer, ...]]]:
    """Yield the layers of two networks that do the same work, by what they contain, in order of execution."""
    roots: dict[str, str] = {}

    def root(name: str) -> str:
        while roots.setdefault(name, name) != name:
            name = roots[name]
        return name

    for layer in (*wide, *narrow):
        first, *others = layer_types.contents(layer)
        for other in others:
            roots[root(other)] = root(first)
    groups: dict[str, tuple[list[Layer], list[Layer]]] = {}
    for side, layers in enumerate((wide, narrow)):
        for layer in layers:
            groups.setdefault(root(layer_types.contents(layer)[0]), ([], []))[side].append(layer)
    for ours, theirs in _in_order(groups.values()):
        yield tuple(ours), tuple(theirs)


def _in_order(groups: Iterable[tuple[list[Layer], list[Layer]]]) -> list[tuple[list[Layer], list[Layer]]]:
    """Return groups by their first layer in the narrow network; what it lacks follows what it followed before."""
    places, last = list[tuple[int, int]](), -1
    found = list(groups)
    for number, (_, narrow) in enumerate(found):
        last = narrow[0].index if narrow else last
        places.append((last, number if not narrow else -1))
    return [found[at] for at in sorted(range(len(found)), key=places.__getitem__)]


def _sum(values: Iterable[float | None]) -> float | None:
    found = list(values)
    known = [value for value in found if value is not None]
    return sum(known) if known and len(known) == len(found) else None
