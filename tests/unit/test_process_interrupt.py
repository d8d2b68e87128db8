"""A device that is interrupted from another thread: nothing runs there any more, whenever the interrupt comes."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mbench.devices.process import WorkerDevice, WorkerDied


@pytest.fixture
def device(tmp_path: Path) -> Iterator[WorkerDevice]:
    with contextlib.closing(WorkerDevice("x", where="here", lock_dir=tmp_path, timeout_s=60.0)) as made:
        yield made


def run(device: WorkerDevice) -> None:
    device.run(print, (), 1, lambda *_: None)


class Process:
    """A process that lives until it is killed."""

    def __init__(self) -> None:
        self.alive = True

    def is_alive(self) -> bool:
        return self.alive

    def kill(self) -> None:
        self.alive = False

    def join(self) -> None:
        assert not self.alive


def starting(device: WorkerDevice, then: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> Process:
    """Let a device start a process that never answers; `then` is called while it is being started."""
    process, pipe = Process(), contextlib.nullcontext(SimpleNamespace())

    def started(*_: Any) -> tuple[Any, Any]:
        then()
        return process, pipe

    monkeypatch.setattr(device, "_started", started)
    monkeypatch.setattr(device, "_listen", lambda *_: pytest.fail("nobody ended the process"))
    return process


def test_a_process_that_is_being_started_is_ended(device: WorkerDevice, monkeypatch: pytest.MonkeyPatch) -> None:
    process = starting(device, device.interrupt, monkeypatch)
    with pytest.raises(WorkerDied, match="the run has ended"):
        run(device)
    assert not process.alive


def test_no_process_is_started_afterwards(device: WorkerDevice, monkeypatch: pytest.MonkeyPatch) -> None:
    starting(device, lambda: pytest.fail("a process was started"), monkeypatch)
    device.interrupt()
    with pytest.raises(WorkerDied, match="the run has ended"):
        run(device)
