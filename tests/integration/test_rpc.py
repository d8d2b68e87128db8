"""Devices over RPC, against real servers: mbench's own, TVM's in Python, TVM's tracker."""

from __future__ import annotations

import contextlib
import itertools
import multiprocessing
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import psutil
import pytest
import serving
from conftest import require
from serving import Proxy, Serving, mbench_server

from mbench import artifact, targets, variants
from mbench.artifact import Artifact
from mbench.devices import remote, toolchain
from mbench.devices.rpc import RpcDevice
from mbench.errors import MeasureError, UsageError
from mbench.measure.observation import Observation, Plan
from mbench.records import Target, Warmup

PLAN = Plan(
    threads=1,
    number=1,
    repeat=30,
    layer_repeat=15,
    block=10,
    warmup=Warmup(max_s=1.0),
    measure_max_s=None,
    tolerance=1e-4,
)
FEW = msgspec.structs.replace(PLAN, repeat=3, layer_repeat=2, block=3, warmup=Warmup(max_s=0.1))
LONG = msgspec.structs.replace(PLAN, repeat=1_000_000, layer_repeat=10)
STAGES = ["connecting", "uploading", "loading", "checking", "warming up", "measuring", "measuring layers"]
VARIANT = variants.parse("mobilenet_v1_0.25_128")


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    require(shutil.which("g++"), "building the server needs g++")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MBENCH_CACHE_DIR", str(tmp_path_factory.mktemp("server-cache")))
        return toolchain.server(f"{os.uname().machine}-linux-gnu").program


@pytest.fixture(scope="session")
def here() -> Target:
    return targets.load("host")


