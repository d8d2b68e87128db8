from __future__ import annotations

import itertools
import statistics
from pathlib import Path
from typing import Any

import fake_devices as fakes
import msgspec
import pytest
import record_factory as factory
import torch

from mbench.analysis import pairs
from mbench.core.machine_types import Calibration, GpuConditions, Target
from mbench.core.records import MeteredEnergy, Result
from mbench.hardware import targets
from mbench.pipeline import result_warnings, results

RECORD = factory.record()
CALIBRATION = RECORD.device.calibration
NO_REASON = "the record gives no reason"
METERED = MeteredEnergy(energy_j=0.1, method="measured: RAPL", window_s=1.0, runs=10)


def made(folder: Path, *, changes: dict[str, Any] | None = None, **options: Any) -> Result:
    """Return the result of a fake artifact; `changes` are of its manifest."""
    built = fakes.compiled(folder / "artifact", fakes.variant(), **(changes or {}))
    given: dict[str, Any] = {
        "cached": False,
        "target": RECORD.target,
        "threads": 2,
        "observation": fakes.observed(built),
        "calibration": CALIBRATION,
        "reason": "the peaks could not be measured",
    }
    return results.result(built, **{**given, **options})


def seen(folder: Path, **changes: Any) -> Any:
    return fakes.observed(fakes.compiled(folder / "artifact", fakes.variant()), **changes)


def with_peaks(**changes: Any) -> Calibration:
    assert CALIBRATION is not None
    return msgspec.structs.replace(CALIBRATION, **changes)


# ------------------------------------------------------------------------------------------------------------ numbers
def test_the_books_close(tmp_path: Path) -> None:
    observation = seen(tmp_path)
    books = made(tmp_path, observation=observation).time_balance
    assert books is not None
    assert books.layer_sum_s + books.overhead_s + books.unattributed_s == pytest.approx(books.end_to_end_s, abs=1e-18)
    assert books.end_to_end_s == statistics.median(observation.latency_s)
    assert books.overhead_s == 1e-5
    assert books.instrument_cost_s == 1e-7
    runs = [sum(run) for run in zip(*observation.calls_s, strict=True)]
    assert books.layer_sum_s == statistics.median(runs)


def test_books_of_a_slower_instrumented_run_are_negative(tmp_path: Path) -> None:
    books = made(tmp_path, observation=seen(tmp_path, latency_s=(1e-9,) * 5)).time_balance
    assert books is not None
    assert books.unattributed_s < 0


def test_a_layer_is_the_sum_of_its_kernels_run_by_run(tmp_path: Path) -> None:
    observation = seen(tmp_path)
    layers = made(tmp_path, observation=observation).layers
    assert layers[0].kernel == "k0a + k0b"
    expected = [sum(both) for both in zip(observation.calls_s[0], observation.calls_s[1], strict=True)]
    assert layers[0].latency_s == pytest.approx(expected)
    assert layers[1].latency_s == observation.calls_s[2]
    for run in range(5):
        parts = sum(layer.latency_s[run] for layer in layers if layer.latency_s)
        assert parts == pytest.approx(sum(call[run] for call in observation.calls_s))


def test_modelled_energy_adds_up(tmp_path: Path) -> None:
    result = made(tmp_path)
    assert result.energy.energy_j == pytest.approx(sum(result.energy.components_j.values()))
    assert result.energy.energy_j == pytest.approx(sum(layer.energy_j or 0 for layer in result.layers))
    assert "static" in result.energy.components_j
    assert "static" not in made(tmp_path, observation=None).energy.components_j


def test_a_wrong_result_is_not_timed(tmp_path: Path) -> None:
    result = made(tmp_path, observation=fakes.unseen(fakes.WRONG))
    assert result.numerics is not None
    assert not result.numerics.passed
    assert (result.end_to_end.latency_s, result.time_balance) == (None, None)
    assert result.end_to_end.threads == 2
    assert all(layer.latency_s is None and layer.roofline is None for layer in result.layers)
    assert "wrong: 0.1 > 0.0001" in pairs.why_missing(result, "end_to_end.latency_s")


# ------------------------------------------------------------------------------------------- a reason for what is null
def _without_energy() -> Target:
    return msgspec.structs.replace(RECORD.target, energy=None)


