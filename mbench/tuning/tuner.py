"""Tuning: for each kernel of some networks, a few candidates are compiled, timed on the device, and the best is kept.

Then the networks are timed, by rule and as tuned: a choice that is not quicker in its networks is not followed.
Compiling and timing take turns, since each would disturb the other. The file of tuned choices is written after every
kernel; whatever ends the work, the same command goes on where it stopped. This process imports neither torch nor tvm.
"""

from __future__ import annotations

import contextlib
import functools
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from types import TracebackType

import msgspec

from mbench.build import builders, places
from mbench.build.compilers import Compilers
from mbench.core import dtypes, records, resources, scratch, units
from mbench.core.artifact import Artifact
from mbench.core.choices import NO_CHOICES, Choices
from mbench.core.errors import BuildError, MeasureError
from mbench.core.machine_types import Host, Target
from mbench.core.progress import Note, Progress
from mbench.core.records import Variant
from mbench.core.version import VERSION
from mbench.devices.local import LocalDevice
from mbench.hardware import platforms
from mbench.hardware.targets import as_run_here
from mbench.measure.duel import Arena
from mbench.networks import imported_store
from mbench.tuning import choice_files, in_network, jobs
from mbench.tuning.choice_files import File, InPlace, MadeWith, TimedNetwork, TunedKernel
from mbench.tuning.plans import Candidate, Task
from mbench.tuning.search import Bench, Search
from mbench.tuning.timer import LocalTimer
from mbench.tuning.tuning_result import KernelFound, TuningFailure, TuningResult

_STAGES = ("compiling tiles", "timing tiles", "searching", "compiling grids", "timing grids", "done", "failed")
SHARES = dict(zip(_STAGES, (0.0, 0.35, 0.54, 0.55, 0.75, 1.0, 1.0), strict=True))
"""How much of a kernel's work is done when a stage begins."""
DEEP_SHARES = dict(zip(_STAGES, (0.0, 0.01, 0.02, 0.95, 0.97, 1.0, 1.0), strict=True))
"""The same where MetaSchedule is asked."""
IN_NETWORK_SHARES = {"building": 0.0, "timing in the network": 0.2, "done": 1.0, "failed": 1.0}
"""The same of a network."""


