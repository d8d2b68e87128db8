"""After the sessions of a run: each network under load without a pause, in one more fresh process."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from mbench.analysis import headline, sustained_load
from mbench.core import dtypes, durations
from mbench.core.artifact import Artifact
from mbench.core.errors import MeasureError
from mbench.core.progress import Progress, Report
from mbench.core.records import Failure, Record, Result
from mbench.core.settings import Settings
from mbench.devices.process import WorkerDied
from mbench.devices.protocols import DeviceRunner, Sustains
from mbench.measure import sessions, sustain
from mbench.measure.sustain import SustainPlan

NOT_YET = "not run: the run ended before"
_FIELD = "sustained"
_STEPS = (1, 5, 10, 30, 60, 300, 600, 1800, 3600)
"""Seconds by which the time left is shown: about a dozen steps, each of which is a line of a log."""
_MOST_STEPS = 12


def awaited(result: Result, settings: Settings) -> Result:
    """Return a result whose network will be put under load, with the reason why it was not yet."""
    if settings.sustain_s is None or result.end_to_end.latency_s is None:
        return result
    return _without(result, NOT_YET)


def run_all(
    record: Record,
    artifacts: Iterable[Artifact],
    device: DeviceRunner,
    progress: Progress,
    keep: Callable[..., Record],
    settle: Callable[[], object] = lambda: None,
) -> Record:
    """Put every network under load for as long as the record's settings say; return the record, which is on disk.

    Args:
        record: with the results of the sessions.
        artifacts: of the networks that have times.
        device: where they run.
        progress: shows the time left.
        keep: adds results and failures to a record, and returns it.
        settle: called before each network, to wait until the device is cool again.

    Raises:
        OutputError: the record could not be written.
    """
    if not isinstance(device, Sustains):
        why = f"the device {device.name} cannot run a network without a pause for a time"
        progress.note(f"--sustain: {why}")
        names = {artifact.manifest.variant.name for artifact in artifacts}
        return keep(record, *(_without(each, why) for each in record.results if each.variant.name in names))
    for artifact in artifacts:
        settle()
        record = _run(record, artifact, device, progress, keep)
    return record


def _run(
    record: Record, artifact: Artifact, device: Sustains, progress: Progress, keep: Callable[..., Record]
) -> Record:
    name, settings = artifact.manifest.variant.name, record.settings
    result = next(each for each in record.results if each.variant.name == name)
    assert settings.sustain_s is not None
    plan = SustainPlan(
        seconds=settings.sustain_s, threads=settings.threads, memory_offset=sessions.draw_offset(),
        tolerance=dtypes.of(artifact.manifest.variant.dtype).network_tolerance,
    )  # fmt: skip
    progress.note(f"{name}: under load for {durations.words(plan.seconds)}")
    try:
        seen = device.sustain(artifact, plan, _report(progress, name, plan.seconds))
    except MeasureError as error:
        stage, detail = (error.stage, error.detail) if isinstance(error, WorkerDied) else ("measuring", "")
        failure = Failure(variant=name, stage=f"--sustain, {stage}", reason=str(error), detail=detail)
        record = keep(record, _without(result, str(error)), failure)
        progress.stage(name, "failed", 1.0)
        return record
    found, quick = sustained_load, headline.of_result(result)
    curve = found.recorded(seen, asked_s=plan.seconds, headline_s=quick.median_s if quick else None)
    missing = {field: why for field, why in result.missing.items() if field != _FIELD}
    record = keep(record, msgspec.structs.replace(result, sustained=curve, missing=missing))
    progress.stage(name, "done", 1.0)
    return record


def _without(result: Result, why: str) -> Result:
    return msgspec.structs.replace(result, missing={**result.missing, _FIELD: why})


def _report(progress: Progress, name: str, seconds: float) -> Report:
    """Return what reports that a network is under load, with the time left; until it is, all of the time is left."""
    step = next((step for step in _STEPS if seconds / step <= _MOST_STEPS), _STEPS[-1])

    def report(stage: str, fraction: float) -> None:
        done = fraction if stage == sustain.STAGE else 0.0
        left_s = min(-(-seconds * (1 - done) // step) * step, seconds)
        progress.stage(name, f"{sustain.STAGE}, {durations.words(left_s)} left", done)

    return report
