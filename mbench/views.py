"""What the page says of a record, gathered for its templates: estimates beside the record's own structs, and sentences.

Values stay in SI units (the templates format them with `mbench.units`); statistics are those of `mbench.stats`.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Iterator

import msgspec

from mbench import counted, headlines, labels, live, losses, pairs, stats
from mbench.records import Counts, Figure, Layer, Op, Record, Result

LARGEST = 5
"""Layers that are named as the largest."""
NAMED = 4
"""Layers that a step from promise to achievement names."""
UNFOLDED_NETWORKS = 4
UNFOLDED_WARNINGS = 2
UNFOLDED_RUNS = 12
"""How many of each are shown at once; more are folded."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Latency:
    """Estimates over raw samples, in seconds."""

    low_s: float
    median_s: float
    high_s: float
    samples: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class CountsView:
    """Exact counts with what is derived from them."""

    counts: Counts
    per_fma: float | None
    """Instructions for each vector multiply-add that the network needs."""
    below_one: str | None
    """Why there are fewer instructions than that, where there are."""
    lanes: int | None
    elsewhere: str | None
    """The target that was counted, where it is not the record's own."""
    levels: tuple[str, ...]
    """That traffic is modelled for."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class LayerView:
    """A layer with what is derived for it."""

    anchor: str
    """The id of its own view: `layer=mobilenet_v1_1.0_224/block3.pw`."""
    layer: Layer
    latency: Latency | None
    share: float | None
    """Of the median end-to-end latency."""
    instructions_share: float | None
    per_fma: float | None
    """Instructions for each vector multiply-add that the layer needs."""
    schedule: str | None
    fallback: str | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Spending:
    """What the layers of one kind have of the sum over all, in time or, where nothing was timed, instructions."""

    op: Op
    layers: int
    share: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class LayerShare:
    """A layer and its share of the sum over all layers."""

    row: LayerView
    share: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class ResultView:
    """A result with what is derived for it."""

    result: Result
    command: str
    """That repeats it."""
    spending: tuple[Spending, ...]
    """By kind of layer, the largest first; empty where some layer's part is not known."""
    slowest: tuple[LayerShare, ...]
    """The layers, the largest share first; empty likewise."""
    live_peak: live.Live | None
    """The layer with the most alive while it runs, by shapes."""
    label: str
    latency: Latency | None
    counts: CountsView | None
    noise: stats.Noise | None
    macs: int
    params: int
    peak_bytes: int
    layers: tuple[LayerView, ...]

    @property
    def modelled(self) -> bool:
        """Whether there is a modelled latency."""
        return self.result.end_to_end.latency_model_s is not None

    def why(self, path: str) -> str:
        """Return why the result's field at `path` is null."""
        return pairs.why_missing(self.result, path)


@dataclasses.dataclass(frozen=True, kw_only=True)
class PairView:
    """A pair with its two results' views."""

    pair: pairs.Pair
    separable: ResultView
    standard: ResultView
    walk: losses.Walk | str
    """From the promised speed-up to the achieved one, or why that cannot be said."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class RecordView:
    """A record with what is derived for it."""

    record: Record
    emulated: bool
    """Counts stand where latency would."""
    counting: bool
    """Counts were to be had."""
    instead: tuple[str, ...]
    """Why counts stand where latency would, where they do."""
    headlines: tuple[str, ...]
    spoken: ResultView | None
    """The network that the headline is of, where it is of one (and its standard counterpart)."""
    warnings: tuple[tuple[str, tuple[str, ...]], ...]
    """Each warning once, with the variants that it is about."""
    results: tuple[ResultView, ...]
    pairs: tuple[PairView, ...]
    unpaired: tuple[tuple[str, str], ...]
    unfinished: tuple[str, ...]
    figures: tuple[tuple[str, Figure], ...]
    """The figures of the target's description, by dotted path."""


def of_record(record: Record, *, prefix: str = "") -> RecordView:
    """Return what the page shows of one record; `prefix` keeps its layers' ids apart from another record's."""
    views = {result.variant.name: _of_result(record, result, prefix) for result in record.results}
    found = tuple(
        PairView(
            pair=pair,
            separable=views[pair.separable.variant.name],
            standard=views[pair.standard.variant.name],
            walk=losses.of_pair(pair, record),
        )
        for pair in pairs.of_record(record)
    )
    items = tuple(views.values())
    alone = items[0] if len(items) == 1 else found[0].separable if len(found) == 1 and len(items) == 2 else None
    reported = {failure.variant for failure in record.failures}
    return RecordView(
        record=record,
        emulated=counted.emulated(record),
        counting=counted.wanted(record) or any(view.counts for view in views.values()),
        instead=tuple(dict.fromkeys(_instead(record, views.values()))),
        headlines=tuple(headlines.of_record(record, found, items)),
        spoken=alone,
        warnings=tuple(_warnings(items)),
        results=tuple(views.values()),
        pairs=found,
        unpaired=pairs.unpaired(record),
        unfinished=tuple(name for name in record.unfinished() if name not in reported),
        figures=tuple(target_figures(record.target)),
    )


