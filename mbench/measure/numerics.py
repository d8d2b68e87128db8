"""Compare outputs with the reference's. A wrong result ends the measurement of its network."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import msgspec
import numpy as np

from mbench.core import artifact, dtypes, plain, units
from mbench.core.errors import MeasureError, cut
from mbench.core.records import Numerics

_LONGEST = 80
"""Characters of an output's name that a message shows."""


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Expected:
    """What a network has to give for an artifact's inputs."""

    outputs: tuple[np.ndarray, ...]
    """In the network's order."""
    names: tuple[str, ...] = ()
    """Theirs; none in artifacts of earlier versions."""
    reference: str = artifact.PYTORCH
    """What computed them, for people."""
    dtype: str = dtypes.DEFAULT
    """The type that it computed in, which may be narrower than the one that is measured."""
    resolution: float = 0.0
    """What it does not distinguish where outputs are nearly 0, in their unit: tolerated beside the rest."""
    tolerated: float | None = None
    """Whatever is asked: 0 where all that is computed is whole numbers."""

    def tolerance(self, asked: float) -> float:
        """Return what is tolerated where `asked` is, of the outputs of a reference that is as exact as its type."""
        if self.tolerated is not None:
            return self.tolerated
        return asked if self.dtype == dtypes.DEFAULT else max(asked, dtypes.of(self.dtype).network_tolerance)


def worst(outputs: Sequence[np.ndarray], expected: Expected, tolerance: float) -> Numerics:
    """Compare each output of a network; return what is to be said of the one that is furthest off."""
    tolerance = expected.tolerance(tolerance)
    if len(outputs) != len(expected.outputs):
        detail = f"{len(outputs)} outputs, the reference has {len(expected.outputs)}"
        return _failed(tolerance, detail, expected.reference)
    if not any(_tells(output, expected.resolution) for output in expected.outputs):
        detail = "the reference's output is constant: it would pass whatever the kernels do"
        return _failed(tolerance, detail, expected.reference)
    found = [
        _compared(output, wanted, tolerance, expected) for output, wanted in zip(outputs, expected.outputs, strict=True)
    ]
    place = max(range(len(found)), key=lambda number: _badness(found[number]))
    if found[place].passed or len(found) == 1:
        return found[place]
    named = cut(plain.line(expected.names[place]), _LONGEST) if expected.names else str(place + 1)
    return msgspec.structs.replace(found[place], detail=f"output {named}: {found[place].detail}")


def _badness(found: Numerics) -> tuple[bool, bool, float]:
    return not found.passed, found.max_rel_error is None, found.max_rel_error or 0.0


def compare(output: np.ndarray, expected: np.ndarray, tolerance: float) -> Numerics:
    """Compare one output of any shape with PyTorch's; see `worst`."""
    return worst((output,), Expected(outputs=(expected,)), tolerance)


def _tells(expected: np.ndarray, resolution: float) -> bool:
    """Return whether an output shows more than that something was computed; a single number is taken as it is.

    What differs by less than the reference distinguishes shows nothing.
    """
    if expected.size == 1 or not resolution or expected.dtype.kind != "f":
        return expected.size == 1 or bool((expected != expected.flat[:1]).any())
    return not bool((np.abs(expected - expected.flat[:1]) <= resolution).all())


def _compared(output: np.ndarray, expected: np.ndarray, tolerance: float, known: Expected) -> Numerics:
    reference = known.reference
    if output.shape != expected.shape:
        detail = f"output has shape {units.shape(output.shape)}, the reference's has {units.shape(expected.shape)}"
        return _failed(tolerance, detail, reference)
    if not np.isfinite(output).all():
        detail = f"{np.count_nonzero(~np.isfinite(output))} of {output.size} outputs are not finite"
        return _failed(tolerance, detail, reference)
    if not np.isfinite(expected).all():
        return _failed(tolerance, "the reference's own output is not finite: nothing to compare with", reference)
    absolute, relative = _errors(output.astype(np.float64), expected.astype(np.float64))
    if expected.dtype.kind not in "fc":  # of indices and truths, how far apart they are means nothing
        relative = np.count_nonzero(output != expected) / max(expected.size, 1)
    elif known.resolution and (magnitude := float(np.abs(expected).max(initial=0.0))):
        tolerance += known.resolution / magnitude
    passed = relative <= tolerance
    return Numerics(
        max_abs_error=absolute,
        max_rel_error=relative,
        tolerance=tolerance,
        reference=reference,
        passed=passed,
        detail=None if passed else f"max_rel_error is {relative:.3g}, above the tolerance {tolerance:g}",
    )


def _errors(output: np.ndarray, expected: np.ndarray) -> tuple[float, float]:
    """Return the largest error, and the same over the largest magnitude of what is expected."""
    absolute = float(np.abs(output - expected).max(initial=0.0))
    magnitude = float(np.abs(expected).max(initial=0.0))
    return absolute, absolute / magnitude if magnitude else absolute


def require(outputs: Sequence[np.ndarray], expected: Expected, tolerance: float) -> None:
    """Refuse outputs that are not the reference's.

    Raises:
        MeasureError: one is another.
    """
    checked = worst(outputs, expected, tolerance)
    if not checked.passed:
        raise MeasureError(f"wrong result: {checked.detail}; it is not timed")


def _failed(tolerance: float, detail: str, reference: str) -> Numerics:
    return Numerics(
        max_abs_error=None, max_rel_error=None, tolerance=tolerance, reference=reference, passed=False, detail=detail
    )
