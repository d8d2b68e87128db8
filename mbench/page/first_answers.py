"""What the first screen of a page answers: where the time goes, whether to trust it, what to try next.

Text out of views; no HTML. A step is proposed only where the record shows what it would help with.
"""

from __future__ import annotations

import dataclasses
import shlex
import statistics
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from mbench.analysis import labels, repeat
from mbench.core import dtypes, names, units
from mbench.hardware import device_kinds, platforms
from mbench.networks import variants
from mbench.page import headlines

if TYPE_CHECKING:
    from mbench.core.field_types import Op
    from mbench.page.view_types import RecordView, ResultView

_FEW = 2
"""Networks of which each is described, not all together."""
_MOST_STEPS = 3
_FAR_FROM_BOUND = 0.6
"""Share of what its roofline allows, below which a search for a quicker kernel is proposed."""
_LARGE = 0.03
"""Share of the time from which a layer is worth a search."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class NextStep:
    """Something to try, and the command that does it."""

    words: str
    command: str | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class FirstAnswer:
    """A question of who sees the page for the first time, and what the record answers."""

    question: str
    sentences: tuple[str, ...]
    steps: tuple[NextStep, ...] = ()


def of_records(views: Sequence[RecordView]) -> Iterator[FirstAnswer]:
    """Yield the three answers of the records of a page; none where they have no results."""
    items = [item for view in views for item in view.results]
    if not items:
        return
    timed = [view for view in views if not view.emulated]
    emulated = not timed
    goes = "Where do the instructions go?" if emulated else "Where does the time go?"
    spoken = views[0].spoken if len(views) == 1 else None
    of_time = [item for view in timed or views for item in view.results]
    yield FirstAnswer(question=goes, sentences=tuple(_where(of_time or items, spoken)))
    yield FirstAnswer(question="Can I trust it?", sentences=tuple(_trust(views)))
    steps = tuple(_gate(views)) + tuple(_steps(views[-1]))
    if steps:
        yield FirstAnswer(question="What should I try next?", sentences=(), steps=steps[:_MOST_STEPS])


def _where(items: Sequence[ResultView], spoken: ResultView | None) -> Iterator[str]:
    known = [item for item in items if item.spending]
    if not known:
        yield "It is not known: no network has an undisturbed figure of every layer."
        return
    if spoken is not None or len(known) == 1:
        shown = next((item for item in known if item is spoken), known[0])
        said = headlines.of_spending(shown) or ""
        yield said if len(items) == 1 else f"{shown.label}: {said}"
        return
    known = [item for item in known if item.result.variant.convolution != "standard"] or known
    shares: dict[Op, list[float]] = {}
    for item in known:
        for part in item.spending:
            shares.setdefault(part.op, []).append(part.share)
    whole = {op: [*found, *[0.0] * (len(known) - len(found))] for op, found in shares.items()}
    first, *others = sorted(whole, key=lambda op: -statistics.fmean(whole[op]))[:_FEW]
    yield f"Mostly to {labels.op(first)} layers: {_between(whole[first])} of each network."
    for op in others:
        yield f"Then to {labels.op(op)} layers: {_between(whole[op])}."


def _gate(views: Sequence[RecordView]) -> Iterator[NextStep]:
    """Yield the judgement of two runs of the same networks at the same place."""
    if len(views) != len(("base", "head")):
        return
    runs = [{item.result.variant.name for item in view.results} for view in views]
    places = {(view.record.target.name, view.record.device.kind, view.record.settings.threads) for view in views}
    if runs[0] & runs[1] and len(places) == 1:
        first, second = sorted(views, key=lambda view: view.record.created_at_utc)
        files = [f"{names.component(view.record.run_id)}.json" for view in (first, second)]
        words = "Judge whether the later run is worse, with the files of both records"
        yield NextStep(words=words, command=shlex.join(["mbench", "gate", *files]))


def _between(shares: Sequence[float]) -> str:
    low, high = units.percent(min(shares), 0), units.percent(max(shares), 0)
    return _tied(low if low == high else f"{low} to {high}")


def _tied(text: str) -> str:
    return text.replace(" %", "\u00a0%")


def _trust(views: Sequence[RecordView]) -> Iterator[str]:
    items = [item for view in views for item in view.results]
    yield from _outputs(items)
    failed = sum(len(view.record.failures) for view in views)
    if failed:
        yield f"{units.counted(failed, 'network')} failed."
    if any(view.emulated for view in views):
        whose = "Counts" if all(view.emulated for view in views) else "Counts of what was emulated"
        yield f"{whose} are exact: the same on every machine and every time."
    timed = [item for item in items if item.latency]
    disturbed = [item for item in timed if item.disturbed]
    if disturbed:
        yield f"Do not rely on times of {_of(len(disturbed), timed)}: other work disturbed them."
    quiet = [item for item in timed if not item.disturbed]
    single = [item for item in quiet if item.headline and item.headline.sessions <= 1]
    if single:
        yield f"One process measured {_of(len(single), timed)}, so how far processes lie apart is not known."
    several = [item for item in quiet if item not in single]
    known = [item.smallest_change for item in several if item.smallest_change is not None]
    if known:
        low, high = units.change(min(known)), units.change(max(known))
        range_ = low if low == high else f"{low} to {high}, by network"
        yield _tied(f"The smallest slow-down that two such runs would show: {range_}.")
    warned = sum(bool(item.result.warnings) for item in items)
    if warned:
        yield f"There are warnings about {_of(warned, items)}."


def _outputs(items: Sequence[ResultView]) -> Iterator[str]:
    checked = [item for item in items if item.result.numerics is not None]
    wrong = sum(item.wrong for item in checked)
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


def _steps(view: RecordView) -> Iterator[NextStep]:
    record, timed = view.record, [item for item in view.results if item.latency]
    first = view.first
    if first is None:
        return
    hit = next((item for item in timed if item.disturbed), None)
    if hit:
        others = [each.result.variant.name for each in view.results if view.pairs and not each.result.variant.imported]
        others = [name for name in others if name != hit.result.variant.name] if len(others) == _FEW else []
        yield NextStep(words="Measure again on a quiet machine", command=repeat.again(record, hit.result, *others))
    elif record.settings.sessions == 1 and any(item.headline for item in timed):
        yield NextStep(words="Run it in five sessions, to learn how far processes lie apart: leave out --quick")
    yield from _slow_layer(view, timed)
    types = {item.result.variant.dtype for item in view.results}
    possible = dtypes.INT8 in platforms.of(record.target).types(record.target)
    if types == {dtypes.DEFAULT} and possible and first.result.variant.convolution != "standard":
        command = repeat.again(record, first.result, dtype=f"{dtypes.DEFAULT},{dtypes.INT8}")
        yield NextStep(words="See what int8 gives", command=command)
    if view.unpaired and not view.pairs:
        yield NextStep(
            words="See what its depthwise convolutions save", command=repeat.together(record, *view.unpaired[0])
        )
    if len(view.results) > _FEW and not view.emulated:
        yield NextStep(words="Let a search find the best network within your limits: mbench fit --help")


def _slow_layer(view: RecordView, timed: Iterable[ResultView]) -> Iterator[NextStep]:
    """Yield a search for the kernel that wastes most, where one is far below its roofline: on this machine."""
    record = view.record
    if not device_kinds.of(record.device.kind).here:
        return
    found = [
        (item, each.row, each.share * (1 - each.row.layer.roofline.fraction_of_bound))
        for item in timed
        if not item.disturbed and (view.spoken is None or item is view.spoken)
        for each in item.slowest
        if each.share >= _LARGE and each.row.layer.roofline and not each.row.above
        and each.row.layer.roofline.fraction_of_bound < _FAR_FROM_BOUND
    ]  # fmt: skip
    if not found:
        return
    item, row, _ = max(found, key=lambda each: each[2])
    roof = row.layer.roofline
    whose = f" of {item.label}" if len(view.results) > 1 else ""
    reached = f"{units.percent(roof.fraction_of_bound, 0)} of what {roof.bound} allows" if roof else ""
    words = f"Look for a quicker {row.layer.name}{whose}: it reaches {reached}"
    asked = ["--target", record.target.name, "--threads", str(record.settings.threads)]
    asked += ["--dtype", item.result.variant.dtype] if item.result.variant.dtype != dtypes.DEFAULT else []
    asked += [word for folder in record.settings.target_folders for word in ("--targets", folder)]
    command = shlex.join(["mbench", "tune", variants.typed(item.result.variant), *asked])
    yield NextStep(words=_tied(words), command=command)