CASES: dict[str, dict[str, Any]] = {
    "all is well": {},
    "compiled only": {"observation": None, "calibration": None, "reason": "not measured: --compile-only"},
    "wrong": {"observation": fakes.unseen(fakes.WRONG)},
    "not finite": {"observation": fakes.unseen(fakes.NOT_FINITE)},
    "no peaks": {"calibration": None},
    "no coefficients": {"target": _without_energy()},
    "no coefficients, compiled only": {"target": _without_energy(), "observation": None, "calibration": None},
    "no affinity, no peak": {"affinity": None, "process_peak_bytes": None},
    "no conditions": {"conditions_before": None, "conditions_after": None},
    "nobody knows of others": {"wall_s": None, "others_busy_s": None},
    "a meter": {"energy": METERED, "energy_missing": None},
    "a meter that fails": {"energy": None, "energy_missing": None},
    "layers of no time": {"kernel_s": 0.0},
}


@pytest.mark.parametrize("name", CASES)
def test_every_null_has_its_reason(tmp_path: Path, name: str) -> None:
    case = CASES[name]
    given = {key: value for key, value in case.items() if key in ("target", "observation", "calibration", "reason")}
    rest = {key: value for key, value in case.items() if key not in given}
    result = made(tmp_path, **({"observation": seen(tmp_path, **rest)} if rest else {}), **given)
    found = fakes.nulls(result)
    assert {
        path: pairs.why_missing(result, path) for path in found if pairs.why_missing(result, path) == NO_REASON
    } == {}
    assert "layers.counters" in found
    assert all(reason and "\n" not in reason for reason in result.missing.values())


def test_the_check_above_sees_a_null_without_reason(tmp_path: Path) -> None:
    result = msgspec.structs.replace(made(tmp_path), time_balance=None)
    assert "time_balance" in fakes.nulls(result)
    assert pairs.why_missing(result, "time_balance") == NO_REASON


@pytest.mark.parametrize("name", CASES)
def test_no_reason_is_given_for_what_is_there(tmp_path: Path, name: str) -> None:
    case = CASES[name]
    given = {key: value for key, value in case.items() if key in ("target", "observation", "calibration", "reason")}
    rest = {key: value for key, value in case.items() if key not in given}
    result = made(tmp_path, **({"observation": seen(tmp_path, **rest)} if rest else {}), **given)
    assert set(result.missing) <= {
        ".".join(parts[:length]) for path in fakes.nulls(result) for parts in [path.split(".")] for length in (1, 2)
    }


# ----------------------------------------------------------------------------------------------------------- warnings
def test_no_warnings_where_all_is_well(tmp_path: Path) -> None:
    assert made(tmp_path, calibration=with_peaks(flops_per_s={"float32": 1e15})).warnings == ()


def test_warnings_of_kernels(tmp_path: Path) -> None:
    changes = {"fallbacks": {"k3": "no rule"}, "narrow": {"k2": 4}}
    slow = with_peaks(flops_per_s={"float32": 1e15})
    fallback, narrow = made(tmp_path, changes=changes, calibration=slow).warnings
    assert "k3" in fallback
    assert "k2" not in narrow
    name = fakes.compiled(tmp_path / "artifact", fakes.variant()).manifest.layers[2].name
    assert name in narrow
    both = made(tmp_path, changes=changes, observation=None, calibration=None).warnings
    assert len(both) == 2  # known without running


def test_warning_of_a_peak_that_is_too_low(tmp_path: Path) -> None:
    low = with_peaks(flops_per_s={"float32": 1.0}, bytes_per_s={"L1": 1.0, "L2": 1.0, "DRAM": 1.0})
    [warning] = made(tmp_path, calibration=low).warnings
    assert "exceeds the measured peak" in warning
    assert "--no-cache" in warning


def test_multiply_adds_with_padding_explain_what_is_faster_than_the_peak(tmp_path: Path) -> None:
    """One above it by a half, where more than that are padding, is no sign of a wrong peak."""
    high = {"L1": 1e18, "L2": 1e18, "L3": 1e18, "DRAM": 1e18}
    [*_, last] = [layer for layer in made(tmp_path, calibration=with_peaks()).layers if layer.op == "depthwise_conv2d"]
    assert last.latency_s
    rate = 2 * last.macs / statistics.median(last.latency_s)
    peaks = with_peaks(flops_per_s={"float32": rate / 1.5}, bytes_per_s=high, mixes={})
    result = made(tmp_path, calibration=peaks)
    [own] = [layer for layer in result.layers if layer.name == last.name]
    assert own.roofline
    assert own.roofline.fraction_of_bound == pytest.approx(1.5)
    assert result_warnings.taps_inside(own) < 1 / 1.5
    [padded] = [warning for warning in result.warnings if "multiply-adds on padding" in warning]
    assert last.name in padded
    assert not any(last.name in warning for warning in result.warnings if "--no-cache" in warning)


