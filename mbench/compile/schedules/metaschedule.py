"""Schedules that TVM's MetaSchedule found: read from its database and applied to a kernel."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import tvm
from tvm import tirx
from tvm.s_tir import Schedule
from tvm.s_tir import meta_schedule as ms

from mbench.compile.schedules.rule import KernelPlan, StaleChoiceError
from mbench.core.choices import Choice
from mbench.core.errors import MeasureError

NAME = "main"
"""The kernel's name in the modules that the database files."""
_FAILED_S = 1e9
"""What MetaSchedule writes for a schedule that could not be timed. Source: AddToDatabase (src/s_tir/meta_schedule)."""
_WORKLOADS, _RECORDS = "database_workload.json", "database_tuning_record.json"


def recorded(function: tirx.PrimFunc, choice: Choice) -> KernelPlan:
    """Return a kernel as the quickest record of a database makes it.

    Raises:
        StaleChoiceError: the database has none for it, or this TVM does not take it.
    """
    folder = Path(choice.database or "")
    if not choice.database or not (folder / _RECORDS).exists():
        raise StaleChoiceError(f"MetaSchedule's database {folder.name or '?'} is not there")
    module = module_of(function)
    try:
        database = open_database(folder)
        records = records_of(database, module)
        best = min(records, key=seconds, default=None)
        if best is None or seconds(best) == math.inf:
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
    return KernelPlan(function=schedule.mod[NAME])


def open_database(folder: Path) -> Any:
    """Open a database, or begin one.

    Raises:
        MeasureError: it cannot be read, as after the disk was full.
    """
    try:
        return ms.database.JSONDatabase(str(folder / _WORKLOADS), str(folder / _RECORDS))
    except (RuntimeError, ValueError, TypeError) as error:
        raise MeasureError(f"MetaSchedule's database {folder} cannot be read; remove it") from error


def records_of(database: Any, module: tvm.IRModule) -> list[Any]:
    """Return the records of a kernel, also those of schedules that failed."""
    if not database.has_workload(module):
        return []
    workload = database.commit_workload(module)  # it is there: nothing is written
    return [record for record in database.get_all_tuning_records() if record.workload.same_as(workload)]


def seconds(record: Any) -> float:
    """Return the mean time of a record; infinite for a schedule that failed."""
    times = [float(seconds) for seconds in record.run_secs or ()]
    return sum(times) / len(times) if times and max(times) < _FAILED_S else math.inf


def module_of(function: tirx.PrimFunc) -> tvm.IRModule:
    """Return the module that a kernel is filed under: the same whatever the kernel is called in its network."""
    return tvm.IRModule({NAME: function.with_attr("global_symbol", NAME)})
