"""What sensors show while a network runs under load: of this machine's processors, and of its GPU."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path
from typing import TYPE_CHECKING

from mbench.hardware import sensors
from mbench.measure import activity
from mbench.measure.sustain import SensorReading

if TYPE_CHECKING:
    from mbench.measure.gpu import Board

WHY = {
    "frequency_hz": "no clock that can be read: looked for /sys/devices/system/cpu/cpu*/cpufreq/scaling_cur_freq",
    "temperature_c": "no sensor of the processor that can be read: looked in /sys/class/hwmon and /sys/class/thermal",
    "others_busy": "this system does not report it",
    "slowed_by": "only GPUs report what holds their clocks back",
}
"""Why a field of a point is null, where processors ran it."""


def others_busy_s() -> float:
    """Return the processor seconds that other processes used since boot."""
    return activity.busy_s() - activity.own_s()


class OfProcessors:
    """Clock and temperature of processors of this machine."""

    def __init__(
        self,
        processors: Collection[int],
        *,
        root: Path = sensors.ROOT,
        busy_s: Callable[[], float] = others_busy_s,
    ) -> None:
        """Find the sensors.

        Args:
            processors: those that run the network.
            root: where /sys is.
            busy_s: returns the processor seconds that others used, since any beginning.
        """
        self._processors, self._root, self._busy_s = tuple(processors), root, busy_s
        self._paths = sensors.found(sensors.look(root=root))

    def read(self) -> SensorReading:
        """Return what they show now."""
        files = sensors.read(self._paths, self._root)
        return SensorReading(
            frequency_hz=sensors.frequency_hz(files, self._processors),
            temperature_c=sensors.temperature_c(files),
            others_busy_s=self._busy_s(),
        )


class OfGpu:
    """Clock, temperature and limits of this machine's GPU, as its driver reports them."""

    def __init__(self, board: Board, *, busy_s: Callable[[], float] = others_busy_s) -> None:
        """Ask the driver through a board; `busy_s` is as with processors: the host launches every kernel."""
        self._board, self._busy_s = board, busy_s
        self.why = dict.fromkeys(("frequency_hz", "temperature_c", "slowed_by"), board.reason) | {
            "others_busy": WHY["others_busy"]
        }
        """Why a field of a point is null."""

    def read(self) -> SensorReading:
        """Return what the driver reports now.

        Raises:
            DeviceLost: the GPU is gone.
        """
        if self._board.device is None:
            return SensorReading(others_busy_s=self._busy_s())
        now = self._board.device.conditions()
        said = {"frequency_hz": "sm_clock_hz", "temperature_c": "temperature_c", "slowed_by": "slowed_by"}
        self.why |= {field: now.missing[name] for field, name in said.items() if name in now.missing}
        return SensorReading(
            frequency_hz=now.sm_clock_hz,
            temperature_c=now.temperature_c,
            others_busy_s=self._busy_s(),
            slowed_by=now.slowed_by,
        )
