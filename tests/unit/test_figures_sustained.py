"""The figure of a network under load, and the table that stands for it."""

from __future__ import annotations

import itertools
from html.parser import HTMLParser
from typing import Any

import pandas as pd
import pytest
import record_factory as factory
from checked_figures import checked
from sustained_factory import hot, sustained, throttling, with_sustained

from mbench.core.sustained import Sustained
from mbench.page import charts, figures_sustained, report, views


def drawn(curve: Sustained) -> dict[str, Any]:
    figure = checked(figures_sustained.latency_over_time(figures_sustained.points(curve), curve.steady))
    found: dict[str, Any] = figure.to_dict()
    return found


def traces(curve: Sustained) -> dict[str, dict[str, Any]]:
    return {trace["name"].partition(":")[0]: trace for trace in drawn(curve)["data"]}


def test_latency_over_time_with_its_band() -> None:
    curve = sustained()
    found = traces(curve)
    assert list(found["median"]["x"]) == [point.at_s for point in curve.points]
    assert list(found["median"]["y"]) == [point.median_s for point in curve.points]
    band = list(found["between the quartiles"]["y"])
    assert band[: len(curve.points)] == [point.p75_s for point in curve.points]
    assert band[len(curve.points) :] == [point.p25_s for point in curve.points][::-1]


def test_the_steady_state_is_drawn_from_where_it_begins() -> None:
    curve = sustained()
    assert curve.steady is not None
    steady = traces(curve)["steady state"]
    assert (steady["x"], steady["y"]) == (
        [curve.steady.from_s, curve.points[-1].at_s], [curve.steady.latency_s] * 2
    )  # fmt: skip
    never = sustained(lambda now_s: 5e-3 * (1 + now_s / 60))
    assert "steady state" not in traces(never)


def test_clock_and_temperature_lie_beneath_where_they_are_known() -> None:
    curve = sustained()
    found, layout = traces(curve), drawn(curve)["layout"]
    assert list(found["clock"]["y"]) == [point.frequency_hz for point in curve.points]
    assert list(found["temperature"]["y"])[-1] == pytest.approx(81.0)
    domains = [layout[name]["domain"] for name in ("yaxis", "yaxis2", "yaxis3")]
    assert all(low < high for low, high in domains)
    assert all(upper[0] >= lower[1] for upper, lower in itertools.pairwise(domains))
    assert domains[-1][0] == pytest.approx(0.0)
    alone = drawn(sustained(sensed=lambda share: {"temperature_c": 48.0 + 33 * share}))["layout"]
    assert "yaxis2" in alone
    assert "yaxis3" not in alone
    assert alone["height"] < layout["height"]


def test_a_sensor_that_fails_now_and_then_leaves_gaps() -> None:
    curve = sustained(sensed=lambda share: {"temperature_c": None} if 0.4 < share < 0.6 else hot(share))
    values = list(traces(curve)["temperature"]["y"])
    assert values.count(None) == sum(point.temperature_c is None for point in curve.points) > 0


def test_without_points_there_is_no_figure() -> None:
    empty = figures_sustained.points(sustained())[:0]
    assert isinstance(empty, pd.DataFrame)
    assert figures_sustained.latency_over_time(empty, None) is None


def test_the_table_has_a_few_points_the_last_among_them() -> None:
    curve = sustained()
    shown = figures_sustained.thinned(curve)
    assert len(shown) == figures_sustained.SHOWN
    assert shown[-1] == curve.points[-1]
    assert [point.at_s for point in shown] == pytest.approx([5.0 * at for at in range(1, 13)])
    few = sustained(count=3)
    assert figures_sustained.thinned(few) == few.points


# ---------------------------------------------------------------------------------------------------------- on the page
class _Said(HTMLParser):
    """What a page says, without scripts and styles, and the labels of its figures."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.parts: list[str] = []
        self.labels: list[str] = []
        self._hidden = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._hidden = tag in ("script", "style")
        self.labels += [value or "" for name, value in attrs if name == "aria-label"]

    def handle_endtag(self, tag: str) -> None:
        self._hidden = self._hidden and tag not in ("script", "style")

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.parts.append(data)

    @property
    def text(self) -> str:
        return " ".join("".join(self.parts).split())


def test_the_page_has_the_curve_its_sentence_and_its_table() -> None:
    record = with_sustained(factory.record(), sustained(noise=0.0), None)
    page = report.render([record], plotlyjs="directory")
    found = _Said(page)
    said = found.text
    assert "5.90 ms at first, steady at 7.10 ms from 22 s on (+20 %), 2.40 → 1.80 GHz, 48 → 81 °C" in said
    assert "the steady state is +21.0 %" in said  # 7.1 over the 5.87 ms of the sessions
    assert "Not put under load: it died." in said
    assert "MSER-5 (White 1997)" in said
    assert said.count("81 °C") >= 2  # in the table too
    [label] = [label for label in found.labels if label.startswith("Latency under load")]
    assert "the table shows the same" in label


def test_a_page_of_a_run_that_nobody_put_under_load_says_nothing_of_it() -> None:
    assert "Under load" not in _Said(report.render([factory.record()], plotlyjs="directory")).text


def test_on_a_gpu_what_held_its_clocks_back_is_shown() -> None:
    slowed = sustained(sensed=lambda share: {**hot(share), "slowed_by": ("power cap",) if share > 0.3 else ()})
    record = with_sustained(factory.on_gpu(factory.record(factory.PAIR[:1])), slowed)
    said = _Said(report.render([record], plotlyjs="directory")).text
    assert "clocks held back by power cap" in said
    assert "nothing" in said


def test_a_network_without_a_curve_has_a_chart_that_says_why() -> None:
    record = with_sustained(factory.record(), sustained(throttling(), count=60), None)
    first, second = charts.of_record("a", views.of_record(record)).sustained
    assert [option.anchor for option in first.options] == ["a-sustained1-data1"]
    assert (second.options, second.reason) == ((), "it died")
