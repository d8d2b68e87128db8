"""Estimates over raw samples: median, quantiles, the noise of an A/A pair. Pure functions of numbers.

Not here: reading records, units, verdicts. scipy is imported inside the functions that need it: `scipy.special` takes
0.2 s to import and `scipy.stats` more, and most commands need neither.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import statistics
from collections.abc import Sequence

FALSE_ALARM_RATE = 0.01
POWER = 0.95
MIN_PAIRS = 3
MOST_LOG = 50.0
"""Of a change: beyond, a number is only an overflow."""
VISIBLE_IN_NORMAL_SDS = sum(map(statistics.NormalDist().inv_cdf, (1 - FALSE_ALARM_RATE, POWER)))
"""Quantiles of the normal distribution for FALSE_ALARM_RATE and POWER, added: what n samples see, in sd / sqrt(n)."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Noise:
    """How far two copies of one library seem to differ: the A/A pair, block by block."""

    log_ratio_mean: float
    """Mean of log(second / first): how far the two copies are apart in this run."""
    log_ratio_sd: float
    """Standard deviation of log(second / first) over the pairs of blocks."""
    pairs: int
    smallest_visible_change: float
    """The slow-down, as a fraction, that a comparison of the same length would catch: see `noise`."""


def median(samples: Sequence[float]) -> float:
    """Return the median.

    Raises:
        ValueError: there are no samples.
    """
    return quantile(samples, 0.5)


def quantile(samples: Sequence[float], fraction: float) -> float:
    """Return the quantile at `fraction` in [0, 1], linear between order statistics (numpy's default, type 7).

    Raises:
        ValueError: there are no samples, or the fraction is outside [0, 1].
    """
    return quantiles(samples, (fraction,))[0]


def quantiles(samples: Sequence[float], fractions: Sequence[float]) -> tuple[float, ...]:
    """Return the quantiles at `fractions`; the samples are sorted once. See `quantile`."""
    if not samples:
        raise ValueError("no samples; a quantile needs at least one")
    if not all(0 <= fraction <= 1 for fraction in fractions):
        raise ValueError(f"fractions {tuple(fractions)} are not all within [0, 1]")
    ordered = sorted(samples)
    return tuple(_between(ordered, fraction * (len(ordered) - 1)) for fraction in fractions)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Ratio:
    """How many times as long one set of times is as another, with its interval at a confidence."""

    estimate: float
    low: float
    high: float


def ratio(base: Sequence[float], head: Sequence[float], confidence: float) -> Ratio | None:
    """Return head over base of two independent sets of times; None where one is empty or holds a time of 0.

    The estimate is the median of the ratios of all pairs; the interval is the one that Mann and Whitney's exact test
    gives, two-sided: infinite where the sets are too short for the confidence. Source: Hodges and Lehmann, Annals of
    Mathematical Statistics 34 (1963); Hollander, Wolfe and Chicken, Nonparametric Statistical Methods, 4.2 and 4.3.
    """
    if not base or not head or min(*base, *head) <= 0:
        return None
    logs = sorted(math.log(b) - math.log(a) for a in base for b in head)
    outside = _mann_whitney_outside(len(base), len(head), (1 - confidence) / 2)
    low, high = (logs[outside - 1], logs[-outside]) if outside else (-math.inf, math.inf)
    return Ratio(estimate=math.exp(median(logs)), low=math.exp(low), high=math.exp(high))


@functools.cache
def _mann_whitney_outside(first: int, second: int, tail: float) -> int:
    """Return how many of the smallest differences lie outside of the interval's lower limit, that one included.

    The number of orders of the two sets that give each value of the statistic are the coefficients of the Gaussian
    binomial: the product of (1 - q^(second + i)) / (1 - q^i) over i up to `first`.
    """
    size = first * second
    ways = [1] + [0] * size
    for i in range(1, first + 1):
        for value in range(size, second + i - 1, -1):
            ways[value] -= ways[value - second - i]
        for value in range(i, size + 1):
            ways[value] += ways[value - i]
    allowed, below = tail * math.comb(first + second, first), 0
    for value, number in enumerate(ways):
        below += number
        if below > allowed:
            return value
    return 0


def _between(ordered: Sequence[float], position: float) -> float:
    low = math.floor(position)
    part = position - low
    return ordered[low] if part == 0 else ordered[low] * (1 - part) + ordered[low + 1] * part


@dataclasses.dataclass(frozen=True, kw_only=True)
class MedianInterval:
    """An interval of a median, of which no distribution is assumed."""

    low: float
    high: float
    confidence: float
    """That it really has: at least what was asked for, or less where there are too few values."""


def median_interval(values: Sequence[float], confidence: float) -> MedianInterval | None:
    """Return the interval of the median that the sign test gives: between two of the values; None for fewer than two.

    With n values the k-th smallest and the k-th largest enclose the median of the distribution with the probability
    1 - 2 P(X < k), X binomial (n, 1/2); k is the largest that keeps it at `confidence`, or 1. Source: Hollander, Wolfe
    and Chicken, Nonparametric Statistical Methods, 3.6.
    """
    count = len(values)
    if count < 2:
        return None
    outside, k, tail = 0.5**count, 1, 0.5**count
    while k < count // 2:
        tail += math.comb(count, k) * 0.5**count
        if 1 - 2 * tail < confidence:
            break
        k, outside = k + 1, tail
    ordered = sorted(values)
    return MedianInterval(low=ordered[k - 1], high=ordered[-k], confidence=1 - 2 * outside)


