"""What a run was asked for, as its record keeps it."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from mbench.core.choices import Prefer
from mbench.core.field_types import (
    MOST_TIMEOUT_S,
    MOST_VARIANTS,
    Batch,
    Name,
    Patience,
    Repeat,
    Strict,
    Text,
    Texts,
    TextTable,
    Threads,
)
from mbench.core.sessions import Sessions


class Warmup(Strict, frozen=True, kw_only=True):
    """Runs that are thrown away first: until three blocks in a row agree, or time is up."""

    max_s: Annotated[float, Meta(ge=0, le=MOST_TIMEOUT_S, description="seconds")]
    steady_within: Annotated[float, Meta(ge=0, le=1)] = 0.02
    """How far the medians of the blocks may lie apart, as a share of the least."""


class Settings(Strict, frozen=True, kw_only=True):
    """What was asked for."""

    variants: Annotated[tuple[Name, ...], Meta(max_length=MOST_VARIANTS)] = msgspec.field(name="networks")
    """Names of the networks; `networks` in the file."""
    threads: Threads
    batch: Batch
    dtype: Text
    number: Repeat
    """Runs a sample of end-to-end latency averages over; 1 keeps percentiles true."""
    sessions: Sessions = 1
    """Fresh processes that measure each network, taking turns over the networks of the run."""
    repeat: Repeat
    """End-to-end samples of each session, at most: see `measure_max_s`."""
    layer_repeat: Repeat
    """Instrumented runs of each session, at most: samples of each layer."""
    block: Repeat
    """Consecutive runs that are timed without a pause."""
    warmup: Warmup
    measure_max_s: Patience | None = None
    """Of a session: over how long its samples are spread, after which one block is enough; null: as many as asked."""
    timeout_s: Patience
    sustain_s: Patience | None = None
    """For how long each network was to run without a pause after its sessions; null: that was not asked for."""
    compile_only: bool = False
    counts: bool = False
    """Whether exact counts were asked for beside what is measured; an emulated run always counts."""
    tuned: TextTable = {}
    """Files of tuned choices that kernels could be made by, with the hash of each; none with `--no-tuned`."""
    no_tuned: bool | None = None
    """Whether tuned choices were left out on purpose (`--no-tuned`); null: a record of version 1 does not have it."""
    prefer: Prefer = None
    """Quicker kernels with more weights: all (`latency`), none (`memory`), or null: up to twice the parameters."""
    repeat_asked: bool = False
    """Whether `repeat` was asked for (`--repeat`); if not, it is the default."""
    target_folders: Texts = ()
    """Folders of targets that were added (`--targets`); absolute, to be found from elsewhere too."""
