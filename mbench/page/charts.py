"""The charts of the page: figures as JSON with the title, the choices and the reasons that stand around them.

Which figure goes with what of a record is decided here; what it looks like in `page.figures`, what surrounds it in
`reports/`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from markupsafe import Markup

from mbench.analysis import disturbances, frame, record_history, versus, waterfall
from mbench.page import (
    figure_data,
    figures,
    figures_history,
    figures_networks,
    figures_roofline,
    figures_signals,
    figures_sustained,
    figures_waterfall,
    view_types,
)
from mbench.page.drawing import Drawing

if TYPE_CHECKING:
    import pandas as pd

_NO_INPUTS = "the record does not say what each layer reads, so what is alive while it runs is not known"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Option:
    """One of the figures that a chart can show."""

    anchor: str
    label: str
    data: Markup
    """The figure as JSON, safe inside a script element."""
    height: int
    """In pixels: the page keeps room for what is drawn later, so that nothing moves then."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Chart:
    """A place for a figure on the page: the figures it can show, the first of them at once; or why there is none."""

    anchor: str
    title: str
    options: tuple[Option, ...]
    reason: str = ""
    """Why there is no figure, or none of what it `lacks`."""
    lacks: str = ""
    """What should come first and could not be had, where other figures remain."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class PairCharts:
    """Of a depthwise-separable network beside its standard one."""

    blocks: Chart
    waterfall: Chart


@dataclasses.dataclass(frozen=True, kw_only=True)
class TypeCharts:
    """Of a network in two types."""

    waterfall: Chart
    layers: Chart


@dataclasses.dataclass(frozen=True, kw_only=True)
class RecordCharts:
    """Of one record: of each pair and each type's, then one a network."""

    pairs: tuple[PairCharts, ...]
    types: tuple[TypeCharts, ...]
    signals: dict[str, Chart]
    """Signal to noise of each value, by the name of the quantised network."""
    depths: tuple[Chart, ...]
    samples: tuple[Chart, ...]
    rooflines: tuple[Chart, ...]
    memories: tuple[Chart, ...]
    energies: tuple[Chart, ...]
    sustained: tuple[Chart, ...]

    def only(self, view: view_types.RecordView, item: view_types.ResultView) -> RecordCharts:
        """Return the charts of one network of a record, in the order in which `view.only(item)` has what they show."""
        at = next(number for number, each in enumerate(view.results) if each is item)
        pairs, types = (zip(*two, strict=True) for two in ((self.pairs, view.pairs), (self.types, view.types)))
        return RecordCharts(
            pairs=tuple(drawn for drawn, found in pairs if found.separable is item),
            types=tuple(drawn for drawn, found in types if found.narrow is item),
            signals=self.signals,
            **{
                name: (getattr(self, name)[at],)
                for name in ("depths", "samples", "rooflines", "memories", "energies", "sustained")
            },
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class OverviewCharts:
    """Of several networks, places or dates; a chart without figures has nothing to show and is left out."""

    networks: Chart
    twins: Chart
    types: Chart
    grids: Chart
    heat_map: Chart
    curves: Chart
    accuracy: Chart
    history: Chart


Named = tuple[str, Drawing | None]


def of_record(anchor: str, view: view_types.RecordView) -> RecordCharts:
    """Return the charts of a record; `anchor` begins the ids of its elements."""
    table = frame.from_records([view.record])
    layers = [figure_data.of_layers(table, item.result) for item in view.results]
    named = list(zip(view.results, layers, strict=True))
    return RecordCharts(
        pairs=tuple(_of_pair(f"{anchor}-pair{number}", found) for number, found in enumerate(view.pairs, start=1)),
        types=tuple(_of_types(f"{anchor}-types{number}", found) for number, found in enumerate(view.types, start=1)),
        signals={
            item.result.variant.name: _signals(f"{anchor}-signals{number}", item)
            for number, item in enumerate(view.results, start=1) if item.result.quantized is not None
        },
        depths=tuple(_depth(f"{anchor}-depth{i}", item, rows, view) for i, (item, rows) in enumerate(named, start=1)),
        samples=tuple(
            chart(f"{anchor}-samples{number}", f"Samples of a layer of {_named(item)}", [
                (item.label, figures.samples(figure_data.of_samples(item.result)))
            ], item.why("layers.latency_s"))
            for number, item in enumerate(view.results, start=1)
        ),
        rooflines=tuple(
            _roofline(f"{anchor}-roofline{i}", item, rows, view) for i, (item, rows) in enumerate(named, start=1)
        ),
        memories=tuple(_memory(f"{anchor}-memory{i}", item) for i, item in enumerate(view.results, start=1)),
        energies=tuple(
            chart(f"{anchor}-energy{number}", f"Energy by component: {item.label}", [
                (item.label, figures.energy(figure_data.of_energy([item.result])))
            ], item.why("energy.energy_j"))
            for number, item in enumerate(view.results, start=1)
        ),
        sustained=tuple(
            _under_load(f"{anchor}-sustained{number}", item) for number, item in enumerate(view.results, start=1)
        ),
    )  # fmt: skip


def _named(item: view_types.ResultView) -> str:
    """Return what a network's times are called: its label, and whether they are disturbed."""
    return f"{item.label}, {disturbances.WORD}" if item.disturbed else item.label


def _roofline(anchor: str, item: view_types.ResultView, rows: pd.DataFrame, view: view_types.RecordView) -> Chart:
    """Return the chart of layers under the peaks; a network whose latency is disturbed has no place there."""
    if item.disturbed:
        drawn, reason = None, f"{disturbances.WORD}: {item.disturbed}"
    else:
        peaks = figure_data.of_peaks(view.record, item.result.variant.dtype)
        drawn, reason = figures_roofline.roofline(rows, peaks), item.why("layers.roofline")
    return chart(anchor, f"Layers under the measured peaks: {item.label}", [(item.label, drawn)], reason)


def _memory(anchor: str, item: view_types.ResultView) -> Chart:
    live = figure_data.of_live(item.result)
    drawn = [(said, figures.memory(live, weights=weights)) for weights, said in (
        (False, "activations"), (True, "with weights")
    )]  # fmt: skip
    return chart(anchor, f"Memory in use while each layer runs: {item.label}", drawn, _NO_INPUTS)


def _under_load(anchor: str, item: view_types.ResultView) -> Chart:
    curve = item.result.sustained
    drawn = figures_sustained.latency_over_time(figures_sustained.points(curve), curve.steady) if curve else None
    return chart(anchor, f"Latency under load: {item.label}", [(item.label, drawn)], item.why("sustained"))


def of_versus(found: versus.Versus) -> Chart:
    """Return the chart of two records beside each other: networks first, then each one's layers."""
    choices = [("networks", found.networks)]
    for change in found.networks:
        layers = tuple(layer for layer in found.layers if layer.variant == change.variant)
        choices.append((f"layers of {change.label}", layers))
    drawn = {name: figures_history.changes(figure_data.of_changes(items)) for name, items in choices}
    return chart("versus", "Two records beside each other", drawn.items(), "neither has a latency of the same network")


def of_networks(table: pd.DataFrame, items: Iterable[view_types.RecordView] = ()) -> OverviewCharts:
    """Return the charts of networks side by side, of the table that `mbench.analysis.record_history.networks` makes."""
    shown = tuple(items)
    latest, costs = record_history.latest(table), figures_history.COSTS.values()
    fronts = ((cost, record_history.front(latest, cost.column, cost.disturbed)) for cost in costs)
    return OverviewCharts(
        networks=chart("each-network", "What each network costs", [
            (cost.name, figures_networks.costs(latest, cost)) for cost in costs
        ]),
        twins=chart("speed-ups", "Speed-up over the standard twin", [
            ("latency", figures_networks.gains(figure_data.of_twins(shown), "predicted by the multiply-adds"))
        ]),
        types=chart("types", "Gain of the narrower type", [
            ("latency", figures_networks.gains(figure_data.of_gains(shown), "expected of the type"))
        ]),
        grids=chart("grids", "Width by resolution", [
            (f"{name}: {cost.name}", drawn) for cost in costs for name, drawn in figures_networks.grids(latest, cost)
        ]),
        heat_map=chart("heat-map", "Networks and places", [
            (cost.name, figures_history.heat_map(latest, cost)) for cost in costs
        ]),
        curves=chart("curves", "Width and resolution", [
            (cost.name, figures_history.grid_curves(latest, cost)) for cost in costs
        ]),
        accuracy=chart("accuracy", "Published accuracy and cost", [
            (cost.name, figures_history.accuracy(points, cost)) for cost, points in fronts
        ]),
        history=chart("history", "Latency from run to run", [
            (label, figures_history.history(runs)) for label, runs in _by_length(record_history.history(table))
        ]),
    )  # fmt: skip


def _by_length(history: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """Return each network's runs, those with the most first."""
    groups = [(str(label), runs) for label, runs in history.groupby("label", sort=False)]
    return sorted(groups, key=lambda group: -len(group[1]))


def _of_pair(anchor: str, found: view_types.PairView) -> PairCharts:
    untimed = [half for half in (found.separable, found.standard) if not any(row.latency for row in half.layers)]
    reason = untimed[0].why("layers.latency_s") if untimed else "the two networks have no timed block in common"
    title, draw = "Speed-up, predicted and achieved, block by block", figures_waterfall.block_speedup
    if found.pair.by_instructions:
        title, draw = "Instructions saved, predicted and executed, block by block", figures_waterfall.block_instructions
        reason = "the two networks have no counted block in common"
    elif found.disturbed:
        reason = f"{disturbances.WORD}: {found.disturbed}"
    label, way = found.separable.label, found.waterfall
    steps = figure_data.of_waterfall(way) if isinstance(way, waterfall.Waterfall) else None
    sure = found.pair.by_instructions or not found.disturbed
    blocks = draw(figure_data.of_blocks(found.pair)) if sure else None
    return PairCharts(
        blocks=chart(f"{anchor}-blocks", f"{title}: {label}", [(label, blocks)], reason),
        waterfall=chart(
            f"{anchor}-waterfall",
            f"From the predicted speed-up to the one achieved: {label}",
            [(label, figures_waterfall.waterfall(steps) if steps is not None else None)],
            way if isinstance(way, str) else "",
        ),
    )


def _of_types(anchor: str, found: view_types.TypePairView) -> TypeCharts:
    way, label = found.waterfall, f"{found.label}, {found.dtype}"
    drawn = None
    if isinstance(way, waterfall.Waterfall):
        drawn = figures_waterfall.waterfall(figure_data.of_waterfall(way, f"expected of {found.dtype}"))
    gains, reason = None, "the two networks have no timed layer in common"
    if found.disturbed and not found.pair.by_instructions:
        reason = f"{disturbances.WORD}: {found.disturbed}"
    else:
        gains = figures_waterfall.layer_gain(figure_data.of_typed_layers(found.pair, found.layers))
    return TypeCharts(
        waterfall=chart(
            f"{anchor}-waterfall",
            f"From the gain expected of {found.dtype} to the one achieved: {label}",
            [(label, drawn)],
            way if isinstance(way, str) else "",
        ),
        layers=chart(f"{anchor}-layers", f"Gain layer by layer: {label}", [(label, gains)], reason),
    )


def _signals(anchor: str, item: view_types.ResultView) -> Chart:
    found = item.result.quantized
    drawn = figures_signals.signals(figure_data.of_signals(found)) if found else None
    title = f"Signal to quantisation noise, value by value: {item.label}"
    return chart(anchor, title, [(item.label, drawn)], "no value of it is rounded")


def _depth(anchor: str, item: view_types.ResultView, rows: pd.DataFrame, view: view_types.RecordView) -> Chart:
    first, path = ("instructions", "layers.counters") if view.emulated else ("latency", "layers.latency_s")
    drawn = []
    for name, metric in figures.METRICS.items():
        if (view.emulated and name == "latency") or (item.energy_disturbed and name == "energy"):
            continue
        remark = f", {disturbances.WORD}" if item.disturbed and name == "latency" else ""
        other = item.counts.elsewhere if item.counts and metric.counted else None
        label = f"{metric.name}{f' of code for {other}' if other else ''}{remark}"
        drawn.append((label, figures.over_depth(rows, metric, remark=remark)))
    made = chart(anchor, f"Layers over depth: {_named(item)}", drawn, item.why(path))
    lacking = all(figure is None or not name.startswith(first) for name, figure in drawn)
    return dataclasses.replace(made, lacks=first) if lacking and made.options else made


def chart(anchor: str, title: str, drawn: Iterable[Named], reason: str = "") -> Chart:
    """Return a place for figures, each with its label; `reason`: why there may be none."""
    return Chart(anchor=anchor, title=title, options=tuple(_options(anchor, drawn)), reason=reason)


def _options(anchor: str, drawn: Iterable[Named]) -> Iterator[Option]:
    shown = ((label, figure) for label, figure in drawn if figure is not None)
    for number, (label, figure) in enumerate(shown, start=1):
        data, height = safe_json(figure.to_json()), figure.layout["height"]
        yield Option(anchor=f"{anchor}-data{number}", label=label, data=data, height=height)


def safe_json(text: str) -> Markup:
    """Make JSON safe inside a script element: nothing in it can end the element or a line of a script."""
    for character in ("<", ">", "&", "\u2028", "\u2029"):
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)  # noqa: S704 - escaped above


def anything(*groups: object) -> bool:
    """Return whether any chart in the groups has a figure."""
    return any(_charts(groups))


def _charts(value: object) -> Iterator[Option]:
    if isinstance(value, Option):
        yield value
    elif isinstance(value, tuple | list):
        for item in value:
            yield from _charts(item)
    elif isinstance(value, Mapping):
        yield from _charts(tuple(value.values()))
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        for field in dataclasses.fields(value):
            yield from _charts(getattr(value, field.name))
