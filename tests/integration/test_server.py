"""mbench's RPC server: its options, what it tells, and that it leaves nothing behind."""

from __future__ import annotations

import signal
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from board_server import Serving, mbench_server
from measure_plans import ignore
from rpc_plans import FEW, LONG, When, failure

from mbench.core.artifact import Artifact
from mbench.devices.rpc import RpcDevice

pytest_plugins = ("rpc_fixtures",)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--port", "70000"), "--port 70000: expected a number from 0 to 65535"),
        (("--port",), "--port needs a value"),
        (("--prot", "1"), "unknown option --prot; expected --host"),
        (("--dir", "/nowhere/at/all"), "--dir /nowhere/at/all: No such file or directory"),
        (("--hello-timeout", "0"), "--hello-timeout 0: expected seconds, from 0.01 to 1000000"),
        (("--idle-timeout", "nan"), "--idle-timeout nan: expected seconds, from 0.01 to 1000000"),
        (("--idle-timeout", "5s"), "--idle-timeout 5s: expected seconds, from 0.01 to 1000000"),
        (("--max-upload", "-1"), "--max-upload -1: expected MiB, from 1 to 1000000"),
        (("--tracker", "farm:9190"), "--tracker needs --key"),
        (("--tracker", "farm", "--key", "pi4"), "--tracker farm: expected host:port"),
    ],
)
def test_wrong_options_of_the_server(program: Path, options: tuple[str, ...], said: str) -> None:
    done = subprocess.run([program, *options], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith(f"mbench-server: {said}")
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""


def test_a_port_in_use(program: Path, server: Serving) -> None:
    command = [str(program), "--port", str(server.port)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
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
        assert board.process.wait(60) == 0
        assert sessions
        assert not any(process.is_running() for process in sessions)
        assert list(folder.iterdir()) == []
