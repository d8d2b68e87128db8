from __future__ import annotations

import csv
import io

import msgspec
import sweep_factory

from mbench.core.sweep_records import SweepRecord
from mbench.page import sweep_view

LINKS = {sweep_factory.FILE: "record.html"}
replace = msgspec.structs.replace


def view(record: SweepRecord | None = None) -> sweep_view.SweepView:
    return sweep_view.of_record(record or sweep_factory.record(), LINKS)


def test_the_question_names_what_was_asked_and_the_headline_answers() -> None:
    found = view()
    assert found.question == (
        "Which family wins where, of 12 networks in float32 and int8 on x86_64_v3 and arm64_cortex_a72?"
    )
    assert found.headline == (
        "At the highest accuracies MobileNetV2 is fastest, at the lowest MobileNetV1, in all 4 combinations of place "
        "and type."
    )
    assert [each.title for each in found.facets] == [
        "x86_64_v3, local, float32", "x86_64_v3, local, int8", "arm64_cortex_a72, emulated, float32",
        "arm64_cortex_a72, emulated, int8",
    ]  # fmt: skip


def test_a_row_has_a_text_for_each_head_and_leads_to_its_record() -> None:
    found = view()
    for row in found.rows:
        assert len(row.texts) == len(row.keys) == len(sweep_view.HEADS)
    first = found.rows[0]
    assert first.link == f"./record.html#network={first.cell.network.name}"
    by_head = dict(zip(sweep_view.HEADS, first.texts, strict=True))
    assert by_head["latency is"] == "measured"
    assert by_head["memory"] == "3.00 MB"
    assert by_head["top-1"].endswith(" %")
    assert dict(zip(sweep_view.HEADS, first.keys, strict=True))["memory"] == 3_000_000


def test_what_failed_leads_nowhere_and_says_why() -> None:
    first, *others = sweep_factory.grid()
    found = view(sweep_factory.record([sweep_factory.failed(first), *others]))
    assert found.rows[0].link is None
    assert "failed: out of memory" in found.rows[0].texts
    assert found.causes == (("compiling: out of memory", (first.network.name,)),)
    assert (found.facets[0].failed, found.facets[0].done) == (1, 11)


def test_accuracies_between_and_of_other_types_are_marked() -> None:
    cell = sweep_factory.cell(sweep_factory.network("mobilenet_v2", dtype="int8"), top1=70.0)
    assert sweep_view.top1(cell) == "70.0 %"
    assert sweep_view.top1(replace(cell, accuracy=replace(cell.accuracy, kind="interpolated"))) == "~70.0 %"
    assert sweep_view.top1(replace(cell, accuracy_dtype="float32")) == "70.0 % (float32)"


def test_disturbed_latencies_are_marked() -> None:
    cell = sweep_factory.cell(sweep_factory.network("mobilenet_v2"))
    assert cell.figures is not None
    busy = replace(cell, figures=replace(cell.figures, disturbed=("others were busy",)))
    assert "measured, disturbed" in view(sweep_factory.record([busy])).rows[0].texts


def test_threads_and_batches_are_named_where_places_differ_by_them() -> None:
    two = replace(sweep_factory.LOCAL, threads=2)
    cells = sweep_factory.grid(places=[sweep_factory.LOCAL, two, replace(two, batch=8)], dtypes=["float32"])
    assert [each.place for each in view(sweep_factory.record(cells)).facets] == [
        "x86_64_v3, local, 1 thread", "x86_64_v3, local, 2 threads", "x86_64_v3, local, 2 threads, batch 8",
    ]  # fmt: skip


def test_the_table_for_download_has_every_cell_in_si_units() -> None:
    first, *others = sweep_factory.grid()
    record = sweep_factory.record([sweep_factory.failed(first), *others])
    rows = list(csv.DictReader(io.StringIO(sweep_view.table(record))))
    assert len(rows) == 48
    assert (rows[0]["state"], rows[0]["latency_s"], rows[0]["reason"]) == ("failed", "", "out of memory")
    figures = others[0].figures
    assert figures is not None
    assert figures.latency_s is not None
    assert float(rows[1]["latency_s"]) == figures.latency_s.value
    assert {row["record"] for row in rows} == {sweep_factory.FILE}
