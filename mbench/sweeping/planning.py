"""What a sweep comes to: a job for each place that it asks for, or a clear refusal before any work is done."""

from __future__ import annotations

import dataclasses
import functools
import glob
import hashlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from mbench.analysis import accuracy_table, sweep_cells
from mbench.analysis.accuracy import GivenAccuracy
from mbench.core import sweep_definition
from mbench.core.errors import UsageError
from mbench.core.fit_records import CandidateAccuracy
from mbench.core.machine_types import Host
from mbench.core.records import Variant
from mbench.core.run_options import RunOptions
from mbench.core.sweep_definition import LABEL, SweepDefinition
from mbench.core.sweep_records import CellPlace
from mbench.devices import farm_file, registry
from mbench.hardware import device_kinds, targets
from mbench.networks.given import AnyNetwork
from mbench.networks.importers import front_ends
from mbench.networks.importing import TIMEOUT_S, ImportPlan
from mbench.networks.network import Network, reading
from mbench.pipeline import options as jobs
from mbench.pipeline import runner
from mbench.pipeline.job import Job
from mbench.sweeping import digests

OUTPUT = "mbench-results"


@dataclasses.dataclass(frozen=True, kw_only=True)
class AskedSweep:
    """A sweep's definition, and where it is."""

    file: Path
    definition: SweepDefinition
    output: Path
    use_cache: bool = True
    build_timeout_s: float = TIMEOUT_S

    @property
    def name(self) -> str:
        """Of the sweep."""
        return str(self.definition.name)

    def beside(self, path: str) -> Path:
        """Return a path of the definition as this process finds it."""
        return self.file.parent / path

    @property
    def digest(self) -> str:
        """SHA-256 of what is asked for."""
        return hashlib.sha256(msgspec.json.encode(self.definition, order="deterministic")).hexdigest()


@dataclasses.dataclass(frozen=True, kw_only=True)
class PlannedPlace:
    """A place, and the job that would measure all networks there."""

    place: CellPlace
    job: Job
    wanted_sessions: int
    """Of a network that is timed; 1 where none is."""

    @functools.cached_property
    def digests(self) -> dict[str, str]:
        """The digests that artifacts would have that are built now, by the network's name."""
        return digests.now(self.job, self.job.networks)

    def part(self, networks: Iterable[Variant], output: Path) -> Job:
        """Return the job for some of the networks, with a record of its own."""
        chosen = tuple(networks)
        settings = msgspec.structs.replace(
            self.job.settings, variants=tuple(each.name for each in chosen),
            dtype=",".join(dict.fromkeys(each.dtype for each in chosen)),
        )  # fmt: skip
        path = output / f"{runner.new_run_id()}.json"
        return msgspec.structs.replace(self.job, networks=chosen, settings=settings, path=path, notes=())


@dataclasses.dataclass(frozen=True, kw_only=True)
class SweepPlan:
    """All places of a sweep."""

    places: tuple[PlannedPlace, ...]
    given: Mapping[str, GivenAccuracy]
    """The user's table of accuracies."""
    notes: tuple[str, ...]

    @functools.cached_property
    def accuracies(self) -> dict[str, tuple[CandidateAccuracy, str]]:
        """The accuracy of each network by its name, and the type that it is of."""
        networks = {network.name: network for place in self.places for network in place.job.networks}
        return {name: sweep_cells.accuracy_of(network, self.given) for name, network in networks.items()}


def asked(file: Path, *, output: Path | None = None, use_cache: bool = True, build_timeout_s: float) -> AskedSweep:
    """Return what a sweep's file asks for.

    Args:
        file: of the sweep.
        output: the folder of its records; None: as the file says.
        use_cache: whether builds and calibrations of before may be used.
        build_timeout_s: after which the build of a network is given up.

    Raises:
        UsageError: the file cannot be read, or something in it is wrong.
    """
    found = sweep_definition.read(file)
    folder = file.parent / (found.output or OUTPUT) if output is None else output
    return AskedSweep(
        file=file, definition=found, output=folder, use_cache=use_cache, build_timeout_s=build_timeout_s
    )  # fmt: skip


def planned(sweep: AskedSweep, machine: Host) -> SweepPlan:
    """Return the jobs of a sweep. Files are imported now.

    Raises:
        UsageError: a network, type, device or number of threads that cannot be, or a target that this machine can
            neither measure nor emulate; the message names the place.
        TargetError: a target is not known, or its description is wrong.
    """
    networks, own, notes = _networks(sweep)
    table = sweep.definition.accuracies
    given = accuracy_table.read(sweep.beside(table), own) if table else {}
    places = dict[CellPlace, PlannedPlace]()
    for target in dict.fromkeys(sweep.definition.targets):
        for named in sweep_definition.devices_of(sweep.definition, target):
            device = str(sweep.beside(named)) if named and named.endswith(registry.FARM_SUFFIX) else named
            for found in _at(sweep, networks, target, device, machine):
                places.setdefault(found.place, found)
                notes.extend(note for note in found.job.notes if note not in notes)
    return SweepPlan(places=tuple(places.values()), given=given, notes=tuple(notes))


