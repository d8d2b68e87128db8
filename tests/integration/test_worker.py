from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import numpy as np
import pytest
from measure_plans import PLAN, STAGES, assert_accounted, ignore

from mbench.core import artifact
from mbench.core.artifact import Artifact
from mbench.devices import worker
from mbench.devices.local import LocalDevice
from mbench.devices.process import WorkerDied
from mbench.measure.observation import Observation
from mbench.measure.sustain import SustainPlan

pytest_plugins = ("worker_fixtures",)
pytestmark = pytest.mark.usefixtures("nothing_left_running")


# ------------------------------------------------------------------------------------------------------------ measuring
@pytest.fixture(scope="module")
def observed(tiny: Artifact, tmp_path_factory: pytest.TempPathFactory) -> tuple[Observation, list[tuple[str, float]]]:
    told: list[tuple[str, float]] = []
    opened = LocalDevice(lock_dir=tmp_path_factory.mktemp("locks"), timeout_s=60)
    try:
        return opened.measure(tiny, PLAN, lambda *what: told.append(what)), told
    finally:
        opened.close()


def test_as_many_samples_as_were_asked_for(observed: tuple[Observation, Any], tiny: Artifact) -> None:
    seen, _ = observed
    assert seen.latency_s is not None
    assert seen.calls_s is not None
    assert seen.overhead_s is not None
    assert len(seen.latency_s) == 30
    assert [len(samples) for samples in seen.calls_s] == [15] * len(tiny.manifest.calls)
    assert len(seen.overhead_s) == 15
    assert all(seconds > 0 for seconds in seen.latency_s)
    assert len(set(seen.latency_s)) > 1


def test_the_output_agrees_with_torch(observed: tuple[Observation, Any]) -> None:
    numerics = observed[0].numerics
    assert numerics.passed
    assert numerics.max_rel_error is not None
    assert 0 < numerics.max_rel_error < 1e-4  # exactly 0 would mean that nothing was compared


@pytest.mark.slow
def test_layers_and_the_whole_fit_each_other(tiny: Artifact, device: LocalDevice) -> None:
    plan = msgspec.structs.replace(PLAN, repeat=10, layer_repeat=10)
    assert_accounted(device, tiny, plan)


def test_conditions_and_process_are_recorded(observed: tuple[Observation, Any], tiny: Artifact) -> None:
    seen, _ = observed
    assert seen.threads == 1
    assert seen.affinity  # the runtime binds its threads to some of the processors that we may use
    assert set(seen.affinity) <= os.sched_getaffinity(0)
    assert seen.warmup_runs
    assert seen.warmup_s
    assert seen.process_peak_bytes is not None
    assert 20 * 2**20 < seen.process_peak_bytes < 4 * 2**30  # Python and the runtime at least
    assert seen.instrument_cost_s is not None
    assert seen.instrument_cost_s >= 0
    assert seen.conditions_before is not None
    assert seen.conditions_after is not None
    assert (seen.energy is None) == (seen.energy_missing is not None)


def test_the_stages_are_told_in_order(observed: tuple[Observation, list[tuple[str, float]]]) -> None:
    told = observed[1]
    order = list(dict.fromkeys(stage for stage, _ in told))
    assert order[:5] == list(STAGES)
    assert all(0 <= fraction <= 1 for _, fraction in told)


# ------------------------------------------------------------------------------------------------------ wrong artifacts
def with_reference(tiny: Artifact, tmp_path: Path, change: Callable[[np.ndarray], np.ndarray]) -> Artifact:
    """Return the same library with another expected output."""
    (work := tmp_path / "work").mkdir()
    shutil.copy(tiny.library, work)
    with np.load(tiny.reference) as reference:
        np.savez(work / artifact.REFERENCE, input=reference["input"], output=change(reference["output"]))
    return artifact.store(tiny.manifest, work, tmp_path / "wrong")


def test_a_wrong_result_is_not_timed(tiny: Artifact, device: LocalDevice, tmp_path: Path) -> None:
    told: list[str] = []
    wrong = with_reference(tiny, tmp_path, lambda output: output + 0.01 * np.abs(output).max())
    seen = device.measure(wrong, PLAN, lambda stage, _: told.append(stage))
    assert not seen.numerics.passed
    assert seen.numerics.max_rel_error == pytest.approx(0.01, rel=0.05)
    assert seen.numerics.detail is not None
    assert (seen.latency_s, seen.calls_s, seen.energy) == (None, None, None)
    assert told == ["loading", "checking"]


def test_a_wrong_result_is_not_put_under_load(tiny: Artifact, device: LocalDevice, tmp_path: Path) -> None:
    told: list[str] = []
    wrong = with_reference(tiny, tmp_path, lambda output: output + 0.01 * np.abs(output).max())
    plan = SustainPlan(seconds=3600.0, threads=1, tolerance=1e-4)
    with pytest.raises(WorkerDied, match=r"^wrong result: max_rel_error .*; it is not timed$") as caught:
        device.sustain(wrong, plan, lambda stage, _: told.append(stage))
    assert (caught.value.stage, told) == ("checking", ["loading", "checking"])


def test_kernels_that_are_not_the_artifacts_end_the_measurement(
    tiny: Artifact, device: LocalDevice, tmp_path: Path
) -> None:
    (work := tmp_path / "work").mkdir()
    shutil.copy(tiny.library, work)
    shutil.copy(tiny.reference, work)
    calls = (("stranger", 0), *tiny.manifest.calls[1:])
    wrong = artifact.store(msgspec.structs.replace(tiny.manifest, calls=calls), work, tmp_path / "wrong")
    with pytest.raises(WorkerDied, match="ran where the artifact names 'stranger'") as caught:
        device.measure(wrong, PLAN, ignore)
    assert caught.value.stage == "measuring layers"


@pytest.mark.parametrize("name", [artifact.LIBRARY, artifact.MANIFEST])
def test_a_damaged_artifact_is_not_loaded(tiny: Artifact, device: LocalDevice, tmp_path: Path, name: str) -> None:
    folder = tmp_path / "damaged"
    shutil.copytree(tiny.folder, folder)
    (folder / name).write_bytes((folder / name).read_bytes()[:-100])
    with pytest.raises(WorkerDied, match=f"artifact {folder}: ") as caught:
        device.measure(Artifact(folder, tiny.manifest), PLAN, ignore)
    assert caught.value.stage == "loading"
    assert "\n" not in str(caught.value)


# ----------------------------------------------------------------------------------------------------------- messages
def test_a_new_stage_is_told_at_once_and_its_share_twice_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter((0.0, 0.125, 0.25, 0.75, 0.875))
    monkeypatch.setattr(time, "monotonic", lambda: next(times))
    sent: list[tuple[str, str, float]] = []
    pipe: Any = SimpleNamespace(send=sent.append)
    send = worker._sparing(pipe)
    for stage, fraction in (
        ("loading", 0.0),
        ("loading", 0.5),
        ("measuring", 0.0),
        ("measuring", 0.5),
        ("measuring", 0.6),
    ):
        send(stage, fraction)
    assert sent == [("stage", "loading", 0.0), ("stage", "measuring", 0.0), ("stage", "measuring", 0.5)]
