"""What can go wrong with devices over RPC: one clear line, in bounded time, and nothing stays running there."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import board_server as serving
import msgspec
import psutil
import pytest
from board_server import Proxy, Serving, mbench_server
from conftest import require
from measure_plans import Patience, ignore
from rpc_plans import FEW, LONG, VARIANT, When, failure, line_to

from mbench.core import artifact
from mbench.core.artifact import Artifact
from mbench.core.errors import UsageError
from mbench.devices.remote_program import RemoteProgram
from mbench.devices.rpc import RpcDevice
from mbench.hardware import targets

pytest_plugins = ("rpc_fixtures",)


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
        assert failure(opened(web.url), net) == (
            f"no answer from {web.url} within 10 s; it is busy with another client, hangs, or is no TVM RPC server"
        )


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
    (work := tmp_path / "work").mkdir()
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
    from mbench.build import build

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
        assert said == f"the line to {proxy.url} was interrupted; the device answers again"
        server.assert_idle()
        assert opened(server.url).measure(net, FEW, ignore).latency_s


def test_the_line_is_cut_in_the_middle_of_a_run(
    server: Serving, net: Artifact, opened: Callable[..., RpcDevice]
) -> None:
    proxy = Proxy(server)
    with contextlib.closing(proxy):
        said = failure(opened(proxy.url), net, LONG, When("measuring", proxy.cut, after=0.5))
        assert said == f"the line to {proxy.url} was interrupted; the device answers again"
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
    server: Serving, net: Artifact, opened: Callable[..., RpcDevice], monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop() -> None:
        for process in server.sessions():
            process.suspend()
        patience.end()

    device = opened(server.url, timeout_s=8.0)
    patience = Patience(monkeypatch)
    said = failure(device, net, LONG, When("measuring", stop, after=0.3))
    assert said == (
        f"the device at {server.url} was silent for 8 s; the line was dropped, which ends what still runs there"
    )
    monkeypatch.undo()
    server.assert_idle()
    assert opened(server.url).measure(net, FEW, ignore).latency_s


def test_a_server_that_hangs(server: Serving, net: Artifact, opened: Callable[..., RpcDevice]) -> None:
    process = psutil.Process(server.process.pid)
    process.suspend()
    try:
        assert failure(opened(server.url), net).startswith(f"no answer from {server.url} within 10 s; it is busy")
    finally:
        process.resume()
    assert opened(server.url).measure(net, FEW, ignore).latency_s


def test_a_second_client_waits_or_is_told(server: Serving, net: Artifact, opened: Callable[..., RpcDevice]) -> None:
    second, first = opened(server.url), line_to(server)
    try:
        first.upload(net.library)
        runs = RemoteProgram(first, net).timer(number=1, repeat=3)
        assert len(runs()) == 3
        assert failure(second, net).startswith(
            f"no answer from {server.url} within 10 s; it is busy with another client"
        )
        assert len(runs()) == 3  # undisturbed
    finally:
        first.close()
    assert second.measure(net, FEW, ignore).latency_s


CLIENT = """
import sys
from pathlib import Path
from mbench.core import artifact; from mbench.hardware import targets
from mbench.devices.rpc import RpcDevice
from mbench.measure.observation import MeasurePlan
from mbench.core.settings import Warmup

if __name__ == "__main__":
    plan = MeasurePlan(threads=1, number=1, repeat=1000000, layer_repeat=1, block=10, warmup=Warmup(max_s=0.1),
                measure_max_s=None, tolerance=1e-4)
    device = RpcDevice(targets.load("x86_64_v3"), sys.argv[1], lock_dir=Path(sys.argv[2]), timeout_s=60, waiting=print)
    device.measure(artifact.load(Path(sys.argv[3])), plan, lambda stage, _: print(stage, flush=True))
"""


def test_a_client_that_dies(server: Serving, net: Artifact, tmp_path: Path, opened: Callable[..., RpcDevice]) -> None:
    script = tmp_path / "client.py"
    script.write_text(CLIENT)
    command = [sys.executable, str(script), server.url, str(tmp_path / "other"), str(net.folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as client:
        assert client.stdout is not None
        while "measuring" not in client.stdout.readline():
            pass
        assert server.sessions()
        client.kill()
    server.assert_idle()
    assert opened(server.url).measure(net, FEW, ignore).latency_s


def test_tvms_own_server_does_not_say_why(net: Artifact, opened: Callable[..., RpcDevice]) -> None:
    with serving.tvm_server() as tvms:

        def kill() -> None:
            leaves = [one for one in tvms.sessions() if not one.children()]
            leaves[-1].kill()

        said = failure(opened(tvms.url), net, LONG, When("measuring", kill, after=0.3))
        assert said.startswith(f"the line to {tvms.url} was lost")
