"""The digests that artifacts would have that are built now: a cell that was recorded with another one is open."""

from __future__ import annotations

from collections.abc import Iterable

from mbench.build import build as builder
from mbench.core.records import Variant
from mbench.hardware import targets
from mbench.pipeline.job import Job


def now(job: Job, networks: Iterable[Variant]) -> dict[str, str]:
    """Return the digest of each network by its name."""
    return builder.digests(networks, targets.for_threads(job.target, job.settings.threads), job.choices)
