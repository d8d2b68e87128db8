"""Sentences of the page: a record in a line, where time goes, where a predicted speed-up is lost.

Text out of views (`mbench.page.views`); no HTML.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from mbench.analysis import (
    disturbances,
    first_answers,
    instruction_counts,
    labels,
    layer_causes,
    pairs,
    session_figures,
    waterfall,
)
from mbench.core import units
from mbench.core.records import Record
from mbench.page import type_sentences

if TYPE_CHECKING:
    from mbench.analysis.versus import Versus
    from mbench.page.view_types import PairView, ResultView, TypePairView

_SEVERAL = 3
_FITS = 0.1
"""Share of the end-to-end time that may be unattributed before the page warns."""


def of_record(
    record: Record, found: tuple[PairView, ...], types: tuple[TypePairView, ...], results: tuple[ResultView, ...]
) -> Iterator[str]:
    """Yield one sentence for each pair, and one for each network that is in none; of more than three, a summary."""
    paired = [{half.result.variant.name for half in (view.separable, view.standard)} for view in found]
    paired += [{half.result.variant.name for half in (view.wide, view.narrow)} for view in types]
    alone = [result for result in results if not any(result.result.variant.name in names for names in paired)]
    if len(paired) + len(alone) > _SEVERAL:
        yield _summary(record, results)
        yield from type_sentences.several(types)
        yield from type_sentences.sums(record)
        return
    for pair in types:
        yield type_sentences.of_pair(pair, record, labels.where(record))
    for view in found:
        yield f"{_speed(view.separable, record)}{_saving(view)}"
    for result in alone:
        yield f"{_speed(result, record)}; {units.count(result.macs)} multiply-adds."
    yield from type_sentences.sums(record)
    if not results:
        yield f"Nothing to show on {labels.where(record)}: no variant could be built and measured."


def _speed(view: ResultView, record: Record) -> str:
    if instruction_counts.emulated(record):
        spent = _counted(view)
    else:
        known = view.latency
        spent = _tied(disturbances.seconds(known.median_s, view.disturbed)) if known else "latency not measured"
        spent += f", {disturbances.WORD}" if view.disturbed else ""
    return f"{view.label} on {labels.where(record)}: {spent}"


def _counted(view: ResultView) -> str:
    if view.counts is None:
        return "not counted"
    instructions = f"{_tied(units.count(view.counts.counts.counters.instructions))} instructions"
    each = view.counts.per_fma
    return f"{instructions}, {units.decimal(each)} a vector multiply-add needed" if each else instructions


def _tied(text: str) -> str:
    """Keep a figure, which is a number with its unit, on one line."""
    return text.replace(" ", units.NO_BREAK)


def _saving(view: PairView) -> str:
    pair, predicted = view.pair, _tied(units.times(view.pair.predicted))
    if pair.by_instructions and pair.fewer:
        return (
            f"; {_compared(pair.fewer, 'fewer', 'more')} than with standard convolutions; "
            f"the multiply-adds predict {predicted} fewer."
        )
    if not pair.achieved:
        return f"; {predicted} fewer multiply-adds than with standard convolutions."
    if view.disturbed:
        return (
            f"; its speed-up over standard convolutions is {disturbances.WORD}; the multiply-adds predict {predicted}."
        )
    faster = _compared(pair.achieved, "faster", "slower")
    return f", {faster} than with standard convolutions; the multiply-adds predict {predicted}."


def _compared(ratio: float, better: str, worse: str) -> str:
    return f"{_tied(units.times(ratio))} {better}" if ratio >= 1 else f"{_tied(units.times(1 / ratio))} {worse}"


def _summary(record: Record, results: tuple[ResultView, ...]) -> str:
    emulated = instruction_counts.emulated(record)
    quiet = [view for view in results if emulated or not view.disturbed]
    costs = {view.label: (pairs.instructions if emulated else pairs.latency_s)(view.result) for view in quiet}
    known = {label: cost for label, cost in costs.items() if cost is not None}
    start, out = f"{len(results)} networks on {labels.where(record)}", len(results) - len(quiet)
    if not known:
        return f"{start}, {f'{out} of them {disturbances.WORD}' if out else 'none of them measured'}."
    least, most = min(known, key=known.__getitem__), max(known, key=known.__getitem__)
    write = units.count if emulated else units.seconds
    what = " instructions" if emulated else ""
    more = f"; {out} {disturbances.WORD}" if out else ""
    first, last = (f"{_tied(write(known[label]))}{what} ({label})" for label in (least, most))
    return f"{start}: from {first} to {last}{more}."


def of_versus(found: Versus) -> str:
    """Return what changed from the first of two runs to the second, for the first network that they share."""
    change = found.networks[0]
    if change.ratio is None:
        said = f"cannot be compared: its latency is {disturbances.WORD} ({'; '.join(change.disturbed)})"
    elif change.exact:
        said = f"executes {units.ratio(change.ratio)} the instructions"
    else:
        said = f"takes {units.ratio(change.ratio)} the time ({units.interval(change.low, change.high)})"
    others = len({other.label for other in found.networks}) - 1
    more = f"; {units.counted(others, 'more network')} in both" if others else ""
    where = "" if change.ratio is None else " in the second run, compared with the first"
    return f"{change.label} {said}{where}{more}."


def of_interval(view: ResultView) -> str | None:
    """Return what a network's latency is the median of, and its interval, in a few words; None: it was not timed."""
    found = view.headline
    if found is None:
        return None
    if found.interval is None:
        return _over(view)
    low, high = _tied(units.seconds(found.interval.low)), _tied(units.seconds(found.interval.high))
    return f"{_over(view)}; {_tied(units.percent(found.interval.confidence, 0))} interval {low} to {high}"


