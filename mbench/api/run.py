"""Measure networks on a target: the work behind `mbench run`."""

from __future__ import annotations

import os
from collections.abc import Iterable
from concurrent.futures import Executor
from contextlib import AbstractContextManager
from os import PathLike
from pathlib import Path

import msgspec

from mbench.build import places
from mbench.core import record_files
from mbench.core.progress import Display, Progress, RunPlan, silent
from mbench.core.records import Record
from mbench.core.run_options import RunOptions
from mbench.hardware import host
from mbench.networks import given
from mbench.networks.given import AnyNetwork
from mbench.pipeline import keeping, run_plan, runner
from mbench.pipeline import options as jobs
from mbench.pipeline.job import Job


class RunInterrupted(KeyboardInterrupt):
    """A run was interrupted; what it measured until then is recorded."""

    def __init__(self, path: Path) -> None:
        """Keep where the record is."""
        super().__init__(f"interrupted; go on with: mbench.resume({str(path)!r})")
        self.path = path
        """The record's file."""


def run(
    networks: AnyNetwork | Iterable[AnyNetwork] = (),
    *,
    target: str = "host",
    options: RunOptions = RunOptions(),
    executor: Executor | str = places.LOCAL,
    display: Display = silent,
) -> Record:
    """Compile, measure, check and explain networks; return the record, which is also a file in `options.output`.

    The file is called after the record's `run_id` and is written after every step. What could not be built or
    measured is in the record's `failures`; it raises nothing.

    Args:
        networks: names or grids, such as `mobilenet_v2_{0.5,1.0}_224`; files of ONNX or `torch.export`;
            `package.module:function`, which returns a torch module and an example input; or a `Network`. None:
            `mobilenet_v1_1.0_224` and its standard twin. `options.standard` adds the standard twin of each.
        target: name of a hardware target, see `mbench targets`.
        options: how to run.
        executor: where networks are built, and counted in emulation: `local`, `local:N` for N builds side by side,
            `dask://HOST:PORT` (see docs/cluster.md), or an executor of `concurrent.futures`, which stays open. It is
            no option of the run: it changes nothing of the record.
        display: shows progress; by default nothing does.

    Raises:
        UsageError: a network, a target or an option that cannot be, on this machine or at all.
        TargetError: the target is not known, or its description is wrong.
        OutputError: the record could not be written; the message says where it was saved instead.
        RunInterrupted: by the user; its `path` is the record.

    Example:
        ```python
        record = mbench.run("mobilenet_v1_0.25_128", options=mbench.RunOptions(threads=1))
        ```
    """
    places.check(executor)
    job = jobs.new_job(given.each(networks), target, host.describe(), options)
    return _run(job, "--output", executor, display)


def resume(
    path: str | PathLike[str],
    *,
    use_cache: bool = True,
    build_timeout_s: float = 600.0,
    executor: Executor | str = places.LOCAL,
    display: Display = silent,
) -> Record:
    """Go on with the run that wrote a record, with the record's own settings; return the record.

    Networks that were finished stay; the others are measured whole.

    Args:
        path: the record's file; it is written again after every step.
        use_cache: whether builds and calibrations of before may be used.
        build_timeout_s: seconds after which the build of a network is given up.
        executor: where networks are built; see `run`.
        display: shows progress; by default nothing does.

    Raises:
        RecordError: the file is not a record.
        UsageError: this machine cannot go on with it, or another process works on it.
        OutputError: the record could not be written.
        RunInterrupted: by the user; its `path` is the record.

    Example:
        `record = mbench.resume("mbench-results/20260801-101500-3f2a1b.json")`
    """
    places.check(executor)
    limit_s = RunOptions(build_timeout_s=build_timeout_s).build_timeout_s  # checked as that of a new run
    job = jobs.resumed_job(behind_links(Path(path)), host.describe(), use_cache=use_cache, build_timeout_s=limit_s)
    return _run(job, "--resume", executor, display)


def behind_links(path: Path) -> Path:
    """Return the file that a link leads to: written in the link's place, the record would be there twice."""
    return Path(os.path.realpath(path)) if path.is_symlink() else path


def _shown(job: Job, executor: Executor | str, display: Display) -> AbstractContextManager[Progress]:
    """Return what shows the progress of a job."""
    plan = RunPlan() if display is silent else run_plan.of(job, places.side_by_side(executor))
    return display(run_plan.left(job), None, plan)


def of_job(job: Job, executor: Executor | str, display: Display) -> Record:
    """Run a job that was made of options; return its record. A sweep's jobs are made before the first is run.

    Raises:
        UsageError: nothing can be written where its record goes, or the executor cannot be used.
        OutputError: the record could not be written.
        RunInterrupted: by the user; its `path` is the record.
    """
    return _run(job, "--output", executor, display)


def _run(job: Job, option: str, executor: Executor | str, display: Display) -> Record:
    jobs.prepare(job.path.parent, option)
    with keeping.held(job):
        try:
            with _shown(job, executor, display) as progress, places.opened(executor, progress.note) as place:
                runner.run(msgspec.structs.replace(job, place=place), progress)
        except KeyboardInterrupt as error:
            if not job.path.exists():
                raise
            raise RunInterrupted(job.path) from error
        return record_files.read(job.path)
