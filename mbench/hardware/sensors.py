"""The sensors of processors: clocks and temperatures, in files of /sys. Here for what reads them again and again.

Which files there are is found once; what they say is a table of path to text, so that another machine's serve as well.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path, PurePosixPath

ROOT = Path("/")
_CLOCKS = "/sys/devices/system/cpu/cpu[0-9]*/cpufreq/scaling_cur_freq"
_HWMON, _ZONES = "/sys/class/hwmon/hwmon*", "/sys/class/thermal/thermal_zone*"
FILES = (_CLOCKS, f"{_HWMON}/name", f"{_HWMON}/temp*_input", f"{_ZONES}/type", f"{_ZONES}/temp")
"""Patterns of all that is of use. Source: Documentation/admin-guide/pm/cpufreq.rst, Documentation/hwmon/
sysfs-interface.rst and Documentation/driver-api/thermal/sysfs-api.rst of Linux."""
_NAMES = ("name", "type")
CPU_SENSORS = {"coretemp", "k10temp", "zenpower", "cpu_thermal", "x86_pkg_temp", "cpu-thermal"}
"""What a processor's sensors are called there."""


def found(files: Mapping[str, str]) -> tuple[str, ...]:
    """Return the paths to read again: every clock, and the temperatures of processors.

    Args:
        files: those that match `FILES`, by path.
    """
    ours = {str(PurePosixPath(path).parent) for path, text in files.items() if _names_a_processor(path, text)}
    return tuple(
        path
        for path in files
        if path.endswith("/scaling_cur_freq")
        or (str(PurePosixPath(path).parent) in ours and PurePosixPath(path).name not in _NAMES)
    )


def _names_a_processor(path: str, text: str) -> bool:
    return PurePosixPath(path).name in _NAMES and text.strip() in CPU_SENSORS


def frequency_hz(files: Mapping[str, str], processors: Collection[int] | None = None) -> float | None:
    """Return the highest clock; None: no file reports one.

    Args:
        files: those of `found`, by path.
        processors: those that count; by default all.
    """
    clocks = ((re.search(r"/cpu(\d+)/cpufreq/", path), _number(text)) for path, text in files.items())
    kilohertz = [
        clock for at, clock in clocks if at and clock is not None and (processors is None or int(at[1]) in processors)
    ]
    return max(kilohertz) * 1e3 if kilohertz else None


def temperature_c(files: Mapping[str, str]) -> float | None:
    """Return the hottest of the processor's sensors among the files of `found`; None: there is none."""
    readings = [_number(text) for path, text in files.items() if not path.endswith("/scaling_cur_freq")]
    known = [reading for reading in readings if reading is not None]
    return max(known) / 1e3 if known else None


def look(patterns: Iterable[str] = FILES, root: Path = ROOT) -> dict[str, str]:
    """Return the files of this machine that match, by path; those that cannot be read are left out."""
    paths = (path for pattern in patterns for path in sorted(root.glob(pattern.lstrip("/"))))
    return read((f"/{path.relative_to(root)}" for path in paths), root)


def read(paths: Iterable[str], root: Path = ROOT) -> dict[str, str]:
    """Return what files of this machine say, by path; those that cannot be read are left out."""
    texts = ((path, _text(root / path.lstrip("/"))) for path in paths)
    return {path: text for path, text in texts if text is not None}


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None


def _number(text: str) -> int | None:
    return int(text) if re.fullmatch(r"\s*-?\d{1,12}\s*", text) else None
