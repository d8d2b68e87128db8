"""From the speed-up that the multiply-adds predict to the one achieved: what each layer and cause took away or gave.

The cost of each network (seconds; instructions where those were counted and nothing was timed) is split, layer by
layer, by cause. One part of the split is the multiply-adds themselves, at the machine's measured peak or a whole vector
an instruction: of these the two networks have exactly the predicted ratio.

Let P be the predicted speed-up, A the achieved one and T the standard network's cost. The depthwise-separable network
would cost T/P if all else shrank as much. What it costs beyond that is the sum of its other parts minus the standard
network's other parts over P. Each further second costs P x A / T of the speed-up, whichever layer spends it, so the
steps do not depend on an order and add up to A - P.

Derived from a record; no formatting, no measuring.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from typing import Literal

from mbench.analysis import disturbances, instruction_counts, pairs, replacements
from mbench.core import dtypes
from mbench.core.records import Layer, Record, Result
from mbench.networks import layout

Cause = Literal[
    "arithmetic", "bandwidth", "threads", "vectors", "kernel", "layout", "no_macs", "extra_macs", "beside", "runtime",
    "rest",
]  # fmt: skip
"""`arithmetic`: the multiply-adds at peak. Of time: `bandwidth`, what the level that feeds the layer adds under the
roofline; `threads`, starting and joining them, as measured in empty parallel loops; `vectors`, lanes that the channels
leave empty; `kernel`, what is left, slower than the roofline; `layout`, a layer that only moves data; `no_macs`,
another without multiply-adds; `runtime`, between the layers; `rest`, what no reading accounts for. Of instructions:
`extra_macs`, multiply-adds beyond the needed ones; `beside`, all other instructions."""

Part = Literal["depthwise", "pointwise", "fused", "shared", "standard", "whole"]
"""Whose cost it is: layers that were replaced, or whole blocks that one kernel computes (`fused`); the standard
convolutions (or blocks) in their place; layers that both networks have (`shared`); or of no layer (`whole`)."""
_MOVING = ("other", "transpose", "concat", "slice", "pad", "gather", "expand")
"""Kinds of layers that bring data from one place to another and compute nothing."""
CauseCosts = dict[Cause, float]
Split = Callable[[Layer], CauseCosts | None]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Share:
    """What one layer has in a step; `excess` in seconds or instructions of the depthwise-separable network."""

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
    calibration, dtype = record.device.calibration, pair.separable.variant.dtype
    peak = calibration.flops_per_s.get(dtype) if calibration else None
    standard_s, separable_s = pairs.latency_s(pair.standard), pairs.latency_s(pair.separable)
    if not standard_s or not separable_s:
        return "the two networks were not both timed"
    if pair.disturbed:
        return f"{disturbances.WORD}: {'; '.join(why for why, _ in disturbances.of_results(pair.disturbed))}"
    if not peak:
        return "the machine's peak was not measured, so the causes cannot be separated"
    lanes = dtypes.lanes(dtype, record.target.processor.vector_bits)
    parallel_loop_s = calibration.parallel_loop_s if calibration else None

    def split(layer: Layer) -> CauseCosts | None:
        return _seconds(layer, peak, lanes, parallel_loop_s)

    entries: list[_StepEntry] = []
    ours, theirs = _parts(pair)
    for result, parts, whole, weight in (
        (pair.separable, ours, separable_s, 1.0), (pair.standard, theirs, standard_s, -1 / predicted)
    ):  # fmt: skip
        found = _entries(result, parts, split, weight)
        if found is None:
            return "some layers were not timed or have no place under the roofline"
        spent = sum(sum((split(layer) or {}).values()) for layer in result.layers)
        runtime = result.time_balance.overhead_s if result.time_balance else 0.0
        entries += [*found, _whole("runtime", weight * runtime), _whole("rest", weight * (whole - spent - runtime))]
    achieved = standard_s / separable_s
    return Waterfall(
        predicted=predicted,
        achieved=achieved,
        by_instructions=False,
        steps=_steps(entries, predicted * achieved / standard_s),
    )


def _by_instructions(pair: pairs.Pair, record: Record, predicted: float) -> Waterfall | str:
    lanes = instruction_counts.lanes(record, pair.separable)
    executed = pairs.instructions(pair.standard), pairs.instructions(pair.separable)
    if not executed[0] or not executed[1]:
        return "the two networks were not both counted"
    if not lanes:
        return "the record lacks the vector width of the counted code"

    def split(layer: Layer) -> CauseCosts | None:
        return _instructions(layer, lanes)

    entries: list[_StepEntry] = []
    ours, theirs = _parts(pair)
    for result, parts, weight in ((pair.separable, ours, 1.0), (pair.standard, theirs, -1 / predicted)):
        found = _entries(result, parts, split, weight)
        if found is None:
            return "some layers were not counted"
        entries += found
    achieved = executed[0] / executed[1]
    return Waterfall(
        predicted=predicted,
        achieved=achieved,
        by_instructions=True,
        steps=_steps(entries, predicted * achieved / executed[0]),
    )


def _seconds(
    layer: Layer, peak_flops_per_s: float, lanes: int | None, parallel_loop_s: float | None
) -> CauseCosts | None:
    """Split a layer's median latency; None where it cannot be."""
    latency = pairs.layer_latency_s(layer)
    if latency is None:
        return None
    if not layer.macs:
        return {"layout" if only_moves_data(layer) else "no_macs": latency}
    roof = layer.roofline
    if roof is None or not roof.flops_per_s:
        return None
    flops = 2 * layer.macs
    at_peak = flops / peak_flops_per_s
    under_roof = at_peak if roof.bound == "compute" else flops * roof.fraction_of_bound / roof.flops_per_s
    beyond = latency - under_roof
    starting = min((layer.parallel_loops or 0) * (parallel_loop_s or 0.0), max(beyond, 0.0))
    empty = min(at_peak * _empty_lanes(_along_vectors(layer.output_shape), lanes), max(beyond - starting, 0.0))
    return {
        "arithmetic": at_peak,
        "bandwidth": under_roof - at_peak,
        "threads": starting,
        "vectors": empty,
        "kernel": beyond - starting - empty,
    }


