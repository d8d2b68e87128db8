"""What a first look answers: where the time goes, whether to trust it, what to try next. For the page and the terminal.

Sentences out of records; no HTML, no tables. A step is proposed only where the record shows what it would help with.
"""

from __future__ import annotations

import dataclasses
import functools
import re
import shlex
import statistics
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from mbench.analysis import (
    above_peak,
    headline,
    instruction_counts,
    labels,
    pairs,
    repeat,
    spending,
    type_pairs,
)
from mbench.analysis.headline import Headline
from mbench.core import dtypes, names, units
from mbench.core.records import Record, Result
from mbench.hardware import device_kinds, platforms
from mbench.networks import variants

if TYPE_CHECKING:
    from mbench.core.field_types import Op

_FEW = 2
"""Networks of which each is described, not all together."""
_MOST_STEPS = 3
_FAR_FROM_BOUND = 0.6
"""Share of what its roofline allows, below which a search for a quicker kernel is proposed."""
_LARGE = 0.03
"""Share of the time from which a layer is worth a search."""
_WAIT_S = 60.0
"""For a quiet machine."""
SAVING = "See what its depthwise convolutions save"
"""What a network is compared with its standard twin for."""
_PERCENT = re.compile(r"(?<= )[+-]\d+(?=%)")
MODELLED = "a model's, of one thread, not measured"
"""What the latency of a network is that was only counted."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class NextStep:
    """Something to try, and the command that does it."""

    words: str
    command: str | None = None
    at_hand: bool = False
    """Whether the words say all to who has the command of the run at hand."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class FirstAnswer:
    """A question of who sees a record for the first time, and what the record answers."""

    question: str
    sentences: tuple[str, ...]
    steps: tuple[NextStep, ...] = ()


@dataclasses.dataclass(frozen=True, kw_only=True)
class _AnsweredResult:
    """A result with what the answers need of it."""

    record: Record
    result: Result
    headline: Headline | None
    disturbed: bool
    emulated: bool

    @property
    def label(self) -> str:
        return labels.variant(self.result.variant)

    @property
    def parts(self) -> tuple[spending.LayerPart, ...]:
        return spending.of_layers(self.result, instructions=self.emulated)

    @property
    def doubtful(self) -> bool:
        """Whether its shares are: counts are exact whatever disturbed the machine."""
        return self.disturbed and not self.emulated


def of_records(records: Sequence[Record]) -> Iterator[FirstAnswer]:
    """Yield the three answers of records; none where they have no results."""
    goes = where(records)
    if goes is None:
        return
    yield goes
    yield FirstAnswer(question="Can I trust it?", sentences=tuple(_trust(records)))
    found = steps(records)
    if found:
        yield FirstAnswer(question="What should I try next?", sentences=(), steps=found)


def where(records: Sequence[Record]) -> FirstAnswer | None:
    """Return where the time goes; of records that are all emulated, the instructions. None: there are no results."""
    timed = [record for record in records if not instruction_counts.emulated(record)]
    items = [item for record in timed or records for item in _items(record)]
    items = items or [item for record in records for item in _items(record)]
    if not items:
        return None
    question = "Where does the time go?" if timed else "Where do the instructions go?"
    shown = spoken(records[0]) if len(records) == 1 else None
    return FirstAnswer(question=question, sentences=tuple(_where(items, shown)))


def steps(records: Sequence[Record]) -> tuple[NextStep, ...]:
    """Return what to try next, what helps most first; none where there is nothing."""
    if not records:
        return ()
    return (*_gate(records), *_steps(records[-1]))[:_MOST_STEPS]


def spoken(record: Record) -> Result | None:
    """Return the network that a record is about, alone or beside its standard twin or another type; None: several."""
    if len(record.results) == 1:
        return record.results[0]
    couples = [*(pair.separable for pair in pairs.of_record(record)), *(p.narrow for p in type_pairs.of_record(record))]
    return couples[0] if couples and len(record.results) == _FEW else None


def of_spending(result: Result, *, instructions: bool) -> str | None:
    """Return where a network's time (or its instructions) goes, in a sentence; None where that is not known."""
    parts = spending.of_layers(result, instructions=instructions)
    if not parts:
        return None
    doubtful = bool(headline.disturbed(result)) and not instructions
    what, first, slowest = "instructions" if instructions else "time", spending.by_kind(parts)[0], parts[0]
    kind = units.counted(first.layers, f"{labels.op(first.op)} layer")
    said = (
        f"{spending.share(first.share, doubtful=doubtful)} of the layers\u2019 {what} is in {kind}; "
        f"the largest single one is {slowest.layer.name} with {spending.share(slowest.share, doubtful=doubtful)}."
    )
    return f"Roughly, as it was disturbed: {said}" if doubtful else said


