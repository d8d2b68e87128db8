from __future__ import annotations

from pathlib import Path
from typing import Any

import fake_devices as fakes
import msgspec
import pytest

from mbench.core.machine_types import Conditions, GpuConditions
from mbench.measure import disturbance
from mbench.measure.disturbance import Quiet
from mbench.measure.observation import Observation
from mbench.networks import variants

QUIET: dict[str, Any] = {"wall_s": 1.0, "others_busy_s": 0.0, "processor_share": 1.0}


@pytest.fixture
def seen(tmp_path: Path) -> Observation:
    return fakes.observed(fakes.compiled(tmp_path, variants.parse("mobilenet_v1_0.25_32")), **QUIET)


def at(**changes: Any) -> Conditions:
    return Conditions(at_utc="2026-01-01T00:00:00Z", **changes)


def test_quiet_sessions_have_no_reasons(seen: Observation) -> None:
    assert disturbance.reasons([seen] * 5, Quiet(processors=2)) == ((),) * 5


CAUSES: dict[str, tuple[dict[str, Any], str]] = {
    "others": ({"others_busy_s": 0.5}, "other processes kept 0.50 processors busy"),
    "waited": ({"processor_share": 0.71}, "its threads got 71.0 % of the processor time that they wanted"),
    "stolen": (
        {"conditions_before": at(steal_s=3.0), "conditions_after": at(steal_s=3.4)},
        "the hypervisor gave 400 ms of processor time to others",
    ),
    "held back": (
        {"conditions_before": at(throttled_s=3.0), "conditions_after": at(throttled_s=3.5)},
        "the processor quota held threads back for 500 ms",
    ),
    "multiply-adds": (
        {"flops_per_s": 6.6e10},
        "the processors did 66.0 % of the multiply-adds that they did in another session: lower clocks, or cores that "
        "are shared",
    ),
    "threads": (
        {"exchange_s": 9e-6},
        "reading what another thread wrote took 9.00 µs, at best 2.70 µs: processors that are far apart",
    ),
    "slowed GPU": (
        {"conditions_after": at(gpu=GpuConditions(slowed_by=("power cap",)))},
        "the GPU's clocks were held back: power cap",
    ),
    "clock": (
        {"conditions_after": at(frequency_hz=2e9)},
        "the processor ran at 2.00 GHz, and at 3.00 GHz in another session",
    ),
    "spread": (
        {"latency_s": (1e-3, 1e-3, 1e-3, 2e-3, 2e-3)},
        "its quartiles lie 100.0 % apart, in the other sessions 0.2 %",
    ),
}


@pytest.mark.parametrize("cause", CAUSES)
def test_each_cause_is_seen_in_its_session_alone(seen: Observation, cause: str) -> None:
    changes, said = CAUSES[cause]
    sibling = msgspec.structs.replace(
        seen, conditions_before=at(frequency_hz=3e9), conditions_after=at(frequency_hz=3e9), flops_per_s=1e11,
        exchange_s=2.7e-6,
    )  # fmt: skip
    found = disturbance.reasons([sibling, msgspec.structs.replace(seen, **changes), sibling], Quiet(processors=2))
    assert found == ((), (said,), ())


def test_where_all_sessions_have_processors_far_apart_what_was_seen_before_tells(seen: Observation) -> None:
    slow = msgspec.structs.replace(seen, exchange_s=9e-6)
    assert disturbance.reasons([slow] * 3, Quiet(processors=2)) == ((),) * 3
    found = disturbance.reasons([slow] * 3, Quiet(processors=2, exchange_s=2.6e-6))
    assert all("at best 2.60 µs" in why[0] for why in found)
    assert all(map(disturbance.far_apart, found))


def test_far_apart_is_the_only_cause_or_none(seen: Observation) -> None:
    slow = msgspec.structs.replace(seen, exchange_s=9e-6, processor_share=0.5)
    [found] = disturbance.reasons([slow], Quiet(processors=2, exchange_s=2.6e-6))
    assert len(found) == 2
    assert not disturbance.far_apart(found)
    assert not disturbance.far_apart(())


def test_a_slow_median_is_no_disturbance(seen: Observation) -> None:
    """It may be the layout of its memory, which a network meets elsewhere too."""
    slow = msgspec.structs.replace(seen, latency_s=tuple(3 * value for value in seen.latency_s or ()))
    assert disturbance.reasons([seen, seen, slow], Quiet(processors=2)) == ((), (), ())


def test_of_many_processors_others_may_use_more(seen: Observation) -> None:
    busy = msgspec.structs.replace(seen, others_busy_s=0.5)
    assert disturbance.reasons([busy], Quiet(processors=64)) == ((),)
    assert disturbance.reasons([busy], Quiet(processors=8)) != ((),)


def test_what_a_device_does_not_report_is_no_reason(seen: Observation) -> None:
    silent = msgspec.structs.replace(
        seen, wall_s=None, others_busy_s=None, processor_share=None, conditions_before=None, conditions_after=None
    )
    assert disturbance.reasons([silent, silent], Quiet(processors=1)) == ((), ())
