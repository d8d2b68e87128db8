"""What `mbench variants --published` lists: counts as published and as mbench has them, by family and setting."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

from rich.console import RenderableType

from mbench.core import units
from mbench.networks.published_counts import ComparedCount, ComparedNetwork
from mbench.terminal.listings import Listing
from mbench.terminal.table import add_row, ruled, text

SAME = "same"
NOTE = (
    "MACs: multiply-adds of one image. The difference is mbench's count over the published one; 'same': equal in all "
    "digits that are printed. docs/accuracy.md says where differences come from. Params: weights, or all that is "
    "trained, as the source counts them."
)


def counts(found: Sequence[ComparedNetwork]) -> Listing:
    """Return published counts beside counted ones, in 80 columns."""
    parts: list[RenderableType] = []
    for (family, setting), rows in itertools.groupby(found, lambda each: (each.row.variant.family, each.row.setting)):
        table = ruled(
            f"{family}: {setting}", ("size",), ("MACs", "published", "differ", "params", "published", "differ")
        )
        for each in rows:
            add_row(
                table,
                each.row.name.removeprefix(f"{family.removesuffix('_shallow')}_"),
                *_cells(each.macs),
                *_cells(each.params),
            )
        parts.append(table)
    return Listing([*parts, text(NOTE)], [_entry(each) for each in found])


def _cells(count: ComparedCount | None) -> tuple[str, str, str]:
    if count is None:
        return units.NOT_AVAILABLE, units.NOT_AVAILABLE, units.NOT_AVAILABLE
    differ = SAME if count.agrees else f"{100 * count.difference:+.1f} %"
    return units.count(count.counted), f"{count.printed.text[:-1]} {count.printed.text[-1]}", differ


def _entry(each: ComparedNetwork) -> dict[str, Any]:
    row = each.row
    return {
        "name": row.name,
        "setting": row.setting,
        "source": row.source,
        "top1_percent": row.top1_percent,
        "top5_percent": row.top5_percent,
        "macs": _data(each.macs),
        "params": _data(each.params),
        "params_counted": row.counted,
    }


def _data(count: ComparedCount | None) -> dict[str, Any] | None:
    if count is None:
        return None
    return {
        "counted": count.counted,
        "published": count.printed.value,
        "printed": count.printed.text,
        "agrees": count.agrees,
        "difference": count.difference,
    }
