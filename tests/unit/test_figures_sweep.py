from __future__ import annotations

import math

import msgspec
import pytest
import sweep_factory
from checked_figures import checked

from mbench.analysis import sweep_answers
from mbench.page import figures_sweep

CELLS = sweep_factory.grid(places=[sweep_factory.LOCAL], dtypes=["float32"])
NUMBERS = {id(each): number for number, each in enumerate(CELLS)}
LOOKS = figures_sweep.looks(map(sweep_answers.family, CELLS))


def test_every_cell_is_a_point_of_its_family_and_the_front_is_a_line() -> None:
    [facet] = sweep_answers.facets(sweep_factory.record(CELLS))
    figure = checked(figures_sweep.front(facet.ranked, facet.front, LOOKS, NUMBERS))
    line, *points = figure.data
    assert list(line.x) == sorted(line.x)
    assert [each.name for each in points] == ["MobileNetV1", "MobileNetV2"]
    assert sorted(number for each in points for number in each.customdata) == list(range(len(CELLS)))
    for each in points:
        for number, x, y, reach in zip(each.customdata, each.x, each.y, each.error_x.array, strict=True):
            assert x == pytest.approx(sweep_answers.latency_s(CELLS[number]), rel=1e-4)
            assert y == CELLS[number].accuracy.top1_percent
            assert reach == pytest.approx(0.02 * x, rel=1e-3)
    assert points[0].marker.symbol != points[1].marker.symbol
    assert points[0].marker.color != points[1].marker.color
    assert figure.layout.xaxis.type == "log"
    assert figures_sweep.front([], [], LOOKS, NUMBERS) is None


def test_colours_are_the_familys_own_at_every_place() -> None:
    later = [each for each in CELLS if sweep_answers.family(each) == "MobileNetV2"]
    [facet] = sweep_answers.facets(sweep_factory.record(later))
    figure = checked(figures_sweep.front(facet.ranked, facet.front, LOOKS, NUMBERS))
    assert figure.data[1].marker.color == LOOKS["MobileNetV2"][0]
    assert len(set(figures_sweep.looks(f"family {at}" for at in range(42)).values())) == 42


def test_a_heat_map_has_widths_by_resolutions_with_what_is_not_known_left_open() -> None:
    first, second, third, *others = [each for each in CELLS if sweep_answers.family(each) == "MobileNetV1"]
    marked = [sweep_factory.failed(second), sweep_factory.still_open(third)]
    cells = [first, *marked, *others]
    numbers = {id(each): number for number, each in enumerate(cells)}
    [trace] = checked(figures_sweep.heat_map(cells, numbers)).data
    assert (list(trace.x), list(trace.y)) == (["96", "128"], ["0.25", "0.5", "1"])
    assert trace.z[0][0] == pytest.approx(math.log10(sweep_answers.latency_s(first)), rel=1e-4)
    assert (trace.text[0][1], trace.text[1][0]) == ("failed", "open")
    assert trace.z[0][1] is None or math.isnan(trace.z[0][1])
    assert trace.customdata[2][1] == len(cells) - 1
    waiting = sweep_factory.still_open(first)
    assert figures_sweep.heat_map([waiting], {id(waiting): 0}) is None


def test_networks_without_sizes_are_no_grid() -> None:
    own = msgspec.structs.replace(
        CELLS[0], network=msgspec.structs.replace(CELLS[0].network, parameters={"producer": "torch"})
    )
    assert figures_sweep.size_of(own) is None
    assert not figures_sweep.is_grid([own, CELLS[0]])
    assert figures_sweep.is_grid(CELLS)
