"""What the options of a run or of the tuning come to: a job, or a clear refusal before any work is done."""

from __future__ import annotations

import contextlib
import difflib
import importlib.util
import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import msgspec

from mbench.core import artifact, dtypes, durations, labels, needs, resources, scratch
from mbench.core.choices import NO_CHOICES
from mbench.core.errors import BuildError, CollisionError, UsageError
from mbench.core.machine_types import DeviceKind, Host, Target
from mbench.core.records import Variant
from mbench.core.run_options import RunOptions, SharedOptions, TuneOptions
from mbench.core.sessions import DEFAULT_SESSIONS
from mbench.core.settings import Settings, Warmup
from mbench.devices import emulation, registry
from mbench.devices.registry import DeviceChoice
from mbench.hardware import device_kinds, platforms, targets
from mbench.hardware.targets import Support
from mbench.measure import latency
from mbench.networks import given, imported_store, variants
from mbench.networks.given import AnyNetwork, GivenNetworks, HowToImport
from mbench.pipeline import farming, quantizing, runner
from mbench.pipeline.job import Job, counted_target
from mbench.tuning import choice_files
from mbench.tuning.tuner import TuningJob

MOST_SAMPLES, MEASURE_MAX_S = 100, 0.4
"""Of a session, where the number of samples is left open: end to end, and once more for the layers."""
DEFAULT_TRIALS = 64
_NAMED = 3
"""Targets that a refusal names."""
DEEP_NEEDS = ("xgboost", "cloudpickle")
"""What MetaSchedule imports and does not install."""


