"""What this machine can compile for and measure, what it lacks, and whether it is quiet enough to time anything.

Looks, and changes nothing; prints nothing. Imports neither tvm nor torch, so it also works where they do not.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

from mbench.core import resources, units
from mbench.core.errors import MbenchError, TargetError, UsageError
from mbench.core.machine_types import Host
from mbench.devices import registry, toolchain, tvm_runtime
from mbench.hardware import cgroups, gpus, nvml, platforms, targets
from mbench.hardware import host as hosts
from mbench.measure import decode, meters

Status = Literal["ok", "warn", "missing"]

_BUSY = 0.2
"""Load a processor, above which others are at work."""
_LITTLE_MEMORY_BYTES = 2 << 30
_LITTLE_DISK_BYTES = 2 << 30
_NEEDED = ("apache-tvm", "apache-tvm-ffi", "torch")


@dataclass(frozen=True)
class Check:
    """One thing that was looked at: `text` says what is, `hint` what to do about it (empty where nothing is to do)."""

    name: str
    status: Status
    text: str
    hint: str = ""


def checks(host: Host | None = None, *, root: Path = hosts.ROOT) -> list[Check]:
    """Return all checks, what the machine can do first, then how quiet it is.

    Args:
        host: the machine; by default this one.
        root: where /proc and /sys are.
    """
    machine = host or hosts.describe(root=root)
    return [
        *_software(machine),
        _host_target(machine),
        *_targets(machine),
        *_gpu(),
        _power_meter(root),
        *_emulation(machine),
        *_devices(),
        *_conditions(machine),
        _processors(machine, root),
        _quota(machine, root),
        _memory(root),
        _disk(resources.cache_dir()),
    ]


# ------------------------------------------------------------------------------------------------------- what it can do
def _software(host: Host) -> Iterator[Check]:
    for name in _NEEDED:
        if name in host.versions:
            yield Check(name, "ok", host.versions[name])
        else:
            yield Check(name, "missing", "not installed", "pip install mobilenet-bench installs it")
    yield from _pinned(host)


def _pinned(host: Host) -> Iterator[Check]:
    """Yield a warning for each package whose version is not the one that mbench pins."""
    try:
        requirements = metadata.requires("mobilenet-bench") or []
    except metadata.PackageNotFoundError:
        return
    for requirement in requirements:
        found = re.match(r"([\w-]+)==([\w.]+)$", requirement)
        if found and found.group(1) in host.versions and host.versions[found.group(1)] != found.group(2):
            yield Check(
                f"{found.group(1)} version",
                "warn",
                f"{host.versions[found.group(1)]} is installed, mbench is made for {found.group(2)}",
                f"pip install {found.group(1)}=={found.group(2)}",
            )


def _host_target(host: Host) -> Check:
    try:
        bits, _ = hosts.vectors(host)
    except TargetError as error:
        return Check("target host", "missing", str(error))
    return Check(
        "target host",
        "ok",
        f"{host.cpu}, {host.cores_usable or host.cores_physical} cores, {host.processors_usable or host.cores_logical} "
        f"processors, {bits}-bit vectors",
    )


def _targets(host: Host) -> Iterator[Check]:
    """Yield a check for the targets of each family that share what this machine can do with them."""
    groups: dict[tuple[str, targets.Support], list[str]] = {}
    for name, target in targets.load_all().items():
        groups.setdefault((target.family, targets.support(target, host)), []).append(name)
    for (family, support), names in sorted(groups.items(), key=lambda item: item[1]):
        if support.measure:
            yield Check(f"targets {family}", "ok", f"{', '.join(names)}: compile and measure")
        elif support.compile:
            able = "compile and emulate" if support.emulate else "compile"
            yield Check(f"targets {family}", "ok", f"{', '.join(names)}: {able}; {support.reason}")
        else:
            what, _, hint = support.reason.rpartition("; ")
            yield Check(f"targets {family}", "missing", f"{', '.join(names)}: {what or hint}", hint if what else "")


def _gpu() -> Iterator[Check]:
    """Yield the GPU, and, where there is one, what measuring on it needs."""
    gpu = gpus.found()
    if gpu is None:
        why = gpus.absent().partition("; ")[0] or "the NVIDIA driver shows none"
        yield Check("gpu", "ok", f"none: {why}; targets cuda_* can be compiled for, not measured")
        return
    driver = f"driver {gpu.driver or 'of unknown version'}, which runs CUDA up to {gpu.cuda or 'an unknown version'}"
    yield Check("gpu", "ok", f"{gpu.name} ({gpu.arch}); {driver}")
    compiler = gpus.toolkit()
    if compiler is not None:
        archs = ", ".join(compiler.archs) or "unknown architectures"
        yield Check("nvcc", "ok", f"{compiler.release or 'unknown version'}, for {archs}")
    reason = gpus.no_compiling(gpu.arch) or gpus.no_measuring(gpu.arch)
    if reason:
        what, _, hint = reason.removeprefix("compile only: ").rpartition("; ")
        yield Check("gpu runs code", "missing", what or hint, hint if what else "see --target cuda")
    else:
        yield Check("gpu runs code", "ok", "compile and measure")
    yield _nvml()


def _nvml() -> Check:
    """Look whether the GPU reports its energy, clocks and limits."""
    name = "gpu meter"
    try:
        device = nvml.open_device()
    except (nvml.NotReported, nvml.DeviceLost) as error:
        what, _, hint = str(error).rpartition("; ")
        return Check(name, "missing", what or hint, hint if what else "clocks and energy will be missing")
    try:
        device.energy_j()
    except (nvml.NotReported, nvml.DeviceLost) as error:
        return Check(name, "missing", f"no energy counter: {error}", "energy is modelled, not measured")
    slowed = device.conditions().slowed_by
    if slowed:
        text = f"the clocks are held back now: {', '.join(slowed)}"
        return Check(name, "warn", text, "let the GPU cool, or lift the limit")
    return Check(name, "ok", "NVML's energy counter; clocks, power limit, temperature and what holds clocks back")


def _power_meter(root: Path) -> Check:
    """Look for RAPL (energy counters of x86 processors) and for power sensors of boards."""
    counters = sorted((root / "sys/class/powercap").glob("*/energy_uj"))
    found = meters.find(root)
    if found:
        return Check("power meter", "ok", ", ".join(meter.name for meter in found))
    if counters:
        hint = "as root: chmod a+r /sys/class/powercap/*/energy_uj; without it energy is modelled, not measured"
        return Check("power meter", "missing", "RAPL is there, and only root may read it", hint)
    return Check(
        "power meter", "missing", "no RAPL, no hwmon energy or power sensor", "energy is modelled, not measured"
    )


# ---------------------------------------------------------------------------------------------- boards and emulation
def _emulation(host: Host) -> Iterator[Check]:
    """Yield what emulated runs, exact counts and the server for boards need."""
    served = sorted({host.architecture, *tvm_runtime.WHEELS})
    for architecture in served:
        yield _emulator(architecture)
    for architecture in served:
        text = "builds the server for boards and emulation"
        yield _looked_for(f"compiler {architecture}", text, toolchain.compiler, f"{architecture}-linux-gnu")
    yield _looked_for("compiler C", "builds the counting plugin", toolchain.c_compiler)
    yield _looked_for("capstone", "decodes what is counted", decode.check_installed)
    yield _looked_for("pip", "fetches TVM's runtime for other architectures, once", tvm_runtime.check_pip)


def _emulator(architecture: str) -> Check:
    name, triple = f"emulation {architecture}", f"{architecture}-linux-gnu"
    try:
        emulator = toolchain.emulator(triple)
        toolchain.sysroot(triple)
    except MbenchError as error:
        return _lacking(name, "missing", error)
    try:
        toolchain.check_counting(emulator)
    except MbenchError as error:
        return _lacking(name, "warn", error, f"{emulator.name} checks numerics, without counts: ")
    return Check(name, "ok", f"{emulator.name} checks numerics and counts instructions")


def _looked_for(name: str, text: str, look: Callable[..., object], *arguments: str) -> Check:
    try:
        look(*arguments)
    except MbenchError as error:
        return _lacking(name, "missing", error)
    return Check(name, "ok", text)


def _lacking(name: str, status: Status, error: MbenchError, before: str = "") -> Check:
    """Return an error as a check: what comes after the last semicolon says what to do."""
    what, _, hint = str(error).rpartition("; ")
    return Check(name, status, before + what, hint)


def _devices() -> Iterator[Check]:
    """Yield the devices that have names; none is contacted."""
    try:
        for name, entry in registry.devices().items():
            yield Check(f"device {name}", "ok", f"{entry.address} (not contacted)")
    except UsageError as error:
        yield _lacking("devices", "warn", error)


# ---------------------------------------------------------------------------------------------------- how quiet it is
def _conditions(host: Host) -> Iterator[Check]:
    load = host.conditions.load_1min
    if load is not None:
        text = f"{load:.2f} over one minute on {host.cores_logical} processors"
        busy = load > _BUSY * host.cores_logical
        yield Check("load", "warn" if busy else "ok", text, "stop other work before timing" if busy else "")
    governor = host.conditions.governor
    if governor is not None:
        slow = governor != "performance"
        hint = "cpupower frequency-set -g performance (as root) keeps the frequency up" if slow else ""
        yield Check("governor", "warn" if slow else "ok", governor, hint)
    turbo = host.conditions.turbo
    if turbo is not None:
        hint = "with turbo the frequency depends on temperature and on other cores; switch it off to compare runs"
        yield Check("turbo", "warn" if turbo else "ok", "on" if turbo else "off", hint if turbo else "")
    yield _virtual_machine(host)


def _virtual_machine(host: Host) -> Check:
    if host.virtual_machine is None:
        return Check("virtual machine", "ok", "no")
    steal_s = host.conditions.steal_s
    stolen = "" if steal_s is None else f"; the hypervisor took {steal_s:.1f} s of processor time since boot"
    hint = "neighbours disturb timings unseen: trust the interval over several sessions, not one number"
    return Check("virtual machine", "warn", f"{host.virtual_machine}{stolen}", hint)


def _processors(host: Host, root: Path) -> Check:
    """Say which processors there are for runs, and how many threads a run has if nothing is asked for."""
    limit, cpuset = platforms.of_machine(host), cgroups.cpuset(root=root)
    usable = f"{host.processors_usable or host.cores_logical} of {host.cores_logical} usable by affinity"
    inside = "" if cpuset is None else f", cpuset {cpuset}"
    few = limit.most < 2
    hint = "give mbench a second processor: what else runs takes its time from the only one" if few else ""
    return Check("processors", "warn" if few else "ok", f"{usable}{inside}; default: --threads {limit.default}", hint)


def _quota(host: Host, root: Path) -> Check:
    """Look whether control groups give less processor time than there are processors, and whether they held it back."""
    allowed, processors = host.processors_quota, host.processors_usable or host.cores_logical
    if allowed is None:
        return Check("processor quota", "ok", "none")
    said, quota = f"{allowed:g} of {processors} processors", cgroups.quota(root=root)
    if quota is not None and quota.throttled_periods:
        lasting = "" if quota.throttled_s is None else f" for {units.seconds(quota.throttled_s)}"
        of_all = "" if quota.periods is None else f" of {quota.periods}"
        said += f"; it held threads back{lasting}, in {quota.throttled_periods}{of_all} periods"
    if allowed >= processors:
        return Check("processor quota", "ok", said)
    most = int(allowed)
    hint = f"lift the quota, or run no more than --threads {most}" if most else "lift the quota to at least 1"
    return Check("processor quota", "warn", said, f"{hint}: threads over it are stopped in mid-run")


def _memory(root: Path) -> Check:
    available_bytes = hosts.available_memory_bytes(root=root)
    if available_bytes is None:
        return Check("memory", "ok", "the system does not report free memory")
    little = available_bytes < _LITTLE_MEMORY_BYTES
    hint = "compiling a network takes about 2 GB" if little else ""
    return Check("memory", "warn" if little else "ok", f"{units.data_size(available_bytes)} free", hint)


def _disk(folder: Path) -> Check:
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    free_bytes = shutil.disk_usage(there).free
    text = f"{units.data_size(free_bytes)} free in {folder}"
    if not os.access(there, os.W_OK):
        return Check("cache", "missing", f"{folder} is not writable", "set MBENCH_CACHE_DIR to a folder that is")
    if free_bytes < _LITTLE_DISK_BYTES:
        return Check("cache", "warn", text, "free some space, or set MBENCH_CACHE_DIR to another folder")
    return Check("cache", "ok", text)