def only_moves_data(layer: Layer) -> bool:
    """Return whether a layer only brings data from one layout to another."""
    return layer.op in _MOVING and not layer.macs


def _parts(pair: pairs.Pair) -> tuple[dict[str, Part], dict[str, Part]]:
    """Return whose cost each layer of the two networks is that was replaced or replaces others, by its name."""
    ours: dict[str, Part] = {}
    theirs: dict[str, Part] = {}
    for stretch in replacements.of_results(pair.separable, pair.standard):
        for place, layer in enumerate(stretch.separable):
            ours[layer.name] = "fused" if stretch.fused else "pointwise" if place else "depthwise"
        theirs.update((layer.name, "standard") for layer in stretch.standard)
    return ours, theirs


def _along_vectors(shape: tuple[int, ...]) -> int:
    """Return how many elements lie side by side: the channels of an image, the last side of anything else."""
    return shape[1] if len(shape) == layout.IMAGE_RANK else shape[-1]


def _empty_lanes(channels: int, lanes: int | None) -> float:
    """Return the lanes that the last vector of channels leaves empty, as a share of those filled."""
    return (-channels % lanes) / channels if lanes and channels else 0.0


def _instructions(layer: Layer, lanes: int) -> CauseCosts | None:
    counters = layer.counters
    if counters is None:
        return None
    needed = layer.macs / lanes
    return {
        "arithmetic": needed,
        "extra_macs": counters.fma_instructions - needed,
        "beside": float(counters.instructions - counters.fma_instructions),
    }


def _entries(result: Result, parts: dict[str, Part], split: Split, weight: float) -> list[_StepEntry] | None:
    entries = []
    for layer in result.layers:
        costs = split(layer)
        if costs is None:
            return None
        part = parts.get(layer.name, "shared")
        level = layer.roofline.bound if layer.roofline else None
        entries += [
            _StepEntry(
                part=part,
                cause=cause,
                share=Share(layer=layer.name, level=level if cause == "bandwidth" else None, excess=weight * cost),
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
