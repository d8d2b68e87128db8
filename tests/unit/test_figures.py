from __future__ import annotations

from typing import Any

import msgspec
import pandas as pd
import pytest
import record_factory as factory
from checked_figures import checked

from mbench.analysis import frame, labels, pairs
from mbench.core import records, units
from mbench.page import figure_data, figures, figures_waterfall
from mbench.page.figures import METRICS


def layers(record: records.Record | None = None, **options: bool) -> pd.DataFrame:
    record = record or factory.record(factory.PAIR[:1], **options)  # type: ignore[arg-type]
    return figure_data.of_layers(frame.from_records([record]), record.results[0])


def drawn(table: pd.DataFrame, metric: str = "latency") -> Any:
    return checked(figures.over_depth(table, METRICS[metric]))


def heights(figure: Any) -> dict[str, float]:
    return {x: y for bar in figure.data for x, y in zip(bar.x, bar.y, strict=True)}


def test_a_bar_for_each_layer_by_op() -> None:
    table = layers()
    figure = drawn(table)
    assert list(figure.layout.xaxis.categoryarray) == [f"{i}: {n}" for i, n in enumerate(table["layer"])]
    assert list(figure.layout.xaxis.ticktext) == list(table["layer"])
    expected = {f"{i}: {n}": s for i, n, s in zip(range(29), table["layer"], table["latency_s"], strict=True)}
    assert heights(figure) == expected
    assert {bar.name for bar in figure.data} == {labels.OPS[op] for op in table["op"]}
    assert len({bar.marker.color for bar in figure.data}) == len(figure.data)


@pytest.mark.parametrize("metric", ["macs", "memory", "energy"])
def test_each_metric_is_the_records(metric: str) -> None:
    record = factory.record(factory.PAIR[:1])
    found = heights(drawn(layers(record), metric))
    for layer in record.results[0].layers:
        amount = {
            "macs": layer.macs,
            "memory": layer.weight_bytes + layer.activation_bytes + layer.workspace_bytes,
            "energy": layer.energy_j,
        }[metric]
        assert found[f"{layer.index}: {layer.name}"] == amount


def test_whiskers_end_at_the_percentiles() -> None:
    table = layers()
    figure = drawn(table[table["op"] == "dense"])
    [bar], row = figure.data, table[table["op"] == "dense"].iloc[0]
    assert bar.y[0] + bar.error_y.array[0] == pytest.approx(row["latency_p90_s"])
    assert bar.y[0] - bar.error_y.arrayminus[0] == pytest.approx(row["latency_p10_s"])
    assert units.seconds(row["latency_s"]) in bar.hovertext[0]
    assert drawn(table, "macs").data[0].error_y.array is None


def test_a_layer_without_latency_is_a_gap_not_a_zero() -> None:
    table = layers()
    table.loc[table["layer"] == "pool", "latency_s"] = None
    figure = drawn(table)
    assert not any("pool" in x for bar in figure.data for x in bar.x)
    assert "27: pool" in figure.layout.xaxis.categoryarray


def test_no_latency_no_figure() -> None:
    assert figures.over_depth(layers(latency=False), METRICS["latency"]) is None
    [pair] = pairs.of_record(factory.record(latency=False))
    assert figures_waterfall.block_speedup(figure_data.of_blocks(pair)) is None
    assert figures.samples(figure_data.of_samples(pair.separable)) is None


def test_instructions_over_depth() -> None:
    table = layers(factory.emulated(factory.PAIR[:1]))
    figure = drawn(table, "instructions")
    found = heights(figure)
    assert found == {f"{i}: {n}": c for i, n, c in zip(range(29), table["layer"], table["instructions"], strict=True)}
    assert all(bar.error_y.array is None for bar in figure.data)
    assert figure.layout.yaxis.title.text == "instructions"
    assert not figure.layout.yaxis.ticksuffix
    hover = next(text for bar in figure.data for text in bar.hovertext if "block3.pw" in text)
    assert f"{int(found['6: block3.pw']):,}" in hover


def test_no_counts_no_figure_of_instructions() -> None:
    assert figures.over_depth(layers(), METRICS["instructions"]) is None


