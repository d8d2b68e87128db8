"""Two records beside each other: how much longer each network and layer took, with intervals, from what they hold.

Each record is one process, and two processes of the same program differ by more than either differs from itself: the
intervals here do not have that in them, so they describe and do not judge. Derived from records; no formatting.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from mbench.analysis import labels, pairs
from mbench.core import stats
from mbench.core.field_types import Op
from mbench.core.records import Layer, Record, Result

CONFIDENCE = 0.95
MOST = 50
"""Blocks of one copy that are compared: the work grows with their square, and the interval hardly narrows."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Change:
    """A network, or one of its layers, in both records: medians in seconds, or instructions where those are known."""

    variant: str
    label: str
    layer: str | None
    op: Op | None
    exact: bool
    """Whether it is counted instructions, which have no noise; else it is latency."""
    base: float
    head: float
    ratio: float
    """Head over base."""
    low: float | None
    """The interval's lower limit; None for an exact count."""
    high: float | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Versus:
    """All that two records have in common; the base is the older one."""

    base: Record
    head: Record
    networks: tuple[Change, ...]
    layers: tuple[Change, ...]


def of_records(items: tuple[Record, ...]) -> Versus | None:
    """Return two records beside each other, or None if there are not two or they have nothing in common."""
    if len(items) != 2:
        return None
    base, head = sorted(items, key=lambda record: record.created_at_utc)
    before = {_network(result): result for result in base.results}
    common = [(before[_network(result)], result) for result in head.results if _network(result) in before]
    networks = tuple(change for ours, theirs in common for change in _networks(base, head, ours, theirs))
    layers = tuple(change for ours, theirs in common for change in _layers(ours, theirs))
    return Versus(base=base, head=head, networks=networks, layers=layers) if networks else None


def _network(result: Result) -> tuple[str, int, str]:
    return result.variant.name, result.variant.batch, result.variant.dtype


def _networks(base: Record, head: Record, ours: Result, theirs: Result) -> Iterator[Change]:
    times = [_blocks(record, result) for record, result in ((base, ours), (head, theirs))]
    medians = pairs.latency_s(ours), pairs.latency_s(theirs)
    yield from _timed(ours, None, times[0], times[1], medians)
    yield from _counted(ours, theirs, None, pairs.instructions(ours), pairs.instructions(theirs))


def _blocks(record: Record, result: Result) -> tuple[float, ...]:
    """Return the block medians of both copies: all are of the same program."""
    sides = (result.end_to_end.latency_s or (), result.end_to_end.twin_latency_s or ())
    return tuple(time for side in sides for time in _few(side, record.settings.block))


def _few(samples: tuple[float, ...], block: int = 1) -> tuple[float, ...]:
    """Return the medians of blocks of at least `block` samples, of no more than `MOST` blocks."""
    return stats.block_medians(samples, max(block, -(-len(samples) // MOST)))


def _layers(ours: Result, theirs: Result) -> Iterator[Change]:
    before = {layer.name: layer for layer in ours.layers}
    for layer in theirs.layers:
        other = before.get(layer.name)
        if other is None:
            continue
        medians = pairs.layer_latency_s(other), pairs.layer_latency_s(layer)
        yield from _timed(ours, layer, _few(other.latency_s or ()), _few(layer.latency_s or ()), medians)
        yield from _counted(ours, theirs, layer, pairs.layer_instructions(other), pairs.layer_instructions(layer))


def _timed(
    result: Result,
    layer: Layer | None,
    base: tuple[float, ...],
    head: tuple[float, ...],
    medians: tuple[float | None, float | None],
) -> Iterator[Change]:
    found = stats.ratio(base, head, CONFIDENCE)
    if found and medians[0] is not None and medians[1] is not None:
        yield Change(
            variant=result.variant.name, label=labels.variant(result.variant), layer=layer.name if layer else None,
            op=layer.op if layer else None, exact=False, base=medians[0], head=medians[1], ratio=found.estimate,
            low=found.low, high=found.high,
        )  # fmt: skip


def _counted(ours: Result, theirs: Result, layer: Layer | None, base: int | None, head: int | None) -> Iterator[Change]:
    """Yield the change of exact counts, where both are of code for the same target."""
    same = ours.counts and theirs.counts and ours.counts.target == theirs.counts.target
    if same and base and head:
        yield Change(
            variant=ours.variant.name, label=labels.variant(ours.variant), layer=layer.name if layer else None,
            op=layer.op if layer else None, exact=True, base=base, head=head, ratio=head / base, low=None, high=None,
        )  # fmt: skip
