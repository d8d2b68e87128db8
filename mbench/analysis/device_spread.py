"""How far the devices of a farm lie apart, by what the reference network took on each: sessions within devices.

Each session counts by the logarithm of its median; a device's first figures alone are taken, so that no device is
judged by more of them than another. Between devices: one-way analysis of variance with random effects, by the method of
moments (Searle, Casella and McCulloch, Variance Components, 1992, ch. 3).
"""

from __future__ import annotations

import dataclasses
import itertools
import math
import statistics
from collections.abc import Iterable, Sequence

from mbench.core import stats
from mbench.core.farm_records import Farm, FarmDevice
from mbench.core.records import Record, Result


@dataclasses.dataclass(frozen=True, kw_only=True)
class KindSpread:
    """The devices of one kind that were timed, quickest first."""

    kind: str
    devices: tuple[tuple[str, float], ...]
    """Each with what the reference network took in its first sessions, in seconds: the median."""
    within: float
    """Standard deviation between sessions of one device, of the logarithm."""
    between: float | None
    """Standard deviation between devices, of the logarithm, beyond what their sessions explain; None: one device."""

    @property
    def apart(self) -> float:
        """How much longer the slowest takes than the quickest, as a fraction."""
        return self.devices[-1][1] / self.devices[0][1] - 1


def of_farm(farm: Farm) -> tuple[KindSpread, ...]:
    """Return how far the devices of each kind lie apart, kinds in the order of the farm."""
    timed = [(device, farm.first_s(device.name)) for device in farm.devices]
    known = [(device, first_s) for device, first_s in timed if len(first_s) > 1]
    kinds = dict.fromkeys(device.kind for device, _ in known)
    return tuple(_of_kind(kind, [each for each in known if each[0].kind == kind]) for kind in kinds)


def _of_kind(kind: str, known: Sequence[tuple[FarmDevice, Sequence[float]]]) -> KindSpread:
    logs = [[math.log(value) for value in first_s] for _, first_s in known]
    within, between = _variances(logs)
    ranked = sorted(((device.name, stats.median(first_s)) for device, first_s in known), key=lambda each: each[1])
    return KindSpread(
        kind=kind,
        devices=tuple(ranked),
        within=math.sqrt(within),
        between=None if between is None else math.sqrt(between),
    )


def _variances(groups: Sequence[Sequence[float]]) -> tuple[float, float | None]:
    """Return the variance within groups, and that of the groups themselves, not below 0; None: one group."""
    counts = [len(group) for group in groups]
    total = sum(counts)
    squares = sum((len(group) - 1) * statistics.variance(group) for group in groups)
    within = squares / (total - len(groups))
    if len(groups) == 1:
        return within, None
    centre = statistics.fmean(itertools.chain.from_iterable(groups))
    between = sum(len(group) * (statistics.fmean(group) - centre) ** 2 for group in groups) / (len(groups) - 1)
    size = (total - sum(count**2 for count in counts) / total) / (len(groups) - 1)
    return within, max(0.0, (between - within) / size)


def difference(records: Iterable[Record], first: str, second: str) -> float | None:
    """Return by how much two devices differ, as a fraction of the quicker one: the reference network on both.

    Of several records that timed it on both, the largest difference; None: none did, or the two are of two kinds.
    """
    found = [_difference(record.farm, first, second) for record in records if record.farm]
    known = [value for value in found if value is not None]
    return max(known, default=None)


def _difference(farm: Farm, first: str, second: str) -> float | None:
    one, other = farm.device(first), farm.device(second)
    if one is None or other is None or one.kind != other.kind:
        return None
    times_s = [farm.first_s(first), farm.first_s(second)]
    if not all(times_s):
        return None
    medians = sorted(stats.median(each) for each in times_s)
    return medians[1] / medians[0] - 1


def by_device(record: Record) -> dict[str, tuple[Result, ...]]:
    """Return the results of each device of a record's farm, in the order of the farm; none without results."""
    devices = record.farm.devices if record.farm else ()
    found = {each.name: tuple(one for one in record.results if one.device == each.name) for each in devices}
    return {name: results for name, results in found.items() if results}
