from __future__ import annotations

import math
import random
from collections.abc import Sequence

import msgspec
import pytest
import record_factory as factory
import scipy.stats

from mbench.core.records import Layer, Record, Result
from mbench.core.stats import median
from mbench.gating import matching, recorded
from mbench.gating.comparison import Finding
from mbench.gating.limits import Limits
from mbench.gating.timed import CONFIDENCE

NAME = "mobilenet_v1_0.25_32"
BASE = factory.record([NAME])
LAYERS = BASE.results[0].layers
LONGEST = max(LAYERS, key=lambda layer: median(layer.latency_s or ())).name


def run(factor: float = 1.0, *, layers: dict[str, float] | None = None, threads: int = 1, number: int = 0) -> Record:
    """Return a record whose latencies are `factor` times those of BASE, and those of some layers by their own."""
    own = layers or {}
    replace = msgspec.structs.replace
    result = BASE.results[0]

    def of_layer(layer: Layer) -> Layer:
        by = own.get(layer.name, factor)
        return replace(layer, latency_s=tuple(by * value for value in layer.latency_s or ()))

    whole = replace(result.end_to_end, latency_s=tuple(factor * value for value in result.end_to_end.latency_s or ()))
    changed = replace(result, layers=tuple(map(of_layer, result.layers)), end_to_end=whole)
    settings = replace(BASE.settings, threads=threads)
    return replace(BASE, run_id=f"run-{number}", results=(changed,), settings=settings)


def runs(
    count: int, factor: float = 1.0, *, spread: float = 1e-3, seed: int = 1, **options: dict[str, float]
) -> tuple[Record, ...]:
    draw = random.Random(seed)
    return tuple(run(factor * (1 + draw.gauss(0, spread)), number=number, **options) for number in range(count))  # type: ignore[arg-type]


def judge(base: Sequence[Record], head: Sequence[Record]) -> dict[str | None, Finding]:
    ours, theirs = base[-1].results[0], head[-1].results[0]
    found = recorded.judge(base, head, {NAME: matching.layers(ours.layers, theirs.layers)}, Limits())
    return {each.layer: each for each in found}


def with_samples(samples: tuple[float, ...]) -> Record:
    result = BASE.results[0]
    whole = msgspec.structs.replace(result.end_to_end, latency_s=samples)
    return msgspec.structs.replace(BASE, results=(msgspec.structs.replace(result, end_to_end=whole),))


# --------------------------------------------------------------------------------------------------------- one run each
def test_one_run_a_side_cannot_rule_out_what_was_asked_for_and_says_what_it_takes() -> None:
    found = judge([run()], [run()])[None]
    assert found.outcome == "undecided"
    assert "assumed: fewer than 5 runs a side" in found.reason
    assert "runs a side in two folders, or --paired" in found.reason


def test_one_run_a_side_sees_what_no_machine_does_by_itself() -> None:
    slower, quicker = judge([run()], [run(2.0)])[None], judge([run()], [run(0.5)])[None]
    assert slower.outcome == "regressed"
    assert slower.ratio == pytest.approx(2.0)
    assert quicker.outcome == "improved"
    assert quicker.ratio == pytest.approx(0.5)
    assert judge([run()], [run(1.1)])[None].outcome == "undecided"


def test_with_more_threads_more_noise_is_assumed() -> None:
    assert judge([run(threads=2)], [run(2.0, threads=2)])[None].outcome == "undecided"
    assert recorded.ASSUMED_SPREAD[2] > recorded.ASSUMED_SPREAD[1]


def test_a_slow_layer_is_named_alone() -> None:
    found = judge([run()], [run(layers={LONGEST: 2.0})])
    assert {layer for layer, each in found.items() if each.outcome == "regressed"} == {LONGEST}


# -------------------------------------------------------------------------------------------------------------- several
def test_five_quiet_runs_a_side_pass() -> None:
    found = judge(runs(5), runs(5, seed=2))
    assert found[None].outcome == "same"
    assert "as 5 and 5 runs show" in found[None].reason
    assert {each.outcome for each in found.values()} == {"same", "information"}


@pytest.mark.parametrize("count", [5, 8])
def test_several_runs_a_side_see_more_than_one(count: int) -> None:
    found = judge(runs(count), runs(count, 1.1, seed=2))
    assert found[None].outcome == "regressed"
    assert found[LONGEST].outcome == "regressed"
    assert judge(runs(count), runs(count, 0.9, seed=2))[None].outcome == "improved"


