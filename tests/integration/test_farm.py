"""A run on a farm: boards behind a real tracker, of which one is killed and one hangs; and places of a real labgrid."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import board_server as serving
import psutil
import pytest
from board_server import Serving, mbench_server
from conftest import require
from running_mbench import TARGET

import mbench
from mbench.core.progress import Progress
from mbench.core.records import Record

pytest_plugins = ("rpc_fixtures",)
pytestmark = pytest.mark.slow

NETWORKS = [f"mobilenet_v1_0.25_32_b{batch}" for batch in (1, 2, 3, 4)]
RULES = """\
format_version = 1
reference = "mobilenet_v1_0.25_32"
reference_sessions = 2
patience_s = 4
pause_s = {pause_s}
max_slowdown = 100
peaks = false
"""


class Watch(Progress):
    """Keeps what is said, and does something once so many networks are being measured."""

    def __init__(self, number: int, do: Callable[[], object]) -> None:
        self.notes: list[str] = []
        self._measuring: set[str] = set()
        self._number, self._do = number, do

    def stage(self, variant: str, stage: str, fraction: float) -> None:
        if variant in NETWORKS and stage.endswith("measuring") and variant not in self._measuring:
            self._measuring.add(variant)
            if len(self._measuring) == self._number:
                self._do()

    def note(self, text: str) -> None:
        self.notes.append(text)

    @contextlib.contextmanager
    def shown(self, _names: Sequence[str], _shares: Mapping[str, float] | None = None, /) -> Iterator[Progress]:
        yield self


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MBENCH_CACHE_DIR", str(tmp_path / "cache"))


def ran(farm: Path, watch: Watch, networks: Sequence[str] = NETWORKS) -> Record:
    options = mbench.RunOptions(
        device=str(farm), threads=1, sessions=1, repeat=3, timeout_s=60.0, output=farm.parent / "results"
    )
    return mbench.run(networks, target=TARGET, options=options, display=watch.shown)


def suspend(server: Serving) -> None:
    for process in (psutil.Process(server.process.pid), *server.sessions()):
        process.suspend()


def resume(server: Serving) -> None:
    for process in (*server.sessions(), psutil.Process(server.process.pid)):
        process.resume()


def kill(server: Serving) -> None:
    for process in (psutil.Process(server.process.pid), *server.sessions()):
        process.kill()


def test_a_board_that_is_killed_and_one_that_hangs_are_named_and_the_third_does_all(
    program: Path, tmp_path: Path
) -> None:
    require(serving.has_tracker(), "TVM's tracker needs tornado")
    with serving.tvm_tracker() as tracker, contextlib.ExitStack() as stack:
        where = f"127.0.0.1:{tracker.port}"
        boards = [stack.enter_context(mbench_server(program, "--tracker", where, "--key", "board")) for _ in range(3)]
        serving.wait_for_devices(tracker, {"board": 3})
        farm = tmp_path / "farm.toml"
        farm.write_text(
            RULES.format(pause_s=30)
            + f'[devices.rack]\ntracker = "{where}"\nkey = "board"\ncount = 3\ntargets = ["{TARGET}"]\n'
        )
        killed, hung, left = boards

        def trouble() -> None:
            kill(killed)
            suspend(hung)

        watch = Watch(3, trouble)
        try:
            record = ran(farm, watch)
        finally:
            resume(hung)
    assert record.failures == ()
    assert {result.variant.name for result in record.results} == set(NETWORKS)
    assert all(result.numerics and result.numerics.passed for result in record.results)
    assert record.farm is not None
    names = {board: f"rack@127.0.0.1:{board.port}" for board in boards}
    assert {device.name for device in record.farm.devices} == set(names.values())
    aside = {device.name: device.set_aside[0].reason for device in record.farm.devices if device.set_aside}
    assert set(aside) == {names[killed], names[hung]}
    assert "silent for" in aside[names[hung]]
    assert {result.device for result in record.results} == {names[left]}
    assert any(note.startswith(f"{names[hung]}: set aside: ") for note in watch.notes)
