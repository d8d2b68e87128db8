from __future__ import annotations

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


def test_names_are_text_not_markup() -> None:
    table = layers()
    table.loc[table["layer_index"] == 0, "layer"] = "<b>x</b>&lt;"
    figure = figures.layer_latency(table)
    assert figure is not None
    texts = [figure.layout.xaxis.ticktext[0], figure.data[0].x[0], figure.data[0].hovertext[0]]
    assert all("&lt;b&gt;x&lt;/b&gt;&amp;lt;" in text and "<b>" not in text for text in texts)


def test_no_theme_of_its_own() -> None:
    figure = figures.layer_latency(layers())
    assert figure is not None
    assert figure.layout.paper_bgcolor == figure.layout.plot_bgcolor == "rgba(0,0,0,0)"
    assert figure.layout.font.color is None
    assert not figure.layout.template.layout.to_plotly_json()
