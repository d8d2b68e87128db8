"""What an NVIDIA GPU reports of itself through NVML: what it is, what it does, what energy it took. Changes nothing.

NVML is the driver's own library; the package nvidia-ml-py (module `pynvml`, the extra `gpu`) calls it. A question that
a GPU does not answer is a reason, never a zero; a GPU that is gone ends the measurement.

Source: NVML API reference, and nvidia-ml-py's pynvml.py, whose functions are named here as they are there.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from typing import Any, TypeVar

from mbench.core.errors import MeasureError
from mbench.core.machine_types import Gpu, GpuConditions
from mbench.hardware import cudart

_T = TypeVar("_T")

_LANES = {(7, 0): 64, (7, 2): 64, (7, 5): 64, (8, 0): 64}
"""FP32 lanes of a streaming multiprocessor by compute capability, where they are not `_MOST_LANES`. Source: CUDA C++
Programming Guide, arithmetic instructions."""
_MOST_LANES = 128
_SLOWED_BY = {
    0x04: "power cap",
    0x08: "hardware slow-down",
    0x20: "temperature (software)",
    0x40: "temperature (hardware)",
    0x80: "power brake",
    0x200: "board limit",
    0x400: "reliability limit",
}
"""Clock event reasons that mean that the GPU was held back. Others (idle, clocks set by the user, another GPU's boost,
a display) do not. Source: nvml.h, nvmlClocksEventReason*."""
_GONE = ("NVML_ERROR_GPU_IS_LOST", "NVML_ERROR_RESET_REQUIRED")


class NotReported(Exception):
    """NVML has no answer; the message is one line that says why."""


class DeviceLost(MeasureError):
    """The GPU went away while it was measured."""


class NvmlDevice:
    """One GPU, asked through NVML."""

    def __init__(self, library: Any, handle: Any) -> None:
        """Ask with `library`, the module pynvml or what answers like it, which has been initialised."""
        self._library, self._handle = library, handle

    def _ask(self, function: str, *arguments: Any) -> Any:
        """Return NVML's answer about this GPU.

        Raises:
            NotReported: it has none.
            DeviceLost: the GPU is gone.
        """
        return _ask(self._library, function, self._handle, *arguments)

    def energy_j(self) -> float:
        """Return the energy since the driver was loaded, in joules. The counter moves in steps of 10 to 100 ms.

        Raises:
            NotReported: this GPU has no counter (there is none before Volta, and none on a Jetson).
            DeviceLost: the GPU is gone.
        """
        return float(self._ask("nvmlDeviceGetTotalEnergyConsumption") * 1e-3)  # millijoules

    def describe(self) -> Gpu:
        """Return what this GPU is.

        Raises:
            NotReported: it does not even report its name and architecture.
            DeviceLost: the GPU is gone.
        """
        told = _Told()
        major, minor = self._ask("nvmlDeviceGetCudaComputeCapability")
        library = self._library
        cores = told("multiprocessors", lambda: self._ask("nvmlDeviceGetNumGpuCores"))
        return Gpu(
            name=str(self._ask("nvmlDeviceGetName")),
            arch=f"sm_{major}{minor}",
            multiprocessors=None if cores is None else cores // _LANES.get((major, minor), _MOST_LANES),
            memory_bytes=told("memory_bytes", lambda: int(self._ask("nvmlDeviceGetMemoryInfo").total)),
            sm_clock_max_hz=told(
                "sm_clock_max_hz", lambda: 1e6 * self._ask("nvmlDeviceGetMaxClockInfo", library.NVML_CLOCK_SM)
            ),
            memory_clock_max_hz=told(
                "memory_clock_max_hz", lambda: 1e6 * self._ask("nvmlDeviceGetMaxClockInfo", library.NVML_CLOCK_MEM)
            ),
            power_limit_w=told("power_limit_w", lambda: 1e-3 * self._ask("nvmlDeviceGetEnforcedPowerLimit")),
            driver=told("driver", lambda: str(_ask(library, "nvmlSystemGetDriverVersion"))),
            cuda=told("cuda", lambda: cudart.release(_ask(library, "nvmlSystemGetCudaDriverVersion_v2"))),
            missing=told.missing,
        )

    def conditions(self) -> GpuConditions:
        """Return what this GPU is doing now.

        Raises:
            DeviceLost: the GPU is gone.
        """
        told, library = _Told(), self._library
        reasons = told("slowed_by", lambda: self._ask("nvmlDeviceGetCurrentClocksEventReasons"))
        return GpuConditions(
            sm_clock_hz=told("sm_clock_hz", lambda: 1e6 * self._ask("nvmlDeviceGetClockInfo", library.NVML_CLOCK_SM)),
            memory_clock_hz=told(
                "memory_clock_hz", lambda: 1e6 * self._ask("nvmlDeviceGetClockInfo", library.NVML_CLOCK_MEM)
            ),
            power_w=told("power_w", lambda: 1e-3 * self._ask("nvmlDeviceGetPowerUsage")),
            power_limit_w=told("power_limit_w", lambda: 1e-3 * self._ask("nvmlDeviceGetEnforcedPowerLimit")),
            temperature_c=told(
                "temperature_c",
                lambda: float(self._ask("nvmlDeviceGetTemperature", library.NVML_TEMPERATURE_GPU)),
            ),
            memory_used_bytes=told("memory_used_bytes", lambda: int(self._ask("nvmlDeviceGetMemoryInfo").used)),
            slowed_by=None if reasons is None else tuple(text for bit, text in _SLOWED_BY.items() if reasons & bit),
            missing=told.missing,
        )


class _Told:
    """Asks one question after the other; keeps why there is no answer, by the name of the field."""

    def __init__(self) -> None:
        self.missing: dict[str, str] = {}

    def __call__(self, field: str, ask: Callable[[], _T]) -> _T | None:
        try:
            return ask()
        except NotReported as error:
            self.missing[field] = str(error)
            return None


def open_device(library: Any = None) -> NvmlDevice:
    """Return the GPU that CUDA's device 0 is: the first of `CUDA_VISIBLE_DEVICES`, or the first on the bus.

    The order is that of the bus, as CUDA's is with `CUDA_DEVICE_ORDER=PCI_BUS_ID`.

    Args:
        library: answers instead of the module pynvml.

    Raises:
        NotReported: nvidia-ml-py is not installed, there is no driver, or it shows no GPU.
        DeviceLost: the GPU is gone.
    """
    if library is None:
        try:
            library = importlib.import_module("pynvml")
        except ImportError as error:
            raise NotReported("nvidia-ml-py is not installed; pip install 'mobilenet-bench[gpu]'") from error
    _ask(library, "nvmlInit")
    first = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0].strip()
    if first.startswith("GPU-"):
        return NvmlDevice(library, _ask(library, "nvmlDeviceGetHandleByUUID", first))
    if not first.isdigit():
        raise NotReported(f"CUDA_VISIBLE_DEVICES begins with '{first}', which is no GPU; expected a number or GPU-UUID")
    if int(first) >= _ask(library, "nvmlDeviceGetCount"):
        raise NotReported(f"NVML shows no GPU number {first}; see nvidia-smi -L")
    return NvmlDevice(library, _ask(library, "nvmlDeviceGetHandleByIndex", int(first)))


def _ask(library: Any, function: str, *arguments: Any) -> Any:
    try:
        return getattr(library, function)(*arguments)
    except library.NVMLError as error:
        if error.value in [getattr(library, name) for name in _GONE]:
            raise DeviceLost(f"the GPU was lost: NVML reports '{error}'; see dmesg for its Xid") from error
        if error.value in (library.NVML_ERROR_LIBRARY_NOT_FOUND, library.NVML_ERROR_DRIVER_NOT_LOADED):
            raise NotReported(f"no NVIDIA driver: NVML reports '{error}'; install the driver") from error
        raise NotReported(f"{function}: NVML reports '{error}'") from error
