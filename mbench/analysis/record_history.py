"""Comparisons over networks, places and dates: the latest of each, the Pareto front, what changed when.

A place is where networks ran: target, device and threads, and the machine if there are several. Tables in, tables out;
no statistics but those of `mbench.core.stats`, no formatting, no figures.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from mbench.analysis import disturbances, frame, instruction_counts, labels, pairs, runs
from mbench.core.records import Record, Variant
from mbench.networks import published, variants

if TYPE_CHECKING:
    import pandas as pd

SERIES = ["variant", "place", "batch", "dtype"]
"""What must be equal for two results to be of the same thing."""
_BESIDE_TYPE = ["family", "width_multiplier", "resolution", "convolution", "batch", "place", "run_id"]
"""What is equal of one network in several types."""


def networks(records: Iterable[Record]) -> pd.DataFrame:
    """Return a row for each result, oldest first: `mbench.analysis.frame`'s columns and some more.

    These are `label` and `place` (words), `top1_percent` and `accuracy_source` (published, missing where nothing is),
    `peak_bytes`, and `energy_disturbed` (whether the modelled energy has static power over a disturbed latency).
    """
    items = list(runs.distinct(records))
    table = frame.from_records(items)
    table = table[table["scope"] == "network"].reset_index(drop=True)
    places = _places(items)
    known = published.accuracies()
    results = [(record, result) for record in items for result in record.results]
    accuracies = [known.get(_published(result.variant)) for _, result in results]
    more: dict[str, list[Any]] = {
        "label": [labels.variant(result.variant) for _, result in results],
        "place": [places[record.run_id] for record, _ in results],
        "top1_percent": [found.top1_percent if found else None for found in accuracies],
        "accuracy_source": [found.source if found else None for found in accuracies],
        "peak_bytes": [pairs.peak_bytes(result) for _, result in results],
        "energy_disturbed": [disturbances.of_energy(result) for _, result in results],
    }
    kinds = {"top1_percent": "float64", "peak_bytes": "Int64", "energy_disturbed": "bool"}
    table = table.assign(**more).astype({name: kinds.get(name, "string") for name in more})
    return table.sort_values("created_at_utc", kind="stable", ignore_index=True)


def _published(variant: Variant) -> str:
    """Return what a network is called where accuracies are published; an imported one has weights of its own."""
    return "" if variant.imported else variant.name.removesuffix(variants.batch_suffix(variant))


def _places(records: list[Record]) -> dict[str, str]:
    """Return the place of each run_id; emulation is the same on every machine."""
    machines = {record.run_id: (record.device.machine or record.host).name for record in records}
    several = len({machines[record.run_id] for record in records if not instruction_counts.emulated(record)}) > 1
    return {
        record.run_id: labels.where(record)
        + (f" on {machines[record.run_id]}" if several and not instruction_counts.emulated(record) else "")
        for record in records
    }


def latest(table: pd.DataFrame) -> pd.DataFrame:
    """Return the newest row of each series, by network and place."""
    order = ["family", "width_multiplier", "resolution", "convolution", "place"]
    return table.drop_duplicates(SERIES, keep="last").sort_values(order, ignore_index=True)


def front(table: pd.DataFrame, cost: str, disturbed: str | None = None) -> pd.DataFrame:
    """Return the rows with an accuracy and a cost, and `front`: whether no other of the same place beats the row.

    Another beats it if it costs no more and is no less accurate, and is better in one of the two. `disturbed`: a column
    that says which rows' costs are disturbed; such a row is not on the front, beats none, and has `cost_disturbed`.
    """
    known = table[table["top1_percent"].notna() & table[cost].notna()]
    unsure = known[disturbed].fillna(False).astype(bool) if disturbed else known[cost].isna()
    quiet = known[~unsure]

    def beaten(row: pd.Series[Any]) -> bool:
        others = quiet[quiet["place"] == row["place"]]
        no_worse = (others[cost] <= row[cost]) & (others["top1_percent"] >= row["top1_percent"])
        better = (others[cost] < row[cost]) | (others["top1_percent"] > row["top1_percent"])
        return bool((no_worse & better).any())

    best = [not beaten(row) for _, row in known.iterrows()]
    return known.assign(front=[kept and not out for kept, out in zip(best, unsure, strict=True)], cost_disturbed=unsure)


def history(table: pd.DataFrame) -> pd.DataFrame:
    """Return the series with several runs, oldest first, with what changed from run to run.

    `change` is the relative change of the latency from the run before; missing where one of the two is disturbed, and
    `compared` is false. `range_low_s` and `range_high_s` are the latency's interval over the sessions, or the 10th and
    the 90th percentile of a record that has none. `changed` says whether the change is larger than the smallest that
    either of the two runs could have shown, and the two ranges do not overlap. Runs without a latency are left out.
    """
    timed = table[table["latency_s"].notna()]
    runs = timed.groupby(SERIES, sort=False, dropna=False)
    several = timed[runs["run_id"].transform("size") > 1]
    by_sessions = several["latency_low_s"].notna()
    several = several.assign(
        range_low_s=several["latency_low_s"].where(by_sessions, several["latency_p10_s"]),
        range_high_s=several["latency_high_s"].where(by_sessions, several["latency_p90_s"]),
        quiet=~several["disturbed"].fillna(False).astype(bool),
    )
    groups = several.groupby(SERIES, sort=False, dropna=False)
    compared = several["quiet"] & groups["quiet"].shift(fill_value=True)
    change = groups["latency_s"].pct_change().where(compared)
    own, before = several["smallest_visible_change"], groups["smallest_visible_change"].shift()
    visible = own.combine(before, max).where(own.notna() & before.notna())
    slower = change.where(change >= 0, 1 / (1 + change) - 1)
    apart = (several["range_low_s"] > groups["range_high_s"].shift()) | (
        several["range_high_s"] < groups["range_low_s"].shift()
    )
    return several.assign(change=change, compared=compared, changed=(slower > visible) & apart)


def several(table: pd.DataFrame) -> bool:
    """Return whether there is more to see than one network, with its standard twin and in its types, in one place."""
    standard = table.drop_duplicates(_BESIDE_TYPE)["convolution"].eq("standard").fillna(False)
    return bool(max(standard.sum(), (~standard).sum()) > 1)


def rows(table: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """Yield the rows of a table with None for what is missing."""
    plain = table.astype(object)
    for row in plain.where(table.notna(), None).to_dict("records"):
        yield {str(name): value for name, value in row.items()}
