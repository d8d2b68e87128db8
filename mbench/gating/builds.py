"""The builds of two runs, found again to be measured now: beside the record, or in the cache of artifacts.

One function answers whether both are at hand and can be timed in turns on this machine: `gate --paired` needs them, and
a verdict that is left open offers them.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from mbench.core import artifact
from mbench.core.artifact import Artifact
from mbench.core.errors import UsageError, shown
from mbench.core.records import Record, Result
from mbench.gating import asked, sides
from mbench.gating.sides import Given
from mbench.hardware import host, platforms, targets

InCache = Callable[[str], Path | None]
"""Returns the folder of the cache for an artifact of a digest, whether or not it is there; None: no artifact there has
such a digest."""


class BothBuilds(NamedTuple):
    """One network as both runs built and described it."""

    variant: str
    base: Artifact
    head: Artifact
    ours: Result
    """Of the base."""
    theirs: Result
    """Of the head."""


def at_hand(base: Given, head: Given, cache: InCache) -> tuple[BothBuilds, ...]:
    """Return both builds of each network that can be judged in both runs, every file checked against its hash.

    Args:
        base: the one run.
        head: the other.
        cache: where the cache has an artifact.

    Raises:
        UsageError: this machine cannot time them in turns, or a build is missing, damaged or another one.
    """
    _refuse_elsewhere(head.record)
    return tuple(
        BothBuilds(name, found("base", base, ours, cache), found("head", head, theirs, cache), ours, theirs)
        for name, ours, theirs in asked.comparable(base.record, head.record)
    )


def _refuse_elsewhere(record: Record) -> None:
    """Raise UsageError if this machine cannot time what a run built."""
    target = record.target
    if not platforms.of(target).duels:
        raise UsageError(f"--paired: target '{target.name}': GPUs are not timed in turns in this version")
    machine = host.describe()
    support = targets.support(target, machine)
    if not support.measure:
        raise UsageError(f"--paired measures on this machine: target '{target.name}': {support.reason}")
    usable = machine.processors_usable or machine.cores_logical
    if record.settings.threads > usable:
        raise UsageError(
            f"--paired: the runs used {record.settings.threads} threads, this machine has {usable} processors"
        )


def found(side: str, given: Given, result: Result, cache: InCache) -> Artifact:
    """Return the artifact of a result: the one that is kept beside the record, or else the cache's.

    Args:
        side: `base` or `head`, for the message.
        given: the run.
        result: one of its results.
        cache: where the cache has an artifact.

    Raises:
        UsageError: it is in neither place, or the one that is found first is damaged, or of another build.
    """
    name, digest = result.variant.name, result.artifact.digest
    looked = []
    if given.path != sides.IN_MEMORY:
        kept = artifact.place(given.path, name)
        if artifact.is_folder(kept):
            return sides.kept_artifact(given, result)
        looked.append(f"not in {kept}")
    folder = cache(digest)
    if folder is None:
        looked.append(f"not in the cache, where no artifact has a digest such as {shown(digest)}")
    elif artifact.is_folder(folder):
        return sides.checked_artifact(folder, given, result)
    else:
        looked.append(f"not in the cache, {folder}")
    commit = given.record.labels.get("commit")
    raise UsageError(
        f"--paired: {side} {given.path}: no artifact of {name}, digest {shown(digest[:_DIGITS])}: {', '.join(looked)}; "
        f"run it again with --keep-artifacts{f' on commit {commit}' if commit else ', at its commit'}, or leave out "
        "--paired"
    )


_DIGITS = 12
"""Of a digest, in a message."""