def test_a_layer_that_several_runs_show_is_named_alone() -> None:
    found = judge(runs(5), runs(5, seed=2, layers={LONGEST: 1.3}))
    assert {layer for layer, each in found.items() if each.outcome == "regressed"} == {LONGEST}


def test_runs_that_lie_far_apart_decide_nothing() -> None:
    assert judge(runs(5, spread=0.2), runs(5, 1.02, spread=0.2, seed=2))[None].outcome == "undecided"


def test_runs_that_are_the_same_to_the_last_digit_decide_as_well() -> None:
    same = [run(number=number) for number in range(5)]
    assert judge(same, same)[None].outcome == "same"
    assert judge(same, [run(1.5, number=number) for number in range(5)])[None].outcome == "regressed"


def test_runs_drawn_alike_are_rarely_called_different() -> None:
    alarms = 0
    for seed in range(0, 80, 2):
        found = judge(runs(5, spread=0.03, seed=seed), runs(5, spread=0.03, seed=seed + 1))
        alarms += any(each.outcome == "regressed" for each in found.values())
    assert alarms <= scipy.stats.binom.isf(1e-3, 40, 0.01)


# --------------------------------------------------------------------------------------------------------------- unfit
def test_one_sample_decides_nothing() -> None:
    for base, head, word in ((BASE, with_samples((1e-3,)), "head"), (with_samples((1e-3, 2e-3)), BASE, "base")):
        found = judge([base], [head])
        assert {each.outcome for each in found.values()} == {"undecided"}
        assert found[None].reason.startswith(f"{word} {BASE.run_id}: ")
        assert "expected at least 3" in found[None].reason


def test_samples_that_are_all_equal_decide_nothing() -> None:
    found = judge([with_samples((1e-3,) * 50)], [with_samples((9e-3,) * 50)])
    assert {each.outcome for each in found.values()} == {"undecided"}
    assert "no clock gives that" in found[None].reason


def test_samples_of_zero_are_no_times() -> None:
    assert judge([with_samples((0.0, 0.0, 1e-9))], [BASE]) == {}


def test_what_was_only_compiled_has_no_times() -> None:
    assert judge([factory.record([NAME], latency=False)], [BASE]) == {}


def test_layers_without_times_are_left_out() -> None:
    result: Result = BASE.results[0]
    layers = tuple(msgspec.structs.replace(layer, latency_s=None) for layer in result.layers)
    head = msgspec.structs.replace(BASE, results=(msgspec.structs.replace(result, layers=layers),))
    assert set(judge([BASE], [head])) == {None}


# ----------------------------------------------------------------------------------------------------------- statistics
def numbers(base: Sequence[float], head: Sequence[float]) -> recorded.RecordedRuns:
    return recorded.RecordedRuns(
        variant=NAME, match=None, base=tuple(map(math.exp, base)), head=tuple(map(math.exp, head)), threads=1,
        share=1.0, threshold=0.01, asked=0.02,
    )  # fmt: skip


def test_p_and_interval_are_students() -> None:
    base, head = [0.01, 0.03, 0.02, 0.05, 0.04, 0.02], [0.31, 0.36, 0.30, 0.33, 0.35]
    found = numbers(base, head)
    shifted = [value - math.log1p(found.margin) for value in head]
    assert found.p(1) == pytest.approx(scipy.stats.ttest_ind(shifted, base, alternative="greater").pvalue)
    interval = scipy.stats.ttest_ind(head, base).confidence_interval(CONFIDENCE)
    assert found.interval() == pytest.approx((interval.low, interval.high))
    assert found.p(-1) > 0.99
    assert found.margin == pytest.approx(math.expm1(3 * found.error))


def test_a_single_run_is_judged_by_the_normal_distribution_of_the_assumed_spread() -> None:
    found = numbers([0.0], [0.5])
    error = 0.04 * math.sqrt(2)
    assert found.p(1) == pytest.approx(scipy.stats.norm.sf((0.5 - 3 * error) / error))
    assert found.interval() == pytest.approx(scipy.stats.norm.interval(CONFIDENCE, 0.5, error))


def test_all_layers_that_were_looked_at_are_one_family() -> None:
    found = judge([run()], [run(1.42)])
    whole = found[None]
    error = 0.04 * math.sqrt(2)
    alone = float(scipy.stats.norm.sf((math.log(1.42) - 3 * error) / error))
    assert alone <= 0.01, "alone it would be slower"
    assert whole.p_value == pytest.approx(min(1.0, len(found) * alone))
    assert whole.outcome == "undecided"
