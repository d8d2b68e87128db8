"""How often a kernel starts the threads."""

from __future__ import annotations

from typing import Any

from tvm import tirx

from mbench.compile import tvm_passes


def parallel_loops(function: tirx.PrimFunc) -> int:
    """Return how many parallel loops one run of a scheduled kernel executes: each starts the threads and joins them."""
    return _executed(tvm_passes.flat(function).body)


def _executed(statement: Any) -> int:
    if isinstance(statement, tirx.For):
        turns = int(statement.extent) if isinstance(statement.extent, tirx.IntImm) else 1
        if statement.kind == tirx.ForKind.PARALLEL:
            return int(turns > 1)
        return turns * _executed(statement.body)
    return sum(_executed(part) for part in tvm_passes.inner(statement))