@pytest.fixture(scope="session")
def net(here: Target, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    from mbench.compile import build

    return build.build(VARIANT, here, tmp_path_factory.mktemp("artifacts"))[0]


@pytest.fixture
def server(program: Path, tmp_path: Path) -> Iterator[Serving]:
    folder = tmp_path / "board"
    folder.mkdir()
    with mbench_server(program, "--dir", folder) as started:
        yield started
        started.assert_idle()
        deadline = time.monotonic() + 5
        while list(folder.iterdir()) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert list(folder.iterdir()) == []  # nothing stays lying there either


@pytest.fixture
def opened(here: Target, tmp_path: Path) -> Iterator[Callable[..., RpcDevice]]:
    with contextlib.ExitStack() as stack:
        numbers = itertools.count()

        def open_one(url: str, *, timeout_s: float = 60.0) -> RpcDevice:
            """Open a device as a run on another machine would, with a lock of its own."""
            locks = tmp_path / f"locks-{next(numbers)}"
            device = RpcDevice(here, url, lock_dir=locks, timeout_s=timeout_s, waiting=lambda _: None)
            stack.callback(device.close)
            return device

        yield open_one


@pytest.fixture(autouse=True)
def no_workers_left() -> Iterator[None]:
    yield
    assert multiprocessing.active_children() == []


def ignore(_stage: str, _fraction: float) -> None:
    pass


def failure(device: RpcDevice, net: Artifact, plan: Plan = FEW, report: Callable[[str, float], None] = ignore) -> str:
    """Measure what cannot be measured; return the message, which must be one line."""
    with pytest.raises(MeasureError) as caught:
        device.measure(net, plan, report)
    assert "\n" not in str(caught.value)
    return str(caught.value)


class When:
    """A report that does something once, when a stage begins (or is `after` seconds old)."""

    def __init__(self, stage: str, do: Callable[[], object], *, after: float = 0.0) -> None:
        self._stage, self._do, self._after = stage, do, after
        self.done = False

    def __call__(self, stage: str, _fraction: float) -> None:
        if stage == self._stage and not self.done:
            self.done = True
            threading.Timer(self._after, self._do).start()


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
    assert seen.twin_latency_s is not None
    assert seen.calls_s is not None
    assert seen.overhead_s is not None
    assert (len(seen.latency_s), len(seen.twin_latency_s)) == (30, 30)
    assert [len(samples) for samples in seen.calls_s] == [15] * len(net.manifest.calls)
    assert seen.numerics.passed
    assert 0 < (seen.numerics.max_rel_error or 0) < 1e-4
    assert 0 < (seen.instrument_cost_s or 0) < 1e-5  # C++ on the device, no Python
    assert seen.threads == 1
    assert seen.missing is None
    assert (seen.energy is None) == (seen.energy_missing is not None)
    assert 5 * 2**20 < (seen.process_peak_bytes or 0) < 1 << 30


def test_layers_and_the_whole_fit_each_other(observed: tuple[Observation, Any]) -> None:
    seen, _ = observed
    assert seen.latency_s
    assert seen.calls_s
    assert seen.overhead_s
    whole = statistics.median(seen.latency_s)
    layers = sum(statistics.median(samples) for samples in seen.calls_s)
    assert whole / 2 < layers < whole * 2
    assert whole / 2 < layers + statistics.median(seen.overhead_s) < whole * 2


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
    assert list(dict.fromkeys(stage for stage, _ in told))[:7] == STAGES
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
    work = artifact.scratch(tmp_path)
    shutil.copy(net.library, work)
    with np.load(net.reference) as reference:
        np.savez(work / artifact.REFERENCE, input=reference["input"], output=reference["output"] * 1.01)
    wrong = artifact.store(net.manifest, work, tmp_path / "wrong")
    seen = opened(server.url).measure(wrong, FEW, ignore)
    assert not seen.numerics.passed
    assert seen.latency_s is None


@pytest.mark.parametrize("threads", [1, 2])
def test_ceilings_are_those_of_the_device(
    threads: int, server: Serving, opened: Callable[..., RpcDevice], here: Target
) -> None:
    require((os.cpu_count() or 1) >= threads, "needs two processors")
    told: list[str] = []
    seen = opened(server.url).calibrate(here, threads, lambda stage, _: told.append(stage))
    assert list(dict.fromkeys(told)) == ["connecting", "calibrating"]
    lanes = here.processor.vector_bits // 32
    assert 1e9 < seen.flops_per_s["float32"] < threads * 2 * lanes * 4 * 8e9  # four units at 8 GHz: more than there is
    assert seen.threads == threads
    measured = [seen.bytes_per_s[level] for level in ("L1", "DRAM")]
    assert measured[0] > measured[1] > 1e8
    assert seen.working_set_bytes["DRAM"] >= 64 * 2**20
    assert seen.others_busy is not None


def test_ceilings_need_mbenchs_server_and_its_architecture(
    server: Serving, opened: Callable[..., RpcDevice], here: Target
) -> None:
    foreign = msgspec.structs.replace(here, name="riscv", tvm={**here.tvm, "mtriple": "riscv64-linux-gnu"})
    with pytest.raises(MeasureError, match="the target riscv is riscv64; choose a target"):
        opened(server.url).calibrate(foreign, 1, ignore)
    with serving.tvm_server() as tvms, pytest.raises(MeasureError, match="is TVM's own, which has no functions"):
        opened(tvms.url).calibrate(here, 1, ignore)


def test_tuning_is_refused_with_a_reason(opened: Callable[..., RpcDevice]) -> None:
    device = opened("rpc://127.0.0.1:1")
    plan: Any = None
    for refused in (device.time_kernel, device.search_kernel):
        with pytest.raises(MeasureError, match="--device local"):
            refused(plan, ignore)


# -------------------------------------------------------------------------------------------------------- TVM's servers
ONLY_END_TO_END = (
    "the server at {} is TVM's own, which has no functions for this; start mbench's there: 'mbench device serve'"
)


def test_tvms_own_server_measures_end_to_end(net: Artifact, opened: Callable[..., RpcDevice]) -> None:
    with serving.tvm_server() as tvms:
        seen = opened(tvms.url).measure(net, PLAN, ignore)
        assert seen.numerics.passed
        assert len(seen.latency_s or ()) == len(seen.twin_latency_s or ()) == 30
        assert all(0 < seconds < 1 for seconds in seen.latency_s or ())
        reason = ONLY_END_TO_END.format(tvms.url)
        assert (seen.missing, seen.energy_missing) == (reason, reason)
        assert seen.calls_s is seen.machine is seen.conditions_before is seen.process_peak_bytes is seen.energy is None


def test_a_tracker_gives_its_devices_in_turn(program: Path, net: Artifact, opened: Callable[..., RpcDevice]) -> None:
    require(serving.has_tracker(), "TVM's tracker needs tornado")
    with serving.tvm_tracker() as tracker, contextlib.ExitStack() as boards:
        where = f"127.0.0.1:{tracker.port}"
        registered = ("--tracker", where, "--key", "board")
        for _ in range(2):
            boards.enter_context(mbench_server(program, *registered))
        boards.enter_context(serving.tvm_server("--tracker", where, "--key", "other"))
        _wait_for_devices(tracker, {"board": 2, "other": 1})
        seen = [opened(f"{tracker.url}/board").measure(net, FEW, ignore) for _ in range(3)]
        assert all(one.calls_s for one in seen)
        other = opened(f"{tracker.url}/other").measure(net, FEW, ignore)
        assert other.latency_s
        assert other.missing
        assert failure(opened(f"{tracker.url}/pi5"), net) == (
            f"the tracker {where} has no device with the key 'pi5'; it has: board (2), other (1)"
        )


def _wait_for_devices(tracker: Serving, wanted: dict[str, int]) -> None:
    from tvm import rpc

    session = rpc.connect_tracker("127.0.0.1", tracker.port)
    for _ in range(200):
        found: dict[str, int] = {}
        for one in session.summary()["server_info"]:
            found[one["key"].removeprefix("server:")] = found.get(one["key"].removeprefix("server:"), 0) + 1
        if found == wanted:
            break
        time.sleep(0.1)
    assert found == wanted
    session.close()


def test_who_waits_for_a_trackers_device_is_told_and_gets_it(
    program: Path, net: Artifact, opened: Callable[..., RpcDevice]
) -> None:
    require(serving.has_tracker(), "TVM's tracker needs tornado")
    from tvm import rpc

    with (
        serving.tvm_tracker() as tracker,
        mbench_server(program, "--tracker", f"127.0.0.1:{tracker.port}", "--key", "board") as board,
    ):
        _wait_for_devices(tracker, {"board": 1})
        session = rpc.connect_tracker("127.0.0.1", tracker.port)
        held = session.request("board")
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
        session.close()


def test_a_server_outlives_its_tracker(program: Path, net: Artifact, opened: Callable[..., RpcDevice]) -> None:
    require(serving.has_tracker(), "TVM's tracker needs tornado")
    with contextlib.ExitStack() as stack:
        with serving.tvm_tracker() as tracker:
            where = f"127.0.0.1:{tracker.port}"
            board = stack.enter_context(mbench_server(program, "--tracker", where, "--key", "board"))
            _wait_for_devices(tracker, {"board": 1})
        command = (sys.executable, "-m", "tvm.exec.rpc_tracker", "--host", "127.0.0.1", "--port", str(tracker.port))
        says = r"bind to 127\.0\.0\.1:(\d+)"
        again = stack.enter_context(serving.started(*command, "--port-end", str(tracker.port + 1), says=says))
        _wait_for_devices(again, {"board": 1})
        assert opened(f"{again.url}/board").measure(net, FEW, ignore).latency_s
        assert board.process.poll() is None


# ---------------------------------------------------------------------------------------------------- wrong addresses
def test_nobody_listens(net: Artifact, opened: Callable[..., RpcDevice]) -> None:
    url = f"rpc://127.0.0.1:{serving.free_port()}"
    assert failure(opened(url), net) == (
        f"nobody listens at {url}: Connection refused; start one there with 'mbench device serve'"
    )


def test_no_such_host(net: Artifact, opened: Callable[..., RpcDevice]) -> None:
    said = failure(opened("rpc://nowhere.invalid:9090"), net)
    assert said.startswith("rpc://nowhere.invalid:9090: ")
    assert said.endswith("; check the name of the host")


def test_an_address_that_is_none_is_refused_at_once(opened: Callable[..., RpcDevice]) -> None:
    with pytest.raises(UsageError, match="there is no port"):
        opened("rpc://board")


def _hangs_up(client: socket.socket) -> None:
    client.recv(4)


def _greets(client: socket.socket) -> None:
    client.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")
    client.recv(1 << 10)


@pytest.mark.parametrize("answer", [_hangs_up, _greets])
def test_a_server_that_is_not_tvms(
    answer: Callable[[socket.socket], None], net: Artifact, opened: Callable[..., RpcDevice]
) -> None:
    with serving.stranger(answer) as url:
        assert failure(opened(url), net).startswith(f"what answers at {url} is no TVM RPC server; check the port")
        assert "is no TVM RPC tracker; use rpc://HOST:PORT, without a key" in failure(opened(f"{url}/key"), net)


def test_an_http_server_that_waits_for_more(net: Artifact, opened: Callable[..., RpcDevice]) -> None:
    command = (sys.executable, "-u", "-m", "http.server", "0", "--bind", "127.0.0.1")
    with serving.started(*command, says=r"port (\d+)") as web:
        start = time.monotonic()
        assert failure(opened(web.url), net) == (
            f"no answer from {web.url} within 10 s; it is busy with another client, hangs, or is no TVM RPC server"
        )
        assert time.monotonic() - start < 20


def test_a_tracker_without_its_key_is_no_server(net: Artifact, opened: Callable[..., RpcDevice]) -> None:
    require(serving.has_tracker(), "TVM's tracker needs tornado")
    with serving.tvm_tracker() as tracker:
        assert "is no TVM RPC server" in failure(opened(tracker.url), net)


def test_a_device_of_another_architecture(
    server: Serving, net: Artifact, opened: Callable[..., RpcDevice], tmp_path: Path
) -> None:
    described = '{"kind":"llvm","mtriple":"riscv64-linux-gnu"}'
    manifest = msgspec.structs.replace(
        net.manifest, target="riscv", inputs={**net.manifest.inputs, "tvm_target": described}
    )
    work = artifact.scratch(tmp_path)
    for file in (net.library, net.reference):
        shutil.copy(file, work)
    foreign = artifact.store(manifest, work, tmp_path / "foreign")
    told: list[str] = []
    said = failure(opened(server.url), foreign, report=lambda stage, _: told.append(stage))
    assert said.startswith(f"the device at {server.url} is {os.uname().machine}, the target riscv is riscv64; choose")
    assert "uploading" not in told


# -------------------------------------------------------------------------------------------------- failures on the way
def test_instructions_that_the_processor_lacks(
    program: Path, net: Artifact, opened: Callable[..., RpcDevice], tmp_path: Path
) -> None:
    require(os.uname().machine == "x86_64", "emulates an old x86 processor")
    require(shutil.which("qemu-x86_64"), "needs qemu-x86_64 (Debian: apt install qemu-user)")
    from mbench.compile import build

    newer = build.build(VARIANT, targets.load("x86_64_v3"), tmp_path / "artifacts")[0]
    with mbench_server(program, under=("qemu-x86_64", "-cpu", "Nehalem")) as old:
        assert failure(opened(old.url), newer) == (
            "illegal instruction: the library for x86_64_v3 uses instructions that this processor lacks"
        )
        old.assert_idle()


def test_the_line_is_cut_in_the_middle_of_an_upload(
    server: Serving, net: Artifact, opened: Callable[..., RpcDevice]
) -> None:
    proxy = Proxy(server, after=net.library_bytes // 2)
    with contextlib.closing(proxy):
        said = failure(opened(proxy.url), net)
        assert said == f"the line to {proxy.url} was cut; the device answers again"
        server.assert_idle()
        assert opened(server.url).measure(net, FEW, ignore).latency_s


def test_the_line_is_cut_in_the_middle_of_a_run(
    server: Serving, net: Artifact, opened: Callable[..., RpcDevice]
) -> None:
    proxy = Proxy(server)
    with contextlib.closing(proxy):
        said = failure(opened(proxy.url), net, LONG, When("measuring", proxy.cut, after=0.5))
        assert said == f"the line to {proxy.url} was cut; the device answers again"
        server.assert_idle()
        assert opened(server.url).measure(net, FEW, ignore).latency_s


def test_the_line_is_cut_for_good(server: Serving, net: Artifact, opened: Callable[..., RpcDevice]) -> None:
    proxy = Proxy(server)
    with contextlib.closing(proxy):
        said = failure(opened(proxy.url), net, LONG, When("measuring", proxy.close, after=0.5))
    assert said.startswith(f"the line to {proxy.url} was lost, and it could not be made again: nobody listens at")
    server.assert_idle()


def test_a_board_that_is_switched_off(program: Path, net: Artifact, opened: Callable[..., RpcDevice]) -> None:
    with mbench_server(program) as board:

        def off() -> None:
            board.process.kill()  # its children go with it

        said = failure(opened(board.url), net, LONG, When("measuring", off, after=0.5))
        assert said.startswith(f"the line to {board.url} was lost, and it could not be made again: nobody listens at")


def test_a_server_that_is_started_again_meanwhile(
    program: Path, net: Artifact, opened: Callable[..., RpcDevice]
) -> None:
    with contextlib.ExitStack() as stack:
        board = stack.enter_context(mbench_server(program))

        def again() -> None:
            board.process.kill()
            board.process.wait()
            stack.enter_context(mbench_server(program, "--port", str(board.port)))

        said = failure(opened(board.url), net, LONG, When("measuring", again, after=0.5))
        assert "the line to" in said


@pytest.mark.parametrize(
    ("how", "named"),
    [
        (signal.SIGKILL, "SIGKILL (killed; out of memory?)"),
        (signal.SIGSEGV, "SIGSEGV (bad memory access)"),
        (signal.SIGABRT, "SIGABRT (aborted)"),
        (signal.SIGUSR1, f"signal {signal.SIGUSR1.value}"),
    ],
)
def test_how_the_process_on_the_device_ended_is_named(
    how: signal.Signals, named: str, server: Serving, net: Artifact, opened: Callable[..., RpcDevice]
) -> None:
    def kill() -> None:
        for process in server.sessions():
            process.send_signal(how)

    device = opened(server.url)
    said = failure(device, net, LONG, When("measuring", kill, after=0.3))
    assert said == f"the process on the device at {server.url} was ended by {named}"
    assert device.measure(net, FEW, ignore).latency_s  # the other variants run


@pytest.mark.parametrize("more_mib", [2, 4, 6])  # for the line, the upload, the library
def test_the_device_runs_out_of_memory(
    more_mib: int, program: Path, net: Artifact, opened: Callable[..., RpcDevice]
) -> None:
    with mbench_server(program) as board:
        process = psutil.Process(board.process.pid)
        limit = process.memory_info().vms + (more_mib << 20)
        process.rlimit(psutil.RLIMIT_AS, (limit, psutil.RLIM_INFINITY))
        said = failure(opened(board.url), net)
        assert "memory" in said
        assert board.url in said
        process.rlimit(psutil.RLIMIT_AS, (psutil.RLIM_INFINITY, psutil.RLIM_INFINITY))
        assert opened(board.url).measure(net, FEW, ignore).latency_s


def test_a_full_disk_on_the_device(
    program: Path, net: Artifact, opened: Callable[..., RpcDevice], tmp_path: Path
) -> None:
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], check=False, capture_output=True
    )
    require(mounted.returncode == 0, f"a small file system could not be mounted: {mounted.stderr.decode().strip()}")
    try:
        with mbench_server(program, "--dir", folder) as board:
            assert failure(opened(board.url), net) == (
                f"model.so cannot be written on the device at {board.url}: No space left on device"
            )
            board.assert_idle()
            assert list(folder.iterdir()) == []
    finally:
        subprocess.run(["umount", folder], check=True)


