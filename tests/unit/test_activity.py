from __future__ import annotations

import os
import subprocess
import sys
import time
from types import SimpleNamespace

import psutil
import pytest

from mbench.measure import activity

BURN = [sys.executable, "-c", "import time\nwhile time.process_time() < 0.2: pass"]


class Machine:
    """A machine whose clocks go on only when they are told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.wall = self.others = self.own = self.children = 0.0
        monkeypatch.setattr(psutil, "cpu_times", lambda: SimpleNamespace(user=self._busy() - 1, system=1.0, idle=1e6))
        monkeypatch.setattr(os, "times", lambda: SimpleNamespace(children_user=self.children, children_system=0.0))
        monkeypatch.setattr(time, "process_time", lambda: self.own)
        monkeypatch.setattr(time, "perf_counter", lambda: self.wall)

    def _busy(self) -> float:
        return self.others + self.own + self.children

    def work(self, wall: float, *, own: float = 0.0, others: float = 0.0, children: float = 0.0) -> None:
        self.wall += wall
        self.own += own
        self.others += others
        self.children += children


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    made = Machine(monkeypatch)
    made.work(100.0, own=7.0, others=900.0, children=3.0)
    return made


def test_own_work_is_not_counted_as_that_of_others(machine: Machine) -> None:
    watch = activity.Watch()
    machine.work(2.0, own=3.0)  # of two threads
    assert watch.read_s() == pytest.approx((2.0, 0.0))


def test_the_work_of_others_is_seen(machine: Machine) -> None:
    watch = activity.Watch()
    machine.work(2.0, own=1.5, others=0.75)
    assert watch.read_s() == pytest.approx((2.0, 0.75))


def test_the_work_of_a_process_that_was_started_and_waited_for_is_own(machine: Machine) -> None:
    watch = activity.Watch()
    machine.work(2.0, children=1.5)  # as nvcc is, which compiles while the peaks of a GPU are measured
    assert watch.read_s() == pytest.approx((2.0, 0.0))


def test_ticks_that_were_counted_late_are_no_work(machine: Machine) -> None:
    watch = activity.Watch()
    machine.work(1.0, own=0.5, others=-0.02)
    assert watch.read_s() == pytest.approx((1.0, 0.0))


def test_this_machine_counts_the_processor_seconds_of_children() -> None:
    """Processor seconds are what a process used, however long it took for them."""
    before = activity.own_s()
    subprocess.run(BURN, check=True)
    assert activity.own_s() - before >= 0.18  # the system counts in ticks of 10 ms


def test_this_machine_has_been_busy() -> None:
    assert activity.busy_s() > 0
