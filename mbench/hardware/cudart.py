"""CUDA's runtime library, as far as measuring needs it beside TVM: events, and holding a stream until work is queued.

TVM launches kernels on the default stream of the same process, so that events recorded there lie between its kernels.
TVM has a timer made of two such events (`runtime.timer.cuda`), and no call for events of one's own. Loading this needs
no driver; every call names what the library says where there is none.

Source: CUDA Runtime API 13, modules Event Management, Stream Management and Error Handling.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib.util
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

from mbench.core.errors import MeasureError

SONAME = "libcudart.so.13"
"""What TVM's libtvm_runtime_cuda.so is linked against in the wheel."""
_LOST = (
    *("cudaErrorDevicesUnavailable", "cudaErrorECCUncorrectable", "cudaErrorUnknown", "cudaErrorNoDevice"),
    *("CUDA_ERROR_DEVICE_UNAVAILABLE", "CUDA_ERROR_ECC_UNCORRECTABLE", "CUDA_ERROR_UNKNOWN", "CUDA_ERROR_NO_DEVICE"),
)
_DEFAULT_STREAM = ctypes.c_void_p(None)

Event = ctypes.c_void_p


class CudaError(MeasureError):
    """CUDA's runtime is missing, or refused a call; the message is one line that says what it said."""


class Stream(Protocol):
    """The stream that TVM launches on."""

    def record(self) -> Any:
        """Put an event into the stream; it remembers when the device came there."""
        ...

    def hold(self, seconds: float) -> None:
        """Let the device wait when it comes here."""
        ...

    def wait(self) -> None:
        """Wait until the device has done all that is in the stream."""
        ...

    def seconds(self, start: Any, stop: Any) -> float:
        """Return the device's time between two events that it has passed."""
        ...

    def free(self, event: Any) -> None:
        """Forget an event."""
        ...


class Runtime:
    """The library, loaded; a `Stream`: the default one of CUDA's device 0."""

    def __init__(self) -> None:
        """Load it.

        Raises:
            CudaError: it is not installed.
        """
        self._library = _load()
        self._library.cudaGetErrorString.restype = ctypes.c_char_p
        self._library.cudaGetErrorName.restype = ctypes.c_char_p
        self._sleep = ctypes.cast(ctypes.CDLL(None).usleep, ctypes.c_void_p)

    def _call(self, function: str, *arguments: Any) -> None:
        code = getattr(self._library, function)(*arguments)
        if code:
            name, said = self._library.cudaGetErrorName(code), self._library.cudaGetErrorString(code)
            raise CudaError(f"{function}: CUDA reports {name.decode()}: {said.decode()}")

    def versions(self) -> tuple[int, int]:
        """Return the newest CUDA that the driver runs, and this library's, such as 13000; 0: no driver."""
        driver, runtime = ctypes.c_int(), ctypes.c_int()
        self._call("cudaDriverGetVersion", ctypes.byref(driver))
        self._call("cudaRuntimeGetVersion", ctypes.byref(runtime))
        return driver.value, runtime.value

    def free_bytes(self) -> int:
        """Return the device memory that nobody uses, once CUDA's own part of this process is in it."""
        free, total = ctypes.c_size_t(), ctypes.c_size_t()
        self._call("cudaMemGetInfo", ctypes.byref(free), ctypes.byref(total))
        return free.value

    def record(self) -> Event:
        """Put an event into the stream."""
        event = Event()
        self._call("cudaEventCreate", ctypes.byref(event))
        self._call("cudaEventRecord", event, _DEFAULT_STREAM)
        return event

    def hold(self, seconds: float) -> None:
        """Let the device wait when it comes here: for libc's usleep, which the driver calls; no Python, no deadlock."""
        self._call("cudaLaunchHostFunc", _DEFAULT_STREAM, self._sleep, ctypes.c_void_p(int(seconds * 1e6)))

    def wait(self) -> None:
        """Wait until the device has done all that is in the stream."""
        self._call("cudaStreamSynchronize", _DEFAULT_STREAM)

    def seconds(self, start: Event, stop: Event) -> float:
        """Return the device's time between two events; it counts in steps of about half a microsecond."""
        milliseconds = ctypes.c_float()
        self._call("cudaEventElapsedTime", ctypes.byref(milliseconds), start, stop)
        return milliseconds.value * 1e-3

    def free(self, event: Event) -> None:
        """Forget an event."""
        self._call("cudaEventDestroy", event)


def release(version: int) -> str:
    """Return a version of CUDA as people write it: 13000 as 13.0."""
    return f"{version // 1000}.{version % 1000 // 10}"


def _load() -> ctypes.CDLL:
    for name in _places():
        with contextlib.suppress(OSError):
            return ctypes.CDLL(name, mode=ctypes.RTLD_GLOBAL)  # so that TVM's library finds it under its SONAME
    raise CudaError(
        f"TVM's CUDA runtime needs {SONAME}, which is not found; install the CUDA toolkit 13 or: pip install "
        "nvidia-cuda-runtime"
    )


def _places() -> Iterator[str]:
    """Yield where the library may be: where the system looks, beside nvcc, in NVIDIA's packages."""
    yield SONAME
    nvcc = shutil.which("nvcc")
    if nvcc:
        home = Path(nvcc).resolve().parent.parent
        yield from (str(home / folder / SONAME) for folder in ("lib64", "lib"))
    packages = importlib.util.find_spec("nvidia")
    for folder in packages.submodule_search_locations or () if packages else ():
        yield from map(str, sorted(Path(folder).glob(f"*/lib/{SONAME}")))


@contextlib.contextmanager
def explaining(doing: str) -> Iterator[None]:
    """Say in one line what a CUDA error that TVM raises inside means. `doing` is what went on, such as `batch 8`.

    Raises:
        MeasureError: the GPU has too little memory, went away, or CUDA refuses.
    """
    try:
        yield
    except RuntimeError as error:
        meant = explained(error, doing)
        if meant is None:
            raise
        raise meant from error


def explained(error: Exception, doing: str) -> MeasureError | None:
    """Return what a CUDA error that TVM raised means, in one line; None if it is of another kind.

    TVM's own text: "CUDA Runtime Error: cudaErrorMemoryAllocation (2): out of memory", and names of the driver's API.
    Source: tvm_ffi, include/tvm/ffi/extra/cuda/base.h; TVM, src/backend/cuda/runtime.
    """
    said = str(error)
    line = next((line.strip() for line in said.splitlines() if "CUDA" in line), "")
    if "cudaErrorMemoryAllocation" in said or "CUDA_ERROR_OUT_OF_MEMORY" in said:
        hint = "take a smaller --batch, or stop what else uses the GPU"
        return MeasureError(f"out of device memory at {doing}; {hint}")
    if any(name in said for name in _LOST):
        return MeasureError(f"the GPU was lost while it was in use: {line}; see dmesg for its Xid")
    return CudaError(line) if line else None


def prepare_tvm() -> None:
    """Let TVM, imported after this, compile CUDA by nvcc, and let CUDA count GPUs as NVML does.

    Where a GPU is, TVM compiles a kernel's CUDA C as soon as it has it or loads it; its default is NVRTC, which takes a
    package of its own. Source: tvm.support.nvcc, tvm_callback_cuda_compile.
    """
    os.environ.setdefault("TVM_CUDA_COMPILE_MODE", "nvcc")
    os.environ.setdefault("CUDA_DEVICE_ORDER", "PCI_BUS_ID")
