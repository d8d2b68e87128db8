"""How accurate a network is on ImageNet: as given, as published, or between what is published; else not known.

Nothing is measured here: mbench draws weights. What is interpolated lies between published figures of the same family,
type and setting, over width and resolution, and its error is known from leaving each published figure out. Outside of
what is published nothing is extrapolated, and of int8 only what is published counts.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import statistics
from collections.abc import Mapping
from typing import Literal, NamedTuple

from mbench.core import dtypes
from mbench.core.fit_records import CandidateAccuracy
from mbench.core.records import Variant
from mbench.networks import published, variants
from mbench.networks.published import Published


@dataclasses.dataclass(frozen=True, kw_only=True)
class GivenAccuracy:
    """The accuracy of a network as the user's table has it, in percent."""

    top1_percent: float
    top5_percent: float | None = None
    source: str
    """File and line, and what the table says besides."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class LeftOutError:
    """How far interpolation is from published figures that were left out of it, in points of top-1 accuracy."""

    median_points: float
    largest_points: float
    compared: int
    """How many figures lie between others, so that they could be left out."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class NetworkAccuracy:
    """The accuracy of a network in percent, and where it is from; `top1_percent` is None where it is not known."""

    kind: Literal["given", "published", "interpolated", "unknown"]
    top1_percent: float | None = None
    top5_percent: float | None = None
    """Never interpolated."""
    setting: str = ""
    """How the network was trained, or those that it lies between."""
    source: str = ""
    bracket: tuple[Published, ...] = ()
    """The published figures that an interpolated one lies between."""
    error: LeftOutError | None = None
    """Of what is interpolated; None where too little is published to know it."""
    reason: str = ""
    """Why it is not known, and what to do."""

    @property
    def recorded(self) -> CandidateAccuracy:
        """As a file of a search or of a sweep has it."""
        error = self.error
        return CandidateAccuracy(
            kind=self.kind, top1_percent=self.top1_percent, source=self.source, setting=self.setting,
            between={row.name: row.top1_percent for row in self.bracket},
            left_out_median_points=error.median_points if error else None,
            left_out_largest_points=error.largest_points if error else None, reason=self.reason,
        )  # fmt: skip


def of(variant: Variant, given: Mapping[str, GivenAccuracy] | None = None) -> NetworkAccuracy:
    """Return the accuracy of a network: of the user's table, else published, else interpolated, else not known.

    Args:
        variant: the network; its batch does not count.
        given: the user's table, by name (`analysis.accuracy_table`).
    """
    name = table_name(variant)
    if given and name in given:
        found = given[name]
        return NetworkAccuracy(
            kind="given", top1_percent=found.top1_percent, top5_percent=found.top5_percent, source=found.source
        )
    if variant.imported:
        return _unknown("nothing is published of a network of your own")
    row = next((row for row in published.table() if row.name == name), None)
    if row is not None:
        return NetworkAccuracy(
            kind="published",
            top1_percent=row.top1_percent,
            top5_percent=row.top5_percent,
            setting=row.setting,
            source=row.source,
        )
    if variant.dtype != dtypes.DEFAULT:
        return _unknown(f"nothing is published of it in {variant.dtype}")
    return _interpolated(variant)


def table_name(variant: Variant) -> str:
    """Return what a network is called in a table of accuracies: its name without the batch."""
    return variant.name.removesuffix(variants.batch_suffix(variant))


def _unknown(reason: str) -> NetworkAccuracy:
    return NetworkAccuracy(kind="unknown", reason=f"{reason}; give it in a table: --accuracies FILE.csv")


def _interpolated(variant: Variant) -> NetworkAccuracy:
    grids = _grids(variant.family, variant.convolution)
    size = Size(variant.number("width_multiplier"), int(variant.number("resolution")))
    for setting, grid in grids.items():
        found = _between(grid, size)
        if found is not None:
            sources = dict.fromkeys(row.source for row in found.bracket)
            return NetworkAccuracy(
                kind="interpolated",
                top1_percent=found.top1_percent,
                setting=setting,
                source=" and ".join(sources),
                bracket=found.bracket,
                error=left_out(variant.family, variant.convolution, setting),
            )
    if not grids:
        twin = "its standard twin" if variant.convolution == "standard" else "it"
        return _unknown(f"nothing is published of {twin}")
    return _unknown(_beyond(size, {each for grid in grids.values() for each in grid}))


