"""`mbench fit` from options to a record: the question, the search, and what is written of it."""

from __future__ import annotations

import collections
import datetime
import glob
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from mbench.analysis import accuracy, accuracy_table, fit_certainty, latency_model_error
from mbench.analysis.accuracy import NetworkAccuracy
from mbench.build import builders
from mbench.build.places import LOCAL_PLACE, BuildPlace
from mbench.core import dtypes
from mbench.core.children import Died
from mbench.core.errors import BuildError, CollisionError, UsageError, shown
from mbench.core.fit_options import FitOptions
from mbench.core.fit_records import FitRecord
from mbench.core.machine_types import Host, Target
from mbench.core.progress import Display, Note
from mbench.core.records import Record, Variant
from mbench.core.run_options import RunOptions
from mbench.core.version import VERSION
from mbench.devices import registry
from mbench.fitting import answers, candidates, search
from mbench.fitting.budget import Budget
from mbench.fitting.candidates import NetworkCandidate
from mbench.fitting.observations import Observations
from mbench.fitting.search import FitOutcome, FitSearch, Question, ReportCandidates
from mbench.hardware import device_kinds, targets
from mbench.networks import variants
from mbench.networks.given import GivenNetworks, HowToImport
from mbench.networks.importers import front_ends
from mbench.pipeline import options as jobs
from mbench.pipeline import runner
from mbench.pipeline.job import Job

DEFAULT_FAMILIES = (
    *("mobilenet_v1", "mobilenet_v2", "mobilenet_v3_small", "mobilenet_v3_large", "mobilenet_v4_conv_small"),
    "efficientnet_lite0",
)
_MANY = 200
"""Networks from which on it is said that they are planned."""
METHODS = {
    "latency": "measured: the median over sessions of an own process each; counted: what the target's model makes of "
    "exact counts; predicted: a Gaussian process for each kind of layer, learnt from the layers that were seen",
    "memory": "weights, activations at their peak and workspace as the compiler plans them; predicted from shapes, and "
    "from what plans came to elsewhere",
    "accuracy": "top-1 on ImageNet as published or given; interpolated between published sizes of the family",
}


def prepared(words: Sequence[str], target: str, machine: Host, options: FitOptions, note: Note) -> tuple[Job, Question]:
    """Return the job that measures, and what is searched for. See `asked`.

    Raises:
        UsageError: a word, a limit or a table that cannot be, or nothing to search by.
        TargetError: the target is not known.
    """
    limits = options.limits
    job, networks, accuracies = asked(words, target, machine, options, note)
    _refuse_unknown(accuracies, options)
    _note_unknown(accuracies, note)
    described = planned(job, networks, note)
    return job, Question(candidates=described, accuracies=accuracies, limits=limits, objective=options.minimize)


def asked(
    words: Sequence[str], target: str, machine: Host, options: FitOptions, note: Note
) -> tuple[Job, tuple[Variant, ...], dict[str, NetworkAccuracy]]:
    """Return the job that measures, the networks that are asked for, and their accuracies by name.

    Args:
        words: families, names, grids or files; none: the usual families.
        target: its name.
        machine: this one.
        options: of the search.
        note: report what the user should know.

    Raises:
        UsageError: a word or a table that cannot be.
        TargetError: the target is not known.
    """
    _refuse_unreachable(runner.resolve_target(target, options.target_dirs), machine, options.device)
    networks, files, notes = _networks(words, options)
    table = accuracy_table.read(options.accuracies, _own_names(networks, files)) if options.accuracies else None
    job = jobs.new_job([variants.DEFAULT[0]], target, machine, _run_options(options))
    jobs.refuse_types(networks, job.target, "NETWORK" if options.dtype is None else "--dtype")
    for said in (*notes, *job.notes):
        note(said)
    accuracies = {each.name: accuracy.of(each, table) for each in networks}
    return msgspec.structs.replace(job, notes=()), networks, accuracies


