"""Where a sweep stands, for the terminal: how far each place is, what failed and why, which family wins where."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
from rich.console import RenderableType

from mbench.analysis import sweep_answers, sweep_progress
from mbench.analysis.sweep_progress import PlaceProgress
from mbench.core import durations, record_files, units
from mbench.core.sweep_records import CellPlace, SweepRecord
from mbench.terminal.listings import Listing
from mbench.terminal.table import Paragraph, add_row, ruled

_NAMED = 3
"""Networks that are named of those that one cause stopped."""


def listing(record: SweepRecord) -> Listing:
    """Return where a sweep stands, as tables and as data."""
    return Listing(list(_parts(record)), _data(record))


def _parts(record: SweepRecord) -> Iterator[RenderableType]:
    progress = sweep_progress.of(record)
    yield Paragraph(heading(record))
    table = ruled("", ("target", "device", "type"), ("threads", "done", "failed", "open", "time left"))
    batches = any(each.place.batch > 1 for each in progress)
    for each in progress:
        left = units.NOT_AVAILABLE if each.left_s is None else "" if not each.open else durations.words(each.left_s)
        add_row(
            table, each.place.target, each.place.device, _type(each, batches=batches), str(each.place.threads),
            str(each.done), str(each.failed), str(each.open), left,
        )  # fmt: skip
    yield table
    for why, networks in sweep_progress.causes(record.cells):
        yield Paragraph(f"failed: {named(networks)}: {why}")
    said: dict[str, list[str]] = {}
    for facet in sweep_answers.facets(record):
        if any(cell.state == "done" for cell in facet.cells):
            said.setdefault(sweep_answers.sentence(facet), []).append(f"{where(facet.place)}, {facet.dtype}")
    for sentence, places in said.items():
        yield Paragraph(f"{named(tuple(places), '; ')}: {sentence}")


def _type(progress: PlaceProgress, *, batches: bool) -> str:
    return f"{progress.dtype}, batch {progress.place.batch}" if batches else progress.dtype


def heading(record: SweepRecord) -> str:
    """Return how far a sweep is in a sentence, with the time that is expected for the rest."""
    done, failed, left = record.count("done"), record.count("failed"), record.count("open")
    cells = units.counted(len(record.cells), "cell")
    if done == len(record.cells):
        return f"sweep {record.name}: all of its {cells} are done"
    parts = [f"{done} of {cells} are done"] + ([f"{failed} failed"] if failed else [])
    if left:
        expected_s = sweep_progress.left_s(record)
        time = "" if expected_s is None else f", about {durations.words(max(1.0, round(expected_s)))}"
        parts.append(f"{left} open{time}")
    return f"sweep {record.name}: {', '.join(parts)}"


def named(names: tuple[str, ...], between: str = ", ") -> str:
    """Return the first of some names, and how many more there are."""
    shown, more = between.join(names[:_NAMED]), len(names) - _NAMED
    return f"{shown} and {more} more" if more > 0 else shown


def where(place: CellPlace) -> str:
    """Return a place in words: `arm64_cortex_a72, emulated`."""
    parts = [place.target, place.device, units.counted(place.threads, "thread")]
    return ", ".join([*parts, f"batch {place.batch}"] if place.batch > 1 else parts)


def _data(record: SweepRecord) -> Any:
    """Return the same for programs: every cell with its figures, and what it comes to."""
    progress = sweep_progress.of(record)
    data = {
        "name": record.name, "definition": record.definition, "updated_at_utc": record.updated_at_utc,
        "done": record.count("done"), "failed": record.count("failed"), "open": record.count("open"),
        "left_s": sweep_progress.left_s(record),
        "places": [
            {
                **msgspec.to_builtins(each.place), "dtype": each.dtype, "done": each.done, "failed": each.failed,
                "open": each.open, "left_s": each.left_s,
                "causes": [{"reason": why, "networks": list(networks)} for why, networks in each.causes],
            }
            for each in progress
        ],
        "answers": [
            {
                **msgspec.to_builtins(facet.place), "dtype": facet.dtype, "sentence": sweep_answers.sentence(facet),
                "front": [cell.network.name for cell in facet.front],
                "stretches": [
                    {"family": each.family, "above_percent": each.above, "upto_percent": each.upto,
                     "close": list(each.close)}
                    for each in facet.stretches
                ],
            }
            for facet in sweep_answers.facets(record)
        ],
        "cells": [msgspec.to_builtins(cell) for cell in record.cells],
    }  # fmt: skip
    return record_files.rounded(data)
