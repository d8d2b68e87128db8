from __future__ import annotations

import io

import msgspec
import sweep_factory
from rich.console import Console

from mbench.core import units
from mbench.core.sweep_records import SweepRecord
from mbench.terminal import sweep_tables


def shown(record: SweepRecord) -> str:
    out = Console(file=io.StringIO(), width=80)
    for part in sweep_tables.listing(record).parts:
        out.print(part)
    assert isinstance(out.file, io.StringIO)
    return out.file.getvalue()


def test_each_place_and_type_is_a_row_in_80_columns() -> None:
    text = shown(sweep_factory.record())
    assert max(map(len, text.splitlines())) <= 80
    rows = [line.split() for line in text.splitlines() if line.startswith(("x86_64_v3 ", "arm64_cortex_a72 "))]
    assert rows == [
        ["x86_64_v3", "local", "float32", "1", "12", "0", "0"],
        ["x86_64_v3", "local", "int8", "1", "12", "0", "0"],
        ["arm64_cortex_a72", "emulated", "float32", "1", "12", "0", "0"],
        ["arm64_cortex_a72", "emulated", "int8", "1", "12", "0", "0"],
    ]


def test_what_is_the_same_of_several_places_is_said_once() -> None:
    cells = [sweep_factory.cell(each.network, each.place, top1=None) for each in sweep_factory.record().cells]
    text = " ".join(shown(sweep_factory.record(cells)).split())
    assert text.count("No accuracy is published") == 1
    assert "int8; arm64_cortex_a72, emulated, 1 thread, float32 and 1 more: No accuracy" in text


def test_batches_and_unknown_times_are_shown() -> None:
    place = msgspec.structs.replace(sweep_factory.LOCAL, batch=8)
    cells = [sweep_factory.still_open(each) for each in sweep_factory.grid(places=[place])]
    found = msgspec.structs.replace(sweep_factory.record(cells), files=())
    text = shown(found)
    assert "float32, batch 8" in text
    assert text.splitlines()[0] == "sweep families: 0 of 24 cells are done, 24 open"
    assert units.NOT_AVAILABLE in text
