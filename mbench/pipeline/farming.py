"""The networks of a run on a farm: each goes to a free device, with all its sessions; several are measured at once."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from mbench.core import resources
from mbench.core.artifact import Artifact
from mbench.core.errors import MeasureError, OutputError, UsageError
from mbench.core.farm_records import MOST_SET_ASIDE, Farm, FarmDevice
from mbench.core.progress import Note, Progress, Report
from mbench.core.records import Failure, Record, Result, Variant
from mbench.devices import farm_file, labgrid, tracker
from mbench.devices.address import host_and_port
from mbench.devices.farm import DeviceFarm, FarmDone, FarmDoubted, FarmEvent, FarmLost, HowToHold
from mbench.devices.farm_board import BoardPlan, FarmBoard, Reference
from mbench.devices.farm_file import FarmEntry, FarmFile
from mbench.devices.farm_tasks import FarmTask
from mbench.devices.labgrid import LabgridPlace
from mbench.devices.tickets import TicketOffice
from mbench.measure.disturbance import Quiet
from mbench.measure.observation import Observation
from mbench.networks import variants
from mbench.pipeline import observe, quiet_machine, turns
from mbench.pipeline.job import Job
from mbench.pipeline.turns import Turns, WriteFound

_ANSWER_S = 10.0
OWN_PEAKS = OWN_MACHINE = "each device of the farm has its own, see farm.devices"
_NOT_COUNTED = "the run ended before"
_NO_PEAKS = "the farm file says peaks = false"


def check(path: str, target: str, dirs: Sequence[Path]) -> None:
    """Look, before anything is built, whether a farm file is right and has a device for a target.

    Raises:
        UsageError: it is not, or has none; or a device is in a place, and labgrid is not installed.
    """
    rules = farm_file.read(Path(path), dirs)
    fit = farm_file.fitting(rules, target, Path(path))
    _reference_variant(path, rules)
    if any(entry.place is not None for entry in fit.values()):
        labgrid.client()


def measure_all(
    job: Job, record: Record, ready: dict[str, tuple[Artifact, bool]], progress: Progress, keep: WriteFound
) -> Record:
    """Measure every network that was built on the devices of the job's farm; return the record, which is on disk.

    Raises:
        UsageError: the farm file is wrong, its reference network cannot be built, or the farm is not as it was.
        OutputError: the record could not be written.
        KeyboardInterrupt: the user ended it; what was measured until then is in the record.
    """
    rules = farm_file.read(Path(job.address), [Path(each) for each in job.settings.target_folders])
    reference = _reference(job, rules, progress)
    _refuse_another(job, reference, rules)
    reached = list(plans(Path(job.address), rules, job.target.name, progress.note))
    _refuse_moved(job, reached)
    boards = [FarmBoard(plan, reference, rules) for plan in reached]
    if job.wait_quiet_s is not None:
        quiet_machine.wait(job.wait_quiet_s, progress.note, processors=job.host.cores_logical)
    run = _FarmRun(job, ready, reference, rules, boards, keep, progress)
    with contextlib.ExitStack() as stack:
        if job.counted:
            run.counting = stack.enter_context(contextlib.closing(observe.Counting(job, tuple(ready), progress)))
        how = HowToHold(target=job.target, lock_dir=resources.cache_dir(), timeout_s=job.settings.timeout_s)
        farm = DeviceFarm(boards, rules, how, prepare=run.prepare, work=run.sessions)
        tasks = [FarmTask(artifact) for artifact, _ in ready.values()]
        record = _heard_all(farm, tasks, run, record, progress)
        return keep(run.described(record))  # with what became of devices after the last result


def _heard_all(
    farm: DeviceFarm, tasks: Sequence[FarmTask], run: _FarmRun, record: Record, progress: Progress
) -> Record:
    """Return the record with what became of every task; where the user interrupts that, write what is known."""
    in_hand: FarmEvent | None = None
    with contextlib.closing(farm.measure(tasks, progress)) as events:
        try:
            for event in events:
                in_hand = event
                record = run.heard(record, event)
                in_hand = None
        except KeyboardInterrupt:
            try:
                events.close()  # only now is known what the devices had finished
            finally:
                left = farm.unheard if in_hand is None else (in_hand, *farm.unheard)
                try:
                    run.ended(record, left, farm.unchecked)
                except OutputError as error:
                    progress.note(str(error))
            raise
    return record


def _reference(job: Job, rules: FarmFile, progress: Progress) -> Reference:
    """Return the reference network, built.

    Raises:
        UsageError: it is no network, or cannot be built.
    """
    variant = _reference_variant(job.address, rules)
    built = job.place.build_all(
        [variant], job.target, lambda *_: None, use_cache=job.use_cache, timeout_s=job.build_timeout_s,
        note=progress.note,
    )[variant.name]  # fmt: skip
    if isinstance(built, Failure):
        raise UsageError(f"{job.address}: the reference network {variant.name} cannot be built: {built.reason}")
    artifact = built[0]
    return Reference(artifact=artifact, plan=lambda: observe.plan(job.settings, artifact))


def _reference_variant(path: str, rules: FarmFile) -> Variant:
    """Return the reference network that a farm file names.

    Raises:
        UsageError: it is no network.
    """
    try:
        return variants.parse(rules.reference)
    except UsageError as error:
        raise UsageError(f"{path}: reference: {error}") from error


# ------------------------------------------------------------------------------------------------------------- devices
def plans(path: Path, rules: FarmFile, target: str, note: Note) -> Iterator[BoardPlan]:
    """Yield how each device of a farm file is reached that fits a target.

    Raises:
        UsageError: none fits, a tracker has none or several or does not answer where several are expected, or a place
            needs a labgrid that is not installed.
    """
    silent = set[str]()
    for name, entry in farm_file.fitting(rules, target, path).items():
        kind = entry.kind or entry.targets[0]
        if entry.count is not None:
            yield from _sharing(name, kind, entry, note)
            continue
        if entry.tracker is not None and entry.tracker not in silent and not _alone(name, entry):
            silent.add(entry.tracker)
        place = None
        if entry.place is not None and rules.labgrid is not None:
            config = rules.labgrid.config and path.parent / rules.labgrid.config
            place = LabgridPlace(entry.place, rules.labgrid.coordinator, config or None)
        yield BoardPlan(name=name, kind=kind, address=entry.address, place=place, power_cycle=entry.power_cycle or ())


def _alone(name: str, entry: FarmEntry) -> bool:
    """Return whether a tracker answers; then it has no second device with the key of one.

    Raises:
        UsageError: it has several, and would give any of them.
    """
    try:
        found = set(tracker.boards(entry.address, answer_s=_ANSWER_S))
    except MeasureError:
        return False  # the device is set aside, unless the tracker answers by then
    if len(found) > 1:
        raise UsageError(
            f"devices.{name}: the tracker {entry.tracker} has {len(found)} devices with the key {entry.key!r}; "
            f"write count = {len(found)}, or give each a key of its own"
        )
    return True


def _sharing(name: str, kind: str, entry: FarmEntry, note: Note) -> Iterator[BoardPlan]:
    """Yield the devices that a tracker has under one key, by their own addresses.

    Raises:
        UsageError: it has none, or does not answer.
    """
    assert entry.count is not None
    try:
        found = tracker.boards(entry.address, answer_s=_ANSWER_S)
    except MeasureError as error:
        raise UsageError(f"devices.{name}: {error}") from error
    if not found:
        raise UsageError(f"devices.{name}: the tracker {entry.tracker} has no device with the key {entry.key!r}")
    if len(found) < entry.count:
        note(
            f"{name}: the tracker {entry.tracker} has {len(found)} of {entry.count} devices with the key {entry.key!r}"
        )
    office = TicketOffice(entry.address)
    for address in found[: entry.count]:
        own = f"{name}@{host_and_port(address.host, address.port)}"
        yield BoardPlan(name=own, kind=kind, address=address, office=office, power_cycle=entry.power_cycle or ())


# ----------------------------------------------------------------------------------------------------------------- run
class _FarmRun:
    """What a run does on each device, and what it makes of what comes back."""

    def __init__(
        self,
        job: Job,
        ready: dict[str, tuple[Artifact, bool]],
        reference: Reference,
        rules: FarmFile,
        boards: Sequence[FarmBoard],
        keep: WriteFound,
        progress: Progress,
    ) -> None:
        self.counting: observe.Counting | None = None
        self._job, self._ready, self._reference, self._rules = job, ready, reference, rules
        self._boards, self._keep, self._progress = boards, keep, progress
        self._interrupted = False

    # in a device's thread -------------------------------------------------------------------------------------------
    def prepare(self, board: FarmBoard, report: Report, note: Note) -> None:
        """Measure the peaks of a device, where they are wanted."""
        if not self._rules.peaks:
            board.missing["calibration"] = _NO_PEAKS
            return
        peaks = observe.measured_peaks(self._job, board.device, report, note)
        if isinstance(peaks, str):
            board.missing["calibration"] = peaks
        else:
            board.calibration = peaks

    def sessions(self, board: FarmBoard, task: FarmTask, report: Report) -> Sequence[Observation]:
        """Measure all sessions of a network on a device."""
        mine, wanted, quiet = Turns(task.artifact, cached=False), self._job.settings.sessions, self._quiet(board)
        for _ in turns.in_turn([mine], wanted, quiet):
            which = turns.which_session(mine, wanted, quiet)
            plan = observe.plan(self._job.settings, task.artifact, meter=not mine.seen)
            mine.seen.append(board.measure(task.artifact, plan, functools.partial(_labelled, report, which)))
        return tuple(mine.seen)

    def _quiet(self, board: FarmBoard) -> Quiet:
        processors = board.machine.cores_logical if board.machine else self._job.host.cores_logical
        return Quiet(processors=processors, calibration=board.calibration)

    # in the run's own thread ----------------------------------------------------------------------------------------
    def heard(self, record: Record, event: FarmEvent) -> Record:
        """Return the record with what became of a network."""
        if isinstance(event, FarmDone):
            return self._done(record, event)
        if isinstance(event, FarmLost):
            return self._lost(record, event.task)
        return self._doubted(record, event)

    def ended(self, record: Record, left: Sequence[FarmEvent], unchecked: dict[str, str]) -> Record:
        """Return the record with what was not heard when the user ended the run.

        Args:
            record: as it was then.
            left: what had become of networks.
            unchecked: networks, each with the device that was not checked again after it.
        """
        self._interrupted = True
        for event in left:
            record = self.heard(record, event)
        results = tuple(
            _with_warning(each, f"the run ended before {each.device} was checked again")
            if each.device is not None and unchecked.get(each.variant.name) == each.device
            else each
            for each in record.results
        )
        return self._keep(self.described(msgspec.structs.replace(record, results=results)))

    def _done(self, record: Record, event: FarmDone) -> Record:
        name = event.task.name
        seen = list(event.seen)
        if self.counting and seen[0].numerics.passed:
            seen[0] = (
                msgspec.structs.replace(seen[0], counts_missing=_NOT_COUNTED)
                if self._interrupted
                else self.counting.added(name, seen[0])
            )
        mine = Turns(event.task.artifact, self._ready[name][1], seen=seen)
        found = turns.made(self._job, mine, self._quiet(event.board))
        found = tuple(
            msgspec.structs.replace(each, device=event.board.name) if isinstance(each, Result) else each
            for each in found
        )
        record = self._keep(self.described(_without(record, name)), *found)
        failed = any(isinstance(each, Failure) for each in found)
        self._progress.stage(name, "failed" if failed else "done", 1.0)
        return record

    def _lost(self, record: Record, task: FarmTask) -> Record:
        record = self.described(record)
        if task.measured:  # the result of a doubted device is all there is, and says so
            return self._keep(record)
        self._progress.stage(task.name, "failed", 1.0)
        failure = Failure(variant=task.name, stage=task.stage, reason=task.reason, detail=task.detail)
        return self._keep(record, failure)

    def _doubted(self, record: Record, event: FarmDoubted) -> Record:
        names = {task.name for task in event.tasks}
        warning = f"measured on {event.board.name} before it was set aside: {event.reason}"
        results = tuple(_with_warning(each, warning) if each.variant.name in names else each for each in record.results)
        return self._keep(self.described(msgspec.structs.replace(record, results=results)))

    def described(self, record: Record) -> Record:
        """Return the record with what is known of the farm by now."""
        before = self._job.before.farm if self._job.before else None
        now = tuple(_since(before, board.described()) for board in self._boards)
        names = {device.name for device in now}
        gone = tuple(device for device in before.devices if device.name not in names) if before else ()
        farm = Farm(
            reference=self._reference.artifact.manifest.variant.name,
            reference_digest=self._reference.artifact.manifest.digest,
            reference_sessions=self._rules.reference_sessions,
            devices=(*gone, *now),
        )
        missing = {"calibration": OWN_PEAKS, "machine": OWN_MACHINE}
        device = msgspec.structs.replace(record.device, missing=missing)
        order = {name: index for index, name in enumerate(record.settings.variants)}
        results = tuple(sorted(record.results, key=lambda each: order[each.variant.name]))
        return msgspec.structs.replace(record, farm=farm, device=device, results=results)


def _without(record: Record, name: str) -> Record:
    """Return a record without what is known of a network: another device measured it again."""
    return msgspec.structs.replace(
        record,
        results=tuple(each for each in record.results if each.variant.name != name),
        failures=tuple(each for each in record.failures if each.variant != name),
    )


def _with_warning(result: Result, warning: str) -> Result:
    return msgspec.structs.replace(result, warnings=(*result.warnings, warning))


def _since(before: Farm | None, now: FarmDevice) -> FarmDevice:
    """Return a device with what an earlier part of the same run saw of it."""
    then = before.device(now.name) if before else None
    if then is None:
        return now
    return msgspec.structs.replace(
        now,
        machine=now.machine or then.machine,
        calibration=now.calibration or then.calibration,
        reference_s=(*then.reference_s, *now.reference_s),
        set_aside=(*then.set_aside, *now.set_aside)[-MOST_SET_ASIDE:],
    )


def _refuse_another(job: Job, reference: Reference, rules: FarmFile) -> None:
    """Refuse to go on with a record whose devices were checked with another network.

    Raises:
        UsageError: they were.
    """
    before = job.before.farm if job.before else None
    if before is None:
        return
    then = (before.reference_digest, before.reference_sessions)
    if then != (reference.artifact.manifest.digest, rules.reference_sessions):
        raise UsageError(f"{job.path}: the farm's reference network has changed since: start a new run")


def _refuse_moved(job: Job, reached: Sequence[BoardPlan]) -> None:
    """Refuse to go on where a name stands for another device than in the record.

    Raises:
        UsageError: it does.
    """
    before = job.before.farm if job.before else None
    for plan in reached:
        then = before.device(plan.name) if before else None
        if then is not None and then.address.lower() != str(plan.address).lower():
            raise UsageError(
                f"{job.path}: the farm's device '{plan.name}' was at {then.address}, now it is at {plan.address}; a "
                "record holds one device by a name: start a new run"
            )


def _labelled(report: Report, which: str, stage: str, fraction: float) -> None:
    report(which + stage, fraction)