def test_a_full_disk_is_no_reason_to_stop_serving(
    program: Path, net: Artifact, opened: Callable[..., RpcDevice], tmp_path: Path
) -> None:
    folder = tmp_path / "gone"
    folder.mkdir()
    with mbench_server(program, "--dir", folder) as board:
        folder.rmdir()
        said = failure(opened(board.url), net)
        assert said.endswith(f"on the device at {board.url}: No such file or directory")
        folder.mkdir()
        assert opened(board.url).measure(net, FEW, ignore).latency_s


def test_a_device_that_hangs_is_let_go_and_ends_what_it_ran(
    server: Serving, net: Artifact, opened: Callable[..., RpcDevice]
) -> None:
    def stop() -> None:
        for process in server.sessions():
            process.suspend()

    device = opened(server.url, timeout_s=3.0)
    start = time.monotonic()
    said = failure(device, net, LONG, When("measuring", stop, after=0.3))
    assert said == (
        f"the device at {server.url} was silent for 3 s; the line was dropped, which ends what still runs there"
    )
    assert time.monotonic() - start < 15
    server.assert_idle()
    assert device.measure(net, FEW, ignore).latency_s


def test_a_server_that_hangs(server: Serving, net: Artifact, opened: Callable[..., RpcDevice]) -> None:
    process = psutil.Process(server.process.pid)
    process.suspend()
    try:
        assert failure(opened(server.url), net).startswith(f"no answer from {server.url} within 10 s; it is busy")
    finally:
        process.resume()
    assert opened(server.url).measure(net, FEW, ignore).latency_s


