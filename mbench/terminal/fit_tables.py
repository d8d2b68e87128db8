"""What a search for a network found, for the terminal: the few that fit, why the next better ones do not."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator, Sequence

import msgspec
from rich.console import RenderableType

from mbench.analysis import fit_ranking
from mbench.core import units
from mbench.core.fit_records import Answer, CandidateResult, CostEstimate, FitRecord, PredictionQuality
from mbench.core.progress import Note
from mbench.terminal.listings import Listing
from mbench.terminal.table import add_row, ruled, text

_COLUMNS = 80


def listing(found: FitRecord) -> Listing:
    """Return what a search found, as tables and as data."""
    return Listing(list(_parts(found)), msgspec.to_builtins(found))


def predictions(found: Sequence[CandidateResult], quality: PredictionQuality | None) -> Listing:
    """Return what networks cost or would cost, as a table and as data."""
    table = ruled("", ("network", "latency", "interval"), ("memory", "top-1"))
    for each in found:
        latency = each.latency_s
        interval = units.NOT_AVAILABLE
        if latency is not None and latency.low is not None and latency.high is not None:
            ends, unit = units.together((latency.low, latency.high))
            interval = f"{ends[0]} to {ends[1]} {unit}"
        elif latency is not None:
            interval = latency.basis
        add_row(
            table, each.network.name, units.seconds(latency.value if latency else None), interval,
            _cell(each.estimate("memory"), None, "memory"), _top1(each),
        )  # fmt: skip
    parts: list[RenderableType] = [table]
    if quality is not None:
        parts.append(_wrapped(_quality(quality)))
    parts.append(_wrapped("Interval: 95 % of a prediction. Memory: weights, activations, workspace. ~: interpolated."))
    data = {"networks": msgspec.to_builtins(tuple(found)), "quality": msgspec.to_builtins(quality)}
    return Listing(parts, data)


def report(remark: Note) -> Callable[[Sequence[CandidateResult]], None]:
    """Return what says, before each batch of measurements, how far the search is."""

    def said(candidates: Sequence[CandidateResult]) -> None:
        open_, fitting = (sum(each.fits is verdict for each in candidates) for verdict in (None, True))
        out = len(candidates) - open_ - fitting
        best = next((each for each in candidates if each.fits), None)
        known = f"; best so far: {best.network.name}, {_top1(best)}" if best else ""
        remark(f"{len(candidates)} candidates: {fitting} fit, {out} do not, {open_} open{known}")

    return said


def _parts(found: FitRecord) -> Iterator[RenderableType]:
    yield text(_heading(found))
    by_name = {each.network.name: each for each in found.candidates}
    if found.answers:
        yield _table(found, by_name)
        for answer in found.answers:
            line = _next(answer, by_name)
            if line:
                yield _wrapped(line)
    else:
        yield _wrapped("Nothing fits." + (f" {found.nearest[:1].upper()}{found.nearest[1:]}." if found.nearest else ""))
    for note in _notes(found):
        yield _wrapped(note)


def _heading(found: FitRecord) -> str:
    threads = f"{found.threads} thread{'s' if found.threads > 1 else ''}"
    limits = fit_ranking.limits_in_words(found.limits)
    if found.minimize != "accuracy":
        limits.append(f"least {found.minimize} wanted")
    return f"{found.target.name}, {found.device.name}, {threads}: {', '.join(limits)}"


def _table(found: FitRecord, by_name: dict[str, CandidateResult]) -> RenderableType:
    shown = [
        "latency",
        "memory",
        "weights",
        *(["energy"] if found.limits.energy_j or found.minimize == "energy" else []),
    ]
    table = ruled("", ("network",), ("top-1", *shown))
    limits = fit_ranking.limits_of(found.limits)
    for answer in found.answers:
        each = by_name[answer.network]
        cells = [_cell(each.estimate(name), limits.get(name), name) for name in shown]
        mark = "*" if each.disturbed else ""
        add_row(table, f"{each.network.name}{mark}", _top1(each), *cells)
    return table


def _cell(figure: CostEstimate | None, limit: float | None, name: str) -> str:
    if figure is None:
        return units.NOT_AVAILABLE
    share = "" if limit is None else f" {units.percent(figure.value / limit, 0).replace(' ', '')}"
    return f"{fit_ranking.SHOWN[name](figure.value)}{share}"


def _top1(each: CandidateResult) -> str:
    if each.accuracy.top1_percent is None:
        return units.NOT_AVAILABLE
    return ("~" if each.accuracy.kind == "interpolated" else "") + units.accuracy(each.accuracy.top1_percent)


def _next(answer: Answer, by_name: dict[str, CandidateResult]) -> str:
    if answer.next_better is None:
        return ""
    better = by_name[answer.next_better]
    return f"next better than {answer.network}: {answer.next_better} ({_top1(better)}): {'; '.join(answer.next_over)}"


def _notes(found: FitRecord) -> Iterator[str]:
    bases = {each.latency_s.basis for each in found.candidates if each.latency_s is not None}
    known = sum(each.latency_s is not None and each.latency_s.basis != "predicted" for each in found.candidates)
    how = "counted, and timed by the target's model" if "counted" in bases else "measured"
    yield f"{len(found.candidates)} candidates, {known} of them {how}; those above all are. The rest is predicted."
    if found.quality is not None:
        yield _quality(found.quality)
    if any(by.accuracy.kind == "interpolated" for by in found.candidates if by.fits):
        yield "~: between published accuracies; nobody has published weights of such a network."
    shown = {answer.network for answer in found.answers}
    causes = [why for each in found.candidates if each.network.name in shown for why in each.disturbed]
    if causes:
        yield f"*: every session was disturbed: {'; '.join(dict.fromkeys(causes))}. Measure again on a quiet machine."
    yield "Percent: the share of a limit that is used. Memory: weights, activations, workspace."
    if not found.certain:
        some = ", ".join(found.open[:3])
        more = f" and {len(found.open) - 3} more" if len(found.open) > 3 else ""
        what = f"{some or 'all'}{more}"
        yield f"Not certain: the time was over before {what} could be measured; the same command goes on."


def _quality(quality: PredictionQuality) -> str:
    return (
        f"Predictions of the {quality.networks} known ones from each other: {units.percent(quality.median_error)} "
        f"off in the median, nine in ten within {units.percent(quality.ninth_decile_error)}."
    )


def _wrapped(line: str) -> RenderableType:
    return text("\n".join(textwrap.wrap(line, _COLUMNS, subsequent_indent="  ")))
