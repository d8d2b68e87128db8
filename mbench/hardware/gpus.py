"""The GPU of this machine, the compiler for it, and what keeps mbench from measuring on it. Looks and changes nothing.

The driver is asked through NVML where nvidia-ml-py is installed, else by nvidia-smi. Imports neither tvm nor torch.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import msgspec

from mbench.core import units
from mbench.core.machine_types import Figure, Gpu, Target
from mbench.hardware import cudart, nvml

_QUERY = (
    *("compute_cap", "name", "driver_version"),
    *("memory.total", "clocks.max.sm", "clocks.max.mem", "enforced.power.limit"),
)
_WAIT_S = 30
_ROOT = Path("/")
_NVIDIA, _DISPLAY = "0x10de", "0x03"
"""Of a device on PCI: the vendor, and how the class of graphics and compute devices begins."""
_NO_NVML = "nvidia-smi does not report it; pip install 'mobilenet-bench[gpu]'"


@dataclass(frozen=True)
class Toolkit:
    """The CUDA compiler on PATH."""

    release: str
    """Such as `13.0`; empty if it does not report it."""
    archs: tuple[str, ...]
    """The architectures that it can make code for, such as `sm_90`; empty if it does not report them."""


# ------------------------------------------------------------------------------------------------------------ what is
def found() -> Gpu | None:
    """Return this machine's first GPU, or None if neither NVML nor nvidia-smi shows one."""
    try:
        return nvml.open_device().describe()
    except (nvml.NotReported, nvml.DeviceLost):
        return _by_smi()


def _by_smi() -> Gpu | None:
    answer = _output("nvidia-smi", f"--query-gpu={','.join(_QUERY)}", "--format=csv,noheader,nounits")
    told = [cell.strip() for cell in answer.partition("\n")[0].split(",")]
    if len(told) < 2 or not re.fullmatch(r"\d+\.\d+", told[0]):
        return None
    cells = dict(zip(_QUERY, told, strict=False))

    def figure(column: str, scale: float) -> float | None:
        cell = cells.get(column, "")
        return float(cell) * scale if re.fullmatch(r"\d+(\.\d+)?", cell) else None

    memory_bytes = figure("memory.total", 2**20)
    gpu = Gpu(
        name=cells["name"],
        arch="sm_" + cells["compute_cap"].replace(".", ""),
        driver=cells.get("driver_version"),
        memory_bytes=None if memory_bytes is None else int(memory_bytes),
        sm_clock_max_hz=figure("clocks.max.sm", 1e6),
        memory_clock_max_hz=figure("clocks.max.mem", 1e6),
        power_limit_w=figure("enforced.power.limit", 1),
    )
    lacking = [name for name in Gpu.__struct_fields__ if getattr(gpu, name) is None]
    return msgspec.structs.replace(gpu, missing=dict.fromkeys(lacking, _NO_NVML))


def toolkit() -> Toolkit | None:
    """Return the CUDA compiler on PATH, or None if there is none."""
    if shutil.which("nvcc") is None:
        return None
    release = re.search(r"release (\d+\.\d+)", _output("nvcc", "--version"))
    archs = re.findall(r"^(sm_\d+\w?)$", _output("nvcc", "--list-gpu-code"), re.MULTILINE)
    return Toolkit(release=release.group(1) if release else "", archs=tuple(archs))


