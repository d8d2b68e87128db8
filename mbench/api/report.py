"""Records as a page. Reading them is `mbench.core.record_files`, a table of them `mbench.analysis.frame`."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal, TypeAlias

from mbench.analysis import found_records, frame, runs
from mbench.analysis.frame import AnyPath
from mbench.core import fit_files, names, no_gc, sweep_files
from mbench.core.errors import UsageError
from mbench.core.fit_records import FitRecord
from mbench.core.progress import Note
from mbench.core.records import Record
from mbench.core.sweep_records import SweepRecord

Source: TypeAlias = Record | FitRecord | SweepRecord | AnyPath
"""What a page is made of."""


def _warn(text: str) -> None:
    warnings.warn(text, stacklevel=3)


def report(
    records: Source | Iterable[Source],
    output: AnyPath,
    *,
    plotlyjs: Literal["inline", "directory"] = "inline",
    note: Note = _warn,
) -> Path:
    """Make one page of one or several records, of what `fit` found, or of a sweep: one HTML file; return its path.

    It works offline. The page of what `fit` found leads to the page of its measurements, if that is beside it.

    Args:
        records: records, files of records, folders or globs; or what `fit` found, or where a sweep stands, or the file
            of that, or the folder of a sweep, alone.
        output: the file to write.
        plotlyjs: `inline` puts plotly's script (4 MB) into the page; `directory` puts it once beside the pages of a
            folder.
        note: called for each copy of a run, which is left out; by default a warning.

    Raises:
        RecordError: a file is neither a record nor of `mbench fit`.
        UsageError: the output is one of the records, or what `fit` found is not alone.
        OutputError: the page could not be written.

    Example:
        `mbench.report(["a.json", "b.json"], "page.html")`
    """
    with no_gc.not_collected():
        if plotlyjs not in ("inline", "directory"):
            raise UsageError(f"plotlyjs is {plotlyjs!r}; expected 'inline' or 'directory'")
        alone = isinstance(records, Record | FitRecord | SweepRecord | str | os.PathLike)
        every: list[Source] = [records] if alone else list(records)  # type: ignore[list-item, arg-type]
        if (sweep := _sweep(every)) is not None:
            return _of_sweep(sweep, Path(output), plotlyjs)
        pairs = [pair for one in every if not isinstance(one, SweepRecord) for pair in _each(one)]
        page, given, read = Path(output), [one for one, _ in pairs], [found for _, found in pairs]
        files = [Path(one) for one in given if not isinstance(one, Record | FitRecord)]
        if page.resolve() in [file.resolve() for file in files]:
            raise UsageError(f"--output {page} is one of the records; choose another file for the page")
        found = [one for one in read if isinstance(one, FitRecord)]
        if not found:
            _of_records([one for one in read if isinstance(one, Record)], given, page, plotlyjs, note)
        elif len(read) == 1:
            from mbench.page import fit_report

            fit_report.write(page, found[0], measured=_measured(found[0], page, files), plotlyjs=plotlyjs)
        else:
            named = _named(given[read.index(found[0])])
            raise UsageError(f"{named} is what 'mbench fit' found, and has a page of its own; give it alone")
    return page


def _each(given: Record | FitRecord | AnyPath) -> Sequence[tuple[Source, Record | FitRecord]]:
    """Return what is given with what it holds; of a folder or a glob all records, with their files."""
    if isinstance(given, Record | FitRecord):
        return [(given, given)]
    if frame.every_file(given) == (Path(given),):
        return [(given, fit_files.read_either(given))]
    return found_records.read(Path(given))


def _of_records(
    found: list[Record], given: Sequence[Source], page: Path, plotlyjs: Literal["inline", "directory"], note: Note
) -> None:
    from mbench.page import report as pages

    for copy in runs.copies(found):
        note(f"{_named(given[copy.at])} {copy.why} as {_named(given[copy.of])}; it is left out")
    pages.write(page, found, plotlyjs=plotlyjs)


def _sweep(given: Sequence[Source]) -> SweepRecord | Path | None:
    """Return the sweep among what is given, which is alone; None: there is none.

    Raises:
        UsageError: it is not alone.
        RecordError: a folder has several.
    """
    for one in given:
        if isinstance(one, Record | FitRecord):
            continue
        found = one if isinstance(one, SweepRecord) else Path(one)
        if isinstance(found, Path):
            if found.is_dir() and any(found.glob(f"*{sweep_files.ENDING}")):
                found = sweep_files.in_folder(found)
            if not sweep_files.is_sweep(found):
                continue
        if len(given) > 1:
            named = found if isinstance(found, Path) else found.name
            raise UsageError(f"{named} is a sweep, and has a page of its own; give it alone")
        return found
    return None


def _of_sweep(sweep: SweepRecord | Path, page: Path, plotlyjs: Literal["inline", "directory"]) -> Path:
    from mbench.page import sweep_report

    if isinstance(sweep, Path):
        folder, found = sweep.parent, sweep_files.read(sweep)
    else:
        folder, found = page.parent, sweep
    links = {
        file.name: os.path.relpath(folder / beside, page.parent)
        for file in found.files
        if file.place and (folder / (beside := Path(file.name).with_suffix(".html"))).is_file()
    }
    sweep_report.write(page, found, links=links, plotlyjs=plotlyjs)
    return page


def _measured(found: FitRecord, page: Path, files: Sequence[Path]) -> str | None:
    """Return the page of the measurements behind a search, as its own page finds it; None where there is none."""
    if found.measured_record is None:
        return None
    folder = files[0].parent if files else page.parent
    path = (folder / names.component(Path(found.measured_record).stem)).with_suffix(".html")
    return os.path.relpath(path, page.parent) if path.is_file() else None


def _named(given: Source) -> str:
    return given.run_id if isinstance(given, Record | FitRecord) else str(given)
