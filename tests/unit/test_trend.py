from __future__ import annotations

import math

import msgspec
import pytest
import verdict_factory

from mbench.gating.comparison import Comparison, Finding
from mbench.gating.outputs import trend


def of(*findings: Finding) -> Comparison:
    return msgspec.structs.replace(verdict_factory.passed().comparison, findings=findings)


def test_times_are_in_nanoseconds_with_the_interval_of_the_head() -> None:
    [value] = trend.values(of(verdict_factory.finding(base=1e-3, ratio=1.1, interval=(1.05, 1.155))))
    assert (value.unit, value.value) == ("ns", 1.1e6)
    assert value.interval == pytest.approx((1.05e6, 1.155e6))


def test_counts_are_exact() -> None:
    [value] = trend.values(of(verdict_factory.counted(base=100, head=101, ratio=1.01)))
    assert (value.value, value.interval) == (101, None)


def test_a_thing_comes_once_and_what_was_measured_now_comes_first() -> None:
    recorded = verdict_factory.finding("conv0", way="recorded", head=2e-3)
    now = verdict_factory.finding("conv0", way="paired", head=3e-3)
    assert [value.finding.way for value in trend.values(of(recorded, now))] == ["paired"]


def test_a_network_that_was_not_measured_has_no_value() -> None:
    found = verdict_factory.unmeasured().comparison
    assert {each.variant for each in found.findings} > {value.finding.variant for value in trend.values(found)}


@pytest.mark.parametrize("head", [None, math.nan, math.inf])
def test_what_is_not_known_has_no_value(head: float | None) -> None:
    assert trend.values(of(msgspec.structs.replace(verdict_factory.finding(), head=head))) == []
