from __future__ import annotations

import ctypes
from pathlib import Path

import pytest

from mbench.core.errors import BuildError
from mbench.hardware import linker, targets
from mbench.measure import pace_build
from mbench.measure.observation import PaceLoops


def test_the_library_is_for_the_target(tmp_path: Path) -> None:
    made = PaceLoops(library=tmp_path / "loops.so", target=targets.load("arm64_cortex_a72"), threads=2)
    pace_build.build(made)
    header = made.library.read_bytes()[:20]
    assert header[:4] == b"\x7fELF"
    assert int.from_bytes(header[18:20], "little") == 183, "EM_AARCH64"


def test_without_a_linker_there_is_no_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(_: str) -> None:
        raise BuildError("no linker")

    monkeypatch.setattr(linker, "find", missing)
    made = PaceLoops(library=tmp_path / "loops.so", target=targets.load("x86_64_v2"), threads=1)
    with pytest.raises(BuildError, match="no linker"):
        pace_build.build(made)
    assert not made.library.exists()
    with pytest.raises(OSError, match=r"loops\.so"):
        ctypes.CDLL(str(made.library))