def _items(record: Record) -> Iterator[_AnsweredResult]:
    emulated = instruction_counts.emulated(record)
    for result in record.results:
        yield _AnsweredResult(
            record=record, result=result, headline=headline.of_result(result),
            disturbed=bool(headline.disturbed(result)), emulated=emulated,
        )  # fmt: skip


def _where(items: Sequence[_AnsweredResult], shown: Result | None) -> Iterator[str]:
    known = [item for item in items if item.parts]
    if not known:
        yield "It is not known: no network has a figure of every layer."
        return
    if shown is not None or len(known) == 1:
        one = next((item for item in known if item.result is shown), known[0])
        said = of_spending(one.result, instructions=one.emulated) or ""
        yield said if len(items) == 1 else f"{one.label}: {said[:1].lower()}{said[1:]}"
        return
    known = [item for item in known if not item.doubtful] or known
    known = [item for item in known if item.result.variant.convolution != "standard"] or known
    doubtful = known[0].doubtful
    shares: dict[Op, list[float]] = {}
    for item in known:
        for part in spending.by_kind(item.parts):
            shares.setdefault(part.op, []).append(part.share)
    whole = {op: [*found, *[0.0] * (len(known) - len(found))] for op, found in shares.items()}
    first, *others = sorted(whole, key=lambda op: -statistics.fmean(whole[op]))[:_FEW]
    roughly = "Roughly, as all were disturbed: mostly" if doubtful else "Mostly"
    yield f"{roughly} to {labels.op(first)} layers: {_between(whole[first], doubtful)} of each network."
    for op in others:
        yield f"Then to {labels.op(op)} layers: {_between(whole[op], doubtful)}."


def _between(shares: Sequence[float], doubtful: bool) -> str:
    return units.ranged(shares, functools.partial(spending.share, doubtful=doubtful))


# ---------------------------------------------------------------------------------------------------------------- trust
def _trust(records: Sequence[Record]) -> Iterator[str]:
    items = [item for record in records for item in _items(record)]
    yield from _outputs(items)
    failed = sum(len(record.failures) for record in records)
    if failed:
        yield f"{units.counted(failed, 'network')} failed."
    yield from _of_emulation(items)
    timed = [item for item in items if item.headline]
    disturbed = [item for item in timed if item.disturbed]
    if disturbed:
        yield f"Do not rely on times of {_of(len(disturbed), timed)}: other work disturbed them."
    quiet = [item for item in timed if not item.disturbed]
    single = [item for item in quiet if item.headline and item.headline.sessions <= 1]
    if single:
        yield f"One process measured {_of(len(single), timed)}, so how far processes lie apart is not known."
    several = [pairs.smallest_change(item.record, item.result) for item in quiet if item not in single]
    known = [change for change in several if change is not None]
    if known:
        low, high = units.change(min(known)), units.change(max(known))
        range_ = low if low == high else f"{low} to {high}, by network"
        yield f"The smallest slow-down that two such runs would show: {range_}."
    warned = sum(bool(item.result.warnings) for item in items)
    if warned:
        yield f"There are warnings about {_of(warned, items)}."


def _of_emulation(items: Sequence[_AnsweredResult]) -> Iterator[str]:
    """Yield what counts and the latency that is modelled of them are worth."""
    emulated = [item for item in items if item.emulated]
    if not emulated:
        return
    whose = "Counts" if len(emulated) == len(items) else "Counts of what was emulated"
    yield f"{whose} are exact: the same on every machine and every time."
    modelled = [item.result for item in emulated if item.result.end_to_end.latency_model_s is not None]
    if modelled:
        yield f"Latency is {MODELLED}: {model_errors(modelled) or 'how far it is off is not known'}."


def model_errors(results: Iterable[Result]) -> str:
    """Return how far the models of latencies are off, of all that is compared in a few words; nothing if not known."""
    known = (result.end_to_end.latency_model_error for result in results)
    return "; ".join(dict.fromkeys(_shortened(error) for error in known if error))


def _shortened(error: str) -> str:
    """Return what a record says of an error, with published latencies of the core as one range."""
    first, *others = error.split("; ")
    found = sorted(int(number) for part in others for number in _PERCENT.findall(part))
    if not found:
        return "; ".join((first, *others))
    return f"{first}; {found[0]:+d} to {found[-1]:+d}% against what is published of its core"


def _outputs(items: Sequence[_AnsweredResult]) -> Iterator[str]:
    checked = [item.result.numerics for item in items if item.result.numerics is not None]
    wrong = sum(not numerics.passed for numerics in checked)
    if wrong:
        yield f"No: the output of {_of(wrong, items)} is wrong."
    elif checked:
        yield "The output is right." if len(items) == 1 else f"The outputs of {_of(len(checked), items)} are right."
    else:
        yield "No output was checked."


