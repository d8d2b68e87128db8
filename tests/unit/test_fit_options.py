from __future__ import annotations

from typing import Any

import msgspec
import pytest

from mbench.cli.fit import fit
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
        (
            {"min_accuracy": 70.0},
            "--min-accuracy alone is met by the largest network; give a limit such as --max-latency, or --minimize "
            "latency, memory or energy",
        ),
    ],
)  # fmt: skip
def test_what_decides_nothing_is_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError) as caught:
        _ = FitOptions(**given).limits
    assert str(caught.value) == said


def test_among_networks_of_ones_own_the_least_is_a_question_without_accuracies() -> None:
    assert FitOptions(minimize="latency", candidates=("models/*.onnx",)).limits == DeviceLimits()


@pytest.mark.parametrize(
    "given", [{"max_latency_s": 0}, {"max_latency_s": -1.0}, {"min_accuracy": 101}, {"minimize": "size"}, {"batch": 0}]
)
def test_values_out_of_range_are_refused(given: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        FitOptions(**given)


@pytest.mark.parametrize(
    ("field", "option"),
    [
        ("max_latency_s", "--max-latency"),
        ("max_memory_bytes", "--max-memory"),
        ("max_weight_bytes", "--max-weights"),
        ("max_energy_j", "--max-energy"),
        ("time_s", "--time"),
    ],
)
def test_a_refusal_names_the_option_of_the_command_line(field: str, option: str) -> None:
    with pytest.raises(UsageError, match=f"^{option} "):
        msgspec.structs.replace(FitOptions(), **{field: 1e30})
    assert option in {name for parameter in fit.params for name in parameter.opts}
