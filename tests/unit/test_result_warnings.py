"""Each cause of a warning warns where it is there, and only there."""

from __future__ import annotations

import itertools
import statistics
from pathlib import Path
from typing import Any

import fake_devices as fakes
import msgspec
import pytest
import record_factory as factory
from result_factory import CALIBRATION, RECORD, made, seen, with_peaks

from mbench.analysis import above_peak
from mbench.core.machine_types import GpuConditions, Target
from mbench.core.sessions import Session
from mbench.measure import activity
from mbench.networks import variants
from mbench.pipeline import results
from mbench.pipeline.result_warnings import WARNINGS, Evidence, of_result

assert CALIBRATION is not None
QUIET = msgspec.structs.replace(CALIBRATION, flops_per_s={"float32": 1e15}, bytes_per_s={"DRAM": 1e15}, mixes=())
SLOW = msgspec.structs.replace(CALIBRATION, flops_per_s={"float32": 1e3}, bytes_per_s={"DRAM": 1e3}, mixes=())


def evidence(
    folder: Path, *, manifest: dict[str, Any] | None = None, seen: dict[str, Any] | None = None, **changes: Any
) -> Evidence:
    """Return what a quiet run of a fake artifact shows, with changes of its manifest and of what was seen."""
    given = {**(manifest or {})}
    built = fakes.compiled(folder / "artifact", given.pop("variant", fakes.variant()), **given)
    observation = fakes.observed(built, **(seen or {}))
    calibration = changes.get("calibration", QUIET)
    made = results.result(
        built, cached=False, target=RECORD.target, threads=2, observation=observation, calibration=calibration,
        reason="none",
    )  # fmt: skip
    known = {"target": RECORD.target, "calibration": calibration, "layers": made.layers, "seen": observation}
    return Evidence(manifest=built.manifest, **{**known, **changes})


def on_gpu() -> Target:
    return factory.on_gpu(RECORD).target


def avx2() -> Target:
    processor = msgspec.structs.replace(RECORD.target.processor, requires=("avx2", "ssse3"), vector_bits=256)
    return msgspec.structs.replace(RECORD.target, processor=processor)


HELD = msgspec.structs.replace(fakes.MOMENT, gpu=GpuConditions(slowed_by=("power cap",)))
CAUSES: dict[str, dict[str, Any]] = {
    "fallback": {"manifest": {"fallbacks": {"k1": "no rule"}}},
    "ignored choice": {"manifest": {"ignored": {"k1": "another machine"}}},
    "limited weights": {"manifest": {"limited": {"k1": "cpu.winograd 4x4"}}},
    "narrow channels": {"manifest": {"narrow": {"k1": 2}}},
    "no dot product": {"manifest": {"variant": variants.parse("mobilenet_v1_0.25_32_int8")}, "target": avx2()},
    "fewer multiply-adds": {"manifest": {"rules": {"k1": "cpu.winograd"}}},
    "above the measured peak": {"calibration": SLOW},
    "slowed GPU": {"seen": {"conditions_after": HELD}},
    "others busy": {"seen": {"wall_s": 1.0, "others_busy_s": 10 * activity.DISTURBED}},
    "stolen time": {"seen": {"conditions_after": msgspec.structs.replace(fakes.MOMENT, steal_s=9.0)}},
    "held back by the quota": {
        "seen": {
            "conditions_before": msgspec.structs.replace(fakes.MOMENT, throttled_s=0.5),
            "conditions_after": msgspec.structs.replace(fakes.MOMENT, throttled_s=9.0),
        }
    },
    "low peaks": {"calibration": msgspec.structs.replace(QUIET, others_busy=10 * activity.DISTURBED)},
    "source only": {"target": on_gpu()},
}
BY_PADDING = {"above the measured peak by padding"}
"""The cause that a test of its own shows, below."""


def test_every_cause_is_shown_to_warn() -> None:
    assert set(CAUSES) | BY_PADDING == set(WARNINGS)


@pytest.mark.parametrize("cause", CAUSES)
def test_a_cause_warns_and_no_other_does(cause: str, tmp_path: Path) -> None:
    shown = evidence(tmp_path, **CAUSES[cause])
    said = {name for name, warning in WARNINGS.items() if warning(shown) is not None}
    assert said == {cause}
    assert of_result(shown) == (WARNINGS[cause](shown),)


def test_nothing_is_said_of_a_quiet_run(tmp_path: Path) -> None:
    assert of_result(evidence(tmp_path)) == ()


def test_winograd_is_known_by_its_rule_and_not_by_words(tmp_path: Path) -> None:
    words = evidence(tmp_path, manifest={"schedules": {"k1": "cpu.winograd 8x1x16"}, "rules": {"k1": "cpu.matmul"}})
    assert WARNINGS["fewer multiply-adds"](words) is None
    rule = evidence(tmp_path, manifest={"schedules": {"k1": "8x1x16"}, "rules": {"k1": "cpu.winograd"}})
    assert (WARNINGS["fewer multiply-adds"](rule) or "").endswith("(Winograd, Strassen): block1.dw")


def test_what_was_not_timed_is_not_judged_by_time(tmp_path: Path) -> None:
    untimed = {"seen": None, "layers": (), "calibration": None}
    timed = ("fewer multiply-adds", "above the measured peak", "slowed GPU", "others busy", "stolen time")
    for cause in (*timed, "held back by the quota"):
        shown = evidence(tmp_path, **{**CAUSES[cause], "calibration": QUIET})
        given = {name: getattr(shown, name) for name in ("manifest", "target")} | untimed
        assert WARNINGS[cause](Evidence(**given)) is None


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
    assert "run it again on a quiet machine, with --no-cache" in warning  # right whether or not this run had it


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
    assert above_peak.taps_inside(own) < 1 / 1.5
    [padded] = [warning for warning in result.warnings if "multiply-adds on padding" in warning]
    assert last.name in padded
    assert not any(last.name in warning for warning in result.warnings if "--no-cache" in warning)


