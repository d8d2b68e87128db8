"""What multiplications of float16 are summed in on a CPU that has arithmetic for them. No code is made here.

Arm's FMLA on vectors of float16 adds to float16. A long sum would lose small summands, so kernels add up `TERMS` at
most, and add each such part to a sum of float32.
"""

from __future__ import annotations

from mbench.core.machine_types import Target

TYPE = "float16"
FEATURE = "asimdhp"
"""Arithmetic on vectors of float16, as `processor.requires` names it."""
TERMS = 64
"""Multiply-adds that are summed in float16 at most; docs/float16.md has the errors that decided it."""


def of_target(target: Target) -> int:
    """Return how many multiply-adds kernels sum in float16 before they go to a sum of float32; 0: none."""
    return TERMS if FEATURE in target.processor.requires else 0