def new_job(networks: Iterable[AnyNetwork], target_name: str, machine: Host, options: RunOptions) -> Job:
    """Return the job that the options ask for; without networks, that of the default ones. Files are imported now.

    Raises:
        UsageError: a variant, dtype or number of threads that cannot be, or a target that this machine cannot serve.
        TargetError: the target is not known, or its description is wrong.
        RecordError: a file of tuned choices is not valid.
    """
    needs.refuse_without()
    batch, dirs = options.batches[0], options.target_dirs
    found, notes = _networks(tuple(networks) or variants.DEFAULT, options)
    target = runner.resolve_target(target_name, dirs)
    refuse_types(found, target, _says_type(options))
    device = _device(options.device, target, machine, compile_only=options.compile_only)
    if device_kinds.of(device.kind).farm:
        farming.check(device.address, target.name, dirs)
    threads = _threads(options.threads, target, machine, device.kind)
    choices = choice_files.choices(target, machine, threads, dirs) if options.use_tuned else NO_CHOICES
    choices = msgspec.structs.replace(choices, prefer=options.prefer)
    settings = Settings(
        variants=tuple(network.name for network in found),
        threads=threads,
        batch=batch,
        dtype=_types_of(found),
        number=1,
        sessions=_sessions(options, device.kind),
        repeat=options.repeat or MOST_SAMPLES,
        layer_repeat=max(3, (options.repeat or MOST_SAMPLES) // 2),
        block=latency.FEWEST_SAMPLES,
        warmup=Warmup(max_s=0.5),
        measure_max_s=None if options.repeat else MEASURE_MAX_S,
        timeout_s=options.timeout_s,
        sustain_s=_sustain_s(options, device.kind),
        compile_only=options.compile_only,
        counts=options.counts,
        tuned=choices.files,
        no_tuned=not options.use_tuned,
        prefer=options.prefer,
        repeat_asked=options.repeat is not None,
        target_folders=tuple(map(os.path.abspath, options.target_dirs)),  # to be found from elsewhere, too
    )
    return Job(
        target=target,
        host=machine,
        device=device.kind,
        device_name=device.name,
        address=device.address,
        settings=settings,
        networks=found,
        labels=labels.of_run(options.labels, os.environ),
        path=options.output / f"{runner.new_run_id()}.json",
        use_cache=options.use_cache,
        build_timeout_s=options.build_timeout_s,
        keep_artifacts=options.keep_artifacts,
        choices=choices,
        wait_quiet_s=options.wait_quiet_s,
        counted=counted_target(target, device.kind) if options.counts else None,
        notes=(*notes, *_over_quota(threads, machine, device.kind)),
    )


def _sessions(options: RunOptions, device: DeviceKind) -> int:
    """Return how many sessions each network has.

    Raises:
        UsageError: several were asked for where one is enough.
    """
    asked, facts = options.sessions, device_kinds.of(device)
    if asked is not None and asked > 1:
        if options.quick:
            said = f"--quick is one session, --sessions asks for {asked}; give one of them"
            raise CollisionError(said, "--sessions", "--quick")
        if facts.counts_only or not facts.runs:
            said = f"--sessions {asked}: nothing is timed here, so that one is enough; leave it out"
            raise CollisionError(said, "--sessions", _says_place(options))
    if options.quick or facts.counts_only or not facts.runs:
        return 1
    return DEFAULT_SESSIONS if asked is None else asked


def _says_place(options: RunOptions) -> str:
    """Return the option that decides what kind of device it is."""
    if options.compile_only:
        return "--compile-only"
    return "--target" if options.device is None else "--device"


def _says_type(options: SharedOptions) -> str:
    """Return what decides the types of networks: an option, or their names."""
    return "NETWORK" if options.dtype is None else "--dtype"


def _sustain_s(options: RunOptions, device: DeviceKind) -> float | None:
    """Return for how long each network runs without a pause after its sessions; None: it does not.

    Raises:
        UsageError: it was asked for where nothing is timed.
    """
    asked_s, facts = options.sustain_s, device_kinds.of(device)
    if asked_s is not None and (facts.counts_only or not facts.runs):
        why = facts.no_time or "nothing runs here"
        said = f"--sustain {durations.words(asked_s)}: {why}; leave it out"
        raise CollisionError(said, "--sustain", _says_place(options))
    if asked_s is not None and facts.farm:
        said = f"--sustain {durations.words(asked_s)}: a farm measures sessions alone; name one of its devices"
        raise CollisionError(said, "--sustain", "--device")
    return asked_s


def _networks(networks: tuple[AnyNetwork, ...], options: RunOptions) -> tuple[tuple[Variant, ...], tuple[str, ...]]:
    """Return all that is to be run, and what the user should know about it."""
    asked = GivenNetworks(networks, _how(options), (None,) if options.batch is None else options.batches)
    found, without = asked.variants(_types(options), quantizing.settings(options)), dict[str, str]()
    quantizing.check(found, options)
    if options.standard:
        found, without = given.with_twins(found)
    notes = (f"--standard: {name}: {why}, so it has no standard twin" for name, why in without.items())
    return found, (*asked.notes, *notes)


def _how(options: SharedOptions) -> HowToImport:
    return HowToImport(input_shapes=options.input_shapes, inputs=options.inputs, timeout_s=options.build_timeout_s)


def resumed_job(path: Path, machine: Host, *, use_cache: bool, build_timeout_s: float) -> Job:
    """Return the job that goes on where a record stopped, with its options checked as if they were given now.

    Raises:
        RecordError: the file is not a record.
        UsageError: something is left to measure, and this machine cannot go on with it.
    """
    job = runner.resumed(path, machine, use_cache=use_cache, build_timeout_s=build_timeout_s)
    if job.before is not None and not job.before.unfinished():
        return job
    needs.refuse_without()
    settings, kind = job.settings, "none" if job.settings.compile_only else job.device
    try:
        refuse_types(job.networks, job.target)
        for name, network in zip(settings.variants, job.networks, strict=True):
            if network.imported:
                imported_store.of(network)
            elif network.name != name:
                raise UsageError(f"variant {name!r} is not written as 'mbench run' writes it")
        _check_device(kind, job.target, targets.support(job.target, machine))
        _threads(settings.threads, job.target, machine, kind)
    except (UsageError, BuildError) as error:
        raise UsageError(f"{path}: the record cannot be resumed: {error}") from error
    return msgspec.structs.replace(job, notes=_over_quota(settings.threads, machine, kind))


def tuning_job(networks: Iterable[AnyNetwork], target_name: str, machine: Host, options: TuneOptions) -> TuningJob:
    """Return the job that the options of `mbench tune` ask for.

    Raises:
        UsageError: a variant or number of threads that cannot be, a target that this machine cannot measure, or a
            package is missing.
        TargetError: the target is not known, or its description is wrong.
    """
    needs.refuse_without()
    asked = GivenNetworks(networks, _how(options))
    found = asked.variants(_types(options))
    target = runner.resolve_target(target_name, options.target_dirs)
    refuse_types(found, target, _says_type(options))
    platform = platforms.of(target)
    if options.deep and not platform.deep_tuning:
        raise CollisionError(f"--deep is for CPUs; leave it out for target '{target.name}'", "--deep", "--target")
    support = targets.support(target, machine)
    if not support.measure:
        raise UsageError(f"target '{target.name}': {support.reason}; choices are tuned where they can be measured")
    if not device_kinds.of(registry.resolve(options.device or "local").kind).here:
        raise UsageError(f"--device {options.device}: tuning is done on 'local' alone in this version")
    if options.trials is not None and not options.deep:
        raise CollisionError("--trials is of MetaSchedule; it goes with --deep", "--trials", "--deep")
    lacking = [name for name in DEEP_NEEDS if importlib.util.find_spec(name) is None] if options.deep else []
    if lacking:
        raise UsageError(f"--deep needs {' and '.join(lacking)}; install: pip install 'mobilenet-bench[tune]'")
    here = target if target.name == "host" or not platform.on_host else runner.resolve_target("host")
    threads = _threads(options.threads, target, machine, "local")
    return TuningJob(
        target=targets.for_threads(target, threads),
        host=machine,
        processor=choice_files.processor(target, machine),
        mcpu=str(here.tvm[platform.code_key]),
        networks=found,
        threads=threads,
        tries=options.tries,
        trials=(options.trials or DEFAULT_TRIALS) if options.deep else 0,
        again=options.again,
        timeout_s=options.timeout_s,
        build_timeout_s=options.build_timeout_s,
        file=choice_files.own_file(target, machine),
        notes=asked.notes,
    )


def _types(options: SharedOptions) -> tuple[str | None, ...]:
    """Return the types that networks are wanted in; None: each in its own."""
    return (None,) if options.dtype is None else dtypes.several(options.dtype)


def _types_of(networks: Iterable[Variant]) -> str:
    """Return the types of networks as a record's settings have them: `float32`, or `float32,int8`."""
    return ",".join(dict.fromkeys(network.dtype for network in networks))


def refuse_types(networks: Iterable[Variant], target: Target, says_type: str = "NETWORK") -> None:
    """Refuse a type that code for a target cannot have.

    Args:
        networks: with their types.
        target: that they are for.
        says_type: the option that gave them the types, or `NETWORK`.

    Raises:
        CollisionError: a network has one.
    """
    platform = platforms.of(target)
    taken = platform.types(target)
    for dtype in dict.fromkeys(network.dtype for network in networks):
        if dtype not in taken:
            lacking = platform.lacking(dtype, target) if dtype in platform.dtypes else ()
            feature = f"the processor feature {' and '.join(lacking)}"
            needs = f"needs {feature}, which it lacks" if lacking else "is not compiled for it"
            raise CollisionError(
                f"target {target.name!r} takes {', '.join(taken)}; dtype {dtype!r} {needs}; it is for "
                f"{_nearest(list(_taking(dtype)), target.name)}",
                says_type,
                "--target",
            )


def _nearest(names: Sequence[str], name: str) -> str:
    """Return whole platforms and the targets whose names are most like another one, and how many more there are."""
    whole = {f"{platform.words}s" for platform in platforms.PLATFORMS.values()} & set(names)
    nearest = sorted(names, key=lambda each: (each not in whole, -difflib.SequenceMatcher(None, each, name).ratio()))
    nearest = nearest[: _NAMED + len(whole)]
    shown, more = [each for each in names if each in nearest], len(names) - len(nearest)
    return ", ".join(shown) + (f" and {more} more: see 'mbench targets'" if more else "")


def _taking(dtype: str) -> Iterator[str]:
    """Yield what takes a type: whole platforms, and of the others the targets that do, by name."""
    for platform in platforms.PLATFORMS.values():
        if platform.dtypes.get(dtype) == ():
            yield f"{platform.words}s"
        elif dtype in platform.dtypes:
            known = targets.load_all().values()
            own = (target for target in known if platforms.of(target) is platform)
            yield from (target.name for target in own if dtype in platform.types(target))


def prepare(output: Path, option: str) -> None:
    """Make the output and cache folders, and notice now, not after an hour, that nothing can be written there.

    Args:
        output: the folder for record and page.
        option: the option that it comes from, for the message.

    Raises:
        UsageError: one of them cannot be made or written.
    """
    if not output.parent.is_dir():
        raise UsageError(f"{option} {output}: the folder {output.parent} does not exist; make it first")
    _writable(output, f"{option} {output}", "choose another folder")
    _own_folder(resources.cache_dir(), "cache folder", "MBENCH_CACHE_DIR")
    _sweep(output, *output.glob(f"*{artifact.BESIDE}"))


def prepare_tuning(choices: Path) -> None:
    """Make the folders of tuned choices and of the cache, and notice now that nothing can be written there.

    Raises:
        UsageError: one of them cannot be made or written.
    """
    _own_folder(choices, "folder of tuned choices", "MBENCH_TUNED_DIR")
    _own_folder(resources.cache_dir(), "cache folder", "MBENCH_CACHE_DIR")
    _sweep()


def _sweep(*folders: Path) -> None:
    """Remove what was left by processes that were killed: in folders, in mbench's own, and among temporary files."""
    cache = resources.cache_dir()
    scratch.sweep(*folders, cache, *(path for path in cache.iterdir() if path.is_dir()))
    with contextlib.suppress(UsageError):  # a user without a home has none
        scratch.sweep(choice_files.folder())
    scratch.sweep_temporary()


def _own_folder(folder: Path, what: str, variable: str) -> None:
    hint = f"choose another with the environment variable {variable}"
    _writable(folder, f"the {what} {folder}", hint, parents=True)


def _writable(folder: Path, what: str, hint: str, *, parents: bool = False) -> None:
    try:
        folder.mkdir(parents=parents, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except FileExistsError:
        raise UsageError(f"{what} is a file, expected a folder; {hint}") from None
    except OSError as error:
        raise UsageError(f"{what}: nothing can be written there: {error.strerror}; {hint}") from error


def _threads(asked: int | None, target: Target, machine: Host, device: DeviceKind) -> int:
    limit, default, where = device_kinds.of(device).threads(target, machine)
    if asked is None:
        return default
    if not 1 <= asked <= limit:
        said = f"--threads {asked} is out of range; expected 1 to {limit}, the processors of {where}"
        raise CollisionError(said, "--threads", "--device", "--target")
    return asked


def _over_quota(threads: int, machine: Host, device: DeviceKind) -> tuple[str, ...]:
    """Return a note if this machine is to run so many threads, and its processor quota will hold them back."""
    said = platforms.over_quota(threads, machine) if device_kinds.of(device).here else None
    return () if said is None else (said,)


def _device(asked: str | None, target: Target, machine: Host, *, compile_only: bool) -> DeviceChoice:
    """Return where to run: as asked, else here if this machine can execute the code, else in emulation."""
    support = targets.support(target, machine)
    chosen = registry.resolve(asked) if asked is not None else None
    if compile_only:
        chosen = DeviceChoice(kind="none", name="none")
    elif chosen is None:
        here: DeviceKind = "local" if support.measure or not support.emulate else "emulated"
        chosen = DeviceChoice(kind=here, name=here)
    _check_device(chosen.kind, target, support)
    return chosen


def _check_device(kind: DeviceKind, target: Target, support: Support) -> None:
    """Refuse a device on which the target's code cannot run.

    Raises:
        UsageError: this machine cannot make the code, cannot run it, or lacks what the device needs.
    """
    facts = device_kinds.of(kind)
    if not support.compile:
        raise UsageError(f"target '{target.name}': {support.reason}")
    if facts.here and not support.measure:
        hint = "add --compile-only to record what is known without running"
        raise CollisionError(f"target '{target.name}': {support.reason}; {hint}", "--device", "--target")
    if facts.counts_only:
        emulation.check(target)
    if facts.remote and not platforms.of(target).over_rpc:
        said = f"target '{target.name}': GPUs over RPC are not in this version; name a CPU"
        raise CollisionError(said, "--device", "--target")
