"""The layers of a network by their shapes alone, as `mbench variants` lists them. Renderables only."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table

from mbench.analysis import pairs
from mbench.core import units
from mbench.networks import costs
from mbench.networks.layers import LayerSpec
from mbench.terminal.table import BrokenName, add_row, ruled, text


def layers_table(specs: Sequence[LayerSpec], *, title: str | None = None) -> RenderableType:
    """Return a network's layers with their multiply-adds and parameters, and how these split by kind of layer."""
    layers = ruled(title or "Layers", ("layer", "op"), ("output", "stride", "MACs", "params"))
    for spec in specs:
        cost = costs.of_layer(spec)
        add_row(
            layers,
            spec.name,
            spec.op,
            units.shape(spec.output_shape),
            units.sides(spec.stride),
            units.count(cost.macs),
            units.count(cost.params),
        )
    return Group(layers, _split(specs))


def with_bytes(specs: Sequence[LayerSpec], *, title: str) -> RenderableType:
    """Return the same with the bytes of weights and activations, for layers whose names may be long."""
    layers = ruled(title, ("layer", "op"), ("output", "MACs", "params", "weights", "moved"))
    layers.columns[1].no_wrap = True
    for spec in specs:
        cost = costs.of_layer(spec)
        cells = (
            spec.op, units.shape(spec.output_shape), units.count(cost.macs), units.count(cost.params),
            units.data_size(cost.weight_bytes), units.data_size(cost.activation_bytes),
        )  # fmt: skip
        layers.add_row(BrokenName(spec.name), *map(text, cells))
    return Group(layers, _split(specs))


def _split(specs: Sequence[LayerSpec]) -> Table:
    split = costs.split_by_op(specs)
    whole = costs.total(split.values())
    table = ruled("By kind of layer", ("op",), ("MACs", "share", "params", "share"))
    for op, cost in split.items():
        add_row(table, op, *_shares(cost, whole))
    add_row(table, "all", *_shares(whole, whole))
    return table


def _shares(part: costs.Costs, whole: costs.Costs) -> tuple[str, ...]:
    pairs_ = ((part.macs, whole.macs), (part.params, whole.params))
    return tuple(
        text for own, total in pairs_ for text in (units.count(own), units.percent(pairs.ratio(own, total), 2))
    )
