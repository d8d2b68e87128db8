"""A farm in sentences, for tables and the page: who measured what, how far devices lie apart, who was set aside."""

from __future__ import annotations

from collections.abc import Iterator

from mbench.analysis import device_spread
from mbench.analysis.device_spread import KindSpread
from mbench.core import stats, units
from mbench.core.errors import cut
from mbench.core.farm_records import Farm
from mbench.core.records import Record

_NAMED = 3
"""Networks of a device that a line names."""
_LONGEST = 160


def shares(record: Record) -> str | None:
    """Return which device had which networks; None: the record is of one device."""
    found = device_spread.by_device(record)
    if not found:
        return None
    each = []
    for device, results in found.items():
        names = [result.variant.name for result in results]
        more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
        each.append(f"{device} {', '.join(names[:_NAMED])}{more}")
    return f"Measured on {len(found)} device{'' if len(found) == 1 else 's'}: {'; '.join(each)}"


def spreads(farm: Farm) -> Iterator[str]:
    """Yield how far the devices of each kind lie apart."""
    for spread in device_spread.of_farm(farm):
        yield f"{spread.kind}: {_spread(spread)}"


def _spread(spread: KindSpread) -> str:
    sessions = f"sessions of one device ±{units.percent(spread.within)}"
    quickest, slowest = spread.devices[0], spread.devices[-1]
    if spread.between is None:
        return f"one device, {quickest[0]}, so that nothing is known of how far such devices lie apart; {sessions}"
    return (
        f"{len(spread.devices)} devices lie ±{units.percent(spread.between)} apart beyond their sessions; the slowest, "
        f"{slowest[0]}, takes {units.percent(spread.apart)} more than the quickest, {quickest[0]}; {sessions}"
    )


def troubles(farm: Farm) -> Iterator[str]:
    """Yield each time that a device was set aside, with the reason."""
    for device in farm.devices:
        for event in device.set_aside:
            after = "; it was taken back later" if event.returned else ""
            yield f"{device.name} was set aside: {cut(event.reason, _LONGEST)}{after}"


def reference_s(farm: Farm, name: str) -> float | None:
    """Return what the reference network took on a device in its first sessions; None: it has no figures."""
    found = farm.first_s(name)
    return stats.median(found) if found else None
