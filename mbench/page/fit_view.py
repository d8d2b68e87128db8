"""What the page of a search shows, gathered for its template: question and answer in words, a row for each candidate.

Values stay in SI units. Whether a candidate fits, and the share of a limit that it uses, is decided in
`mbench.analysis.fit_ranking`.
"""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Iterator
from urllib.parse import quote

from mbench.analysis import fit_certainty, fit_ranking, labels
from mbench.analysis.fit_ranking import SHOWN
from mbench.core import units
from mbench.core.fit_records import Answer, CandidateAccuracy, CandidateResult, CostEstimate, FitRecord
from mbench.hardware import device_kinds
from mbench.page import views

QUANTITIES = ("latency", "memory", "weights", "energy")
UNIT = {"latency": "s", "memory": "B", "weights": "B", "energy": "J"}
BASES = {
    "measured": "timed on the device; its interval is that of the median, by its sessions",
    "counted": "a model of the target, from exact counts of the emulated code; its interval is that of the model's "
    "median error",
    "compiled": "as the compiler plans it",
    "modelled": "by the target's energy model",
    "predicted": "from what other networks cost, with a 95 % interval",
}
ACCURACIES = {
    "given": "given by you",
    "published": "published",
    "interpolated": "between published sizes",
    "unknown": "not known",
}
_OBJECTIVES = {
    "accuracy": ("is the most accurate", "has the best top-1"),
    "latency": ("is the fastest", "has the least latency"),
    "memory": ("needs the least memory", "needs the least memory"),
    "energy": ("needs the least energy", "needs the least energy"),
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class CandidateRow:
    """A candidate."""

    number: int
    """Its place among all: what figures name it by."""
    result: CandidateResult
    family: str
    """For people."""
    verdict: str
    """`fits`, `no`, `open` or `failed`."""
    why: str
    link: str | None
    """The page of its measurement, at its place there."""

    @property
    def top1(self) -> float | None:
        """In percent."""
        return self.result.accuracy.top1_percent

    @property
    def known(self) -> str:
        """How its latency is known: `measured`, `counted` or `predicted`; empty: not at all."""
        return self.result.latency_s.basis if self.result.latency_s else ""

    @property
    def latency_is(self) -> str:
        """The same in words, with whether it was disturbed."""
        return f"{self.known}, disturbed" if self.result.disturbed else self.known or units.NOT_AVAILABLE

    @property
    def published(self) -> bool:
        """Whether somebody says so of its accuracy; else it lies between such figures."""
        return self.result.accuracy.kind in ("given", "published")


@dataclasses.dataclass(frozen=True, kw_only=True)
class AnswerTile:
    """A figure of the best network."""

    name: str
    value: str
    note: str
    share: float | None
    """Of its limit."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class AnswerRow:
    """A network that fits, and the next better one."""

    answer: Answer
    row: CandidateRow
    next: CandidateRow | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class FitView:
    """What the page shows."""

    record: FitRecord
    question: str
    headline: str
    tiles: tuple[AnswerTile, ...]
    answers: tuple[AnswerRow, ...]
    rows: tuple[CandidateRow, ...]
    sources: tuple[tuple[str, str, int], ...]
    """Of accuracies: source, setting, and how many candidates are from there."""


def of_record(record: FitRecord, *, measured: str | None = None) -> FitView:
    """Return what the page shows of what a search found.

    Args:
        record: what it found.
        measured: where the page of its measurements is, as a path from this page; None: there is none.
    """
    rows = tuple(_row(number, each, measured) for number, each in enumerate(record.candidates))
    by_name = {row.result.network.name: row for row in rows}
    answers = tuple(
        AnswerRow(answer=each, row=by_name[each.network], next=by_name[each.next_better] if each.next_better else None)
        for each in record.answers
    )
    return FitView(
        record=record,
        question=_question(record),
        headline=_headline(record, answers),
        tiles=tuple(_tiles(record, answers[0].row)) if answers else (),
        answers=answers,
        rows=rows,
        sources=_sources(record),
    )


def _row(number: int, each: CandidateResult, measured: str | None) -> CandidateRow:
    timed = each.latency_s is not None and each.latency_s.basis != "predicted"
    link = f"./{quote(measured)}#{views.anchor_of(each.network.name)}" if measured and timed else None
    verdict, why = {True: ("fits", ""), False: ("no", ", ".join(each.over)), None: ("open", "")}[each.fits]
    if each.failure is not None:
        verdict, why = "failed", each.failure
    family = each.network.family if each.network.imported else labels.family(each.network.family)
    standard = ", standard" if each.network.convolution == "standard" else ""
    return CandidateRow(number=number, result=each, family=f"{family}{standard}", verdict=verdict, why=why, link=link)


def _question(record: FitRecord) -> str:
    limits = fit_ranking.limits_in_words(record.limits)
    threads = units.counted(record.threads, "thread")
    among = f"{len(record.candidates)} candidates" if len(record.candidates) != 1 else "one candidate"
    asked = f" ({', '.join(record.words)})" if record.words else ""
    where = (
        record.target.name
        if device_kinds.of(record.device.kind).here
        else f"{record.target.name}, {record.device.name}"
    )
    wanted = _OBJECTIVES[record.minimize][1]
    batches = dict.fromkeys(each.network.batch for each in record.candidates)
    sizes = "" if set(batches) <= {1} else f", batch {', '.join(map(str, batches))}"
    return f"Which of {among}{asked} {wanted}, with {_listed(limits)}, on {where}, {threads}{sizes}?"


def _headline(record: FitRecord, answers: tuple[AnswerRow, ...]) -> str:
    if not answers:
        return fit_certainty.nothing(record)
    best = answers[0].row.result
    sure = fit_certainty.so_far(record)
    figures = [f"{top1(best.accuracy)} top-1"] if best.accuracy.top1_percent is not None else []
    if best.latency_s is not None:
        figures.append(f"{fit_ranking.disturbed_mark(best, 'latency')}{units.seconds(best.latency_s.value)}")
    return f"{best.network.name} {_OBJECTIVES[record.minimize][0]} {sure}: {', '.join(figures)}"


def certainty(record: FitRecord) -> str:
    """Return what a search is certain of, in words."""
    if not record.answers:
        what = "every candidate is known not to fit"
    elif record.minimize == "accuracy":
        what = "every better candidate is known not to fit"
    else:
        what = f"every candidate that is predicted to need less {record.minimize} was measured or does not fit"
    if record.answers and record.minimize != "accuracy":
        return f"{what}."
    seen = "from its measurement or from a prediction whose whole interval exceeds a limit"
    how = f"{what}, {fit_certainty.by_disturbed(record) or seen}."
    near = "One that would gain less than 0.25 points by an interpolated accuracy was not looked for."
    return f"{how} {near}" if record.minimize == "accuracy" else how


def _tiles(record: FitRecord, row: CandidateRow) -> Iterator[AnswerTile]:
    best = row.result
    yield AnswerTile(name="Top-1 on ImageNet", value=top1(best.accuracy), note=of_accuracy(best.accuracy), share=None)
    shares, limits = fit_ranking.share_used(best, record.limits), fit_ranking.limits_of(record.limits)
    for name in QUANTITIES:
        found = best.estimate(name)
        if found is None:
            continue
        used = f"{units.percent(shares[name], 0)} of {SHOWN[name](limits[name])}" if name in shares else "no limit"
        between = interval(found, name)
        note = f"{used}; {BASES[found.basis].partition(';')[0]}{f', {between}' if between else ''}"
        if best.disturbed and found.basis == "measured":
            note += ", disturbed"
        yield AnswerTile(name=name.capitalize(), value=SHOWN[name](found.value), note=note, share=shares.get(name))


def top1(accuracy: CandidateAccuracy) -> str:
    """Return an accuracy; one between published ones as `~70.6 %`."""
    if accuracy.top1_percent is None:
        return units.NOT_AVAILABLE
    return ("~" if accuracy.kind == "interpolated" else "") + units.accuracy(accuracy.top1_percent)


def of_accuracy(accuracy: CandidateAccuracy) -> str:
    """Return where an accuracy is from, or why there is none."""
    if accuracy.kind == "unknown":
        return accuracy.reason or "not known"
    if accuracy.kind != "interpolated":
        return f"{ACCURACIES[accuracy.kind]}: {accuracy.source}"
    return fit_ranking.between(accuracy)


def figure(found: CostEstimate | None, name: str) -> str:
    """Return a figure; a predicted one as `~1.93 ms`."""
    if found is None:
        return units.NOT_AVAILABLE
    return ("~" if found.basis == "predicted" else "") + SHOWN[name](found.value)


def interval(found: CostEstimate | None, name: str) -> str:
    """Return between what limits a figure lies; empty: that is not known, or it is exact."""
    if found is None or found.low is None or found.high is None or found.low == found.high:
        return ""
    return units.ranged((found.low, found.high), SHOWN[name])


def said(row: CandidateRow) -> str:
    """Return whether a candidate fits, in words."""
    return f"{row.verdict}: {row.why}" if row.why else row.verdict


def _sources(record: FitRecord) -> tuple[tuple[str, str, int], ...]:
    accuracies = (each.accuracy for each in record.candidates)
    found = collections.Counter((each.source or each.reason or "not known", each.setting) for each in accuracies)
    return tuple((source, setting, count) for (source, setting), count in found.most_common())


def _listed(words: list[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words) or "no limit"
