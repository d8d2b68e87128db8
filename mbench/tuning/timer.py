"""Where kernels are timed for tuning: worker processes of the device that holds this machine's CPU or GPU.

The jobs at the end of this module run in those processes; importing it needs neither tvm nor torch.
"""

from __future__ import annotations

from typing import Protocol, cast

from mbench.core.machine_types import Target
from mbench.core.progress import Report
from mbench.devices.process import WorkerDevice
from mbench.hardware import cudart, platforms
from mbench.tuning.plans import Readings, SearchPlan, TimingPlan

_SEARCH_SILENCE_S = 1800.0
"""MetaSchedule reports after each batch, and stops what hangs itself."""


class KernelTimer(Protocol):
    """Times the candidates of kernels."""

    def time_kernel(self, plan: TimingPlan, report: Report) -> Readings:
        """Time candidates of one kernel.

        Raises:
            WorkerDied: the process that ran them crashed, was killed, or hung; the plan's log says where.
            MeasureError: what the rules choose computes something wrong.
        """
        ...

    def search_kernel(self, plan: SearchPlan, report: Report) -> int:
        """Let MetaSchedule search schedules of one kernel; return how many its database has.

        Raises:
            WorkerDied: the process crashed, was killed, or hung. What was timed up to then is in the database.
            MeasureError: none of its schedules could be timed.
        """
        ...


class LocalTimer:
    """Times kernels on this machine, in fresh processes of a device that holds it."""

    def __init__(self, device: WorkerDevice, target: Target) -> None:
        """Use a device that is open; whoever opened it closes it."""
        self._device = device
        self._time = {"cpu": time_on_cpu, "gpu": time_on_gpu}[platforms.of(target).processor]

    def time_kernel(self, plan: TimingPlan, report: Report) -> Readings:
        """Time candidates of one kernel."""
        return cast(Readings, self._device.run(self._time, (plan,), plan.threads, report))

    def search_kernel(self, plan: SearchPlan, report: Report) -> int:
        """Let MetaSchedule search schedules of one kernel."""
        return cast(int, self._device.run(search, (plan,), plan.threads, report, silence_s=_SEARCH_SILENCE_S))


# ------------------------------------------------------------------------------------------------ in the worker process
def time_on_cpu(send: Report, plan: TimingPlan) -> Readings:
    """Job: time candidates of one kernel."""
    send("starting", 0.0)
    from mbench.tuning import timing

    return timing.time_all(plan, send)


def time_on_gpu(send: Report, plan: TimingPlan) -> Readings:
    """Job: time candidates of one kernel by the events of the GPU.

    Raises:
        MeasureError: the GPU went away, or CUDA refuses.
    """
    send("starting", 0.0)
    cudart.prepare_tvm()
    stream = cudart.Runtime()
    from mbench.tuning import timing

    with cudart.explaining("tuning"):
        return timing.time_all(plan, send, timing.OnGpu(stream))


def search(send: Report, plan: SearchPlan) -> int:
    """Job: let MetaSchedule search schedules of one kernel."""
    send("searching", 0.0)
    from mbench.tuning import metaschedule_search

    return metaschedule_search.search(plan, lambda fraction: send("searching", fraction))
