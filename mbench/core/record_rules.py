"""What a record has to keep to beyond the types of its fields: what belongs together, what adds up, what is named once.

Each rule yields what is wrong with the path where it is, as msgspec does for the types: ``… - at `$.results[0]` ``.
"""

from __future__ import annotations

import datetime
import json
import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

import msgspec

from mbench.core.errors import shortened
from mbench.core.field_types import CONVOLUTIONS, LEAST_MAGNITUDE, MOST_COUNT, Op
from mbench.core.quantized import Evaluation
from mbench.core.records import Counters, Record, Result, TimeBalance
from mbench.core.sessions import kept
from mbench.core.sustained import Sustained

_SUMMED = ("macs", "params", "weight_bytes", "activation_bytes", "workspace_bytes")
_EXACT = 1e-6
"""How far sums of rounded times may be off, as a share of the largest part."""
_SHOWN = 60
"""Characters of a name from the record that a message quotes."""


class AnyLayer(Protocol):
    """A layer as recorded, or as planned in an artifact."""

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def op(self) -> Op: ...  # noqa: D102
    @property
    def input_shape(self) -> tuple[int, ...]: ...  # noqa: D102
    @property
    def output_shape(self) -> tuple[int, ...]: ...  # noqa: D102
    @property
    def kernel_size(self) -> tuple[int, ...] | None: ...  # noqa: D102
    @property
    def stride(self) -> tuple[int, ...] | None: ...  # noqa: D102
    @property
    def groups(self) -> int | None: ...  # noqa: D102


def broken(record: Record) -> str | None:
    """Return the first thing in which a record, whose types are right, is none that a run can have written."""
    return next(_problems(record), None)


def _problems(record: Record) -> Iterator[str]:
    yield from _values(record, "$")
    yield from _once(record.settings.variants, "$.settings.networks")
    asked = frozenset(record.settings.variants)
    yield from _once((result.variant.name for result in record.results), "$.results")
    named = [(result.variant.name, f"$.results[{i}].network.name") for i, result in enumerate(record.results)]
    named += [(failure.variant, f"$.failures[{i}].network") for i, failure in enumerate(record.failures)]
    for name, path in named:
        if name not in asked:
            yield f"{_quoted(name)} is not among the networks of the settings - at `{path}`"
    known = [device.name for device in record.farm.devices] if record.farm else []
    yield from _once(known, "$.farm.devices")
    for index, result in enumerate(record.results):
        yield from _of_result(result, f"$.results[{index}]")
        if result.device is not None and result.device not in known:
            yield f"{_quoted(result.device)} is no device of the farm - at `$.results[{index}].device`"


def _of_result(result: Result, path: str) -> Iterator[str]:
    yield from of_layers(result.layers, f"{path}.layers")
    before: set[str] = set()
    for index, layer in enumerate(result.layers):
        if layer.index != index:
            yield f"Expected {index}, the place in the list, got {layer.index} - at `{path}.layers[{index}].index`"
        strange = next((name for name in layer.inputs if name not in before), None)
        if strange is not None:
            yield f"{_quoted(strange)} is no layer before this one - at `{path}.layers[{index}].inputs`"
        before.add(layer.name)
    for field in _SUMMED:
        if sum(getattr(layer, field) for layer in result.layers) > MOST_COUNT:
            yield f"Expected a sum of `{field}` <= {MOST_COUNT} - at `{path}.layers`"
    counters = [layer.counters for layer in result.layers if layer.counters]
    for field in Counters.__struct_fields__:
        counted = sum(getattr(each, field) for each in counters)
        if result.counts and counted > getattr(result.counts.counters, field):
            yield f"Expected the sum over the layers, {counted}, at least - at `{path}.counts.counters.{field}`"
        elif counted > MOST_COUNT:
            yield f"Expected a sum of `{field}` <= {MOST_COUNT} - at `{path}.layers`"
    if result.sessions:
        yield from _of_sessions(result, path)
    if result.time_balance:
        yield from _of_time_balance(result.time_balance, f"{path}.time_balance")
    if result.sustained:
        yield from _of_sustained(result.sustained, f"{path}.sustained")
    if result.quantized and result.quantized.evaluation:
        yield from _of_evaluation(result.quantized.evaluation, f"{path}.quantized.evaluation")


def _of_evaluation(given: Evaluation, path: str) -> Iterator[str]:
    """Yield where more images are named rightly than there are."""
    for field in ("float32_correct", "int8_correct", "agreeing"):
        count = getattr(given, field)
        if count > given.images:
            yield f"Expected at most {given.images}, the images, got {count} - at `{path}.{field}`"


