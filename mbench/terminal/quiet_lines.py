"""What `mbench run --quiet` prints: a line a network, to be read at a glance or by a script."""

from __future__ import annotations

from collections.abc import Iterator

from mbench.analysis import instruction_counts, pairs
from mbench.core import plain, units
from mbench.core.records import Record
from mbench.terminal import totals
from mbench.terminal.totals import NetworkRow


def of_record(record: Record) -> list[str]:
    """Return a line for each network: its name, the headline with its interval, and whether both can be relied on.

    `ok`, `WRONG` (output), `disturbed`; or `FAILED` and `UNFINISHED`, with the reason.
    """
    cells = [(line.name, _headline(record, line), _state(line)) for line in totals.rows(record)]
    cells += [(name, reason, "") for name, reason in _without_result(record)]
    names = max((len(plain.line(name)) for name, _, _ in cells), default=0)
    figures = max((len(figure) for _, figure, state in cells if state), default=0)
    return [
        f"{plain.line(name):{names}}  {plain.line(said):{figures}}  {state}".rstrip() for name, said, state in cells
    ]


def _headline(record: Record, line: NetworkRow) -> str:
    if instruction_counts.emulated(record):
        return f"{units.count(pairs.instructions(line.result))} instructions"
    shown = totals.interval(line)
    limits = "" if line.disturbed or shown == units.NOT_AVAILABLE else f" {shown}"
    return totals.latency(line) + limits


def _state(line: NetworkRow) -> str:
    said = totals.output(line.result)
    return totals.DISTURBED if line.disturbed and said != totals.WRONG else said


def _without_result(record: Record) -> Iterator[tuple[str, str]]:
    done = {result.variant.name for result in record.results}
    failed = {failure.variant: failure for failure in record.failures if failure.variant not in done}
    for failure in failed.values():
        yield failure.variant, f"FAILED: {failure.reason}"
    for name in record.unfinished():
        if name not in failed:
            yield name, "UNFINISHED"
