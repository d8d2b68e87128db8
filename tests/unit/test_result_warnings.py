"""Each cause of a warning warns where it is there, and only there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import fake_devices as fakes
import msgspec
import pytest
import record_factory as factory

from mbench.core.machine_types import GpuConditions, Target
from mbench.measure import activity
from mbench.pipeline import results
from mbench.pipeline.result_warnings import WARNINGS, Evidence, of_result

RECORD = factory.record()
CALIBRATION = RECORD.device.calibration
assert CALIBRATION is not None
QUIET = msgspec.structs.replace(CALIBRATION, flops_per_s={"float32": 1e15}, bytes_per_s={"DRAM": 1e15}, mixes=())
SLOW = msgspec.structs.replace(CALIBRATION, flops_per_s={"float32": 1e3}, bytes_per_s={"DRAM": 1e3}, mixes=())


def evidence(
    folder: Path, *, manifest: dict[str, Any] | None = None, seen: dict[str, Any] | None = None, **changes: Any
) -> Evidence:
    """Return what a quiet run of a fake artifact shows, with changes of its manifest and of what was seen."""
    built = fakes.compiled(folder / "artifact", fakes.variant(), **(manifest or {}))
    observation = fakes.observed(built, **(seen or {}))
    calibration = changes.get("calibration", QUIET)
    made = results.result(
        built, cached=False, target=RECORD.target, threads=2, observation=observation, calibration=calibration,
        reason="none",
    )  # fmt: skip
    given = {"target": RECORD.target, "calibration": calibration, "layers": made.layers, "seen": observation}
    return Evidence(manifest=built.manifest, **{**given, **changes})


def on_gpu() -> Target:
    return factory.on_gpu(RECORD).target


HELD = msgspec.structs.replace(fakes.MOMENT, gpu=GpuConditions(slowed_by=("power cap",)))
CAUSES: dict[str, dict[str, Any]] = {
    "fallback": {"manifest": {"fallbacks": {"k1": "no rule"}}},
    "ignored choice": {"manifest": {"ignored": {"k1": "another machine"}}},
    "narrow channels": {"manifest": {"narrow": {"k1": 2}}},
    "fewer multiply-adds": {"manifest": {"rules": {"k1": "cpu.winograd"}}},
    "above the measured peak": {"calibration": SLOW},
    "slowed GPU": {"seen": {"conditions_after": HELD}},
    "others busy": {"seen": {"wall_s": 1.0, "others_busy_s": 10 * activity.DISTURBED}},
    "stolen time": {"seen": {"conditions_after": msgspec.structs.replace(fakes.MOMENT, steal_s=9.0)}},
    "low peaks": {"calibration": msgspec.structs.replace(QUIET, others_busy=10 * activity.DISTURBED)},
    "source only": {"target": on_gpu()},
}
ELSEWHERE = {"above the measured peak by padding"}
"""Causes that `test_results.py` shows."""


def test_every_cause_is_shown_to_warn() -> None:
    assert set(CAUSES) | ELSEWHERE == set(WARNINGS)


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
    assert (WARNINGS["fewer multiply-adds"](rule) or "").startswith("block1.dw: ")


def test_what_was_not_timed_is_not_judged_by_time(tmp_path: Path) -> None:
    untimed = {"seen": None, "layers": (), "calibration": None}
    for cause in ("fewer multiply-adds", "above the measured peak", "slowed GPU", "others busy", "stolen time"):
        shown = evidence(tmp_path, **{**CAUSES[cause], "calibration": QUIET})
        given = {name: getattr(shown, name) for name in ("manifest", "target")} | untimed
        assert WARNINGS[cause](Evidence(**given)) is None
