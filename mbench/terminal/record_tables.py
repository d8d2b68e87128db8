"""Tables for the terminal: what `mbench show` and the end of `mbench run` print, in 80 columns. Renderables only.

Only `mbench.cli` prints. Where code was emulated, counts stand where latency would: no time of an emulator is shown.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from mbench.analysis import instruction_counts, labels, pairs
from mbench.core import stats, units
from mbench.core.records import Layer, MeteredEnergy, Record, Result
from mbench.networks import costs
from mbench.networks.layers import LayerSpec
from mbench.terminal import count_tables, sustained_lines
from mbench.terminal.table import add_row, ruled, text

__all__ = ["add_row", "layers_table", "record_tables", "ruled"]

SLOWEST = 6
_LONGEST_NAME = 24
"""Characters of a network's name in a line of the totals: the other columns need the rest of 80."""


def record_tables(record: Record, *, slowest: int = SLOWEST) -> list[RenderableType]:
    """Return the tables of one record, top to bottom: totals, pair, noise, slowest layers, counts, warnings, failures.

    Of an emulated record: totals, counts, pair, layers with most instructions, warnings, failures.
    """
    emulated = instruction_counts.emulated(record)
    parts: list[RenderableType] = [_origin(record)]
    if record.results:
        parts.append(_totals(record))
    if emulated:
        parts.extend(count_tables.networks(record))
    parts.extend(_comparison(record))
    parts.extend(_noise(record))
    if emulated:
        parts.extend(count_tables.layers(result, slowest) for result in record.results if result.counts)
    else:
        parts.extend(_slowest(result, slowest) for result in record.results if _timed(result))
        parts.extend(count_tables.networks(record))
    parts.extend(sustained_lines.of_record(record))
    parts.extend(_warnings(record))
    parts.extend(_failures(record))
    return parts


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


def _origin(record: Record) -> Text:
    target, device, settings = record.target, record.device, record.settings
    threads = None if instruction_counts.emulated(record) else labels.threads(record)
    where = ", ".join(filter(None, (f"target {target.name}, device {device.kind} ({device.name})", threads)))
    lines = [f"{record.run_id}: {where}, {settings.dtype}, batch {_batches(record)}", _machine(record)]
    lines += [labels.given(record)] if record.labels else []
    return text("\n".join(lines))


def _batches(record: Record) -> str:
    """Return the batch of a record's networks, or each of several, in order."""
    sizes = dict.fromkeys(result.variant.batch for result in record.results) or [record.settings.batch]
    return ", ".join(map(str, sizes))


def _machine(record: Record) -> str:
    """Return what executed the code: the host, a board, or an emulator."""
    device, host = record.device, record.host
    if instruction_counts.emulated(record):
        return f"emulated by {device.emulator or 'an emulator that the record does not name'}, on {host.cpu}"
    if device.machine is not None:
        board = device.machine
        return f"board {board.name}: {board.cpu}, {board.os}\ncompiled on {host.name}: {host.cpu}"
    if device.gpu is not None:
        return f"{device.gpu.name}, driver {device.gpu.driver or 'unknown'}; host {host.cpu}"
    return host.cpu


def _totals(record: Record) -> Table:
    emulated = instruction_counts.emulated(record)
    cost = "instr" if emulated else "latency"
    table = ruled("Totals", ("variant",), (cost, "MACs", "params", "memory", "energy*", "output"))
    metered = bool(record.results) and all(result.energy.measured for result in record.results)
    table.padding = (0, 0, 0, 0)
    found = {pair.standard.variant.name: pair for pair in pairs.of_record(record)}
    for result in record.results:
        joules = units.joules(_joules(result, metered=metered))
        add_row(
            table, _broken(result.variant.name),
            units.count(pairs.instructions(result)) if emulated else _latency(result.end_to_end.latency_s),
            units.count(pairs.macs(result)), units.count(pairs.params(result)),
            units.data_size(pairs.peak_bytes(result)), joules, _numerics(result),
        )  # fmt: skip
        if result.variant.name in found:
            pair = found[result.variant.name]
            first = pair.fewer if emulated else pair.achieved
            add_row(table, "  ratio standard/separable", *_ratios(pair, first, metered=metered), "")
    table.caption = text(
        ("instr: instructions of one run" if emulated else "latency: median of end-to-end runs (10th-90th percentile)")
        + "; MACs: multiply-adds;\nmemory: weights + activations at their peak + workspace, as planned;\n"
        + _energy(record, metered=metered)
    )
    table.caption_justify = "left"
    return table


def _broken(name: str) -> str:
    """Return a long name in lines that end after an underscore."""
    lines = [""]
    for part in name.replace("_", "_ ").split(" "):
        if lines[-1] and len(lines[-1] + part) > _LONGEST_NAME:
            lines.append("")
        lines[-1] += part
    return "\n".join(lines)


def _joules(result: Result, *, metered: bool) -> float | None:
    measured = result.energy.measured
    return measured.energy_j if metered and measured else result.energy.energy_j


def _ratios(pair: pairs.Pair, first: float | None, *, metered: bool) -> tuple[str, ...]:
    top, under = pair.standard, pair.separable
    values = (
        first,
        pair.predicted,
        pairs.ratio(pairs.params(top), pairs.params(under)),
        pairs.ratio(pairs.peak_bytes(top), pairs.peak_bytes(under)),
        pairs.ratio(_joules(top, metered=metered), _joules(under, metered=metered)),
    )
    return tuple(units.ratio(value) for value in values)


