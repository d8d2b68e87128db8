"""Records of farms, made without any: who measured what, and what the reference network took on each device."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
import record_factory as factory

from mbench.core.farm_records import Farm, FarmDevice, SetAside
from mbench.core.machine_types import Device
from mbench.core.records import Record

REFERENCE = "mobilenet_v1_0.25_128"


def farm(times_s: Mapping[str, Sequence[float]], kinds: Mapping[str, str] | None = None, sessions: int = 3) -> Farm:
    """Return a farm whose devices took these times for the reference network; all of kind `pi4` by default."""
    devices = tuple(
        FarmDevice(
            name=name, kind=(kinds or {}).get(name, "pi4"), address=f"rpc://10.0.0.{index + 1}:9090",
            reference_s=tuple(seconds),
        )
        for index, (name, seconds) in enumerate(times_s.items())
    )  # fmt: skip
    return Farm(reference=REFERENCE, reference_digest="ab", reference_sessions=sessions, devices=devices)


def with_farm(record: Record, found: Farm, device: str | Sequence[str]) -> Record:
    """Return a record as of a farm: all results on one device, or each on its own."""
    names = [device] * len(record.results) if isinstance(device, str) else device
    results = tuple(
        msgspec.structs.replace(result, device=name) for result, name in zip(record.results, names, strict=True)
    )
    return msgspec.structs.replace(
        record,
        farm=found,
        results=results,
        device=Device(kind="farm", name="farm.toml", missing={"calibration": "own"}),
    )


def aside(found: Farm, name: str, reason: str, *, returned: bool = False) -> Farm:
    """Return a farm one of whose devices was set aside."""
    event = SetAside(at_utc="2026-11-30T08:00:00Z", reason=reason, returned=returned)
    devices = tuple(
        msgspec.structs.replace(each, set_aside=(event,)) if each.name == name else each for each in found.devices
    )
    return msgspec.structs.replace(found, devices=devices)


PI4S = farm(
    {"pi-1": (0.0100, 0.0101, 0.0099, 0.02), "pi-2": (0.0104, 0.0105, 0.0103), "pi-3": (0.01005, 0.0100, 0.0101)}
)


def record(device: str | Sequence[str] = "pi-1", names: Sequence[str] = factory.PAIR) -> Record:
    """Return a record of the farm `PI4S`."""
    return with_farm(factory.record(names), PI4S, device)
