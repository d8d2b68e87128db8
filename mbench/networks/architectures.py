"""What a variant's name means: its family, its graph, and its layers. No torch, no TVM."""

from __future__ import annotations

import functools

from mbench.core import plugins
from mbench.core.errors import PluginError, UsageError, shown
from mbench.core.records import Variant
from mbench.networks import block_words, blocks, folding, standard
from mbench.networks import layers as layers_of
from mbench.networks.families import FAMILIES
from mbench.networks.family import Family
from mbench.networks.folding import Folded
from mbench.networks.graph import Graph
from mbench.networks.layers import LayerSpec

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
    if not isinstance(family, Family):
        raise added.refuse(f"{shown(family)} are no blocks; expected words as in {block_words.EXAMPLE!r}")
    try:
        block_words.read(family.blocks)
    except block_words.BlockError as error:
        raise added.refuse(f"{shown(family.blocks)} are no blocks: {error}") from error
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


@functools.lru_cache(maxsize=_KEPT)
def graph(variant: Variant) -> Graph:
    """Return the graph of a variant as it is trained, with BatchNorm."""
    family = family_of(variant.family)
    whole = blocks.graph(
        family,
        width=variant.number("width_multiplier"),
        resolution=int(variant.number("resolution")),
        batch=variant.batch,
        dtype=variant.dtype,
    )
    return standard.twin(whole).graph if variant.convolution == "standard" else whole


@functools.lru_cache(maxsize=_KEPT)
def folded(variant: Variant) -> Folded:
    """Return the graph of a variant as it is compiled, BatchNorm folded into its convolutions."""
    return folding.fold(graph(variant))


def layers(variant: Variant) -> tuple[LayerSpec, ...]:
    """Return the layers of a variant in the order of execution."""
    return layers_of.of_graph(folded(variant).graph)


def input_shape(variant: Variant) -> tuple[int, ...]:
    """Return the shape of the images that a variant takes: (N, 3, R, R)."""
    resolution = int(variant.number("resolution"))
    return (variant.batch, 3, resolution, resolution)


def title(family: str) -> str:
    """Return how people write a family's name; one that is not known, as it is."""
    return FAMILIES[family].title if family in FAMILIES else family
