"""A depthwise-separable network beside its standard twin: the predicted and the measured speed-up.

Derived from a record's results; no formatting, no measuring. A pair is found inside one record, where both networks ran
on the same device with the same settings.
"""

from __future__ import annotations

import abc
import dataclasses
import math
from collections.abc import Sequence
from typing import TypeVar

from mbench.analysis import headline, replacements
from mbench.core import stats
from mbench.core.records import Layer, Record, Result, Variant
from mbench.networks import variants

_Number = TypeVar("_Number", int, float)


@dataclasses.dataclass(frozen=True, kw_only=True)
class PairedBlock:
    """Where layers were replaced, such as a depthwise and a pointwise one: they, against the standard convolution."""

    name: str
    layers: tuple[str, ...]
    """What is compared, as the depthwise-separable network calls it: what was replaced, and what is fused with it."""
    fused: bool
    """Whether one kernel computes several of them, and perhaps more than was replaced."""
    kernel_side: int
    channels: int
    """N, the output channels."""
    cost_ratio: float
    """The share of the standard convolution's multiply-adds. For a depthwise and a pointwise layer that is
    1/N + 1/Dk² (source: arXiv:1704.04861, section 3.1), for a depthwise layer alone 1/M, of its M input channels."""
    separable_macs: int
    standard_macs: int
    separable_s: float | None
    standard_s: float | None
    separable_instructions: int | None
    standard_instructions: int | None

    @property
    def by_the_formula(self) -> bool:
        """Whether its share is 1/N + 1/Dk²."""
        return math.isclose(self.cost_ratio, 1 / self.channels + 1 / self.kernel_side**2)

    @property
    def predicted(self) -> float:
        """The speed-up if time were proportional to multiply-adds."""
        return self.standard_macs / self.separable_macs

    @property
    def achieved(self) -> float | None:
        """The speed-up of the median times; None where one was not measured."""
        return ratio(self.standard_s, self.separable_s)

    @property
    def fewer(self) -> float | None:
        """How many times fewer instructions it executed; None where one was not counted. No speed-up in time."""
        return ratio(self.standard_instructions, self.separable_instructions)


class ResultPair(abc.ABC):
    """Two results, of which the second is expected to be quicker."""

    @property
    @abc.abstractmethod
    def sides(self) -> tuple[Result, Result]:
        """Both, the one that is expected to be slower first."""

    @property
    def achieved(self) -> float | None:
        """The ratio of the median end-to-end latencies; None where one was not measured."""
        return ratio(*map(latency_s, self.sides))

    @property
    def fewer(self) -> float | None:
        """How many times fewer instructions it executed; None where one was not counted. No speed-up in time."""
        return ratio(*map(instructions, self.sides))

    @property
    def disturbed(self) -> tuple[Result, ...]:
        """Those of the two whose latency is disturbed, so that no ratio of them is a figure."""
        return tuple(result for result in reversed(self.sides) if headline.disturbed(result))

    @property
    def by_instructions(self) -> bool:
        """Whether instructions have to stand in for latency, since they were counted and nothing was timed."""
        return self.achieved is None and self.fewer is not None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pair(ResultPair):
    """Two results that differ only by the kind of convolution."""

    separable: Result
    standard: Result

    @property
    def sides(self) -> tuple[Result, Result]:
        """The standard network, and the depthwise-separable one."""
        return self.standard, self.separable

    @property
    def predicted(self) -> float | None:
        """The ratio of the whole networks' multiply-adds, standard over depthwise-separable."""
        return ratio(*map(macs, self.sides))

    def blocks(self) -> tuple[PairedBlock, ...]:
        """Return what was replaced, in order of execution."""
        stretches = replacements.of_results(self.separable, self.standard)
        return tuple(_block(each) for each in stretches if _macs(each.separable) and _macs(each.standard))


def of_record(record: Record) -> tuple[Pair, ...]:
    """Return the pairs of a record, in the order of their depthwise-separable networks."""
    found = []
    for result in record.results:
        other = next((each for each in record.results if _are_twins(result.variant, each.variant)), None)
        if result.variant.convolution == "depthwise_separable" and other is not None:
            found.append(Pair(separable=result, standard=other))
    return tuple(found)


def _are_twins(one: Variant, other: Variant) -> bool:
    """Return whether two networks differ in nothing but the kind of convolution."""
    kinds = {one.convolution, other.convolution}
    return None not in kinds and len(kinds) == 2 and _beside_convolution(one) == _beside_convolution(other)


def _beside_convolution(variant: Variant) -> tuple[object, ...]:
    return variant.source, variant.family, variant.parameters, variant.batch, variant.dtype


