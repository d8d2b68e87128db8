"""What two runs were asked for, and what of it can be judged: a verdict is about all of it, or names what it lacks.

A network that is missing, failed, wrong or unfinished in the head alone is worse there. Whatever the base lacks cannot
be compared, nor what the head was asked for and did not end: that is not measured, and never passes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from mbench.analysis import instruction_counts, pairs
from mbench.core.records import Record, Result
from mbench.gating.comparison import Finding, Metric, Outcome
from mbench.gating.sides import Given


class Unfit(NamedTuple):
    """Why what a record holds of a network cannot be judged."""

    reason: str
    broken: bool
    """Whether the network failed or came out wrong; else it was not measured, or not whole."""


class Presence(NamedTuple):
    """What became of the networks that two runs were asked for, apart from their figures."""

    findings: tuple[Finding, ...]
    not_measured: tuple[str, ...]


def networks(record: Record) -> tuple[str, ...]:
    """Return the names of the networks that a record was asked for, or holds anything of."""
    held = (result.variant.name for result in record.results)
    failed = (failure.variant for failure in record.failures)
    return tuple(dict.fromkeys((*record.settings.variants, *held, *failed)))


def unfit(record: Record, name: str) -> Unfit | None:
    """Return why what a record holds of a network cannot be judged; None if it can."""
    failure = next((each for each in record.failures if each.variant == name), None)
    if failure is not None:
        return Unfit(f"failed while {failure.stage}: {failure.reason}", broken=True)
    found = [result for result in record.results if result.variant.name == name]
    if len(found) != 1:
        return Unfit(f"{len(found)} results, expected one" if found else "no result: unfinished", broken=False)
    return _unfit_result(record, found[0])


def _unfit_result(record: Record, result: Result) -> Unfit | None:
    numerics = result.numerics
    if numerics is not None and not numerics.passed:
        return Unfit(f"wrong result: {numerics.detail or numerics.reference}", broken=True)
    if numerics is None and result.end_to_end.latency_s:
        return Unfit("timed, but its output was not checked", broken=False)
    if not result.layers:
        return Unfit("its result has no layers", broken=False)
    if instruction_counts.wanted(record) and result.counts is None:
        return Unfit(f"not counted, as was asked for: {pairs.why_missing(result, 'counts')}", broken=False)
    return None


def result(record: Record, name: str) -> Result | None:
    """Return the result of a network, if it can be judged."""
    if unfit(record, name) is not None:
        return None
    return next(each for each in record.results if each.variant.name == name)


def comparable(base: Record, head: Record) -> tuple[tuple[str, Result, Result], ...]:
    """Return each network that can be judged in both runs: its name, and its result in each."""
    found = [(name, result(base, name), result(head, name)) for name in networks(base) if name in networks(head)]
    return tuple((name, ours, theirs) for name, ours, theirs in found if ours and theirs)


def presence(base: Given, head: Given) -> Presence:
    """Return what is gone, broken or new in the head, and what was asked for and cannot be judged."""
    findings: list[Finding] = []
    not_measured: list[str] = []
    ours, theirs = networks(base.record), networks(head.record)
    for name in dict.fromkeys((*ours, *theirs)):
        before, after = (unfit(given.record, name) for given in (base, head))
        if name not in ours:
            before = None
        if name in ours and before:
            not_measured.append(f"{name}: base: {before.reason}")
        elif name not in theirs:
            findings.append(_bare(name, "presence", "regressed", "gone: the head has no such network"))
        if name in theirs and after and (before or not after.broken):
            not_measured.append(f"{name}: head: {after.reason}")
        elif name in theirs and after:
            findings.append(_bare(name, "result", "regressed", f"in the head: {after.reason}"))
        elif name not in ours:
            findings.append(_bare(name, "presence", "undecided", _NEW))
    return Presence(tuple(findings), (*not_measured, *_earlier("base", base), *_earlier("head", head)))


_NEW = "new: the base has no such network; nothing to compare with until the baseline has it, or it is accepted"


def _earlier(word: str, given: Given) -> Iterator[str]:
    """Yield what runs before the newest were asked for and lack."""
    for index, record in enumerate(given.runs[:-1]):
        for name in networks(record):
            lack = unfit(record, name)
            if lack:
                yield f"{name}: {word}, {given.file(index).name}: {lack.reason}"


def _bare(variant: str, metric: Metric, outcome: Outcome, reason: str) -> Finding:
    return Finding(
        variant=variant, metric=metric, way="static", base=None, head=None, outcome=outcome, reason=reason
    )  # fmt: skip