def _of(number: int, whole: Sequence[object]) -> str:
    if len(whole) == 1:
        return "the network"
    if number == len(whole):
        return "both" if number == len(("one", "two")) else f"all {number}"
    return f"{number} of {len(whole)}"


# ---------------------------------------------------------------------------------------------------------------- steps
def _gate(records: Sequence[Record]) -> Iterator[NextStep]:
    """Yield the judgement of two runs of the same networks at the same place."""
    if len(records) != len(("base", "head")):
        return
    runs = [{result.variant.name for result in record.results} for record in records]
    places = {(record.target.name, record.device.kind, record.settings.threads) for record in records}
    if runs[0] & runs[1] and len(places) == 1:
        first, second = sorted(records, key=lambda record: record.created_at_utc)
        files = [f"{names.component(record.run_id)}.json" for record in (first, second)]
        words = "Judge whether the later run is worse, with the files of both records"
        yield NextStep(words=words, command=shlex.join(["mbench", "gate", *files]))


def _steps(record: Record) -> Iterator[NextStep]:
    items = list(_items(record))
    timed = [item for item in items if item.headline]
    if not items:
        return
    shown = spoken(record)
    first = shown or items[0].result
    yield from _more_certain(record, timed)
    yield from _slow_layer(record, [item for item in timed if shown is None or item.result is shown])
    types = {item.result.variant.dtype for item in items}
    possible = dtypes.INT8 in platforms.of(record.target).types(record.target)
    if types == {dtypes.DEFAULT} and possible and first.variant.convolution != "standard":
        command = repeat.again(record, first, dtype=f"{dtypes.DEFAULT},{dtypes.INT8}")
        yield NextStep(words="See what int8 gives", command=command)
    unpaired = pairs.unpaired(record)
    if unpaired and not pairs.of_record(record) and not type_pairs.of_record(record):
        yield NextStep(words=SAVING, command=repeat.together(record, *unpaired[0]))
    if len(items) > _FEW and not items[0].emulated:
        yield NextStep(words="Let a search find the best network within your limits: mbench fit --help")


def _more_certain(record: Record, timed: Sequence[_AnsweredResult]) -> Iterator[NextStep]:
    """Yield the run that knows more: on a quiet machine, or in several sessions."""
    hit = next((item for item in timed if item.disturbed), None)
    if hit is not None:
        words = "Use a quiet machine (--wait-quiet)"
        if platforms.of(record.target).counted is not None and not record.settings.counts:
            words += ", or count instructions (--counts)"
        yield NextStep(words=words, command=_again(record, hit.result), at_hand=True)
    elif record.settings.sessions == 1 and timed:
        again = repeat.again(record, timed[0].result, quick=False) if len(record.results) == 1 else None
        words = "Leave out --quick: five sessions show how far processes lie apart"
        yield NextStep(words=words, command=again, at_hand=True)


def _again(record: Record, result: Result) -> str | None:
    """Return the command that runs a record's network, pair or types once more on a quiet machine; None: of many."""
    if len(record.results) > _FEW:
        return None
    if type_pairs.of_record(record):
        return repeat.again(record, result, dtype=record.settings.dtype, wait_quiet_s=_WAIT_S)
    paired = bool(pairs.of_record(record)) and not any(each.variant.imported for each in record.results)
    others = [each.variant.name for each in record.results if paired and each is not result]
    return repeat.again(record, result, *others, wait_quiet_s=_WAIT_S)


def _slow_layer(record: Record, timed: Iterable[_AnsweredResult]) -> Iterator[NextStep]:
    """Yield a search for the kernel that wastes most, where one is far below its roofline: on this machine."""
    if not device_kinds.of(record.device.kind).here:
        return
    found = [
        (item, part, part.share * (1 - part.layer.roofline.fraction_of_bound))
        for item in timed
        if not item.disturbed
        for part in item.parts
        if part.share >= _LARGE and part.layer.roofline
        and part.layer.name not in above_peak.unexplained(item.result)
        and part.layer.roofline.fraction_of_bound < _FAR_FROM_BOUND
    ]  # fmt: skip
    if not found:
        return
    item, part, _ = max(found, key=lambda each: each[2])
    roof = part.layer.roofline
    reached = f"{units.percent(roof.fraction_of_bound, 0)} of what {roof.bound} allows" if roof else ""
    words = f"Look for a quicker {part.layer.name}: it reaches {reached}"
    asked = ["--target", record.target.name, "--threads", str(record.settings.threads)]
    asked += ["--dtype", item.result.variant.dtype] if item.result.variant.dtype != dtypes.DEFAULT else []
    asked += [word for folder in record.settings.target_folders for word in ("--targets", folder)]
    command = shlex.join(["mbench", "tune", variants.typed(item.result.variant), *asked])
    yield NextStep(words=words, command=command)
