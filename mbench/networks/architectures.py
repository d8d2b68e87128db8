"""What a variant's name means: its family, its graph, and its layers. No torch, no TVM."""

from __future__ import annotations

import functools

from mbench.core import plugins
from mbench.core.errors import PluginError, UsageError, shown
from mbench.core.records import Replacement, Variant
from mbench.networks import blocks, folding, standard
from mbench.networks import layers as layers_of
from mbench.networks.blocks import Family
from mbench.networks.families import FAMILIES
from mbench.networks.folding import Folded
from mbench.networks.graph import Graph
from mbench.networks.layers import LayerSpec
from mbench.networks.standard import Twin

_KEPT = 64
"""Graphs that are kept: a run asks for each several times."""


def family_of(name: str) -> Family:
    """Return a family, of mbench's own or one that another package adds.

    Raises:
        UsageError: the family is not known.
        PluginError: the package that adds it is broken, or two add it.
    """
    added = plugins.find(plugins.NETWORKS, name, FAMILIES)
    if added is None:
        if name not in FAMILIES:
            raise UsageError(f"family {name!r} is not known; see 'mbench variants'")
        return FAMILIES[name]
    if set(name) & set("{}"):
        raise added.refuse("its name has a brace, which means a grid of names")
    family = added.load()
    if isinstance(family, str):
        family = Family(title=name, blocks=family)
    if not isinstance(family, Family) or not blocks.is_sound(family.blocks):
        told = family.blocks if isinstance(family, Family) else family
        raise added.refuse(f"{shown(told)} are no blocks; expected words as in {blocks.EXAMPLE!r}")
    return family


def is_known(family: str) -> bool:
    """Return whether there is such a family; the code of the package that adds it is not run."""
    return family in FAMILIES or plugins.find(plugins.NETWORKS, family) is not None


def added_families() -> tuple[tuple[str, ...], tuple[PluginError, ...]]:
    """Return the families that other packages add, and what is wrong with those that cannot be used."""
    sound, broken = [], []
    for family in plugins.names(plugins.NETWORKS):
        try:
            family_of(family)
            sound.append(family)
        except PluginError as error:
            broken.append(error)
    return tuple(sound), tuple(broken)


def graph(variant: Variant) -> Graph:
    """Return the graph of a variant as it is trained, with BatchNorm."""
    return _twin(variant).graph if variant.convolution == "standard" else _as_written(variant)


def replaced(variant: Variant) -> tuple[Replacement, ...]:
    """Return what was replaced in a standard twin; nothing in another network."""
    return _twin(variant).replaced if variant.convolution == "standard" else ()


@functools.lru_cache(maxsize=_KEPT)
def _twin(variant: Variant) -> Twin:
    return standard.twin(_as_written(variant))


@functools.lru_cache(maxsize=_KEPT)
def _as_written(variant: Variant) -> Graph:
    """Return the graph of a network, or of the one that it is the standard twin of."""
    return blocks.graph(
        family_of(variant.family),
        width=float(variant.parameters["width_multiplier"]),
        resolution=int(variant.parameters["resolution"]),
        batch=variant.batch,
        dtype=variant.dtype,
    )


def has_twin(family: str) -> bool:
    """Return whether the networks of a family have a depthwise convolution, and so a standard twin.

    Raises:
        UsageError: the family is not known.
        PluginError: the package that adds it is broken.
    """
    return _has_depthwise(family_of(family))


@functools.lru_cache(maxsize=_KEPT)
def _has_depthwise(family: Family) -> bool:
    return standard.has_depthwise(blocks.graph(family, width=1.0, resolution=family.resolution))


@functools.lru_cache(maxsize=_KEPT)
def folded(variant: Variant) -> Folded:
    """Return the graph of a variant as it is compiled, BatchNorm folded into its convolutions."""
    return folding.fold(graph(variant))


def layers(variant: Variant) -> tuple[LayerSpec, ...]:
    """Return the layers of a variant in the order of execution."""
    return layers_of.of_graph(folded(variant).graph)


def input_shape(variant: Variant) -> tuple[int, ...]:
    """Return the shape of the images that a variant takes: (N, 3, R, R)."""
    resolution = int(variant.parameters["resolution"])
    return (variant.batch, 3, resolution, resolution)


def title(family: str) -> str:
    """Return how people write a family's name; one that is not known, as it is."""
    return FAMILIES[family].title if family in FAMILIES else family
