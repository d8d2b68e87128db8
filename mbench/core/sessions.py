"""The sessions of a result: fresh processes that each loaded the artifact and measured it. Part of a record."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated

from msgspec import Meta

from mbench.core.field_types import Amount, Bytes, Count, Moment, Samples, Seconds, Strict, Texts, TextTable
from mbench.core.machine_types import Conditions

DEFAULT_SESSIONS = 5
"""Of a run, unless other are asked for: two records of so many show a slow-down of a tenth on a quiet machine."""
MOST_SESSIONS = 1000
Sessions = Annotated[int, Meta(gt=0, le=MOST_SESSIONS)]


class Session(Strict, frozen=True, kw_only=True):
    """One fresh process. Its samples follow those of the session before, end to end and in each layer."""

    samples: Count
    """How many of the end-to-end samples are its own."""
    layer_samples: Count
    """How many samples of each layer are its own."""
    began_utc: Moment
    memory_offset: Bytes | None = None
    """By how much, drawn at random, it moved its heap, so that each session has its own layout of memory."""
    load_s: Seconds | None = None
    """Loading the library and the weights."""
    first_s: Seconds | None = None
    """The first run after that, with nothing in the caches."""
    warmup_runs: Count | None = None
    warmup_s: Seconds | None = None
    wall_s: Seconds | None = None
    """From the first warm-up to the last sample."""
    others_busy_s: Seconds | None = None
    """Processor time that other processes of this machine used meanwhile."""
    processor_share: Amount | None = None
    """Processor time that the threads got while whole runs were timed, over the time that they wanted: 1 if nobody took
    any."""
    flops_per_s: Amount | None = None
    """What all threads did in a loop of multiply-adds between the samples: the median."""
    exchange_s: Seconds | None = None
    """What a parallel loop took in which each thread reads 16 KiB that another wrote, between the samples: the median;
    null with one thread."""
    conditions_before: Conditions | None = None
    conditions_after: Conditions | None = None
    disturbed: Texts = ()
    """What disturbed it, in words; empty: nothing that could be seen."""
    far_apart: bool = False
    """Whether nothing else disturbed it than that its processors were far apart, by `exchange_s`: such sessions can be
    compared with each other."""
    left_out: bool = False
    """Whether its samples do not count, since there were quiet sessions; then `latency_s` has those end to end."""
    latency_s: Samples | None = None
    """Of a session that was left out; the others' samples are in `end_to_end` and `layers`."""
    missing: TextTable = {}


def kept(sessions: Iterable[Session]) -> tuple[Session, ...]:
    """Return those whose samples count, in order."""
    return tuple(session for session in sessions if not session.left_out)


def of_whole(samples: Sequence[float], sessions: Iterable[Session]) -> tuple[Sequence[float], ...]:
    """Return end-to-end samples session by session; without sessions, all as one."""
    return tuple(_parts(samples, [session.samples for session in kept(sessions)]))


def of_layer(samples: Sequence[float], sessions: Iterable[Session]) -> tuple[Sequence[float], ...]:
    """Return a layer's samples session by session; without sessions, all as one."""
    return tuple(_parts(samples, [session.layer_samples for session in kept(sessions)]))


def _parts(samples: Sequence[float], counts: Sequence[int]) -> Iterator[Sequence[float]]:
    if not counts:
        counts = [len(samples)]
    start = 0
    for count in counts:
        if count:
            yield samples[start : start + count]
        start += count