def planned(job: Job, networks: Sequence[Variant], note: Note) -> tuple[NetworkCandidate, ...]:
    """Return networks as candidates, their layers planned as a build would: of hundreds, that takes a while.

    Raises:
        BuildError: the process that plans them died.
    """
    if len(networks) >= _MANY:
        note(f"planning the layers of {len(networks)} networks")
    target = targets.for_threads(job.target, job.settings.threads)
    try:
        return builders.in_a_child(candidates.described, networks, target)
    except Died as error:
        raise BuildError("the process that planned the candidates died; out of memory?") from error


def _run_options(options: FitOptions) -> RunOptions:
    return RunOptions(
        device=options.device, threads=options.threads, target_dirs=options.target_dirs,
        build_timeout_s=options.build_timeout_s, output=options.output, batch=options.batch,
    )  # fmt: skip


def _refuse_unreachable(target: Target, machine: Host, device: str | None) -> None:
    """Refuse a target whose networks would run nowhere.

    Raises:
        UsageError: it can neither be measured here nor emulated, and no device is named that could be another machine;
            or a farm is named, whose devices are no one place.
    """
    support = targets.support(target, machine)
    kind = device_kinds.of(registry.resolve(device).kind) if device is not None else None
    if kind is not None and kind.farm:
        raise UsageError(f"--device {device}: a search is of one device, and a farm has several; name one of them")
    elsewhere = kind is not None and not kind.here
    if not (support.measure or support.emulate or elsewhere):
        raise CollisionError(
            f"target '{target.name}' can neither be measured nor emulated here: {support.reason}; "
            "'mbench targets' lists those that can",
            *("--device", "--target"),
        )


def _own_names(networks: Sequence[Variant], files: Mapping[str, str]) -> dict[str, str]:
    """Return what a table of accuracies may call the user's own networks, each with its name there."""
    bare = collections.Counter(Path(source).name for source in files)
    short = {**files, **{Path(source).name: name for source, name in files.items() if bare[Path(source).name] == 1}}
    found: dict[str, str] = {}
    for each in networks:
        if each.imported:
            name = accuracy.table_name(each)
            found[name] = name
            found |= {alias: name for alias, called in short.items() if called == name}
            if each.quantised_file:
                suffix = variants.type_suffix(each.dtype)
                found |= {f"{alias}{suffix}": name for alias, called in list(found.items()) if called == name}
    return found


def _networks(
    words: Sequence[str], options: FitOptions
) -> tuple[tuple[Variant, ...], Mapping[str, str], tuple[str, ...]]:
    """Return the candidates' networks, in every type that was asked for, what files are called, and remarks.

    Raises:
        UsageError: a word is no family, network or file; a pattern fits no file; or there are too many.
    """
    files = [file for pattern in options.candidates for file in _files(pattern)]
    given_words = words or (() if files else DEFAULT_FAMILIES)
    asked = GivenNetworks(
        (*candidates.names(given_words), *files),
        HowToImport(input_shapes=options.input_shapes, inputs=options.inputs, timeout_s=options.build_timeout_s),
        (None,) if options.batch == 1 else (options.batch,),
    )
    types = (None,) if options.dtype is None else dtypes.several(options.dtype)
    found = tuple({each.name: each for each in asked.variants(types)}.values())
    variants.refuse_too_many(found)
    return found, asked.files, asked.notes


def _files(pattern: str) -> list[str]:
    """Return the files that a pattern stands for; a function, or a file whose name has brackets, stands for itself.

    Raises:
        UsageError: it fits no file, or something that is no network.
    """
    expected = "expected FILE.onnx or FILE.pt2, such as 'models/*.onnx'"
    if Path(pattern).is_file() or (front_ends.is_source(pattern) and ":" in pattern):
        found = [pattern]
    else:
        found = sorted(glob.glob(pattern, recursive=True))  # noqa: PTH207 - a pattern may be absolute
    if not found:
        raise UsageError(f"--candidates {shown(pattern)}: no file fits this pattern; {expected}")
    wrong = next((each for each in found if not front_ends.is_source(each)), None)
    if wrong is not None:
        what = "a folder" if Path(wrong).is_dir() else "no network that mbench reads"
        raise UsageError(f"--candidates {shown(pattern)}: {wrong} is {what}; {expected}")
    return found


