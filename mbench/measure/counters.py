"""Read what the counting plugin wrote: exact counts and cache traffic of each segment of the counted run.

The plugin's format is described in `mbench/native/counts.c`. Sums and sorts; executes nothing.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path

from mbench.core.errors import MeasureError
from mbench.core.field_types import LEVELS
from mbench.core.machine_types import Cache, Target
from mbench.core.records import Counters
from mbench.measure.decode import Decoder, InstructionCost
from mbench.measure.observation import CallCounts

METHOD = (
    "every instruction of the compiled library that one run executes, on one thread, counted in emulation by block of "
    "code and decoded; the runtime between the kernels is not counted"
)
TRAFFIC_METHOD = (
    "a model of the target's caches over every access of the compiled library: write-back, write-allocate, least "
    "recently used, no prefetch, warmed up by one run; lines filled and written back, in bytes; L1: bytes loaded and "
    "stored"
)
_DEFAULT_WAYS = 8


@dataclasses.dataclass(frozen=True)
class Segment:
    """What happened between two marks: the cost of all instructions, and lines by cache level (fills, write-backs)."""

    cost: InstructionCost
    lines: tuple[tuple[int, int], ...]


def cache_options(target: Target) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Return the plugin's options for the target's caches (`l1=32768:2:64`), and the bytes of a line of each level.

    A level without known associativity has 8 ways, as `traffic_method` says. The whole of a shared cache serves the one
    thread.
    """
    known = _caches(target)
    options = (_option(f"l{number}", cache) for number, cache in enumerate(known, start=1))
    return tuple(options), tuple(cache.line_bytes for cache in known)


def traffic_method(target: Target) -> str:
    """Return what the traffic is: `TRAFFIC_METHOD`, and the levels whose associativity is a guess."""
    guessed = [level for level, cache in zip(LEVELS, _caches(target), strict=False) if cache.ways is None]
    if not guessed:
        return TRAFFIC_METHOD
    return f"{TRAFFIC_METHOD}; associativity of {', '.join(guessed)} not known, {_DEFAULT_WAYS} ways assumed"


def _caches(target: Target) -> list[Cache]:
    """Return the caches that are known, nearest first."""
    processor = target.processor
    return [cache for cache in (processor.l1d, processor.l2, processor.l3) if cache is not None]


def _option(name: str, cache: Cache) -> str:
    ways = round(cache.ways.value) if cache.ways else _DEFAULT_WAYS
    return f"{name}={cache.bytes.value:.0f}:{ways}:{cache.line_bytes}"


def read(path: Path, decoder: Decoder) -> tuple[Segment, ...]:
    """Return the segments of the counted run, in order.

    Raises:
        MeasureError: the file is missing or truncated, or an instruction in it is not known.
    """
    try:
        lines = path.read_text(encoding="ascii").splitlines()
    except OSError as error:
        raise MeasureError(f"the emulator wrote no counts: {error.strerror}; did it end before the run did?") from error
    if not lines or lines[-1] != "E":
        raise MeasureError("the emulator's counts are truncated; was it killed, or is the disk full?")
    return tuple(_segments(lines[:-1], decoder))


def _segments(lines: Sequence[str], decoder: Decoder) -> Iterator[Segment]:
    blocks: dict[str, InstructionCost] = {}
    cost: InstructionCost | None = None
    levels: list[tuple[int, int]] = []
    for line in lines:
        kind, *words = line.split(" ")
        if kind == "B":
            blocks[words[0]] = sum((decoder.cost(code) for code in words[1].split(",")), InstructionCost())
        elif kind == "D" and cost is not None:
            cost += blocks[words[0]] * int(words[1])
        elif kind == "T":
            levels.append((int(words[1]), int(words[2])))
        else:
            if cost is not None:
                yield Segment(cost, tuple(levels))
            cost, levels = InstructionCost(), []
    if cost is not None:
        yield Segment(cost, tuple(levels))


def of_calls(
    segments: Sequence[Segment], ran: Sequence[str], expected: Sequence[str], line_bytes: Sequence[int]
) -> tuple[CallCounts, ...]:
    """Return the counts of each kernel call. A mark stands before and after each call, so call i is segment 2i + 1.

    Args:
        segments: of the counted run.
        ran: the calls that the instrument saw, runtime's builtins included.
        expected: the artifact's kernels, in order.
        line_bytes: of each cache level of the model.

    Raises:
        MeasureError: the calls are not those of the artifact, or the marks do not fit them.
    """
    if len(segments) != 2 * len(ran) + 1:
        raise MeasureError(f"{len(segments)} segments were counted, expected {2 * len(ran) + 1} for {len(ran)} calls")
    kernels = [(name, segments[2 * at + 1]) for at, name in enumerate(ran) if not name.startswith("vm.builtin.")]
    if [name for name, _ in kernels] != list(expected):
        raise MeasureError("the kernels that ran are not those of the artifact; build it again")
    return tuple(
        CallCounts(counters=_counters(segment.cost), traffic_bytes=_traffic(segment, line_bytes))
        for _, segment in kernels
    )


def _counters(cost: InstructionCost) -> Counters:
    return Counters(**dataclasses.asdict(cost))


def _traffic(segment: Segment, line_bytes: Sequence[int]) -> dict[str, int] | None:
    """Return bytes by level: what passes into and out of L1 is what the next level delivers and takes."""
    if not line_bytes:
        return None
    behind = (*LEVELS[1 : len(line_bytes)], "DRAM")
    passed = (sum(lines) * size for lines, size in zip(segment.lines, line_bytes, strict=True))
    return {"L1": segment.cost.load_bytes + segment.cost.store_bytes, **dict(zip(behind, passed, strict=True))}


def total(counters: Sequence[Counters]) -> Counters:
    """Return the sum, field by field."""
    names = Counters.__struct_fields__
    return Counters(**{name: sum(getattr(item, name) for item in counters) for name in names})


def total_traffic(items: Sequence[dict[str, int] | None]) -> dict[str, int] | None:
    """Return the sum by level; None where any is missing."""
    summed: dict[str, int] = {}
    for item in items:
        if item is None:
            return None
        for level, amount in item.items():
            summed[level] = summed.get(level, 0) + amount
    return summed or None
