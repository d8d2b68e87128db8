"""What lies behind the figures of a few networks: percentiles, time balance, cold start, the slowest layers.

Renderables only. Of many networks there are ranges; each one's own figures are on the page.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Group, RenderableType

from mbench.analysis import above_peak, disturbances, instruction_counts, pairs, spending
from mbench.core import dtypes, sessions, stats, units
from mbench.core.records import Layer, Record, Result, TimeBalance
from mbench.terminal import count_tables
from mbench.terminal.table import Beside, Column, Fitted, text
from mbench.terminal.totals import DOUBTFUL, FEW, NetworkRow

ABOVE = ">100 %"
"""Of the roof, of a layer that exceeds the measured peak for no reason that is known."""
_PERCENTILES = (0.5, 0.9, 0.99)
_OF_SAMPLES = "{} of\nsamples"
"""What p50 is, beside a headline that is the median of sessions' medians."""
_COLD = ("load_s", "first_s")
_ONLY_ALONE = ("op", "FLOP/s", "OP/s", "bound", *count_tables.ONLY_ALONE)
"""Columns that the layers of two networks leave no room for."""


def sentences(lines: Sequence[NetworkRow]) -> Iterator[str]:
    """Yield cold starts, and of many networks how far the upper percentiles lie from the median."""
    good = [line for line in lines if line.figures]
    if good and len(lines) > FEW:
        p90, p99 = (units.ranged((_over_median(line, at) for line in good), units.ratio) for at in (0.9, 0.99))
        yield f"p90 is {p90} the median, p99 {p99}."
    shown, write = (good, units.seconds) if good else (lines, units.about)
    loads, firsts = (units.ranged((_median(line.result, name) for line in shown), write) for name in _COLD)
    if units.NOT_AVAILABLE not in (loads, firsts):
        yield f"Cold start: load {loads}, first inference {firsts}."


def _median(result: Result, name: str) -> float | None:
    """Return the median of something over the sessions that count; None where none of them has it."""
    known = [value for session in sessions.kept(result.sessions) if (value := getattr(session, name)) is not None]
    return stats.median(known) if known else None


def _over_median(line: NetworkRow, fraction: float) -> float | None:
    samples = line.result.end_to_end.latency_s or ()
    return pairs.ratio(*stats.quantiles(samples, (fraction, 0.5))) if samples else None


def table(lines: Sequence[NetworkRow]) -> Iterator[RenderableType]:
    """Yield percentiles and time balance of a few networks."""
    timed = [line for line in lines if line.headline]
    if not timed or len(lines) > FEW:
        return
    samples = [stats.quantiles(line.result.end_to_end.latency_s or (), _PERCENTILES) for line in timed]
    columns = [Column(head="network", cells=[line.name for line in timed])]
    for number, (fraction, rank) in enumerate(zip(_PERCENTILES, (3, 1, 1), strict=True)):
        cells = [_seconds(line, values[number]) for line, values in zip(timed, samples, strict=True)]
        name = f"p{100 * fraction:.0f}"
        several = number == 0 and any(line.headline and line.headline.interval for line in timed)
        columns.append(Column(head=_OF_SAMPLES.format(name) if several else name, cells=cells, rank=rank))
    if any(line.result.time_balance for line in timed):
        cells = [_balance(line, line.result.time_balance) for line in timed]
        columns.append(Column(head="layers + runtime\n+ unattributed", cells=cells, rank=2))
    yield Fitted(columns, [line.style for line in timed], rule=False, below=2)


def _seconds(line: NetworkRow, value: float) -> str:
    return disturbances.seconds(value, line.disturbed)


def _balance(line: NetworkRow, found: TimeBalance | None) -> str:
    """Return what a run is made of, in the unit of the whole: `60.1 + 5.00 + 2.20 µs`."""
    if found is None or found.end_to_end_s < units.SHORTEST_S:
        return units.NOT_AVAILABLE
    parts = (found.end_to_end_s, found.layer_sum_s, found.overhead_s, found.unattributed_s)
    (_, layers, runtime, rest), unit = units.together(parts, digits=2 if line.disturbed else 3)
    mark = disturbances.MARK if line.disturbed else ""
    return f"{mark}{layers} + {runtime} + {rest} {unit}".replace("+ -", "- ")


# ------------------------------------------------------------------------------------------------------------ layers
def layers(record: Record, lines: Sequence[NetworkRow], count: int) -> RenderableType | None:
    """Return the slowest layers of a few networks, or those with most instructions where the code was emulated.

    Those of two networks stand side by side, with fewer columns.
    """
    emulated = instruction_counts.emulated(record)
    shown = [line for line in lines if (line.result.counts if emulated else line.headline)]
    if not shown or len(lines) > FEW or count < 1:
        return None
    tables = [count_tables.layers(line.result, count) if emulated else slowest(line, count) for line in shown]
    if len(lines) == 1:
        return Fitted(tables[0], rule=False)
    brief = [Fitted([each for each in columns if each.head not in _ONLY_ALONE], rule=False) for columns in tables]
    return Beside(*(Group(text(line.name, style="bold"), each) for line, each in zip(shown, brief, strict=True)))


def slowest(line: NetworkRow, count: int) -> list[Column]:
    """Return the columns of a table of a network's slowest layers."""
    whole = pairs.latency_s(line.result)
    timed = [(seconds, layer) for layer in line.result.layers if (seconds := pairs.layer_latency_s(layer)) is not None]
    ranked = sorted(timed, key=lambda item: (-item[0], item[1].index))[:count]
    found, wrong = [layer for _, layer in ranked], above_peak.unexplained(line.result)
    operation = dtypes.operation(line.result.variant.dtype)
    rates = [layer.roofline.flops_per_s if layer.roofline else None for layer in found]
    return [
        Column(head="slowest layers", cells=[layer.name for layer in found]),
        Column(head="op", cells=[layer.op for layer in found], rank=4, left=True),
        Column(head="latency", cells=[_seconds(line, seconds) for seconds, _ in ranked]),
        Column(head="share", cells=[_share(line, pairs.ratio(seconds, whole)) for seconds, _ in ranked]),
        Column(
            head=f"{operation}/s",
            cells=[DOUBTFUL if line.disturbed else units.count(rate) for rate in rates],
            rank=3,
        ),
        Column(head="bound", cells=[_bound(layer) for layer in found], rank=2),
        Column(head="of roof", cells=[_of_roof(layer, line, wrong) for layer in found]),
    ]


def _share(line: NetworkRow, value: float | None) -> str:
    return spending.share(value, doubtful=line.disturbed, decimals=1)


def _bound(layer: Layer) -> str:
    return layer.roofline.bound if layer.roofline else units.NOT_AVAILABLE


def _of_roof(layer: Layer, line: NetworkRow, wrong: frozenset[str]) -> str:
    """Return how much of what its bound allows a layer reached, if that is a figure."""
    if layer.roofline is None:
        return units.NOT_AVAILABLE
    if line.disturbed:
        return DOUBTFUL
    return ABOVE if layer.name in wrong else units.percent(layer.roofline.fraction_of_bound, 0)
