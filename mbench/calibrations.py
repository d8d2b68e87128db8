"""The machine's ceilings, kept for a day: measuring them takes a few seconds and they change slowly."""

from __future__ import annotations

import contextlib
import datetime
import hashlib
from collections.abc import Callable
from pathlib import Path

import msgspec

from mbench import records, resources
from mbench.devices import Device
from mbench.errors import OutputError
from mbench.measure import activity
from mbench.records import Calibration, Host, Target

MAX_AGE = datetime.timedelta(days=1)


def ceilings(
    device: Device,
    target: Target,
    host: Host,
    threads: int,
    report: Callable[[str, float], None],
    *,
    use_cache: bool,
) -> Calibration:
    """Return the ceilings of a device at `threads` threads, measured now or, undisturbed, less than a day ago.

    Raises:
        MeasureError: they could not be measured.
    """
    file = _file(device, target, host, threads)
    kept = _read(file) if use_cache else None
    if kept is not None:
        return kept
    measured = device.calibrate(target, threads, report)
    if (measured.others_busy or 0.0) > activity.DISTURBED:
        return measured  # used now, and warned of; not kept for later runs
    with contextlib.suppress(OSError, OutputError):  # a full disk: the next run measures them again
        file.parent.mkdir(parents=True, exist_ok=True)
        records.write_atomically(file, msgspec.json.encode(measured))
    return measured


def _file(device: Device, target: Target, host: Host, threads: int) -> Path:
    """Name the file by what the ceilings depend on."""
    source = Path(__file__).with_name("measure") / "calibrate.py"
    parts = (device.name, host.name, host.cpu, sorted(host.versions.items()), target.tvm, target.processor, threads)
    key = hashlib.sha256(msgspec.json.encode(parts) + source.read_bytes()).hexdigest()[:16]
    return resources.cache_dir() / "calibrations" / f"{key}.json"


def _read(file: Path) -> Calibration | None:
    try:
        kept = msgspec.json.decode(file.read_bytes(), type=Calibration)
        age = datetime.datetime.now(datetime.UTC) - datetime.datetime.fromisoformat(kept.measured_at_utc)
    except (OSError, msgspec.DecodeError, ValueError, TypeError):  # none, or damaged: its time may be no time at all
        return None
    return kept if datetime.timedelta(0) <= age < MAX_AGE else None
