"""Results of a farm: each was had on one device, and two devices, even of one kind, are not alike.

Latencies of two devices are compared where the reference network says that they differ by no more than the verdict
tolerates of the network itself; else they are not.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence

from mbench.analysis import device_spread
from mbench.core import units
from mbench.core.records import Record
from mbench.gating.limits import Limits


def mixed(records: Sequence[Record], names: Iterable[str], limits: Limits) -> dict[str, str]:
    """Return each network whose latencies are of devices that differ too much, with the reason in words.

    Args:
        records: of both sides.
        names: networks that would be compared.
        limits: what is tolerated of each.
    """
    found: dict[str, str] = {}
    for name in names:
        tolerated = limits.threshold(name, None, "latency")
        for first, second in itertools.combinations(_devices(records, name), 2):
            why = _differ(records, first, second, tolerated)
            if why is not None:
                found[name] = f"{name} was measured on {first} and on {second}, {why}"
                break
    return found


def _devices(records: Iterable[Record], name: str) -> Iterator[str]:
    """Yield each device of a farm that a network was measured on, once."""
    found = (each.device for record in records for each in record.results if each.variant.name == name)
    yield from dict.fromkeys(device for device in found if device is not None)


def _differ(records: Sequence[Record], first: str, second: str, tolerated: float) -> str | None:
    kinds = [
        next((device.kind for record in records if record.farm and (device := record.farm.device(name))), "?")
        for name in (first, second)
    ]
    if kinds[0] != kinds[1]:
        return f"which are of two kinds, {kinds[0]} and {kinds[1]}"
    apart = device_spread.difference(records, first, second)
    if apart is None:
        return "and no record has the reference network on both, which would show how far they lie apart"
    if apart <= tolerated:
        return None
    return (
        f"which lie {units.percent(apart)} apart by the reference network, {units.percent(tolerated)} is tolerated; "
        "measure both on one device, or allow more with --threshold network.latency=PERCENT"
    )
