"""What two runs do not share besides the code, and which ways of comparing that makes meaningless.

Counts are the same on every machine, so hardly anything forbids them. Both libraries measured now need one job.
Recorded latencies need the same machine, settings and versions as well.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from mbench.core.errors import UsageError, did_you_mean
from mbench.core.farm_records import Farm
from mbench.core.machine_types import Host
from mbench.core.records import Record
from mbench.gating.comparison import Difference, Way
from mbench.hardware import device_kinds

_JOB: tuple[Way, ...] = ("paired", "recorded")
_ALL: tuple[Way, ...] = ("counts", "paired", "recorded", "static")
_CODE = ("apache-tvm", "apache-tvm-ffi")


def machine(record: Record) -> str:
    """Return what executed the code, in words."""
    if device_kinds.of(record.device.kind).counts_only:
        return record.device.emulator or "an emulator"
    if record.farm:
        return f"a farm of {_kinds(record.farm)}"
    place = record.device.machine or record.host
    return f"{place.name}: {record.device.gpu.name if record.device.gpu else place.cpu}"


def differences(base: Record, head: Record, allowed: Collection[str] = ()) -> tuple[Difference, ...]:
    """Return what differs between two runs, and which ways of comparing each difference forbids.

    Args:
        base: the one run.
        head: the other.
        allowed: keys whose differences do not matter to the caller.

    Raises:
        UsageError: a key of `allowed` is not known.
    """
    ours, theirs = dict(_facts(base)), dict(_facts(head))
    unknown = next((key for key in allowed if key not in ours), None)
    if unknown is not None:
        hint = did_you_mean(unknown, ours) or f"; expected one of: {', '.join(ours)}"
        raise UsageError(f"--allow-different {unknown!r} is not known{hint}")
    return tuple(
        Difference(key=key, base=value, head=theirs[key][0], forbids=forbids, allowed=key in allowed)
        for key, (value, forbids) in ours.items()
        if value != theirs[key][0]
    )


def forbidden(way: Way, found: Collection[Difference]) -> tuple[Difference, ...]:
    """Return the differences that make a way of comparing meaningless."""
    return tuple(difference for difference in found if way in difference.forbids and not difference.allowed)


def _facts(record: Record) -> Iterator[tuple[str, tuple[str, tuple[Way, ...]]]]:
    """Yield what is compared: a key, its value in words, and what a difference in it forbids."""
    settings = record.settings
    counted = sorted({result.counts.target for result in record.results if result.counts})
    recorded: tuple[Way, ...] = ("recorded",)
    yield "dtype", (settings.dtype, _ALL)
    yield "batch", (str(settings.batch), _ALL)
    yield "target", (record.target.name, ("static", *_JOB))
    yield "code", (", ".join(f"{key} {value}" for key, value in sorted(record.target.tvm.items())), ("static", *_JOB))
    yield "counted", (", ".join(counted) or "nothing", ("counts",) if counted else ())
    yield "threads", (str(settings.threads), _JOB)
    yield "device", (record.device.kind, recorded)
    places = [record.machine_of(result) for result in record.results] or [record.device.machine or record.host]
    yield "host", (_kinds(record.farm) if record.farm else places[0].name, recorded)
    yield "cpu", (_each(place.cpu for place in places), recorded)
    yield "processors", (_each(str(place.processors_usable or place.cores_logical) for place in places), recorded)
    yield "quota", (_each(_quota(place) for place in places), recorded)
    yield "os", (_each(place.os for place in places), recorded)
    yield "settings", (f"{settings.number} runs a sample, blocks of {settings.block}", recorded)
    versions = {name: value for name, value in record.host.versions.items() if name in _CODE}
    yield "versions", (", ".join(f"{name} {value}" for name, value in sorted(versions.items())), recorded)
    yield "prefer", (settings.prefer or "weights up to twice the parameters", ())
    yield "tuned", (", ".join(sorted(settings.tuned.values())) or "none", ())
    yield "mbench", (record.mbench_version, ())


def _kinds(farm: Farm) -> str:
    """Return the kinds of a farm's devices: which device had which network is looked at in `boards`."""
    return _each(device.kind for device in farm.devices)


def _quota(place: Host) -> str:
    quota = place.processors_quota
    return "no quota" if quota is None else f"{quota:g} processors by quota"


def _each(texts: Iterable[str]) -> str:
    return ", ".join(sorted(set(texts)))
