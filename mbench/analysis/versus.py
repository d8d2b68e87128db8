"""Two records beside each other: how much longer each network and layer took, with intervals, from what they hold.

Where both records have several sessions, the sessions' medians are compared: each is of a process of its own, so that
the interval has in it how far processes lie apart. Else blocks of samples are compared, which one process took: two
processes of the same program differ by more than that, so that such an interval describes and does not judge. Derived
from records; no formatting.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

from mbench.analysis import disturbances, headline, labels, pairs, type_pairs
from mbench.core import stats
from mbench.core.field_types import Op
from mbench.core.records import Layer, Record, Result

CONFIDENCE = 0.95
FEWEST_SESSIONS = 2
"""On either side, for their medians to be compared."""
MOST = 50
"""Blocks of one copy that are compared: the work grows with their square, and the interval hardly narrows."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ChangedRow:
    """A network, or one of its layers, in both records: medians in seconds, or instructions where those are known."""

    variant: str
    label: str
    layer: str | None
    op: Op | None
    exact: bool
    """Whether it is counted instructions, which have no noise; else it is latency."""
    base: float
    head: float
    ratio: float | None
    """Head over base; None: disturbed."""
    low: float | None
    """The interval's lower limit; None for an exact count, or where it is disturbed."""
    high: float | None
    by_sessions: bool = False
    """Whether medians of sessions were compared, not blocks of samples."""
    base_disturbed: str | None = None
    """What disturbed the network in the base; None: nothing that was seen."""
    head_disturbed: str | None = None

    @property
    def disturbed(self) -> tuple[str, ...]:
        """Which run was disturbed, and by what: `the second run: …`."""
        sides = (("first", self.base_disturbed), ("second", self.head_disturbed))
        return tuple(f"the {which} run: {why}" for which, why in sides if why is not None)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Versus:
    """All that two records have in common; the base is the older one."""

    base: Record
    head: Record
    networks: tuple[ChangedRow, ...]
    layers: tuple[ChangedRow, ...]


def of_records(items: tuple[Record, ...]) -> Versus | None:
    """Return two records beside each other, or None if there are not two or they have nothing in common."""
    if len(items) != 2:
        return None
    base, head = sorted(items, key=lambda record: record.created_at_utc)
    common = list(_common(base, head))
    networks = tuple(change for ours, theirs in common for change in _networks(base, head, ours, theirs))
    layers = tuple(change for ours, theirs in common for change in _layers(ours, theirs))
    return Versus(base=base, head=head, networks=networks, layers=layers) if networks else None


def _common(base: Record, head: Record) -> Iterator[tuple[Result, Result]]:
    """Yield the networks that both records have; if none, those that they have in different types."""
    before = {_network(result): result for result in base.results}
    both = [(before[_network(result)], result) for result in head.results if _network(result) in before]
    yield from both
    for theirs in () if both else head.results:
        ours = [each for each in base.results if type_pairs.same_network(each.variant, theirs.variant)]
        yield from ((each, theirs) for each in ours[:1])


def _network(result: Result) -> tuple[str, int, str]:
    return result.variant.name, result.variant.batch, result.variant.dtype


def _label(ours: Result, theirs: Result) -> str:
    """Return a network's name for people, with both types where they differ."""
    if ours.variant.dtype == theirs.variant.dtype:
        return labels.variant(ours.variant)
    return f"{labels.untyped(ours.variant)}, {ours.variant.dtype} to {theirs.variant.dtype}"


def _networks(base: Record, head: Record, ours: Result, theirs: Result) -> Iterator[ChangedRow]:
    medians = headline.medians(ours), headline.medians(theirs)
    blocks = _blocks(base, ours), _blocks(head, theirs)
    yield from _timed(ours, theirs, None, medians, blocks)
    yield from _counted(ours, theirs, None, pairs.instructions(ours), pairs.instructions(theirs))


def _blocks(record: Record, result: Result) -> tuple[float, ...]:
    """Return the block medians of both copies: all are of the same program."""
    sides = (result.end_to_end.latency_s or (), result.end_to_end.twin_latency_s or ())
    return tuple(time for side in sides for time in _few(side, record.settings.block))


def _few(samples: tuple[float, ...], block: int = 1) -> tuple[float, ...]:
    """Return the medians of blocks of at least `block` samples, of no more than `MOST` blocks."""
    return stats.block_medians(samples, max(block, -(-len(samples) // MOST)))


def _layers(ours: Result, theirs: Result) -> Iterator[ChangedRow]:
    for before, after in type_pairs.same_layers(ours, theirs):
        layer = max(after, key=lambda each: each.macs)
        medians, blocks = (
            (_summed([taken(ours, each) for each in before]), _summed([taken(theirs, each) for each in after]))
            for taken in (headline.medians, _few_of)
        )
        yield from _timed(ours, theirs, layer, medians, blocks)
        counts = (_summed([_counts(each) for each in side]) for side in (before, after))
        yield from _counted(ours, theirs, layer, *(int(found[0]) if found else None for found in counts))


def _few_of(_result: Result, layer: Layer) -> tuple[float, ...]:
    return _few(layer.latency_s or ())


def _counts(layer: Layer) -> tuple[float, ...]:
    found = pairs.layer_instructions(layer)
    return () if found is None else (found,)


def _summed(parts: Sequence[tuple[float, ...]]) -> tuple[float, ...]:
    """Return numbers added up one by one; nothing where some are missing."""
    return tuple(map(sum, zip(*parts, strict=True))) if len(set(map(len, parts))) == 1 else ()


def _timed(
    ours: Result,
    theirs: Result,
    layer: Layer | None,
    medians: tuple[tuple[float, ...], tuple[float, ...]],
    blocks: tuple[tuple[float, ...], tuple[float, ...]],
) -> Iterator[ChangedRow]:
    """Yield the change of a latency, where both records have it.

    Args:
        ours: the result of the base.
        theirs: that of the head.
        layer: of the head; None: the whole network.
        medians: of the sessions, in both.
        blocks: of samples, their medians, in both.
    """
    if not all(medians):
        return
    by_sessions = min(map(len, medians)) >= FEWEST_SESSIONS
    disturbed = disturbances.of_result(ours), disturbances.of_result(theirs)
    found = None if any(disturbed) else stats.ratio(*(medians if by_sessions else blocks), CONFIDENCE)
    if found is None and not any(disturbed):
        return
    yield ChangedRow(
        variant=ours.variant.name, label=_label(ours, theirs), layer=layer.name if layer else None,
        op=layer.op if layer else None, exact=False, base=stats.median(medians[0]), head=stats.median(medians[1]),
        ratio=found.estimate if found else None, low=found.low if found else None, high=found.high if found else None,
        by_sessions=by_sessions, base_disturbed=disturbed[0], head_disturbed=disturbed[1],
    )  # fmt: skip


def _counted(
    ours: Result, theirs: Result, layer: Layer | None, base: int | None, head: int | None
) -> Iterator[ChangedRow]:
    """Yield the change of exact counts, where both are of code for the same target."""
    same = ours.counts and theirs.counts and ours.counts.target == theirs.counts.target
    if same and base and head:
        yield ChangedRow(
            variant=ours.variant.name, label=_label(ours, theirs), layer=layer.name if layer else None,
            op=layer.op if layer else None, exact=True, base=base, head=head, ratio=head / base, low=None, high=None,
        )  # fmt: skip