@pytest.mark.parametrize(
    ("inputs", "kernel", "stride"), [(7, 3, 1), (14, 3, 2), (1, 3, 1), (7, 5, 1), (7, 1, 1), (6, 2, 2)]
)
def test_the_share_of_taps_inside_is_what_a_convolution_of_ones_sums(inputs: int, kernel: int, stride: int) -> None:
    ones, padding = torch.ones(1, 1, inputs, inputs), (kernel - 1) // 2
    summed = torch.nn.functional.conv2d(ones, torch.ones(1, 1, kernel, kernel), stride=stride, padding=padding)
    layer = msgspec.structs.replace(
        next(layer for layer in RECORD.results[0].layers if layer.kernel_size),
        input_shape=(1, 8, inputs, inputs), output_shape=(1, 8, *summed.shape[2:]), kernel_size=(kernel, kernel),
        stride=(stride, stride),
    )  # fmt: skip
    assert result_warnings.taps_inside(layer) == pytest.approx(float(summed.sum()) / (summed.numel() * kernel**2))


def test_warning_of_peaks_measured_on_a_busy_machine(tmp_path: Path) -> None:
    busy = with_peaks(flops_per_s={"float32": 1e15}, others_busy=fakes.DISTURBED_SHARE)
    [warning] = made(tmp_path, calibration=busy).warnings
    assert "peaks" in warning


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"others_busy_s": fakes.DISTURBED_SHARE, "wall_s": 1.0}, "other processes"),
        ({"conditions_after": msgspec.structs.replace(fakes.MOMENT, steal_s=3.0)}, "hypervisor gave 2.00 s"),
    ],
)
def test_warnings_of_disturbances(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    quiet = with_peaks(flops_per_s={"float32": 1e15})
    [warning] = made(tmp_path, calibration=quiet, observation=seen(tmp_path, **changes)).warnings
    assert said in warning


def test_what_the_machine_does_not_tell_is_no_disturbance(tmp_path: Path) -> None:
    quiet = with_peaks(flops_per_s={"float32": 1e15})
    silent = msgspec.structs.replace(fakes.MOMENT, steal_s=None)
    for before, after in itertools.product((silent, None, fakes.MOMENT), (silent, None)):
        observation = seen(tmp_path, conditions_before=before, conditions_after=after, others_busy_s=None)
        assert made(tmp_path, calibration=quiet, observation=observation).warnings == ()


# ------------------------------------------------------------------------------------------------------------------ gpu
def test_a_gpu_that_was_held_back_is_warned_of(tmp_path: Path) -> None:
    moments = [
        msgspec.structs.replace(fakes.MOMENT, gpu=GpuConditions(slowed_by=reasons))
        for reasons in ((), ("power cap", "temperature (software)"))
    ]
    observation = seen(tmp_path, conditions_before=moments[0], conditions_after=moments[1])
    slow = with_peaks(flops_per_s={"float32": 1e15})
    (warning,) = made(tmp_path, observation=observation, calibration=slow).warnings
    assert warning == ("the GPU's clocks were held back while this was measured: power cap, temperature (software)")
    unknown = seen(tmp_path, conditions_before=msgspec.structs.replace(fakes.MOMENT, gpu=GpuConditions()))
    assert made(tmp_path, observation=unknown, calibration=slow).warnings == ()


def test_a_gpus_own_methods_and_memory_are_kept(tmp_path: Path) -> None:
    observation = seen(tmp_path, latency_method="by events", time_balance_method="held back", device_bytes=7)
    result = made(tmp_path, observation=observation, target=targets.load("cuda_sm90"))
    assert result.end_to_end.method == "by events"
    assert result.time_balance is not None
    assert result.time_balance.method == "held back"
    assert result.memory.device_bytes == 7
    compiled = made(tmp_path, observation=None, target=targets.load("cuda_sm90"))
    assert compiled.missing["memory.device_bytes"] == "the peaks could not be measured"
