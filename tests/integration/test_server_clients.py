"""mbench's RPC server among clients that are silent, slow, broken or none: it drops them, and serves the others."""

from __future__ import annotations

import contextlib
import random
import select
import signal
import socket
import struct
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import board_server as serving
import hostile_clients as hostile
import psutil
import pytest
from board_server import Serving, board, mbench_server, serves, session, settled
from hostile_clients import INIT, greeting, request

pytest_plugins = ("rpc_fixtures",)

NEVER = "100000"
SEED = 20250728


# ----------------------------------------------------------------------------------------------------- before a session
TLS = bytes.fromhex("16030100c8010000c40303")
STRANGERS = {
    "http": (b"GET / HTTP/1.1\r\nHost: \x1b[31mx\r\n\r\n", "no client of TVM's RPC; it sent \"GET / HTTP/1.1\\u000d"),
    "tls": (TLS, "no client of TVM's RPC"),
    "tracker": (struct.pack("<i", 0x2F271), "no client of TVM's RPC"),
    "zeros": (bytes(1 << 20), "no client of TVM's RPC"),
    "huge key": (struct.pack("<ii", hostile.MAGIC, (1 << 31) - 1), "it announced a key of 2147483647 bytes"),
    "negative key": (struct.pack("<ii", hostile.MAGIC, -1), "it announced a key of -1 bytes"),
    "wrong key": (greeting("client:\x1b]0;x\x07\n"), 'it has the wrong key, "client:\\u001b]0;x\\u0007\\u000a"'),
    "no client's key": (greeting("server:"), "it has the wrong key"),
    "huge request": (greeting() + request(2, length=1 << 62), "its first request has 4611686018427387904 bytes"),
    "empty request": (greeting() + request(2, length=0), "its first request has 0 bytes"),
    "another request": (
        greeting() + request(hostile.CALL),
        "its first request does not begin a session; it has the code 3",
    ),
    "silent": (b"", "did not introduce itself in time"),
    "half a number": (b"\x71\xf2", "did not introduce itself in time"),
    "half a key": (greeting()[:-3], "did not introduce itself in time"),
    "nothing after the greeting": (greeting(), "did not introduce itself in time"),
    "half a request": (greeting() + INIT[:-1], "did not introduce itself in time"),
}


@pytest.fixture(scope="module")
def hasty(program: Path) -> Iterator[Serving]:
    """A server that gives nobody time."""
    with mbench_server(program, "--hello-timeout", "0.3") as started:
        before = psutil.Process(started.process.pid).num_fds()
        yield started
        settled(started, before)


