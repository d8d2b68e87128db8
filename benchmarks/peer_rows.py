"""What `peers.py` saw, a line of JSON for each network at a number of threads: a table is made of several runs' files.

A run appends to its file as it goes, so that one that is ended early keeps what it saw. Of rows for the same network
and the same conditions, the last one counts.
"""

from __future__ import annotations

import dataclasses
import json
import statistics
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import standings
from standings import Standing, Timed

from mbench.core import dtypes

_CONDITIONS = ("machine", "target", "kernels", "dtype", "isa", "clock")
"""What rows of one table have in common, besides the kind of their standings."""
_CHECKS = ("error", "busy", "others", "differing")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Row:
    """A standing, and under which conditions it was seen."""

    machine: str
    target: str
    kernels: str
    """`rule` or `tuned`."""
    dtype: str
    isa: str | None
    clock: str
    date: str
    versions: Mapping[str, str]
    """Of the runtimes."""
    standing: Standing

    def document(self) -> dict[str, Any]:
        """Return the row as JSON has it; medians in ms and ratios beside the samples that they follow from."""
        seen = self.standing
        return {
            **{field.name: getattr(self, field.name) for field in dataclasses.fields(self) if field.name != "standing"},
            "network": seen.variant,
            "threads": seen.threads,
            "against": seen.against,
            "median_ms": {name: round(timed.median_s * 1e3, 6) for name, timed in seen.timed.items()},
            "best_peer": seen.best_peer,
            "ratio": seen.ratio,
            "ratio_by_round": seen.round_ratio,
            "left_out": dict(seen.left_out),
            "wrong": dict(seen.wrong),
            "timed": {name: dataclasses.asdict(timed) for name, timed in seen.timed.items()},
        }


def append(file: Path, row: Row) -> None:
    """Add a row to a file."""
    with file.open("a") as opened:
        opened.write(json.dumps(row.document()) + "\n")


def read(files: Iterable[Path]) -> list[Row]:
    """Return the rows of some files, the last one of each network and conditions.

    Raises:
        ValueError: a line is no row.
    """
    found: dict[tuple[Any, ...], Row] = {}
    for file in files:
        for number, line in enumerate(file.read_text().splitlines(), 1):
            try:
                row = _row(json.loads(line))
                found[row.standing.variant, *_conditions(row)] = row
            except (AttributeError, KeyError, TypeError, ValueError) as error:
                raise ValueError(f"{file}, line {number}: not a row of peers.py: {error}") from error
    return list(found.values())


def _row(document: Mapping[str, Any]) -> Row:
    timed = {
        name: Timed(
            rounds_s=tuple(tuple(runs_s) for runs_s in seen["rounds_s"]),
            **{key: seen[key] for key in _CHECKS if key in seen},
        )
        for name, seen in document["timed"].items()
    }
    standing = Standing(
        variant=document["network"], threads=document["threads"], timed=timed, left_out=document["left_out"],
        wrong=document["wrong"], against=document.get("against"),
    )  # fmt: skip
    names = [field.name for field in dataclasses.fields(Row) if field.name != "standing"]
    return Row(standing=standing, **{name: document[name] for name in names})


def tables(rows: Sequence[Row], titles: Mapping[str, str], obeying: Iterable[str]) -> str:
    """Return Markdown: for each kind of conditions a line that says them, and a table with a row a network.

    Args:
        rows: what was seen.
        titles: runtimes by name, in the order of columns; those that no row has are left out.
        obeying: runtimes that can be kept from instructions; where they were, a column has the ratio to their best.
    """
    kinds: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        kinds.setdefault(_conditions(row), []).append(row)
    parts = []
    for some in kinds.values():
        seen = [row.standing for row in some]
        limited = set(obeying) if some[0].isa else None
        table = standings.table(seen, titles, markdown=True, limited=limited)
        said = _mean(seen) if seen[0].against is None else standings.verdicts(seen, standings.FILE_GOALS)
        if some[0].dtype == dtypes.INT8:
            said += standings.differences(seen, titles)
        parts.append("\n\n".join([_heading(some, titles), table, *said, *standings.notes(seen, titles)]))
    return "\n\n".join(parts)


def _conditions(row: Row) -> tuple[Any, ...]:
    return (*(getattr(row, name) for name in _CONDITIONS), *row.standing.kind)


def _heading(some: Sequence[Row], titles: Mapping[str, str]) -> str:
    row = some[0]
    threads = row.standing.threads
    dates = sorted({row.date for row in some})
    versions = {f"{titles.get(name, name)} {version}" for row in some for name, version in row.versions.items()}
    limit = f", peers that obey limited to {row.isa.upper()}" if row.isa else ""
    clock = ", processor time" if row.clock == "processor" else ""
    kernels = row.kernels.replace("tuned", "made as tuned").replace("rule", "by rule")
    return (
        f"{row.machine}, target {row.target}, kernels {kernels}, {row.dtype}, {threads} thread{'s' * (threads > 1)}"
        f"{limit}{clock}; {', '.join(sorted(versions))}; {' to '.join(dict.fromkeys((dates[0], dates[-1])))}"
    )


def _mean(seen: Sequence[Standing]) -> list[str]:
    ratios = [standing.ratio for standing in seen if standing.ratio is not None]
    return [f"Geometric mean of {len(ratios)} ratios: {statistics.geometric_mean(ratios):.3f}"] if ratios else []
