"""Records as a page. Reading them is `mbench.core.record_files`, a table of them `mbench.analysis.frame`."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from mbench.analysis import runs
from mbench.analysis.frame import AnyPath
from mbench.core import no_gc, record_files
from mbench.core.errors import UsageError
from mbench.core.progress import Note
from mbench.core.records import Record


def _warn(text: str) -> None:
    warnings.warn(text, stacklevel=3)


def report(
    records: Record | AnyPath | Iterable[Record | AnyPath],
    output: AnyPath,
    *,
    plotlyjs: Literal["inline", "directory"] = "inline",
    note: Note = _warn,
) -> Path:
    """Make one page of one or several records; return its path. It is one HTML file that works offline.

    Args:
        records: records, or files of records.
        output: the file to write.
        plotlyjs: `inline` puts plotly's script (4 MB) into the page; `directory` puts it once beside the pages of a
            folder.
        note: called for each copy of a run, which is left out; by default a warning.

    Raises:
        RecordError: a file is not a record.
        UsageError: the output is one of the records.
        OutputError: the page could not be written.

    Example:
        `mbench.report(["a.json", "b.json"], "page.html")`
    """
    with no_gc.not_collected():
        from mbench.page import report as pages

        if plotlyjs not in ("inline", "directory"):
            raise UsageError(f"plotlyjs is {plotlyjs!r}; expected 'inline' or 'directory'")
        given = [records] if isinstance(records, Record | str | os.PathLike) else list(records)
        page, files = Path(output), [Path(one) for one in given if not isinstance(one, Record)]
        found = [one if isinstance(one, Record) else record_files.read(one) for one in given]
        if page.resolve() in [file.resolve() for file in files]:
            raise UsageError(f"--output {page} is one of the records; choose another file for the page")
        for copy in runs.copies(found):
            note(f"{_named(given[copy.at])} {copy.why} as {_named(given[copy.of])}; it is left out")
        pages.write(page, found, plotlyjs=plotlyjs)
    return page


def _named(given: Record | AnyPath) -> str:
    return given.run_id if isinstance(given, Record) else str(given)
