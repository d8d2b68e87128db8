"""A line a network that ran under load without a pause. Renderables only; only `mbench.cli` prints."""

from __future__ import annotations

from collections.abc import Iterator

from rich.text import Text

from mbench.analysis import pairs, sustained_load
from mbench.core.records import Record
from mbench.terminal.table import text


def of_record(record: Record) -> Iterator[Text]:
    """Yield what each network came to under load, or why that is not known, where it was asked for."""
    for result in record.results:
        name = result.variant.name
        if result.sustained is not None:
            yield text(f"{name}: {sustained_load.sentence(result.sustained)}.")
        elif record.settings.sustain_s is not None:
            yield text(f"{name}: not sustained: {pairs.why_missing(result, 'sustained')}.", style="yellow")
