"""The runtimes that `peers.py` compares, on either kind of device."""

from __future__ import annotations

import cpu_runtimes
import gpu_runtimes
from cases import Runtime


def available(*, gpu: bool) -> dict[str, Runtime]:
    """Return the runtimes of the CPU, or of the GPU."""
    return gpu_runtimes.RUNTIMES if gpu else cpu_runtimes.RUNTIMES
