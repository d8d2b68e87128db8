"""What a figure of hardware can be: wide enough for any machine, narrow enough to notice a slip of the pen."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from mbench.core.field_types import MOST_THREADS
from mbench.core.machine_types import Figure, Target
from mbench.core.toml_files import joined

_MOST_CORES = 4096
_VECTOR_WORD = 32
"""Bits that a vector register is a multiple of: it holds whole float32."""

BOUNDS: dict[str, tuple[float, float]] = {
    "threads": (1, MOST_THREADS),
    "cores": (1, _MOST_CORES),
    "vector_bits": (_VECTOR_WORD, 65_536),
    "vector_registers": (1, 65_536),
    "shared_by": (1, _MOST_CORES),
    "line_bytes": (4, 65_536),
    "frequency_hz": (1e6, 1e11),
    "flops_per_cycle": (0.001, 1e6),
    "issue_width": (0.1, 1000),
    "fma_units": (0, 1000),
    "vector_units": (0.1, 1000),
    "data_overlap": (0, 1),
    "load_units": (0.1, 1000),
    "store_units": (0.1, 1000),
    "bytes": (64, 2**40),
    "ways": (1, 2**20),
    "multiprocessor.threads": (1, 2**20),
    "blocks": (1, 2**20),
    "registers": (1, 2**30),
    "shared_bytes": (1, 2**40),
    "flops_per_s": (1e3, 1e21),
    "bytes_per_s": (1e3, 1e18),
    "core_bytes_per_s": (1e3, 1e18),
    "multiply_j": (0, 1e-3),
    "add_j": (0, 1e-3),
    "bytes_j": (0, 1e-3),
    "static_w": (0, 1e6),
    "memory_bytes": (1024, 2**60),
    "power_limit_w": (0.001, 1e6),
}
"""Least and most, by the field's name, with its struct's where two fields share one; of tables, of each value."""


def beyond(target: Target) -> Iterator[tuple[str, str]]:
    """Yield the figures of a target that cannot be, as key and complaint."""
    for key, names, value in _figures(target, "", ()):
        low, high = BOUNDS[names[-1]] if ".".join(names[-2:]) not in BOUNDS else BOUNDS[".".join(names[-2:])]
        if not low <= value <= high:
            yield key, f"got {value:.15g}, expected {low:.15g} to {high:.15g}"
    bits = target.processor.vector_bits
    if bits % _VECTOR_WORD:
        yield "processor.vector_bits", f"got {bits}, expected a multiple of {_VECTOR_WORD}"


def _figures(value: Any, key: str, names: tuple[str, ...]) -> Iterator[tuple[str, tuple[str, ...], float]]:
    """Yield each number with its key and the names of the fields that lead to it; without what goes to TVM as it is."""
    if isinstance(value, Figure):
        yield f"{key}.value", names, value.value
    elif isinstance(value, msgspec.Struct):
        for name in value.__struct_fields__:
            if (*names, name) != ("tvm",):
                yield from _figures(getattr(value, name), f"{key}.{name}".lstrip("."), (*names, name))
    elif isinstance(value, dict):
        for name, item in value.items():
            yield from _figures(item, joined(key, name), names)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield key, names, value
