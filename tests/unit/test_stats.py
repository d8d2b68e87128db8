from __future__ import annotations

import math
import random
import subprocess
import sys
from collections.abc import Sequence

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from mbench.core import stats


def normal_samples(count: int, seed: int = 1) -> list[float]:
    drawn: list[float] = np.random.default_rng(seed).normal(5.0, 2.0, count).tolist()
    return drawn


@pytest.mark.parametrize("count", [1, 2, 3, 10, 101])
def test_quantiles_are_numpys(count: int) -> None:
    samples = normal_samples(count)
    fractions = (0.0, 0.1, 0.25, 0.5, 0.77, 0.9, 1.0)
    assert stats.quantiles(samples, fractions) == pytest.approx(np.quantile(samples, fractions))
    assert stats.median(samples) == pytest.approx(np.median(samples))


def test_no_samples_have_no_quantile() -> None:
    with pytest.raises(ValueError, match="no samples"):
        stats.median([])


@pytest.mark.parametrize("fraction", [-0.1, 1.1])
def test_a_fraction_outside_is_refused(fraction: float) -> None:
    with pytest.raises(ValueError, match="within"):
        stats.quantile([1.0, 2.0], fraction)


def test_the_interval_of_a_ratio_is_the_one_of_the_exact_test() -> None:
    """Just inside of each limit Mann and Whitney's test does not reject, just outside it does."""
    from scipy.stats import mannwhitneyu

    generator = random.Random(3)
    base = [generator.lognormvariate(0, 0.1) for _ in range(9)]
    head = [generator.lognormvariate(0.2, 0.2) for _ in range(12)]
    found = stats.ratio(base, head, 0.95)
    assert found is not None

    def p(shift: float) -> float:
        moved = [value / shift for value in head]
        return float(mannwhitneyu(moved, base, alternative="two-sided", method="exact").pvalue)

    for limit, outwards in ((found.low, 0.999), (found.high, 1.001)):
        assert p(limit / outwards) > 0.05
        assert p(limit * outwards) <= 0.05
    ratios = sorted(b / a for a in base for b in head)
    assert found.low < found.estimate < found.high
    assert ratios[53] <= found.estimate <= ratios[54]


def test_published_critical_value() -> None:
    """Two sets of 5: U of at most 2 is rejected at 5 %, two-sided (Mann and Whitney, 1947, table I)."""
    assert stats._mann_whitney_outside(5, 5, 0.025) == 3
    assert stats._mann_whitney_outside(3, 3, 0.025) == 0


def test_a_ratio_covers_the_truth_as_often_as_it_says() -> None:
    generator = random.Random(7)
    hits = 0
    for _ in range(400):
        base = [generator.lognormvariate(0, 0.3) for _ in range(10)]
        head = [1.1 * generator.lognormvariate(0, 0.3) for _ in range(10)]
        found = stats.ratio(base, head, 0.95)
        assert found is not None
        hits += found.low <= 1.1 <= found.high
    assert 0.925 <= hits / 400 <= 0.985


def test_too_few_for_an_interval_and_no_ratio_of_nothing() -> None:
    short = stats.ratio([1.0, 1.1], [2.0, 2.1], 0.95)
    assert short is not None
    assert (short.low, short.high) == (0.0, math.inf)
    assert stats.ratio([], [1.0], 0.95) is None
    assert stats.ratio([1.0], [0.0], 0.95) is None


def test_block_medians_leave_out_the_last_short_block() -> None:
    assert stats.block_medians([1, 2, 3, 10, 20, 30, 99], 3) == (2, 20)


def test_noise_of_known_ratios() -> None:
    ratios = [1.01, 0.98, 1.03, 1.00]
    first = [1.0, 1.0, 9.0] * 4  # the median of a block hides its outlier
    twin = [value for ratio in ratios for value in (ratio, ratio, 0.1)]
    noise = stats.noise(first, twin, 3)
    assert noise is not None
    logs = np.log(ratios)
    assert noise.pairs == 4
    assert noise.log_ratio_mean == pytest.approx(logs.mean())
    assert noise.log_ratio_sd == pytest.approx(logs.std(ddof=1))
    t = scipy.stats.t(df=3)
    visible = math.exp((t.ppf(0.99) + t.ppf(0.95)) * logs.std(ddof=1) / 2) - 1
    assert noise.smallest_visible_change == pytest.approx(visible)


def test_a_shorter_last_block_is_left_out() -> None:
    first = [1.0] * 6 + [100.0]
    noise = stats.noise(first, [1.0] * 7, 2)
    assert noise is not None
    assert (noise.pairs, noise.log_ratio_sd) == (3, 0.0)


@pytest.mark.parametrize(
    ("first", "twin", "block"),
    [([1.0] * 5, [1.0] * 5, 2), ([1.0] * 20, [], 2), ([0.0] * 9, [1.0] * 9, 3), ([1.0] * 9, [0.0] * 9, 3)],
)
def test_too_little_for_a_noise(first: list[float], twin: list[float], block: int) -> None:
    assert stats.noise(first, twin, block) is None


