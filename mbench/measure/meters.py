"""Energy meters of the machine: RAPL, and sensors over hwmon. A network is looped for a window that a meter can see."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import msgspec

from mbench.core import names
from mbench.core.records import MeteredEnergy

WINDOW_S = 1.0
MISSING = (
    "no energy meter that can be read: looked for RAPL (/sys/class/powercap/*/energy_uj) and hwmon "
    "(energy*_input, power*_input)"
)
RESET = "a meter's counter was set back while it was read"


class Meter(Protocol):
    """Something that counts joules."""

    @property
    def name(self) -> str:
        """What the meter is called."""
        ...

    @property
    def file(self) -> Path:
        """Where it is read."""
        ...

    def read_j(self) -> float:
        """Return the counter, in joules."""
        ...

    def range_j(self) -> float | None:
        """Return where the counter starts again from 0, in joules, if it does."""
        ...


@dataclasses.dataclass(frozen=True)
class _Counter:
    """A file that counts microjoules."""

    name: str
    file: Path
    range_file: Path | None = None

    def read_j(self) -> float:
        return int(self.file.read_text()) * 1e-6

    def range_j(self) -> float | None:
        return int(self.range_file.read_text()) * 1e-6 if self.range_file else None


class _PowerSensor:
    """A file that holds microwatts: summed up over time between readings, so it must be read often."""

    def __init__(self, name: str, file: Path, clock: Callable[[], float]) -> None:
        self.name, self.file = name, file
        self._clock = clock
        self._joules, self._at, self._watts = 0.0, clock(), self._read_w()

    def read_j(self) -> float:
        now, watts = self._clock(), self._read_w()
        self._joules += (now - self._at) * (self._watts + watts) / 2
        self._at, self._watts = now, watts
        return self._joules

    def range_j(self) -> float | None:
        return None

    def _read_w(self) -> float:
        return int(self.file.read_text()) * 1e-6


def find(root: Path = Path("/"), clock: Callable[[], float] = time.perf_counter) -> list[Meter]:
    """Return the meters that can be read here: RAPL packages, else hwmon's energy counters, else its power sensors.

    Source: Documentation/power/powercap/powercap.rst and Documentation/hwmon/sysfs-interface.rst of Linux.
    """
    packages = sorted((root / "sys/class/powercap").glob("intel-rapl:[0-9]*"))
    rapl: list[Meter] = [
        _Counter(f"RAPL {(zone / 'name').read_text().strip()}", zone / "energy_uj", zone / "max_energy_range_uj")
        for zone in packages
        if zone.name.count(":") == 1 and _readable(zone / "energy_uj")
    ]
    if rapl:
        return rapl
    sensors = root / "sys/class/hwmon"
    counters = [file for file in sorted(sensors.glob("hwmon*/energy*_input")) if _readable(file)]
    if counters:
        return [_Counter(f"hwmon {_label(file)}", file) for file in counters]
    powers = [file for file in sorted(sensors.glob("hwmon*/power*_input")) if _readable(file)]
    return [_PowerSensor(f"hwmon {_label(file)}, power over time", file, clock) for file in powers]


def measure(
    run: Callable[[], object],
    meters: list[Meter],
    *,
    window_s: float = WINDOW_S,
    clock: Callable[[], float] = time.perf_counter,
) -> MeteredEnergy | None:
    """Loop `run` for a window; return the joules of one run over all meters, or None if no meter can measure it."""
    if not meters:
        return None
    before = [meter.read_j() for meter in meters]
    start, runs = clock(), 0
    while clock() - start < window_s or runs == 0:
        run()
        runs += 1
        for meter in meters:
            meter.read_j()  # a power sensor is summed up between readings
    window = clock() - start
    used = [_difference(meter, first, meter.read_j()) for meter, first in zip(meters, before, strict=True)]
    if min(used) < 0:  # a counter was set back, and it is not known where it starts again
        return None
    names = ", ".join(meter.name for meter in meters)
    return MeteredEnergy(
        energy_j=sum(used) / runs, method=f"measured: {names}, idle power included", window_s=window, runs=runs
    )


def replayed(samples: Mapping[str, Sequence[tuple[float, int]]], *, root: Path, runs: int) -> MeteredEnergy | None:
    """Return the joules of one run as `measure` would have, from what the sensors read meanwhile.

    Args:
        samples: by path, pairs of seconds since the beginning and what the file said; all files at the same moments.
        root: a tree with the files of the machine that has the sensors; those sampled are written again and again.
        runs: how many there were between the first sample and the last.
    """
    moments = [dict(zip(samples, at, strict=True)) for at in zip(*samples.values(), strict=True)]
    if len(moments) < 2:
        return None
    now = 0.0

    def show(moment: Mapping[str, tuple[float, int]]) -> None:
        nonlocal now
        for path, (at, value) in moment.items():
            now = at
            names.below(root, path).write_text(str(value))

    show(moments[0])
    later = iter(moments[1:])
    meters = find(root, clock=lambda: now)
    seen = measure(lambda: show(next(later)), meters, window_s=moments[-1][next(iter(samples))][0], clock=lambda: now)
    if seen is None:
        return None
    return msgspec.structs.replace(seen, energy_j=seen.energy_j * seen.runs / runs, runs=runs)


def _difference(meter: Meter, before: float, after: float) -> float:
    if after >= before:
        return after - before
    return after - before + (meter.range_j() or 0.0)


def _readable(file: Path) -> bool:
    try:
        int(file.read_text())
    except (OSError, ValueError):
        return False
    return True


def _label(file: Path) -> str:
    for candidate in (file.with_name(file.name.replace("_input", "_label")), file.parent / "name"):
        if candidate.is_file():
            return candidate.read_text().strip()
    return file.parent.name
