from __future__ import annotations

from collections.abc import Callable
from typing import Any

import factory
import pandas as pd
import pytest

from mbench import figures, frame, pairs, units


def layers(**options: bool) -> pd.DataFrame:
    table = frame.from_records([factory.record(factory.PAIR[:1], **options)])  # type: ignore[arg-type]
    return table[table["scope"] == "layer"]


def test_a_bar_for_each_layer_by_op() -> None:
    table = layers()
    figure = figures.layer_latency(table)
    assert figure is not None
    heights = {x: y for bar in figure.data for x, y in zip(bar.x, bar.y, strict=True)}
    assert list(figure.layout.xaxis.categoryarray) == [f"{i}: {n}" for i, n in enumerate(table["layer"])]
    assert list(figure.layout.xaxis.ticktext) == list(table["layer"])
    assert heights == {f"{i}: {n}": s for i, n, s in zip(range(29), table["layer"], table["latency_s"], strict=True)}
    assert {bar.name for bar in figure.data} == {figures.OP_LABELS[op] for op in table["op"]}
    assert len({bar.marker.color for bar in figure.data}) == len(figure.data)


def test_whiskers_end_at_the_percentiles() -> None:
    table = layers()
    figure = figures.layer_latency(table[table["op"] == "dense"])
    assert figure is not None
    [bar], row = figure.data, table[table["op"] == "dense"].iloc[0]
    assert bar.y[0] + bar.error_y.array[0] == pytest.approx(row["latency_p90_s"])
    assert bar.y[0] - bar.error_y.arrayminus[0] == pytest.approx(row["latency_p10_s"])
    assert units.seconds(row["latency_s"]) in bar.hovertext[0]


def test_a_layer_without_latency_is_a_gap_not_a_zero() -> None:
    table = layers()
    table.loc[table["layer"] == "pool", "latency_s"] = None
    figure = figures.layer_latency(table)
    assert figure is not None
    assert not any("pool" in x for bar in figure.data for x in bar.x)
    assert "27: pool" in figure.layout.xaxis.categoryarray


def test_no_latency_no_figure() -> None:
    assert figures.layer_latency(layers(latency=False)) is None
    [pair] = pairs.of_record(factory.record(latency=False))
    assert figures.block_speedup(frame.of_blocks(pair)) is None


def test_instructions_over_depth() -> None:
    table = frame.from_records([factory.emulated(factory.PAIR[:1])])
    table = table[table["scope"] == "layer"]
    figure = figures.layer_instructions(table)
    assert figure is not None
    heights = {x: y for bar in figure.data for x, y in zip(bar.x, bar.y, strict=True)}
    assert heights == {f"{i}: {n}": c for i, n, c in zip(range(29), table["layer"], table["instructions"], strict=True)}
    assert all(bar.error_y.array is None for bar in figure.data)
    assert figure.layout.yaxis.title.text == "instructions"
    assert not figure.layout.yaxis.ticksuffix
    hover = next(text for bar in figure.data for text in bar.hovertext if "block3.pw" in text)
    assert f"{int(heights['6: block3.pw']):,} instructions" in hover


def test_no_counts_no_figure_of_instructions() -> None:
    assert figures.layer_instructions(layers()) is None
    [pair] = pairs.of_record(factory.record())
    assert figures.block_instructions(frame.of_blocks(pair)) is None


def test_instructions_promised_beside_executed() -> None:
    [pair] = pairs.of_record(factory.emulated())
    table = frame.of_blocks(pair)
    figure = figures.block_instructions(table)
    assert figure is not None
    promised, executed = figure.data
    assert list(promised.y) == list(table["promised"])
    assert list(executed.y) == list(table["fewer"])
    assert "speed" not in figure.to_json()
    assert "latency" not in figure.to_json()
    assert figures.block_speedup(table) is None


def test_promised_beside_achieved() -> None:
    [pair] = pairs.of_record(factory.record())
    table = frame.of_blocks(pair)
    figure = figures.block_speedup(table)
    assert figure is not None
    promised, achieved = figure.data
    assert list(promised.y) == list(table["promised"])
    assert list(achieved.y) == list(table["achieved"])
    assert list(promised.x) == list(achieved.x) == [f"block{number}" for number in range(1, 14)]


def test_a_block_not_measured_has_no_bar() -> None:
    [pair] = pairs.of_record(factory.record())
    table = frame.of_blocks(pair)
    table.loc[0, "achieved"] = None
    figure = figures.block_speedup(table)
    assert figure is not None
    assert figure.data[1].y[0] is None
    assert figure.data[0].y[0] is not None


@pytest.mark.parametrize("draw", [figures.layer_latency, figures.layer_instructions])
def test_names_are_text_not_markup(draw: Callable[[pd.DataFrame], Any]) -> None:
    table = frame.from_records([factory.counted(factory.record(factory.PAIR[:1]))])
    table = table[table["scope"] == "layer"]
    table.loc[table["layer_index"] == 0, "layer"] = "<b>x</b>&lt;"
    figure = draw(table)
    assert figure is not None
    texts = [figure.layout.xaxis.ticktext[0], figure.data[0].x[0], figure.data[0].hovertext[0]]
    assert all("&lt;b&gt;x&lt;/b&gt;&amp;lt;" in text and "<b>" not in text for text in texts)


def test_no_theme_of_its_own() -> None:
    figure = figures.layer_latency(layers())
    assert figure is not None
    assert figure.layout.paper_bgcolor == figure.layout.plot_bgcolor == "rgba(0,0,0,0)"
    assert figure.layout.font.color is None
    assert not figure.layout.template.layout.to_plotly_json()
