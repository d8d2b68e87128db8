"""The charts of the page: which figures a record has, and why it lacks one."""

from __future__ import annotations

import json
import string

import checked_figures
import pytest
import record_factory as factory
from sustained_factory import sustained, with_sustained

from mbench.analysis import record_history, versus
from mbench.core.records import Record
from mbench.page import charts, views


def of(record: Record) -> charts.RecordCharts:
    return charts.of_record("a", views.of_record(record))


@pytest.mark.parametrize("text", ['{"a": "</script><!--"}', '{"a": "&lt;"}', '["\u2028\u2029"]'])
def test_json_cannot_end_the_script_around_it_and_says_the_same(text: str) -> None:
    safe = str(charts.safe_json(text))
    assert not set(safe) - set(string.printable)
    assert not set(safe) & set("<>&")
    assert json.loads(safe) == json.loads(text)


def test_a_network_has_a_chart_of_its_depth_and_its_samples() -> None:
    found = of(factory.record())
    assert [chart.anchor for chart in (*found.depths, *found.samples)] == [
        "a-depth1", "a-depth2", "a-samples1", "a-samples2",
    ]  # fmt: skip
    assert [chart.reason for pair in found.pairs for chart in (pair.blocks, pair.waterfall) if not chart.options] == []
    drawn = json.loads(str(found.depths[0].options[0].data))
    assert sum(len(bars["x"]) for bars in drawn["data"]) == len(factory.record().results[0].layers)


@pytest.mark.parametrize(
    "record",
    [
        factory.record(),
        factory.emulated(),
        with_sustained(factory.in_sessions(factory.on_gpu(factory.record()), disturbed=(1,)), sustained(), None),
    ],
    ids=["timed", "emulated", "under load"],
)
def test_plotly_knows_every_key_and_takes_every_value(record: Record) -> None:
    groups = (of(record), charts.of_networks(record_history.networks([record, factory.again(record, "b", 2.0)])))
    drawn = [checked_figures.of_json(str(option.data)) for option in charts._charts(groups)]
    assert len(drawn) > 10
    assert all(figure.data for figure in drawn)


def test_without_latency_charts_say_why() -> None:
    found = of(factory.record(latency=False))
    for chart in (*found.rooflines, *found.samples, *(pair.blocks for pair in found.pairs)):
        assert (chart.options, chart.reason) == ((), factory.NO_LATENCY)
    assert {chart.lacks for chart in found.depths} == {"latency"}
    assert {chart.lacks for chart in of(factory.emulated()).depths} == {""}


def test_there_is_something_to_draw_or_nothing() -> None:
    assert charts.anything(of(factory.record()))
    assert not charts.anything(of(factory.record(names=())))


def test_networks_and_two_records_have_theirs() -> None:
    records = [factory.record(run_id="a"), factory.again(factory.record(), "b", 2.0)]
    overview = charts.of_networks(record_history.networks(records))
    assert charts.anything(overview.history)
    found = versus.of_records(tuple(records))
    assert isinstance(found, versus.Versus)
    assert charts.of_versus(found).options[0].label == "networks"


def test_what_follows_from_a_disturbed_latency_is_not_drawn() -> None:
    found = of(factory.in_sessions(factory.record(), disturbed=range(5), only=factory.PAIR[1:]))
    [pair] = found.pairs
    why = f"disturbed: {factory.BUSY}"
    for chart in (pair.blocks, pair.waterfall):
        assert (chart.options, chart.reason) == ((), why)
    quiet, disturbed = found.rooflines
    assert [option.label for option in quiet.options] == ["MobileNetV1 1.0 224"]
    assert (disturbed.options, disturbed.reason) == ((), why)


def test_what_is_drawn_of_a_disturbed_network_says_so() -> None:
    found = of(factory.in_sessions(factory.record(), disturbed=range(5), only=factory.PAIR[1:]))
    quiet, disturbed = ([option.label for option in chart.options] for chart in found.depths)
    assert quiet == ["latency", "multiply-adds", "memory", "energy (modelled)"]
    assert disturbed == ["latency, disturbed", "multiply-adds", "memory"]  # its energy has static power in it
    drawn = json.loads(str(found.depths[1].options[0].data))
    assert drawn["layout"]["yaxis"]["title"]["text"] == "median latency, disturbed"
    assert [chart.title.endswith(", disturbed") for chart in (*found.depths, *found.samples)] == [False, True] * 2


def test_where_all_are_disturbed_there_is_no_roofline() -> None:
    found = of(factory.in_sessions(factory.record(), disturbed=range(5)))
    assert {(chart.options, chart.reason) for chart in found.rooflines} == {((), f"disturbed: {factory.BUSY}")}
