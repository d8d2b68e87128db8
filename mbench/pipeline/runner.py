"""The main job: variants for a target → artifacts → measurements → a record, written after every step.

Building is a pure function run in child processes; measuring holds a device alone, so it begins
when all builds are done. This process imports neither torch nor tvm: whatever happens to them happens to a child.
"""

from __future__ import annotations

import contextlib
import datetime
import functools
import secrets
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import msgspec

from mbench.build import builders
from mbench.core import artifact as artifacts
from mbench.core import machine_cache, needs, plain, record_files, resources, system_limits
from mbench.core.artifact import Artifact
from mbench.core.children import Died
from mbench.core.choices import NO_CHOICES, Choices
from mbench.core.errors import (
    BuildError,
    MeasureError,
    OutputError,
    PluginError,
    RecordError,
    TargetError,
    UsageError,
    shortened,
)
from mbench.core.machine_types import Device, DeviceKind, Host, Target
from mbench.core.progress import Progress
from mbench.core.records import Failure, Record, Result, Variant
from mbench.core.version import VERSION
from mbench.devices import registry
from mbench.devices.registry import DeviceChoice
from mbench.hardware import device_kinds, host, targets
from mbench.networks import variants
from mbench.pipeline import farming, keeping, results, room, turns
from mbench.pipeline.job import Job, counted_target
from mbench.tuning import choice_files

COMPILE_ONLY = "not measured: --compile-only"
NOT_YET = "not measured: the run ended before"
_LONGEST = 500
"""Characters of what a message quotes, or of what stands for a text too long for a record."""


def resolve_target(name: str, extra_dirs: tuple[Path, ...] = ()) -> Target:
    """Return a target by name. `host` is asked of LLVM in a child process, and kept until machine or versions change.

    Raises:
        TargetError: the name is not known, or its description is wrong.
        UsageError: TVM, which brings LLVM, is not installed.
    """
    if name != "host":
        return targets.load(name, extra_dirs=extra_dirs)
    targets.available(extra_dirs)  # a wrong folder is an error even where none of its targets is wanted
    file = _host_file()
    before = machine_cache.read(file, Target)
    if before is not None:
        return before
    needs.refuse_without()
    try:
        found = builders.in_a_child(targets.load, "host")
    except Died as error:
        raise BuildError("target 'host': the process that asked LLVM about this machine died; try again") from error
    machine_cache.write(file, found)
    return found


def _host_file() -> Path:
    """Return where the description of this machine is kept, by what it depends on."""
    machine = host.describe()
    parts = (machine.name, machine.cpu, machine.features, machine.caches_bytes, machine.versions)
    usable = (machine.cores_usable, machine.processors_usable, machine.architecture)
    hardware = resources.PACKAGE / "hardware"
    code = (hardware / "host.py", hardware / "llvm.py")
    return machine_cache.file("hosts", (parts, usable), [*code, resources.data_dir("targets") / "energy_default.toml"])


def run(job: Job, progress: Progress) -> Record:
    """Build and measure every variant that has no result yet; return the record, which is on disk too.

    Raises:
        OutputError: the record could not be written. What was measured up to then is saved; the error says where.
        TargetError: LLVM does not know the target's processor.
        PluginError: another package that decides what is built is broken.
    """
    record = _without_retried(job.before) if job.before else begun(job)
    left, unkept = record.unfinished(), keeping.without_artifact(job, record)
    if not left and not unkept:
        progress.note("nothing is left to measure")
        return record
    for note in job.notes:
        progress.note(note)
    _begin(job, record)
    try:
        wanted = job.named((*left, *unkept))
        target = targets.for_threads(job.target, job.settings.threads)
        too_large = _too_large(job, wanted, target)
        for name in too_large:
            progress.stage(name, "failed", 1.0)
        built = too_large | job.place.build_all(
            [variant for variant in wanted if variant.name not in too_large],
            target,
            progress.stage,
            use_cache=job.use_cache,
            choices=job.choices,
            timeout_s=job.build_timeout_s,
            note=progress.note,
        )
    except (TargetError, PluginError):
        _take_back(job)
        raise
    record = _keep(job, progress, record, *(found for name in left if isinstance(found := built[name], Failure)))
    if job.keep_artifacts:
        keeping.keep_artifacts(job, record, built, progress)
    ready = {name: found for name in left if not isinstance(found := built[name], Failure)}
    if job.settings.compile_only:
        for artifact, cached in ready.values():
            record = _keep(job, progress, record, _compiled_only(job, artifact, cached=cached))
        return record
    keep = functools.partial(_keep, job, progress)
    measure = farming.measure_all if device_kinds.of(job.device).farm else turns.measure_all
    return measure(job, record, ready, progress, keep) if ready else record


