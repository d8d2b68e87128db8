"""Compare an output with PyTorch's. A wrong result ends the measurement of its variant."""

from __future__ import annotations

import numpy as np

from mbench.core import units
from mbench.core.errors import MeasureError
from mbench.core.records import Numerics

REFERENCE = "PyTorch eager on the same input, BatchNorm not folded"


def compare(output: np.ndarray, expected: np.ndarray, tolerance: float) -> Numerics:
    """Compare two arrays of logits (N, 1000)."""
    if output.shape != expected.shape:
        return _failed(
            tolerance, f"output has shape {units.shape(output.shape)}, PyTorch's has {units.shape(expected.shape)}"
        )
    if not np.isfinite(output).all():
        return _failed(tolerance, f"{np.count_nonzero(~np.isfinite(output))} of {output.size} outputs are not finite")
    if not np.isfinite(expected).all():
        return _failed(tolerance, "PyTorch's own output is not finite: nothing to compare with")
    if np.ptp(expected) == 0:
        return _failed(tolerance, "PyTorch's output is constant: it would pass whatever the kernels do")
    absolute = float(np.abs(output.astype(np.float64) - expected).max())
    relative = absolute / float(np.abs(expected).max())
    passed = relative <= tolerance
    return Numerics(
        max_abs_error=absolute,
        max_rel_error=relative,
        tolerance=tolerance,
        reference=REFERENCE,
        passed=passed,
        detail=None if passed else f"max_rel_error is {relative:.3g}, above the tolerance {tolerance:g}",
    )


def require(output: np.ndarray, expected: np.ndarray, tolerance: float) -> None:
    """Refuse an output that is not PyTorch's.

    Raises:
        MeasureError: it is another one.
    """
    checked = compare(output, expected, tolerance)
    if not checked.passed:
        raise MeasureError(f"wrong result: {checked.detail}; it is not timed")


def _failed(tolerance: float, detail: str) -> Numerics:
    return Numerics(
        max_abs_error=None, max_rel_error=None, tolerance=tolerance, reference=REFERENCE, passed=False, detail=detail
    )