class TuningJob(msgspec.Struct, frozen=True, kw_only=True):
    """What to tune, on what, and how far to go."""

    target: Target
    host: Host
    processor: str
    """What it is measured on."""
    mcpu: str
    """LLVM's name for that, or the GPU's architecture."""
    networks: tuple[Variant, ...]
    threads: int
    tries: int
    """Tiles that are tried of each rule, and task grids of the quickest tiles."""
    trials: int = 0
    """Schedules of each kernel that MetaSchedule shall try; 0: it is not asked."""
    again: bool
    timeout_s: float
    """How long one candidate may take."""
    build_timeout_s: float = builders.TIMEOUT_S
    """How long one network may take to build."""
    place: places.BuildPlace = places.LOCAL_PLACE
    """Where networks are built; kernels are compiled where they are timed."""
    file: Path
    notes: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Of the networks."""
        return tuple(network.name for network in self.networks)


class Tuner:
    """Tunes the kernels of a job: `find` them, then `run`, then `confirm` what was found in the networks.

    Use as a context; it leaves no process and no file behind.

    `searches` are all kernels, `waiting` those that remain to be tuned; `file` holds what is known, `failures` what
    went wrong.
    """

    def __init__(self, job: TuningJob) -> None:
        """Read the file, if there is one.

        Raises:
            RecordError: it is not valid.
        """
        self.job = job
        self.file = _read(job)
        self.searches: tuple[Search, ...] = ()
        self.waiting: tuple[Search, ...] = ()
        self.failures: list[TuningFailure] = []
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Tuner:
        """Hold the file.

        Raises:
            UsageError: another process tunes into it.
        """
        self._stack.enter_context(scratch.only(self.job.file))
        self.file = _read(self.job)  # again, since another process may have written it until now
        self._scratch = self._stack.enter_context(scratch.temporary())
        self._compilers = self._stack.enter_context(Compilers())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    def find(self, note: Note) -> None:
        """Find the kernels and what to try; what the file has already does not wait.

        Raises:
            BuildError: a network could not be lowered.
        """
        job = self.job
        note(f"finding the kernels of {len(job.networks)} networks")
        lowering = {each.name: functools.partial(jobs.tasks, each, job.target) for each in job.networks}
        found = self._compilers.all_of(lowering, job.build_timeout_s)
        tasks = merged(task for name in lowering for task in found[name].answer())
        listing = {task.kernel: functools.partial(jobs.tiles, task.function, job.target, job.tries) for task in tasks}
        listed = self._compilers.all_of(listing, job.timeout_s)
        answers = [(task, *listed[task.kernel].answer()) for task in tasks]
        self.searches = tuple(Search(task=task, default=best, tiles=tiles) for task, best, tiles in answers if tiles)
        self.waiting = tuple(search for search in self.searches if job.again or not self._is_known(search))
        known = len(self.searches) - len(self.waiting)
        said = f"; {known} are tuned already, and stay as they are without --again" if known else ""
        note(f"{len(self.searches)} kernels{said}")

    def result(self) -> TuningResult:
        """Return what is known by now."""
        entries = self.entries()
        tuned = {entry.kernel for _, entry in entries}
        return TuningResult(
            target=self.job.target.name,
            threads=self.job.threads,
            file=self.job.file,
            kernels=tuple(KernelFound(layers=tuple(search.task.layers), choice=entry) for search, entry in entries),
            waiting=tuple(search.task.kernel for search in self.searches if search.task.kernel not in tuned),
            networks=tuple(self.networks()),
            failures=tuple(self.failures),
        )

    def entries(self) -> list[tuple[Search, TunedKernel]]:
        """Return what is known of the job's kernels."""
        found = [(search, self.file.find(search.task.kernel, self.job.threads)) for search in self.searches]
        return [(search, entry) for search, entry in found if entry is not None]

    def networks(self) -> list[TimedNetwork]:
        """Return what is known of the job's networks as a whole, in its order."""
        found = {network.key: network for network in self.file.networks}
        keys = ((each.name, imported_store.content(each), self.job.threads) for each in self.job.networks)
        return [found[key] for key in keys if key in found]

    def _is_known(self, search: Search) -> bool:
        entry = self.file.find(search.task.kernel, self.job.threads)
        if entry is None or (entry.made_with.mbench, entry.made_with.tvm) != _versions():
            return False
        if entry.trials < self.job.trials:
            return False
        return (entry.default.rule, entry.default.parameters) == (search.default.rule, search.default.parameters)

    def run(self, progress: Progress) -> None:
        """Tune every kernel that waits; write the file after each.

        Raises:
            OutputError: the file could not be written.
        """
        job = self.job
        device = LocalDevice(lock_dir=resources.cache_dir(), timeout_s=job.timeout_s, waiting=progress.note)
        bench = Bench(
            target=job.target,
            cache_bytes=_cache_bytes(job),
            threads=job.threads,
            processes=job.host.within_quota(job.host.processors_usable or 1),
            tries=job.tries,
            timeout_s=job.timeout_s,
            compilers=self._compilers,
            timer=LocalTimer(device, job.target),
            scratch=self._scratch,
            trials=job.trials,
            database=choice_files.database(job.file),
        )
        start = time.monotonic()
        try:
            for number, search in enumerate(self.waiting, 1):
                said = self._tune(search, bench, progress)
                left_s = (time.monotonic() - start) / number * (len(self.waiting) - number)
                progress.note(f"{search.task.kernel}: {said}" + (f"; {about(left_s)} left" if left_s else ""))
        finally:
            device.close()

    def unconfirmed(self) -> list[str]:
        """Return the networks to time: those with a choice not yet timed in the network, or never timed themselves.

        None on a GPU, whose first caches keep nothing from one kernel to the next.
        """
        if not platforms.of(self.job.target).caches_last:
            return []
        timed = {network.variant for network in self.networks()}
        followed = [search for search, entry in self.entries() if entry.wins]
        new = self._untimed()
        names = self.job.names
        return [name for name in names if _serve(new, name) or (name not in timed and _serve(followed, name))]

    def _untimed(self) -> list[Search]:
        return [search for search, entry in self.entries() if entry.differs and entry.in_place is None]

    def confirm(self, progress: Progress) -> None:
        """Time the `unconfirmed` networks, by rule and as tuned; write the file after each.

        Where a choice is not quicker in the network, its networks are timed anew without it: the layers beside it may
        then take another time.

        Raises:
            OutputError: the file could not be written.
        """
        waiting, judging = self.unconfirmed(), self._untimed()
        if not waiting:
            return
        seen: dict[str, in_network.NetworkTimings] = {}
        device = LocalDevice(lock_dir=resources.cache_dir(), timeout_s=self.job.timeout_s, waiting=progress.note)
        with contextlib.closing(device):
            while waiting:
                for name, timed in self._timed(waiting, device, progress):
                    seen[name] = timed
                    waiting = [other for other in waiting if other != name]
                    self._judge([search for search in judging if _variants(search) <= seen.keys() - set(waiting)], seen)
                    self.file = self.file.with_network(self._network(name, timed))
                    choice_files.write(self.job.file, self.file)
                    progress.stage(name, "done", 1.0)
                refuted = [search for search, entry in self.entries() if search in judging and not entry.wins]
                for search in refuted:
                    progress.note(f"{search.task.kernel}: not quicker in the network; left to the rules")
                judging = [search for search in judging if search not in refuted]
                waiting = self._without(refuted, seen)

    def _without(self, refuted: Sequence[Search], seen: Collection[str]) -> list[str]:
        """Forget what networks took with choices that are not followed any more; return those to be timed without."""
        networks = [name for name in seen if _serve(refuted, name)]
        if networks:
            self.file = self.file.without_networks(networks, self.job.threads)
            choice_files.write(self.job.file, self.file)
        followed = [search for search, entry in self.entries() if entry.wins]
        return [name for name in networks if _serve(followed, name)]

    def _timed(
        self, names: Sequence[str], device: Arena, progress: Progress
    ) -> Iterator[tuple[str, in_network.NetworkTimings]]:
        """Yield the networks that can be built and timed, and what was seen."""
        job = self.job
        choices = choice_files.choices_of(self.file, job.file, job.threads)
        by_rule, as_tuned = self._built(names, NO_CHOICES, progress), self._built(names, choices, progress)
        for name in [name for name in names if name in by_rule and name in as_tuned]:
            report = functools.partial(progress.stage, name, "timing in the network")
            tolerance = dtypes.of(by_rule[name].manifest.variant.dtype).network_tolerance
            try:
                timed = in_network.time_network(by_rule[name], as_tuned[name], device, job.threads, tolerance, report)
            except MeasureError as error:
                self._failed(name, str(error), progress)
            else:
                yield name, timed

    def _built(self, names: Sequence[str], choices: Choices, progress: Progress) -> dict[str, Artifact]:
        """Return the artifacts of the networks that can be built."""
        wanted = [network for network in self.job.networks if network.name in names]

        def report(name: str, stage: str, fraction: float) -> None:
            if stage == "compiling":
                progress.stage(name, "building", fraction)

        built = self.job.place.build_all(
            wanted, self.job.target, report, use_cache=True, choices=choices, note=progress.note,
            timeout_s=self.job.build_timeout_s,
        )  # fmt: skip
        for name, one in built.items():
            if isinstance(one, records.Failure):
                self._failed(name, one.reason, progress)
        return {name: one[0] for name, one in built.items() if not isinstance(one, records.Failure)}

    def _failed(self, network: str, reason: str, progress: Progress) -> None:
        self.failures.append(TuningFailure(kernel=network, candidate="", reason=reason))
        progress.stage(network, "failed", 1.0)

    def _judge(self, searches: Iterable[Search], seen: Mapping[str, in_network.NetworkTimings]) -> None:
        """Write down how the choices of some kernels did in all the layers that they serve."""
        for search in searches:
            entry = self.file.find(search.task.kernel, self.job.threads)
            places = [layer.split(" ", 1) for layer in search.task.layers]
            found = in_network.ratio([seen[name].layers[layer] for name, layer in places])
            if entry is not None:
                placed = InPlace(
                    layers=len(places),
                    default_seconds=found.default_s,
                    seconds=found.tuned_s,
                    high_ratio=found.high,
                    mcpu=self.job.mcpu,
                    made_with=_made_with(max(seen[name].others_busy for name, _ in places)),
                )
                self.file = self.file.with_entry(msgspec.structs.replace(entry, in_place=placed))

    def _network(self, name: str, timed: in_network.NetworkTimings) -> TimedNetwork:
        found = in_network.ratio([timed.whole])
        return TimedNetwork(
            variant=name,
            content=next(imported_store.content(each) for each in self.job.networks if each.name == name),
            threads=self.job.threads,
            default_seconds=found.default_s,
            seconds=found.tuned_s,
            mcpu=self.job.mcpu,
            made_with=_made_with(timed.others_busy),
        )

    def _tune(self, search: Search, bench: Bench, progress: Progress) -> str:
        """Tune one kernel and write the file; return what came of it."""
        kernel = search.task.kernel
        report = functools.partial(progress.stage, kernel)

        def skip(candidate: Candidate, reason: str) -> None:
            self.failures.append(TuningFailure(kernel=kernel, candidate=str(candidate), reason=reason))
            progress.note(f"{kernel}: {candidate}: {reason}; left out")

        try:
            found = bench.search(search, report, skip)
        except (BuildError, MeasureError) as error:
            self.failures.append(TuningFailure(kernel=kernel, candidate="", reason=str(error)))
            report("failed", 1.0)
            return f"failed: {error}"
        made_with = _made_with(bench.others_busy())
        entry = TunedKernel(
            kernel=kernel, threads=self.job.threads, made_with=made_with, trials=self.job.trials, **found
        )
        self.file = self.file.with_entry(entry)
        choice_files.write(self.job.file, self.file)
        report("done", 1.0)
        if not entry.wins:
            return "the rules' own choice"
        choice = Candidate(rule=entry.rule, parameters=entry.parameters)
        return f"{units.ratio(entry.default.seconds / entry.seconds)} with {choice}"


