"""The digests that artifacts would have that are built now: a cell that was recorded with another one is open."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from mbench.build import build as builder
from mbench.core.records import Variant
from mbench.hardware import targets
from mbench.pipeline.job import Job

_NETWORK = "variant"
"""Among what decides a build, what is a network's own."""


def now(job: Job, networks: Iterable[Variant]) -> dict[str, str]:
    """Return the digest of each network by its name.

    What decides all builds of a target is looked up once for each family: thousands of networks take a moment.
    """
    target = targets.for_threads(job.target, job.settings.threads)
    shared: dict[str, dict[str, str]] = {}
    found = {}
    for network in networks:
        group = "" if network.imported else network.family
        if group not in shared:
            shared[group] = builder.digest_inputs(network, target, job.choices)
        found[network.name] = builder.digest(shared[group] | {_NETWORK: msgspec.json.encode(network).decode()})
    return found
