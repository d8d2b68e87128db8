"""This machine: what it is, what it is doing, and the target `host` that stands for it.

Reads /proc and /sys below `root`, so that a recorded tree can be replayed. Compiles and times nothing.
"""

from __future__ import annotations

import functools
import math
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Collection
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

from mbench.core.errors import TargetError
from mbench.core.field_types import MOST_THREADS
from mbench.core.machine_types import Cache, Conditions, Figure, GpuConditions, Host, Processor, Target
from mbench.core.version import VERSION
from mbench.hardware import cgroups, target_file
from mbench.hardware.sensors import CPU_SENSORS

ROOT = Path("/")
_CPUS = "sys/devices/system/cpu"
# What code generation and `requires` ask about, in the words of /proc/cpuinfo.
_X86_FEATURES = {
    *("cx16", "lahf_lm", "popcnt", "pni", "ssse3", "sse4_1", "sse4_2", "abm", "avx", "avx2", "bmi1", "bmi2", "f16c"),
    *("fma", "movbe", "avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl", "avx512_vnni", "avx512_bf16"),
    *("avx512_fp16", "avx512vbmi", "avx512_vbmi2", "avx512ifma", "avx512_bitalg", "avx512_vpopcntdq", "avx_vnni"),
    *("amx_tile", "amx_int8", "amx_bf16"),
}
_ARM_FEATURES = {
    *("asimd", "asimdhp", "asimddp", "asimdrdm", "asimdfhm", "fphp", "atomics", "crc32", "fcma", "i8mm", "bf16"),
    *("sve", "sve2", "svei8mm", "svebf16", "sme"),
}
KNOWN_FEATURES = _X86_FEATURES | _ARM_FEATURES
_DISTRIBUTIONS = ("apache-tvm", "apache-tvm-ffi", "torch", "numpy")
_ARM_PARTS = {
    "0xd03": "Cortex-A53", "0xd04": "Cortex-A35", "0xd05": "Cortex-A55", "0xd07": "Cortex-A57", "0xd08": "Cortex-A72",
    "0xd09": "Cortex-A73", "0xd0a": "Cortex-A75", "0xd0b": "Cortex-A76", "0xd0d": "Cortex-A77", "0xd0e": "Cortex-A76AE",
    "0xd41": "Cortex-A78", "0xd42": "Cortex-A78AE", "0xd4b": "Cortex-A78C", "0xd46": "Cortex-A510",
    "0xd47": "Cortex-A710", "0xd4d": "Cortex-A715", "0xd80": "Cortex-A520", "0xd81": "Cortex-A720",
    "0xd87": "Cortex-A725", "0xd44": "Cortex-X1", "0xd4c": "Cortex-X1C", "0xd48": "Cortex-X2", "0xd4e": "Cortex-X3",
    "0xd82": "Cortex-X4", "0xd85": "Cortex-X925", "0xd0c": "Neoverse-N1", "0xd49": "Neoverse-N2",
    "0xd8e": "Neoverse-N3", "0xd40": "Neoverse-V1", "0xd4f": "Neoverse-V2", "0xd84": "Neoverse-V3",
    "0xd83": "Neoverse-V3AE",
}  # fmt: skip
"""Part numbers of implementer 0x41. Source: Linux, arch/arm64/include/asm/cputype.h."""
_MOST_PROCESSORS = 1 << 16


def describe(*, root: Path = ROOT, processors: Collection[int] | None = None, machine: str | None = None) -> Host:
    """Return what this machine is, and its conditions now.

    Args:
        root: where /proc, /sys and /etc are.
        processors: the logical processors that this process may run on; by default its affinity.
        machine: the architecture; by default what `uname -m` says.
    """
    usable = sorted(processors if processors is not None else _affinity())
    cpuinfo = _cpuinfo(root)
    flags = (cpuinfo.get("flags") or cpuinfo.get("Features") or "").split()
    cores = _cores(root)
    quota = cgroups.quota(root=root)
    return Host(
        name=platform.node(),
        os=_os_name(root),
        architecture={"arm64": "aarch64", "amd64": "x86_64"}.get(name := (machine or platform.machine()).lower(), name),
        cpu=_cpu_name(root, cpuinfo),
        cores_physical=len(set(cores.values())) or _sysctl_int("hw.physicalcpu"),
        cores_logical=len(cores) or os.cpu_count() or 1,
        cores_usable=len({cores[number] for number in usable if number in cores}) or None,
        processors_usable=len(usable) or None,
        processors_quota=quota.processors if quota else None,
        features=tuple(sorted(KNOWN_FEATURES.intersection(flags))),
        caches_bytes={level: size for level, (size, _, _) in caches(root=root).items()},
        memory_bytes=_meminfo_bytes(root, "MemTotal") or _sysctl_int("hw.memsize") or 0,
        virtual_machine=_virtual_machine(root, flags),
        versions=_versions(),
        conditions=conditions(root=root),
    )


