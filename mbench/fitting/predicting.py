"""`mbench predict`: what networks would cost by what is known of others, without measuring anything."""

from __future__ import annotations

from collections.abc import Sequence

from mbench.core import plain
from mbench.core.errors import UsageError
from mbench.core.fit_options import FitOptions
from mbench.core.fit_records import CandidateResult, DeviceLimits, PredictionQuality
from mbench.core.machine_types import Host
from mbench.core.progress import Note
from mbench.fitting import estimates, finding
from mbench.fitting.observations import Observations
from mbench.pipeline.job import Job


def predicted(
    words: Sequence[str], target: str, machine: Host, options: FitOptions, note: Note
) -> tuple[tuple[CandidateResult, ...], PredictionQuality | None]:
    """Return networks in the order given, with what they cost or would cost, and how far predictions are off.

    Raises:
        UsageError: a word or a target that cannot be, or nothing is known on this target.
        TargetError: the target is not known.
    """
    job, networks, accuracies = finding.asked(words, target, machine, options, note)
    seen = Observations(job, networks)
    if not seen.known:
        raise UsageError(_nothing(words, job, options))
    if "latency model" in seen.methods:
        note(f"latency is that of the target's model: {seen.methods['latency model']}")
    described = finding.planned(job, networks, note)
    made = estimates.made(described, seen.known, seen.failed, accuracies, DeviceLimits(), "accuracy")
    places = {each.name: place for place, each in enumerate(networks)}
    return tuple(sorted(made.candidates, key=lambda each: places[each.network.name])), made.quality


def _nothing(words: Sequence[str], job: Job, options: FitOptions) -> str:
    """Return that nothing was measured, and with what command it is."""
    threads = f"{job.settings.threads} thread{'s' if job.settings.threads > 1 else ''}"
    asked = [*words, "--target", job.target.name, "--threads", str(job.settings.threads)]
    asked += [] if options.device is None else ["--device", options.device]
    asked += [] if options.dtype is None else ["--dtype", options.dtype]
    asked += [] if options.batch == 1 else ["--batch", str(options.batch)]
    return (
        f"nothing has been measured for target '{job.target.name}' with {threads} by this version; measure some "
        f"networks first: mbench fit {' '.join(map(plain.quoted, asked))} --max-latency 1s"
    )
