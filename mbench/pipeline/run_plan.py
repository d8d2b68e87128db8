"""What is known of the time that a run takes before it begins: what is to be built, and what sessions took before."""

from __future__ import annotations

import contextlib
import statistics
from collections.abc import Mapping, Sequence

from mbench.build import builders as builds
from mbench.core import session_times
from mbench.core.errors import MbenchError
from mbench.core.progress import NetworkPlan, RunPlan
from mbench.core.records import Variant
from mbench.core.session_times import SessionTime
from mbench.hardware import device_kinds, targets
from mbench.networks import architectures
from mbench.pipeline.job import Job

_FIXED_SIZE = 30
"""What a build has to do whatever the network, in layers: to start, to draw weights, to link."""


def left(job: Job) -> tuple[str, ...]:
    """Return the networks that a run is going to measure."""
    return job.settings.variants if job.before is None else job.before.unfinished()


def of(job: Job, builders: int | None) -> RunPlan:
    """Return what is known of the time of a run; `builders`: how many builds run side by side."""
    sessions = 0 if job.settings.compile_only else job.settings.sessions
    networks: dict[str, NetworkPlan] = {}
    seen = session_times.known(_kind(job))
    with contextlib.suppress(MbenchError):  # whatever is wrong with a network, the run says it
        networks = _networks(job, seen)
    load_s = 0.0 if job.settings.sustain_s is None else job.settings.sustain_s
    repeated = statistics.fmean(each.repeated for each in seen) if seen else 0.0
    return RunPlan(
        networks=networks, builders=builders, sessions=sessions, repeated=repeated, load_s=load_s,
        side_by_side=device_kinds.of(job.device).farm,
    )  # fmt: skip


def keep(job: Job, took_s: Mapping[str, Sequence[float]]) -> None:
    """Remember what the sessions of networks took, by name; of each at least one."""
    wanted = job.settings.sessions
    found = [session_times.of(_macs(each), took_s[each.name], wanted) for each in job.named(took_s)]
    session_times.add(_kind(job), found)


def _networks(job: Job, seen: Sequence[SessionTime]) -> dict[str, NetworkPlan]:
    wanted = job.named(left(job))
    target = targets.for_threads(job.target, job.settings.threads)
    built = builds.already_built(wanted, target, job.choices) if job.use_cache else frozenset[str]()
    expected = session_times.line([(each.macs, each.session_s) for each in seen]) if seen else None
    once_s = statistics.median(each.once_s for each in seen) if seen else 0.0
    return {
        each.name: NetworkPlan(
            build_size=0.0 if each.name in built else _FIXED_SIZE + len(architectures.layers(each)),
            macs=(macs := _macs(each)),
            session_s=None if expected is None else expected(macs),
            once_s=once_s,
        )
        for each in wanted
    }


def _macs(variant: Variant) -> int:
    return sum(layer.macs for layer in architectures.layers(variant))


def _kind(job: Job) -> tuple[object, ...]:
    """Return what runs have in common whose sessions of a network take as long."""
    settings = job.settings
    asked = (settings.threads, settings.repeat, settings.layer_repeat, settings.measure_max_s, settings.sessions > 1)
    place = (job.host.name, job.host.cpu, job.target.name, job.device, job.device_name)
    return (*place, settings.dtype, settings.counts, *asked)