def conditions(*, root: Path = ROOT, gpu: GpuConditions | None = None) -> Conditions:
    """Return what the machine is doing now; null: it does not report it. `gpu` is what its GPU does, if it counts."""
    policy = root / _CPUS / "cpu0/cpufreq"
    frequency_khz = _read_int(policy / "scaling_cur_freq")
    quota = cgroups.quota(root=root)
    return Conditions(
        at_utc=datetime.now(UTC).isoformat(timespec="milliseconds"),
        load_1min=_load(root),
        governor=_read(policy / "scaling_governor"),
        turbo=_turbo(root),
        frequency_hz=None if frequency_khz is None else frequency_khz * 1e3,
        temperature_c=_temperature_c(root),
        steal_s=_steal_s(root),
        throttled_s=quota.throttled_s if quota else None,
        gpu=gpu,
    )


def available_memory_bytes(*, root: Path = ROOT) -> int | None:
    """Return the memory that can be had without swapping; null where the machine does not report it."""
    return _meminfo_bytes(root, "MemAvailable")


def processors_for(threads: int, *, root: Path = ROOT, processors: Collection[int] | None = None) -> tuple[int, ...]:
    """Return the logical processors on which so many threads run best, fewer where this process may use fewer.

    A core takes a second thread when every core has one; cores of the highest frequency come first, then those of the
    first package.

    Args:
        threads: how many.
        root: where /sys is.
        processors: the logical processors that this process may run on; by default its affinity.
    """
    usable = sorted(processors if processors is not None else _affinity())
    cores = _cores(root)

    def rank(number: int) -> tuple[int, int, int, int]:
        package, core = cores.get(number, (0, -1 - number))
        before = sum(cores.get(other) == (package, core) for other in usable if other < number)
        return before, -(_read_int(root / _CPUS / f"cpu{number}/cpufreq/cpuinfo_max_freq") or 0), package, number

    return tuple(sorted(usable, key=rank)[:threads])


def caches(*, root: Path = ROOT) -> dict[str, tuple[int, int, int]]:
    """Return the first processor's data caches by level (`L1d`, `L2`, `L3`): bytes, cores that share it, line bytes."""
    found = {}
    cores = _cores(root)
    for folder in sorted((root / _CPUS / "cpu0/cache").glob("index*")):
        kind, level, size = (_read(folder / name) for name in ("type", "level", "size"))
        if kind not in ("Data", "Unified") or level is None or size is None:
            continue
        sharers = {cores.get(number, (0, number)) for number in numbers(_read(folder / "shared_cpu_list") or "0")}
        found["L1d" if level == "1" else f"L{level}"] = (
            _size_bytes(size),
            max(1, len(sharers)),
            _read_int(folder / "coherency_line_size") or 64,
        )
    if not found and sys.platform == "darwin" and root == ROOT:
        names = {"L1d": "hw.l1dcachesize", "L2": "hw.l2cachesize", "L3": "hw.l3cachesize"}
        line = _sysctl_int("hw.cachelinesize") or 64
        found = {level: (size, 1, line) for level, name in names.items() if (size := _sysctl_int(name))}
    return found


