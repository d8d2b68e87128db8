"""How often a network says what the labels say, and how sure that is: shares with intervals. No formatting."""

from __future__ import annotations

import dataclasses

CONFIDENCE = 0.95


@dataclasses.dataclass(frozen=True, kw_only=True)
class Top1:
    """A share of images whose largest output is the label, and its interval (Clopper and Pearson)."""

    count: int
    of: int
    low: float
    high: float

    @property
    def share(self) -> float:
        """The share itself."""
        return self.count / self.of


def top1(count: int, of: int) -> Top1:
    """Return the share of so many of so many images, with its interval.

    Source: `scipy.stats.binomtest(count, of).proportion_ci`, exact.
    """
    from scipy.stats import binomtest

    found = binomtest(count, of).proportion_ci(CONFIDENCE)
    return Top1(count=count, of=of, low=float(found.low), high=float(found.high))
