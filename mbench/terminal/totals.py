"""The main table of a record: a line for each network, and below it what the figures are. Renderables only.

A result whose sessions were all disturbed is marked in its line, and nothing that follows from it is shown as a figure.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Sequence

from rich.console import RenderableType

from mbench.analysis import (
    disturbances,
    energy,
    first_answers,
    headline,
    instruction_counts,
    pairs,
    type_pairs,
)
from mbench.analysis.headline import Headline
from mbench.core import units
from mbench.core.records import MeteredEnergy, Record, Result
from mbench.terminal.table import Column, Fitted, text

FEW = 2
"""Up to so many networks are shown in detail."""
DISTURBED, DOUBTFUL = "disturbed", "?"
"""What stands for a figure that cannot be relied on."""
OK, WRONG = "ok", "WRONG"
STYLE = "yellow"
_BY_NEED = (
    *("interval", "output", "change\nshown", "times\nas fast", "images/s", "an image", "latency*", "instr", "MACs"),
    *("memory", "energy*", "per FMA", "params"),
)
"""Heads of columns, those first that are left out last where there is no room for all."""
_NEVER_LEFT_OUT, _WANTED_OF_FEW = "output", "energy*"
"""Up to these columns, those without room stand in a table below: of many networks, and of a few."""
_APART = 1.5
"""Smallest changes of networks that differ by more than this factor are shown network by network."""


@dataclasses.dataclass(frozen=True)
class NetworkRow:
    """A result with what its line needs."""

    result: Result
    headline: Headline | None
    disturbed: tuple[str, ...]
    """What disturbed all sessions that count."""

    @property
    def name(self) -> str:
        """Of the network."""
        return self.result.variant.name

    @property
    def figures(self) -> Headline | None:
        """The headline, if what follows from it is a figure."""
        return None if self.disturbed else self.headline

    @property
    def style(self) -> str:
        """Of its line."""
        if self.result.numerics is not None and not self.result.numerics.passed:
            return "bold red"
        return STYLE if self.disturbed else ""


def rows(record: Record) -> list[NetworkRow]:
    """Return the lines of a record, in its own order."""
    return [NetworkRow(each, headline.of_result(each), headline.disturbed(each)) for each in record.results]


def table(record: Record, lines: Sequence[NetworkRow]) -> Fitted:
    """Return the main table: latency, or instructions where the code was emulated, and what each network costs."""
    emulated = instruction_counts.emulated(record)
    found = pairs.of_record(record)
    timed = () if emulated else (*_latency(lines), *_changes(lines), *_speed_ups(lines, found), *_batches(lines))
    metered = _all_metered(record)
    columns: list[Column] = [
        Column(head="network", cells=[line.name for line in lines], note=_of_both_types(record)),
        *timed,
        *_counted(record, lines),
        *_sizes(record, lines),
        Column(
            head="memory",
            cells=[units.data_size(pairs.peak_bytes(line.result)) for line in lines],
            note="memory: weights, activations, workspace",
        ),
        Column(
            head="energy*",
            cells=[units.joules(_joules(line.result, metered)) for line in lines],
            note=_energy(record),
        ),
        Column(head="output", cells=[output(line.result) for line in lines]),
    ]
    styles = [line.style for line in lines]
    for top, under, name in _couples(record, found):
        at = 1 + max(number for number, line in enumerate(lines) if line.result is top or line.result is under)
        cells = _ratios(top, under, metered) | {"network": f"  ratio {name}"}
        columns = [_with(column, at, cells.get(column.head, "")) for column in columns]
        styles.insert(at, "")
    ranked = [dataclasses.replace(column, rank=_rank(column.head, emulated)) for column in columns]
    return Fitted(ranked, styles, below=_rank(_WANTED_OF_FEW if len(lines) <= FEW else _NEVER_LEFT_OUT, emulated))


def _rank(head: str, emulated: bool) -> int:
    """Return the rank of a column; instructions are the headline of what was emulated."""
    return _BY_NEED.index(head) + 1 if head in _BY_NEED and not (emulated and head == "instr") else 0


def _latency(lines: Sequence[NetworkRow]) -> Iterator[Column]:
    yield Column(head="latency", cells=[latency(line) for line in lines])
    if any(line.disturbed or (line.headline and line.headline.interval) for line in lines):
        yield Column(head="interval", cells=[interval(line) for line in lines])


def latency(line: NetworkRow) -> str:
    """Return the headline of a latency: `249 µs`, or `~250 µs` where it was disturbed."""
    return disturbances.seconds(line.headline.median_s if line.headline else None, line.disturbed)


def interval(line: NetworkRow) -> str:
    """Return the limits of a latency in its own unit, `(247-252)`; or that it was disturbed."""
    if line.disturbed:
        return DISTURBED
    found = line.headline
    if found is None or found.interval is None or found.median_s < units.SHORTEST_S:
        return units.NOT_AVAILABLE
    (_, low, high), _ = units.together((found.median_s, found.interval.low, found.interval.high))
    return f"({low}-{high})"


def output(result: Result) -> str:
    """Return whether a network's output is right."""
    if result.numerics is None:
        return units.NOT_AVAILABLE
    return OK if result.numerics.passed else WRONG


