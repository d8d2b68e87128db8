from __future__ import annotations

from pathlib import Path

import psutil
import pytest
from conftest import require

from mbench.measure import memory

STATUS = "Name:\tpython\nVmPeak:\t  900000 kB\nVmSize:\t  800000 kB\nVmHWM:\t  123456 kB\nVmRSS:\t  100000 kB\n"


def test_the_peak_of_the_resident_set_is_read_in_bytes(tmp_path: Path) -> None:
    (tmp_path / "status").write_text(STATUS)
    assert memory.process_peak_bytes(tmp_path / "status") == 123456 * 1024


@pytest.mark.parametrize("text", ["", STATUS.replace("VmHWM", "VmXYZ"), STATUS.replace("123456 kB", "123456 MB")])
def test_a_kernel_that_does_not_tell_gives_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "status").write_text(text)
    assert memory.process_peak_bytes(tmp_path / "status") is None


def test_no_such_file_gives_none(tmp_path: Path) -> None:
    assert memory.process_peak_bytes(tmp_path / "status") is None


def test_this_process_has_a_peak_that_grows_with_what_it_holds() -> None:
    require(Path("/proc/self/status").exists(), "needs /proc")
    before = memory.process_peak_bytes()
    assert before is not None
    assert before >= psutil.Process().memory_info().rss * 0.9
    resident = psutil.Process().memory_info().rss
    grown = before - resident + 64 * 2**20
    held = b"\x01" * grown
    after = memory.process_peak_bytes()
    assert after is not None
    assert after - before > 32 * 2**20
    assert len(held) == grown
