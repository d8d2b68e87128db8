"""What the page shows of a record, gathered for templates: estimates beside the record's own structs, and sentences.

Values stay in SI units (the templates format them with `core.units`); statistics are those of `mbench.core.stats`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

import msgspec

from mbench.analysis import (
    above_peak,
    device_spread,
    disturbances,
    farm_words,
    first_answers,
    headline,
    instruction_counts,
    labels,
    live_memory,
    pairs,
    repeat,
    session_figures,
    spending,
    type_pairs,
    type_waterfall,
    type_words,
    waterfall,
)
from mbench.core import stats
from mbench.core.machine_types import Figure
from mbench.core.records import Layer, Record, Result
from mbench.page import headlines, shown_samples
from mbench.page.view_types import (
    CountsView,
    FarmDeviceView,
    FarmView,
    Latency,
    LayerShare,
    LayerView,
    PairView,
    RecordView,
    ResultView,
    SessionView,
    TypePairView,
)

LARGEST = 5
"""Layers that are named as the largest."""
NAMED = 4
"""Layers that a step of the waterfall names."""
UNFOLDED_NETWORKS = 4
UNFOLDED_WARNINGS = 2
UNFOLDED_RUNS = 12
UNFOLDED_ROWS = 20
"""How many of each are shown at once; more are folded."""


def of_record(record: Record, *, prefix: str = "") -> RecordView:
    """Return what the page shows of one record; `prefix` keeps its layers' ids apart from another record's."""
    views = {result.variant.name: _of_result(record, result, prefix) for result in record.results}
    found = tuple(
        PairView(
            pair=pair,
            separable=views[pair.separable.variant.name],
            standard=views[pair.standard.variant.name],
            waterfall=waterfall.of_pair(pair, record),
        )
        for pair in pairs.of_record(record)
    )
    items, types = tuple(views.values()), tuple(_of_types(record, views))
    alone = first_answers.spoken(record)
    reported = {failure.variant for failure in record.failures}
    return RecordView(
        record=record,
        emulated=instruction_counts.emulated(record),
        counting=instruction_counts.wanted(record) or any(view.counts for view in views.values()),
        instead=tuple(dict.fromkeys(_instead(record, views.values()))),
        headlines=tuple(headlines.of_record(record, found, types, items)),
        spoken=views[alone.variant.name] if alone else None,
        disturbed=tuple(
            (why, tuple(labels.variant(result.variant) for result in whose))
            for why, whose in disturbances.of_results(record.results)
        ),
        warnings=tuple(_warnings(items)),
        results=tuple(views.values()),
        pairs=found,
        types=types,
        unpaired=pairs.unpaired(record),
        unfinished=tuple(
            (name, len(views[name].result.sessions) if name in views else 0)
            for name in record.unfinished()
            if name not in reported
        ),
        figures=tuple(target_figures(record.target)),
        farm=_of_farm(record),
    )


def _of_farm(record: Record) -> FarmView | None:
    if record.farm is None:
        return None
    results = device_spread.by_device(record)
    return FarmView(
        devices=tuple(
            FarmDeviceView(
                device=device,
                reference_s=farm_words.reference_s(record.farm, device.name),
                networks=tuple(labels.variant(result.variant) for result in results.get(device.name, ())),
            )
            for device in record.farm.devices
        ),
        spreads=tuple(farm_words.spreads(record.farm)),
        troubles=tuple(farm_words.troubles(record.farm)),
    )


def _of_types(record: Record, views: Mapping[str, ResultView]) -> Iterator[TypePairView]:
    for pair in type_pairs.of_record(record):
        yield TypePairView(
            pair=pair,
            wide=views[pair.wide.variant.name],
            narrow=views[pair.narrow.variant.name],
            waterfall=type_waterfall.of_pair(pair, record),
            layers=pair.layers(),
            peak_ratio=type_waterfall.peak_ratio(record, pair.narrow.variant.dtype),
            without_dot_product=type_words.without_dot_product(record, pair.narrow.variant.dtype),
        )


def _of_result(record: Record, result: Result, prefix: str) -> ResultView:
    whole, counts = _of_whole(result), _of_counts(record, result)
    lanes, above = counts.lanes if counts else None, above_peak.unexplained(result)
    anchors = _anchors(f"{prefix}{result.variant.name}", result.layers)
    layers = tuple(
        _of_layer(layer, result, whole, lanes, anchor, above=layer.name in above)
        for layer, anchor in zip(result.layers, anchors, strict=True)
    )
    emulated, disturbed = instruction_counts.emulated(record), disturbances.of_result(result)
    parts = spending.of_layers(result, instructions=emulated)
    return ResultView(
        result=result,
        anchor=anchor_of(f"{prefix}{result.variant.name}"),
        label=labels.variant(result.variant),
        command=repeat.command(record, result),
        spending=spending.by_kind(parts),
        slowest=tuple(LayerShare(row=layers[part.place], share=part.share) for part in parts),
        live_peak=live_memory.peak(result),
        latency=whole,
        headline=headline.of_result(result),
        percentiles=session_figures.percentiles(result),
        sessions=tuple(_sessions(result)),
        disturbed=disturbed,
        energy_disturbed=disturbances.of_energy(result),
        smallest_change=pairs.smallest_change(record, result),
        images_per_s=session_figures.images_per_s(result),
        load_s=session_figures.load_s(result),
        first_s=session_figures.first_s(result),
        counts=counts,
        noise=pairs.noise(record, result),
        macs=pairs.macs(result),
        params=pairs.params(result),
        peak_bytes=pairs.peak_bytes(result),
        layers=layers,
    )


def _of_whole(result: Result) -> Latency | None:
    found, whole = session_figures.percentiles(result), headline.of_result(result)
    if found is None or whole is None:
        return None
    return Latency(low_s=found.p10_s, median_s=whole.median_s, high_s=found.p90_s, samples=found.samples)


def _sessions(result: Result) -> Iterator[SessionView]:
    start = 0
    for number, session in enumerate(result.sessions, start=1):
        samples = session.latency_s or ()
        if not session.left_out:
            samples = (result.end_to_end.latency_s or ())[start : start + session.samples]
            start += session.samples
        if samples:
            p10, quarter, median, more, p90 = stats.quantiles(samples, (0.1, 0.25, 0.5, 0.75, 0.9))
            yield SessionView(
                number=number, session=session, p10_s=p10, quarter_s=quarter, median_s=median,
                three_quarters_s=more, p90_s=p90,
            )  # fmt: skip


def anchor_of(network: str) -> str:
    """Return the id of a network's layers on the page of a record; what other pages lead to."""
    return _safe(f"network={network}")