def _changes(lines: Sequence[NetworkRow]) -> Iterator[Column]:
    """Yield the smallest change of each network, where they are far apart."""
    if _far_apart(lines):
        yield Column(
            head="change\nshown",
            cells=[DOUBTFUL if line.disturbed else units.change(_smallest(line)) for line in lines],
        )


def _smallest(line: NetworkRow) -> float | None:
    return line.figures.smallest_change if line.figures else None


def _far_apart(lines: Sequence[NetworkRow]) -> bool:
    known = [found for line in lines if (found := _smallest(line))]
    return len(known) > 1 and max(known) > _APART * min(known)


def _speed_ups(lines: Sequence[NetworkRow], found: Sequence[pairs.Pair]) -> Iterator[Column]:
    """Yield how much quicker each network is than its standard twin, where there are several pairs."""
    if len(found) > 1:
        by_name = {pair.separable.variant.name: pair for pair in found}
        doubtful = {line.name for line in lines if line.disturbed}
        cells = [_speed_up(by_name.get(line.name), doubtful) for line in lines]
        yield Column(head="times\nas fast", cells=cells)


def _speed_up(pair: pairs.Pair | None, doubtful: set[str]) -> str:
    if pair is None:
        return ""
    if doubtful & {pair.separable.variant.name, pair.standard.variant.name}:
        return DOUBTFUL
    return units.ratio(achieved(pair))


def achieved(pair: pairs.Pair) -> float | None:
    """Return the speed-up of a pair whose times can be read."""
    return _times_as_fast(pair.standard, pair.separable)


def _times_as_fast(top: Result, under: Result) -> float | None:
    """Return how many times as fast one network is as the other, where their times can be read."""
    times = [pairs.latency_s(each) for each in (top, under)]
    readable = all(time is not None and time >= units.SHORTEST_S for time in times)
    return pairs.ratio(*times) if readable else None


def _batches(lines: Sequence[NetworkRow]) -> Iterator[Column]:
    """Yield images a second and the time of an image, where networks take several images a run."""
    if all(line.result.variant.batch == 1 for line in lines):
        return
    rates, each = list[str](), list[str]()
    for line in lines:
        images, seconds = line.result.variant.batch, line.headline.median_s if line.headline else None
        rates.append(DOUBTFUL if line.disturbed else units.count(pairs.ratio(images, seconds)))
        each.append(DOUBTFUL if line.disturbed else units.seconds(pairs.ratio(seconds, images)))
    yield Column(head="images/s", cells=rates)
    yield Column(head="an image", cells=each)