def target(
    host: Host, *, triple: str, mcpu: str, requires: tuple[str, ...] = (), mattr: str = "", root: Path = ROOT
) -> Target:
    """Return the target `host`. Its peaks are empty: a run measures them.

    Args:
        host: this machine.
        triple: of its code.
        mcpu: LLVM's name for its processor.
        requires: the features that code for that uses.
        mattr: those of them that LLVM is asked for beside the processor's name; see `Target.tvm`.
        root: where /proc and /sys are.

    Raises:
        TargetError: the architecture is neither x86_64 nor arm64.
    """
    bits, registers = vectors(host)
    found = {level: _cache(level, values) for level, values in caches(root=root).items()}
    highest = _read_int(root / _CPUS / "cpu0/cpufreq/cpuinfo_max_freq")
    cores = host.cores_usable or host.cores_physical or host.cores_logical
    asked: dict[str, str | int] = {"mattr": mattr} if mattr else {}
    return Target(
        name="host",
        family="x86" if host.architecture == "x86_64" else "arm",
        description=f"this machine: {host.cpu}",
        default_device="local",
        threads=min(host.processors_usable or host.cores_logical, MOST_THREADS),
        tvm={"kind": "llvm", "mtriple": triple, "mcpu": mcpu, **asked, "num-cores": cores},
        processor=Processor(
            cores=cores,
            vector_bits=bits,
            vector_registers=registers,
            requires=requires,
            frequency_hz=Figure(value=highest * 1e3, source=f"the kernel: /{_CPUS}/cpu0/cpufreq/cpuinfo_max_freq")
            if highest
            else None,
            l1d=found.get("L1d"),
            l2=found.get("L2"),
            l3=found.get("L3"),
        ),
        energy=target_file.default_energy(),
    )


def _cache(level: str, values: tuple[int, int, int]) -> Cache:
    size, shared_by, line_bytes = values
    where = "sysctl hw" if sys.platform == "darwin" else f"/{_CPUS}/cpu0/cache"
    return Cache(
        bytes=Figure(value=size, source=f"the kernel: {where}, {level}"), shared_by=shared_by, line_bytes=line_bytes
    )


def vectors(host: Host) -> tuple[int, int]:
    """Return the width in bits and the number of the vector registers. SVE counts as its 128-bit part.

    Raises:
        TargetError: the architecture is neither x86_64 nor arm64.
    """
    if host.architecture == "aarch64":
        return 128, 32
    if host.architecture != "x86_64":
        raise TargetError(
            f"target 'host': {host.architecture} is neither x86_64 nor arm64; name a target, see 'mbench targets'"
        )
    if {"avx512f", "avx512vl"} <= set(host.features):
        return 512, 32
    return (256, 16) if {"avx2", "fma"} <= set(host.features) else (128, 16)


# ---------------------------------------------------------------------------------------------------------- what it is
def _affinity() -> Collection[int]:
    if sys.platform == "linux":
        return os.sched_getaffinity(0)
    return range(os.cpu_count() or 1)


def _cpuinfo(root: Path) -> dict[str, str]:
    """Return the fields of the first processor in /proc/cpuinfo."""
    fields: dict[str, str] = {}
    for line in (_read(root / "proc/cpuinfo") or "").splitlines():
        key, colon, value = line.partition(":")
        if colon:
            fields.setdefault(key.strip(), value.strip())
    return fields


def _cpu_name(root: Path, cpuinfo: dict[str, str]) -> str:
    if name := cpuinfo.get("model name"):
        return name
    known, numbered = _arm_cores(root)
    board = (_read(root / "proc/device-tree/model") or "").rstrip("\0")
    if known and board:
        return f"{known} ({board})"
    here = (_sysctl("machdep.cpu.brand_string") or platform.processor()) if root == ROOT else ""
    return known or board or numbered or here or "unknown"


def _arm_cores(root: Path) -> tuple[str, str]:
    """Return the kinds of cores of an ARM processor: their names where all are known, and their numbers."""
    text = _read(root / "proc/cpuinfo") or ""
    implementers, parts = (
        re.findall(rf"^CPU {field}\s*: (\S+)", text, re.MULTILINE) for field in ("implementer", "part")
    )
    kinds = dict.fromkeys(zip(implementers, parts, strict=False))
    names = [_ARM_PARTS.get(part, "") if implementer == "0x41" else "" for implementer, part in kinds]
    numbers = [f"ARM implementer {implementer} part {part}" for implementer, part in kinds]
    return " + ".join(names) if all(names) else "", " + ".join(numbers)


def _os_name(root: Path) -> str:
    for line in (_read(root / "etc/os-release") or "").splitlines():
        if line.startswith("PRETTY_NAME="):
            return line.partition("=")[2].strip("\"'")
    return f"{platform.system()} {platform.release()}"


def _cores(root: Path) -> dict[int, tuple[int, int]]:
    """Return (package, core) of each logical processor that is online."""
    cores = {}
    for folder in (root / _CPUS).glob("cpu[0-9]*"):
        core = _read_int(folder / "topology/core_id")
        if core is not None:
            cores[int(folder.name[3:])] = (_read_int(folder / "topology/physical_package_id") or 0, core)
    return cores


