"""Where a sweep stands: each cell is done, failed or open, by what its records say and what would be built now."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import msgspec

from mbench.core.machine_types import Host
from mbench.core.records import Variant
from mbench.core.sweep_records import CellPlace, CellSeen, SweepCell, SweepFile, SweepRecord
from mbench.core.version import VERSION
from mbench.hardware import device_kinds
from mbench.sweeping.planning import AskedSweep, PlannedPlace, SweepPlan

OTHER_ARTIFACT = "measured before, with code that would be built otherwise now"
FEWER_SESSIONS = "measured before, in fewer sessions"
OTHER_MACHINE = "measured before, on another machine"
NOT_COUNTED = "measured before, without counts"


class _SeenIn(NamedTuple):
    file: SweepFile
    seen: CellSeen


def of(sweep: AskedSweep, plan: SweepPlan, files: Sequence[SweepFile], machine: Host) -> SweepRecord:
    """Return where a sweep stands.

    Args:
        sweep: as it is asked for.
        plan: of it.
        files: what lies in its folder.
        machine: this one.
    """
    by_cell = _by_cell(files)
    cells = tuple(cell for place in plan.places for cell in _cells(place, by_cell, plan))
    now = datetime.datetime.now(datetime.UTC)
    return SweepRecord(
        name=sweep.name, definition=str(sweep.file.resolve()), definition_sha256=sweep.digest,
        updated_at_utc=now.isoformat(timespec="seconds"), mbench_version=VERSION, host=machine,
        words=sweep.definition.networks, cells=cells, files=tuple(files),
        targets={place.job.target.name: place.job.target.description for place in plan.places},
    )  # fmt: skip


def _by_cell(files: Iterable[SweepFile]) -> dict[tuple[str, CellPlace], list[_SeenIn]]:
    """Return what was seen of each cell, the latest last."""
    found: dict[tuple[str, CellPlace], list[_SeenIn]] = {}
    for file in sorted(files, key=lambda each: (each.at_utc, each.name)):
        for seen in file.seen if file.place else ():
            assert file.place is not None
            found.setdefault((seen.network.name, file.place), []).append(_SeenIn(file, seen))
    return found


def _cells(
    place: PlannedPlace, by_cell: Mapping[tuple[str, CellPlace], Sequence[_SeenIn]], plan: SweepPlan
) -> Iterator[SweepCell]:
    for network in place.job.networks:
        seen = by_cell.get((network.name, place.place), ())
        accuracy, dtype = plan.accuracies[network.name]
        plain = SweepCell(
            network=network, place=place.place, state="open", accuracy=accuracy, accuracy_dtype=dtype
        )  # fmt: skip
        yield _judged(plain, place, seen) if seen else plain


def _judged(plain: SweepCell, place: PlannedPlace, seen: Sequence[_SeenIn]) -> SweepCell:
    """Return a cell as the latest of what was seen of it has it; `seen`: the latest last."""
    replace, why = msgspec.structs.replace, ""
    for file, each in reversed(seen):
        if each.finished:
            why = _not_enough(each, file, place, plain.network)
            if not why:
                return replace(plain, state="done", figures=each.figures, file=file.name)
    if seen[-1].seen.reason:
        file, last = seen[-1]
        return replace(plain, state="failed", stage=last.stage, reason=last.reason, file=file.name)
    return replace(plain, reason=why)


def _not_enough(seen: CellSeen, file: SweepFile, place: PlannedPlace, network: Variant) -> str:
    """Return why what was measured is not what is asked for now; empty: it is."""
    if seen.digest != place.digests[network.name] or seen.network.quantization != network.quantization:
        return OTHER_ARTIFACT
    if device_kinds.of(place.job.device).here and file.host != place.job.host.name:
        return OTHER_MACHINE
    if place.wanted_sessions > 1 and seen.sessions < place.wanted_sessions:
        return FEWER_SESSIONS
    return NOT_COUNTED if place.job.counted is not None and not file.counts else ""
