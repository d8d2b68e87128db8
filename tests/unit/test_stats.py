from __future__ import annotations

import math
import random
import subprocess
import sys

import numpy as np
import pytest
import scipy.stats

from mbench import stats


def normal_samples(count: int, seed: int = 1) -> list[float]:
    return np.random.default_rng(seed).normal(5.0, 2.0, count).tolist()


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
        "import sys; import mbench.records, mbench.stats, mbench.tables;"
        "print([n for n in ('scipy', 'numpy', 'pandas', 'plotly', 'jinja2', 'torch', 'tvm') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_noise_leaves_scipy_stats_alone() -> None:
    code = (
        "import sys; from mbench import stats; stats.noise([1, 2, 3], [1, 2, 4], 1);print('scipy.stats' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