def _counted(record: Record, lines: Sequence[NetworkRow]) -> Iterator[Column]:
    """Yield what was counted, where that stands for latency, or has no table of its own."""
    emulated = instruction_counts.emulated(record)
    found = [line.result for line in lines]
    if not emulated and (len(lines) <= FEW or not any(result.counts for result in found)):
        return
    instr = [units.count(pairs.instructions(each)) for each in found]
    yield Column(head="instr", cells=instr, note="instr: of one run, counted exactly")
    if any(each.end_to_end.latency_model_s is not None for each in found):
        cells = [units.seconds(each.end_to_end.latency_model_s) for each in found]
        note = "; ".join(filter(None, (f"latency*: {first_answers.MODELLED}", first_answers.model_errors(found))))
        yield Column(head="latency*", cells=cells, note=note)
    if len(lines) > FEW:
        per = [units.decimal(instruction_counts.of_network(record, each)) for each in found]
        yield Column(head="per FMA", cells=per)


def _sizes(record: Record, lines: Sequence[NetworkRow]) -> Iterator[Column]:
    """Yield multiply-adds and parameters, which one network has alike in two types."""
    if not _of_both_types(record):
        yield Column(head="MACs", cells=[units.count(pairs.macs(line.result)) for line in lines])
        yield Column(head="params", cells=[units.count(pairs.params(line.result)) for line in lines])


def _of_both_types(record: Record) -> str:
    """Return what the only network of a record has in both of its types; nothing of another record."""
    types = type_pairs.of_record(record)
    if len(types) != 1 or len(record.results) != len(types[0].sides):
        return ""
    counts = {(pairs.macs(each), pairs.params(each)) for each in types[0].sides}
    if len(counts) > 1:
        return ""
    [(macs, params)] = counts
    return f"each: {units.count(macs)} multiply-adds (MACs), {units.count(params)} parameters"


def _with(column: Column, at: int, cell: str) -> Column:
    return dataclasses.replace(column, cells=[*column.cells[:at], cell, *column.cells[at:]])


def _couples(record: Record, found: Sequence[pairs.Pair]) -> Iterator[tuple[Result, Result, str]]:
    """Yield two results whose ratio has a line of its own, above over below, and its name; none of several pairs."""
    types = type_pairs.of_record(record)
    if len(found) == 1 and not types:
        yield found[0].standard, found[0].separable, "standard/separable"
    if len(types) == 1 and not found:
        wide, narrow = types[0].wide, types[0].narrow
        yield wide, narrow, f"{wide.variant.dtype}/{narrow.variant.dtype}"


def _ratios(top: Result, under: Result, metered: bool) -> dict[str, str]:
    """Return what one network takes over what another takes, by the heads of columns."""
    doubtful = bool(headline.disturbed(top) or headline.disturbed(under))
    values = {
        "latency": None if doubtful else _times_as_fast(top, under),
        "instr": pairs.ratio(pairs.instructions(top), pairs.instructions(under)),
        "latency*": pairs.ratio(top.end_to_end.latency_model_s, under.end_to_end.latency_model_s),
        "MACs": pairs.ratio(pairs.macs(top), pairs.macs(under)),
        "params": pairs.ratio(pairs.params(top), pairs.params(under)),
        "memory": pairs.ratio(pairs.peak_bytes(top), pairs.peak_bytes(under)),
        "energy*": _energy_ratio(top, under, metered),
    }
    shown = {head: units.ratio(value) for head, value in values.items()}
    return shown | ({"latency": DOUBTFUL} if doubtful else {})


def _energy_ratio(top: Result, under: Result, metered: bool) -> float | None:
    alike = metered or (energy.STATIC in top.energy.components_j) == (energy.STATIC in under.energy.components_j)
    return pairs.ratio(_joules(top, metered), _joules(under, metered)) if alike else None


# --------------------------------------------------------------------------------------------- what the numbers are
def notes(record: Record, lines: Sequence[NetworkRow], more: Sequence[str] = ()) -> Iterator[RenderableType]:
    """Yield what the latencies of the main table are, in sentences; `more`: sentences that go with them."""
    if any(line.headline for line in lines):
        yield text(" ".join((*_of_latency(record, lines), *more)))


