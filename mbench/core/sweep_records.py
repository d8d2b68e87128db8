"""Where a sweep stands: frozen types of the file `NAME.sweep` beside its records. SI units.

Everything in it can be made again of the records, but for the times that runs took: it is there so that a sweep of
thousands of cells is shown without reading thousands of records.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from mbench.core.field_types import (
    MOST_KEYS,
    Batch,
    Bytes,
    Count,
    Moment,
    Name,
    Number,
    Strict,
    Text,
    Texts,
    TextTable,
    Threads,
)
from mbench.core.fit_records import CandidateAccuracy, CostEstimate
from mbench.core.machine_types import Host
from mbench.core.records import Variant

FORMAT_VERSION: Literal[1] = 1
MOST_CELLS = 100_000
CellState = Literal["done", "failed", "open"]


class CellPlace(Strict, frozen=True, kw_only=True):
    """Where a network of a sweep is measured."""

    target: Name
    device: Text
    """`local`, `emulated`, `none` where it is compiled only, or what a board is called."""
    threads: Threads
    batch: Batch


class CellFigures(Strict, frozen=True, kw_only=True):
    """What a record says of a network."""

    latency_s: CostEstimate | None = None
    memory_bytes: Bytes
    """Weights, activations at their peak and workspace together, as compiled."""
    weight_bytes: Bytes
    energy_j: CostEstimate | None = None
    instructions: Count | None = None
    macs: Count
    params: Count
    disturbed: Texts = ()
    """What disturbed every session."""
    missing: Text = ""
    """Why there is no latency."""


class CellSeen(Strict, frozen=True, kw_only=True):
    """What a record says of one of its networks: a result, or why there is none."""

    network: Variant
    digest: Text = ""
    """Of the artifact."""
    finished: bool = False
    """Whether it has all sessions that its run asked for."""
    sessions: Count = 0
    figures: CellFigures | None = None
    stage: Text = ""
    """At which it failed."""
    reason: Text = ""


class SweepFile(Strict, frozen=True, kw_only=True):
    """A file beside the sweep's: a record of it, or something else."""

    name: Text
    bytes: Bytes
    changed_ns: Annotated[int, Meta(ge=0)]
    """When, as the file system says: as long as neither this nor the size changes, the file is not read again."""
    place: CellPlace | None = None
    """None: it is no record of this sweep."""
    at_utc: Text = ""
    host: Text = ""
    """The machine that ran it."""
    sessions: Count = 1
    """That its run asked for."""
    counts: bool = False
    """Whether its run asked for counts beside what is measured."""
    seen: Annotated[tuple[CellSeen, ...], Meta(max_length=MOST_KEYS)] = ()
    """Of its networks, but for those that it has nothing of."""
    open: Texts = ()
    """Networks that it was to have and has nothing of, or not all."""
    wall_s: Number = 0.0
    """What its run took, as far as this machine saw it."""
    ran: Count = 0
    """Networks that were done in that time."""
    stored: Text = ""
    """The store that has it."""


class SweepCell(Strict, frozen=True, kw_only=True):
    """A network at a place, and what came of it."""

    network: Variant
    place: CellPlace
    state: CellState
    accuracy: CandidateAccuracy
    accuracy_dtype: Text
    """The type that the accuracy is of: another than the network's where nothing is published of that."""
    figures: CellFigures | None = None
    stage: Text = ""
    reason: Text = ""
    """Why it failed."""
    file: Text = ""
    """The record's, beside the sweep's."""


class SweepRecord(Strict, frozen=True, kw_only=True):
    """Where a sweep stands."""

    kind: Literal["sweep"] = "sweep"
    format_version: Literal[1] = FORMAT_VERSION
    name: Name
    definition: Text
    """The file that describes it."""
    definition_sha256: Text
    updated_at_utc: Moment
    mbench_version: Text
    host: Host
    words: Texts
    """The networks as they were asked for."""
    targets: TextTable
    """What each target is, by name."""
    cells: Annotated[tuple[SweepCell, ...], Meta(max_length=MOST_CELLS)]
    files: Annotated[tuple[SweepFile, ...], Meta(max_length=MOST_CELLS)] = ()

    def count(self, state: CellState) -> int:
        """Return how many cells are in a state."""
        return sum(cell.state == state for cell in self.cells)