def _output(name: str, *arguments: str) -> str:
    """Return what a program prints; nothing if it is not there or fails."""
    command = shutil.which(name)
    if command is None:
        return ""
    try:
        return subprocess.run([command, *arguments], capture_output=True, text=True, timeout=_WAIT_S, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return ""


def as_found(target: Target, gpu: Gpu | None) -> Target:
    """Return a target with what a GPU reports of itself instead of its reference machine's figures; the rest stays.

    Static power of this GPU is not known before it is measured.
    """
    if gpu is None:
        return target
    told = f"the driver of this {gpu.name}, through NVML or nvidia-smi"
    processor = target.processor
    if gpu.sm_clock_max_hz is not None:
        processor = msgspec.structs.replace(processor, frequency_hz=Figure(value=gpu.sm_clock_max_hz, source=told))
    if gpu.multiprocessors is not None:
        l2 = processor.l2 and msgspec.structs.replace(processor.l2, shared_by=gpu.multiprocessors)
        processor = msgspec.structs.replace(processor, cores=gpu.multiprocessors, l2=l2)
    energy = target.energy and msgspec.structs.replace(target.energy, static_w=None)
    return msgspec.structs.replace(
        target,
        description=_description(gpu, target),
        processor=processor,
        memory_bytes=_figure(gpu.memory_bytes, told) or target.memory_bytes,
        power_limit_w=_figure(gpu.power_limit_w, told) or target.power_limit_w,
        energy=energy,
    )


def _figure(value: float | None, told: str) -> Figure | None:
    return None if value is None else Figure(value=value, source=told)


def _description(gpu: Gpu, target: Target) -> str:
    """Return a GPU in words; peaks and caches, which a driver does not report, are those of the target."""
    facts = {
        f"{gpu.multiprocessors} SMs": gpu.multiprocessors,
        units.data_size(gpu.memory_bytes or 0): gpu.memory_bytes,
        f"SM clock up to {units.frequency(gpu.sm_clock_max_hz or 0.0)}": gpu.sm_clock_max_hz,
        f"memory clock up to {units.frequency(gpu.memory_clock_max_hz or 0.0)}": gpu.memory_clock_max_hz,
        f"power limit {gpu.power_limit_w or 0.0:g} W": gpu.power_limit_w,
    }
    told = ", ".join(text for text, value in facts.items() if value is not None)
    return f"this machine's {gpu.name} ({told}); caches and published peaks: {target.description.rpartition(': ')[2]}"


# ------------------------------------------------------------------------------------------------------- what is amiss
def absent(*, root: Path | None = None) -> str:
    """Return what is missing where no GPU was found, and what to do; empty where there is a driver that shows none."""
    root = root or _ROOT
    if (root / "proc/driver/nvidia/version").exists():
        return ""
    pci = root / "sys/bus/pci/devices"
    if any(_is_gpu(device) for device in sorted(pci.glob("*"))):
        return "this machine's NVIDIA GPU has no driver; install the NVIDIA driver"
    return "this machine has no NVIDIA GPU; measure on another, or give this container one (docker run --gpus all)"


def _is_gpu(device: Path) -> bool:
    try:
        vendor, kind = (device / "vendor").read_text().strip(), (device / "class").read_text().strip()
    except OSError:
        return False
    return vendor == _NVIDIA and kind.startswith(_DISPLAY)


def no_compiling(arch: str) -> str:
    """Return why nothing can be compiled for an architecture here; empty where it can."""
    compiler = toolkit()
    if compiler is None:
        nowhere = "" if found() or not absent() else f", and {absent().partition('; ')[0]}"
        return f"compiling for CUDA needs nvcc, which is not on PATH{nowhere}; install the CUDA toolkit"
    if compiler.archs and arch.rstrip("af") not in compiler.archs:
        known = ", ".join(compiler.archs)
        return f"nvcc {compiler.release} does not know {arch}, it knows {known}; install a newer CUDA toolkit"
    return ""


def no_measuring(arch: str) -> str:
    """Return why code for an architecture cannot be measured here; empty where it can. nvcc is taken to be there."""
    try:
        gpu = nvml.open_device().describe()
    except nvml.NotReported as error:
        if (other := _by_smi()) is None:
            return f"compile only: {absent() or error}"
        gpu = other
    except nvml.DeviceLost as error:
        return str(error)
    if not runs(gpu.arch, arch):
        return f"compile only: this machine's {gpu.name} ({gpu.arch}) cannot execute code for {arch}; see --target cuda"
    try:
        versions = cudart.Runtime().versions()
    except cudart.CudaError as error:
        return f"compile only: {error}"
    return too_old(gpu, versions, toolkit())


def runs(gpu_arch: str, arch: str) -> bool:
    """Return whether a GPU executes machine code for `arch`: of its own major version, and no newer minor one.

    Source: CUDA C++ Programming Guide, binary compatibility. Code for `sm_90a` runs on 9.0 alone.
    """
    gpu, code = (re.fullmatch(r"sm_(\d+)(\d)([af]?)", text) for text in (gpu_arch, arch))
    if gpu is None or code is None or gpu[1] != code[1]:
        return False
    return gpu[2] == code[2] if code[3] else int(gpu[2]) >= int(code[2])


def too_old(gpu: Gpu, versions: tuple[int, int], compiler: Toolkit | None) -> str:
    """Return that the driver is older than what runs on it; empty where it is not.

    Within a major version of CUDA an older driver runs what a newer toolkit made. Source: CUDA Compatibility, minor
    version compatibility.

    Args:
        gpu: whose driver it is.
        versions: (driver, runtime) as CUDA's runtime library says, such as 13000.
        compiler: that makes the code.
    """
    driver, runtime = versions
    made = int(compiler.release.partition(".")[0]) if compiler and compiler.release else 0
    wanted = max(runtime // 1000, made)
    if driver // 1000 >= wanted:
        return ""
    return (
        f"compile only: the driver {gpu.driver or ''} runs CUDA up to {cudart.release(driver)}, the code "
        f"needs CUDA {wanted}; update the NVIDIA driver"
    )
