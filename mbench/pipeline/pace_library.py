"""The library of the loops that show the processors' pace between samples, compiled once for a machine and a target."""

from __future__ import annotations

import msgspec

from mbench.core import machine_cache, resources, scratch
from mbench.core.errors import MeasureError
from mbench.core.progress import Report
from mbench.devices.protocols import DeviceRunner, Paced
from mbench.measure.observation import PaceLoops
from mbench.pipeline.job import Job

_SOURCES = ("pace.py", "pace_build.py", "cpu_peaks.py")


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
