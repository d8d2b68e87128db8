"""What the page of a sweep shows, gathered for its template: question and answer in words, facets, a row for each cell.

Which family wins where is decided in `mbench.analysis.sweep_answers`, how far a sweep is in `analysis.sweep_progress`.
"""

from __future__ import annotations

import collections
import csv
import dataclasses
import io
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from mbench.analysis import fit_ranking, sweep_answers, sweep_progress
from mbench.analysis.sweep_answers import AccuracyStep, SweepFacet
from mbench.core import durations, units
from mbench.core.sweep_records import CellPlace, SweepCell, SweepRecord
from mbench.page import figures_sweep, views

STATES = {"done": "done", "failed": "failed", "open": "open"}
BASES = {
    "measured": "timed on the device: the median over sessions, each a fresh process, with its interval",
    "counted": "a model of the target, from exact counts of the emulated code; its error is in each record",
}
_COLUMNS = (
    *("network", "family", "type", "target", "device", "threads", "batch", "state", "latency_s", "latency_low_s"),
    *("latency_high_s", "latency_is", "top1_percent", "top1_is", "top1_of_type", "memory_bytes", "weight_bytes"),
    *("energy_j", "energy_is", "instructions", "macs", "params", "record", "disturbed", "reason"),
)
"""Of the table for download."""
HEADS = (
    *("network", "target", "type", "state", "latency", "latency is", "top-1", "memory", "weights", "energy"),
    *("instructions", "multiply-adds"),
)
"""Of the table of cells on the page."""
NUMERIC = frozenset(HEADS) - {"network", "target", "type", "state", "latency is"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class StepView:
    """Who wins at an accuracy."""

    step: AccuracyStep
    family: str
    """Empty: nobody is so accurate."""
    colour: str
    link: str | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class FacetView:
    """A type at a place."""

    facet: SweepFacet
    anchor: str
    place: str
    """For people."""
    title: str
    sentence: str
    steps: tuple[StepView, ...]
    done: int
    failed: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class CellRow:
    """A cell: what each column shows, and what it is sorted by."""

    cell: SweepCell
    family: str
    place: str
    link: str | None
    """To the record's page, at the network."""
    texts: tuple[str, ...]
    """One for each of `HEADS`."""
    keys: tuple[float | str | None, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class SweepView:
    """What the page shows."""

    record: SweepRecord
    question: str
    headline: str
    progress: str
    facets: tuple[FacetView, ...]
    rows: tuple[CellRow, ...]
    looks: dict[str, tuple[str, str]]
    """Colour and shape of each family, by its name."""
    leasts: tuple[float, ...]
    """The accuracies of the steps, in percent."""
    causes: tuple[tuple[str, tuple[str, ...]], ...]
    borrowed: bool
    """Whether an accuracy is that of another type."""
    sources: tuple[tuple[str, str, int], ...]
    """Of accuracies: source, setting, and how many networks are from there."""

    @property
    def numbers(self) -> dict[int, int]:
        """The number of each cell, by `id`."""
        return {id(row.cell): number for number, row in enumerate(self.rows)}


def of_record(record: SweepRecord, links: Mapping[str, str]) -> SweepView:
    """Return what the page shows of a sweep.

    Args:
        record: where it stands.
        links: the pages of its records as this page finds them, by the records' files.
    """
    found = sweep_answers.facets(record)
    devices = _devices(record)
    looks = figures_sweep.looks(sweep_answers.family(cell) for cell in record.cells)
    rows = tuple(_row(cell, links, devices) for cell in record.cells)
    return SweepView(
        record=record, question=_question(record), headline=sweep_answers.headline(found), progress=_progress(record),
        facets=tuple(_facet(number, each, looks, links, devices) for number, each in enumerate(found, start=1)),
        rows=rows, looks=looks, leasts=tuple(step.least_percent for step in found[0].steps) if found else (),
        causes=sweep_progress.causes(record.cells), borrowed=any(each.borrowed for each in found),
        sources=_sources(record),
    )  # fmt: skip


def _devices(record: SweepRecord) -> Mapping[str, int]:
    """Return on how many devices, threads and batches each target was."""
    return collections.Counter(place.target for place in {cell.place for cell in record.cells})


def _place(place: CellPlace, devices: Mapping[str, int]) -> str:
    """Return a place in words: the target, and where there are several of it, what they differ by."""
    parts = [place.target, place.device]
    if devices[place.target] > 1 or place.threads > 1:
        parts.append(units.counted(place.threads, "thread"))
    return ", ".join([*parts, f"batch {place.batch}"] if place.batch > 1 else parts)


def _question(record: SweepRecord) -> str:
    networks = len({cell.network.name.removesuffix(f"_{cell.network.dtype}") for cell in record.cells})
    types = dict.fromkeys(cell.network.dtype for cell in record.cells)
    places = dict.fromkeys(cell.place.target for cell in record.cells)
    among = units.counted(networks, "network")
    where = " and ".join(places) if len(places) < 4 else units.counted(len(places), "target")
    return f"Which family wins where, of {among} in {' and '.join(types)} on {where}?"


def _progress(record: SweepRecord) -> str:
    left_s = sweep_progress.left_s(record)
    if not record.count("open"):
        return "nothing is open"
    return "time left not known" if left_s is None else f"about {durations.words(max(1.0, round(left_s)))} left"


def _facet(
    number: int, facet: SweepFacet, looks: Mapping[str, tuple[str, str]], links: Mapping[str, str],
    devices: Mapping[str, int],
) -> FacetView:  # fmt: skip
    place = _place(facet.place, devices)
    return FacetView(
        facet=facet, anchor=f"facet{number}", place=place, title=f"{place}, {facet.dtype}",
        sentence=sweep_answers.sentence(facet), steps=tuple(_step(step, looks, links) for step in facet.steps),
        done=sum(cell.state == "done" for cell in facet.cells),
        failed=sum(cell.state == "failed" for cell in facet.cells),
    )  # fmt: skip


def _step(step: AccuracyStep, looks: Mapping[str, tuple[str, str]], links: Mapping[str, str]) -> StepView:
    if step.best is None:
        return StepView(step=step, family="", colour="", link=None)
    name = sweep_answers.family(step.best)
    return StepView(step=step, family=name, colour=looks[name][0], link=_link(step.best, links))


def _link(cell: SweepCell, links: Mapping[str, str]) -> str | None:
    page = links.get(cell.file)
    return f"./{quote(page)}#{views.anchor_of(cell.network.name)}" if page and cell.state == "done" else None


def latency(cell: SweepCell) -> str:
    """Return a cell's latency: `1.93 ms`, or a dash."""
    found = cell.figures.latency_s if cell.figures else None
    return fit_ranking.SHOWN["latency"](found.value) if found else units.NOT_AVAILABLE


def top1(cell: SweepCell) -> str:
    """Return a cell's accuracy; one between published ones as `~70.6 %`, one of another type with that type."""
    found = cell.accuracy
    if found.top1_percent is None:
        return units.NOT_AVAILABLE
    other = "" if cell.accuracy_dtype == cell.network.dtype else f" ({cell.accuracy_dtype})"
    return f"{'~' if found.kind == 'interpolated' else ''}{units.accuracy(found.top1_percent)}{other}"


def size(cell: SweepCell) -> str:
    """Return what a network differs by from others of its family: width and resolution; else its name."""
    found = figures_sweep.size_of(cell)
    return cell.network.name if found is None else f"{found[0]:g} at {found[1]:g}"


def between(cell: SweepCell) -> str:
    """Return between what a cell's latency lies; empty: that is not known."""
    found = cell.figures.latency_s if cell.figures else None
    if found is None or found.low is None or found.high is None:
        return ""
    return units.ranged((found.low, found.high), units.seconds)


def _row(cell: SweepCell, links: Mapping[str, str], devices: Mapping[str, int]) -> CellRow:
    found, place = cell.figures, _place(cell.place, devices)
    seconds = found.latency_s if found else None
    basis = "" if seconds is None else f"{seconds.basis}, disturbed" if found and found.disturbed else seconds.basis
    state = f"{cell.state}: {cell.reason}" if cell.reason else cell.state
    energy_j = found.energy_j.value if found and found.energy_j else None
    sizes = (found.memory_bytes, found.weight_bytes) if found else (None, None)
    counts = (found.instructions, found.macs) if found else (None, None)
    return CellRow(
        cell=cell, family=sweep_answers.family(cell), place=place, link=_link(cell, links),
        texts=(
            cell.network.name, place, cell.network.dtype, state, latency(cell), basis or units.NOT_AVAILABLE,
            top1(cell), *map(units.data_size, sizes), units.joules(energy_j), *map(units.count, counts),
        ),
        keys=(
            cell.network.name, place, cell.network.dtype, state, seconds.value if seconds else None, basis or None,
            cell.accuracy.top1_percent, *sizes, energy_j, *counts,
        ),
    )  # fmt: skip


def data(view: SweepView) -> list[list[Any]]:
    """Return the rows as sweep.js reads them: texts, keys where they are no texts, family, link, interval, state."""
    return [
        [
            row.texts,
            [None if isinstance(key, str) else key for key in row.keys],
            row.family,
            row.link,
            between(row.cell),
            row.cell.state,
        ]
        for row in view.rows
    ]


def _sources(record: SweepRecord) -> tuple[tuple[str, str, int], ...]:
    networks = {cell.network.name: cell.accuracy for cell in record.cells}
    found = collections.Counter((each.source or each.reason or "not known", each.setting) for each in networks.values())
    return tuple((source, setting, count) for (source, setting), count in found.most_common())


def table(record: SweepRecord) -> str:
    """Return all cells as CSV, in SI units."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(_COLUMNS)
    writer.writerows(_lines(record.cells))
    return out.getvalue()


def _lines(cells: Sequence[SweepCell]) -> Iterator[list[Any]]:
    for cell in cells:
        found, place, network = cell.figures, cell.place, cell.network
        seconds, joules = (found.latency_s, found.energy_j) if found else (None, None)
        yield [
            network.name, sweep_answers.family(cell), network.dtype, place.target, place.device, place.threads,
            place.batch, cell.state,
            *((seconds.value, seconds.low, seconds.high, seconds.basis) if seconds else [""] * 4),
            cell.accuracy.top1_percent, cell.accuracy.kind, cell.accuracy_dtype,
            *((found.memory_bytes, found.weight_bytes) if found else [""] * 2),
            *((joules.value, joules.basis) if joules else [""] * 2),
            *((found.instructions, found.macs, found.params) if found else [""] * 3),
            cell.file, "; ".join(found.disturbed) if found else "", cell.reason,
        ]  # fmt: skip
