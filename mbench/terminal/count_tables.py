"""Exact counts for the terminal: whole networks, and the layers with most instructions.

Renderables only. What is modelled has a star in its head, and the methods are on the page and in the record.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import RenderableType

from mbench.analysis import instruction_counts, pairs
from mbench.core import dtypes, units
from mbench.core.records import Record, Result
from mbench.terminal.merging import among, merged
from mbench.terminal.table import Column, Fitted, text

ONLY_ALONE = ("op", "loads", "stores", "vector", "FMA")
"""Columns of layers that there is only room for where one network is shown."""


def networks(record: Record, *, few: int) -> Iterator[RenderableType]:
    """Yield the counts of up to `few` networks, and why there are none; nothing where none were asked for."""
    found = [result for result in record.results if result.counts]
    if found and len(record.results) <= few:
        yield Fitted(_columns(record, found), rule=False)
    if found:
        yield text("; ".join(_notes(record, found)))
    for result in found if len(record.results) <= few else ():
        if by_threads := result.end_to_end.latency_model_threads_s:
            each = ", ".join(f"{units.seconds(value)} on {number}" for number, value in by_threads.items())
            yield text(f"latency* of {result.variant.name} on more threads, also the model's: {each}")
    missing = [each for each in record.results if not each.counts] if instruction_counts.wanted(record) else []
    reasons = {result.variant.name: [pairs.why_missing(result, "counts")] for result in missing}
    for reason, names in merged(reasons, {}).items():
        yield text(f"No counts{among(names, record.results)}: {reason}.", style="yellow")


def _columns(record: Record, found: Sequence[Result]) -> list[Column]:
    counters = [result.counts.counters for result in found if result.counts]
    traffic = [(result.counts.traffic_bytes or {}) if result.counts else {} for result in found]
    per = [units.decimal(instruction_counts.of_network(record, result)) for result in found]
    instr = () if instruction_counts.emulated(record) else (
        Column(head="instr", cells=[units.count(each.instructions) for each in counters]),
    )  # fmt: skip
    return [
        Column(head="network", cells=[result.variant.name for result in found]),
        *instr,
        Column(head="per FMA", cells=per, rank=1),
        Column(head="loads", cells=[units.count(each.loads) for each in counters], rank=3),
        Column(head="stores", cells=[units.count(each.stores) for each in counters], rank=3),
        Column(head="DRAM*", cells=[units.data_size(each.get("DRAM")) for each in traffic], rank=2),
    ]


def _notes(record: Record, found: Sequence[Result]) -> Iterator[str]:
    """Yield what was counted, and what its figures are."""
    counts = found[0].counts
    assert counts is not None
    if not instruction_counts.emulated(record):
        yield f"counts: exact, of code for {counts.target} in emulation, not of what was timed"
    if said := _vectors(record, found):
        below = any(instruction_counts.below_one(record, result) for result in found)
        yield f"per FMA: for each {said}" + (", below 1 where padding, Winograd or Strassen saves" if below else "")
    else:
        yield f"per FMA: not known, the record lacks the vector width of {counts.target}"
    if any(result.counts and result.counts.traffic_bytes for result in found):
        yield "DRAM*: traffic, modelled"


def _vectors(record: Record, found: Sequence[Result]) -> str:
    """Return what one of the multiply-adds that instructions are counted for is, in each type; nothing if unknown."""
    lanes = {result.variant.dtype: instruction_counts.lanes(record, result) for result in found}
    if not all(lanes.values()):
        return ""
    if lanes.keys() == {dtypes.DEFAULT}:
        return f"vector multiply-add of {lanes[dtypes.DEFAULT]} lanes"
    return f"vector of multiply-adds, {', '.join(f'{count} of {dtype}' for dtype, count in lanes.items())}"


def layers(result: Result, count: int) -> list[Column]:
    """Return the columns of a table of the `count` layers with most instructions."""
    found = [(layer, layer.counters) for layer in result.layers if layer.counters]
    ranked = sorted(found, key=lambda each: (-each[1].instructions, each[0].index))[:count]
    whole = pairs.instructions(result)
    counters = [each for _, each in ranked]
    traffic = [units.data_size((layer.traffic_bytes or {}).get("DRAM")) for layer, _ in ranked]
    return [
        Column(head="most instructions", cells=[layer.name for layer, _ in ranked]),
        Column(head="op", cells=[layer.op for layer, _ in ranked], rank=4, left=True),
        Column(head="instr", cells=[units.count(each.instructions) for each in counters]),
        Column(head="share", cells=[units.percent(pairs.ratio(each.instructions, whole)) for each in counters]),
        Column(head="loads", cells=[units.count(each.loads) for each in counters], rank=3),
        Column(head="stores", cells=[units.count(each.stores) for each in counters], rank=3),
        Column(head="vector", cells=[units.count(each.vector_instructions) for each in counters], rank=2),
        Column(head="FMA", cells=[units.count(each.fma_instructions) for each in counters], rank=2),
        Column(head="DRAM*", cells=traffic, rank=1),
    ]