def _refuse_unknown(accuracies: Mapping[str, NetworkAccuracy], options: FitOptions) -> None:
    """Refuse a search by accuracy among networks of which none is known.

    Raises:
        UsageError: it is one.
    """
    if any(each.top1_percent is not None for each in accuracies.values()):
        return
    if options.minimize == "accuracy" or options.min_accuracy is not None:
        why = next(iter(accuracies.values())).reason.partition(";")[0]
        instead = "" if options.min_accuracy is not None else ", or --minimize latency, memory or energy"
        raise UsageError(
            f"no candidate has a known accuracy: {why}; give them by --accuracies FILE.csv with name,top1{instead}"
        )


def _note_unknown(accuracies: Mapping[str, NetworkAccuracy], note: Note) -> None:
    unknown = [name for name, each in accuracies.items() if each.top1_percent is None]
    if unknown and len(unknown) < len(accuracies):
        reason = accuracies[unknown[0]].reason
        more = f" and {len(unknown) - 1} more" if len(unknown) > 1 else ""
        note(f"left out, their accuracy is not known: {unknown[0]}{more} ({reason})")


def find(
    job: Job, question: Question, words: Sequence[str], options: FitOptions, display: Display,
    report: ReportCandidates, place: BuildPlace = LOCAL_PLACE,
) -> tuple[FitRecord, Record | None, bool]:  # fmt: skip
    """Search; return what was found, the measurements behind it, and whether the user interrupted.

    Networks are built at `place`.
    """
    started = time.monotonic()
    job = msgspec.structs.replace(job, place=place)
    seen = Observations(job, [each.network for each in question.candidates])
    budget = Budget(options.time_s, counted=device_kinds.of(job.device).counts_only)
    work = FitSearch(question, seen, budget=budget, sessions=job.settings.sessions)
    found = work.run(display, report)
    wall_s = time.monotonic() - started
    measured = seen.as_record(each.name for each in question.candidates)
    return _record(job, question, words, found, seen, wall_s), measured, found.interrupted


def _record(
    job: Job, question: Question, words: Sequence[str], found: FitOutcome, seen: Observations, wall_s: float
) -> FitRecord:
    known = found.estimates.candidates
    answered = answers.answers(known, question.limits, found.sure)
    doubts = _doubts(job, question, found, answered[0].network if answered else None)
    now = datetime.datetime.now(datetime.UTC)
    return FitRecord(
        run_id=job.path.stem,
        created_at_utc=now.isoformat(timespec="seconds"),
        mbench_version=VERSION,
        host=job.host,
        target=job.target,
        device=seen.device or runner.begun(job).device,
        threads=job.settings.threads,
        words=tuple(words),
        limits=question.limits,
        minimize=question.objective,
        candidates=known,
        answers=answered,
        certain=found.certain and not doubts,
        doubts=doubts,
        open=found.open,
        nearest="" if answered else (answers.nearest if found.certain else answers.likely)(known, question.limits),
        quality=found.estimates.quality,
        methods={**METHODS, **seen.methods},
        wall_s=wall_s,
    )


def _doubts(job: Job, question: Question, found: FitOutcome, best: str | None) -> tuple[str, ...]:
    """Return what the answer hangs on that is not certain, where nothing is left to measure here."""
    if not found.certain:
        return ()
    modelled = device_kinds.of(job.device).counts_only
    return fit_certainty.doubts(
        search.slots(found.estimates.candidates)[0], best, question.limits, question.objective,
        latency_model_error.widest(job.target) if modelled else None,
    )  # fmt: skip
