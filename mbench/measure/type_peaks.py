"""Measure the peak of a CPU in a type beside float32: which module does it. Imports tvm when a function is called."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mbench.core import dtypes
from mbench.core.machine_types import Calibration, Target
from mbench.core.progress import Fraction

if TYPE_CHECKING:
    from mbench.measure.cpu_peaks import PeakPlace

SOURCES = {
    dtypes.INT8: ("byte_peaks.py", "probe.py"),
    dtypes.BFLOAT16: ("pair_peaks.py", "byte_peaks.py", "probe.py"),
}
"""By type, the modules of `mbench.measure` that measure it."""


def calibrate(
    target: Target,
    threads: int,
    dtype: str,
    *,
    progress: Fraction = lambda _: None,
    place: PeakPlace | None = None,
) -> Calibration:
    """Measure the peak of a machine in a type of `SOURCES`, by default of this one; the answer has that alone.

    Raises:
        MeasureError: no way is known in which the target multiplies numbers of the type.
    """
    from mbench.measure import byte_peaks, pair_peaks

    measure = {dtypes.INT8: byte_peaks.calibrate, dtypes.BFLOAT16: pair_peaks.calibrate}[dtype]
    return measure(target, threads, progress=progress, place=place)
