"""What control groups let this process have of the processors: the quota, how it held threads back, and the cpuset.

Reads cgroup v1 and v2 below `root`, so that a recorded tree can be replayed, and changes nothing. What is missing, or
is not as the kernel writes it, is not known: None, and never an error.

Source: Linux, Documentation/admin-guide/cgroup-v2.rst, scheduler/sched-bwc.rst, admin-guide/cgroup-v1/cpusets.rst;
man 5 proc for /proc/self/cgroup and /proc/self/mountinfo.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

_VERSION_2 = ""
"""How /proc/self/cgroup names the controllers of the one hierarchy of version 2: not at all."""
_NUMBER = re.compile(r"\d{1,18}", re.ASCII)
_PROCESSORS = re.compile(r"\d{1,5}(-\d{1,5})?(,\d{1,5}(-\d{1,5})?)*", re.ASCII)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Quota:
    """The processor time that a control group may use, and what that has cost it since it was made."""

    processors: float
    """Processor time over wall-clock time: 1.5 is one and a half processors."""
    periods: int | None
    """Periods in which the group had work to do."""
    throttled_periods: int | None
    """Those of them in which it used up its quota, and was stopped until the next one."""
    throttled_s: float | None
    """How long it was stopped, in seconds, the processors of the machine added up."""


def quota(*, root: Path) -> Quota | None:
    """Return the smallest quota over this process's control group and those above it; None: no quota is known.

    Of equal ones it is that of the group nearest to the process.
    """
    found = [_quota_v2(folder) for folder in _levels(root, _VERSION_2)]
    found += [_quota_v1(folder) for folder in _levels(root, "cpu")]
    return min((each for each in found if each is not None), key=lambda each: each.processors, default=None)


def cpuset(*, root: Path) -> str | None:
    """Return the processors of this process's cpuset as the kernel lists them, such as `0-3,8`; None: not known."""
    files = [folder / "cpuset.cpus.effective" for folder in _levels(root, _VERSION_2)]
    files += [folder / name for folder in _levels(root, "cpuset") for name in ("cpuset.effective_cpus", "cpuset.cpus")]
    return next((text for file in files if _PROCESSORS.fullmatch(text := _read(file))), None)


# --------------------------------------------------------------------------------------------------------- one group
def _quota_v2(folder: Path) -> Quota | None:
    """Return the quota in `cpu.max`: `150000 100000`, or `max 100000` for none."""
    limit, _, period = _read(folder / "cpu.max").partition(" ")
    return _quota(folder, limit, period)


def _quota_v1(folder: Path) -> Quota | None:
    """Return the quota of a group of version 1, where -1 is none."""
    return _quota(folder, _read(folder / "cpu.cfs_quota_us"), _read(folder / "cpu.cfs_period_us"))


def _quota(folder: Path, limit_us: str, period_us: str) -> Quota | None:
    limit, period = _number(limit_us), _number(period_us)
    if not limit or not period:
        return None
    counted = dict(line.split(" ", 1) for line in _read(folder / "cpu.stat").splitlines() if " " in line)
    in_us, in_ns = _number(counted.get("throttled_usec", "")), _number(counted.get("throttled_time", ""))
    return Quota(
        processors=limit / period,
        periods=_number(counted.get("nr_periods", "")),
        throttled_periods=_number(counted.get("nr_throttled", "")),
        throttled_s=in_us / 1e6 if in_us is not None else in_ns / 1e9 if in_ns is not None else None,
    )


# --------------------------------------------------------------------------------------------------- where groups are
def _levels(root: Path, controller: str) -> list[Path]:
    """Return the folder of this process's group in the hierarchy of a controller, and those above it in the mount.

    A container may see its own group as the root of the mount, under a path that only the system outside knows. Then
    the folders of that path are not there, and the mount's root, which is the last one, is all that is found.
    """
    group, mounts = _group(root, controller), list(_mounts(root, controller))
    if group is None or not mounts:
        return []
    holding = [(top, mount) for top, mount in mounts if group.is_relative_to(top) and ".." not in group.parts]
    if holding:  # of several, the one that shows most of the groups above
        top, mount = min(holding, key=lambda each: len(each[0].parts))
        below = group.relative_to(top)
    else:
        mount, below = mounts[0][1], PurePosixPath()
    folder = root / mount.lstrip("/")
    return [folder / each for each in (below, *below.parents)]


def _group(root: Path, controller: str) -> PurePosixPath | None:
    """Return the path of this process's group, which lines such as `4:cpu,cpuacct:/path` and `0::/path` hold."""
    for line in _read(root / "proc/self/cgroup").splitlines():
        _, _, rest = line.partition(":")
        controllers, colon, path = rest.partition(":")
        if colon and controller in controllers.split(","):
            return PurePosixPath(path)
    return None


def _mounts(root: Path, controller: str) -> Iterator[tuple[PurePosixPath, str]]:
    """Yield where a controller's hierarchy is mounted: the group at the mount's root, and the folder."""
    for line in _read(root / "proc/self/mountinfo").splitlines():
        before, _, after = line.partition(" - ")
        fields, (kind, *options) = before.split(" "), after.split(" ")
        if controller == _VERSION_2:
            is_it = kind == "cgroup2"
        else:
            is_it = kind == "cgroup" and controller in ",".join(options[-1:]).split(",")
        if is_it and len(fields) >= 5:
            yield PurePosixPath(_unescaped(fields[3])), _unescaped(fields[4])


def _unescaped(path: str) -> str:
    r"""Return a path without the escapes of mountinfo, such as `\040` for a space."""
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), path)


def _number(text: str) -> int | None:
    return int(text) if _NUMBER.fullmatch(text) else None


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace").strip()
    except (OSError, ValueError):  # a path may hold a null byte
        return ""