def _too_large(job: Job, wanted: Sequence[Variant], target: Target) -> dict[str, Failure]:
    """Return a failure for each network that this machine has no room for: to build it, or to run what is built."""
    available = system_limits.available_bytes()
    found = room.refused(wanted, available)
    if not found or not job.use_cache:
        return found
    doubted = [variant for variant in wanted if variant.name in found]
    return room.refused(doubted, available, builders.already_built(doubted, target, job.choices))


def _begin(job: Job, record: Record) -> None:
    """Write the record, and make the folder for artifacts, which shows `--resume` that they are wanted.

    Raises:
        OutputError: that could not be done.
        MeasureError: the machine describes itself in a way that no record can hold.
    """
    if job.keep_artifacts:
        try:
            artifacts.beside(job.path).mkdir(exist_ok=True)
        except OSError as error:
            why = f"cannot be made: {error.strerror}; choose another --output"
            raise OutputError(f"{artifacts.beside(job.path)}: {why}") from error
    if job.before is not None:  # it stays as it is until there is something to add
        return
    try:
        record_files.write(job.path, record)
    except OutputError:
        _take_back(job)
        raise
    except RecordError as error:
        _take_back(job)
        raise MeasureError(f"what this machine reports of itself cannot be recorded: {error}") from error


def _take_back(job: Job) -> None:
    """Leave nothing behind of a run that made nothing. A record that was there before stays."""
    if job.before is None:
        job.path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            artifacts.beside(job.path).rmdir()


def _without_retried(record: Record) -> Record:
    """Leave out the failures of variants that will be tried again: those without a result."""
    again = set(record.unfinished())
    kept = tuple(failure for failure in record.failures if failure.variant not in again)
    return msgspec.structs.replace(record, failures=kept)


def begun(job: Job) -> Record:
    """Return the record of a run that has measured nothing yet."""
    now = datetime.datetime.now(datetime.UTC)
    kind: DeviceKind = "none" if job.settings.compile_only else job.device
    runs = device_kinds.of(kind).runs
    name = job.device_name or kind if runs else kind
    return Record(
        run_id=job.path.stem,
        created_at_utc=now.isoformat(timespec="seconds"),
        mbench_version=VERSION,
        host=job.host,
        target=job.target,
        device=Device(kind=kind, name=name, missing={"calibration": NOT_YET if runs else COMPILE_ONLY}),
        settings=job.settings,
        labels=job.labels,
        imported=tuple(network for network in job.networks if network.imported or network.quantization),
    )


def new_run_id() -> str:
    """Return a name for a run that no other run has: UTC time and six random digits."""
    now = datetime.datetime.now(datetime.UTC)
    return f"{now:%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"


def _compiled_only(job: Job, artifact: Artifact, *, cached: bool) -> Result:
    return results.result(
        artifact,
        cached=cached,
        target=job.target,
        threads=job.settings.threads,
        observation=None,
        calibration=None,
        reason=COMPILE_ONLY,
    )


def _keep(job: Job, progress: Progress, record: Record, *found: Result | Failure) -> Record:
    """Add to the record and write it, also where an interrupt comes between."""
    try:
        return _written(job, record, found)
    except KeyboardInterrupt:
        try:
            _written(job, record, found)
        except OutputError as error:
            progress.note(str(error))
        raise


def _written(job: Job, record: Record, found: Sequence[Result | Failure]) -> Record:
    """Return the record with what was found, which is on disk. What no reader would take becomes a failure.

    Raises:
        OutputError: it could not be written; the error says where it is saved instead.
    """
    try:
        return _put(job, grown(record, found))
    except RecordError as error:
        why = str(error).removeprefix(f"{job.path}: ")
    return _put(job, grown(record, [_unrecorded(item, why) for item in found]))


def _put(job: Job, record: Record) -> Record:
    try:
        record_files.write(job.path, record)
    except OutputError as error:
        _save_elsewhere(job, record, error)
    return record


def grown(record: Record, found: Sequence[Result | Failure]) -> Record:
    """Return a record with more results, each in the place of one with fewer sessions, and more failures."""
    new = {item.variant.name: item for item in found if isinstance(item, Result)}
    kept = tuple(_longer(before, new.pop(before.variant.name, before)) for before in record.results)
    return msgspec.structs.replace(
        record,
        results=(*kept, *new.values()),
        failures=(*record.failures, *(item for item in found if isinstance(item, Failure))),
    )


def _longer(before: Result, after: Result) -> Result:
    """Return the result with more sessions; of as many, or if it came out wrong, the newer."""
    wrong = after.numerics is not None and not after.numerics.passed
    return before if len(before.sessions) > len(after.sessions) and not wrong else after


