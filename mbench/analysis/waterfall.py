"""From the speed-up that the multiply-adds predict to the one achieved: what each layer and cause took away or gave.

The cost of each network (seconds; instructions where those were counted and nothing was timed) is split, layer by
layer, by cause. One part of the split is the multiply-adds themselves, at the machine's measured peak or a whole vector
an instruction: of these the two networks have exactly the predicted ratio.

Let P be the predicted speed-up, A the achieved one and T the standard network's cost. The depthwise-separable network
would cost T/P if all else shrank as much. What it costs beyond that is the sum of its other parts minus the standard
network's other parts over P. Each further second costs P x A / T of the speed-up, whichever layer spends it, so the
steps do not depend on an order and add up to A - P. `between` does this with any two networks; `type_waterfall` asks it
for one network in two types.

Derived from a record; no formatting, no measuring.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Literal

from mbench.analysis import disturbances, instruction_counts, layer_causes, pairs, replacements
from mbench.analysis.layer_causes import Cause, CauseCosts
from mbench.core.records import Layer, Record, Result

Part = Literal["depthwise", "pointwise", "fused", "shared", "standard", "whole", "types"]
"""Whose cost it is: layers that were replaced, or whole blocks that one kernel computes (`fused`); the standard
convolutions (or blocks) in their place; layers that both networks have (`shared`); of no layer (`whole`); or of a
network in two types, whose layers are the same (`types`)."""
Split = Callable[[Layer], CauseCosts | None]
UNTIMED, UNCOUNTED = "the two networks were not both timed", "the two networks were not both counted"
NOT_SPLIT = "some layers were not timed or have no place under the roofline"
NOT_ALL_COUNTED = "some layers were not counted"
NO_LANES = "the record lacks the vector width of the counted code"


@dataclasses.dataclass(frozen=True, kw_only=True)
class WaterfallSide:
    """One of two networks, and how the cost of its layers is split."""

    result: Result
    split: Split
    parts: Mapping[str, Part]
    """Whose cost a layer's is; those of others are `shared`."""
    names: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """What a step calls a layer; others as they are called."""
    whole: float
    """Seconds or instructions of the network."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Share:
    """What one layer has in a step; `excess` in seconds or instructions of the network whose gain it is."""

    layer: str
    level: str | None
    """The memory level, where the cause is bandwidth."""
    excess: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class Step:
    """One cause in one kind of layer: what it adds to the cost, and what that does to the speed-up."""

    part: Part
    cause: Cause
    excess: float
    change: float
    """Of the speed-up: negative where it is lost."""
    shares: tuple[Share, ...]
    """By layer, the largest contribution to the step first, what works against it last. Empty if it is of no layer."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Waterfall:
    """From `predicted` to `achieved`: the steps' changes add up to the difference."""

    predicted: float
    achieved: float
    by_instructions: bool
    steps: tuple[Step, ...]
    """Losses first, the largest first; then gains, the largest last."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class _StepEntry:
    part: Part
    cause: Cause
    share: Share


def of_pair(pair: pairs.Pair, record: Record) -> Waterfall | str:
    """Return the waterfall of a pair of `record`, or why there is none."""
    predicted = pair.predicted
    if not predicted:
        return "a network without multiply-adds predicts no speed-up"
    if pair.by_instructions:
        return _by_instructions(pair, record, predicted)
    return _by_time(pair, record, predicted)


def _by_time(pair: pairs.Pair, record: Record, predicted: float) -> Waterfall | str:
    standard_s, separable_s = pairs.latency_s(pair.standard), pairs.latency_s(pair.separable)
    if not standard_s or not separable_s:
        return UNTIMED
    if pair.disturbed:
        return why_disturbed(pair.disturbed)
    machine = layer_causes.machine(record, pair.separable.variant.dtype)
    if machine is None:
        return "the machine's peak was not measured, so the causes cannot be separated"
    split = functools.partial(layer_causes.seconds, machine=machine)
    ours, theirs = _parts(pair)
    sides = (
        WaterfallSide(result=pair.separable, split=split, parts=ours, whole=separable_s),
        WaterfallSide(result=pair.standard, split=split, parts=theirs, whole=standard_s),
    )
    return between(*sides, predicted=predicted, by_instructions=False) or NOT_SPLIT


def _by_instructions(pair: pairs.Pair, record: Record, predicted: float) -> Waterfall | str:
    lanes = instruction_counts.lanes(record, pair.separable)
    standard, separable = pairs.instructions(pair.standard), pairs.instructions(pair.separable)
    if not standard or not separable:
        return UNCOUNTED
    if not lanes:
        return NO_LANES
    split = functools.partial(layer_causes.instructions, lanes=lanes)
    ours, theirs = _parts(pair)
    sides = (
        WaterfallSide(result=pair.separable, split=split, parts=ours, whole=separable),
        WaterfallSide(result=pair.standard, split=split, parts=theirs, whole=standard),
    )
    return between(*sides, predicted=predicted, by_instructions=True) or NOT_ALL_COUNTED


def why_disturbed(results: Iterable[Result]) -> str:
    """Return why there is no waterfall of results that were disturbed."""
    return f"{disturbances.WORD}: {'; '.join(why for why, _ in disturbances.of_results(results))}"


def between(ours: WaterfallSide, theirs: WaterfallSide, *, predicted: float, by_instructions: bool) -> Waterfall | None:
    """Return the waterfall from `predicted` to what `ours` achieves over `theirs`; None: a layer cannot be split."""
    entries: list[_StepEntry] = []
    for side, weight in ((ours, 1.0), (theirs, -1 / predicted)):
        found = _entries(side, weight)
        if found is None:
            return None
        entries += found
        if not by_instructions:
            spent = sum(sum((side.split(layer) or {}).values()) for layer in side.result.layers)
            runtime = side.result.time_balance.overhead_s if side.result.time_balance else 0.0
            entries += [_whole("runtime", weight * runtime), _whole("rest", weight * (side.whole - spent - runtime))]
    achieved = theirs.whole / ours.whole
    return Waterfall(
        predicted=predicted,
        achieved=achieved,
        by_instructions=by_instructions,
        steps=_steps(entries, predicted * achieved / theirs.whole),
    )


def _parts(pair: pairs.Pair) -> tuple[dict[str, Part], dict[str, Part]]:
    """Return whose cost each layer of the two networks is that was replaced or replaces others, by its name."""
    ours: dict[str, Part] = {}
    theirs: dict[str, Part] = {}
    for stretch in replacements.of_results(pair.separable, pair.standard):
        for place, layer in enumerate(stretch.separable):
            ours[layer.name] = "fused" if stretch.fused else "pointwise" if place else "depthwise"
        theirs.update((layer.name, "standard") for layer in stretch.standard)
    return ours, theirs


def _entries(side: WaterfallSide, weight: float) -> list[_StepEntry] | None:
    entries = []
    for layer in side.result.layers:
        costs = side.split(layer)
        if costs is None:
            return None
        part = side.parts.get(layer.name, "shared")
        level = layer.roofline.bound if layer.roofline else None
        name = side.names.get(layer.name, layer.name)
        entries += [
            _StepEntry(
                part=part,
                cause=cause,
                share=Share(layer=name, level=level if cause == "bandwidth" else None, excess=weight * cost),
            )
            for cause, cost in costs.items()
            if cause != "arithmetic" and cost
        ]
    return entries


def _whole(cause: Cause, excess: float) -> _StepEntry:
    return _StepEntry(part="whole", cause=cause, share=Share(layer="", level=None, excess=excess))


def _steps(entries: Iterable[_StepEntry], per_unit: float) -> tuple[Step, ...]:
    groups: dict[tuple[Part, Cause], list[Share]] = {}
    for entry in entries:
        groups.setdefault((entry.part, entry.cause), []).append(entry.share)
    steps = [_step(part, cause, shares, per_unit) for (part, cause), shares in groups.items()]
    return tuple(sorted((step for step in steps if step.excess), key=lambda step: step.change))


def _step(part: Part, cause: Cause, shares: list[Share], per_unit: float) -> Step:
    excess = sum(share.excess for share in shares)
    return Step(
        part=part,
        cause=cause,
        excess=excess,
        change=-per_unit * excess,
        shares=tuple(_by_layer(shares, towards=excess)) if part != "whole" else (),
    )


def _by_layer(shares: Iterable[Share], *, towards: float) -> Iterator[Share]:
    """Yield a share for each layer, the largest of the sign of `towards` first; a layer of both networks is summed."""
    layers: dict[str, list[Share]] = {}
    for share in shares:
        layers.setdefault(share.layer, []).append(share)
    summed = [
        Share(layer=name, level=found[0].level, excess=sum(share.excess for share in found))
        for name, found in layers.items()
    ]
    yield from sorted(summed, key=lambda share: share.excess, reverse=towards > 0)