def test_a_second_client_waits_or_is_told(server: Serving, net: Artifact, opened: Callable[..., RpcDevice]) -> None:
    first, second = opened(server.url), opened(server.url)
    begun = threading.Event()
    plan = msgspec.structs.replace(LONG, repeat=25_000)
    seen: list[Any] = []
    thread = threading.Thread(target=lambda: seen.append(first.measure(net, plan, When("measuring", begun.set))))
    thread.start()
    try:
        assert begun.wait(30)
        assert failure(second, net).startswith(
            f"no answer from {server.url} within 10 s; it is busy with another client"
        )
    finally:
        thread.join()
    assert len(seen[0].latency_s) > 100  # undisturbed
    assert second.measure(net, FEW, ignore).latency_s


CLIENT = """
import sys
from pathlib import Path
from mbench import artifact, targets
from mbench.devices.rpc import RpcDevice
from mbench.measure.observation import Plan
from mbench.records import Warmup

if __name__ == "__main__":
    plan = Plan(threads=1, number=1, repeat=1000000, layer_repeat=1, block=10, warmup=Warmup(max_s=0.1),
                measure_max_s=None, tolerance=1e-4)
    device = RpcDevice(targets.load("x86_64_v3"), sys.argv[1], lock_dir=Path(sys.argv[2]), timeout_s=60, waiting=print)
    device.measure(artifact.load(Path(sys.argv[3])), plan, lambda stage, _: print(stage, flush=True))
"""