def test_a_block_needs_a_run() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        stats.noise([1.0], [1.0], 0)


@pytest.mark.parametrize("pairs", [6, 20])
def test_a_change_just_visible_is_caught_as_often_as_promised(pairs: int) -> None:
    """Simulation: the t test of `pairs` log ratios, at 1 % false alarms, under no change and under the visible one."""
    deviation, trials = 0.02, 20_000
    visible = stats._visible_in_sds(pairs) * deviation
    draws = np.random.default_rng(7).normal(0.0, deviation, (trials, pairs))
    critical = scipy.stats.t.ppf(0.99, pairs - 1)

    def alarms(shift: float) -> float:
        shifted = draws + shift
        t = shifted.mean(axis=1) / shifted.std(axis=1, ddof=1) * math.sqrt(pairs)
        return float((t > critical).mean())

    assert alarms(0.0) == pytest.approx(stats.FALSE_ALARM_RATE, abs=0.003)
    assert alarms(visible) == pytest.approx(stats.POWER, abs=0.02)
    assert alarms(visible / 2) < 0.7


def test_noise_finds_a_deviation_it_was_given() -> None:
    generator = random.Random(3)
    first = [generator.gauss(1.0, 0.01) for _ in range(4000)]
    twin = [generator.gauss(1.0, 0.01) for _ in range(4000)]
    noise = stats.noise(first, twin, 1)
    assert noise is not None
    assert noise.log_ratio_sd == pytest.approx(0.01 * math.sqrt(2), rel=0.05)


