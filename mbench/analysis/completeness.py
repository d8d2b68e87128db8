"""Whether a record holds all that was asked for."""

from __future__ import annotations

from mbench.analysis import instruction_counts
from mbench.core.records import Record
from mbench.hardware import device_kinds


def complete(record: Record) -> bool:
    """Return whether everything that was asked for could be had: results, counts, sustained runs, and the peaks."""
    uncounted = instruction_counts.wanted(record) and any(result.counts is None for result in record.results)
    unsustained = record.settings.sustain_s is not None and any(result.sustained is None for result in record.results)
    peaks = not device_kinds.of(record.device.kind).peaks_expected or record.device.calibration is not None
    return not record.failures and peaks and not uncounted and not unsustained
