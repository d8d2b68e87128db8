from __future__ import annotations

from typing import Any

import pytest

from mbench.core.errors import UsageError
from mbench.core.fit_options import FitOptions
from mbench.core.fit_records import DeviceLimits


def test_limits_are_those_that_were_given() -> None:
    assert FitOptions(max_latency_s=0.02, max_memory_bytes=4e6, min_accuracy=65).limits == DeviceLimits(
        latency_s=0.02, memory_bytes=4e6, accuracy_percent=65
    )


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            {},
            "no limit is given; expected one of --max-latency, --max-memory, --max-weights, --max-energy, "
            "--min-accuracy",
        ),
        (
            {"minimize": "latency", "max_memory_bytes": 1e6},
            "--minimize latency alone is met by the smallest network; give --min-accuracy as well",
        ),
    ],
)  # fmt: skip
def test_what_decides_nothing_is_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError) as caught:
        _ = FitOptions(**given).limits
    assert str(caught.value) == said


@pytest.mark.parametrize(
    "given", [{"max_latency_s": 0}, {"max_latency_s": -1.0}, {"min_accuracy": 101}, {"minimize": "size"}, {"batch": 0}]
)
def test_values_out_of_range_are_refused(given: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        FitOptions(**given)
