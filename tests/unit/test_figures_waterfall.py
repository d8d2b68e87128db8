from __future__ import annotations

import pytest
import record_factory as factory
from checked_figures import checked

from mbench.analysis import pairs, waterfall
from mbench.core import units
from mbench.page import figure_data, figures_waterfall


def test_instructions_predicted_beside_executed() -> None:
    [pair] = pairs.of_record(factory.emulated())
    table = figure_data.of_blocks(pair)
    figure = checked(figures_waterfall.block_instructions(table))
    executed, predicted = figure.data
    assert list(predicted.y) == list(table["predicted"])
    assert list(executed.y) == list(table["fewer"])
    assert "speed" not in figure.to_json()
    assert "latency" not in figure.to_json()
    assert figures_waterfall.block_speedup(table) is None


def test_predicted_beside_achieved() -> None:
    [pair] = pairs.of_record(factory.record())
    table = figure_data.of_blocks(pair)
    figure = checked(figures_waterfall.block_speedup(table))
    achieved, predicted = figure.data
    assert list(predicted.y) == list(table["predicted"])
    assert list(achieved.y) == list(table["achieved"])
    assert list(predicted.x) == list(achieved.x) == [f"block{number}" for number in range(1, 14)]


def test_a_block_not_measured_has_no_bar() -> None:
    [pair] = pairs.of_record(factory.record())
    table = figure_data.of_blocks(pair)
    table.loc[0, "achieved"] = None
    figure = checked(figures_waterfall.block_speedup(table))
    assert figure.data[0].y[0] is None
    assert figure.data[1].y[0] is not None


def test_the_waterfall_goes_from_total_to_total() -> None:
    record = factory.record()
    [pair] = pairs.of_record(record)
    way = waterfall.of_pair(pair, record)
    assert isinstance(way, waterfall.Waterfall)
    table = figure_data.of_waterfall(way)
    figure = checked(figures_waterfall.waterfall(table))
    [trace] = figure.data
    assert list(trace.measure) == ["absolute", *["relative"] * (len(table) - 2), "absolute"]
    assert sum(trace.x[:-1]) == pytest.approx(trace.x[-1])
    assert trace.text[0] == units.ratio(pair.predicted)
    assert figure.layout.xaxis.range[1] > max(trace.x)
    assert figures_waterfall.waterfall(table[:0]) is None


def test_no_counts_no_figure_of_instructions() -> None:
    [pair] = pairs.of_record(factory.record())
    assert figures_waterfall.block_instructions(figure_data.of_blocks(pair)) is None
