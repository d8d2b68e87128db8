"""Figures of many networks: whiskers, named lines, grids, and outliers that do not flatten the rest."""

from __future__ import annotations

from collections.abc import Sequence

import checked_figures
import pytest
import record_factory as factory

from mbench.analysis import record_history
from mbench.core.records import Record
from mbench.page import figure_data, figures_networks, views
from mbench.page.figures_history import COSTS

GRID = tuple(f"mobilenet_v1_{width}_{side}" for width in ("0.25", "0.5") for side in (128, 160))


def of(*names: str, disturbed: Sequence[int] = (), only: Sequence[str] = ()) -> Record:
    """Return a record of networks in sessions."""
    return factory.in_sessions(factory.record(names, repeat=20, layer_repeat=3), disturbed=disturbed, only=only)


def test_each_network_has_a_line_with_its_interval_the_least_first() -> None:
    table = record_history.latest(record_history.networks([of(*GRID)]))
    figure = figures_networks.costs(table, COSTS["latency"])
    assert figure is not None
    checked_figures.of_json(figure.to_json())
    [points] = figure.data
    assert points["x"] == sorted(table["latency_s"])
    assert all(reach > 0 for reach in points["error_x"]["array"])
    assert figure.layout["yaxis"]["ticktext"][0] == "MobileNetV1 0.25 128"
    assert figure.layout["xaxis"]["rangemode"] == "tozero"


def test_of_two_networks_a_table_says_more() -> None:
    table = record_history.latest(record_history.networks([of(*GRID[:2])]))
    assert figures_networks.costs(table, COSTS["latency"]) is None


def test_many_networks_are_points_by_rank() -> None:
    table = record_history.latest(record_history.networks([of(*GRID)]))
    many = table.loc[table.index.repeat(20)].reset_index(drop=True)
    figure = figures_networks.costs(many, COSTS["latency"])
    assert figure is not None
    assert figure.layout["height"] < 500
    assert figure.data[0]["x"] == list(range(1, 81))
    assert "error_y" in figure.data[0]


def test_an_outlier_makes_the_scale_logarithmic() -> None:
    table = record_history.latest(record_history.networks([of(*GRID)]))
    table.loc[0, "latency_s"] = 50 * table["latency_s"].max()
    figure = figures_networks.costs(table, COSTS["latency"])
    assert figure is not None
    assert figure.layout["xaxis"]["type"] == "log"


def test_widths_by_resolutions_are_cells() -> None:
    table = record_history.latest(record_history.networks([of(*GRID)]))
    [(name, figure)] = figures_networks.grids(table, COSTS["macs"])
    checked_figures.of_json(figure.to_json())
    assert name == "MobileNetV1"
    cells = figure.data[0]
    assert (cells["x"], cells["y"]) == (["128", "160"], ["0.25", "0.5"])
    assert cells["text"][0][0] == "13.6 M"  # published for 0.25 128
    assert list(figures_networks.grids(table[:2], COSTS["macs"])) == []


@pytest.mark.parametrize("disturbed", [(), range(5)])
def test_networks_beside_their_twins(disturbed: range | tuple[int, ...]) -> None:
    pairs = [name for each in GRID[:2] for name in (each, f"{each}_standard")]
    view = views.of_record(of(*pairs, disturbed=disturbed, only=GRID[:1] if disturbed else ()))
    table = figure_data.of_twins([view])
    assert len(table) == (1 if disturbed else 2)
    figure = figures_networks.gains(table, "predicted by the multiply-adds")
    if disturbed:
        assert figure is None
        return
    assert figure is not None
    checked_figures.of_json(figure.to_json())
    predicted, achieved = figure.data
    assert achieved["x"] == sorted(pair.pair.achieved or 0 for pair in view.pairs)
    assert set(predicted["x"]) == {pair.pair.predicted for pair in view.pairs}
    assert all(reach > 0 for reach in achieved["error_x"]["array"])