def test_a_client_that_dies(server: Serving, net: Artifact, tmp_path: Path, opened: Callable[..., RpcDevice]) -> None:
    script = tmp_path / "client.py"
    script.write_text(CLIENT)
    command = [sys.executable, script, server.url, tmp_path / "other", net.folder]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as client:
        assert client.stdout is not None
        while "measuring" not in client.stdout.readline():
            pass
        assert server.sessions()
        client.kill()
    server.assert_idle()
    assert opened(server.url).measure(net, FEW, ignore).latency_s


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_a_server_that_is_ended_leaves_nothing(
    how: signal.Signals, program: Path, net: Artifact, opened: Callable[..., RpcDevice], tmp_path: Path
) -> None:
    folder = tmp_path / "board"
    folder.mkdir()
    with mbench_server(program, "--dir", folder) as board:
        sessions: list[psutil.Process] = []

        def end() -> None:
            sessions.extend(board.sessions())
            board.process.send_signal(how)

        failure(opened(board.url), net, LONG, When("measuring", end, after=0.3))
        assert board.process.wait(10) == 0
        assert sessions
        assert not any(process.is_running() for process in sessions)
        assert list(folder.iterdir()) == []


# ---------------------------------------------------------------------------------------------------- the server itself
@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--port", "70000"), "--port 70000: expected a number from 0 to 65535"),
        (("--port",), "--port needs a value"),
        (("--prot", "1"), "unknown option --prot; expected --host"),
        (("--dir", "/nowhere/at/all"), "--dir /nowhere/at/all: No such file or directory"),
        (("--tracker", "farm:9190"), "--tracker needs --key"),
        (("--tracker", "farm", "--key", "pi4"), "--tracker farm: expected host:port"),
    ],
)
def test_wrong_options_of_the_server(program: Path, options: tuple[str, ...], said: str) -> None:
    done = subprocess.run([program, *options], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith(f"mbench-server: {said}")
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""


def test_a_port_in_use(program: Path, server: Serving) -> None:
    command = [program, "--port", str(server.port)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 2
    assert done.stderr == f"mbench-server: port {server.port} is in use on 127.0.0.1; choose another with --port\n"


def test_it_listens_on_loopback_unless_it_is_told_otherwise(server: Serving, program: Path) -> None:
    [listening] = [
        line.laddr for line in psutil.Process(server.process.pid).net_connections() if line.status == psutil.CONN_LISTEN
    ]
    assert listening == ("127.0.0.1", server.port)
    with subprocess.Popen([program, "--host", "0.0.0.0", "--port", "0"], stdout=subprocess.PIPE, text=True) as public:
        assert public.stdout is not None
        lines = [public.stdout.readline() for _ in range(2)]
        public.terminate()
    assert "whoever reaches this address can run code here" in lines[1]


def test_one_who_says_nothing_keeps_nobody_out(
    server: Serving, net: Artifact, opened: Callable[..., RpcDevice]
) -> None:
    with socket.create_connection(("127.0.0.1", server.port)):
        assert opened(server.url).measure(net, FEW, ignore).latency_s


def test_files_outside_are_not_told(server: Serving) -> None:
    line = _line(server)
    try:
        assert set(line.files(["/proc/loadavg", "/etc/os-release"])) == {"/proc/loadavg", "/etc/os-release"}
        assert line.files(["/etc/passwd", "/proc/../etc/passwd", "/*", "relative"]) == {}
    finally:
        line.close()


def test_a_loop_reads_sensors_meanwhile(server: Serving, net: Artifact) -> None:
    from mbench.measure.remote import RemoteSession

    line = _line(server)
    try:
        line.upload(net.library)
        looped = RemoteSession(line, net).loop(0.2, ("/proc/uptime", "/etc/passwd"))
        assert looped["runs"] > 10
        assert 0.2 <= looped["window_s"] < 0.5
        times = [at for at, _ in looped["samples"]["/proc/uptime"]]
        assert times == sorted(times)
        assert times[0] == 0
        assert times[-1] == pytest.approx(looped["window_s"], abs=0.01)
        assert 10 < len(times) < 100  # about every 5 ms
        assert looped["samples"]["/etc/passwd"] == []
    finally:
        line.close()


def _line(server: Serving) -> Any:
    from mbench.devices import line
    from mbench.devices.address import Address

    return line.connect(Address.parse(server.url), waiting=lambda _: None, patience_s=1.0)


def test_a_remote_job_needs_no_torch() -> None:
    code = "import sys; sys.modules['torch'] = None\nfrom mbench.devices import line\nfrom mbench.measure import remote"
    subprocess.run([sys.executable, "-c", code], check=True)
    assert remote.measure
