"""Readings are simulated here: what is true of them is known, so that wrong judgements can be counted."""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec
import numpy as np
import pytest
import record_factory as factory
import scipy.stats

from mbench.core import stats
from mbench.gating import limits, timed
from mbench.gating.comparison import Finding
from mbench.gating.limits import Limits
from mbench.gating.matching import Match
from mbench.gating.outputs import words
from mbench.gating.timed import Reading

NAME = "mobilenet_v1_0.25_128"
LAYERS = factory.record([NAME]).results[0].layers
MATCHES = tuple(Match((layer,), (layer,)) for layer in LAYERS)
WHOLE_S = 2e-3
DEFAULT = Limits()
COARSE = limits.read(None, (), ["latency=5%", "layer.latency=20%"])


def reading(
    logs: Sequence[float], match: Match | None = None, *, share: float = 0.1, noise: Sequence[float] = (),
    wanted: Limits = DEFAULT,
) -> Reading:  # fmt: skip
    """Return a reading of processes that saw these log ratios."""
    base_s = WHOLE_S if match is None else share * WHOLE_S
    twins = noise or [0.0] * len(logs)
    samples = [(value, twin, base_s, base_s * math.exp(value)) for value, twin in zip(logs, twins, strict=True)]
    return timed.reading(NAME, match, wanted, samples, WHOLE_S)


def near(centre: float, count: int = 12, spread: float = 1e-4) -> list[float]:
    """Return log ratios around a slow-down."""
    return [math.log1p(centre) + spread * (index - (count - 1) / 2) for index in range(count)]


def judged(first: Reading, fresh: Reading | None = None) -> Finding:
    [finding] = timed.judge_all([first], [fresh] if fresh else [])
    return finding


# -------------------------------------------------------------------------------------------------------------- margin
def test_the_margin_is_the_threshold_in_a_quiet_place() -> None:
    assert reading(near(0)).margin == 0.01
    assert reading(near(0), MATCHES[3], share=0.5).margin == 0.02


def test_three_standard_errors_of_the_twin_widen_the_margin() -> None:
    twins = [0.05, -0.05] * 6
    expected = math.expm1(3 * float(scipy.stats.sem(twins)))
    assert expected > 0.02
    assert reading(near(0), noise=twins).margin == pytest.approx(expected)
    assert judged(*[reading(near(0.03), noise=twins)] * 2).outcome != "regressed"
    assert judged(*[reading(near(0.03))] * 2).outcome == "regressed"


def test_what_is_too_short_to_matter_is_no_regression() -> None:
    """The floor is 5 µs or 0.06 % of the whole network, here 1.2 µs: 6 % of a layer of 20 µs."""
    short = [reading(near(slower), MATCHES[3], share=0.01) for slower in (0.045, 0.15)]
    assert [each.floor for each in short] == [pytest.approx(0.06)] * 2
    assert [judged(each, each).outcome for each in short] == ["information", "regressed"]
    assert reading(near(0)).floor == 0.0


def test_the_floor_of_a_quick_network_is_a_share_of_it() -> None:
    quick, slow = (timed.reading(NAME, MATCHES[3], Limits(), [(0.0, 0.0, 5e-5, 5e-5)] * 8, s) for s in (5e-4, 5e-2))
    assert quick.floor == pytest.approx(0.0006 * 5e-4 / 5e-5)
    assert slow.floor == pytest.approx(5e-6 / 5e-5)


def test_what_is_shorter_than_the_clock_sees_is_not_judged() -> None:
    lost = timed.reading(NAME, MATCHES[3], Limits(), [(3.0, 0.0, 1e-9, 2e-8)] * 8, WHOLE_S)
    assert lost.suspicion() == 0
    assert judged(lost).outcome == "information"
    assert "not timed" in judged(lost).reason


