"""Which targets sum float16 in itself, and how much of it."""

from __future__ import annotations

import pytest

from mbench.hardware import half_sums, targets


@pytest.mark.parametrize(
    ("target", "terms"),
    [("arm64_cortex_a76", 64), ("arm64_apple_m1", 64), ("arm64_cortex_a72", 0), ("x86_64_v4", 0), ("cuda_sm90", 0)],
)
def test_arm_with_its_arithmetic_sums_halves_in_parts(target: str, terms: int) -> None:
    assert half_sums.of_target(targets.load(target)) == terms
