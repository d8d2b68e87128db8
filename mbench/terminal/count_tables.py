"""Exact counts for the terminal, in 80 columns: whole networks, and the layers with most instructions.

Renderables only. Columns that are modelled are labelled so in their heads and below the table.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import RenderableType
from rich.table import Table

from mbench.analysis import instruction_counts, pairs
from mbench.core import units
from mbench.core.records import Layer, Record, Result
from mbench.terminal.table import add_row, ruled, text

_MODELLED = "latency\nmodel"
_HEADS = ("instr", "instr\nper FMA", "loads", "stores", "DRAM\nmodel", _MODELLED)


def networks(record: Record) -> Iterator[RenderableType]:
    """Yield the counts of each network, and why there are none; nothing where none were asked for."""
    found = [result for result in record.results if result.counts]
    if found:
        yield _networks(record, found)
    for result in record.results:
        if result.counts is None and instruction_counts.wanted(record):
            reason = pairs.why_missing(result, "counts")
            yield text(f"No counts for {result.variant.name}: {reason}.", style="yellow")


def _networks(record: Record, found: Sequence[Result]) -> Table:
    modelled = any(result.end_to_end.latency_model_s is not None for result in found)
    heads = _HEADS if modelled else _HEADS[: _HEADS.index(_MODELLED)]
    table = ruled(_title(record, found[0]), ("variant",), heads)
    table.padding = (0, 0, 0, 0)
    standard = {pair.standard.variant.name: pair for pair in pairs.of_record(record)}
    for result in record.results:
        add_row(table, result.variant.name, *_whole(record, result)[: len(heads)])
        if result.variant.name in standard:
            add_row(table, "  ratio standard/separable", *_ratios(standard[result.variant.name])[: len(heads)])
    table.caption = text("\n".join(dict.fromkeys(line for result in found for line in _notes(record, result))))
    table.caption_justify = "left"
    return table


def _title(record: Record, result: Result) -> str:
    if instruction_counts.emulated(record):
        return "Counts, exact"
    assert result.counts is not None
    return f"Counts, exact, of code for {result.counts.target} in emulation (not of what was timed)"


def _whole(record: Record, result: Result) -> tuple[str, ...]:
    if result.counts is None:
        return (units.NOT_AVAILABLE,) * len(_HEADS)
    counters, traffic = result.counts.counters, result.counts.traffic_bytes or {}
    return (
        units.count(counters.instructions),
        units.decimal(instruction_counts.of_network(record, result)),
        units.count(counters.loads),
        units.count(counters.stores),
        units.data_size(traffic.get("DRAM")),
        units.seconds(result.end_to_end.latency_model_s),
    )


def _ratios(pair: pairs.Pair) -> tuple[str, ...]:
    top, under = pair.standard, pair.separable
    if top.counts is None or under.counts is None:
        return (units.NOT_AVAILABLE,) * len(_HEADS)
    over, below = top.counts.counters, under.counts.counters
    values = (
        pairs.ratio(over.instructions, below.instructions),
        None,
        pairs.ratio(over.loads, below.loads),
        pairs.ratio(over.stores, below.stores),
        pairs.ratio((top.counts.traffic_bytes or {}).get("DRAM"), (under.counts.traffic_bytes or {}).get("DRAM")),
        pairs.ratio(top.end_to_end.latency_model_s, under.end_to_end.latency_model_s),
    )
    return tuple("" if value is None else units.ratio(value) for value in values)


def _notes(record: Record, result: Result) -> Iterator[str]:
    counts, lanes = result.counts, instruction_counts.lanes(record, result)
    assert counts is not None
    yield f"counts: {counts.method}; executed by {counts.emulator}"
    if lanes:
        yield (
            "instr per FMA: instructions for each vector multiply-add needed, which are the multiply-adds over the "
            f"{lanes} lanes of {counts.target}"
        )
        if why := instruction_counts.below_one(record, result):
            yield f"  {why}"
    else:
        yield f"instr per FMA: the record lacks the vector width of {counts.target}"
    if counts.traffic_bytes:
        yield f"DRAM: {counts.traffic_method or 'the record lacks the method of this model'}"
    if result.end_to_end.latency_model_s is not None:
        method = result.end_to_end.latency_model_method or "the record does not name it"
        yield f"latency model: {method}"


def layers(result: Result, count: int) -> Table:
    """Return the `count` layers with most instructions."""
    found = [layer for layer in result.layers if layer.counters]
    ranked = sorted(found, key=lambda layer: (-(pairs.layer_instructions(layer) or 0), layer.index))[:count]
    heads = ("instr", "share", "loads", "stores", "vector", "FMA", "DRAM\nmodel")
    table = ruled(f"Layers with most instructions of {result.variant.name}", ("layer", "op"), heads)
    table.padding = (0, 0, 0, 0)
    for layer in ranked:
        add_row(table, layer.name, layer.op, *_layer(layer, pairs.instructions(result)))
    table.caption = text("share: of all instructions; vector: on whole vectors; FMA: multiply-adds as executed")
    table.caption_justify = "left"
    return table


def _layer(layer: Layer, whole: int | None) -> tuple[str, ...]:
    counters = layer.counters
    assert counters is not None
    return (
        units.count(counters.instructions),
        units.percent(pairs.ratio(counters.instructions, whole)),
        units.count(counters.loads),
        units.count(counters.stores),
        units.count(counters.vector_instructions),
        units.count(counters.fma_instructions),
        units.data_size((layer.traffic_bytes or {}).get("DRAM")),
    )