def unpaired(record: Record) -> tuple[tuple[Variant, Variant], ...]:
    """Return (network, the one that would make it a pair) for each result whose pair is not complete."""
    known = [result.variant for result in record.results]
    wanted = [(each, variants.paired_with(each)) for each in known]
    return tuple(
        (each, other)
        for each, other in wanted
        if other is not None and not any(_are_twins(each, another) for another in known)
    )


def _block(stretch: replacements.Stretch) -> PairedBlock:
    convolution = stretch.convolution
    separable, standard = _macs(stretch.separable), _macs(stretch.standard)
    return PairedBlock(
        name=stretch.name,
        layers=tuple(name for layer in stretch.separable for name in layer.contains or (layer.name,)),
        fused=stretch.fused,
        kernel_side=(convolution.kernel_size or (1,))[0],
        channels=convolution.output_shape[1] if len(convolution.output_shape) > 1 else 1,
        cost_ratio=separable / standard,
        separable_macs=separable,
        standard_macs=standard,
        separable_s=_sum(*map(layer_latency_s, stretch.separable)),
        standard_s=_sum(*map(layer_latency_s, stretch.standard)),
        separable_instructions=_sum(*map(layer_instructions, stretch.separable)),
        standard_instructions=_sum(*map(layer_instructions, stretch.standard)),
    )


def _macs(layers: Sequence[Layer]) -> int:
    return sum(layer.macs for layer in layers)


def ratio(over: float | None, under: float | None) -> float | None:
    """Return over / under; None if either is missing or `under` is 0."""
    return None if over is None or not under else over / under


def _sum(*values: _Number | None) -> _Number | None:
    known = [value for value in values if value is not None]
    return sum(known) if len(known) == len(values) else None


def latency_s(result: Result) -> float | None:
    """Return the headline of the end-to-end latency in seconds: the median over the sessions; or None."""
    values = headline.medians(result)
    return stats.median(values) if values else None


def layer_latency_s(layer: Layer) -> float | None:
    """Return the median latency of a layer in seconds, or None."""
    return stats.median(layer.latency_s) if layer.latency_s else None


def instructions(result: Result) -> int | None:
    """Return the instructions of one run as counted, or None."""
    return result.counts.counters.instructions if result.counts else None


def layer_instructions(layer: Layer) -> int | None:
    """Return the instructions of a layer as counted, or None."""
    return layer.counters.instructions if layer.counters else None


def macs(result: Result) -> int:
    """Return the multiply-adds of the whole network."""
    return _macs(result.layers)


def params(result: Result) -> int:
    """Return the parameters of the whole network: weights without biases, as the paper counts."""
    return sum(layer.params for layer in result.layers)


def peak_bytes(result: Result) -> int:
    """Return what the compiler planned: weights, activations at their peak, workspace."""
    memory = result.memory
    return memory.weight_bytes + memory.activation_peak_bytes + memory.workspace_bytes


def noise(record: Record, result: Result) -> stats.Noise | None:
    """Return the noise of a result's A/A pair, which only records without sessions have; None where it is too short."""
    first, twin = result.end_to_end.latency_s, result.end_to_end.twin_latency_s
    return stats.noise(first, twin, record.settings.block) if first and twin else None


def smallest_change(record: Record, result: Result) -> float | None:
    """Return the smallest slow-down, as a fraction, that two such records would show; None: disturbed, or not known.

    It follows from the spread between the sessions. A record without sessions has that of its A/A pair, which does not
    have the spread between processes in it.
    """
    if headline.disturbed(result):
        return None
    found = headline.of_result(result)
    if found is not None and found.smallest_change is not None:
        return found.smallest_change
    apart = noise(record, result)
    return apart.smallest_visible_change if apart else None


def why_missing(result: Result, path: str) -> str:
    """Return why the field at `path` is null: the reason for itself, for what it is part of, or for a part of it."""
    parts = path.split(".")
    for length in range(len(parts), 0, -1):
        reason = result.missing.get(".".join(parts[:length]))
        if reason:
            return reason
    inside = (reason for key, reason in result.missing.items() if key.startswith(f"{path}."))
    return next(inside, "the record gives no reason")


def schedule(layer: Layer, result: Result) -> str | None:
    """Return the schedule rules of a layer's kernels, joined as the kernels are; None where none is recorded."""
    known = result.artifact.schedules
    if layer.kernel in known:
        return known[layer.kernel]
    rules = [known[kernel] for kernel in layer.kernel.split(" + ") if kernel in known]
    return " + ".join(dict.fromkeys(rules)) or None