def test_reading_results_imports_nothing_slow() -> None:
    code = (
        "import sys; import mbench.core.records, mbench.core.stats, mbench.terminal.record_tables;"
        "print([n for n in ('scipy', 'numpy', 'pandas', 'plotly', 'jinja2', 'torch', 'tvm') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_noise_leaves_scipy_stats_alone() -> None:
    code = "import sys; from mbench.core import stats; stats.noise([1, 2, 3], [1, 2, 4], 1)\n"
    code += "print('scipy.stats' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


# -------------------------------------------------------------------------------------------------- paired comparisons
DEPRESSION = tuple(
    after - before
    for before, after in zip(
        (1.83, 0.50, 1.62, 2.48, 1.68, 1.88, 1.55, 3.06, 1.30),
        (0.878, 0.647, 0.598, 2.05, 1.06, 1.29, 1.06, 3.14, 1.29),
        strict=True,
    )
)
"""Depression scale factor of nine patients, after minus before. Source: Hollander and Wolfe 1973, p. 29."""
LOST = tuple(-value for value in DEPRESSION)
CRITICAL = {5: 15, 6: 19, 7: 25, 8: 31, 9: 37, 10: 45, 12: 61, 15: 90, 20: 150}
"""The smallest t with P(T+ >= t) <= 0.05. Source: Hollander and Wolfe, table A.4 (quantiles of the signed rank)."""


def walsh(values: Sequence[float]) -> np.ndarray:
    """Return the sorted means of all pairs, by a matrix instead of loops."""
    array = np.asarray(values)
    return np.sort(((array[:, None] + array[None, :]) / 2)[np.triu_indices(len(array))])


def test_the_depression_data_of_hollander_and_wolfe() -> None:
    """R's `wilcox.test(x, y, paired = TRUE, alternative = "greater")` prints V = 40, p-value = 0.01953 = 10 / 512."""
    assert stats.signed_rank_p(LOST, 0.0) == pytest.approx(10 / 512)
    assert stats.hodges_lehmann(LOST) == pytest.approx(0.46)  # Hollander and Wolfe, example 3.3: -0.46
    low, high = stats.signed_rank_interval(LOST, 0.96)  # example 3.4: (-0.786, -0.010) at 96 %
    assert low == pytest.approx(0.010)
    assert high == pytest.approx(0.786)


def with_signed_rank(total: int, count: int) -> list[float]:
    """Return `count` differences whose positive ranks add up to `total`."""
    values = []
    for rank in range(count, 0, -1):
        values.append(float(rank if rank <= total else -rank))
        total -= rank if rank <= total else 0
    return values


@pytest.mark.parametrize("count", CRITICAL)
def test_the_test_turns_at_the_published_critical_values(count: int) -> None:
    assert stats.signed_rank_p(with_signed_rank(CRITICAL[count], count), 0.0) <= 0.05
    assert stats.signed_rank_p(with_signed_rank(CRITICAL[count] - 1, count), 0.0) > 0.05


@pytest.mark.parametrize("count", CRITICAL)
def test_the_interval_ends_at_the_average_that_the_critical_value_names(count: int) -> None:
    """Hollander and Wolfe, 3.3: C = n (n + 1) / 2 + 1 - t, the limits are the C-th averages from either end."""
    values = normal_samples(count, seed=count)
    place = count * (count + 1) // 2 + 1 - CRITICAL[count]
    averages = walsh(values)
    expected = (averages[place - 1], averages[-place])
    assert stats.signed_rank_interval(values, 0.90) == pytest.approx(expected)


def test_too_few_differences_have_no_interval() -> None:
    assert stats.signed_rank_interval([1.0, 2.0, 3.0, 4.0], 0.98) == (-math.inf, math.inf)
    assert all(map(math.isfinite, stats.signed_rank_interval(normal_samples(7), 0.98)))  # 1 / 128 < 1 %


def test_without_differences_there_is_nothing_to_say() -> None:
    with pytest.raises(ValueError, match="no samples"):
        stats.hodges_lehmann([])
    with pytest.raises(ValueError, match="no differences"):
        stats.signed_rank_p([], 0.0)


SHIFTED = st.lists(st.integers(-10_000, 10_000), min_size=8, max_size=30, unique_by=abs).map(
    lambda values: [value / 1000 + 0.0001 for value in values]
)


@given(SHIFTED)
@settings(deadline=None, max_examples=40)
def test_p_is_scipys_where_no_two_ranks_are_shared(values: list[float]) -> None:
    assert stats.signed_rank_p(values, 0.0) == pytest.approx(
        scipy.stats.wilcoxon(values, alternative="greater", method="exact").pvalue
    )


@given(st.floats(-0.5, 0.5), st.integers(1, 60))
@settings(deadline=None)
def test_differences_that_all_equal_the_margin_are_never_significant(margin: float, count: int) -> None:
    assert stats.signed_rank_p([margin] * count, margin) == pytest.approx(1.0)


@given(SHIFTED, st.floats(-2, 2), st.floats(0.1, 10))
@settings(deadline=None, max_examples=40)
def test_estimate_and_interval_move_and_stretch_with_the_data(values: list[float], by: float, times: float) -> None:
    moved = [times * value + by for value in values]
    assert stats.hodges_lehmann(moved) == pytest.approx(times * stats.hodges_lehmann(values) + by, abs=1e-9)
    low, high = stats.signed_rank_interval(values, 0.98)
    expected = (times * low + by, times * high + by)
    assert stats.signed_rank_interval(moved, 0.98) == pytest.approx(expected, abs=1e-9)
    assert low <= stats.hodges_lehmann(values) <= high


@given(SHIFTED, st.floats(0.0001, 0.5))
@settings(deadline=None, max_examples=40)
def test_a_larger_margin_never_makes_a_smaller_p(values: list[float], margin: float) -> None:
    assert stats.signed_rank_p(values, margin) >= stats.signed_rank_p(values, 0.0) - 1e-12


@given(SHIFTED)
@settings(deadline=None, max_examples=40)
def test_the_interval_is_what_the_test_does_not_reject(values: list[float]) -> None:
    low, _ = stats.signed_rank_interval(values, 0.98)
    assert stats.signed_rank_p(values, low - 1e-9) <= 0.01
    assert stats.signed_rank_p(values, low + 1e-9) > 0.01


@pytest.mark.parametrize("heavy", [False, True], ids=["normal", "heavy-tailed"])
def test_false_alarms_stay_within_the_level_and_shifts_are_seen(heavy: bool) -> None:
    draw = np.random.default_rng(7)
    noise = draw.standard_t(2, (800, 12)) if heavy else draw.standard_normal((800, 12))
    alarms = sum(stats.signed_rank_p(row, 0.0) <= 0.01 for row in noise.tolist())
    assert alarms <= scipy.stats.binom.isf(1e-4, 800, 0.01)
    seen = sum(stats.signed_rank_p(row, 0.0) <= 0.01 for row in (noise[:200] + 5.0).tolist())
    assert seen >= 0.95 * 200


def test_holms_worked_example() -> None:
    """R documents `p.adjust(c(0.01, 0.02, 0.03, 0.04, 0.05), "holm")`: 0.05 0.08 0.09 0.09 0.09."""
    assert stats.holm([0.01, 0.02, 0.03, 0.04, 0.05]) == pytest.approx([0.05, 0.08, 0.09, 0.09, 0.09])
    assert stats.holm([0.04, 0.01, 0.05, 0.03, 0.02]) == pytest.approx([0.09, 0.05, 0.09, 0.09, 0.08])
    assert stats.holm([]) == ()


@given(st.lists(st.floats(0, 1), min_size=1, max_size=40))
def test_holm_rejects_what_its_steps_reject(p_values: list[float]) -> None:
    adjusted = stats.holm(p_values)
    assert all(p <= more <= 1 for p, more in zip(p_values, adjusted, strict=True))
    left = sorted(range(len(p_values)), key=p_values.__getitem__)
    rejected = set()
    while left and len(left) * p_values[left[0]] <= 0.01:
        rejected.add(left.pop(0))
    assert {index for index, p in enumerate(adjusted) if p <= 0.01} == rejected