def _networks(sweep: AskedSweep) -> tuple[list[AnyNetwork], dict[str, str], list[str]]:
    """Return the networks, files imported; what a table of accuracies may call the imported ones; and remarks."""
    found: list[AnyNetwork] = []
    own: dict[str, str] = {}
    notes: list[str] = []
    for word in sweep.definition.networks:
        for text in _files(sweep, word):
            if not front_ends.is_source(text):
                found.append(text)
                continue
            if (said := front_ends.runs(text)) is not None:
                notes.append(f"{text}: {said}")
            network = Network(reading(ImportPlan(source=text, shapes={}, inputs=None), sweep.build_timeout_s))
            own |= {text: network.name, word: network.name, network.name: network.name}
            found.append(network)
    return found, own, notes


def _files(sweep: AskedSweep, word: str) -> tuple[str, ...]:
    """Return the files that a word of the definition stands for; another word, as it is.

    Raises:
        UsageError: no file fits a pattern.
    """
    if not word.lower().endswith((".onnx", ".pt2")):
        return (word,)
    path = str(sweep.beside(word))
    if not glob.has_magic(word):
        return (path,)
    found = tuple(sorted(glob.glob(path, recursive=True)))  # noqa: PTH207 - absolute too
    if not found:
        raise UsageError(f"{sweep.file}: networks: no file fits {word!r}; expected one such as models/*.onnx")
    return found


def _at(
    sweep: AskedSweep, networks: list[AnyNetwork], target: str, device: str | None, machine: Host
) -> Iterator[PlannedPlace]:
    """Yield the jobs on a device: one for each number of threads and each batch."""
    wanted = sweep.definition
    where = f"{sweep.file}: target {target!r}" + (f" on {device!r}" if device else "")
    try:
        times = _timed(sweep, target, device, machine)
        for threads in dict.fromkeys(wanted.threads or (None,)) if times else (None,):
            for batch in dict.fromkeys(wanted.batches or (None,)):
                options = _options(sweep, device, threads, batch, times=times)
                job = jobs.new_job(networks, target, machine, options)
                yield PlannedPlace(place=_place(job), job=job, wanted_sessions=job.settings.sessions)
    except UsageError as error:
        raise UsageError(f"{where}: {error}") from error


def _timed(sweep: AskedSweep, target: str, device: str | None, machine: Host) -> bool:
    """Return whether a place times networks, so that threads and sessions mean something there."""
    if sweep.definition.compile_only:
        return False
    if device is not None:
        facts = device_kinds.of(registry.resolve(device).kind)
        if facts.farm:
            _check_kinds(sweep, target, Path(device))
        return not facts.counts_only
    found = targets.support(runner.resolve_target(target, _folders(sweep)), machine)
    return found.measure or not found.emulate


def _check_kinds(sweep: AskedSweep, target: str, farm: Path) -> None:
    """Refuse a farm whose devices for a target are of several kinds: their latencies are not compared.

    Raises:
        UsageError: it is such a farm, or the farm file is wrong.
    """
    folders = _folders(sweep)
    known = runner.resolve_target(target, folders).name
    fit = farm_file.fitting(farm_file.read(farm, folders), known, farm)
    kinds = sorted({entry.kind or entry.targets[0] for entry in fit.values()})
    if len(kinds) > 1:
        raise UsageError(
            f"{farm} has devices of {len(kinds)} kinds: {', '.join(kinds)}; a sweep compares its cells with each "
            "other, so give each kind a farm file of its own"
        )


def _folders(sweep: AskedSweep) -> tuple[Path, ...]:
    return tuple(sweep.beside(each) for each in sweep.definition.target_dirs)


def _options(
    sweep: AskedSweep, device: str | None, threads: int | None, batch: int | None, *, times: bool
) -> RunOptions:  # fmt: skip
    wanted = sweep.definition
    labels = {LABEL: sweep.name, **wanted.labels}
    timed: dict[str, Any] = {"threads": threads, "sessions": wanted.sessions, "repeat": wanted.repeat} if times else {}
    return RunOptions(
        device=device, batch=batch, dtype=",".join(wanted.dtypes) if wanted.dtypes else None,
        standard=wanted.standard, counts=wanted.counts and times, compile_only=wanted.compile_only,
        prefer=wanted.prefer, output=sweep.output, labels=tuple(f"{key}={value}" for key, value in labels.items()),
        target_dirs=_folders(sweep), use_cache=sweep.use_cache, build_timeout_s=sweep.build_timeout_s, **timed,
    )  # fmt: skip


def _place(job: Job) -> CellPlace:
    """Return the place of a job as its records will have it; see `runner.begun`."""
    begun = runner.begun(job)
    return CellPlace(
        target=job.target.name, device=begun.device.name, threads=job.settings.threads, batch=job.settings.batch
    )  # fmt: skip


def check_output(folder: Path) -> None:
    """Make the folder of a sweep's records, and notice now that nothing can be written there.

    Raises:
        UsageError: it cannot be made or written.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"--output {folder}: cannot be made: {error.strerror}; choose another folder") from error
    jobs.prepare(folder, "--output")
