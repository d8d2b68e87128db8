"""What a tuning came to."""

from __future__ import annotations

from pathlib import Path

import pytest

from mbench.tuning.tuning_result import TuningFailure, TuningResult


@pytest.mark.parametrize(
    ("candidates", "complete"), [((), True), (("cpu.matmul rows=4",), True), (("cpu.matmul rows=4", ""), False)]
)
def test_a_candidate_may_fail_and_a_kernel_may_not(candidates: tuple[str, ...], complete: bool) -> None:
    failures = tuple(TuningFailure(kernel="k", candidate=each, reason="no") for each in candidates)
    result = TuningResult(
        target="host", threads=1, file=Path("tuned.toml"), kernels=(), waiting=(), networks=(), failures=failures
    )
    assert result.complete() == complete
