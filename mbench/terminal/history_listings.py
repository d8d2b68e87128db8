"""What `mbench history add`, `list` and `export` print: plain data as renderables, and as data for `--json`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mbench.core import plain
from mbench.terminal import record_tables
from mbench.terminal.listings import Listing

_NETWORKS = 2
"""Of a record, so many are named."""
_COMMIT = 9
_NONE = "no record is there, or none fits what was asked for"


def added(data: Mapping[str, Any]) -> Listing:
    """Return what became of records that were to be added to a store."""
    counts = [f"{data['new']} added", f"{data['known']} known"]
    if data["replaced"]:
        counts.insert(1, f"{data['replaced']} went on with a run")
    if data["refused"]:
        counts.append(f"{len(data['refused'])} refused")
    return Listing([plain.line(f"{data['store']}: {', '.join(counts)}")], dict(data))


def records(store: str, found: Sequence[Mapping[str, Any]]) -> Listing:
    """Return the records of a store."""
    if not found:
        return Listing([plain.line(f"{store}: {_NONE}")], [])
    table = record_tables.ruled("Records", ("date", "digest", "target", "machine", "networks", "commit"), ())
    table.columns[1].no_wrap = True  # a digest is copied, so it stands in one line
    for each in found:
        names = [*each["networks"][:_NETWORKS]]
        more = len(each["networks"]) - len(names)
        shown = ", ".join([*names, *([f"{more} more"] if more else [])])
        shown += f" ({each['failures']} failed)" if each["failures"] else ""
        commit = each["labels"].get("commit", "")[:_COMMIT]
        cells = (
            each["at"][:16].replace("T", " "),
            each["digest"][:_COMMIT],
            each["target"],
            each["host"],
            shown,
            commit,
        )
        record_tables.add_row(table, *map(plain.line, cells))
    return Listing([table], list(found))


def exported(data: Mapping[str, Any]) -> Listing:
    """Return what was written of a store."""
    there = f", {data['there']} there already" if data["there"] else ""
    return Listing([plain.line(f"{data['folder']}: {data['written']} records written{there}")], dict(data))
