"""Series and changes gathered for pages."""

from __future__ import annotations

import msgspec
import site_factory as factory

from mbench.history import site_view


def test_places_are_networks_on_targets_whatever_their_types() -> None:
    places = site_view.of_series(*factory.history())
    assert [(place.target, place.network) for place in places] == [
        (target, network) for target in ("arm64", "x86_64_v4") for network in sorted(factory.NETWORKS)
    ]
    [first, *_] = places
    assert len(first.rows) == 8
    assert {row.settings for row in first.rows} == {"float32, 1 thread", "int8, 1 thread"}
    assert first.rows[0].series.quantity.name == "latency_s"


def test_a_series_without_points_is_left_out() -> None:
    assert site_view.of_series([msgspec.structs.replace(factory.series(), points=())], {}) == ()


def test_what_one_commit_brought_is_one_event_and_the_newest_is_first() -> None:
    series, changes = factory.history()
    places = site_view.of_series(series, changes)
    found = site_view.events([row for place in places for row in place.rows])
    days = [event.day for event in found]
    assert days == sorted(days, reverse=True)
    [perhaps, together, early] = found
    assert {change.kind for change in perhaps.changes} == {"perhaps"}
    assert len(together.changes) == 14  # instructions of all twelve, latency of two
    assert together.changes[0].size == "+5.2 %"
    assert together.causes == ("apache-tvm 0.26.0 → 0.27.0",)
    assert "14 series of " in together.title
    assert together.title.endswith("changed: 14 worse")
    assert early.title.endswith("changed: 4 better")
    assert site_view.headline(found) is together
    assert site_view.headline(found[:1]) is perhaps
    assert site_view.headline(()) is None


def test_runs_are_records_with_all_that_they_saw() -> None:
    place = site_view.of_series(*factory.history())[0]
    runs = site_view.runs(place)
    assert len(runs) == 80
    assert [run.point.at for run in runs] == sorted(run.point.at for run in runs)
    assert set(runs[0].values) == {"latency_s", "instructions", "library_bytes", "macs"}
    marked = {run.point.run_id[-4:]: run.marks for run in runs if run.marks}
    assert marked == {"0020": ("mbench 0.2.0 → 0.3.0",), "0030": ("apache-tvm 0.26.0 → 0.27.0",)}


def test_records_of_interest_are_those_at_changes_and_the_newest() -> None:
    series = factory.series(steps=[(12, 1.1)])
    places = site_view.of_series([series], {series.id: (factory.change(series, 12, 1.1),)})
    wanted = site_view.of_interest(places)
    assert wanted == (series.points[12].record, series.points[11].record, series.points[-1].record)
    everything = site_view.every(places)
    assert everything[:3] == wanted
    assert set(everything) == {point.record for point in series.points}


def test_kinds_and_quantities_of_rows() -> None:
    rows = [row for place in site_view.of_series(*factory.history()) for row in place.rows]
    assert site_view.kinds(rows) == ("worse", "better", "perhaps")
    assert site_view.quantities(rows)[0] == "latency"
    assert len(site_view.quantities(rows)) == 4
