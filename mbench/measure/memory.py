"""Memory that a process really held, beside what the compiler planned."""

from __future__ import annotations

import re
from pathlib import Path

METHOD = (
    "weights, activations and workspace: planned by the compiler, workspace of one thread where each has its own; "
    "process peak: largest resident set of the worker process with one copy of the network, Python and the runtime "
    "included (VmHWM)"
)

REMOTE_METHOD = (
    "weights, activations and workspace: planned by the compiler, workspace of one thread where each has its own; "
    "process peak: largest resident set of the process on the device with one copy of the network, the runtime "
    "included and no Python (VmHWM)"
)


def process_peak_bytes(status: Path = Path("/proc/self/status")) -> int | None:
    """Return the largest resident set that this process has had; None where the system does not report it.

    psutil knows the resident set of now, not its peak, so the kernel's own account is read.
    """
    try:
        match = re.search(r"^VmHWM:\s+(\d+) kB$", status.read_text(), re.MULTILINE)
    except OSError:
        return None
    return int(match[1]) * 1024 if match else None
