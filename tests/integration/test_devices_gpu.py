"""The GPU's device with TVM's own CUDA runtime, on a stand-in for CUDA's libraries (`data/fake_cuda.c`).

The stand-in keeps a device's time and memory and computes nothing, so a run is first seen to fail its check, and then
measured with the check made to pass. What it cannot show, the speed of kernels, no test here shows.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import statistics
import subprocess
import sys
from pathlib import Path

import fake_cuda
import msgspec
import numpy as np
import pytest
from conftest import require

from mbench.build import build
from mbench.core import artifact, record_files
from mbench.core.machine_types import Calibration
from mbench.devices.gpu import GpuDevice
from mbench.devices.local import LocalDevice
from mbench.hardware import targets
from mbench.measure.observation import Observation
from mbench.measure.sustain import SustainedRun
from mbench.networks import variants
from mbench.tuning import jobs, search
from mbench.tuning.plans import Built, Readings, TimingPlan

KERNEL_US = 50
JOB = """
import sys
sys.modules["torch"] = None
from pathlib import Path
import msgspec
from mbench.hardware import targets
from mbench.devices import gpu
from mbench.core.errors import MbenchError
from mbench.measure import numerics
from mbench.measure.observation import MeasurePlan
from mbench.core.settings import Warmup

job, folder, check = sys.argv[1:]
if check == "passes":
    worst = numerics.worst
    numerics.worst = lambda outputs, expected, tolerance: worst(expected.outputs, expected, tolerance)
plan = MeasurePlan(threads=1, number=1, repeat=20, layer_repeat=10, block=5, warmup=Warmup(max_s=0.2),
            measure_max_s=None, tolerance=1e-4)
try:
    if job == "alone":
        from mbench.core import artifact
        from mbench.hardware import cudart
        from mbench.measure import gpu as measuring

        cudart.prepare_tvm()
        stream = cudart.Runtime()
        loaded = measuring.program(artifact.load(Path(folder)), stream)
        layers, _ = measuring.layers_alone(loaded, [[1.0]] * len(loaded.artifact.manifest.calls))
        answer = []
        for layer in layers:
            stream.wait()
            stream.hold(0.05)
            start = stream.record()
            layer()
            stop = stream.record()
            stream.wait()
            answer.append(stream.seconds(start, stop))
    elif job == "tune":
        from mbench.tuning.plans import TimingPlan

        timed = msgspec.json.decode(Path(folder, "plan.json").read_bytes(), type=TimingPlan)
        if check == "passes":
            from mbench.hardware import cudart

            cudart.prepare_tvm()
            cudart.Runtime()
            from mbench.tuning import timing

            timing._Setup._error = lambda *_: 0.0
        from mbench.tuning import timer

        answer = timer.time_on_gpu(lambda stage, fraction: None, timed)
    elif job == "sustain":
        from mbench.measure.sustain import SustainPlan

        under_load = SustainPlan(seconds=2.0, threads=1, tolerance=1e-4)
        answer = gpu.sustain(lambda stage, fraction: None, Path(folder), under_load)
    elif job == "measure":
        answer = gpu.measure(lambda stage, fraction: None, Path(folder), plan)
    else:
        answer = gpu.calibrate(lambda stage, fraction: None, targets.load("cuda_sm90"))
except MbenchError as error:
    sys.exit(f"{type(error).__name__}: {error}")
