"""How far a sweep is: cells done, failed and open at each place and type, why they failed, and the time left."""

from __future__ import annotations

import collections
import dataclasses
import re
from collections.abc import Iterable

from mbench.core.errors import shortened
from mbench.core.sweep_records import CellPlace, CellState, SweepCell, SweepRecord

_LONGEST = 160
"""Characters of a cause."""
_NUMBER = re.compile(r"\d+(?:\.\d+)?")


@dataclasses.dataclass(frozen=True, kw_only=True)
class PlaceProgress:
    """How far the cells of a type at a place are."""

    place: CellPlace
    dtype: str
    done: int
    failed: int
    open: int
    causes: tuple[tuple[str, tuple[str, ...]], ...]
    """Each cause of failures with the networks that it stopped."""
    left_s: float | None
    """Expected for what is open; None: nothing is known of how long it takes."""


def of(record: SweepRecord) -> tuple[PlaceProgress, ...]:
    """Return how far a sweep is, by place and type."""
    paces = _paces(record)
    groups: dict[tuple[CellPlace, str], list[SweepCell]] = {}
    for cell in record.cells:
        groups.setdefault((cell.place, cell.network.dtype), []).append(cell)
    return tuple(_of(place, dtype, cells, paces) for (place, dtype), cells in groups.items())


def left_s(record: SweepRecord) -> float | None:
    """Return what is expected for all that is open; None: nothing is known of how long it takes."""
    known = [each.left_s for each in of(record)]
    return None if None in known else sum(each for each in known if each is not None)


def causes(cells: Iterable[SweepCell]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Return why cells failed, the most frequent cause first: those that differ in numbers or names alone are one."""
    said: dict[str, str] = {}
    whose: dict[str, list[str]] = collections.defaultdict(list)
    for cell in cells:
        if cell.state == "failed":
            text = f"{cell.stage}: {cell.reason}"
            form = _NUMBER.sub("#", text.replace(cell.network.name, "@"))
            said.setdefault(form, shortened(text, _LONGEST))
            whose[form].append(cell.network.name)
    ordered = sorted(whose, key=lambda form: -len(whose[form]))
    return tuple((said[form], tuple(whose[form])) for form in ordered)


def _of(place: CellPlace, dtype: str, cells: list[SweepCell], paces: dict[CellPlace | None, float]) -> PlaceProgress:
    def count(state: CellState) -> int:
        return sum(cell.state == state for cell in cells)

    pace_s = paces.get(place, paces.get(None))
    left = 0.0 if not count("open") else None if pace_s is None else pace_s * count("open")
    return PlaceProgress(
        place=place, dtype=dtype, done=count("done"), failed=count("failed"), open=count("open"),
        causes=causes(cells), left_s=left,
    )  # fmt: skip


def _paces(record: SweepRecord) -> dict[CellPlace | None, float]:
    """Return the seconds that a cell took at each place, and, by None, at all of them."""
    took: dict[CellPlace | None, float] = collections.defaultdict(float)
    ran: dict[CellPlace | None, int] = collections.defaultdict(int)
    for file in record.files:
        if file.place is not None and file.ran:
            for key in (file.place, None):
                took[key] += file.wall_s
                ran[key] += file.ran
    return {key: took[key] / ran[key] for key in ran}
