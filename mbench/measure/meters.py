"""Energy meters of the machine: RAPL, and sensors over hwmon. A network is looped for a window that a meter can see."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from mbench.records import MeteredEnergy

WINDOW_S = 1.0
MISSING = (
    "no energy meter that can be read: looked for RAPL (/sys/class/powercap/*/energy_uj) and hwmon (energy*_input)"
)


class Meter(Protocol):
    """Something that counts joules."""

    @property
    def name(self) -> str:
        """What the meter is called."""
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


def find(root: Path = Path("/")) -> list[Meter]:
    """Return the meters that can be read here: RAPL packages, else hwmon energy counters.

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
    files = sorted((root / "sys/class/hwmon").glob("hwmon*/energy*_input"))
    return [_Counter(f"hwmon {_label(file)}", file) for file in files if _readable(file)]


def measure(
    run: Callable[[], object],
    meters: list[Meter],
    *,
    window_s: float = WINDOW_S,
    clock: Callable[[], float] = time.perf_counter,
) -> MeteredEnergy | None:
    """Loop `run` for a window and return the joules of one run over all meters; None if there is no meter."""
    if not meters:
        return None
    before = [meter.read_j() for meter in meters]
    start, runs = clock(), 0
    while clock() - start < window_s or runs == 0:
        run()
        runs += 1
    window = clock() - start
    used = [_difference(meter, first, meter.read_j()) for meter, first in zip(meters, before, strict=True)]
    names = ", ".join(meter.name for meter in meters)
    return MeteredEnergy(
        energy_j=sum(used) / runs, method=f"measured: {names}, idle power included", window_s=window, runs=runs
    )


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
