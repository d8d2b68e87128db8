"""Which layers of a standard twin stand for which of the network that it is the twin of.

A record of a twin says what was replaced. Where kernels compute more than one of these layers at once, whole blocks
stand beside each other. Records of versions before that said nothing: there, a block has one depthwise and one
pointwise layer, and its twin one standard convolution. Nothing follows from a layer's name.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

from mbench.core.records import Layer, Replacement, Result


@dataclasses.dataclass(frozen=True, kw_only=True)
class Stretch:
    """Layers of both networks that do the same work: what was replaced, and what stands for it."""

    name: str
    """Of the block; of the standard convolution where the block has several, or where there is no block."""
    separable: tuple[Layer, ...]
    standard: tuple[Layer, ...]
    whole: bool = False
    """Whether it is all of a block, with layers that both networks have."""

    @property
    def convolution(self) -> Layer:
        """The standard convolution; of several, the one with most multiply-adds."""
        return max(self.standard, key=lambda layer: layer.macs)


def of_results(separable: Result, standard: Result) -> tuple[Stretch, ...]:
    """Return what was replaced in a network and by what in its twin, in order of execution."""
    if standard.replaced:
        found = list(_as_recorded(separable.layers, standard.layers, standard.replaced))
    else:
        found = list(_by_block(separable.layers, standard.layers))
    names = [stretch.convolution.block for stretch in found]
    return tuple(_named(stretch, alone=names.count(stretch.convolution.block) == 1) for stretch in found)


def _named(stretch: Stretch, *, alone: bool) -> Stretch:
    block = stretch.convolution.block
    return dataclasses.replace(stretch, name=block) if block is not None and alone else stretch


def _as_recorded(
    separable: Sequence[Layer], standard: Sequence[Layer], replaced: Sequence[Replacement]
) -> Iterator[Stretch]:
    ours, theirs = ({layer.name: layer for layer in side} for side in (separable, standard))
    blocks: set[str] = set()
    for each in replaced:
        layer, layers = theirs.get(each.layer), tuple(ours[name] for name in each.layers if name in ours)
        whole = len(layers) == len(each.layers) and sum(other.macs for other in layers) == each.macs_before
        if layer is not None and whole and layer.macs == each.macs:
            yield Stretch(name=layer.name, separable=layers, standard=(layer,))
            continue
        block = next((other.block for other in (layer, *layers) if other is not None and other.block), None)
        if block is None or block in blocks:
            continue
        blocks.add(block)
        sides = [tuple(other for other in side if other.block == block) for side in (separable, standard)]
        if all(sides):
            yield Stretch(name=block, separable=sides[0], standard=sides[1], whole=True)


def _by_block(separable: Sequence[Layer], standard: Sequence[Layer]) -> Iterator[Stretch]:
    """Yield the blocks in which a standard convolution stands for a depthwise one and the pointwise one after it."""
    replaced = _in_blocks(separable, ("depthwise", "pointwise"))
    for block, layers in _in_blocks(standard, ("standard",)).items():
        others = tuple(replaced.get(block, ()))
        if len(layers) == 1 and [other.role for other in others] == ["depthwise", "pointwise"]:
            yield Stretch(name=block, separable=others, standard=tuple(layers))


def _in_blocks(layers: Sequence[Layer], roles: tuple[str, ...]) -> dict[str, list[Layer]]:
    """Return the layers of these roles, block by block, in order of execution."""
    found: dict[str, list[Layer]] = {}
    for layer in layers:
        if layer.block is not None and layer.role in roles:
            found.setdefault(layer.block, []).append(layer)
    return found


def macs_before(standard: Result) -> int | None:
    """Return the multiply-adds of the network that a twin is of, from the twin's own result; None: it has them not."""
    if not standard.replaced:
        return None
    whole = sum(layer.macs for layer in standard.layers)
    return whole + sum(each.macs_before - each.macs for each in standard.replaced)
