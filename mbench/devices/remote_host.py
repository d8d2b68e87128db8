"""A machine at the other end of a line: what it is and what it is doing, by its own /proc and /sys.

The files are fetched into a tree below a folder of this machine, where `hardware.host` reads them as it reads its own.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from mbench.core import names
from mbench.core.errors import MeasureError, UsageError, why
from mbench.core.machine_types import Conditions, Host
from mbench.devices import answers
from mbench.hardware import host, sensors
from mbench.measure import memory
from mbench.measure.sustain import SensorReading

if TYPE_CHECKING:
    from mbench.devices.line import Line, ServerInfo

_CPUS = "/sys/devices/system/cpu"
_BUSY = ("/proc/stat", "/proc/self/stat")
_TICKS_A_SECOND = 100
"""USER_HZ, which Linux has fixed for programs: man 5 proc."""
FILES = (
    *("/etc/os-release", "/proc/cpuinfo", "/proc/meminfo", "/proc/loadavg", "/proc/stat", "/proc/device-tree/model"),
    *("/proc/sys/kernel/hostname", "/proc/sys/kernel/osrelease", "/proc/self/status", "/proc/self/stat"),
    *(f"{_CPUS}/cpu[0-9]*/topology/{name}" for name in ("core_id", "physical_package_id")),
    *(
        f"{_CPUS}/cpu0/cache/index*/{name}"
        for name in ("type", "level", "size", "shared_cpu_list", "coherency_line_size")
    ),
    *(f"{_CPUS}/cpu0/cpufreq/{name}" for name in ("scaling_cur_freq", "scaling_governor", "cpuinfo_max_freq")),
    *(f"{_CPUS}/intel_pstate/no_turbo", f"{_CPUS}/cpufreq/boost"),
    *("/sys/class/dmi/id/sys_vendor", "/sys/class/dmi/id/product_name"),
    *("/sys/class/thermal/thermal_zone*/type", "/sys/class/thermal/thermal_zone*/temp"),
    *(
        f"/sys/class/hwmon/hwmon*/{name}"
        for name in ("name", "*_label", "temp*_input", "energy*_input", "power*_input")
    ),
    *(f"/sys/class/powercap/intel-rapl:*/{name}" for name in ("name", "energy_uj", "max_energy_range_uj")),
)


class Snapshot:
    """A device's files at one moment, as a tree below `root`."""

    def __init__(self, files: Mapping[str, str], root: Path) -> None:
        """Write the files below a folder; that they were asked for was checked before, see `answers.wanted_files`.

        Raises:
            MeasureError: one of them is no file that a machine can have; nothing was written outside of `root`.
        """
        self.root = root
        for path, text in files.items():
            try:
                file = names.below(root, path)
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(answers.text(text), encoding="utf-8")
            except (UsageError, OSError, UnicodeEncodeError) as error:
                raise MeasureError(
                    f"the device answers with a file that it cannot have, {path[:80]!r}: {why(error)}"
                ) from error

    def machine(self, info: ServerInfo) -> Host:
        """Return what the device is."""
        allowed = self.affinity() or tuple(range(info.processors))
        found = host.describe(root=self.root, processors=allowed, machine=info.architecture)
        described = msgspec.structs.replace(
            found,
            name=self._text("proc/sys/kernel/hostname") or "unknown",
            os=found.os if self._text("etc/os-release") else f"Linux {self._text('proc/sys/kernel/osrelease') or '?'}",
            cores_logical=max(found.cores_logical, info.processors) if found.cores_physical else info.processors,
            versions={"mbench-server": info.version},
        )
        return answers.plain_strings(described)

    def conditions(self) -> Conditions:
        """Return what the device was doing."""
        return answers.plain_strings(host.conditions(root=self.root))

    def available_memory_bytes(self) -> int | None:
        """Return the memory that can be had without swapping."""
        return host.available_memory_bytes(root=self.root)

    def process_peak_bytes(self) -> int | None:
        """Return the largest resident set that the serving process has had."""
        return memory.process_peak_bytes(self.root / "proc/self/status")

    def affinity(self) -> tuple[int, ...] | None:
        """Return the processors that the thread that serves, and runs networks, may run on."""
        found = re.search(r"^Cpus_allowed_list:\s*(\S+)$", self._text("proc/self/status"), re.MULTILINE)
        if not found:
            return None
        return tuple(host.numbers(found[1]))

    def others_busy_s(self) -> float | None:
        """Return the seconds since boot that processors were busy for other processes; None if unknown."""
        return others_busy_s(self._text("proc/stat"), self._text("proc/self/stat"))

    def _text(self, path: str) -> str:
        try:
            return (self.root / path).read_text(encoding="utf-8").strip()
        except OSError:
            return ""


def others_busy_s(stat: str, own_stat: str) -> float | None:
    """Return the seconds since boot that processors were busy for others than the serving process; None if unknown.

    Args:
        stat: /proc/stat of the device.
        own_stat: /proc/self/stat of its serving process.
    """
    cpu, own = stat.split("\n", maxsplit=1)[0].split(), own_stat.rpartition(")")[2].split()
    if len(cpu) < 8 or len(own) < 13:
        return None
    user, nice, system, _idle, _iowait, irq, softirq = map(int, cpu[1:8])
    return (user + nice + system + irq + softirq - int(own[11]) - int(own[12])) / _TICKS_A_SECOND


class Sensors:
    """Clock and temperature of a device's processors, fetched again and again."""

    def __init__(self, line: Line) -> None:
        """Find them."""
        self._line = line
        self._paths = (*sensors.found(line.files(sensors.FILES)), *_BUSY)

    def read(self) -> SensorReading:
        """Return what they show now.

        Raises:
            MeasureError: the answer is something else.
        """
        files = {path: answers.text(latin) for path, latin in self._line.files(self._paths).items()}
        stat, own = (files.pop(path, "") for path in _BUSY)
        return SensorReading(
            frequency_hz=sensors.frequency_hz(files),
            temperature_c=sensors.temperature_c(files),
            others_busy_s=others_busy_s(stat, own),
        )


def look(line: Line, root: Path) -> Snapshot:
    """Fetch what the device says of itself now into a tree below `root`, which is made."""
    return Snapshot(line.files(FILES), root)
