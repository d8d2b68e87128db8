"""What a history is made of: series of points, and the changes that were found in them.

A series is one quantity of one network in one place. Everything that may not differ within it is its `Identity`: a
changed machine ends a series and begins another. What may differ and explain a change is a mark on its points: versions
of mbench, TVM and compiler, the kernel, the network's digest, the build.
"""

from __future__ import annotations

import datetime
from typing import Literal

from mbench.core.field_types import Strict

Kind = Literal["exact", "measured"]
"""`exact`: counts, sizes and multiply-adds, the same in every run of the same code; `measured`: times and energy."""
Certainty = Literal["certain", "perhaps"]


class Quantity(Strict, frozen=True, kw_only=True):
    """What a series shows."""

    name: str
    """`latency_s`, `instructions`, `library_bytes`, …"""
    label: str
    """In words, without the unit: `latency`."""
    unit: str
    """`s`, `B`, `J`; empty for counts."""
    kind: Kind
    better: Literal["lower", "neither"] = "lower"
    """`neither`: a change is of interest, and no regression, such as of multiply-adds."""


class Identity(Strict, frozen=True, kw_only=True):
    """What all points of a series share."""

    network: str
    family: str
    source: str
    """`family`, `onnx`, `export` or `function`, as in a record's network."""
    dtype: str
    batch: int
    threads: int
    target: str
    device: str
    """The kind of device: `local`, `rpc`, `emulated`, …"""
    machine: str
    """The name of the machine that ran it; empty in emulation, which is the same everywhere."""
    hardware: str
    """Processor or GPU, with the processors that could be used; in emulation the emulated processor."""


class Point(Strict, frozen=True, kw_only=True):
    """What one record says."""

    record: str
    """SHA-256 of the record, its address in the store."""
    run_id: str
    at: datetime.datetime
    """When it was measured, in UTC; with the label `committed_at`, that moment."""
    value: float
    sessions: tuple[float, ...] = ()
    """Medians of the sessions that count; empty: an exact quantity, or a record without sessions."""
    low: float | None = None
    high: float | None = None
    """Interval of the value over the sessions; null: none is known."""
    disturbed: tuple[str, ...] = ()
    """What disturbed the measurement, in words."""
    labels: dict[str, str] = {}
    """`commit`, `branch`, `change`, `committed_at`, and what else was given by `--label`."""
    marks: dict[str, str] = {}
    """What may explain a change, by name: `mbench`, `apache-tvm`, `kernel`, `network`, `build`, `schedules`, …"""


class Series(Strict, frozen=True, kw_only=True):
    """The points of one quantity of one thing, oldest first."""

    id: str
    """Made of identity and quantity: the same in every store."""
    identity: Identity
    quantity: Quantity
    points: tuple[Point, ...]


class Change(Strict, frozen=True, kw_only=True):
    """A place in a series from which on its values are others."""

    series: str
    """The series' `id`."""
    at: int
    """Index of the first point of the new level."""
    last: int | None = None
    """Of a slow drift, the index of the point at which it ends; null: it is a step."""
    before: float
    after: float
    """The levels on both sides, up to the neighbouring changes."""
    ratio: float
    """`after / before`; infinite if it was 0."""
    low: float
    high: float
    """Interval of the ratio; both are the ratio where the quantity is exact."""
    p_value: float | None
    """Of the test that found it; null: the quantity is exact."""
    certainty: Certainty
    more_runs: int | None = None
    """How many more runs will show whether it lasts; null: it is certain."""
    worse: bool
    machine: bool = False
    """Whether it is the machine's and not the network's: one build on both sides, and others there moved with it."""
    model: bool = False
    """Whether it is that of the model behind a modelled quantity: what was counted is the same."""
    record: str
    """The first record after it."""
    commits: tuple[str | None, str | None] = (None, None)
    """The last commit before it and the first one after; null: the record has no label `commit`."""
    causes: tuple[str, ...] = ()
    """What differs across it and may explain it, in words; hints, no proofs."""
    accepted: str | None = None
    """Why it was agreed to, from the file of acceptances."""
