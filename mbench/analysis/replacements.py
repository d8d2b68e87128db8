"""Which layers of a standard twin stand for which of the network as it was.

The result of a standard twin has what was replaced. Where one kernel computes more than that, such as a whole inverted
residual, all that it computes stands beside the same of the standard twin. Results of earlier versions have nothing:
there, a block has one depthwise and one pointwise layer, and its standard twin one standard convolution. Nothing
follows from a layer's name.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Container, Iterator, Mapping, Sequence

from mbench.core.records import Layer, Result
from mbench.core.replacement import Replacement


@dataclasses.dataclass(frozen=True, kw_only=True)
class Stretch:
    """Layers of both networks that do the same work: what was replaced, and what stands for it."""

    name: str
    """Of the block; of the standard convolution where the block has several, or where there is no block."""
    separable: tuple[Layer, ...]
    standard: tuple[Layer, ...]
    fused: bool = False
    """Whether one kernel computes several of them: there may be layers among them that both networks have."""

    @property
    def convolution(self) -> Layer:
        """The standard convolution; of several, the one with most multiply-adds."""
        return max(self.standard, key=lambda layer: layer.macs)


def of_results(separable: Result, standard: Result) -> tuple[Stretch, ...]:
    """Return what was replaced in a network and by what in its standard twin, in order of execution."""
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
    ours, theirs = _by_content(separable), _by_content(standard)
    gone = {name for each in replaced for name in each.layers}
    blocks: set[str] = set()
    for each in replaced:
        found = _side_by_side(each, ours, theirs, gone)
        if found is not None:
            yield found
            continue
        named = (theirs.get(each.layer), *map(ours.get, each.layers))
        block = next((layer.block for layer in named if layer is not None and layer.block), None)
        if block is None or block in blocks:
            continue
        blocks.add(block)
        sides = [tuple(layer for layer in side if layer.block == block) for side in (separable, standard)]
        if all(sides):
            yield Stretch(name=block, separable=sides[0], standard=sides[1], fused=True)


def _by_content(layers: Sequence[Layer]) -> dict[str, Layer]:
    """Return the layers by the names of all that they compute."""
    return {name: layer for layer in layers for name in _contents(layer)}


def _contents(layer: Layer) -> tuple[str, ...]:
    return layer.contains or (layer.name,)


def _side_by_side(
    each: Replacement, ours: Mapping[str, Layer], theirs: Mapping[str, Layer], gone: Container[str]
) -> Stretch | None:
    """Return the layers that compute what was replaced, and what a fused one of them computes besides, on both sides.

    None where a layer is missing, or its multiply-adds are not those of the record.
    """
    if each.layer not in theirs or any(name not in ours for name in each.layers):
        return None
    separable = tuple({ours[name].name: ours[name] for name in each.layers}.values())
    besides = [name for layer in separable for name in _contents(layer) if name not in each.layers]
    if any(name in gone or name not in theirs for name in besides):
        return None
    standard = {layer.name: layer for layer in (*(theirs[name] for name in besides), theirs[each.layer])}
    own = sum(theirs[name].macs for name in besides)
    if sum(layer.macs for layer in separable) != each.macs_before + own or theirs[each.layer].macs != each.macs:
        return None
    return Stretch(
        name=each.layer,
        separable=separable,
        standard=tuple(standard.values()),
        fused=any(layer.contains for layer in separable),
    )


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
    """Return the multiply-adds of the network that a standard twin is of; None where its result has them not."""
    if not standard.replaced:
        return None
    whole = sum(layer.macs for layer in standard.layers)
    return whole + sum(each.macs_before - each.macs for each in standard.replaced)
