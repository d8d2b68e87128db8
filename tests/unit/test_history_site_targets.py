"""Targets side by side."""

from __future__ import annotations

import site_factory as factory
from checked_figures import checked

from mbench.history import site_targets, site_view


def test_networks_on_several_targets_are_compared_and_others_left_out() -> None:
    series, changes = factory.history()
    alone = factory.series(of=factory.identity("mnasnet_b1_1.0_224", family="mnasnet_b1"))
    compared = site_targets.of_places(site_view.of_series([*series, alone], changes))
    assert [each.quantity for each in compared] == ["latency", "instructions", "library", "multiply-adds"]
    latency = compared[0]
    assert latency.columns == ("arm64", "x86_64_v4")
    assert len(latency.rows) == 6
    assert all("mnasnet" not in name for name, _ in latency.rows)
    name, cells = next(row for row in latency.rows if row[0].startswith("efficientnet_lite0_1.0_224, float32"))
    assert name == "efficientnet_lite0_1.0_224, float32, 1 thread"
    assert cells["x86_64_v4"].ratio == ""
    assert 3.8 < float(cells["arm64"].ratio.removesuffix("x")) < 4.2


def test_two_machines_of_one_target_are_two_columns() -> None:
    made = [factory.series(of=factory.identity(machine=machine)) for machine in ("ci-1", "ci-2")]
    [latency] = site_targets.of_places(site_view.of_series(made, {}))
    assert latency.columns == ("arm64, ci-1", "arm64, ci-2")


def test_the_figure_has_a_point_for_each() -> None:
    latency = site_targets.of_places(site_view.of_series(*factory.history()))[0]
    figure = checked(latency.figure)
    assert [trace.name for trace in figure.data] == ["arm64", "x86_64_v4"]
    assert [len(trace.x) for trace in figure.data] == [6, 6]
    assert figure.layout.xaxis.type == "log"


def test_one_target_has_nothing_to_compare() -> None:
    assert site_targets.of_places(site_view.of_series([factory.series()], {})) == ()
