"""The library of the loops that show the processors' pace between samples, compiled once for a machine and a target."""

from __future__ import annotations

import math
from pathlib import Path

import msgspec

from mbench.core import machine_cache, resources, scratch
from mbench.core.errors import MeasureError
from mbench.core.progress import Report
from mbench.devices.protocols import DeviceRunner, Paced
from mbench.measure.observation import PaceLoops
from mbench.pipeline.job import Job

_SOURCES = ("pace.py", "pace_build.py", "cpu_peaks.py")


class BestPace(msgspec.Struct, frozen=True):
    """The best that a machine was seen to do."""

    exchange_s: float


def best_exchange_s(loops: PaceLoops | None) -> float | None:
    """Return what threads took at best to read what others wrote, in any run on this machine; None: not known."""
    known = machine_cache.read(_best(loops), BestPace) if loops else None
    return known.exchange_s if known and known.exchange_s > 0 else None


def keep(loops: PaceLoops | None, exchange_s: float | None) -> None:
    """Keep what threads took to read what others wrote, if it is the best that was seen."""
    if loops and exchange_s and exchange_s < (best_exchange_s(loops) or math.inf):
        machine_cache.write(_best(loops), BestPace(exchange_s))


def _best(loops: PaceLoops) -> Path:
    return loops.library.with_suffix(".json")


def find(job: Job, device: DeviceRunner, report: Report) -> PaceLoops | None:
    """Return the loops, compiled now or before; None for a device that cannot time them.

    Raises:
        MeasureError: they could not be compiled.
    """
    if not isinstance(device, Paced):
        return None
    target, threads, host = job.target_as_run, job.settings.threads, job.host
    parts = (host.name, host.cpu, host.versions, target.tvm, target.processor, threads)
    file = machine_cache.file("pace", parts, [resources.PACKAGE / "measure" / name for name in _SOURCES])
    loops = PaceLoops(library=file.with_suffix(".so"), target=target, threads=threads)
    if loops.library.is_file():
        return loops
    try:
        with scratch.folder(file.parent) as folder:
            made = msgspec.structs.replace(loops, library=folder / loops.library.name)
            device.build_pace(made, report)
            made.library.replace(loops.library)
    except OSError as error:
        raise MeasureError(f"{loops.library}: cannot be written: {error.strerror}") from error
    return loops
