"""MetaSchedule: thousands of schedules that TVM makes up itself, a model that learns from those that were timed.

It does not know how weights may be packed, and seldom beats the rules; use it if you have hours to spend. Its database
holds what it timed; only what then beats the rules' choice in a timing of our own becomes a tuned choice.
"""

from __future__ import annotations

import math
import os
import sys
import tempfile
import types
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tvm
from tvm.ir.utils import derived_object
from tvm.s_tir import meta_schedule as ms

from mbench.compile import tvm_passes
from mbench.compile.schedules import metaschedule
from mbench.core.errors import MeasureError
from mbench.core.progress import Fraction
from mbench.measure import program
from mbench.tuning.plans import SearchPlan

_BATCH = 16
_BUILD_TIMEOUT_S = 60.0
_RUN_TIMEOUT_S = 30.0


def search(plan: SearchPlan, report: Fraction) -> int:
    """Let MetaSchedule try schedules of a kernel until its database has as many as wanted; return how many it has.

    Args:
        plan: which kernel, how many trials, where the database lies.
        report: called with the share that is done.

    Raises:
        MeasureError: none of its schedules could be timed.
    """
    program.threads_in_use(plan.threads)  # left free: others compile and time, which would have our processors alone
    _prepare_process(Path(plan.scratch))
    module = metaschedule.module_of(tvm.ir.load_json(plan.function))
    database = metaschedule.open_database(Path(plan.database))
    before = len(metaschedule.records_of(database, module))
    progress = _SearchProgress(before, plan.trials, report)
    if before < plan.trials:
        ms.tir_integration.tune_tir(
            module,
            tvm.target.Target(plan.target.tvm_options),
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
    records = metaschedule.records_of(database, module)
    if min(map(metaschedule.seconds, records), default=math.inf) == math.inf:
        raise MeasureError(f"none of the {len(records)} schedules that MetaSchedule tried could be compiled and timed")
    return len(records)


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
    tvm_passes.register()
    return tvm.tirx.build(module, target=target, pipeline=tvm_passes.PIPELINE)


@derived_object
class _SearchProgress(ms.measure_callback.PyMeasureCallback):  # type: ignore[misc]
    """Counts what was tried."""

    def __init__(self, done: int, wanted: int, report: Fraction) -> None:
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
