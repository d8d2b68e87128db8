"""Starting an emulated machine: what it lacks, what it is told, and how it ended."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from mbench.core.errors import MeasureError, UsageError
from mbench.devices import emulation, toolchain
from mbench.devices.toolchain import Emulator
from mbench.hardware import targets


def machine(folder: Path, script: str, **changes: Any) -> emulation.EmulatedMachine:
    """Return a machine whose emulator is a shell script."""
    program = folder / "qemu-aarch64"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    given = {
        "target": "arm64_cortex_a72", "architecture": "aarch64", "vector_bits": 128, "cpu": "cortex-a72",
        "emulator": Emulator(str(program), (9, 2), plugins=True), "sysroot": folder / "root",
        "server": toolchain.Server(folder), "plugin": None, "plugin_missing": "", "cache_options": (),
        "line_bytes": (), "traffic_method": None, **changes,
    }  # fmt: skip
    return emulation.EmulatedMachine(**given)


def work(folder: Path) -> Path:
    (folder / "work").mkdir()
    return folder / "work"


def test_it_is_told_its_processor_its_plugin_and_its_caches(tmp_path: Path) -> None:
    plugin = tmp_path / "plugin.so"
    started = machine(
        tmp_path, f'echo "$@" > {tmp_path}/words; echo "port: 4242"', plugin=plugin, cache_options=("l1=64:4",)
    )
    with emulation.running(started, tmp_path / "model.so", work(tmp_path)) as running:
        assert running.port == 4242
        running.finish()
        assert running.why_gone() == ""
    words = (tmp_path / "words").read_text().split()
    assert words[: words.index("-plugin")] == ["-cpu", "cortex-a72", "-L", str(tmp_path / "root")]
    assert words[words.index("-plugin") + 1].split(",")[0] == str(plugin)
    assert words[words.index("-plugin") + 1].endswith(",l1=64:4")


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("echo no such file >&2; exit 3", "did not start: qemu-aarch64 9.2 ended with status 3: no such file"),
        ("kill -ILL $$", "uses instructions that qemu-aarch64 9.2 does not execute with '-cpu cortex-a72'"),
        ("kill -SEGV $$", "qemu-aarch64 9.2 was ended by SIGSEGV"),
    ],
)
def test_a_machine_that_does_not_start_says_how_it_ended(tmp_path: Path, script: str, said: str) -> None:
    broken = machine(tmp_path, script)
    with (
        pytest.raises(MeasureError) as caught,
        emulation.running(broken, tmp_path / "model.so", work(tmp_path)),
    ):
        pytest.fail("it was started")
    assert said in str(caught.value)


def test_a_machine_does_not_outlive_its_block(tmp_path: Path) -> None:
    endless = machine(tmp_path, 'echo $$ > pid; echo "port: 1"; exec sleep 600')
    with emulation.running(endless, tmp_path / "model.so", work(tmp_path)):
        process = int((tmp_path / "work" / "pid").read_text())
        os.kill(process, 0)
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)


def test_a_machine_that_ends_badly_later_says_so(tmp_path: Path) -> None:
    dying = machine(tmp_path, 'echo "port: 1"; echo out of memory >&2; exit 9')
    with emulation.running(dying, tmp_path / "model.so", work(tmp_path)) as running:
        assert running.why_gone() == "qemu-aarch64 9.2 ended with status 9: out of memory"
        with pytest.raises(MeasureError, match="ended with status 9"):
            running.finish()


def test_a_target_that_qemu_does_not_execute_is_refused() -> None:
    with pytest.raises(UsageError, match="'x86_64_v4' cannot be emulated"):
        emulation.check(targets.load("x86_64_v4"))


def test_without_the_plugin_it_runs_and_says_why_it_does_not_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(_: object) -> Path:
        raise UsageError("no C compiler")

    ready = machine(tmp_path, "")
    monkeypatch.setattr(emulation, "check", lambda _: None)
    monkeypatch.setattr(toolchain, "emulator", lambda _: ready.emulator)
    monkeypatch.setattr(toolchain, "server", lambda *_: ready.server)
    monkeypatch.setattr(toolchain, "sysroot", lambda _: ready.sysroot)
    monkeypatch.setattr(toolchain, "plugin", missing)
    said: list[str] = []
    found = emulation.prepare(targets.load("arm64_cortex_a72"), said.append)
    assert (found.plugin, found.plugin_missing, said) == (None, "no C compiler", ["no counts: no C compiler"])
    assert found.name == "qemu-aarch64 9.2 -cpu cortex-a72"
    assert (found.architecture, found.vector_bits) == ("aarch64", 128)