def test_warning_of_peaks_measured_on_a_busy_machine(tmp_path: Path) -> None:
    busy = with_peaks(flops_per_s={"float32": 1e15}, others_busy=fakes.DISTURBED_SHARE)
    [warning] = made(tmp_path, calibration=busy).warnings
    assert "peaks" in warning


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"others_busy_s": fakes.DISTURBED_SHARE, "wall_s": 1.0}, "other processes"),
        ({"conditions_after": msgspec.structs.replace(fakes.MOMENT, steal_s=3.0)}, "hypervisor gave 2.00 s"),
        (
            {
                "conditions_before": msgspec.structs.replace(fakes.MOMENT, throttled_s=1.0),
                "conditions_after": msgspec.structs.replace(fakes.MOMENT, throttled_s=3.5),
            },
            "the processor quota held threads back for 2.50 s while this was measured",
        ),
    ],
)
def test_warnings_of_disturbances(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    quiet = with_peaks(flops_per_s={"float32": 1e15})
    [warning] = made(tmp_path, calibration=quiet, observation=seen(tmp_path, **changes)).warnings
    assert said in warning


def session(**changes: Any) -> Session:
    moments = {"conditions_before": fakes.MOMENT, "conditions_after": fakes.MOMENT}
    given = {"samples": 5, "layer_samples": 5, "began_utc": fakes.MOMENT.at_utc, "wall_s": 1.0, "others_busy_s": 0.0}
    return Session(**{**given, **moments, **changes})


BUSY = {"others_busy_s": 0.9, "disturbed": ("other processes kept 0.90 processors busy",)}
STOLEN = {"conditions_after": msgspec.structs.replace(fakes.MOMENT, steal_s=3.0), "disturbed": ("stolen",)}
SLOWED = {"conditions_after": HELD, "disturbed": ("held back",)}


@pytest.mark.parametrize(
    ("disturbance", "said"),
    [(BUSY, "kept 0.90 processors busy"), (STOLEN, "gave 4.00 s"), (SLOWED, "clocks were held back")],
)
def test_only_sessions_that_count_are_warned_of(tmp_path: Path, disturbance: dict[str, Any], said: str) -> None:
    """The sums over all sessions, and the time between them, hold what was left out and other networks."""
    busy = {
        "runs": 10,
        "wall_s": 3.0,
        "others_busy_s": 1.8,
        "conditions_after": msgspec.structs.replace(fakes.MOMENT, steal_s=9.0),
    }
    left_out = (session(**disturbance, left_out=True, latency_s=(1.0,) * 5), session(), session())
    assert of_result(evidence(tmp_path, seen={**busy, "sessions": left_out})) == ()
    (warning,) = of_result(evidence(tmp_path, seen={**busy, "sessions": (session(**disturbance),) * 2}))
    assert said in warning


def test_what_the_machine_does_not_tell_is_no_disturbance(tmp_path: Path) -> None:
    quiet = with_peaks(flops_per_s={"float32": 1e15})
    silent = msgspec.structs.replace(fakes.MOMENT, steal_s=None)
    for before, after in itertools.product((silent, None, fakes.MOMENT), (silent, None)):
        observation = seen(tmp_path, conditions_before=before, conditions_after=after, others_busy_s=None)
        assert made(tmp_path, calibration=quiet, observation=observation).warnings == ()


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


@pytest.mark.parametrize(
    ("rates", "said"),
    [
        ({"float32": 2e11, "int8": 2.7e11}, "int8 multiplies 1.35 times as fast as float32, as measured"),
        ({"float32": 2e11}, "int8 multiplies 1.33 times as fast as float32, by its instructions, not measured"),
    ],
)
def test_where_there_is_no_dot_product_the_break_even_is_said(
    tmp_path: Path, rates: dict[str, float], said: str
) -> None:
    """Three instructions of AVX2 multiply 32 bytes, and three of float32's 24 numbers."""
    calibration = msgspec.structs.replace(QUIET, flops_per_s=rates)
    [warning] = of_result(evidence(tmp_path, **{**CAUSES["no dot product"], "calibration": calibration}))
    assert "no dot product of bytes (vpmaddubsw + vpmaddwd + vpaddd stand for one)" in warning
    assert said in warning
    assert warning.endswith("it breaks even at 1, and 4 is expected of it")


def test_a_processor_with_a_dot_product_is_not_warned_of(tmp_path: Path) -> None:
    able = msgspec.structs.replace(RECORD.target.processor, requires=("avx512_vnni", "avx512vl"))
    target = msgspec.structs.replace(RECORD.target, processor=able)
    assert of_result(evidence(tmp_path, **{**CAUSES["no dot product"], "target": target})) == ()
    assert of_result(evidence(tmp_path / "floats", target=avx2())) == ()


def test_what_a_limit_of_weights_changed_is_said_with_the_limit_and_the_way_out(tmp_path: Path) -> None:
    changed: dict[str, Any] = {"limited": {"k1": "cpu.winograd 4x4"}}
    for inputs, limit in (({}, "at most twice as many bytes"), ({"prefer": "memory"}, "as few bytes")):
        said = WARNINGS["limited weights"](evidence(tmp_path, manifest={**changed, "inputs": inputs})) or ""
        assert said.startswith(f"weights are to be {limit} as the parameters")
        assert said.endswith(": block1.dw; --prefer latency makes them as is quickest")