# ------------------------------------------------------------------------------------------------------------- outcomes
def test_a_slow_down_that_fresh_processes_confirm_is_a_regression_with_its_figures() -> None:
    found = judged(reading(near(0.05)), reading(near(0.06)))
    assert (found.outcome, found.way, found.metric) == ("regressed", "paired", "latency")
    assert found.ratio is not None
    assert found.ratio == pytest.approx(1.06, rel=1e-3), "the fresh processes have the last word"
    low, high = words.bounds(found) or (1.0, 1.0)
    assert low < found.ratio < high
    assert found.p_value == pytest.approx(timed.LOOKS / 2**12)
    assert "slower than the 1" in found.reason


def test_a_quicker_head_is_an_improvement() -> None:
    assert judged(*[reading(near(-0.05))] * 2).outcome == "improved"


def test_a_first_look_that_lies_is_not_confirmed() -> None:
    found = judged(reading(near(0.05)), reading(near(0.0)))
    assert found.outcome == "same"
    assert found.ratio == pytest.approx(1.0, abs=1e-3)


def test_a_suspect_whom_no_fresh_process_saw_is_no_regression_and_does_not_pass() -> None:
    found = judged(reading(near(0.05)))
    assert (found.outcome, found.p_value) == ("undecided", 1.0)


def test_a_first_look_alone_convicts_nobody_however_clear_it_is() -> None:
    assert judged(reading(near(1.0, count=30))).outcome == "undecided"


def test_noise_that_hides_what_was_asked_for_is_undecided_with_what_it_takes() -> None:
    wild = reading([0.1, -0.1] * 4)
    found = judged(wild)
    assert found.outcome == "undecided"
    sd = np.std([0.1, -0.1] * 4, ddof=1)
    quantiles = scipy.stats.norm.ppf(0.99) + scipy.stats.norm.ppf(0.95)
    expected = math.ceil((quantiles * sd / (math.log(1.02) - math.log(1.01))) ** 2)
    assert wild.needed(wild.asked) == expected
    assert f"it takes about {expected} (--processes)" in found.reason


def test_a_coarser_sensitivity_needs_fewer_processes() -> None:
    logs = [0.005, -0.005] * 4
    coarse, fine = reading(logs, wanted=COARSE), reading(logs)
    assert coarse.needed(coarse.asked) < fine.needed(fine.asked)
    assert judged(reading(logs, wanted=COARSE)).outcome == "same"


def test_few_processes_that_agree_do_not_pass_what_they_cannot_rule_out() -> None:
    """A slow-down of 1.9 % is above what is tolerated and below what was asked for; of 2.1 % it must not pass."""
    assert judged(reading(near(0.019), ), reading(near(0.009))).outcome == "same"  # fmt: skip
    assert judged(reading(near(0.0, count=3))).outcome == "undecided"


def test_small_layers_are_told_and_not_asked_for() -> None:
    small = reading([0.3, -0.3] * 4, MATCHES[3], share=0.02)
    assert small.sensitivity is None
    assert judged(small).outcome == "information"
    assert judged(reading([0.3, -0.3] * 4, MATCHES[3], share=0.04)).outcome == "undecided"


@pytest.mark.parametrize("share", [1e-4, 0.0025, 0.005, 0.0250, 0.029])
def test_how_many_processes_a_small_suspect_takes_is_known_however_small_it_is(share: float) -> None:
    """A floor above the sensitivity asked for leaves no room between the two; at equality, none at all."""
    assert reading([0.001, -0.001] * 4, MATCHES[3], share=share).needed(0.05) == 1


def test_holm_counts_every_suspect() -> None:
    readings = [reading(near(0.05), match) for match in (None, *MATCHES[:3])]
    found = timed.judge_all(readings, readings)
    assert [each.p_value for each in found] == [pytest.approx(timed.LOOKS * 4 / 2**12)] * 4
    weak = [reading(near(0.05, count=8), match, share=0.5) for match in MATCHES[:3]]
    assert [judged(each, each).outcome for each in weak[:1]] == ["regressed"], "2 / 256 alone is below 1 %"
    assert {each.outcome for each in timed.judge_all(weak, weak)} == {"same"}, "6 / 256 is not"