def smallest_change(deviation: float, count: int) -> float:
    """Return the slow-down, as a fraction, that `count` values a side would show in a one-sided t test of two means.

    At a false alarm rate of 1 % in 95 % of the cases: exp((t₀.₉₉ + t₀.₉₅) · sd · √(2/n)) - 1, both t with 2n - 2
    degrees of freedom; `deviation` is that of the logarithms of one side's values.
    """
    from scipy.special import stdtrit

    freedom = 2 * count - 2
    errors = float(stdtrit(freedom, 1 - FALSE_ALARM_RATE) + stdtrit(freedom, POWER))
    return math.expm1(min(errors * deviation * math.sqrt(2 / count), MOST_LOG))


def block_medians(samples: Sequence[float], block: int) -> tuple[float, ...]:
    """Return the medians of whole blocks of `block` samples in order, which are less dependent than the samples.

    Raises:
        ValueError: `block` is not positive.
    """
    return tuple(_block_medians(samples, block))


def noise(first: Sequence[float], twin: Sequence[float], block: int) -> Noise | None:
    """Return the noise of an A/A pair, or None if there are fewer than three pairs of whole blocks.

    `first` and `twin` are times of two A/A copies of a library, taken in blocks of `block` runs in the order A B B A …:
    the i-th block of one is paired with the i-th of the other, which ran next to it. A block counts by its median. The
    smallest visible change is the slow-down that as many pairs would show in a one-sided t test at 1 % false alarms in
    95 % of the cases: exp((t₀.₉₉ + t₀.₉₅) · sd / √n) - 1, both t with n - 1 degrees of freedom. Times of 0 (a clock too
    coarse) give None too: their ratio means nothing.

    Raises:
        ValueError: `block` is not positive.
    """
    pairs = list(zip(_block_medians(first, block), _block_medians(twin, block), strict=False))
    if len(pairs) < MIN_PAIRS or any(min(pair) <= 0 for pair in pairs):
        return None
    log_ratios = [math.log(b) - math.log(a) for a, b in pairs]
    deviation = statistics.stdev(log_ratios)
    visible = math.expm1(min(_visible_in_sds(len(pairs)) * deviation, MOST_LOG))
    return Noise(
        log_ratio_mean=statistics.fmean(log_ratios),
        log_ratio_sd=deviation,
        pairs=len(pairs),
        smallest_visible_change=visible,
    )


def _visible_in_sds(pairs: int) -> float:
    from scipy.special import stdtrit

    freedom = pairs - 1
    return float(stdtrit(freedom, 1 - FALSE_ALARM_RATE) + stdtrit(freedom, POWER)) / math.sqrt(pairs)


def _block_medians(samples: Sequence[float], block: int) -> list[float]:
    """Medians of whole blocks; a last, shorter block is left out, since it is noisier than the rest."""
    if block < 1:
        raise ValueError(f"block is {block}; expected at least 1 run")
    starts = range(0, len(samples) - block + 1, block)
    return [median(samples[start : start + block]) for start in starts]


# -------------------------------------------------------------------------------------------------- paired comparisons
def hodges_lehmann(differences: Sequence[float]) -> float:
    """Return the estimate of the centre of paired differences: the median of the means of all pairs, each with itself.

    Source: Hodges and Lehmann, Annals of Mathematical Statistics 34 (1963).

    Raises:
        ValueError: there are no differences.
    """
    return median(_walsh_averages(differences))


def signed_rank_interval(differences: Sequence[float], confidence: float) -> tuple[float, float]:
    """Return the two-sided interval of the centre of paired differences that Wilcoxon's signed-rank test gives.

    The limits are the k-th smallest and the k-th largest mean of two differences, where k is the largest for which the
    exact test leaves at most (1 - confidence) / 2 outside on either side. With too few differences for the asked
    confidence the interval is infinite. Source: Hollander, Wolfe and Chicken, Nonparametric Statistical Methods, 3.3.
    """
    averages = sorted(_walsh_averages(differences))
    k = _outside(len(differences), (1 - confidence) / 2)
    return (averages[k - 1], averages[-k]) if k else (-math.inf, math.inf)


def signed_rank_p(differences: Sequence[float], margin: float) -> float:
    """Return the p of the hypothesis that the centre of paired differences is at most `margin`: Wilcoxon, exact.

    Differences that equal the margin speak for the hypothesis.

    Raises:
        ValueError: there are no differences.
    """
    if not differences:
        raise ValueError("no differences; a test needs at least one")
    from scipy.stats import wilcoxon

    above = [difference - margin for difference in differences]
    tiny = min((abs(value) for value in above if value), default=1.0) / 2
    return float(wilcoxon([value or -tiny for value in above], alternative="greater", method="exact").pvalue)


def holm(p_values: Sequence[float]) -> tuple[float, ...]:
    """Return p-values adjusted for having been looked at together, in the order given.

    Source: Holm, Scandinavian Journal of Statistics 6 (1979).
    """
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    adjusted, worst = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(order):
        worst = max(worst, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = worst
    return tuple(adjusted)


def standard_error(values: Sequence[float]) -> float:
    """Return the standard error of the mean of at least two values."""
    return statistics.stdev(values) / math.sqrt(len(values))


def _walsh_averages(values: Sequence[float]) -> list[float]:
    return [(values[i] + values[j]) / 2 for i in range(len(values)) for j in range(i, len(values))]


def _outside(count: int, tail: float) -> int:
    """Return how many of the smallest Walsh averages lie outside of the interval's lower limit, that one included."""
    ways, total, below = [1], 2**count, 0
    for rank in range(1, count + 1):  # in how many ways ranks sum up to each value
        longer = [*ways, *([0] * rank)]
        for value, number in enumerate(ways):
            longer[value + rank] += number
        ways = longer
    for value, number in enumerate(ways):
        below += number
        if below / total > tail:
            return value
    return 0