def _of_latency(record: Record, lines: Sequence[NetworkRow]) -> Iterator[str]:
    timed = [line for line in lines if line.headline]
    several = [line for line in timed if line.headline and line.headline.sessions > 1]
    if several:
        yield f"latency: median over {_sessions(several)} (fresh processes){_confidence(several)}."
        yield from _spread(several)
    if len(several) < len(timed):
        which = "latency: median of one session" if not several else f"{len(timed) - len(several)} of them: one session"
        yield f"{which}: how far processes lie apart is not known."
    yield from _noise(record, lines)


def _sessions(several: Iterable[NetworkRow]) -> str:
    return f"{units.ranged((line.headline.sessions for line in several if line.headline), '{:.0f}'.format)} sessions"


def _confidence(several: Iterable[NetworkRow]) -> str:
    found = [line.figures.interval.confidence for line in several if line.figures and line.figures.interval]
    if not found:
        return ""
    return f"; interval: {units.ranged(found, lambda share: units.percent(share, 0))} confidence (sign test)"


def _spread(several: Sequence[NetworkRow]) -> Iterator[str]:
    good = [line.figures for line in several if line.figures]
    if not good:
        yield f"Spread and smallest change: {DOUBTFUL} ({DISTURBED})."
        return
    within = units.ranged((each.within for each in good), units.percent)
    between = units.ranged((each.between for each in good), units.percent)
    yield f"Spread: {within} within, {between} between sessions."
    smallest = "as listed" if _far_apart(several) else f"from {units.ranged(map(_smallest, several), units.change)} on"
    rest = f" ({DOUBTFUL}: {DISTURBED})" if len(good) < len(several) else ""
    yield f"Two such records show a slow-down {smallest}{rest}."


def _noise(record: Record, lines: Sequence[NetworkRow]) -> Iterator[str]:
    """Yield the A/A noise of a record without sessions, which timed two copies of each network."""
    found = [pairs.noise(record, line.result) for line in lines if not line.disturbed]
    visible = [each.smallest_visible_change for each in found if each]
    if visible:
        yield f"A/A noise within the process hides slow-downs below {units.ranged(visible, units.change)}."


def _all_metered(record: Record) -> bool:
    return bool(record.results) and all(result.energy.measured for result in record.results)


def _joules(result: Result, metered: bool) -> float | None:
    measured = result.energy.measured
    return measured.energy_j if metered and measured else result.energy.energy_j


def _energy(record: Record) -> str:
    """Return what the column of energies shows: a meter's where each network has it, else a model's, with the rest."""
    metered = [result.energy.measured for result in record.results if result.energy.measured]
    modelled = [result for result in record.results if result.energy.energy_j is not None]
    if not metered:
        return f"energy*: modelled{_static(modelled)}"
    methods = ", ".join(dict.fromkeys(f"{meter.method}{_idle(meter)}" for meter in metered))
    if len(metered) < len(record.results):
        joules = units.ranged((meter.energy_j for meter in metered), units.joules)
        few = f"{len(metered)} of {len(record.results)} networks"
        return f"energy*: modelled{_static(modelled)}; measured {joules} in {few} ({methods})"
    rest = units.ranged((result.energy.energy_j for result in modelled), units.joules)
    also = f"; modelled {rest}{_static(modelled)}" if modelled else ""
    return f"energy*: measured, including idle power ({methods}){also}"


def _static(modelled: Sequence[Result]) -> str:
    """Return whether static power is in modelled energies: alike only if it is in all of them or in none."""
    has = [energy.STATIC in result.energy.components_j for result in modelled]
    if not has or all(has):
        return ", with static power" if has else ""
    if any(has):
        return ", with static power only where a time was measured: not to be compared"
    known = any(each.energy.coefficients and each.energy.coefficients.static_w for each in modelled)
    return ", without static power (no time was measured)" if known else ", static power unknown"


def _idle(measured: MeteredEnergy) -> str:
    return "" if measured.idle_w is None else f": {units.scaled(measured.idle_w, 'W')} before"
