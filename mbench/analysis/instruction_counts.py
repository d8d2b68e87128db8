"""What follows from exact counts of instructions: what a vector multiply-add costs, and what the counts are counts of.

Derived from a record; no formatting, no counting.
"""

from __future__ import annotations

from mbench.analysis import pairs
from mbench.core import dtypes
from mbench.core.field_types import LEVELS
from mbench.core.records import Counters, Layer, Record, Result
from mbench.hardware import device_kinds


def emulated(record: Record) -> bool:
    """Return whether the record's code ran in emulation, where time means nothing and counts are shown instead."""
    return device_kinds.of(record.device.kind).counts_only


def wanted(record: Record) -> bool:
    """Return whether counts were to be had: asked for, or the only currency of an emulated run."""
    return emulated(record) or record.settings.counts


def lanes(record: Record, result: Result) -> int | None:
    """Return how many numbers a vector of the counted code's target holds; None where that target is not known."""
    if result.counts is None:
        return None
    own = record.target.processor.vector_bits if result.counts.target == record.target.name else None
    bits = result.counts.vector_bits or own
    return dtypes.lanes(result.variant.dtype, bits) if bits else None


def operations(counters: Counters, dtype: str) -> int:
    """Return the arithmetic operations of a network's type that were counted, lane by lane; a multiply-add is two."""
    return int(getattr(counters, dtypes.of(dtype).operations))


def of_network(record: Record, result: Result) -> float | None:
    """Return instructions for each vector multiply-add that the network needs: its multiply-adds over the lanes."""
    return _each(pairs.instructions(result), pairs.macs(result), lanes(record, result))


def of_layer(layer: Layer, count: int | None) -> float | None:
    """Return the same of a layer, for vectors of `count` lanes; None where it needs no multiply-add."""
    return _each(pairs.layer_instructions(layer), layer.macs, count)


def _each(instructions: int | None, macs: int, count: int | None) -> float | None:
    return pairs.ratio(instructions, macs / count) if count else None


def below_one(record: Record, result: Result) -> str | None:
    """Return why there are fewer instructions than multiply-adds needed, where there are."""
    each = [of_layer(layer, lanes(record, result)) for layer in result.layers]
    if min((value for value in (*each, of_network(record, result)) if value is not None), default=1.0) >= 1.0:
        return None
    return "below 1 where a kernel does fewer multiply-adds than its shape implies: by padding, Winograd or Strassen"


def elsewhere(record: Record, result: Result) -> str | None:
    """Return the target that was counted, where that is not the record's own."""
    counts = result.counts
    return counts.target if counts and counts.target != record.target.name else None


def levels(result: Result) -> tuple[str, ...]:
    """Return the levels that the model of the caches gives traffic for, nearest first."""
    found = {level for layer in result.layers for level in layer.traffic_bytes or {}}
    if result.counts is not None:
        found.update(result.counts.traffic_bytes or {})
    return (*(level for level in LEVELS if level in found), *sorted(found.difference(LEVELS)))