@pytest.fixture(scope="module")
def patient(program: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """A server that gives everybody time, so that only what they send counts, however busy this machine is."""
    with board(program, tmp_path_factory.mktemp("patient"), "--hello-timeout", NEVER) as started:
        yield started


@pytest.mark.parametrize("stranger", STRANGERS)
def test_who_is_no_client_is_dropped_with_one_line(stranger: str, hasty: Serving, patient: Serving) -> None:
    sent, said = STRANGERS[stranger]
    server = hasty if "in time" in said else patient
    memory = psutil.Process(server.process.pid).memory_info().rss
    with hostile.connected(server.port) as line:
        who = f"dropped {hostile.name(line)}: "
        with contextlib.suppress(ConnectionError):
            line.sendall(sent)
        answer = hostile.all_that_comes(line)
    logged = server.wait_for(who)
    assert said in logged
    assert logged.rstrip("\n").isprintable()
    assert sum(who in each for each in server.said) == 1
    assert len(answer) <= 15
    assert psutil.Process(server.process.pid).memory_info().rss < memory + (16 << 20)
    assert psutil.Process(server.process.pid).children() == []


@pytest.mark.parametrize("leave", [socket.socket.close, hostile.reset], ids=["closed", "reset"])
@pytest.mark.parametrize("sent", [b"", greeting()[:5], greeting() + INIT[:5]])
def test_who_leaves_is_forgotten(sent: bytes, leave: Callable[[socket.socket], None], patient: Serving) -> None:
    line = hostile.connected(patient.port)
    who = hostile.name(line)
    line.sendall(sent)
    leave(line)
    patient.wait_for(f"dropped {who}: ")


def test_bytes_that_trickle_move_no_deadline(hasty: Serving) -> None:
    with hostile.connected(hasty.port) as line:
        for byte in greeting("client:" + "x" * 900):
            line.send(bytes([byte]))
            if select.select([line], [], [], 0.02)[0]:
                break
        else:
            raise AssertionError("it was listened to for as long as it sent")
        assert "did not introduce itself in time" in hasty.wait_for(hostile.name(line))


@pytest.mark.parametrize("greets", [False, True], ids=["silent", "greeted"])
def test_many_who_say_nothing_keep_nobody_out(greets: bool, program: Path, tmp_path: Path) -> None:
    with board(program, tmp_path, "--hello-timeout", NEVER) as server, contextlib.ExitStack() as stack:
        for _ in range(200):
            stack.enter_context(hostile.greeted(server.port) if greets else hostile.connected(server.port))
        serves(server)
        assert psutil.Process(server.process.pid).num_fds() < 100
        assert "others wait" in server.wait_for("dropped")
        stack.close()


def test_no_descriptor_is_left_for_a_client(program: Path, tmp_path: Path) -> None:
    with board(program, tmp_path, "--hello-timeout", NEVER) as server, contextlib.ExitStack() as stack:
        process = psutil.Process(server.process.pid)
        process.rlimit(psutil.RLIMIT_NOFILE, (16, 16))
        for _ in range(40):
            stack.enter_context(hostile.connected(server.port))
        serves(server)


def test_a_log_that_nobody_reads_stops_nothing(program: Path) -> None:
    command = [str(program), "--port", str(port := serving.free_port())]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert "listening" in process.stdout.readline()
        for _ in range(1000):  # of 130 bytes each; a pipe takes 64 KiB
            with hostile.connected(port) as line:
                line.sendall(b"\x01" * 100)
                hostile.all_that_comes(line)
        hostile.in_session(port).close()
        process.terminate()
        assert process.wait(300) == 0


def test_a_log_that_is_closed_goes_to_no_client(program: Path) -> None:
    command = ["sh", "-c", 'exec "$0" --port 0 2>&- <&-', str(program)]
    with serving.started(*command, says=r"listening on 127\.0\.0\.1:(\d+)") as server:
        for _ in range(3):
            with hostile.connected(server.port) as line:
                line.sendall(b"GET / HTTP/1.1\r\n\r\n")
                assert hostile.all_that_comes(line) == b""
        serves(server)


# --------------------------------------------------------------------------------------------------------- in a session
def test_a_session_that_is_silent_ends(program: Path, tmp_path: Path) -> None:
    with board(program, tmp_path, "--idle-timeout", "2") as server:
        with hostile.in_session(server.port) as line:
            assert hostile.all_that_comes(line) == b""
            assert "no whole request came" in server.wait_for(f"ended the session of {hostile.name(line)}")
        with contextlib.closing(session(server)) as after:
            assert after.call("mbench.last_session") == "the server: no request came within its --idle-timeout"


def test_a_request_that_trickles_ends_its_session(program: Path, tmp_path: Path) -> None:
    with board(program, tmp_path, "--idle-timeout", "2") as server, hostile.in_session(server.port) as line:
        line.sendall(request(hostile.CALL, length=1 << 20))
        for _ in range(1000):
            if select.select([line], [], [], 0.02)[0]:
                break
            with contextlib.suppress(ConnectionError):
                line.send(b"x")
        else:
            raise AssertionError("it was listened to for as long as it sent")


def test_a_request_of_any_length_makes_no_room(program: Path, tmp_path: Path) -> None:
    with board(program, tmp_path) as server:
        for length in (1 << 27, 1 << 33, 1 << 62, (1 << 64) - 1):
            with hostile.in_session(server.port) as line:
                line.sendall(request(hostile.CALL, length=length))
                assert hostile.all_that_comes(line) == b""
                logged = server.wait_for(f"ended the session of {hostile.name(line)}")
                assert f"a message of {length} bytes" in logged


def test_the_others_wait_in_order_and_leave(program: Path, tmp_path: Path) -> None:
    with board(program, tmp_path) as server:
        first, gone, second = (
            hostile.in_session(server.port),
            hostile.greeted(server.port),
            hostile.greeted(server.port),
        )
        with first, second:
            with gone:
                gone.sendall(INIT)
                who = hostile.name(gone)
            server.wait_for(f"dropped {who}", "hung up")
            second.sendall(INIT)
            assert len(server.sessions()) == 1
            first.close()
            assert len(second.recv(8, socket.MSG_WAITALL)) == 8


SLOW = """
#include <tvm/ffi/c_api.h>
#include <unistd.h>
extern "C" int __tvm_ffi_slow(void*, const TVMFFIAny*, int32_t, TVMFFIAny* result) {
  sleep(6);
  result->type_index = kTVMFFIInt;
  result->zero_padding = 0;
  result->v_int64 = 7;
  return 0;
}
"""


def test_a_long_run_is_no_silence(program: Path, tmp_path: Path) -> None:
    from mbench.devices import tvm_runtime

    source, library = tmp_path / "slow.cc", tmp_path / "slow.so"
    source.write_text(SLOW)
    include = tvm_runtime.package_folder("tvm_ffi") / "include"
    dlpack = [
        f"-I{folder}"
        for folder in tvm_runtime.package_folder("tvm_ffi").rglob("include")
        if (folder / "dlpack").is_dir()
    ]
    subprocess.run(["g++", "-shared", "-fPIC", f"-I{include}", *dlpack, source, "-o", library], check=True)
    with board(program, tmp_path, "--idle-timeout", "5") as server, contextlib.closing(session(server)) as line:
        line.upload(library)
        loaded = line.remote.load_module(library.name)
        assert loaded["slow"]() == 7


# -------------------------------------------------------------------------------------------------------------- signals
def _silent(server: Serving) -> list[socket.socket]:
    return [hostile.connected(server.port) for _ in range(5)]


def _greeted(server: Serving) -> list[socket.socket]:
    return [hostile.greeted(server.port)]


def _in_session(server: Serving) -> list[socket.socket]:
    return [hostile.in_session(server.port), hostile.connected(server.port)]


def _hanging(server: Serving) -> list[socket.socket]:
    lines = [hostile.in_session(server.port)]
    server.sessions()[0].suspend()
    return lines


def _trickling(server: Serving) -> list[socket.socket]:
    line = hostile.connected(server.port)
    line.sendall(greeting("client:" + "x" * 990)[:10])

    def trickle() -> None:
        with contextlib.suppress(OSError):  # closed at the end
            while not select.select([line], [], [], 0.2)[0]:
                line.send(b"x")

    threading.Thread(target=trickle, daemon=True).start()
    return [line]


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
@pytest.mark.parametrize("state", [_silent, _trickling, _greeted, _in_session, _hanging])
def test_a_signal_ends_the_server_whatever_it_does(
    state: Callable[[Serving], list[socket.socket]], how: signal.Signals, program: Path, tmp_path: Path
) -> None:
    with board(program, tmp_path, "--hello-timeout", NEVER, "--idle-timeout", NEVER) as server:
        lines = state(server)
        children = server.sessions()
        server.process.send_signal(how)
        assert server.process.wait(300) == 0
        assert not any(child.is_running() for child in children)
        assert list((tmp_path / "uploads").iterdir()) == []
        for line in lines:
            line.close()


@pytest.mark.parametrize(
    "answers", [b"", struct.pack("<i", 0x2F271), struct.pack("<ii", 0x2F271, 1 << 20) + b"x" * 100]
)
def test_a_tracker_that_does_not_answer_holds_nothing(answers: bytes, program: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as tracker:
        where = f"127.0.0.1:{tracker.getsockname()[1]}"
        with mbench_server(program, "--tracker", where, "--key", "board") as server:
            line, _ = tracker.accept()
            with line:
                line.sendall(answers)
                with hostile.connected(server.port) as client:
                    client.sendall(greeting())
                    assert hostile.all_that_comes(client) == hostile.MISMATCH
                server.process.terminate()
                assert server.process.wait(300) == 0


# ----------------------------------------------------------------------------------------------------------------- fuzz
def test_noise(program: Path, tmp_path: Path) -> None:
    draw = random.Random(SEED)
    with board(program, tmp_path) as server:
        process = psutil.Process(server.process.pid)
        memory = process.memory_info().rss
        for number in range(2000):
            with hostile.connected(server.port) as line, contextlib.suppress(ConnectionError):
                line.sendall(hostile.noise(draw))
                if draw.random() < 0.3:
                    line.shutdown(socket.SHUT_WR)
                if draw.random() < 0.1:
                    hostile.reset(line)
            assert server.process.poll() is None, (SEED, number, server.said[-3:])
        serves(server)
        assert process.memory_info().rss < memory + (64 << 20)
        assert all(line.rstrip("\n").isprintable() for line in server.said if line.startswith("mbench-server: dropped"))
