"""MetaSchedule: thousands of schedules that TVM makes up itself, a model that learns from those that were timed.

It does not know how weights may be packed, and seldom beats the rules; it is for those who have the hours. Its database
holds what it timed; only what then beats the rules' choice in a timing of our own becomes a tuned choice.
"""

from __future__ import annotations

import math
import os
import sys
import tempfile
import types
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import tvm
from tvm import tirx
from tvm.ir.utils import derived_object
from tvm.s_tir import Schedule
from tvm.s_tir import meta_schedule as ms

from mbench.compile import lowering
from mbench.compile.schedules import Plan, StaleChoiceError
from mbench.compile.tuning import SearchPlan
from mbench.errors import MeasureError
from mbench.measure import session
from mbench.tuned import Choice

_BATCH = 16
_NAME = "main"
_BUILD_TIMEOUT_S = 60.0
_RUN_TIMEOUT_S = 30.0
_FAILED_S = 1e9
"""What MetaSchedule writes for a schedule that could not be timed. Source: AddToDatabase (src/s_tir/meta_schedule)."""
_WORKLOADS, _RECORDS = "database_workload.json", "database_tuning_record.json"

Report = Callable[[float], None]


def search(plan: SearchPlan, report: Report) -> int:
    """Let MetaSchedule try schedules of a kernel until its database has as many as wanted; return how many it has.

    Args:
        plan: which kernel, how many trials, where the database lies.
        report: called with the share that is done.

    Raises:
        MeasureError: none of its schedules could be timed.
    """
    session.threads_in_use(plan.threads)  # left free: others compile and time, which would have our processors alone
    _prepare_process(Path(plan.scratch))
    module = _module(tvm.ir.load_json(plan.function))
    database = _open(Path(plan.database))
    before = len(_records(database, module))
    progress = _Progress(before, plan.trials, report)
    if before < plan.trials:
        ms.tir_integration.tune_tir(
            module,
            tvm.target.Target(dict(plan.target.tvm)),
            plan.scratch,
            max_trials_global=plan.trials - before,
            num_trials_per_iter=min(_BATCH, plan.trials - before),
            builder=ms.builder.LocalBuilder(f_build=_build, timeout_sec=_BUILD_TIMEOUT_S, max_workers=plan.processes),
            runner=ms.runner.LocalRunner(timeout_sec=_RUN_TIMEOUT_S),
            database=database,
            measure_callbacks=[*ms.measure_callback.MeasureCallback.create("default"), progress],
            num_tuning_cores=plan.processes,
            seed=before,
        )
    records = _records(database, module)
    if min(map(_seconds, records), default=math.inf) == math.inf:
        raise MeasureError(f"none of the {len(records)} schedules that MetaSchedule tried could be compiled and timed")
    return len(records)


def recorded(function: tirx.PrimFunc, choice: Choice) -> Plan:
    """Return a kernel as the quickest record of a database makes it.

    Raises:
        StaleChoiceError: the database has none for it, or this TVM does not take it.
    """
    folder = Path(choice.database or "")
    if not choice.database or not (folder / _RECORDS).exists():
        raise StaleChoiceError(f"MetaSchedule's database {folder.name or '?'} is not there")
    module = _module(function)
    try:
        database = _open(folder)
        records = _records(database, module)
        best = min(records, key=_seconds, default=None)
        if best is None or _seconds(best) == math.inf:
            raise StaleChoiceError(f"MetaSchedule's database {folder.name} has no record of this kernel")
        schedule = Schedule(module)
        best.trace.apply_to_schedule(schedule, remove_postproc=False)
    except StaleChoiceError:
        raise
    except MeasureError as error:
        raise StaleChoiceError(str(error)) from error
    except (RuntimeError, ValueError, TypeError) as error:
        said = next(iter(str(error).splitlines()), "")
        raise StaleChoiceError(f"MetaSchedule's record cannot be followed: {said}") from error
    return Plan(function=schedule.mod[_NAME])


def _open(folder: Path) -> Any:
    """Open a database, or begin one.

    Raises:
        MeasureError: it cannot be read, as after the disk was full.
    """
    try:
        return ms.database.JSONDatabase(str(folder / _WORKLOADS), str(folder / _RECORDS))
    except (RuntimeError, ValueError, TypeError) as error:
        raise MeasureError(f"MetaSchedule's database {folder} cannot be read; remove it") from error


def _records(database: Any, module: tvm.IRModule) -> list[Any]:
    """Return the records of a kernel, also those of schedules that failed."""
    if not database.has_workload(module):
        return []
    workload = database.commit_workload(module)  # it is there: nothing is written
    return [record for record in database.get_all_tuning_records() if record.workload.same_as(workload)]


def _seconds(record: Any) -> float:
    times = [float(seconds) for seconds in record.run_secs or ()]
    return sum(times) / len(times) if times and max(times) < _FAILED_S else math.inf


def _module(function: tirx.PrimFunc) -> tvm.IRModule:
    """Return the module that a kernel is filed under: the same whatever the kernel is called in its network."""
    return tvm.IRModule({_NAME: function.with_attr("global_symbol", _NAME)})


def _prepare_process(scratch: Path) -> None:
    """Keep temporary files in `scratch`, let TVM's own child processes find mbench, and leave out what they lack.

    MetaSchedule imports the tensor intrinsics of all kinds of hardware; those for CUDA alone take many seconds.
    """
    scratch.mkdir(parents=True, exist_ok=True)
    tempfile.tempdir = str(scratch)
    os.environ["TMPDIR"] = str(scratch)
    os.environ["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    name = "tvm.s_tir.tensor_intrin.cuda"
    sys.modules.setdefault(name, types.ModuleType(name))


def _build(module: tvm.IRModule, target: tvm.target.Target, _parameters: Any) -> Any:
    """Compile as networks are compiled; MetaSchedule's own way takes a minute for some kernels."""
    lowering.register()
    return tvm.tirx.build(module, target=target, pipeline=lowering.PIPELINE)


@derived_object
class _Progress(ms.measure_callback.PyMeasureCallback):  # type: ignore[misc]
    """Counts what was tried."""

    def __init__(self, done: int, wanted: int, report: Report) -> None:
        super().__init__()
        self._done = done
        self._wanted = wanted
        self._report = report

    def apply(
        self, _scheduler: Any, _task: int, candidates: Sequence[Any], _builds: Sequence[Any], _runs: Sequence[Any]
    ) -> None:
        """Count a batch."""
        self._done += len(candidates)
        self._report(min(1.0, self._done / self._wanted))