def _of_result(record: Record, result: Result, prefix: str) -> ResultView:
    whole, counts = _latency(result.end_to_end.latency_s), _of_counts(record, result)
    lanes = counts.lanes if counts else None
    anchors = _anchors(f"{prefix}{result.variant.name}", result.layers)
    layers = tuple(
        _of_layer(layer, result, whole, lanes, anchor) for layer, anchor in zip(result.layers, anchors, strict=True)
    )
    slowest = tuple(_shares(layers, instructions=counted.emulated(record)))
    return ResultView(
        result=result,
        label=labels.variant(result.variant),
        command=labels.command(record, result),
        spending=tuple(_spending(slowest)),
        slowest=slowest,
        live_peak=live.peak(result),
        latency=whole,
        counts=counts,
        noise=pairs.noise(record, result),
        macs=pairs.macs(result),
        params=pairs.params(result),
        peak_bytes=pairs.peak_bytes(result),
        layers=layers,
    )


def _anchors(network: str, layers: Iterable[Layer]) -> Iterator[str]:
    """Yield an id for each layer: readable, safe in an address, and unique even if two layers share a name."""
    seen: set[str] = set()
    for layer in layers:
        anchor = re.sub(r"[^\w./=-]", "_", f"layer={network}/{layer.name}", flags=re.ASCII)
        anchor = f"{anchor}/{layer.index}" if anchor in seen else anchor
        seen.add(anchor)
        yield anchor


def _shares(layers: Iterable[LayerView], *, instructions: bool) -> Iterator[LayerShare]:
    amounts = [
        pairs.layer_instructions(row.layer) if instructions else pairs.layer_latency_s(row.layer) for row in layers
    ]
    known = [amount for amount in amounts if amount is not None]
    whole = sum(known)
    if len(known) == len(amounts) and whole:
        shares = [LayerShare(row=row, share=amount / whole) for row, amount in zip(layers, known, strict=True)]
        yield from sorted(shares, key=lambda item: -item.share)


def _spending(shares: Iterable[LayerShare]) -> Iterator[Spending]:
    kinds: dict[Op, list[float]] = {}
    for item in shares:
        kinds.setdefault(item.row.layer.op, []).append(item.share)
    found = [Spending(op=op, layers=len(parts), share=sum(parts)) for op, parts in kinds.items()]
    yield from sorted(found, key=lambda item: -item.share)


def _warnings(items: Iterable[ResultView]) -> Iterator[tuple[str, tuple[str, ...]]]:
    said: dict[str, list[str]] = {}
    for item in items:
        for warning in item.result.warnings:
            said.setdefault(warning, []).append(item.result.variant.name)
    yield from ((warning, tuple(names)) for warning, names in said.items())


def _instead(record: Record, results: Iterable[ResultView]) -> Iterator[str]:
    if counted.emulated(record):
        yield from (view.why("end_to_end.latency_s") for view in results if view.counts)


def _of_counts(record: Record, result: Result) -> CountsView | None:
    if result.counts is None:
        return None
    return CountsView(
        counts=result.counts,
        per_fma=counted.of_network(record, result),
        below_one=counted.below_one(record, result),
        lanes=counted.lanes(record, result),
        elsewhere=counted.elsewhere(record, result),
        levels=counted.levels(result),
    )


def _of_layer(layer: Layer, result: Result, whole: Latency | None, lanes: int | None, anchor: str) -> LayerView:
    latency = _latency(layer.latency_s)
    fallbacks = result.artifact.fallbacks
    reasons = (fallbacks[kernel] for kernel in (layer.kernel, *layer.kernel.split(" + ")) if kernel in fallbacks)
    return LayerView(
        anchor=anchor,
        layer=layer,
        latency=latency,
        share=pairs.ratio(latency.median_s, whole.median_s) if latency and whole else None,
        instructions_share=pairs.ratio(pairs.layer_instructions(layer), pairs.instructions(result)),
        per_fma=counted.of_layer(layer, lanes),
        schedule=pairs.schedule(layer, result),
        fallback=next(reasons, None),
    )


def _latency(samples: tuple[float, ...] | None) -> Latency | None:
    if not samples:
        return None
    low, middle, high = stats.quantiles(samples, (0.1, 0.5, 0.9))
    return Latency(low_s=low, median_s=middle, high_s=high, samples=len(samples))


def target_figures(value: object, path: str = "") -> Iterator[tuple[str, Figure]]:
    """Yield every figure inside a struct of the record with its dotted path, in the order of the fields."""
    if isinstance(value, Figure):
        yield path, value
        return
    items: Iterator[tuple[str, object]] = iter(())
    if isinstance(value, msgspec.Struct):
        items = ((field.name, getattr(value, field.name)) for field in msgspec.structs.fields(value))
    elif isinstance(value, dict):
        items = ((str(key), item) for key, item in value.items())
    for key, item in items:
        yield from target_figures(item, f"{path}.{key}" if path else key)
