"""From the gain that is expected of a type to the one achieved: what each cause took, such as layers that stayed float.

Four numbers of int8 lie in the place of each float32, in instructions and in bytes. The mathematics are those of
`mbench.analysis.waterfall`: of each cause, what the network in the narrow type spends on it, minus what the network in
float32 spends on it over the expected gain. Each side's multiply-adds are at its own measured peak; what the narrow
one's peak falls short of that is the processor's instructions.

Derived from a record; no formatting, no measuring.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

from mbench.analysis import instruction_counts, layer_causes, layer_types, pairs, waterfall
from mbench.analysis.layer_causes import Cause, CauseCosts, Machine
from mbench.analysis.type_pairs import TypePair
from mbench.analysis.waterfall import Split, Waterfall, WaterfallSide
from mbench.core import dtypes
from mbench.core.errors import TargetError
from mbench.core.records import Layer, Record, Result
from mbench.hardware import byte_instructions, targets
from mbench.hardware.byte_instructions import ByteInstructions

_CALLED: dict[Cause, Cause] = {"arithmetic": "instructions"}
"""Of two types the multiply-adds at peak have the expected ratio only if the processor's instructions have it."""


def of_pair(pair: TypePair, record: Record) -> Waterfall | str:
    """Return the waterfall of a network in two types, or why there is none."""
    return _by_instructions(pair, record) if pair.by_instructions else _by_time(pair, record)


def peak_ratio(record: Record, dtype: str) -> float | None:
    """Return the measured peak of a type over that of float32: what the processor's instructions allow at most."""
    calibration = record.device.calibration
    rates = calibration.flops_per_s if calibration else {}
    return pairs.ratio(rates.get(dtype), rates.get(dtypes.DEFAULT))


def _by_time(pair: TypePair, record: Record) -> Waterfall | str:
    wide_s, narrow_s = pairs.latency_s(pair.wide), pairs.latency_s(pair.narrow)
    if not wide_s or not narrow_s:
        return waterfall.UNTIMED
    if pair.disturbed:
        return waterfall.why_disturbed(pair.disturbed)
    found = [layer_causes.machine(record, result.variant.dtype) for result in (pair.wide, pair.narrow)]
    known = [machine for machine in found if machine is not None]
    if len(known) < len(found):
        lacking = (pair.wide if found[0] is None else pair.narrow).variant.dtype
        return f"the machine's peak in {lacking} was not measured, so the causes cannot be separated"

    def split(layer: Layer, machine: Machine) -> CauseCosts | None:
        costs = layer_causes.seconds(layer, machine)
        return costs and {_CALLED.get(cause, cause): cost for cause, cost in costs.items()}

    splits = [functools.partial(split, machine=machine) for machine in known]
    sides = _sides(pair, splits, (wide_s, narrow_s), pairs.layer_latency_s)
    return waterfall.between(*sides, predicted=pair.expected, by_instructions=False) or waterfall.NOT_SPLIT


def _by_instructions(pair: TypePair, record: Record) -> Waterfall | str:
    wide, narrow = pairs.instructions(pair.wide), pairs.instructions(pair.narrow)
    if not wide or not narrow:
        return waterfall.UNCOUNTED
    splits: list[Split] = []
    for result in (pair.wide, pair.narrow):
        lanes = instruction_counts.lanes(record, result)
        if not lanes:
            return waterfall.NO_LANES
        way = _multiplies(record, result) if result.variant.dtype == dtypes.INT8 else None
        splits.append(functools.partial(_counted, lanes=lanes, way=way))
    sides = _sides(pair, splits, (wide, narrow), pairs.layer_instructions)
    return waterfall.between(*sides, predicted=pair.expected, by_instructions=True) or waterfall.NOT_ALL_COUNTED


def _multiplies(record: Record, result: Result) -> ByteInstructions | None:
    """Return what the counted code multiplies bytes by; None where its target is not known here."""
    name = result.counts.target if result.counts else record.target.name
    try:
        target = record.target if name == record.target.name else targets.load_all().get(name)
    except TargetError:
        return None
    return byte_instructions.of(target.family, target.processor) if target else None


def _counted(layer: Layer, lanes: int, way: ByteInstructions | None) -> CauseCosts | None:
    """Split a layer's instructions; of bytes, what the processor needs for a dot product beyond one is apart."""
    costs = layer_causes.instructions(layer, lanes)
    if costs is None or layer.counters is None or way is None:
        return costs
    needed = layer.macs / way.multiply_adds * len(way.mnemonics)
    return {
        "arithmetic": layer.macs / lanes,
        "instructions": needed - layer.macs / lanes,
        "beside": layer.counters.instructions - needed,
    }


def _sides(
    pair: TypePair, splits: Sequence[Split], wholes: Sequence[float], cost_of: Callable[[Layer], float | None]
) -> tuple[WaterfallSide, WaterfallSide]:
    """Return the narrow network, then the wide one: with names that are the same where layers do the same work.

    Args:
        pair: the networks.
        splits: of the wide and of the narrow one, for layers that have its type.
        wholes: the cost of each.
        cost_of: a layer, for what is not split.
    """
    names: tuple[dict[str, str], dict[str, str]] = ({}, {})
    floats: tuple[set[str], set[str]] = (set(), set())
    for group in pair.layers():
        for side, layers in enumerate((group.wide, group.narrow)):
            names[side].update((layer.name, group.name) for layer in layers)
            if group.stayed_float is not None:
                floats[side].update(layer.name for layer in layers)
    wide, narrow = (
        WaterfallSide(
            result=result,
            split=functools.partial(_apart, floats=floats[at], split=splits[at], cost_of=cost_of),
            parts=dict.fromkeys(names[at], "types"),
            names=names[at],
            whole=wholes[at],
        )
        for at, result in enumerate((pair.wide, pair.narrow))
    )
    return narrow, wide


def _apart(layer: Layer, floats: set[str], split: Split, cost_of: Callable[[Layer], float | None]) -> CauseCosts | None:
    """Split a layer's cost, where it has its network's type; else all of it is of one cause."""
    cause: Cause | None = "stayed_float" if layer.name in floats else None
    if layer_types.only_rounds(layer):
        cause = "rounding"
    if cause is None:
        return split(layer)
    cost = cost_of(layer)
    return None if cost is None else {cause: cost}
