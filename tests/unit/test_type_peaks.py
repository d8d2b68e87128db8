"""Which module measures the peak in a type: each of its own, and what it needs is there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mbench.core import dtypes
from mbench.core.machine_types import Target
from mbench.hardware import half_sums, platforms, targets
from mbench.measure import byte_peaks, pair_peaks, type_peaks


@pytest.mark.parametrize(("dtype", "module"), [("int8", byte_peaks), ("bfloat16", pair_peaks)])
def test_each_type_is_measured_by_its_own_module(dtype: str, module: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def measured(target: Target, threads: int, **_: Any) -> tuple[str, int]:
        return target.name, threads

    monkeypatch.setattr(module, "calibrate", measured)
    found: Any = type_peaks.calibrate(targets.load("x86_64_v4_bf16"), 3, dtype)
    assert found == ("x86_64_v4_bf16", 3)


def test_all_types_of_cpus_are_measured_by_modules_that_are_there() -> None:
    folder = Path(pair_peaks.__file__).parent
    assert all((folder / name).is_file() for names in type_peaks.SOURCES.values() for name in names)
    known = {dtype for each in platforms.PLATFORMS.values() if each.processor == "cpu" for dtype in each.dtypes}
    assert known == {dtypes.DEFAULT, half_sums.TYPE, *type_peaks.SOURCES}  # the first two by cpu_peaks