def _energy(record: Record, *, metered: bool) -> str:
    """Return what the column of energies shows: a meter's where each network has it, else a model's, with the rest."""
    if not metered:
        rest = [
            f"; measured {units.joules(m.energy_j)} for {result.variant.name} ({m.method}{_idle(m)})"
            for result in record.results
            if (m := result.energy.measured)
        ]
        return "*energy: modelled, not measured" + "".join(rest)
    methods = dict.fromkeys(f"{m.method}{_idle(m)}" for result in record.results if (m := result.energy.measured))
    rest = [
        f"; modelled {units.joules(result.energy.energy_j)} for {result.variant.name}"
        for result in record.results
        if result.energy.energy_j is not None
    ]
    return f"*energy: measured, including idle power ({', '.join(methods)})" + "".join(rest)


def _idle(measured: MeteredEnergy) -> str:
    return "" if measured.idle_w is None else f": {units.scaled(measured.idle_w, 'W')} before"


def _latency(samples: Sequence[float] | None) -> str:
    if not samples:
        return units.NOT_AVAILABLE
    low, middle, high = (units.seconds(value) for value in stats.quantiles(samples, (0.1, 0.5, 0.9)))
    unit = middle.split()[1]
    if low.endswith(f" {unit}") and high.endswith(f" {unit}"):
        return f"{middle}\n({low.split()[0]}-{high.split()[0]})"
    return f"{middle}\n({low} - {high})"


def _numerics(result: Result) -> str:
    if result.numerics is None:
        return units.NOT_AVAILABLE
    return "ok" if result.numerics.passed else "WRONG"


def _comparison(record: Record) -> Iterator[Text]:
    found = pairs.of_record(record)
    for pair in found:
        name = pair.separable.variant.name
        if pair.by_instructions:
            got = f"instructions {units.times(pair.fewer)}"
        else:
            got = f"latency {units.times(pair.achieved) if pair.achieved else 'not measured'}"
        said = labels.replaced(pair.standard)
        yield text(
            f"Standard over depthwise-separable ({name}): {got}; "
            f"the multiply-adds predict {units.times(pair.predicted)}." + (f" {said}." if said else "")
        )
    paired = {pair.standard.variant.name for pair in found}
    for result in record.results:
        said = labels.replaced(result)
        if said and result.variant.name not in paired:
            yield text(f"{result.variant.name}: {said}.")
    others = [other for _, other in pairs.unpaired(record)]
    if others:
        yield text(f"To compare with the other kind of convolution, run also: {', '.join(others)}.")


def _noise(record: Record) -> Iterator[Text]:
    found = [(result.variant.name, pairs.noise(record, result)) for result in record.results]
    visible = [f"{units.change(noise.smallest_visible_change)} in {name}" for name, noise in found if noise]
    if visible:
        yield text(f"Smallest slow-down that a comparison of this length would show: {', '.join(visible)}.")
    for result in record.results:
        if not _timed(result):
            reason = pairs.why_missing(result, "end_to_end.latency_s")
            yield text(f"No latency for {result.variant.name}: {reason}.", style="yellow")


def _slowest(result: Result, count: int) -> Table:
    whole = pairs.latency_s(result)
    timed = [(seconds, layer) for layer in result.layers if (seconds := pairs.layer_latency_s(layer)) is not None]
    ranked = sorted(timed, key=lambda item: (-item[0], item[1].index))[:count]
    title = f"Slowest layers of {result.variant.name}"
    table = ruled(title, ("layer", "op"), ("latency", "share", "FLOP/s", "bound", "of roof"))
    for seconds, layer in ranked:
        share = units.percent(pairs.ratio(seconds, whole))
        add_row(table, layer.name, layer.op, units.seconds(seconds), share, *_roof(layer))
    return table


def _roof(layer: Layer) -> tuple[str, str, str]:
    roof = layer.roofline
    if roof is None:
        return (units.NOT_AVAILABLE,) * 3
    return units.scaled(roof.flops_per_s, ""), roof.bound, units.percent(roof.fraction_of_bound, 0)


def _warnings(record: Record) -> Iterator[Text]:
    for result in record.results:
        for warning in result.warnings:
            yield text(f"warning: {result.variant.name}: {warning}", style="yellow")
        if result.numerics is not None and not result.numerics.passed:
            yield text(f"WRONG OUTPUT: {result.variant.name}: {_numerics_detail(result)}", style="bold red")


def _numerics_detail(result: Result) -> str:
    numerics = result.numerics
    assert numerics is not None
    error = (
        f"relative error {units.scientific(numerics.max_rel_error)}, tolerance {units.scientific(numerics.tolerance)}"
    )
    return f"{error} against {numerics.reference}" + (f"; {numerics.detail}" if numerics.detail else "")


def _failures(record: Record) -> Iterator[Text]:
    for failure in record.failures:
        yield text(f"FAILED: {failure.variant} ({failure.stage}): {failure.reason}", style="bold red")
    reported = {failure.variant for failure in record.failures}
    for name in record.unfinished():
        if name not in reported:
            yield text(f"UNFINISHED: {name} has no result", style="bold red")


def _timed(result: Result) -> bool:
    return bool(result.end_to_end.latency_s)
