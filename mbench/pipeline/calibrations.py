"""The machine's peaks, kept for a day: measuring them takes a few seconds and they change slowly."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from mbench.core import machine_cache, resources, strict_json
from mbench.core.errors import MeasureError
from mbench.core.machine_types import Calibration, Host, Target
from mbench.core.progress import Report
from mbench.devices.protocols import Calibrator, MeasuresTypes
from mbench.hardware import platforms
from mbench.measure import activity, type_peaks

MAX_AGE = datetime.timedelta(days=1)


def peaks(
    device: Calibrator,
    target: Target,
    host: Host,
    threads: int,
    report: Report,
    *,
    use_cache: bool,
) -> Calibration:
    """Return the peaks of a device at `threads` threads, measured now or, undisturbed, less than a day ago.

    Raises:
        MeasureError: they could not be measured.
    """
    file = _file(device, target, host, threads)
    return _known(file, lambda: device.calibrate(target, threads, report), use_cache=use_cache)


def with_type(
    found: Calibration,
    dtype: str,
    device: MeasuresTypes,
    target: Target,
    host: Host,
    report: Report,
    *,
    use_cache: bool,
) -> Calibration:
    """Return peaks of a device together with that in another type, measured now or less than a day ago.

    Raises:
        MeasureError: it could not be measured.
    """
    file = _file(device, target, host, found.threads, type_peaks.SOURCES[dtype])
    more = _known(file, lambda: device.calibrate_type(target, found.threads, dtype, report), use_cache=use_cache)
    return msgspec.structs.replace(
        found,
        method=f"{found.method}; {more.method}",
        flops_per_s={**found.flops_per_s, **more.flops_per_s},
        others_busy=max((busy for each in (found, more) if (busy := each.others_busy) is not None), default=None),
    )


def _known(file: Path, measure: Callable[[], Calibration], *, use_cache: bool) -> Calibration:
    before = _read(file) if use_cache else None
    if before is not None:
        return before
    measured = _possible(measure())
    if (measured.others_busy or 0.0) > activity.DISTURBED:
        return measured  # used now, and warned of; not kept for later runs
    machine_cache.write(file, measured)
    return measured


def _possible(measured: Calibration) -> Calibration:
    """Return peaks if they are ones that a record can hold.

    Raises:
        MeasureError: one is out of range.
    """
    try:
        return strict_json.converted(msgspec.to_builtins(measured), Calibration)
    except strict_json.MisfitError as error:
        raise MeasureError(f"the device answered with what no machine has: {error}") from error


def _file(
    device: Calibrator | MeasuresTypes, target: Target, host: Host, threads: int, sources: Sequence[str] = ()
) -> Path:
    """Return where the peaks are kept, by what they depend on; `sources` measure them, by default the platform's."""
    sources = sources or (f"{platforms.of(target).peaks}.py", "probe.py", "pace.py")
    parts = (device.name, host.name, host.cpu, host.versions, target.tvm, target.processor, threads)
    return machine_cache.file("calibrations", parts, [resources.PACKAGE / "measure" / name for name in sources])


def _read(file: Path) -> Calibration | None:
    found = machine_cache.read(file, Calibration)
    if found is None:
        return None
    try:
        age = datetime.datetime.now(datetime.UTC) - datetime.datetime.fromisoformat(found.measured_at_utc)
    except (ValueError, TypeError):  # damaged: its time is no time at all
        return None
    return found if datetime.timedelta(0) <= age < MAX_AGE else None
