"""What a variant means: its family, or what was imported of it; its graph, and its layers. No torch, no TVM."""

from __future__ import annotations

import dataclasses
import functools

from mbench.core import dtypes, plugins
from mbench.core.errors import PluginError, UsageError, shortened, shown, why
from mbench.core.plugins import Plugin
from mbench.core.records import Variant
from mbench.core.replacement import Replacement
from mbench.networks import block_words, blocks, folding, imported_store, outside, standard
from mbench.networks import family as family_rules
from mbench.networks import graph as graphs
from mbench.networks import layers as layers_of
from mbench.networks.block_words import BlockError
from mbench.networks.families import FAMILIES
from mbench.networks.family import Family
from mbench.networks.folding import Folded
from mbench.networks.graph import Graph, GraphError
from mbench.networks.layers import LayerSpec

_LONGEST = 300
"""Characters of what another package's error says."""
_KEPT = 256
"""Graphs that are kept: a run asks for each several times, and a listing has a hundred."""


def family_of(name: str) -> Family:
    """Return a family, of mbench's own or one that another package adds.

    Raises:
        UsageError: the family is not known.
        PluginError: the package that adds it is broken, or two add it.
    """
    added = plugins.find(plugins.NETWORKS, name, FAMILIES)
    if added is not None:
        return _added_family(added)
    if name not in FAMILIES:
        raise UsageError(f"family {name!r} is not known; see 'mbench variants'")
    return FAMILIES[name]


def _added_family(added: Plugin) -> Family:
    if set(added.name) & set("{}"):
        raise added.refuse("its name has a brace, which means a grid of names")
    family = added.load()
    if isinstance(family, str):
        family = Family(blocks=family)
    if not isinstance(family, Family):
        raise added.refuse(f"{shown(family)} are no blocks; expected words as in {block_words.EXAMPLE!r}, or a Family")
    try:
        family_rules.check(family)
        _tried(family)
    except BlockError as error:
        raise added.refuse(str(error)) from error
    except Exception as error:
        raise _refused(added, 1.0, error) from error
    return family


def _refused(added: Plugin, width: float, error: Exception) -> PluginError:
    said = shortened(f"{type(error).__name__}: {why(error)}", _LONGEST)
    return added.refuse(f"it has no network of width {width}: {said}")


@functools.lru_cache(maxsize=_KEPT)
def _tried(family: Family) -> Graph:
    """Return a family's network of width 1.0, at its own resolution."""
    return blocks.graph(family, width=1.0, resolution=family.resolution)


def is_known(family: str) -> bool:
    """Return whether there is such a family; the code of the package that adds it is not run."""
    return family in FAMILIES or plugins.find(plugins.NETWORKS, family) is not None


def known_families() -> tuple[str, ...]:
    """Return the names of all families, mbench's own first; the code of packages that add some is not run."""
    return tuple(dict.fromkeys((*FAMILIES, *plugins.names(plugins.NETWORKS))))


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
    """Return the graph of a variant as it is trained, with BatchNorm; of one that mbench quantises, in floats.

    Raises:
        UsageError: the family has no network of this width and resolution.
        PluginError: the package that adds the family is broken.
        BuildError: what was imported is not in the cache any more.
    """
    return _twin(_as_written(variant)).graph if variant.convolution == "standard" else _as_written(variant)


def replaced(variant: Variant) -> tuple[Replacement, ...]:
    """Return what was replaced in a standard twin; nothing in another network."""
    return _twin(_as_written(variant)).replaced if variant.convolution == "standard" else ()


_twin = functools.lru_cache(maxsize=_KEPT)(standard.twin)


def _as_written(variant: Variant) -> Graph:
    """Return the graph of a network, or of the one that it is the standard twin of."""
    if variant.imported:
        return _retyped(imported_store.graph(variant), dtypes.of(variant.dtype).floats)
    floats = dtypes.of(variant.dtype).floats
    width, added = variant.number("width_multiplier"), plugins.find(plugins.NETWORKS, variant.family)
    family = family_of(variant.family)
    try:
        return _built(family, width, int(variant.number("resolution")), variant.batch, floats)
    except GraphError as error:
        raise UsageError(f"variant {variant.name!r}: {error}; its family has no network of this size") from error
    except Exception as error:
        if added is None:
            raise
        raise _refused(added, width, error) from error


@functools.lru_cache(maxsize=_KEPT)
def _built(family: Family, width: float, resolution: int, batch: int, dtype: str) -> Graph:
    return outside.with_inputs(
        blocks.graph(family, width=width, resolution=resolution, batch=batch, dtype=dtype), dtype
    )


@functools.lru_cache(maxsize=_KEPT)
def _retyped(graph: Graph, dtype: str) -> Graph:
    return outside.with_inputs(graphs.retyped(graph, dtype), dtype)


def has_twin(variant: Variant) -> bool:
    """Return whether a network of a family has a depthwise convolution, and so a standard twin.

    Raises:
        UsageError: the family is not known, or has no network of this width and resolution.
        PluginError: the package that adds it is broken.
    """
    if variant.family in FAMILIES:  # no layer of theirs has fewer than 8 channels, at any width
        return _has_depthwise(family_of(variant.family))
    return standard.has_depthwise(_as_written(variant))


@functools.lru_cache(maxsize=_KEPT)
def _has_depthwise(family: Family) -> bool:
    return standard.has_depthwise(_tried(family))


def folded(variant: Variant) -> Folded:
    """Return the graph of a variant as it is compiled, BatchNorm folded into its convolutions."""
    return _folded(graph(variant), dtypes.of(variant.dtype).floats)


@functools.lru_cache(maxsize=_KEPT)
def _folded(graph: Graph, dtype: str) -> Folded:
    found = folding.as_compiled(graph)
    return dataclasses.replace(found, graph=outside.cast(found.graph, dtype))


def layers(variant: Variant) -> tuple[LayerSpec, ...]:
    """Return the layers of a variant in the order of execution."""
    return _layers(folded(variant).graph)


_layers = functools.lru_cache(maxsize=_KEPT)(layers_of.of_graph)


def title(family: str) -> str:
    """Return how people write a family's name; one that is not known, or not to be used, as it is."""
    try:
        return family_of(family).title or family
    except (UsageError, PluginError):
        return family
