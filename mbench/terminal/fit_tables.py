"""What a search for a network found, for the terminal: the few that fit, why the next better ones do not."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import msgspec
from rich.console import RenderableType
from rich.table import Table

from mbench.analysis import disturbances, fit_certainty, fit_ranking
from mbench.core import record_files, units
from mbench.core.fit_records import Answer, CandidateResult, FitRecord, PredictionQuality
from mbench.core.progress import Note
from mbench.terminal.listings import Listing
from mbench.terminal.table import BrokenName, Paragraph, ruled, text

_PREDICTIONS = (
    "Interval: of a predicted latency, 95 % of predictions lie within it; of a measured one, that of the median, by "
    "its sessions; of a counted one, the median error of the target's model. Memory: weights, activations, workspace. "
    "~: a latency that was disturbed, an accuracy that is interpolated."
)


def listing(found: FitRecord) -> Listing:
    """Return what a search found, as tables and as data."""
    return Listing(list(_parts(found)), msgspec.to_builtins(found))


def predictions(found: Sequence[CandidateResult], quality: PredictionQuality | None) -> Listing:
    """Return what networks cost or would cost, as a table and as data."""
    table = ruled("", ("network", "latency", "interval", "basis"), ("memory", "top-1"))
    for each in found:
        latency = each.latency_s
        interval = units.NOT_AVAILABLE
        if latency is not None and latency.low is not None and latency.high is not None:
            ends, unit = units.together((latency.low, latency.high))
            interval = f"{ends[0]} to {ends[1]} {unit}"
        _add_row(
            table, each.network.name, _cell(each, None, "latency"), interval,
            latency.basis if latency else units.NOT_AVAILABLE, _cell(each, None, "memory"), _top1(each),
        )  # fmt: skip
    parts: list[RenderableType] = [table, Paragraph(_quality(quality))]
    parts.append(Paragraph(_PREDICTIONS))
    data = {"networks": msgspec.to_builtins(tuple(found)), "quality": msgspec.to_builtins(quality)}
    return Listing(parts, record_files.rounded(data))


def report(remark: Note) -> Callable[[Sequence[CandidateResult]], None]:
    """Return what says, before each batch of measurements, how far the search is."""

    def said(candidates: Sequence[CandidateResult]) -> None:
        open_, fitting = (sum(each.fits is verdict for each in candidates) for verdict in (None, True))
        out = len(candidates) - open_ - fitting
        best = next((each for each in candidates if each.fits and each.latency_s), None)
        how = ", predicted" if best and best.latency_s and best.latency_s.basis == "predicted" else ""
        top1 = f", {_top1(best)}" if best and best.accuracy.top1_percent is not None else ""
        known = f"; best so far: {best.network.name}{top1}{how}" if best else ""
        remark(f"{_count(len(candidates))}: {fitting} fit, {out} do not, {open_} open{known}")

    return said


def _count(candidates: int) -> str:
    return "1 candidate" if candidates == 1 else f"{candidates} candidates"


def _parts(found: FitRecord) -> Iterator[RenderableType]:
    yield Paragraph(_heading(found))
    by_name = {each.network.name: each for each in found.candidates}
    if found.answers:
        yield _table(found, by_name)
        for answer in found.answers:
            yield from map(Paragraph, _of_answer(answer, by_name))
    else:
        nearest = f" {found.nearest[:1].upper()}{found.nearest[1:]}." if found.nearest else ""
        yield Paragraph(fit_certainty.nothing(found) + nearest)
    yield from map(Paragraph, _notes(found))


def _heading(found: FitRecord) -> str:
    threads = f"{found.threads} thread{'s' if found.threads > 1 else ''}"
    limits = fit_ranking.limits_in_words(found.limits)
    if found.minimize != "accuracy":
        limits.append(f"least {found.minimize} wanted")
    batches = dict.fromkeys(each.network.batch for each in found.candidates)
    sizes = "" if set(batches) <= {1} else f", batch {', '.join(map(str, batches))}"
    return f"{found.target.name}, {found.device.name}, {threads}{sizes}: {', '.join(limits)}"


def _table(found: FitRecord, by_name: dict[str, CandidateResult]) -> Table:
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
        cells = [_cell(each, limits.get(name), name) for name in shown]
        mark = "*" if each.disturbed else ""
        _add_row(table, f"{each.network.name}{mark}", _top1(each), *cells)
    return table


def _cell(candidate: CandidateResult, limit: float | None, name: str) -> str:
    figure = candidate.estimate(name)
    if figure is None:
        return units.NOT_AVAILABLE
    share = "" if limit is None else f" {units.percent(figure.value / limit, 0).replace(' ', '')}"
    return f"{fit_ranking.disturbed_mark(candidate, name)}{fit_ranking.SHOWN[name](figure.value)}{share}"


def _top1(each: CandidateResult) -> str:
    if each.accuracy.top1_percent is None:
        return units.NOT_AVAILABLE
    return ("~" if each.accuracy.kind == "interpolated" else "") + units.accuracy(each.accuracy.top1_percent)


def _of_answer(answer: Answer, by_name: dict[str, CandidateResult]) -> Iterator[str]:
    """Yield where its accuracy lies, what noise may change, and why the next better network does not fit."""
    accuracy = by_name[answer.network].accuracy
    if accuracy.kind == "interpolated":
        yield f"{answer.network}: top-1 {fit_ranking.between(accuracy)}."
    if answer.close:
        yield f"{answer.network}: {'; '.join(answer.close)}."
    if "clear" in answer.why_best:
        yield f"{answer.network}: the best {answer.why_best}."
    if answer.next_better is not None:
        better = f"{answer.next_better} ({_top1(by_name[answer.next_better])})"
        yield f"next better than {answer.network}: {better}: {'; '.join(answer.next_over)}"


def _notes(found: FitRecord) -> Iterator[str]:
    yield _known(found)
    yield _quality(found.quality)
    if (model := found.methods.get("latency model")) is not None:
        yield f"The target's model of latency: {model}."
    if any(by.accuracy.kind == "interpolated" for by in found.candidates if by.fits):
        yield "~: between published accuracies. Nobody has published weights of such a network: train it first."
    shown = {answer.network for answer in found.answers}
    causes = [why for each in found.candidates if each.network.name in shown for why in each.disturbed]
    if causes:
        what = "; ".join(disturbances.folded(dict.fromkeys(causes)))
        yield f"*: every session was disturbed: {what}. Measure again on a quiet machine."
    yield "Percent: the share of a limit that is used. Memory: weights, activations, workspace."
    if not found.certain:
        yield f"Not certain: {fit_certainty.why_uncertain(found)}"
    elif how := fit_certainty.by_disturbed(found):
        yield f"Certain {how}."


def _known(found: FitRecord) -> str:
    """Return how many candidates were measured, how many of those well, and how the others are known."""
    known = [each for each in found.candidates if each.latency_s and each.latency_s.basis != "predicted"]
    every = _count(len(found.candidates))
    if not known:
        return f"{every}, 0 of them measured{': none had to be' if found.certain else ''}. All are predicted."
    counted = any(each.latency_s and each.latency_s.basis == "counted" for each in known)
    how = "counted, and timed by the target's model" if counted else "measured"
    above = " (all of those above)" if found.answers else ""
    hit = sum(bool(each.disturbed) for each in known)
    disturbed = f" {hit} of {len(known)} were disturbed (~)." if hit else ""
    rest = " The rest is predicted." if len(known) < len(found.candidates) else ""
    return f"{every}, {len(known)} of them {how}{above}.{disturbed}{rest}"


def _quality(quality: PredictionQuality | None) -> str:
    if quality is None:
        return "Fewer than three networks are known here: too few to say how far predictions are off."
    return (
        f"Predictions of the {quality.networks} known ones from each other: {units.percent(quality.median_error)} "
        f"off in the median, nine in ten within {units.percent(quality.ninth_decile_error)}."
    )


def _add_row(table: Table, name: str, *cells: str) -> None:
    table.add_row(BrokenName(name), *map(text, cells))