def _safe(anchor: str) -> str:
    return re.sub(r"[^\w./=-]", "_", anchor, flags=re.ASCII)


def _anchors(network: str, layers: Iterable[Layer]) -> Iterator[str]:
    """Yield an id for each layer: readable, safe in an address, and unique even if two layers share a name."""
    seen: set[str] = set()
    for layer in layers:
        anchor = _safe(f"layer={network}/{layer.name}")
        anchor = f"{anchor}/{layer.index}" if anchor in seen else anchor
        seen.add(anchor)
        yield anchor


def _warnings(items: Iterable[ResultView]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield each cause once, with the networks' labels; texts that differ only in their numbers have one cause."""
    said: dict[str, list[str]] = {}
    whose: dict[str, dict[str, None]] = {}
    for item in items:
        for warning in item.result.warnings:
            cause = disturbances.cause(warning)
            said.setdefault(cause, []).append(warning)
            whose.setdefault(cause, {})[item.label] = None
    yield from ((disturbances.folded(texts)[0], tuple(whose[cause])) for cause, texts in said.items())


def by_reason(missing: Iterable[tuple[str, str]]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Return each reason for which fields are missing, with these."""
    found: dict[str, list[str]] = {}
    for field, reason in missing:
        found.setdefault(reason, []).append(field)
    return tuple((reason, tuple(fields)) for reason, fields in found.items())


def _instead(record: Record, results: Iterable[ResultView]) -> Iterator[str]:
    if instruction_counts.emulated(record):
        yield from (view.why("end_to_end.latency_s") for view in results if view.counts)


def _of_counts(record: Record, result: Result) -> CountsView | None:
    if result.counts is None:
        return None
    return CountsView(
        counts=result.counts,
        per_fma=instruction_counts.of_network(record, result),
        below_one=instruction_counts.below_one(record, result),
        lanes=instruction_counts.lanes(record, result),
        elsewhere=instruction_counts.elsewhere(record, result),
        levels=instruction_counts.levels(result),
    )


def _of_layer(
    layer: Layer, result: Result, whole: Latency | None, lanes: int | None, anchor: str, *, above: bool
) -> LayerView:
    latency = _latency(layer.latency_s)
    fallbacks = result.artifact.fallbacks
    reasons = (fallbacks[kernel] for kernel in (layer.kernel, *layer.kernel.split(" + ")) if kernel in fallbacks)
    return LayerView(
        anchor=anchor,
        layer=layer,
        latency=latency,
        share=pairs.ratio(latency.median_s, whole.median_s) if latency and whole else None,
        above=above,
        samples=shown_samples.of_layer(result, layer),
        instructions_share=pairs.ratio(pairs.layer_instructions(layer), pairs.instructions(result)),
        per_fma=instruction_counts.of_layer(layer, lanes),
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
