from __future__ import annotations

from typing import Any

import pytest
from recorded_nvml import Recording

from mbench.core.records import MeteredEnergy
from mbench.hardware import nvml
from mbench.measure import gpu

RUN_S = 1e-3
RUN_J = 0.3
IDLE_W = 70.0
STEP_S = 0.1


class Board:
    """A GPU that draws 70 W idle and 300 mJ a run, with a counter that moves every 100 ms. Time is simulated."""

    def __init__(self) -> None:
        self.now_s = self.joules = 0.0
        self._shown, self._shown_at = 0.0, 0.0
        self.runs = 0

    def clock(self) -> float:
        return self.now_s

    def _pass(self, seconds: float, joules: float) -> None:
        self.now_s += seconds
        self.joules += joules

    def sleep(self, seconds: float) -> None:
        self._pass(seconds, seconds * IDLE_W)

    def launch(self) -> None:
        self._pass(RUN_S, RUN_J)
        self.runs += 1

    def energy_j(self) -> float:
        if self.now_s - self._shown_at >= STEP_S:
            self._shown, self._shown_at = self.joules, self.now_s
        return self._shown


def measured(board: Board, device: object) -> MeteredEnergy | str:
    def opened() -> nvml.NvmlDevice:
        if isinstance(device, Exception):
            raise device
        return device  # type: ignore[return-value]

    return gpu.Board(opened).energy(board.launch, lambda: None, run_s=RUN_S, clock=board.clock, sleep=board.sleep)


def test_a_run_takes_its_energy_whatever_the_step_of_the_counter() -> None:
    board = Board()
    seen = measured(board, board)
    assert isinstance(seen, MeteredEnergy)
    assert seen.energy_j == pytest.approx(RUN_J, rel=0.01)
    assert seen.idle_w == pytest.approx(IDLE_W, rel=0.15)
    assert seen.window_s >= 2
    assert seen.runs < board.runs, "what ran before the counter's first step is not counted"
    assert "idle power included" in seen.method


def test_a_gpu_without_a_counter_has_a_reason() -> None:
    device = nvml.open_device(Recording("no_counter"))
    assert measured(Board(), device) == "nvmlDeviceGetTotalEnergyConsumption: NVML reports 'Not Supported'"


def test_a_counter_that_stands_still_has_a_reason() -> None:
    assert "did not move in 5 s of work" in str(measured(Board(), nvml.open_device(Recording("h100"))))


def test_a_gpu_that_vanishes_while_it_is_metered() -> None:
    with pytest.raises(nvml.DeviceLost, match="the GPU was lost"):
        measured(Board(), nvml.open_device(Recording("lost")))


def test_without_nvml_everything_it_would_tell_has_the_reason() -> None:
    def refuse() -> nvml.NvmlDevice:
        raise nvml.NotReported("no driver")

    board = gpu.Board(refuse)
    told = board.conditions().gpu
    assert told is not None
    assert set(told.missing) == {name for name in told.__struct_fields__ if name != "missing"}
    assert set(told.missing.values()) == {"no driver"}
    assert measured(Board(), nvml.NotReported("no driver")) == "no driver"


def test_the_conditions_of_the_host_hold_those_of_the_gpu() -> None:
    now = gpu.Board(lambda: nvml.open_device(Recording("throttled"))).conditions()
    assert now.gpu is not None
    assert now.gpu.slowed_by == ("power cap", "temperature (software)")


def of_layers(board: Board, device: object, launches: list[Any]) -> tuple[MeteredEnergy, ...] | str:
    opened = gpu.Board(lambda: device)  # type: ignore[arg-type, return-value]
    return opened.layer_energy(launches, lambda: None, runs_s=[RUN_S] * len(launches), clock=board.clock)


def test_each_layer_has_its_own_energy() -> None:
    board = Board()

    def three() -> None:
        for _ in range(3):
            board.launch()

    seen = of_layers(board, board, [board.launch, three])
    assert not isinstance(seen, str)
    assert [layer.energy_j for layer in seen] == pytest.approx([RUN_J, 3 * RUN_J], rel=0.03)
    assert all(layer.window_s >= 0.5 and "looped alone" in layer.method for layer in seen)


def test_layers_without_a_counter_have_a_reason() -> None:
    board = Board()
    assert "'Not Supported'" in str(of_layers(board, nvml.open_device(Recording("no_counter")), [board.launch]))