def of_spread(view: ResultView) -> str | None:
    """Return how far a network's times lie apart: `spread 1.5 % within a session, 2.0 % between sessions`."""
    found = view.headline
    if found is None:
        return None
    within = f"spread {_tied(units.percent(found.within))} within {'a session' if view.sessions else 'the run'}"
    return within if found.between is None else f"{within}, {_tied(units.percent(found.between))} between sessions"


def of_percentiles(view: ResultView) -> str | None:
    """Return percentiles of a network's samples: `p50 12.1 ms, p90 12.3 ms, p99 13.0 ms`; None: not timed.

    Of several sessions it begins with `of all samples`, since the headline is another median.
    """
    found = view.percentiles
    if found is None:
        return None
    known = {"p50": found.p50_s, "p90": found.p90_s, "p99": found.p99_s}
    said = ", ".join(
        f"{name} {_tied(disturbances.seconds(value, view.disturbed))}"
        for name, value in known.items()
        if value is not None
    )
    several = view.headline is not None and view.headline.interval is not None
    return f"{session_figures.OF_ALL}: {said}" if several else said


def _over(view: ResultView) -> str:
    """Return what the headline is the median of."""
    if not view.result.sessions:
        return "median of one process"
    kept = view.headline.sessions if view.headline else 0
    out = len(view.result.sessions) - kept
    return f"median over {units.counted(kept, 'session')}" + (f" ({out} left out)" if out else "")


def of_unknown_spread(views: Sequence[ResultView]) -> Iterator[str]:
    """Yield what a record cannot say of latencies that it has from one process each, and whose these are."""
    found: dict[str, list[str]] = {}
    timed = [view for view in views if view.headline is not None]
    for view in timed:
        why = _unknown_spread(view)
        if why is not None:
            found.setdefault(why, []).append(view.label)
    for why, names in found.items():
        whose = "" if len(names) == len(timed) else f"{'; '.join(names)}: "
        yield f"{whose}{why}"


def _unknown_spread(view: ResultView) -> str | None:
    if view.headline is None or view.headline.sessions > 1:
        return None
    lacks = "One process measured it, so how far processes lie apart is not known: there is no interval of the latency"
    if not view.result.sessions and view.noise:
        return f"{lacks}, and its smallest change is of two A/A copies in that process."
    lacks += " and no smallest change."
    if not view.result.sessions:
        return lacks
    if len(view.result.sessions) > 1:
        return f"{lacks} The other sessions were disturbed and are left out."
    return f"{lacks} Without --quick, a run has five sessions."


def of_spending(view: ResultView) -> str | None:
    """Return where a network's time (or its instructions) goes, in a sentence; None where that is not known."""
    said = first_answers.of_spending(view.result, instructions=view.latency is None)
    return None if said is None else units.tied(said)


def of_waterfall(view: PairView) -> str | None:
    """Return the largest loss and the largest gain of a predicted speed-up; None without a waterfall."""
    way = view.waterfall
    if isinstance(way, str) or not way.steps:
        return None
    loss, gain = way.steps[0], way.steps[-1]
    said = []
    if loss.change < 0:
        said.append(f"The largest loss: {_step(loss)}.")
    if gain.change > 0:
        said.append(f"The largest gain: {_step(gain)}.")
    return " ".join(said)


def of_unseen_causes(view: PairView, record: Record) -> str:
    """Return which causes in a pair's waterfall of time cost nothing, or were not measured."""
    calibration = record.device.calibration
    layers = [layer for half in (view.separable, view.standard) for layer in half.result.layers]
    said = []
    if not any(layer_causes.only_moves_data(layer) for layer in layers):
        said.append("Layout: no layer of either network only moves data from one layout to another.")
    if calibration is None or calibration.threads == 1:
        said.append("Thread overhead: one thread ran, and none had to be started.")
    elif calibration.parallel_loop_s is None or any(layer.parallel_loops is None for layer in layers):
        said.append("Thread overhead was not measured.")
    else:
        loops = sum(layer.parallel_loops or 0 for layer in view.separable.result.layers)
        said.append(
            f"Thread overhead: {loops} parallel loops of {view.separable.label}, "
            f"{_tied(units.seconds(calibration.parallel_loop_s))} each when empty."
        )
    return " ".join(said)


def of_time_balance(view: ResultView) -> str | None:
    """Return a caution where a network's layers were measured at another pace than its whole runs; None: they fit."""
    balance = view.result.time_balance
    if balance is None or view.disturbed or abs(balance.unattributed_s) <= _FITS * balance.end_to_end_s:
        return None
    return (
        f"The layers of {view.label} and what lies between them take "
        f"{units.seconds(balance.layer_sum_s + balance.overhead_s)} together, but its whole runs take "
        f"{units.seconds(balance.end_to_end_s)}. The machine's speed changed between the two measurements, so "
        "figures of layers can be off by as much."
    )


def _step(step: waterfall.Step) -> str:
    named = ", ".join(share.layer for share in step.shares[:2])
    where = f", most of it in {named}" if named else ""
    return f"{labels.step(step.part, step.cause, step.excess)} ({step.change:+.1f}x{where})"