def test_memory_bars_stack_to_what_is_alive_and_the_line_is_the_plan() -> None:
    [result] = factory.record(factory.PAIR[:1]).results
    figure = checked(figures.memory(figure_data.of_live(result)))
    bars = [trace for trace in figure.data if trace.type == "bar"]
    stacked = [sum(parts) for parts in zip(*(bar.y for bar in bars), strict=True)]
    assert stacked == [layer.activation_bytes for layer in result.layers]
    [line] = [trace for trace in figure.data if trace.type == "scatter"]
    assert set(line.y) == {result.memory.activation_peak_bytes}
    assert figures.memory(figure_data.of_live(msgspec.structs.replace(result, layers=()))) is None


def test_weights_stay_beneath_the_activations_of_every_layer() -> None:
    [result] = factory.record(factory.PAIR[:1]).results
    figure = checked(figures.memory(figure_data.of_live(result), weights=True))
    others, read, *alive = [trace for trace in figure.data if trace.type == "bar"]
    assert list(read.y) == [layer.weight_bytes for layer in result.layers]
    assert {a + b for a, b in zip(others.y, read.y, strict=True)} == {result.memory.weight_bytes}
    stacked = [sum(parts) for parts in zip(*(bar.y for bar in alive), strict=True)]
    assert stacked == [layer.activation_bytes for layer in result.layers]
    [line] = [trace for trace in figure.data if trace.type == "scatter"]
    assert set(line.y) == {result.memory.activation_peak_bytes + result.memory.weight_bytes}


def test_measured_energy_has_a_bar_of_its_own() -> None:
    [result] = factory.record(factory.PAIR[:1]).results
    metered = records.MeteredEnergy(energy_j=0.031, method="RAPL package", window_s=5.0, runs=400)
    result = msgspec.structs.replace(result, energy=msgspec.structs.replace(result.energy, measured=metered))
    figure = checked(figures.energy(figure_data.of_energy([result])))
    modelled, measured = figure.layout.yaxis.categoryarray[::-1]
    assert modelled.endswith("modelled")
    assert measured.endswith("measured")
    bars: dict[str, list[str]] = {}
    for trace in figure.data:
        for bar in trace.y:
            bars.setdefault(bar, []).append(trace.name)
    assert bars[measured] == ["all, by the meter"]
    assert bars[modelled] == list(result.energy.components_j)
    assert sum(x for trace in figure.data for x, y in zip(trace.x, trace.y, strict=True) if y == modelled) == (
        pytest.approx(result.energy.energy_j)
    )


def test_samples_in_order_and_each_layer_its_own() -> None:
    [result] = factory.record(factory.PAIR[:1]).results
    figure = checked(figures.samples(figure_data.of_samples(result)))
    traces = [trace for trace in figure.data if trace.meta == 3]
    assert [trace.type for trace in traces] == ["scatter", "histogram"]
    for trace in traces:
        assert list(trace.y) == pytest.approx(list(result.layers[3].latency_s or ()), rel=1e-3)
    assert list(traces[0].x) == list(range(1, 21))


@pytest.mark.parametrize("metric", METRICS)
def test_names_are_text_not_markup(metric: str) -> None:
    table = layers(factory.counted(factory.record(factory.PAIR[:1])))
    table.loc[table["layer_index"] == 0, "layer"] = "<b>x</b>&lt;"
    figure = drawn(table, metric)
    texts = [figure.layout.xaxis.ticktext[0], figure.data[0].x[0], figure.data[0].hovertext[0]]
    assert all("&lt;b&gt;x&lt;/b&gt;&amp;lt;" in text and "<b>" not in text for text in texts)


def test_no_theme_of_its_own() -> None:
    figure = drawn(layers())
    assert figure.layout.paper_bgcolor == figure.layout.plot_bgcolor == "rgba(0,0,0,0)"
    assert figure.layout.font.color is None
    drawn_as_it_is = figures.over_depth(layers(), METRICS["latency"])
    assert drawn_as_it_is is not None
    assert "template" not in drawn_as_it_is.layout
