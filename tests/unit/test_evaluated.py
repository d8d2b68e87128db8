from __future__ import annotations

import pytest

from mbench.analysis import evaluated


@pytest.mark.parametrize(
    ("count", "of", "low", "high"),
    [(0, 10, 0.0, 0.3085), (10, 10, 0.6915, 1.0), (90, 100, 0.8238, 0.9510), (1, 2, 0.0126, 0.9874)],
)
def test_exact_intervals(count: int, of: int, low: float, high: float) -> None:
    """Oracle: Clopper and Pearson's limits as tables have them; of 0 in n the upper one is 1 - 0.025^(1/n)."""
    found = evaluated.top1(count, of)
    assert [found.low, found.high] == pytest.approx([low, high], abs=1e-4)
    assert found.share == count / of
    if not count:
        assert found.high == pytest.approx(1 - 0.025 ** (1 / of))
