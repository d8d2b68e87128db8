"""`mbench run` on what is not this machine: emulated, over a server, through a tracker; and counts beside times."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import board_server as serving
import pytest
from conftest import require
from running_mbench import PAIR, finished, only_record

from mbench.core import record_files, resources
from mbench.core.records import Record
from mbench.devices import toolchain
from mbench.hardware import device_kinds
from mbench.measure import counters

pytestmark = pytest.mark.slow
ONE = PAIR[0]


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a cache that has TVM's runtime for arm64, where one was fetched before."""
    folder = tmp_path_factory.mktemp("cache")
    fetched = resources.cache_dir() / "runtime"
    if fetched.is_dir():
        shutil.copytree(fetched, folder / "runtime")
    return folder


def ran(*arguments: str | Path, cache: Path, cwd: Path, code: int = 0) -> tuple[Record, str, str]:
    """Return the record of a run, its page, and what it printed."""
    ended, run = finished("run", *arguments, cache=cache, cwd=cwd)
    assert ended == code, run.err
    file = only_record(cwd / "mbench-results")
    return record_files.read(file), file.with_suffix(".html").read_text(encoding="utf-8"), run.out + run.err


@pytest.fixture(scope="module")
def emulated(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Record, str, str]:
    require(shutil.which("qemu-aarch64"), "qemu-aarch64 is not on PATH")
    require(shutil.which("aarch64-linux-gnu-g++"), "aarch64-linux-gnu-g++ is not on PATH")
    return ran(*PAIR, "--target", "arm64", cache=cache, cwd=tmp_path_factory.mktemp("emulated"))


def test_arm64_is_emulated_checked_and_counted(emulated: tuple[Record, str, str]) -> None:
    record, page, said = emulated
    assert (record.device.kind, record.settings.threads, record.failures) == ("emulated", 1, ())
    assert record.device.emulator is not None
    assert record.device.emulator.startswith("qemu-aarch64 ")
    for result in record.results:
        assert result.numerics is not None
        assert result.numerics.passed
        assert result.counts is not None
        found = [layer.counters for layer in result.layers if layer.counters]
        assert len(found) == len(result.layers)
        assert result.counts.counters == counters.total(found)
        assert result.end_to_end.latency_model_s == pytest.approx(
            sum(layer.latency_model_s or 0.0 for layer in result.layers), rel=1e-6
        )
    assert "emulated" in page
    assert "instr" in said


def test_nothing_that_was_emulated_has_a_time(emulated: tuple[Record, str, str]) -> None:
    record, *_ = emulated
    for result in record.results:
        assert result.end_to_end.latency_s is None
        assert result.missing["end_to_end.latency_s"] == device_kinds.NO_TIME
        assert result.time_balance is None
        assert result.memory.process_peak_bytes is None
        assert "static" not in result.energy.components_j
        assert all(layer.latency_s is None and layer.roofline is None for layer in result.layers)


def test_counts_beside_times_are_those_of_the_common_level(cache: Path, tmp_path: Path) -> None:
    require(shutil.which("qemu-x86_64"), "qemu-x86_64 is not on PATH")
    arguments = (ONE, "--target", "x86_64_v2", "--counts", "--quick", "--repeat", "3", "--threads", "1")
    record, _, said = ran(*arguments, cache=cache, cwd=tmp_path)
    [result] = record.results
    assert result.end_to_end.latency_s
    assert result.counts is not None
    assert (record.target.name, result.counts.target) == ("x86_64_v2", "x86_64_v3")
    assert result.counts.artifact_digest != result.artifact.digest
    assert all(layer.counters and layer.latency_s for layer in result.layers)
    assert result.end_to_end.latency_model_s is None
    assert "x86_64_v3" in said


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the code is for x86_64")
def test_a_run_over_a_server(cache: Path, tmp_path: Path) -> None:
    program = toolchain.server("x86_64-linux-gnu").program
    with serving.mbench_server(program) as server:
        arguments = (ONE, "--target", "x86_64_v2", "--device", server.url, "--repeat", "3", "--threads", "1")
        record, page, _ = ran(*arguments, cache=cache, cwd=tmp_path)
        server.assert_idle()
    [result] = record.results
    assert (record.device.kind, record.device.name) == ("rpc", server.url)
    assert record.device.machine is not None
    assert result.end_to_end.latency_s is not None
    assert {session.samples for session in result.sessions} == {3}
    assert len(result.sessions) >= 5, "sessions on a board as here"
    assert all(layer.latency_s for layer in result.layers)
    assert server.url in page


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the code is for x86_64")
def test_a_run_through_a_tracker_by_a_name(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    require(serving.has_tracker(), "TVM's tracker needs tornado")
    monkeypatch.setenv("MBENCH_CONFIG_DIR", str(tmp_path / "config"))
    program = toolchain.server("x86_64-linux-gnu").program
    with serving.tvm_tracker() as tracker:
        where = f"127.0.0.1:{tracker.port}"
        with serving.mbench_server(program, "--tracker", where, "--key", "farm"):
            code, added = finished(
                "device", "add", "farm", "--tracker", where, "--key", "farm", cache=cache, cwd=tmp_path
            )
            assert code == 0, added.err
            arguments = (ONE, "--target", "x86_64_v2", "--device", "farm", "--quick", "--repeat", "3", "--threads", "1")
            record, *_ = ran(*arguments, cache=cache, cwd=tmp_path)
    assert (record.device.kind, record.device.name) == ("rpc", "farm")
    assert record.results[0].end_to_end.latency_s


def test_a_board_that_is_not_there_fails_and_says_so(cache: Path, tmp_path: Path) -> None:
    where = f"rpc://127.0.0.1:{serving.free_port()}"
    record, _, said = ran(ONE, "--target", "x86_64_v2", "--device", where, cache=cache, cwd=tmp_path, code=4)
    [failure] = record.failures
    assert where in failure.reason
    assert "nobody listens" in failure.reason
    assert "FAILED" in said


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the code is for x86_64")
def test_tvms_own_server_times_the_whole_and_says_why_not_the_layers(cache: Path, tmp_path: Path) -> None:
    arguments = (ONE, "--target", "x86_64_v2", "--quick", "--repeat", "3", "--threads", "1")
    with serving.tvm_server() as server:
        record, page, _ = ran(*arguments, "--device", server.url, cache=cache, cwd=tmp_path)
    [result] = record.results
    assert result.end_to_end.latency_s
    assert result.time_balance is None
    for field in ("time_balance", "layers.latency_s", "memory.process_peak_bytes"):
        assert "mbench device serve" in result.missing[field], field
    assert "mbench device serve" in record.device.missing["machine"]
    assert "mbench device serve" in page