def test_a_suspect_is_open_while_it_is_beyond_its_margin_and_not_proved() -> None:
    suspect = reading(near(0.05))
    few, proved, cleared = near(0.05, count=6), near(0.05), near(0.0)
    assert [timed.tested([suspect], [reading(fresh)])[0].open for fresh in (few, proved, cleared)] == [
        True, False, False,
    ]  # fmt: skip
    quicker = [-value for value in few]
    assert timed.tested([reading(near(-0.05))], [reading(quicker)])[0].open
    assert not timed.tested([reading(near(-0.05))], [reading(few)])[0].open
    assert not timed.tested([reading(near(0.0))], [])[0].open, "nobody suspects it"


def test_a_finding_survives_json() -> None:
    found = judged(reading(near(0.0, count=3)))
    assert found.interval is None, "three processes give no interval at 98 %"
    assert msgspec.json.decode(msgspec.json.encode(found), type=Finding) == found


# --------------------------------------------------------------------------------------------------- counted judgements
TRIALS = 80


def trial(draw: np.random.Generator, heavy: bool, shift: float, sd: float) -> tuple[Finding, ...]:
    """Judge a network and four layers; `shift`: the log slow-down of the third layer."""

    def noise() -> list[float]:
        values = draw.standard_t(3, 12) / math.sqrt(3) if heavy else draw.standard_normal(12)
        return [float(value) for value in sd * values]

    def look() -> list[Reading]:
        of_layers = [
            reading([value + shift * (index == 2) for value in noise()], match, share=0.1, noise=noise())
            for index, match in enumerate(MATCHES[:4])
        ]
        return [reading(noise(), noise=noise()), *of_layers]

    first, fresh = look(), look()
    suspects = {each.layer for each in first if each.suspicion()}
    return timed.judge_all(first, [each for each in fresh if each.layer in suspects])


@pytest.mark.parametrize("heavy", [False, True], ids=["normal", "heavy-tailed"])
def test_false_alarms_are_rarer_than_the_family_error(heavy: bool) -> None:
    draw = np.random.default_rng(11)
    alarms = sum(
        any(each.outcome == "regressed" for each in trial(draw, heavy, 0.0, 0.02)) for _ in range(TRIALS)
    )  # fmt: skip
    assert alarms <= scipy.stats.binom.isf(1e-3, TRIALS, timed.FAMILY_ERROR)


@pytest.mark.parametrize("heavy", [False, True], ids=["normal", "heavy-tailed"])
def test_real_slow_downs_are_caught_and_named_alone(heavy: bool) -> None:
    draw = np.random.default_rng(12)
    named = [
        [each.layer for each in trial(draw, heavy, math.log(1.10), 0.01) if each.outcome == "regressed"]
        for _ in range(50)
    ]
    assert sum(names == [MATCHES[2].name] for names in named) >= 0.95 * 50


def test_without_a_margin_the_level_is_all_that_holds_alarms_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """So the two tests above can fail: judged at a level of 30 % and without margin, alarms are many."""
    monkeypatch.setattr(timed, "FAMILY_ERROR", 0.3)
    monkeypatch.setattr(timed, "NOISE_FACTOR", 0.0)
    monkeypatch.setattr(timed, "FLOOR_S", 0.0)
    monkeypatch.setattr(timed, "SUSPICION", 0.9)
    monkeypatch.setattr(limits.Limits, "threshold", lambda *_: 1e-9)
    draw = np.random.default_rng(11)
    alarms = sum(any(each.outcome == "regressed" for each in trial(draw, False, 0.0, 0.02)) for _ in range(30))
    assert alarms > scipy.stats.binom.isf(1e-3, 30, 0.01)


def test_the_interval_covers_the_truth_as_often_as_it_says() -> None:
    draw = np.random.default_rng(13)
    rows = draw.standard_normal((1000, 12)).tolist()
    outside = sum(not low <= 0.0 <= high for low, high in (stats.signed_rank_interval(row, 0.98) for row in rows))
    assert outside <= scipy.stats.binom.isf(1e-3, 1000, 0.02)
