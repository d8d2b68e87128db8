"""`mbench predict`: what networks would cost by what is known of others, without measuring anything."""

from __future__ import annotations

from collections.abc import Sequence

from mbench.core.errors import UsageError
from mbench.core.fit_options import FitOptions
from mbench.core.fit_records import CandidateResult, PredictionQuality
from mbench.core.machine_types import Host
from mbench.core.progress import Note
from mbench.fitting import estimates, finding
from mbench.fitting.observations import Observations


def predicted(
    words: Sequence[str], target: str, machine: Host, options: FitOptions, note: Note
) -> tuple[tuple[CandidateResult, ...], PredictionQuality | None]:
    """Return networks in the order given, with what they cost or would cost, and how far predictions are off.

    Raises:
        UsageError: a word or a target that cannot be, or nothing is known on this target.
        TargetError: the target is not known.
    """
    job, question = finding.prepared(words, target, machine, options, note, searching=False)
    seen = Observations(job)
    if not seen.known:
        threads = job.settings.threads
        raise UsageError(
            f"nothing has been measured for target '{job.target.name}' with {threads} "
            f"thread{'s' if threads > 1 else ''} by this version; measure some networks first: "
            f"mbench fit {' '.join(words)} --target {job.target.name} --threads {threads} --max-latency 1s"
        )
    made = estimates.made(
        question.candidates, seen.known, seen.failed, question.accuracies, question.limits, "accuracy"
    )
    places = {each.name: place for place, each in enumerate(question.candidates)}
    return tuple(sorted(made.candidates, key=lambda each: places[each.network.name])), made.quality