def _beyond(size: Size, known: set[Size]) -> str:
    """Return why nothing is interpolated: the size lies outside of all figures, or between none of one setting."""
    widths, resolutions = sorted({each.width for each in known}), sorted({each.resolution for each in known})
    extent = f"width {_span(widths)} at resolution {_span(resolutions)}"
    within = widths[0] <= size.width <= widths[-1] and resolutions[0] <= size.resolution <= resolutions[-1]
    if within:
        return f"no published figures of one setting lie around it, of those of its family ({extent})"
    return f"it lies outside of what is published of its family ({extent})"


def _span(values: list[float] | list[int]) -> str:
    return f"{values[0]}" if len(values) == 1 else f"{values[0]} to {values[-1]}"


# ------------------------------------------------------------------------------------------------ between the published
class Size(NamedTuple):
    """What networks of one family differ by."""

    width: float
    resolution: int


class _Estimate(NamedTuple):
    """A top-1 accuracy, and the figures that it lies between."""

    top1_percent: float
    bracket: tuple[Published, ...]


@functools.cache
def _grids(family: str, convolution: str | None) -> dict[str, dict[Size, Published]]:
    """Return what is published of a family in float32: by setting, in the file's order, and then by size."""
    found: dict[str, dict[Size, Published]] = {}
    for row in published.table():
        variant = row.variant
        if (variant.family, variant.convolution, variant.dtype) == (family, convolution, dtypes.DEFAULT):
            size = Size(variant.number("width_multiplier"), int(variant.number("resolution")))
            found.setdefault(row.setting, {})[size] = row
    return found


@functools.cache
def left_out(family: str, convolution: str | None, setting: str) -> LeftOutError | None:
    """Return how well figures of a family and setting follow from the others; None where none lies between others."""
    grid = _grids(family, convolution)[setting]
    distances = []
    for size, row in grid.items():
        found = _between({other: each for other, each in grid.items() if other != size}, size)
        if found is not None:
            distances.append(abs(found.top1_percent - row.top1_percent))
    if not distances:
        return None
    return LeftOutError(
        median_points=statistics.median(distances), largest_points=max(distances), compared=len(distances)
    )


def _between(grid: Mapping[Size, Published], wanted: Size) -> _Estimate | None:
    """Return the accuracy at a size by its neighbours; None where it does not lie between any.

    Along the widths of each resolution and then along the resolutions, and the other way round; the mean of both, or
    the one that the figures allow.
    """
    errors = {(size.width, float(size.resolution)): math.log(100 - row.top1_percent) for size, row in grid.items()}
    by_width = _along(errors, wanted.width, wanted.resolution)
    turned = {(resolution, width): value for (width, resolution), value in errors.items()}
    by_resolution = _along(turned, wanted.resolution, wanted.width)
    known = [each for each in (by_width, by_resolution) if each is not None]
    if not known:
        return None
    near = {Size(width, int(resolution)) for width, resolution in by_width.near} if by_width else set()
    if by_resolution:
        near |= {Size(width, int(resolution)) for resolution, width in by_resolution.near}
    value = statistics.fmean(100 - math.exp(each.value) for each in known)
    return _Estimate(value, tuple(sorted((grid[size] for size in near), key=lambda row: row.name)))


class _Known(NamedTuple):
    """An interpolated number, and where its neighbours are."""

    value: float
    near: frozenset[tuple[float, float]]


def _along(values: Mapping[tuple[float, float], float], first: float, second: float) -> _Known | None:
    """Return the value at (first, second): along the first coordinate wherever the second is known, then the second."""
    lines: dict[float, dict[float, _Known]] = {}
    for (one, other), value in values.items():
        lines.setdefault(other, {})[one] = _Known(value, frozenset({(one, other)}))
    across = {other: _at(line, first) for other, line in lines.items()}
    return _at({other: value for other, value in across.items() if value is not None}, second)


def _at(line: Mapping[float, _Known], place: float) -> _Known | None:
    """Return the value at a place of a line, monotone between neighbours (PCHIP over the logarithm of the place).

    Source: Fritsch and Butland, SIAM Journal on Scientific and Statistical Computing 5 (1984), as SciPy has it.
    """
    if place in line:
        return line[place]
    places = sorted(line)
    if not places or not places[0] < place < places[-1]:
        return None
    from scipy.interpolate import PchipInterpolator

    curve = PchipInterpolator([math.log(each) for each in places], [line[each].value for each in places])
    below, above = max(each for each in places if each < place), min(each for each in places if each > place)
    return _Known(float(curve(math.log(place))), line[below].near | line[above].near)
