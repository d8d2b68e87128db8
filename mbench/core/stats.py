"""Estimates over raw samples: median, quantiles, the noise of an A/A pair. Pure functions of numbers.

Not here: reading records, units, verdicts. scipy, which knows all of this, takes 0.25 s to import (`scipy.special`;
`scipy.stats` takes more), which was half of `mbench show`, and 2 ms for a test of a few numbers. Tests compare with it.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import math
import statistics
from collections.abc import Sequence

FALSE_ALARM_RATE = 0.01
POWER = 0.95
MIN_PAIRS = 3
_MOST_STEPS, _NEAR = 100, 1e-12
"""Of Newton's method: steps, and the last one relative to what was found."""
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


@functools.lru_cache(maxsize=1000)
def _visible_in_sds(pairs: int) -> float:
    quantiles = (student_quantile(pairs - 1, share) for share in (1 - FALSE_ALARM_RATE, POWER))
    return sum(quantiles) / math.sqrt(pairs)


def student_quantile(freedom: int, share: float) -> float:
    """Return what a share of Student's distribution lies below.

    Args:
        freedom: whole degrees of freedom, from 1 on.
        share: above one half and below 1.

    From the normal distribution's quantile on, Newton's steps come nearer from below: the share is concave there.
    """
    log_peak = math.lgamma((freedom + 1) / 2) - math.lgamma(freedom / 2) - math.log(math.pi * freedom) / 2
    found = statistics.NormalDist().inv_cdf(share)
    for _ in range(_MOST_STEPS):
        density = math.exp(log_peak - (freedom + 1) / 2 * math.log1p(found**2 / freedom))
        step = (share - _student_share(freedom, found)) / density
        found += step
        if abs(step) <= _NEAR * found:
            break
    return found


def _student_share(freedom: int, value: float) -> float:
    """Return the share of Student's distribution below a value above 0.

    Source: Abramowitz and Stegun, 26.7.3 and 26.7.4.
    """
    angle = math.atan(value / math.sqrt(freedom))
    cosine, odd = math.cos(angle), freedom % 2
    term = cosine if odd else 1.0
    total = term if freedom > 1 else 0.0
    for factor in range(2 + odd, freedom - 1, 2):
        term *= cosine**2 * (factor - 1) / factor
        total += term
    total *= math.sin(angle)
    between = 2 / math.pi * (angle + total) if odd else total
    return (1 + between) / 2


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

    Differences that equal the margin speak for the hypothesis. Where differences are as large as each other, a sum of
    ranks that is no whole number is rounded down, as scipy does.

    Raises:
        ValueError: there are no differences.
    """
    if not differences:
        raise ValueError("no differences; a test needs at least one")
    above = sorted((difference - margin for difference in differences), key=abs)
    if any(map(math.isnan, above)):
        return math.nan
    twice_positive = first = 0
    for _, group in itertools.groupby(above, key=abs):
        values = list(group)
        last = first + len(values)
        twice_positive += (first + 1 + last) * sum(value > 0 for value in values)  # all have the mean of their ranks
        first = last
    return _tails(len(above))[twice_positive // 2]


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


@functools.lru_cache(maxsize=1000)
def _outside(count: int, tail: float) -> int:
    """Return how many of the smallest Walsh averages lie outside of the interval's lower limit, that one included."""
    total, below = 2**count, 0
    for value, number in enumerate(_ways(count)):
        below += number
        if below / total > tail:
            return value
    return 0


@functools.lru_cache(maxsize=100)
def _tails(count: int) -> tuple[float, ...]:
    """Return the probability of each sum of positive ranks, or of a larger one."""
    larger = list(itertools.accumulate(reversed(_ways(count))))
    return tuple(number / 2**count for number in reversed(larger))


@functools.lru_cache(maxsize=100)
def _ways(count: int) -> tuple[int, ...]:
    """Return in how many ways some of the ranks 1 to `count` sum up to each value."""
    ways = [1]
    for rank in range(1, count + 1):
        longer = [*ways, *([0] * rank)]
        for value, number in enumerate(ways):
            longer[value + rank] += number
        ways = longer
    return tuple(ways)
