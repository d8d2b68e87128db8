"""How far devices of one kind lie apart: against draws of a known spread, and another way to the same variance."""

from __future__ import annotations

import math
import statistics

import farm_factory as farms
import numpy as np
import pytest

from mbench.analysis import device_spread


def test_the_spread_that_devices_were_drawn_with_is_found() -> None:
    draw = np.random.default_rng(5)
    found = []
    for _ in range(200):
        centres = draw.normal(math.log(0.01), 0.05, size=8)
        times = {f"d{i}": np.exp(draw.normal(centre, 0.02, size=3)).tolist() for i, centre in enumerate(centres)}
        [spread] = device_spread.of_farm(farms.farm(times))
        assert spread.between is not None
        found.append((spread.within**2, spread.between**2))
    within, between = (math.sqrt(statistics.fmean(column)) for column in zip(*found, strict=True))
    assert within == pytest.approx(0.02, rel=0.05)
    assert between == pytest.approx(0.05, rel=0.1)


def test_of_as_many_sessions_it_is_the_variance_of_means_less_what_sessions_explain() -> None:
    [spread] = device_spread.of_farm(farms.PI4S)
    logs = np.log([device.reference_s[:3] for device in farms.PI4S.devices])
    within = logs.var(axis=1, ddof=1).mean()
    assert spread.within == pytest.approx(math.sqrt(within))
    assert spread.between == pytest.approx(math.sqrt(logs.mean(axis=1).var(ddof=1) - within / 3))
    assert [name for name, _ in spread.devices] == ["pi-1", "pi-3", "pi-2"]
    assert spread.apart == pytest.approx(0.04)


def test_devices_that_agree_better_than_their_sessions_have_no_spread() -> None:
    [spread] = device_spread.of_farm(farms.farm({"a": (0.01, 0.02), "b": (0.02, 0.01)}, sessions=2))
    assert spread.between == 0.0


def test_kinds_are_kept_apart_and_one_device_says_nothing_of_its_kind() -> None:
    times = {"a": (0.01, 0.011), "b": (0.03, 0.031), "c": (0.03, 0.032), "dead": ()}
    spreads = device_spread.of_farm(farms.farm(times, {"a": "pi5"}, sessions=2))
    assert [(spread.kind, spread.between is None, len(spread.devices)) for spread in spreads] == [
        ("pi5", True, 1), ("pi4", False, 2),
    ]  # fmt: skip


def test_two_devices_differ_by_their_first_figures() -> None:
    records = [farms.record()]
    assert device_spread.difference(records, "pi-1", "pi-2") == pytest.approx(0.04)
    assert device_spread.difference(records, "pi-2", "pi-1") == pytest.approx(0.04)
    assert device_spread.difference(records, "pi-1", "unknown") is None
    assert device_spread.difference([], "pi-1", "pi-2") is None


def test_of_two_kinds_no_difference_is_known() -> None:
    times = {"a": (0.01, 0.01), "b": (0.01, 0.01)}
    found = farms.with_farm(farms.record(), farms.farm(times, {"a": "pi5"}, sessions=2), "a")
    assert device_spread.difference([found], "a", "b") is None


def test_results_by_device() -> None:
    found = device_spread.by_device(farms.record(["pi-3", "pi-1"]))
    assert {name: [result.variant.name for result in results] for name, results in found.items()} == {
        "pi-1": ["mobilenet_v1_1.0_224_standard"], "pi-3": ["mobilenet_v1_1.0_224"],
    }  # fmt: skip
