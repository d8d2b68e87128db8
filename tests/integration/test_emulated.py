"""An emulated machine as a device: what it cannot execute, load or compute is a failure."""

from __future__ import annotations

import shutil
from pathlib import Path

import msgspec
import numpy as np
import pytest
from emulated_networks import PLAN, built, observed, reseal

from mbench.core import artifact
from mbench.core.artifact import Artifact
from mbench.core.errors import MeasureError
from mbench.devices.emulated import EmulatedDevice
from mbench.hardware import targets


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("counted")


def test_a_corrupted_kernel_would_not_have_passed(cache: Path, tmp_path: Path) -> None:
    made = built("arm64_cortex_a72", cache)
    shutil.copytree(made.folder, tmp_path / "wrong")
    with np.load(made.reference) as reference:
        np.savez(tmp_path / "wrong" / artifact.REFERENCE, input=reference["input"], output=-reference["output"])
    wrong = Artifact(tmp_path / "wrong", reseal(tmp_path / "wrong", made))
    seen = observed("arm64_cortex_a72", wrong, tmp_path)
    assert not seen.numerics.passed
    assert seen.counted is None


def test_code_that_the_emulated_processor_lacks_is_named(cache: Path, tmp_path: Path) -> None:
    wide = targets.load("x86_64_v4")
    made = built("x86_64_v4", cache)
    wide = msgspec.structs.replace(wide, emulation={"qemu_cpu": "max"})  # which has no AVX-512
    device = EmulatedDevice(wide, lock_dir=tmp_path, timeout_s=60, waiting=lambda _: None)
    with pytest.raises(MeasureError, match=r"illegal instruction: the code for target 'x86_64_v4' .*'-cpu max'"):
        device.measure(made, PLAN, lambda *_: None)
    device.close()


def test_a_library_that_cannot_be_loaded_is_a_failure(cache: Path, tmp_path: Path) -> None:
    made = built("arm64_cortex_a72", cache)
    broken = tmp_path / "broken"
    shutil.copytree(made.folder, broken)
    (broken / artifact.LIBRARY).write_bytes(b"no library")
    with pytest.raises(MeasureError, match=r"invalid ELF header|file too short"):
        observed("arm64_cortex_a72", Artifact(broken, reseal(broken, made)), tmp_path)
