"""What a build takes: a task for a process of its own, which has to be in a module that the process can import."""

from __future__ import annotations

import math
import resource
import tempfile
import time
from pathlib import Path

from mbench.build import build
from mbench.core.machine_types import Target
from mbench.core.records import Variant

LIMIT_S = 300
"""Of processor time: the system ends a process that takes more for a build."""


def compile_s(network: Variant, target: Target) -> float:
    """Return the processor seconds of this process that a build takes."""
    with tempfile.TemporaryDirectory() as folder:
        start = time.process_time()
        hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
        most = math.ceil(start) + LIMIT_S
        resource.setrlimit(resource.RLIMIT_CPU, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))
        build.build(network, target, Path(folder), use_cache=False)
        return time.process_time() - start
