from __future__ import annotations

import math
from typing import Any

import fit_factory
import msgspec
from checked_figures import checked

from mbench.core.fit_records import DeviceLimits, FitRecord
from mbench.page import figures_fit, fit_view
from mbench.page.fit_view import CandidateRow


def rows(found: FitRecord | None = None) -> tuple[CandidateRow, ...]:
    return fit_view.of_record(found or fit_factory.record()).rows


def drawn(shown: tuple[CandidateRow, ...], quantity: str = "latency", **how: Any) -> Any:
    given = {"limit": 0.002, "least": None, "answers": [3, 5], **how}
    return checked(figures_fit.trade_off(shown, quantity, **given))


def named(figure: Any, begins: str) -> Any:
    return next(each for each in figure.data if each.name and each.name.startswith(begins))


def test_every_candidate_is_a_point_of_its_family_and_type() -> None:
    both = [*fit_factory.grid(), *fit_factory.grid("mobilenet_v1", dtype="int8", scale=0.5)]
    figure = drawn(rows(fit_factory.record(both)))
    points = [each for each in figure.data if each.customdata is not None]
    assert [each.name for each in points] == ["MobileNetV1, int8", "MobileNetV2, float32"]
    assert sorted(number for each in points for number in each.customdata) == list(range(40))
    assert points[0].marker.symbol.endswith("-open")
    assert not points[1].marker.symbol.endswith("-open")
    assert points[0].marker.symbol.removesuffix("-open") != points[1].marker.symbol
    assert points[0].marker.color != points[1].marker.color


def test_published_and_interpolated_points_differ_in_size_and_the_legend_says_so() -> None:
    shown = rows()
    [points] = [each for each in drawn(shown).data if each.customdata is not None]
    sizes = {shown[number].published: size for number, size in zip(points.customdata, points.marker.size, strict=True)}
    assert sizes[True] > sizes[False]
    assert named(drawn(shown), "large: published").marker.size == sizes[True]
    assert named(drawn(shown), "small: between").marker.size == sizes[False]


def test_measured_points_have_a_ring_and_predicted_ones_a_bar() -> None:
    shown = rows()
    figure = drawn(shown)
    measured = [row for row in shown if row.known == "measured"]
    ring = named(figure, "ring: measured")
    assert sorted(ring.y) == sorted(row.top1 or 0.0 for row in measured)
    [points] = [each for each in figure.data if each.customdata is not None]
    for number, reach in zip(points.customdata, points.error_x.array, strict=True):
        assert (reach > 0) == (shown[number].known == "predicted")
    assert named(figure, "bar: interval") is not None


def test_the_front_and_the_limits_are_drawn() -> None:
    figure = drawn(rows(), least=60.0)
    front = named(figure, "Pareto front")
    assert list(front.x) == sorted(front.x)
    assert list(front.y) == sorted(front.y)
    lines = {(shape.xref, shape.yref): (shape.x0, shape.y0) for shape in figure.layout.shapes}
    assert lines["x", "y domain"][0] == 0.002
    assert lines["x domain", "y"][1] == 60.0
    assert [each.text for each in figure.layout.annotations] == ["at most 2.00 ms", "at least 60.0 %"]


def test_costs_that_differ_much_are_on_a_logarithmic_axis() -> None:
    wide = fit_factory.grid(widths=(0.1, 4.0), resolutions=(64, 512))
    figure = drawn(rows(fit_factory.record(wide)))
    assert figure.layout.xaxis.type == "log"
    assert figure.layout.annotations[0].x == math.log10(0.002)
    assert figure.layout.shapes[0].x0 == 0.002  # plotly takes the logarithm of a line's end itself


def test_a_limit_far_from_all_candidates_leaves_them_room() -> None:
    figure = drawn(rows(), limit=10.0)
    assert figure.layout.xaxis.range[1] < 0.01
    assert not figure.layout.shapes


def test_without_an_accuracy_there_is_no_figure() -> None:
    unknown = [
        fit_factory.candidate(fit_factory.network("mobilenet_v2", 1.0, 224), latency_s=0.001, top1=None, measured=True)
    ]
    assert (
        figures_fit.trade_off(rows(fit_factory.record(unknown)), "latency", limit=None, least=None, answers=()) is None
    )


def test_forty_families_look_different() -> None:
    looks = {figures_fit._look(number) for number in range(42)}
    assert len(looks) == 42


def test_a_grid_shows_each_size_at_its_place() -> None:
    shown = rows()
    [(name, members)] = figures_fit.grids(shown).items()
    assert name == "MobileNetV2, float32"
    figure = checked(figures_fit.heat_map(members, figures_fit.cell_of("latency")))
    [cells] = figure.data
    assert list(cells.x) == [str(each) for each in fit_factory.RESOLUTIONS]
    assert list(cells.y) == ["0.35", "0.5", "0.75", "1"]
    for width, line, texts in zip(fit_factory.WIDTHS, cells.customdata, cells.text, strict=True):
        for resolution, number, text in zip(fit_factory.RESOLUTIONS, line, texts, strict=True):
            assert figures_fit.size_of(shown[number]) == (width, resolution)
            assert ("\u2713" in text) == (shown[number].verdict == "fits")
            assert ("~" in text) == (shown[number].known == "predicted")


def test_accuracies_can_be_shown_instead() -> None:
    figure = checked(figures_fit.heat_map(rows(), figures_fit.cell_of("accuracy")))
    assert max(max(line) for line in figure.data[0].z) == max(row.top1 or 0 for row in rows())


def test_a_single_size_is_no_grid_and_strange_sizes_are_none() -> None:
    found = fit_factory.record(fit_factory.grid(widths=(1.0,)))
    assert figures_fit.grids(rows(found)) == {}
    first = found.candidates[0]
    odd = msgspec.structs.replace(first.network, parameters={"width_multiplier": "wide", "resolution": 224})
    spoiled = msgspec.structs.replace(found, candidates=(msgspec.structs.replace(first, network=odd),), answers=())
    assert figures_fit.size_of(rows(spoiled)[0]) is None


def test_a_grid_without_figures_is_none() -> None:
    unknown = [msgspec.structs.replace(each, latency_s=None) for each in fit_factory.grid()]
    shown = rows(fit_factory.record(unknown, limits=DeviceLimits(memory_bytes=1e9)))
    assert figures_fit.heat_map(shown, figures_fit.cell_of("latency")) is None
