"""A counted run: marked call by call, and summed up by the marks."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import fake_devices as fakes
import pytest

from mbench.core import artifact
from mbench.core.errors import MeasureError
from mbench.devices import counting

CODE = {"0": "c0035fd6"}
"""A block of one instruction of arm64: `ret`."""


def test_marks_are_set_around_the_run_alone() -> None:
    diary: list[Any] = []

    class Instrument:
        def run(self, entry: str) -> list[tuple[str, float]]:
            diary.append(entry)
            return [("k0", 0.1), ("k1", 0.2)]

        def remove(self) -> None:
            diary.append("removed")

    class Program:
        def instrument(self) -> Instrument:
            diary.append("set")
            return Instrument()

    line: Any = SimpleNamespace(call=lambda *words: diary.append(words))
    program: Any = Program()
    assert counting.marked_run(program, line) == ["k0", "k1"]
    assert diary == ["set", ("mbench.roi", 1), artifact.ENTRY, ("mbench.roi", 0), "removed"]


def machine(folder: Path, segments: int) -> Any:
    """Return a machine whose plugin wrote segments that execute the block once, twice, … times."""
    lines = [f"B {block} {code}" for block, code in CODE.items()]
    for number in range(1, segments + 1):
        lines += ["S", f"D 0 {number}"]
    (folder / "counts").write_text("\n".join([*lines, "E", ""]))
    return SimpleNamespace(
        counts="counts", architecture="aarch64", line_bytes=(), target="arm64", vector_bits=128, name="qemu 9",
        traffic_method=None,
    )  # fmt: skip


def test_each_call_has_the_counts_between_its_own_marks(tmp_path: Path) -> None:
    built = fakes.compiled(tmp_path / "artifact", fakes.variant())
    ran = [name for name, _ in built.manifest.calls]
    found = counting.counted(tmp_path, ran, built, machine(tmp_path, 2 * len(ran) + 1))
    assert [call.counters.instructions for call in found.calls] == [2 * n for n in range(1, len(ran) + 1)]
    assert found.layers[:3] == tuple(built.manifest.layers[index].name for index in (0, 0, 1))
    assert (found.target, found.vector_bits, found.emulator) == ("arm64", 128, "qemu 9")
    assert found.artifact_digest == built.manifest.digest


def test_counts_that_do_not_fit_the_calls_are_refused(tmp_path: Path) -> None:
    built = fakes.compiled(tmp_path / "artifact", fakes.variant())
    ran = [name for name, _ in built.manifest.calls]
    with pytest.raises(MeasureError, match="segments were counted"):
        counting.counted(tmp_path, ran, built, machine(tmp_path, 3))
