"""The tables that figures of one record are drawn from: a row for each bar, point or line, units in the columns' names.

What a record could not have stays missing, never 0. pandas is imported when a table is made.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from mbench.analysis import (
    above_peak,
    disturbances,
    headline,
    labels,
    live_memory,
    pairs,
    type_pairs,
    versus,
    waterfall,
)
from mbench.core import units
from mbench.core.quantized import QuantizationOutcome
from mbench.core.records import Record, Result
from mbench.page import shown_samples, views

if TYPE_CHECKING:
    import pandas as pd

    from mbench.page.view_types import RecordView, ResultView

SMALL = 0.01
"""Steps below this share of the predicted speed-up are drawn as one."""
_SHOWN_DIGITS = 4
_BETWEEN_SESSIONS = 3
"""Numbers of runs that are left free, so that sessions show."""


def of_layers(table: pd.DataFrame, result: Result) -> pd.DataFrame:
    """Return one network's layers out of `analysis.frame`'s table of its record, with more for each.

    That is `touched_bytes`, and `above`: whether it exceeds its measured peak for no reason that is known.
    """
    rows = table[(table["variant"] == result.variant.name) & (table["scope"] == "layer")]
    return rows.assign(
        touched_bytes=rows["weight_bytes"] + rows["activation_bytes"] + rows["workspace_bytes"],
        above=rows["layer"].isin(above_peak.unexplained(result)),
    )


def of_blocks(pair: pairs.Pair) -> pd.DataFrame:
    """Return a row for each block of a pair: `block`, `predicted` and `achieved` speed-up (missing if not measured).

    `fewer`: how many times fewer instructions the depthwise-separable block executed (missing if not counted).
    """
    kinds = {"block": "string", "predicted": "float64", "achieved": "float64", "fewer": "float64"}
    return _table(kinds, [(block.name, block.predicted, block.achieved, block.fewer) for block in pair.blocks()])


def of_typed_layers(pair: type_pairs.TypePair, layers: Iterable[type_pairs.TypedLayers]) -> pd.DataFrame:
    """Return a row for each group of layers of a network in two types, with the columns of `of_blocks`."""
    kinds = {"block": "string", "predicted": "float64", "achieved": "float64", "fewer": "float64"}
    rows = [(each.name, pair.expected, each.gain, each.fewer) for each in layers if each.wide and each.narrow]
    return _table(kinds, rows)


def of_twins(records: Iterable[RecordView]) -> pd.DataFrame:
    """Return a row for each quiet, timed pair of a network and its standard twin: the columns of `of_gains`."""
    found = [pair for record in records for pair in record.pairs if not pair.disturbed]
    return _gains((each.separable, each.standard, each.pair.predicted, each.pair.achieved) for each in found)


def of_gains(records: Iterable[RecordView]) -> pd.DataFrame:
    """Return a row for each quiet, timed network in two types: `label`, `expected`, `achieved`, and its `low`, `high`.

    The limits are the ratios of the outer ends of both intervals; missing where one has none.
    """
    found = [pair for record in records for pair in record.types if not pair.disturbed]
    return _gains((each.narrow, each.wide, each.pair.expected, each.pair.achieved) for each in found)


def _gains(found: Iterable[tuple[ResultView, ResultView, float | None, float | None]]) -> pd.DataFrame:
    rows = []
    for quick, slow, expected, achieved in found:
        ends = [view.headline.interval if view.headline else None for view in (quick, slow)]
        low, high = None, None
        if ends[0] is not None and ends[1] is not None:
            low, high = ends[1].low / ends[0].high, ends[1].high / ends[0].low
        rows.append((quick.label, expected, achieved, low, high))
    names = ("expected", "achieved", "low", "high")
    return _table({"label": "string"} | dict.fromkeys(names, "float64"), rows)


def of_signals(found: QuantizationOutcome) -> pd.DataFrame:
    """Return a row for each value of a quantised network: `value`, `layer`, `sqnr_db`, `is_output`."""
    kinds = {"value": "string", "layer": "string", "sqnr_db": "float64", "is_output": "bool"}
    rows = [
        (each.name, each.layer, each.sqnr_db, is_output)
        for group, is_output in ((found.values, False), (found.outputs, True))
        for each in group
    ]
    return _table(kinds, rows)


def of_waterfall(found: waterfall.Waterfall, start: str = "predicted by the multiply-adds") -> pd.DataFrame:
    """Return the rows of a waterfall: `label`, `kind` (`total` or `change`), `value` (a speed-up), `detail`.

    The changes add up to the difference of the two totals; those that hardly show are one row. `start` is what the
    first total is called.
    """
    shown = [step for step in found.steps if abs(step.change) >= SMALL * found.predicted]
    rest = [step for step in found.steps if abs(step.change) < SMALL * found.predicted]
    rows: list[tuple[object, ...]] = [(start, "total", found.predicted, "")]
    rows += [
        (labels.step(step.part, step.cause, step.excess), "change", step.change, _detail(step, found)) for step in shown
    ]
    if rest:
        named = "\n".join(labels.step(step.part, step.cause, step.excess) for step in rest)
        rows.append(("smaller steps, together", "change", sum(step.change for step in rest), named))
    came = "instructions executed" if found.by_instructions else "achieved"
    rows.append((came, "total", found.achieved, ""))
    return _table({"label": "string", "kind": "string", "value": "float64", "detail": "string"}, rows)


def _detail(step: waterfall.Step, found: waterfall.Waterfall) -> str:
    amount = units.count if found.by_instructions else units.seconds
    named = [f"{share.layer}: {amount(share.excess)}" for share in step.shares[: views.NAMED]]
    return "\n".join([f"{amount(step.excess)} beyond the predicted", *named])


def of_peaks(record: Record, dtype: str) -> pd.DataFrame:
    """Return the measured peaks: `name`, `kind`, `value`.

    `compute` is in FLOP/s; `memory` in bytes/s of reading, `mixed` of reading and writing.
    """
    calibration = record.device.calibration
    rows: list[tuple[object, ...]] = []
    if calibration and dtype in calibration.flops_per_s:
        rows = [(dtype, "compute", calibration.flops_per_s[dtype])]
        rows += [(level, "memory", rate) for level, rate in calibration.bytes_per_s.items()]
        rows += [(f"{mix.level}, {mix.written:.0%} written", "mixed", mix.bytes_per_s) for mix in calibration.mixes]
    return _table({"name": "string", "kind": "string", "value": "float64"}, rows)


def of_live(result: Result) -> pd.DataFrame:
    """Return what is alive while each layer runs, from shapes, and in every row what the compiler planned in all.

    That is activations at their peak and workspace. Weights stay throughout: those that the layer reads, and the rest
    of what the compiler laid out.
    """
    planned = result.memory.activation_peak_bytes + result.memory.workspace_bytes
    rows = [
        (
            item.layer.index, item.layer.name, item.layer.weight_bytes,
            max(result.memory.weight_bytes - item.layer.weight_bytes, 0), item.input_bytes, item.output_bytes,
            item.kept_bytes, item.workspace_bytes, planned,
        )
        for item in live_memory.of_result(result)
    ]  # fmt: skip
    amounts = (
        "weight_bytes", "other_weight_bytes", "input_bytes", "output_bytes", "kept_bytes", "workspace_bytes",
        "planned_bytes",
    )  # fmt: skip
    kinds = {"layer_index": "Int64", "layer": "string"} | dict.fromkeys(amounts, "Int64")
    return _table(kinds, rows)


def of_energy(results: Iterable[Result]) -> pd.DataFrame:
    """Return energy by component: the network's `label`, `kind` (`modelled` or `measured`), `component`, `energy_j`.

    Static power over a disturbed latency is left out, and `kind` says so.
    """
    rows: list[tuple[object, ...]] = []
    for result in results:
        label, components = labels.variant(result.variant), result.energy.components_j
        without = disturbances.of_energy(result)
        kind = f"modelled, without static power ({disturbances.WORD})" if without else "modelled"
        rows += [
            (label, kind, name, joules)
            for name, joules in components.items() if not (without and name == disturbances.STATIC)
        ]  # fmt: skip
        if result.energy.measured:
            kind = f"measured, {disturbances.WORD}" if headline.disturbed(result) else "measured"
            rows.append((label, kind, "all, by the meter", result.energy.measured.energy_j))
    return _table({"label": "string", "kind": "string", "component": "string", "energy_j": "float64"}, rows)


def of_samples(result: Result) -> pd.DataFrame:
    """Return samples of every layer in order: `layer_index`, `op`, `run` from 1, `latency_s` to four digits.

    Of many samples, some are left out: see `mbench.page.shown_samples`. Between two sessions lie some numbers of `run`.
    """
    rows = [
        (layer.index, layer.op, run, float(f"{seconds:.{_SHOWN_DIGITS}g}"))
        for layer in result.layers
        for run, seconds in _numbered(shown_samples.of_layer(result, layer))
    ]
    return _table({"layer_index": "Int64", "op": "string", "run": "Int64", "latency_s": "float64"}, rows)


def _numbered(parts: Sequence[Sequence[float]]) -> Iterator[tuple[int, float]]:
    run = 1
    for part in parts:
        yield from enumerate(part, start=run)
        run += len(part) + _BETWEEN_SESSIONS


def of_changes(changes: Iterable[versus.ChangedRow]) -> pd.DataFrame:
    """Return a row for each timed change: `name`, `op` (missing: a network), `ratio`, its interval's `low`, `high`."""
    rows = [
        (change.layer or change.label, change.op, change.ratio, change.low, change.high)
        for change in changes
        if not change.exact
    ]
    return _table({"name": "string", "op": "string", "ratio": "float64", "low": "float64", "high": "float64"}, rows)


def _table(kinds: dict[str, str], rows: Sequence[Any]) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame(rows, columns=list(kinds)).astype(kinds)