def _of_sustained(sustained: Sustained, path: str) -> Iterator[str]:
    """Yield where the points of a sustained run are no curve, or its steady state is none of it."""
    before_s = 0.0
    for index, point in enumerate(sustained.points):
        if not before_s < point.at_s:
            yield f"Expected a time after that of the point before - at `{path}.points[{index}].at_s`"
        before_s = point.at_s
        if not point.p25_s <= point.median_s <= point.p75_s <= point.p90_s:
            yield f"Expected quantiles in order - at `{path}.points[{index}]`"
    if before_s > sustained.ran_s * (1 + _EXACT):
        yield f"Expected at least {before_s:.9g}, the time of the last point - at `{path}.ran_s`"
    runs = sum(point.runs for point in sustained.points)
    if runs != sustained.runs:
        yield f"Expected {runs}, the sum over the points, got {sustained.runs} - at `{path}.runs`"
    steady = sustained.steady
    if steady and not (steady.low_s <= steady.latency_s <= steady.high_s and steady.from_s < before_s):
        yield f"Expected a latency within its interval, from a moment of the curve on - at `{path}.steady`"


def _of_sessions(result: Result, path: str) -> Iterator[str]:
    """Yield where samples and the sessions that they are of do not fit."""
    counting = kept(result.sessions)
    if not counting:
        yield f"Expected a session that was not left out - at `{path}.sessions`"
    named = [("end_to_end.latency_s", result.end_to_end.latency_s, sum(each.samples for each in counting))]
    in_layers = sum(each.layer_samples for each in counting)
    named += [(f"layers[{layer.index}].latency_s", layer.latency_s, in_layers) for layer in result.layers]
    for field, samples, expected in named:
        if samples is not None and len(samples) != expected:
            yield f"Expected {expected} samples, those of the sessions, got {len(samples)} - at `{path}.{field}`"


def _of_time_balance(balance: TimeBalance, path: str) -> Iterator[str]:
    parts = (balance.layer_sum_s, balance.overhead_s, balance.unattributed_s)
    if abs(sum(parts) - balance.end_to_end_s) > _EXACT * max(map(abs, (*parts, balance.end_to_end_s))):
        yield f"Expected {sum(parts):.9g}, the sum of the parts, got {balance.end_to_end_s} - at `{path}.end_to_end_s`"


def of_layers(layers: Sequence[AnyLayer], path: str) -> Iterator[str]:
    """Yield what is wrong with the layers of a network at `path`: names, and shapes that no such operation has."""
    yield from _once((layer.name for layer in layers), path)
    for index, layer in enumerate(layers):
        yield from _of_layer(layer, f"{path}[{index}]")


def _of_layer(layer: AnyLayer, path: str) -> Iterator[str]:
    for field, shape in (("input_shape", layer.input_shape), ("output_shape", layer.output_shape)):
        if math.prod(shape) > MOST_COUNT:
            yield f"Expected at most {MOST_COUNT} elements - at `{path}.{field}`"
    if layer.op not in CONVOLUTIONS:
        return
    for field, sides, expected in (
        ("input_shape", layer.input_shape, 4), ("output_shape", layer.output_shape, 4),
        ("kernel_size", layer.kernel_size, 2), ("stride", layer.stride, 2),
    ):  # fmt: skip
        if sides is None or len(sides) != expected:
            yield f"Expected {expected} sides for `{layer.op}`, got {len(sides or ())} - at `{path}.{field}`"
            return
    channels = layer.input_shape[1], layer.output_shape[1]
    if layer.groups is None or any(count % layer.groups for count in channels):
        yield f"Expected a divisor of {channels[0]} and {channels[1]} channels, got {layer.groups} - at `{path}.groups`"


def _once(names: Iterable[str], path: str) -> Iterator[str]:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            yield f"{_quoted(name)} is there twice - at `{path}`"
        seen.add(name)


def _quoted(name: str) -> str:
    return shortened(repr(name), _SHOWN)


def _keyed(path: str, key: str) -> str:
    return f"{path}[{shortened(json.dumps(key), _SHOWN)}]"


def _values(value: object, path: str) -> Iterator[str]:
    """Yield what is wrong with single values and a type cannot say: dates that are none, numbers next to 0."""
    if isinstance(value, msgspec.Struct):
        for name in value.__struct_fields__:
            inner = getattr(value, name)
            if name.endswith("_utc"):
                yield from _date(inner, f"{path}.{name}")
            else:
                yield from _values(inner, f"{path}.{name}")
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from _values(inner, _keyed(path, key))
    elif isinstance(value, tuple) and value and isinstance(value[0], float):
        tiny = next((index for index, number in enumerate(value) if 0 < abs(number) < LEAST_MAGNITUDE), None)
        yield from () if tiny is None else _values(value[tiny], f"{path}[{tiny}]")
    elif isinstance(value, tuple):
        for index, inner in enumerate(value):
            yield from _values(inner, f"{path}[{index}]")
    elif isinstance(value, float) and 0 < abs(value) < LEAST_MAGNITUDE:
        yield f"Expected 0 or a magnitude >= {LEAST_MAGNITUDE}, got {value} - at `{path}`"


def _date(moment: str, path: str) -> Iterator[str]:
    try:
        datetime.datetime.fromisoformat(moment)
    except ValueError:
        yield f"Expected a date and time, got {_quoted(moment)} - at `{path}`"