def _unrecorded(found: Result | Failure, why: str) -> Failure:
    """Return what stands in a record for a result, or a failure, that cannot stand there itself."""
    if isinstance(found, Failure):
        reason, detail = (shortened(said, _LONGEST) for said in (found.reason, found.detail))
        return msgspec.structs.replace(found, reason=reason, detail=detail)
    return Failure(
        variant=found.variant.name, stage="recording", reason=f"what was measured is {shortened(why, _LONGEST)}"
    )


def _save_elsewhere(job: Job, record: Record, error: OutputError) -> NoReturn:
    """Write the record to the folder for temporary files, and raise an error that says so."""
    try:
        refuge = Path(tempfile.gettempdir()) / job.path.name
        record_files.write(refuge, record)
    except (OutputError, OSError) as second:
        raise OutputError(f"{error}; nor could it be saved elsewhere: {second}") from error
    raise OutputError(
        f"{error}; what was measured is saved in {refuge}: go on with: mbench run --resume {plain.quoted(refuge)}"
    ) from error


# --------------------------------------------------------------------------------------------------------------- resume
def resumed(path: Path, machine: Host, *, use_cache: bool, build_timeout_s: float = builders.TIMEOUT_S) -> Job:
    """Return the job that goes on where a record stopped, with the record's own target and settings.

    Raises:
        RecordError: the file is not a record.
        UsageError: something is left to measure, and it was made on another machine or with other tuned choices.
    """
    before = record_files.read(path)
    settings = before.settings
    choices, left = NO_CHOICES, bool(before.unfinished())
    if left:
        if settings.tuned:
            folders = tuple(map(Path, settings.target_folders))
            choices = choice_files.choices(before.target, machine, settings.threads, folders)
        choices = msgspec.structs.replace(choices, prefer=settings.prefer)
        _refuse_others(path, before, machine, choices)
    device = _resumed_device(before.device) if left else DeviceChoice(kind="none", name=before.device.name)
    return Job(
        target=before.target,
        host=machine,
        device=device.kind,
        device_name=device.name,
        address=device.address,
        counted=counted_target(before.target, device.kind) if settings.counts and left else None,
        settings=settings,
        networks=_networks(path, before),
        path=path,
        use_cache=use_cache,
        build_timeout_s=build_timeout_s,
        keep_artifacts=artifacts.is_folder(artifacts.beside(path)),
        choices=choices,
        before=before,
    )


def _networks(path: Path, before: Record) -> tuple[Variant, ...]:
    """Return the networks that a record was to have; it describes imported ones, and all that it has.

    Raises:
        UsageError: the name of another is not a network's.
    """
    known = {network.name: network for network in before.imported}
    settings = before.settings
    only = None if "," in settings.dtype else settings.dtype  # of several, each name says its own
    if not before.unfinished():
        had = (result.variant for result in before.results)
        known |= {each.name: msgspec.structs.replace(each, digest=None) for each in had}
    try:
        return tuple(
            known.get(name) or variants.parse(name, batch=settings.batch, dtype=only) for name in settings.variants
        )
    except UsageError as error:
        raise UsageError(f"{path}: the record cannot be resumed: {error}") from error


def _refuse_others(path: Path, before: Record, machine: Host, choices: Choices) -> None:
    """Refuse to go on with what was measured elsewhere, or with other choices.

    Raises:
        UsageError: it was.
    """
    then, now = before.host.versions, machine.versions
    pairs = [("host", before.host.name, machine.name), ("processor", before.host.cpu, machine.cpu)]
    pairs += [
        (f"version of {name}", then.get(name, "absent"), now.get(name, "absent")) for name in sorted({*then, *now})
    ]
    for what, was, here in pairs:
        if was != here:
            was, here = shortened(was, _LONGEST), shortened(here, _LONGEST)
            raise UsageError(
                f"{path}: {what} was {was}, here it is {here}; a record holds one machine: start a new run"
            )
    if choices.files != before.settings.tuned:
        names = shortened(", ".join(before.settings.tuned), _LONGEST)
        raise UsageError(f"{path}: the tuned choices ({names}) have changed; a record holds one state: start a new run")


def _resumed_device(before: Device) -> DeviceChoice:
    """Return where a record's run was, or would have been. A name may have got another address since."""
    kind = device_kinds.of(before.kind)
    if kind.remote or before.kind not in device_kinds.KINDS:
        found = registry.resolve(before.name)
        if found.kind != before.kind:
            raise UsageError(
                f"device {before.name!r} is of kind {found.kind} now, and was {before.kind}: start a new run"
            )
        return found
    return DeviceChoice(kind=before.kind if kind.runs else "local", name=before.name)