def _meminfo_bytes(root: Path, field: str) -> int | None:
    found = re.search(rf"^{field}:\s+(\d+) kB", _read(root / "proc/meminfo") or "", re.MULTILINE)
    return int(found.group(1)) * 1024 if found else None


def _virtual_machine(root: Path, flags: Collection[str]) -> str | None:
    """Return what the machine is virtualised by; null on bare metal."""
    detector = shutil.which("systemd-detect-virt") if root == ROOT else None
    if detector:
        return None if (answer := _detected(detector)) in ("none", "") else answer
    products = " ".join(_read(root / "sys/class/dmi/id" / name) or "" for name in ("sys_vendor", "product_name"))
    for word in (
        "KVM",
        "QEMU",
        "VMware",
        "VirtualBox",
        "Xen",
        "Virtual Machine",
        "Amazon EC2",
        "Google Compute Engine",
    ):
        if word in products and ".metal" not in products:
            return word.lower()
    if told := _read(root / "proc/device-tree/hypervisor/compatible"):  # "linux,kvm", "xen,xen-4.16\0xen,xen"
        return told.split("\0", maxsplit=1)[0].split(",")[-1].split("-")[0]
    return "hypervisor" if "hypervisor" in flags else None


@functools.cache
def _detected(detector: str) -> str:
    """Return what a program finds this machine to be virtualised by: the same as long as this process lives."""
    return subprocess.run([detector, "--vm"], capture_output=True, text=True, timeout=10, check=False).stdout.strip()


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version(), "mbench": VERSION}
    for name in _DISTRIBUTIONS:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


# -------------------------------------------------------------------------------------------------- what it is doing
def _load(root: Path) -> float | None:
    text = _read(root / "proc/loadavg")
    if text is not None:
        return load if math.isfinite(load := float(text.split()[0])) else None
    return os.getloadavg()[0] if root == ROOT else None


def _turbo(root: Path) -> bool | None:
    no_turbo = _read_int(root / _CPUS / "intel_pstate/no_turbo")
    if no_turbo is not None:
        return no_turbo == 0
    boost = _read_int(root / _CPUS / "cpufreq/boost")
    return None if boost is None else boost == 1


def _temperature_c(root: Path) -> float | None:
    """Return the hottest sensor of the processor."""
    readings = []
    for folder, name, pattern in (("hwmon", "name", "temp*_input"), ("thermal", "type", "temp")):
        for sensor in (root / "sys/class" / folder).glob("*"):
            if _read(sensor / name) in CPU_SENSORS:
                readings += [value for path in sensor.glob(pattern) if (value := _read_int(path)) is not None]
    return max(readings) / 1e3 if readings else None


def _steal_s(root: Path) -> float | None:
    first = (_read(root / "proc/stat") or "").split("\n", maxsplit=1)[0].split()
    return int(first[8]) / os.sysconf("SC_CLK_TCK") if len(first) > 8 and first[0] == "cpu" else None


# -------------------------------------------------------------------------------------------------------------- reading
def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return None


def _read_int(path: Path) -> int | None:
    text = _read(path)
    return int(text) if text is not None and re.fullmatch(r"-?\d{1,19}", text) else None


def numbers(text: str) -> list[int]:
    """Return the processors of a list such as `0-3,8`.

    Raises:
        ValueError: it is none, or one has a number that no processor has.
    """
    ends = [part.partition("-") for part in text.split(",")]
    ranges = [(int(first), int(last or first)) for first, _, last in ends]
    if len(ranges) > _MOST_PROCESSORS or any(not 0 <= end < _MOST_PROCESSORS for both in ranges for end in both):
        raise ValueError(f"{text[:80]!r} is no list of processors")
    return sorted({number for first, last in ranges for number in range(first, last + 1)})


def _size_bytes(text: str) -> int:
    units = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
    return int(text.rstrip("KMG")) * units.get(text[-1], 1)


def _sysctl(name: str) -> str | None:
    """Ask macOS."""
    if sys.platform != "darwin":
        return None
    answer = subprocess.run(["/usr/sbin/sysctl", "-n", name], capture_output=True, text=True, timeout=10, check=False)
    return answer.stdout.strip() or None


def _sysctl_int(name: str) -> int | None:
    text = _sysctl(name)
    return int(text) if text is not None and text.isdigit() else None
