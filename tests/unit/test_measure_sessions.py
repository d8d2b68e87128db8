from __future__ import annotations

from pathlib import Path
from typing import Any

import fake_devices as fakes
import msgspec
import pytest

from mbench.core import sessions as recorded
from mbench.core.records import MeteredEnergy
from mbench.measure import sessions
from mbench.measure.disturbance import Quiet
from mbench.measure.observation import Observation
from mbench.networks import variants

JOULES = MeteredEnergy(energy_j=1.0, method="a meter", window_s=1.0, runs=10)


@pytest.fixture
def seen(tmp_path: Path) -> Observation:
    return fakes.observed(fakes.compiled(tmp_path, variants.parse("mobilenet_v1_0.25_32")))


def timed(seen: Observation, first: float, count: int, **changes: Any) -> Observation:
    """Return a session whose whole runs took `first` seconds, and a little more with each."""
    samples = tuple(first + 1e-5 * number for number in range(count))
    return msgspec.structs.replace(seen, latency_s=samples, **changes)


def test_samples_come_one_session_after_the_other(seen: Observation) -> None:
    found = sessions.merged([timed(seen, 1.0, 3), timed(seen, 2.0, 4)], Quiet(processors=2))
    parts = recorded.of_whole(found.latency_s or (), found.sessions)
    assert [(part[0], len(part)) for part in parts] == [(1.0, 3), (2.0, 4)]


def test_kernels_samples_come_in_the_same_order(seen: Observation) -> None:
    later = msgspec.structs.replace(seen, calls_s=tuple((9.0,) * 2 for _ in seen.calls_s or ()), overhead_s=(9.0,) * 2)
    found = sessions.merged([seen, later], Quiet(processors=2))
    assert found.calls_s is not None
    assert found.calls_s[0] == (*(seen.calls_s or ())[0], 9.0, 9.0)
    assert found.overhead_s == (*(seen.overhead_s or ()), 9.0, 9.0)
    assert [len(part) for part in recorded.of_layer(found.calls_s[0], found.sessions)] == [5, 2]


def test_disturbed_sessions_are_left_out_and_kept_apart(seen: Observation) -> None:
    found = sessions.merged(
        [timed(seen, 1.0, 3), timed(seen, 7.0, 3, others_busy_s=0.9), timed(seen, 1.0, 3)], Quiet(processors=2)
    )
    assert [each.left_out for each in found.sessions] == [False, True, False]
    assert max(found.latency_s or ()) < 2
    assert found.sessions[1].latency_s == timed(seen, 7.0, 3).latency_s
    assert "0.90 processors" in found.sessions[1].disturbed[0]


def test_if_all_are_disturbed_all_count(seen: Observation) -> None:
    found = sessions.merged([timed(seen, 1.0, 3, others_busy_s=0.9)] * 2, Quiet(processors=2))
    assert [each.left_out for each in found.sessions] == [False, False]
    assert all(each.disturbed for each in found.sessions)
    assert len(found.latency_s or ()) == 6


def test_where_processors_were_always_far_apart_what_else_was_disturbed_is_left_out(seen: Observation) -> None:
    far = timed(seen, 1.5, 3, exchange_s=9e-6)
    found = sessions.merged([far, timed(seen, 7.0, 3, others_busy_s=0.9), far], Quiet(processors=2, exchange_s=2.7e-6))
    assert [(each.left_out, each.far_apart) for each in found.sessions] == [(False, True), (True, False), (False, True)]
    near = timed(seen, 1.0, 3, exchange_s=2.8e-6)
    found = sessions.merged([far, near, far], Quiet(processors=2))
    assert [(each.left_out, each.far_apart) for each in found.sessions] == [(True, True), (False, False), (True, True)]
    assert found.sessions[0].latency_s == far.latency_s


def test_a_meter_that_was_read_once_counts(seen: Observation) -> None:
    metered = msgspec.structs.replace(seen, energy=JOULES, energy_missing=None, others_busy_s=0.9)
    silent = msgspec.structs.replace(seen, energy_missing=None)
    assert sessions.merged([metered, silent, silent], Quiet(processors=2)).energy == JOULES


def test_one_wrong_result_is_the_result(seen: Observation) -> None:
    wrong = fakes.unseen(fakes.WRONG)
    found = sessions.merged([seen, wrong], Quiet(processors=2))
    assert not found.numerics.passed
    assert found.latency_s is None


def test_the_largest_error_of_the_sessions_is_recorded(seen: Observation) -> None:
    worse = msgspec.structs.replace(fakes.PASSED, max_rel_error=5e-5)
    found = sessions.merged([seen, msgspec.structs.replace(seen, numerics=worse), seen], Quiet(processors=2))
    assert found.numerics == worse


def test_offsets_are_drawn_anew_within_their_range() -> None:
    drawn = [sessions.draw_offset() for _ in range(200)]
    assert len(set(drawn)) > 100
    assert all(0 <= offset < 256 * 1024 and offset % 64 == 0 for offset in drawn)


def test_the_same_sessions_give_one_with_their_conditions(seen: Observation) -> None:
    one = timed(seen, 1.0, 3, load_s=0.2, first_s=0.01, memory_offset=640)
    [session] = sessions.merged([one], Quiet(processors=2)).sessions
    assert (session.load_s, session.first_s, session.memory_offset) == (0.2, 0.01, 640)
    silent = ("processor_share", "flops_per_s", "exchange_s")
    assert session.missing == dict.fromkeys(silent, "this device does not report it")


def test_one_thread_has_no_time_of_starting_others(seen: Observation) -> None:
    [session] = sessions.merged([msgspec.structs.replace(seen, threads=1)], Quiet(processors=2)).sessions
    assert session.missing["exchange_s"] == "one thread starts no others"
