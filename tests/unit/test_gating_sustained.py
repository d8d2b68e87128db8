"""Steady states under load of two runs: what is worse, what is not, and what cannot be said."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import record_factory as factory
from scipy import stats as scipy_stats
from sustained_factory import sustained, throttling, with_sustained

from mbench.core import spread_history
from mbench.core.records import Record
from mbench.core.sessions import Session
from mbench.core.sustained import Sustained
from mbench.gating import sustained as gating
from mbench.gating import verdict
from mbench.gating.comparison import Finding, Verdict
from mbench.gating.limits import Limits, read
from mbench.gating.outputs import words
from mbench.gating.sides import Given
from mbench.gating.verdict import Asked

NAME = "mobilenet_v1_0.25_32"
BASE = factory.record([NAME])


@pytest.fixture(autouse=True)
def no_history(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MBENCH_CACHE_DIR", str(tmp_path / "cache"))


def run(
    curve: Sustained | None, *, run_id: str = "a", sessions: int = 5, apart: float = 0.005, threads: int = 1
) -> Record:
    """Return a record whose sessions lie so far apart, and whose network was under load."""
    replace, result, draw = msgspec.structs.replace, BASE.results[0], random.Random(run_id)
    factors = [1 + draw.gauss(0, apart) for _ in range(sessions)]
    samples = result.end_to_end.latency_s or ()
    timed = replace(
        result,
        end_to_end=replace(
            result.end_to_end, latency_s=tuple(by * value for by in factors for value in samples), twin_latency_s=None
        ),
        layers=tuple(replace(layer, latency_s=None) for layer in result.layers),
        sessions=tuple(
            Session(samples=len(samples), layer_samples=0, began_utc=BASE.created_at_utc) for _ in factors
        ),
    )  # fmt: skip
    settings = replace(BASE.settings, threads=threads, sessions=sessions)
    return with_sustained(replace(BASE, run_id=run_id, results=(timed,), settings=settings), curve)


def hot(after_s: float = 7.1e-3, **options: Any) -> Sustained:
    return sustained(throttling(22.0, 5.9e-3, after_s), **options)


def judged(base: Sequence[Record] | Record, head: Sequence[Record] | Record, limits: Limits | None = None) -> Finding:
    ours, theirs = ((side,) if isinstance(side, Record) else side for side in (base, head))
    [found], notes = gating.judge(ours, theirs, [NAME], limits or Limits(), ())
    assert notes == ()
    assert (found.variant, found.layer, found.metric, found.way) == (NAME, None, "sustained_latency", "recorded")
    assert "\n" not in found.reason
    return found


def test_a_device_that_throttles_more_is_worse() -> None:
    found = judged(run(hot()), run(hot(8.5e-3), run_id="b"))
    assert found.outcome == "regressed"
    assert found.base == pytest.approx(7.1e-3, rel=0.01)
    assert found.head == pytest.approx(8.5e-3, rel=0.01)
    assert found.ratio == pytest.approx(8.5 / 7.1, rel=0.01)
    low, high = words.bounds(found) or (1.0, 1.0)
    assert low < 8.5 / 7.1 < high
    assert "steady at base 7.1" in found.reason
    assert "head 8." in found.reason


def test_only_the_steady_state_counts() -> None:
    """A head that is as quick at first, and one that takes longer to grow hot, are no change."""
    later = sustained(throttling(28.0, 5.0e-3, 7.1e-3))
    assert judged(run(hot()), run(later, run_id="b")).outcome == "same"


def test_a_cooler_device_is_better() -> None:
    assert judged(run(hot(8.5e-3)), run(hot(), run_id="b")).outcome == "improved"


@pytest.mark.parametrize("factor", [0.97, 1.0, 1.03])
def test_what_the_room_does_is_tolerated(factor: float) -> None:
    found = judged(run(hot()), run(hot(factor * 7.1e-3, seed=7), run_id="b"))
    assert (found.outcome, found.threshold, found.sensitivity) == ("same", 0.05, 0.1)


def test_processes_that_lie_far_apart_leave_it_open() -> None:
    found = judged(run(hot(), apart=0.1), run(hot(7.6e-3), run_id="b", apart=0.1))
    assert found.outcome == "undecided"
    assert "cannot be ruled out" in found.reason
    assert "as sessions and runs show" in found.reason


def test_one_session_a_side_takes_an_assumed_spread() -> None:
    found = judged(run(hot(), sessions=1), run(hot(8.5e-3), run_id="b", sessions=1))
    assert "lie 4.0 % apart (assumed: too few sessions to show it)" in found.reason
    assert found.outcome == "undecided"
    assert judged(run(hot(), sessions=1), run(hot(14e-3), run_id="b", sessions=1)).outcome == "regressed"


def test_a_machine_with_a_history_needs_no_assumption() -> None:
    spread_history.add(BASE.host, 1, (spread_history.SeenSpread(variance=1e-6, freedom=20),))
    found = judged(run(hot(), sessions=1), run(hot(8.5e-3), run_id="b", sessions=1))
    assert found.outcome == "regressed"


def test_limits_are_asked_for_as_others_are() -> None:
    limits = read(None, ("sustained_latency=25%",), ())
    assert judged(run(hot()), run(hot(8.5e-3), run_id="b"), limits).outcome == "same"
    strict = read(None, ("sustained_latency=0.5%",), ())
    assert judged(run(hot()), run(hot(7.5e-3), run_id="b"), strict).outcome == "regressed"


def test_several_records_a_side_count_together() -> None:
    base = tuple(run(hot(7.1e-3 * (1 + 0.01 * at), seed=at), run_id=f"a{at}", sessions=1) for at in range(3))
    head = tuple(run(hot(8.2e-3 * (1 + 0.01 * at), seed=at), run_id=f"b{at}", sessions=1) for at in range(3))
    found = judged(base, head)
    assert found.outcome == "regressed"
    assert found.base == pytest.approx(7.1e-3 * 1.01, rel=0.005)
    assert "as sessions and runs show" in found.reason


# ------------------------------------------------------------------------------------------------------- the statistics
def test_the_interval_is_students_where_processes_alone_differ() -> None:
    """With curves without noise, what is left is a t test with the pooled variance of the sessions."""
    base, head = run(hot(noise=0.0), apart=0.02), run(hot(7.5e-3, noise=0.0), run_id="b", apart=0.02)
    found = judged(base, head)
    logs = [
        np.log([np.median(part) for part in np.array_split(record.results[0].end_to_end.latency_s or (), 5)])
        for record in (base, head)
    ]
    deviation = np.sqrt(np.mean([np.var(side, ddof=1) for side in logs]))
    reach = scipy_stats.t.ppf(1 - 0.005, 8) * deviation * np.sqrt(2)
    centre = np.log(7.5 / 7.1)
    assert found.interval == pytest.approx((np.exp(centre - reach), np.exp(centre + reach)), rel=1e-4)


def test_equal_code_is_hardly_ever_called_worse() -> None:
    """Processes lie 2 % apart, as their sessions show: 200 pairs of one code."""
    draw, worse = random.Random(3), 0
    for at in range(200):
        pair = [
            run(hot(7.1e-3 * (1 + draw.gauss(0, 0.02)), noise=0.002, seed=2 * at + side, count=60),
                run_id=f"{at}-{side}", apart=0.02)
            for side in (0, 1)
        ]  # fmt: skip
        worse += judged(pair[0], pair[1]).outcome in ("regressed", "improved")
    assert worse <= 2


# -------------------------------------------------------------------------------------------------- what cannot be said
NEVER = sustained(lambda now_s: 5.9e-3 * (1 + now_s / 60))
BUSY = hot(sensed=lambda _: {"others_busy": 1.2})
OPEN = {
    "the base was not asked": (None, hot(), "the base was not put under load (it died)"),
    "the head was not asked": (hot(), None, "the head was not put under load"),
    "the base was never steady": (NEVER, hot(), "the base: no steady state within 60 s"),
    "neither was steady": (NEVER, NEVER, "run it for longer"),
    "other times": (hot(), hot(seconds=600.0, count=600), "one ran for 60 s, another for 10 min"),
    "others at work": (hot(), BUSY, "the head: other processes kept 1.20 processors busy"),
}


@pytest.mark.parametrize("name", OPEN)
def test_what_cannot_be_compared_is_undecided(name: str) -> None:
    base, head, said = OPEN[name]
    found = judged(run(base), run(head, run_id="b"))
    assert found.outcome == "undecided"
    assert said in found.reason


def test_where_nobody_asked_nothing_is_found() -> None:
    plain = factory.record([NAME])
    assert gating.judge((plain,), (factory.again(plain, "b"),), [NAME], Limits(), ()) == ((), ())


# --------------------------------------------------------------------------------------------------------- the verdict
def given(record: Record) -> Given:
    file = Path(f"{record.run_id}.json")
    return Given(file, (record,), (file,))


def compared(base: Record, head: Record, **changes: Any) -> Verdict:
    comparison, failures = verdict.compare(given(base), given(head), Asked(**changes))
    return verdict.judge(comparison, failures, ())


def test_a_run_that_is_as_quick_and_throttles_more_is_a_regression() -> None:
    found = compared(run(hot()), run(hot(8.5e-3), run_id="b"))
    assert found.conclusion == "regressed"
    assert found.headline.startswith("1 regressed: sustained_latency of mobilenet_v1_0.25_32 +")
    assert "recorded" in found.comparison.ways


def test_counts_do_not_hide_it() -> None:
    base, head = (factory.counted(record) for record in (run(hot()), run(hot(8.5e-3), run_id="b")))
    found = compared(base, head)
    assert found.conclusion == "regressed"
    assert {each.way for each in found.comparison.findings} == {"static", "counts", "recorded"}


def test_on_another_machine_it_is_left_out_with_a_note() -> None:
    base, head = (factory.counted(record) for record in (run(hot()), run(hot(8.5e-3), run_id="b")))
    head = msgspec.structs.replace(head, host=msgspec.structs.replace(head.host, name="elsewhere"))
    found = compared(base, head)
    assert found.conclusion == "passed"
    assert f"{NAME}: latency under load is not compared: host differ" in found.comparison.notes
    assert "recorded" not in found.comparison.ways
