"""What two runs were asked for, and what of it can be judged: a verdict is about all of it, or names what it lacks.

A network that is missing or wrong in the head alone is worse there. One that could not be built or measured, though it
was asked for, is not measured: the verdict names it with the reason and never passes. One that failed in the base and
has a result in the head has nothing to compare with, and is shown.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

from mbench.analysis import instruction_counts, pairs
from mbench.core.records import Record, Result
from mbench.gating.comparison import Finding, Metric, Outcome
from mbench.gating.sides import Given

_NAMED = 3
"""Networks of a run that a line names."""


class Unfit(NamedTuple):
    """Why what a record holds of a network cannot be judged."""

    reason: str
    kind: Literal["failed", "wrong", "unfinished"]
    """Whether it could not be built or run, came out wrong, or was not measured whole."""


def networks(record: Record) -> tuple[str, ...]:
    """Return the names of the networks that a record was asked for, or holds anything of."""
    held = (result.variant.name for result in record.results)
    failed = (failure.variant for failure in record.failures)
    return tuple(dict.fromkeys((*record.settings.variants, *held, *failed)))


def unfit(record: Record, name: str) -> Unfit | None:
    """Return why what a record holds of a network cannot be judged; None if it can."""
    found = [result for result in record.results if result.variant.name == name]
    for each in found:  # first of all: a run that finds a wrong result records a failure beside it
        if each.numerics is not None and not each.numerics.passed:
            return Unfit(f"wrong result: {each.numerics.detail or each.numerics.reference}", "wrong")
    failure = next((each for each in record.failures if each.variant == name), None)
    if failure is not None:
        return Unfit(f"failed while {failure.stage}: {failure.reason}", "failed")
    if len(found) != 1:
        return Unfit(f"{len(found)} results, expected one" if found else "no result: unfinished", "unfinished")
    reason = _lacks(record, found[0])
    return Unfit(reason, "unfinished") if reason else None


def _lacks(record: Record, result: Result) -> str:
    """Return what a result lacks to be judged; nothing where it is whole."""
    if result.numerics is None and result.end_to_end.latency_s:
        return "timed, but its output was not checked"
    if not result.layers:
        return "its result has no layers"
    if instruction_counts.wanted(record) and result.counts is None:
        return f"not counted, as was asked for: {pairs.why_missing(result, 'counts')}"
    return ""


def result(record: Record, name: str) -> Result | None:
    """Return the result of a network, if it can be judged."""
    if unfit(record, name) is not None:
        return None
    return next(each for each in record.results if each.variant.name == name)


def comparable(base: Record, head: Record) -> tuple[tuple[str, Result, Result], ...]:
    """Return each network that can be judged in both runs: its name, and its result in each."""
    found = [(name, result(base, name), result(head, name)) for name in networks(base) if name in networks(head)]
    return tuple((name, ours, theirs) for name, ours, theirs in found if ours and theirs)


def apart(base: Record, head: Record) -> tuple[str, ...]:
    """Return that two runs have no network in common, and what is in each; nothing where they share one."""
    ours, theirs = networks(base), networks(head)
    if set(ours) & set(theirs) or not (ours or theirs):
        return ()
    return (f"no network is in both: the base has {_few(ours)}; the head has {_few(theirs)}",)


def _few(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"{', '.join(names[:_NAMED]) or 'none'}{more}"


def presence(base: Given, head: Given) -> tuple[Finding, ...]:
    """Return what is gone, wrong or new in the head, and what was asked for in either run and cannot be judged."""
    names = (name for given in (base, head) for record in given.runs[::-1] for name in networks(record))
    return tuple(finding for name in dict.fromkeys(names) for finding in _of_network(name, base, head))


def _of_network(name: str, base: Given, head: Given) -> Iterator[Finding]:
    """Yield what became of a network; nothing where both runs have a result that can be judged."""
    old, new = name in networks(base.record), name in networks(head.record)
    before = unfit(base.record, name) if old else None
    after = unfit(head.record, name) if new else None
    mended = new and not after and before is not None and before.kind == "failed"
    broken = not before and after is not None and after.kind == "wrong"
    if before and mended:
        yield _bare(name, "result", "information", f"it has a result in the head; in the base it {before.reason}")
    if after and broken:
        yield _bare(name, "result", "regressed", f"in the head: {after.reason}")
    if old and not new and not before:
        yield _bare(name, "presence", "regressed", "gone: the head has no such network")
    if new and not old and not after:
        yield _bare(name, "presence", "undecided", _NEW)
    lacking = [("base", "", before), ("head", "", None if broken else after)]
    lacking += [("base", *each) for each in _earlier(base, name)] + [("head", *each) for each in _earlier(head, name)]
    reasons = [
        f"in the {word}{file}: {lack.reason}"
        for word, file, lack in lacking
        if lack and not (mended and word == "base" and lack.kind == "failed")
    ]
    if reasons:
        yield _bare(name, "result", "unmeasured", "; ".join(reasons))


_NEW = "new: the base has no such network; nothing to compare with until the baseline has it, or it is accepted"


def _earlier(given: Given, name: str) -> Iterator[tuple[str, Unfit]]:
    """Yield what runs before the newest lack of a network that they were asked for, each with its file."""
    for index, record in enumerate(given.runs[:-1]):
        lack = unfit(record, name) if name in networks(record) else None
        if lack:
            yield f", {given.file(index).name}", lack


def _bare(variant: str, metric: Metric, outcome: Outcome, reason: str) -> Finding:
    return Finding(
        variant=variant, metric=metric, way="static", base=None, head=None, outcome=outcome, reason=reason
    )  # fmt: skip