sys.stdout.write(msgspec.json.encode(answer).decode())
"""


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    require(shutil.which("cc"), "no C compiler")
    require(shutil.which("nvcc"), "nvcc is not on PATH")
    return {**os.environ, **fake_cuda.build(tmp_path_factory.mktemp("cuda")), "TVM_NUM_THREADS": "1"}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> artifact.Artifact:
    require(shutil.which("nvcc"), "nvcc is not on PATH")
    variant = variants.parse("mobilenet_v1_0.25_32")
    return build.build(variant, targets.load("cuda_sm90"), tmp_path_factory.mktemp("cache"))[0]


def run(
    environment: dict[str, str], job: str, folder: Path, check: str, **settings: int
) -> subprocess.CompletedProcess[str]:
    told = {f"FAKE_{name.upper()}": str(value) for name, value in settings.items()}
    command = [sys.executable, "-c", JOB, job, str(folder), check]
    return subprocess.run(
        command, env={**environment, **told}, capture_output=True, text=True, timeout=300, check=False
    )


@pytest.fixture(scope="module")
def seen(environment: dict[str, str], tiny: artifact.Artifact) -> Observation:
    done = run(environment, "measure", tiny.folder, "passes", kernel_us=KERNEL_US)
    assert done.returncode == 0, done.stderr
    return msgspec.json.decode(done.stdout, type=Observation)


@pytest.mark.slow
def test_a_device_that_computes_nothing_is_not_timed(environment: dict[str, str], tiny: artifact.Artifact) -> None:
    done = run(environment, "measure", tiny.folder, "runs")
    found = msgspec.json.decode(done.stdout, type=Observation)
    assert not found.numerics.passed
    assert found.latency_s is None


@pytest.mark.slow
def test_every_kernel_takes_what_the_device_takes_for_it(seen: Observation, tiny: artifact.Artifact) -> None:
    assert seen.calls_s is not None
    assert len(seen.calls_s) == len(tiny.manifest.calls)
    for samples in seen.calls_s:  # a kernel of TVM's may be several launches
        launches = statistics.median(samples) / (KERNEL_US * 1e-6)
        assert launches == pytest.approx(round(launches), abs=0.01)
        assert launches > 0.9
    assert seen.instrument_cost_s == pytest.approx(0, abs=1e-6), "the stand-in's events take no time of the device"
    assert "device events" in (seen.time_balance_method or "")


@pytest.mark.slow
def test_the_books_close(seen: Observation) -> None:
    assert seen.latency_s is not None
    assert seen.calls_s is not None
    assert seen.overhead_s is not None
    whole = statistics.median(seen.latency_s)
    layers = sum(statistics.median(samples) for samples in seen.calls_s)
    assert whole >= layers * 0.999, "the device works off all kernels in both"
    assert layers + statistics.median(seen.overhead_s) == pytest.approx(whole, rel=0.02), "its gaps are the host's"


@pytest.mark.slow
def test_a_quick_device_waits_for_the_host_and_that_is_the_launch_gap(
    environment: dict[str, str], tiny: artifact.Artifact
) -> None:
    done = run(environment, "measure", tiny.folder, "passes", kernel_us=0)
    found = msgspec.json.decode(done.stdout, type=Observation)
    assert found.calls_s is not None
    assert found.latency_s is not None
    assert found.overhead_s is not None
    assert sum(statistics.median(samples) for samples in found.calls_s) < 1e-6
    assert statistics.median(found.overhead_s) == pytest.approx(statistics.median(found.latency_s), rel=0.01)


@pytest.mark.slow
def test_a_gpu_under_load_takes_what_the_device_takes(
    environment: dict[str, str], tiny: artifact.Artifact, seen: Observation
) -> None:
    done = run(environment, "sustain", tiny.folder, "passes", kernel_us=KERNEL_US)
    assert done.returncode == 0, done.stderr
    found = msgspec.json.decode(done.stdout, type=SustainedRun)
    assert 1 <= len(found.points) <= 4  # of half a second
    assert seen.calls_s is not None
    kernels_s = sum(statistics.median(samples) for samples in seen.calls_s)
    assert all(point.median_s >= kernels_s * 0.999 for point in found.points)
    assert {point.frequency_hz for point in found.points} == {None}  # the stand-in has no driver that reports it
    assert "points.frequency_hz" in found.missing
    wrong = run(environment, "sustain", tiny.folder, "runs", kernel_us=KERNEL_US)
    assert wrong.returncode == 1
    assert wrong.stderr.strip().splitlines()[-1].startswith("MeasureError: wrong result: ")


@pytest.mark.slow
def test_a_network_in_halves_is_given_halves(environment: dict[str, str], tmp_path: Path) -> None:
    variant = variants.parse("mobilenet_v1_0.25_32", batch=16, dtype="float16")
    made, _ = build.build(variant, targets.load("cuda_sm90"), tmp_path)
    assert not made.manifest.fallbacks
    with np.load(made.reference) as reference:
        assert (reference["input"].dtype, reference["output"].dtype) == (np.float16, np.float32)
    done = run(environment, "measure", made.folder, "passes", kernel_us=KERNEL_US)
    found = msgspec.json.decode(done.stdout, type=Observation)
    assert found.calls_s is not None
    assert len(found.calls_s) == len(made.manifest.calls)


# --------------------------------------------------------------------------------------------------------------- tuning
@pytest.fixture(scope="module")
def to_time(tmp_path_factory: pytest.TempPathFactory) -> TimingPlan:
    """A pointwise layer in float16: what the rules choose, and two other tiles."""
    require(shutil.which("nvcc"), "nvcc is not on PATH")
    folder, target = tmp_path_factory.mktemp("tuning"), targets.load("cuda_sm90")
    tasks = jobs.tasks(variants.parse("mobilenet_v1_0.25_32", batch=64, dtype="float16"), target)
    task = [task for task in tasks if "_k1x1_" in task.kernel][-1]
    assert task.kernel.endswith("_float16")
    default, others = jobs.tiles(task.function, target, 2)
    built = []
    for number, candidate in enumerate((search.AS_IS, default, *others[:2])):
        library = str(folder / f"{number}.so")
        assert jobs.compiled(task.function, target, candidate, library) == ""
        built.append(Built(candidate=candidate, library=library))
    plan = TimingPlan(
        function=task.function, target=target, threads=1, cache_bytes=0, reference=built[0].library, default=built[1],
        candidates=tuple(built[2:]), finalists=1, log=str(folder / "log"),
    )  # fmt: skip
    (folder / "plan.json").write_bytes(msgspec.json.encode(plan))
    return plan


@pytest.mark.slow
def test_candidates_are_timed_by_the_device(environment: dict[str, str], to_time: TimingPlan) -> None:
    done = run(environment, "tune", Path(to_time.log).parent, "passes", kernel_us=KERNEL_US)
    assert done.returncode == 0, done.stderr
    found = msgspec.json.decode(done.stdout, type=Readings)
    assert [read.number for read in found.reads[:2]] == [0, 1]
    for read in found.reads:
        assert read.timing is not None, read.refused
        assert read.timing.seconds == pytest.approx(KERNEL_US * 1e-6, rel=0.05)
        assert read.timing.ratio == pytest.approx(1, rel=0.05)


@pytest.mark.slow
def test_a_choice_that_computes_nothing_is_not_timed(environment: dict[str, str], to_time: TimingPlan) -> None:
    done = run(environment, "tune", Path(to_time.log).parent, "runs")
    assert done.returncode == 1
    said = f"MeasureError: what the rules choose, {to_time.default.candidate}, is wrong"
    assert done.stderr.strip().splitlines()[-1].startswith(said)


@pytest.mark.slow
def test_each_layer_runs_again_alone(environment: dict[str, str], tiny: artifact.Artifact, seen: Observation) -> None:
    done = run(environment, "alone", tiny.folder, "", kernel_us=KERNEL_US)
    assert done.returncode == 0, done.stderr
    alone = json.loads(done.stdout)
    assert seen.calls_s is not None
    within = [0.0] * len(tiny.manifest.layers)
    for (_, layer), samples in zip(tiny.manifest.calls, seen.calls_s, strict=True):
        within[layer] += statistics.median(samples)
    assert alone == pytest.approx(within, rel=0.01)


@pytest.mark.slow
def test_the_devices_memory_is_what_the_network_took(seen: Observation, tiny: artifact.Artifact) -> None:
    assert seen.device_bytes is not None
    assert seen.device_bytes >= tiny.manifest.weight_bytes
    assert seen.device_bytes < 4 * (tiny.manifest.weight_bytes + tiny.manifest.activation_peak_bytes)


@pytest.mark.slow
def test_conditions_are_read_before_and_after_and_say_why_they_are_not(seen: Observation) -> None:
    for moment in (seen.conditions_before, seen.conditions_after):
        assert moment is not None
        assert moment.gpu is not None
        nulls = {name for name in moment.gpu.__struct_fields__ if getattr(moment.gpu, name) is None}
        assert nulls == set(moment.gpu.missing)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"memory_mb": 1}, "out of device memory at batch 1; take a smaller --batch, or stop what else uses the GPU"),
        ({"launches": 5}, "the GPU was lost while it was in use: "),
        ({"launches": 400}, "the GPU was lost while it was in use: "),
    ],
    ids=["out of memory", "gone at once", "gone in the middle"],
)
def test_what_goes_wrong_is_one_line(
    environment: dict[str, str], tiny: artifact.Artifact, settings: dict[str, int], said: str
) -> None:
    done = run(environment, "measure", tiny.folder, "passes", **settings)
    last = done.stderr.strip().splitlines()[-1]
    assert done.returncode == 1
    assert last.startswith(f"MeasureError: {said}"), done.stderr


@pytest.mark.slow
def test_the_peaks_are_work_over_time(environment: dict[str, str], tmp_path: Path) -> None:
    done = run(environment, "calibrate", tmp_path, "", kernel_us=1000)
    assert done.returncode == 0, done.stderr
    found = msgspec.json.decode(done.stdout, type=Calibration)
    threads, steps = 132 * 8 * 256, 4096  # the stand-in has 132 multiprocessors; each launch takes 1 ms
    assert found.flops_per_s["float32"] == pytest.approx(threads * 8 * steps * 2 / 1e-3, rel=0.01)
    assert found.flops_per_s["float16"] == pytest.approx(threads / 32 * 8 * steps * 2 * 16 * 8 * 16 / 1e-3, rel=0.01)
    assert found.bytes_per_s["DRAM"] == pytest.approx(found.working_set_bytes["DRAM"] / 1e-3, rel=0.01)
    assert set(found.bytes_per_s) == {"L2", "DRAM"}


@pytest.mark.slow
def test_a_batch_that_does_not_fit_leaves_the_others_in_the_record(environment: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    smi = tmp_path / "bin" / "nvidia-smi"
    smi.write_text("#!/bin/sh\necho '9.0, Stand-in H100, 580.82.07, 81559, 1980, 2619, 700.00'\n")
    smi.chmod(0o755)
    told = {"FAKE_MEMORY_MB": "3", "PATH": f"{smi.parent}:{environment['PATH']}"}
    told |= {"MBENCH_CACHE_DIR": str(tmp_path / "cache"), "MBENCH_CONFIG_DIR": str(tmp_path / "config")}
    names = ("mobilenet_v1_0.25_32_b64", "mobilenet_v1_0.25_32_b1")
    command = [sys.executable, "-m", "mbench", "run", "mobilenet_v1_0.25_32", "--target", "cuda_sm90", "--no-tuned"]
    done = subprocess.run(
        [*command, "--batch", "64,1", "--output", str(tmp_path / "out")],
        env={**environment, **told}, capture_output=True, text=True, timeout=500, check=False,
    )  # fmt: skip
    assert done.returncode == 4, done.stderr
    (file,) = (tmp_path / "out").glob("*.json")
    record = record_files.read(file)
    assert record.settings.variants == names
    assert record.device.gpu is not None
    assert record.device.gpu.arch == "sm_90"
    assert "out of device memory at the peaks' arrays" in record.device.missing["calibration"]
    reasons = {failure.variant: failure.reason for failure in record.failures}
    assert reasons[names[0]].startswith("out of device memory at batch 64; take a smaller --batch")
    assert reasons[names[1]].startswith("wrong result: "), "it was run after the other one failed"
    assert [result.variant.batch for result in record.results] == [1]
    assert "cudaMemGetInfo" in record.results[0].memory.method
    assert record.target.power_limit_w is not None


def test_a_machine_is_held_for_its_gpu_and_for_its_cpu_by_one_lock(tmp_path: Path) -> None:
    class Told(Exception):
        pass

    def waits(text: str) -> None:
        raise Told(text)

    with (
        contextlib.closing(GpuDevice(lock_dir=tmp_path, timeout_s=1)),
        pytest.raises(Told, match="another run measures on this machine"),
    ):
        LocalDevice(lock_dir=tmp_path, timeout_s=1, waiting=waits)
    LocalDevice(lock_dir=tmp_path, timeout_s=1, waiting=waits).close()
