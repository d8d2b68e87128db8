"""A run in one type against a run of the same networks in another, such as float32 and int8: for reading alone."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from mbench.analysis import type_pairs
from mbench.core.records import Record, Result
from mbench.gating.matching import Match
from mbench.gating.sides import Given

KEY = "dtype"
"""What differs then, and does not matter."""


def aligned(base: Given, head: Given) -> Given | None:
    """Return the base with its networks called as the head calls them; None where they share a network as they are.

    None also where the head has none of the base's networks in another type.
    """
    ours, theirs = ([result.variant for result in side.record.results] for side in (base, head))
    if {each.name for each in ours} & {each.name for each in theirs}:
        return None
    names = {
        mine.name: other.name
        for mine in ours
        for other in theirs
        if mine.dtype != other.dtype and type_pairs.same_network(mine, other)
    }
    return base._replace(runs=tuple(_renamed(record, names) for record in base.runs)) if names else None


def _renamed(record: Record, names: Mapping[str, str]) -> Record:
    replace = msgspec.structs.replace
    results = tuple(
        replace(each, variant=replace(each.variant, name=names.get(each.variant.name, each.variant.name)))
        for each in record.results
    )
    asked = tuple(names.get(name, name) for name in record.settings.variants)
    return replace(record, results=results, settings=replace(record.settings, variants=asked))


def layers(base: Result, head: Result) -> tuple[Match, ...]:
    """Return the layers of a network in two types, matched by what their kernels contain."""
    return tuple(Match(ours, theirs) for ours, theirs in type_pairs.matched(base.layers, head.layers))
