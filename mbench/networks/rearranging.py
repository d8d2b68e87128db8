"""Chains of reshapes and permutations as one: axes are split into parts, the parts are put in order, and merged again.

A channel shuffle, a pixel shuffle, and the windows of a transformer are such chains; each is one copy then, or none.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Iterable, Sequence

from mbench.networks.graph import GraphError, Node

Axes = tuple[int, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rearrangement:
    """What the operation `rearrange` does: reshape to `parts`, permute by `order`, reshape to `shape`."""

    source: Axes
    parts: Axes
    """Sizes, in the order of the source; each axis of it is some of them together, an axis of 1 none."""
    order: Axes
    """Which part comes at each place of the result; each axis of the result is some of them together."""
    shape: Axes

    def source_axes(self) -> list[list[int]]:
        """Return the parts of each axis of the source."""
        return grouped(range(len(self.parts)), self.parts, self.source)

    def axes(self) -> list[list[int]]:
        """Return the parts of each axis of the result."""
        return grouped(self.order, self.parts, self.shape)


def grouped(parts: Iterable[int], sizes: Sequence[int], shape: Axes) -> list[list[int]]:
    """Return which parts, in this order, each axis of a shape is made of.

    Raises:
        GraphError: no whole parts make up an axis.
    """
    waiting, found = list(parts), []
    for extent in shape:
        own: list[int] = []
        while waiting and math.prod(sizes[part] for part in own) < extent:
            own.append(waiting.pop(0))
        if math.prod(sizes[part] for part in own) != extent:
            raise GraphError(f"an axis of {extent} of {shape} is not made of whole parts of {tuple(sizes)}")
        found.append(own)
    return found


def of_node(node: Node, source: Axes) -> Rearrangement:
    """Return what a node `rearrange` does with a value of a shape."""
    known = node.attributes
    return of_parts(source, known["parts"], known["order"], known["shape"])


def of_parts(source: Axes, parts: Sequence[int], order: Sequence[int], shape: Sequence[int]) -> Rearrangement:
    """Return the rearrangement of these parts, in as few parts as there can be."""
    kept = [part for part, size in enumerate(parts) if size > 1]
    return _merged(
        Rearrangement(
            source=source,
            parts=tuple(parts[part] for part in kept),
            order=tuple(kept.index(part) for part in order if part in kept),
            shape=tuple(shape),
        )
    )


def of_chain(source: Axes, nodes: Sequence[Node]) -> Rearrangement | None:
    """Return what reshapes and permutations do one after the other; None where axes are not split evenly."""
    parts = _AxisParts(source)
    for node in nodes:
        if node.op == "permute":
            parts.permute(node.attributes["axes"])
        elif not parts.reshape(node.shape):
            return None
    return parts.result(source, nodes[-1].shape)


class _AxisParts:
    """The parts of a value's axes. A part is known by a number, and has a size; one that is split gives two new."""

    def __init__(self, shape: Axes) -> None:
        self._sizes = dict(enumerate(shape))
        self._numbers = itertools.count(len(shape))
        self._source = list(range(len(shape)))
        self._axes = [[axis] for axis in range(len(shape))]

    def permute(self, axes: Sequence[int]) -> None:
        self._axes = [self._axes[axis] for axis in axes]

    def reshape(self, shape: Axes) -> bool:
        """Merge and split axes; returns whether parts can be split so."""
        waiting = [part for axis in self._axes for part in axis if self._sizes[part] > 1]
        found = []
        for extent in shape:
            own: list[int] = []
            while (missing := extent // math.prod(self._sizes[part] for part in own)) > 1:
                size = self._sizes[waiting[0]]
                if size > missing and size % missing == 0:
                    waiting[:1] = self._split(waiting[0], missing)
                elif missing % size:
                    return False
                own.append(waiting.pop(0))
            found.append(own)
        self._axes = found
        return True

    def _split(self, part: int, first: int) -> list[int]:
        made = [next(self._numbers), next(self._numbers)]
        self._sizes.update(zip(made, (first, self._sizes[part] // first), strict=True))
        place = self._source.index(part)
        self._source[place : place + 1] = made
        self._axes = [[new for old in axis for new in (made if old == part else [old])] for axis in self._axes]
        return made

    def result(self, source: Axes, shape: Axes) -> Rearrangement:
        order = [self._source.index(part) for axis in self._axes for part in axis]
        order += [place for place in range(len(self._source)) if place not in order]  # parts of 1
        return of_parts(source, [self._sizes[part] for part in self._source], order, shape)


def _merged(given: Rearrangement) -> Rearrangement:
    """Return the same with fewer parts: those that stay beside each other, in one axis of both sides, are one."""
    before, after = (
        {part: axis for axis, own in enumerate(axes) for part in own} for axes in (given.source_axes(), given.axes())
    )
    places = {part: place for place, part in enumerate(given.order)}
    for part in range(len(given.parts) - 1):
        together = before[part] == before[part + 1] and after[part] == after[part + 1]
        if together and places[part + 1] == places[part] + 1:
            sizes = (*given.parts[:part], given.parts[part] * given.parts[part + 1], *given.parts[part + 2 :])
            order = tuple(each - (each > part) for each in given.order if each != part + 1)
            return _merged(dataclasses.replace(given, parts=sizes, order=order))
    return given