def _read(job: TuningJob) -> File:
    if job.file.exists():
        return msgspec.structs.replace(choice_files.read(job.file), cpu=job.processor, mcpu=job.mcpu)
    return File(format_version=1, target=job.target.name, cpu=job.processor, mcpu=job.mcpu)


def merged(tasks: Iterable[Task]) -> list[Task]:
    """Return each kernel once, with the layers that it serves in all networks."""
    found: dict[str, Task] = {}
    for task in tasks:
        before = found.get(task.kernel)
        found[task.kernel] = msgspec.structs.replace(task, layers=(*before.layers, *task.layers)) if before else task
    return list(found.values())


def _variants(search: Search) -> set[str]:
    """Return the networks that a kernel serves."""
    return {layer.split(" ", 1)[0] for layer in search.task.layers}


def _serve(searches: Iterable[Search], network: str) -> bool:
    return any(network in _variants(search) for search in searches)


def _cache_bytes(job: TuningJob) -> int:
    """Return what the second-level caches of this machine hold for the threads; a GPU's hold all, and count as none."""
    if not platforms.of(job.target).caches_last:
        return 0
    cache = as_run_here(job.target, job.host).processor.l2
    return int(cache.bytes.value / cache.shared_by * job.threads) if cache else 2**20 * job.threads


def _versions() -> tuple[str, str]:
    return VERSION, metadata.version("apache-tvm")


def _made_with(others_busy: float) -> MadeWith:
    version, tvm = _versions()
    today = time.strftime("%Y-%m-%d", time.gmtime())
    return MadeWith(mbench=version, tvm=tvm, date=today, others_busy=round(others_busy, 2))


def about(seconds: float) -> str:
    """Return a time for people: `40 s`, `3 min`, `1.5 h`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 90 * 60 else f"{seconds / 3600:.1f} h"
