from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import fake_devices as fakes
import pytest
from run_world import World

from mbench.core.errors import MeasureError
from mbench.measure.observation import PaceLoops
from mbench.pipeline import pace_library

pytest_plugins = ("run_fixtures",)


class Paced(fakes.Device):
    """Compiles loops at once."""

    def __init__(self) -> None:
        super().__init__()
        self.built: list[PaceLoops] = []

    def build_pace(self, loops: PaceLoops, report: Callable[[str, float], None]) -> None:
        self.built.append(loops)
        loops.library.write_bytes(b"code")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MBENCH_CACHE_DIR", str(tmp_path / "cache"))


def find(world: World, device: Any, **settings: Any) -> PaceLoops | None:
    return pace_library.find(world.job(settings=settings), device, lambda *_: None)


def test_they_are_compiled_once(world: World) -> None:
    device = Paced()
    first, again = find(world, device), find(world, device)
    assert first == again
    assert first is not None
    assert first.library.read_bytes() == b"code"
    assert len(device.built) == 1


def test_other_numbers_of_threads_have_their_own(world: World) -> None:
    device = Paced()
    assert len({find(world, device, threads=threads).library for threads in (1, 2)}) == 2  # type: ignore[union-attr]


def test_a_device_that_cannot_has_none(world: World) -> None:
    assert find(world, fakes.Device()) is None


def test_nothing_is_left_of_loops_that_could_not_be_compiled(world: World) -> None:
    def fail(_: Any, loops: PaceLoops, __: Any) -> None:
        loops.library.write_bytes(b"half")
        raise MeasureError("no linker")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Paced, "build_pace", fail)
        with pytest.raises(MeasureError, match="no linker"):
            find(world, Paced())
    device = Paced()
    find(world, device)
    assert len(device.built) == 1


def test_the_best_that_was_seen_is_kept(world: World) -> None:
    loops = find(world, Paced())
    assert pace_library.best_exchange_s(loops) is None
    for seen_s, best_s in ((3e-6, 3e-6), (None, 3e-6), (9e-6, 3e-6), (2.7e-6, 2.7e-6)):
        pace_library.keep(loops, seen_s)
        assert pace_library.best_exchange_s(loops) == best_s
    other = find(world, Paced(), threads=2)
    assert pace_library.best_exchange_s(other) is None
    pace_library.keep(None, 1e-6)
    assert pace_library.best_exchange_s(None) is None
