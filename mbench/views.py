"""What the page says of a record, gathered for its templates: estimates beside the record's own structs, and sentences.

Values stay in SI units (the templates format them with `mbench.units`); statistics are those of `mbench.stats`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator

import msgspec

from mbench import counted, pairs, stats, units
from mbench.records import Counts, Figure, Layer, Record, Result, Variant

_INSTRUCTIONS = {
    "avx512f": "AVX\u2011512",
    "avx2": "AVX2",
    "avx": "AVX",
    "sse4_2": "SSE4.2",
    "sve": "SVE",
    "asimd": "NEON",
}
_FAMILIES = {"x86": "x86\u201164", "arm": "arm64", "gpu": "GPU"}
"""For sentences; the hyphen is one that does not break."""


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
class ResultView:
    """A result with what is derived for it."""

    result: Result
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
    results: tuple[ResultView, ...]
    pairs: tuple[PairView, ...]
    unpaired: tuple[tuple[str, str], ...]
    unfinished: tuple[str, ...]
    figures: tuple[tuple[str, Figure], ...]
    """The figures of the target's description, by dotted path."""


def of_record(record: Record) -> RecordView:
    """Return what the page shows of one record."""
    views = {result.variant.name: _of_result(record, result) for result in record.results}
    found = tuple(
        PairView(pair=pair, separable=views[pair.separable.variant.name], standard=views[pair.standard.variant.name])
        for pair in pairs.of_record(record)
    )
    reported = {failure.variant for failure in record.failures}
    return RecordView(
        record=record,
        emulated=counted.emulated(record),
        counting=counted.wanted(record) or any(view.counts for view in views.values()),
        instead=tuple(dict.fromkeys(_instead(record, views.values()))),
        headlines=tuple(_headlines(record, found, tuple(views.values()))),
        results=tuple(views.values()),
        pairs=found,
        unpaired=pairs.unpaired(record),
        unfinished=tuple(name for name in record.unfinished() if name not in reported),
        figures=tuple(target_figures(record.target)),
    )


def _of_result(record: Record, result: Result) -> ResultView:
    whole, counts = _latency(result.end_to_end.latency_s), _of_counts(record, result)
    lanes = counts.lanes if counts else None
    return ResultView(
        result=result,
        label=label(result.variant),
        latency=whole,
        counts=counts,
        noise=pairs.noise(record, result),
        macs=pairs.macs(result),
        params=pairs.params(result),
        peak_bytes=pairs.peak_bytes(result),
        layers=tuple(_of_layer(layer, result, whole, lanes) for layer in result.layers),
    )


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


def _of_layer(layer: Layer, result: Result, whole: Latency | None, lanes: int | None) -> LayerView:
    latency = _latency(layer.latency_s)
    fallbacks = result.artifact.fallbacks
    reasons = (fallbacks[kernel] for kernel in (layer.kernel, *layer.kernel.split(" + ")) if kernel in fallbacks)
    return LayerView(
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


def label(variant: Variant) -> str:
    """Return a variant's name for people: `MobileNetV1 1.0 224, standard convolutions`."""
    family = variant.family.replace("mobilenet_v", "MobileNetV").replace("_", " ")
    standard = ", standard convolutions" if variant.convolution == "standard" else ""
    return f"{family} {variant.width_multiplier} {variant.resolution}{standard}"


def where(record: Record) -> str:
    """Return where the record's networks ran, for people: `host (x86-64, AVX-512), 2 threads`, or `…, emulated`."""
    required = record.target.processor.requires
    instructions = next((words for feature, words in _INSTRUCTIONS.items() if feature in required), None)
    kind = ", ".join(filter(None, (_FAMILIES[record.target.family], instructions)))
    threads = record.settings.threads
    how = "emulated" if counted.emulated(record) else f"{threads} thread{'s' if threads > 1 else ''}"
    return f"{record.target.name} ({kind}), {how}"


def _headlines(record: Record, found: tuple[PairView, ...], results: tuple[ResultView, ...]) -> Iterator[str]:
    """One sentence for each pair, and one for each network that is in none."""
    paired = {
        name for view in found for name in (view.separable.result.variant.name, view.standard.result.variant.name)
    }
    for view in found:
        yield f"{_speed(view.separable, record)}{_saving(view.pair)}"
    for result in results:
        if result.result.variant.name not in paired:
            yield f"{_speed(result, record)}; {units.count(result.macs)} multiply-adds."
    if not results:
        yield f"Nothing to show on {where(record)}: no variant could be built and measured."


def _speed(view: ResultView, record: Record) -> str:
    if counted.emulated(record):
        spent = _counted(view)
    else:
        spent = _tied(units.seconds(view.latency.median_s)) if view.latency else "latency not measured"
    return f"{view.label} on {where(record)}: {spent}"


def _counted(view: ResultView) -> str:
    if view.counts is None:
        return "not counted"
    instructions = f"{_tied(units.count(view.counts.counts.counters.instructions))} instructions"
    each = view.counts.per_fma
    return f"{instructions}, {units.decimal(each)} a vector multiply-add needed" if each else instructions


def _tied(text: str) -> str:
    """Keep a number and its unit on one line."""
    return text.replace(" ", "\u00a0")


def _saving(pair: pairs.Pair) -> str:
    promised = _tied(units.times(pair.promised))
    if pair.by_instructions and pair.fewer is not None:
        return (
            f"; {_compared(pair.fewer, 'fewer', 'more')} than with standard convolutions; "
            f"{promised} fewer was promised by the multiply-adds."
        )
    if pair.achieved is None:
        return f"; {promised} fewer multiply-adds than with standard convolutions."
    faster = _compared(pair.achieved, "faster", "slower")
    return f", {faster} than with standard convolutions; {promised} was promised by the multiply-adds."


def _compared(ratio: float, better: str, worse: str) -> str:
    return f"{_tied(units.times(ratio))} {better}" if ratio >= 1 else f"{_tied(units.times(1 / ratio))} {worse}"


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
