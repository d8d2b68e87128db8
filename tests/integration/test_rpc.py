"""Devices over RPC, against real servers: mbench's own, TVM's in Python, TVM's tracker."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import board_server as serving
import msgspec
import numpy as np
import psutil
import pytest
from board_server import Serving, mbench_server
from conftest import require
from measure_plans import PLAN, Patience, assert_accounted, ignore
from rpc_plans import FEW, STAGES, VARIANT, failure

from mbench.core import artifact
from mbench.core.artifact import Artifact
from mbench.core.errors import MeasureError
from mbench.core.machine_types import Target
from mbench.devices.rpc import RpcDevice
from mbench.hardware import sensors, targets
from mbench.measure import sustain
from mbench.measure.observation import Observation
from mbench.measure.sustain import SustainPlan

pytest_plugins = ("rpc_fixtures",)


# ------------------------------------------------------------------------------------------------------ mbench's server
@pytest.fixture(scope="module")
def observed(
    program: Path, here: Target, net: Artifact, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Observation, list[tuple[str, float]]]:
    told: list[tuple[str, float]] = []
    with mbench_server(program) as started:
        locks = tmp_path_factory.mktemp("locks")
        device = RpcDevice(here, started.url, lock_dir=locks, timeout_s=60, waiting=lambda _: None)
        with contextlib.closing(device):
            return device.measure(net, PLAN, lambda *what: told.append(what)), told


def test_everything_is_measured(observed: tuple[Observation, Any], net: Artifact) -> None:
    seen, _ = observed
    assert seen.latency_s is not None
    assert seen.calls_s is not None
    assert seen.overhead_s is not None
    assert len(seen.latency_s) == 30
    assert [len(samples) for samples in seen.calls_s] == [15] * len(net.manifest.calls)
    assert seen.numerics.passed
    assert 0 < (seen.numerics.max_rel_error or 0) < 1e-4
    assert seen.instrument_cost_s is not None
    assert seen.instrument_cost_s >= 0
    assert seen.threads == 1
    assert seen.missing is None
    assert (seen.energy is None) == (seen.energy_missing is not None)
    assert 5 * 2**20 < (seen.process_peak_bytes or 0) < 1 << 30


def test_layers_and_the_whole_fit_each_other(server: Serving, net: Artifact, opened: Callable[..., RpcDevice]) -> None:
    device = opened(server.url)
    plan = msgspec.structs.replace(PLAN, repeat=10, layer_repeat=10)
    assert_accounted(device, net, plan)


def test_the_machine_at_the_other_end_describes_itself(observed: tuple[Observation, Any]) -> None:
    seen = observed[0]
    assert seen.machine is not None
    assert seen.machine.name == socket.gethostname()  # the board is this machine here
    assert seen.machine.architecture == os.uname().machine
    assert seen.machine.cores_logical == os.cpu_count()
    assert seen.machine.memory_bytes == pytest.approx(psutil.virtual_memory().total, rel=0.01)
    assert set(seen.machine.versions) == {"mbench-server"}
    assert seen.conditions_before is not None
    assert seen.conditions_after is not None
    assert seen.conditions_before.at_utc < seen.conditions_after.at_utc
    assert seen.affinity
    assert set(seen.affinity) <= os.sched_getaffinity(0)


def test_the_stages_are_told_in_order(observed: tuple[Observation, list[tuple[str, float]]]) -> None:
    told = observed[1]
    assert list(dict.fromkeys(stage for stage, _ in told))[: len(STAGES)] == STAGES
    assert all(0 <= fraction <= 1 for _, fraction in told)


def test_one_variant_after_the_other(server: Serving, net: Artifact, opened: Callable[..., RpcDevice]) -> None:
    device = opened(server.url)
    for _ in range(3):
        assert device.measure(net, FEW, ignore).latency_s
    server.assert_idle()


def test_threads_are_set_on_the_device(server: Serving, net: Artifact, opened: Callable[..., RpcDevice]) -> None:
    require((os.cpu_count() or 1) >= 2, "needs two processors")
    two = msgspec.structs.replace(FEW, threads=2)
    assert opened(server.url).measure(net, two, ignore).threads == 2


def test_a_wrong_result_is_not_timed(
    server: Serving, net: Artifact, opened: Callable[..., RpcDevice], tmp_path: Path
) -> None:
    (work := tmp_path / "work").mkdir()
    shutil.copy(net.library, work)
    with np.load(net.reference) as reference:
        np.savez(work / artifact.REFERENCE, input=reference["input"], output=reference["output"] * 1.01)
    wrong = artifact.store(net.manifest, work, tmp_path / "wrong")
    seen = opened(server.url).measure(wrong, FEW, ignore)
    assert not seen.numerics.passed
    assert seen.latency_s is None


UNDER_LOAD = SustainPlan(seconds=1.0, threads=1, tolerance=1e-4)


def test_a_board_runs_under_load_with_its_own_sensors(
    server: Serving, net: Artifact, opened: Callable[..., RpcDevice]
) -> None:
    told: list[str] = []
    found = opened(server.url).sustain(net, UNDER_LOAD, lambda stage, _: told.append(stage))
    assert list(dict.fromkeys(told)) == [*STAGES[:5], sustain.STAGE]
    assert 1 <= len(found.points) <= 2  # of half a second
    assert all(point.runs >= 1 and point.median_s > 0 for point in found.points)
    assert all(point.others_busy is not None for point in found.points)  # the board's own /proc/stat
    shown = sensors.look()
    assert ("points.frequency_hz" in found.missing) == (sensors.frequency_hz(shown) is None)
    assert "points.slowed_by" in found.missing


@pytest.mark.parametrize("threads", [1, 2])
def test_peaks_are_those_of_the_device(
    threads: int, server: Serving, opened: Callable[..., RpcDevice], here: Target
) -> None:
    require((os.cpu_count() or 1) >= threads, "needs two processors")
    told: list[str] = []
    seen = opened(server.url).calibrate(here, threads, lambda stage, _: told.append(stage))
    assert list(dict.fromkeys(told)) == ["connecting", "calibrating"]
    lanes = here.processor.vector_bits // 32
    assert 0 < seen.flops_per_s["float32"] < threads * 2 * lanes * 4 * 8e9  # four units at 8 GHz: more than there is
    assert seen.threads == threads
    assert {"L1", "DRAM"} <= seen.bytes_per_s.keys()
    assert all(0 < rate < threads * 4 * lanes * 4 * 8e9 for rate in seen.bytes_per_s.values())  # four loads a cycle
    assert seen.working_set_bytes["DRAM"] >= 64 * 2**20
    assert seen.others_busy is not None


def test_peaks_need_mbenchs_server_and_its_architecture(
    server: Serving, opened: Callable[..., RpcDevice], here: Target
) -> None:
    foreign = msgspec.structs.replace(here, name="riscv", tvm={**here.tvm, "mtriple": "riscv64-linux-gnu"})
    with pytest.raises(MeasureError, match="the target riscv is riscv64; choose a target"):
        opened(server.url).calibrate(foreign, 1, ignore)
    with serving.tvm_server() as tvms, pytest.raises(MeasureError, match="is TVM's own, which has no functions"):
        opened(tvms.url).calibrate(here, 1, ignore)


def test_a_board_of_another_architecture(opened: Callable[..., RpcDevice], tmp_path: Path) -> None:
    require(os.uname().machine == "x86_64", "emulates an ARM board on x86")
    require(shutil.which("qemu-aarch64"), "needs qemu-aarch64 (Debian: apt install qemu-user)")
    require(shutil.which("aarch64-linux-gnu-g++"), "needs g++-aarch64-linux-gnu")
    from mbench.build import build
    from mbench.devices import toolchain

    target = targets.load("arm64")
    arm = build.build(VARIANT, target, tmp_path / "artifacts")[0]
    program = toolchain.server("aarch64-linux-gnu").program
    with mbench_server(program, under=("qemu-aarch64", "-cpu", "max", "-L", "/usr/aarch64-linux-gnu")) as board:
        seen = opened(board.url).measure(arm, FEW, ignore)
        assert seen.numerics.passed
        assert len(seen.calls_s or ()) == len(arm.manifest.calls)
        assert seen.machine is not None
        assert seen.machine.architecture == "aarch64"
        assert opened(board.url).calibrate(target, 1, ignore).flops_per_s["float32"] > 0


# -------------------------------------------------------------------------------------------------------- TVM's servers
ONLY_END_TO_END = (
    "the server at {} is TVM's own, which has no functions for this; start mbench's there: 'mbench device serve'"
)


def test_tvms_own_server_measures_end_to_end(net: Artifact, opened: Callable[..., RpcDevice]) -> None:
    with serving.tvm_server() as tvms:
        seen = opened(tvms.url).measure(net, PLAN, ignore)
        assert seen.numerics.passed
        assert len(seen.latency_s or ()) == 30
        assert min(seen.latency_s or ()) > 0
        reason = ONLY_END_TO_END.format(tvms.url)
        assert (seen.missing, seen.energy_missing) == (reason, reason)
        absent = (seen.calls_s, seen.machine, seen.conditions_before, seen.process_peak_bytes, seen.energy)
        assert absent == (None,) * 5
        under_load = opened(tvms.url).sustain(net, UNDER_LOAD, ignore)
        assert min(point.median_s for point in under_load.points) > 0
        assert set(under_load.missing.values()) == {reason}


def test_a_tracker_gives_its_devices_in_turn(program: Path, net: Artifact, opened: Callable[..., RpcDevice]) -> None:
    require(serving.has_tracker(), "TVM's tracker needs tornado")
    with serving.tvm_tracker() as tracker, contextlib.ExitStack() as boards:
        where = f"127.0.0.1:{tracker.port}"
        registered = ("--tracker", where, "--key", "board")
        for _ in range(2):
            boards.enter_context(mbench_server(program, *registered))
        boards.enter_context(serving.tvm_server("--tracker", where, "--key", "other"))
        serving.wait_for_devices(tracker, {"board": 2, "other": 1})
        seen = [opened(f"{tracker.url}/board").measure(net, FEW, ignore) for _ in range(3)]
        assert all(one.calls_s for one in seen)
        other = opened(f"{tracker.url}/other").measure(net, FEW, ignore)
        assert other.latency_s
        assert other.missing
        assert failure(opened(f"{tracker.url}/pi5"), net) == (
            f"the tracker {where} has no device with the key 'pi5'; it has: board (2), other (1)"
        )


def test_who_waits_for_a_trackers_device_is_told_and_gets_it(
    program: Path, net: Artifact, opened: Callable[..., RpcDevice], monkeypatch: pytest.MonkeyPatch
) -> None:
    require(serving.has_tracker(), "TVM's tracker needs tornado")
    Patience(monkeypatch)  # with how long the worker takes to start
    from tvm import rpc

    with (
        serving.tvm_tracker() as tracker,
        mbench_server(program, "--tracker", f"127.0.0.1:{tracker.port}", "--key", "board") as board,
    ):
        serving.wait_for_devices(tracker, {"board": 1})
        asking = rpc.connect_tracker("127.0.0.1", tracker.port)
        held = asking.request("board")
        device = opened(f"{tracker.url}/board", timeout_s=2.0)
        assert failure(device, net) == "every device (1 with the key 'board') stayed busy for 2 s; try again later"
        told: list[str] = []

        def report(stage: str, _fraction: float) -> None:
            told.append(stage)
            if stage.startswith("waiting"):
                held.get_function("CloseRPCConnection")()

        assert opened(f"{tracker.url}/board").measure(net, FEW, report).latency_s
        assert "waiting for a device (1 with the key 'board')" in told
        assert "wants a key" in failure(opened(board.url), net)  # not over the tracker
        asking.close()


def test_a_server_outlives_its_tracker(program: Path, net: Artifact, opened: Callable[..., RpcDevice]) -> None:
    require(serving.has_tracker(), "TVM's tracker needs tornado")
    with contextlib.ExitStack() as stack:
        with serving.tvm_tracker() as tracker:
            where = f"127.0.0.1:{tracker.port}"
            board = stack.enter_context(mbench_server(program, "--tracker", where, "--key", "board"))
            serving.wait_for_devices(tracker, {"board": 1})
        command = (sys.executable, "-m", "tvm.exec.rpc_tracker", "--host", "127.0.0.1", "--port", str(tracker.port))
        says = r"bind to 127\.0\.0\.1:(\d+)"
        again = stack.enter_context(serving.started(*command, "--port-end", str(tracker.port + 1), says=says))
        serving.wait_for_devices(again, {"board": 1})
        assert opened(f"{again.url}/board").measure(net, FEW, ignore).latency_s
        assert board.process.poll() is None
