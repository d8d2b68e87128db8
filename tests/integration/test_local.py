"""This machine as a device: one at a time."""

from __future__ import annotations

import os
import select
import subprocess
import sys
from pathlib import Path

import pytest

from mbench import devices
from mbench.core.errors import UsageError
from mbench.devices.local import LocalDevice
from mbench.hardware import targets

pytest_plugins = ("worker_fixtures",)
pytestmark = pytest.mark.usefixtures("nothing_left_running")

SECOND = """
import sys
from pathlib import Path
from mbench.devices.local import LocalDevice

LocalDevice(lock_dir=Path(sys.argv[1]), timeout_s=1, waiting=lambda text: print(text, flush=True))
print("held", flush=True)
"""


def test_a_second_run_waits_and_says_so(tmp_path: Path) -> None:
    first = LocalDevice(lock_dir=tmp_path, timeout_s=1)
    command = [sys.executable, "-c", SECOND, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as second:
        assert second.stdout is not None
        told = second.stdout.readline().strip()
        assert told == f"another run measures on this machine (process {os.getpid()}); waiting until it is done"
        assert select.select([second.stdout], [], [], 0.5)[0] == []  # still waiting
        first.close()
        assert second.stdout.readline().strip() == "held"
    assert second.returncode == 0


def test_a_free_machine_needs_no_waiting(tmp_path: Path) -> None:
    told: list[str] = []
    for _ in range(2):
        LocalDevice(lock_dir=tmp_path, timeout_s=1, waiting=told.append).close()
    assert told == []


def test_devices_are_opened_by_kind(tmp_path: Path) -> None:
    opened = devices.open_device(
        "local", targets.load("x86_64_v3"), lock_dir=tmp_path, timeout_s=1, waiting=lambda _: None
    )
    assert opened.name == "local"
    opened.close()


def test_an_unknown_kind_of_device_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"device 'moon' is not known; expected one of: .*local"):
        devices.open_device("moon", targets.load("x86_64_v3"), lock_dir=tmp_path, timeout_s=1, waiting=lambda _: None)
