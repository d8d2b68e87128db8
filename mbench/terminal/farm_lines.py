"""A farm in a few lines: who measured what, how far the devices lie apart, who was set aside. Renderables only."""

from __future__ import annotations

from collections.abc import Iterator

from rich.text import Text

from mbench.analysis import farm_words
from mbench.core.records import Record
from mbench.terminal.table import text


def of_record(record: Record) -> Iterator[Text]:
    """Yield what is to be known of a record's farm; nothing where it is of one device."""
    if record.farm is None:
        return
    if said := farm_words.shares(record):
        yield text(f"{said}.")
    for spread in farm_words.spreads(record.farm):
        yield text(f"{spread} (reference {record.farm.reference}).")
    for trouble in farm_words.troubles(record.farm):
        yield text(f"{trouble}.", style="yellow")
