"""mbench beside other runtimes in int8, as the runs of `peers.py --dtype int8` that `int8.csv` keeps.

Run: python benchmarks/kept_int8.py [ROWS.jsonl...]     prints the table; rows of `peers.py --rows` are added before

`int8.csv` has a row for each network, machine, target, limit of the peers' instructions, clock and number of threads:
the median of each runtime in milliseconds (empty: it did not take part), and the ratio of mbench to the best peer, of
those that were limited where some were. Of rows for the same network and conditions, the last one counts.
"""

from __future__ import annotations

import argparse
import csv
import statistics
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import int8_runtimes
import peer_rows
import standings
from layout import table
from peer_rows import Row

from mbench.core import dtypes

FILE = Path(__file__).with_name("int8.csv")
_CONDITIONS = ("machine", "target", "kernels", "isa", "clock", "threads")
_RUNTIMES = tuple(int8_runtimes.RUNTIMES)
_COLUMNS = (*_CONDITIONS, "network", *(f"{name}_ms" for name in _RUNTIMES), "ratio")
_SUFFIX = "_int8"


def main() -> int:
    """Add rows, print the table; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", type=Path, nargs="*", metavar="ROWS.jsonl", help="what peers.py --rows wrote")
    given: list[Path] = parser.parse_args().rows
    try:
        added = [row for row in peer_rows.read(given) if row.dtype == dtypes.INT8 and row.standing.against is None]
    except (OSError, ValueError) as error:
        print(f"kept_int8.py: {error}", file=sys.stderr)
        return 2
    if added:
        write(FILE, [*read(FILE), *map(kept, added)])
    print(report())
    return 0


def read(file: Path) -> list[dict[str, str]]:
    """Return the rows of the file; none where it is not there yet."""
    if not file.exists():
        return []
    with file.open(newline="") as opened:
        return list(csv.DictReader(opened))


def write(file: Path, rows: Sequence[Mapping[str, str]]) -> None:
    """Write rows in order, the last one of each network and conditions."""
    last = {tuple(row[name] for name in (*_CONDITIONS, "network")): row for row in rows}
    with file.open("w", newline="") as opened:
        writer = csv.DictWriter(opened, _COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(last[key] for key in sorted(last))


def kept(row: Row) -> dict[str, str]:
    """Return a row of `peers.py` as the file has it."""
    seen = row.standing
    limited = {name for name, runtime in int8_runtimes.RUNTIMES.items() if runtime.obeys_isa}
    ratio = seen.ratio if row.isa is None else seen.ratio_to(limited)
    medians = {
        f"{name}_ms": f"{seen.timed[name].median_s * 1e3:.4f}" if name in seen.timed else "" for name in _RUNTIMES
    }
    return {
        "machine": row.machine,
        "target": row.target,
        "kernels": row.kernels,
        "isa": row.isa or "",
        "clock": row.clock,
        "threads": str(seen.threads),
        "network": seen.variant,
        "ratio": "" if ratio is None else f"{ratio:.4f}",
        **medians,
    }


def report(file: Path = FILE) -> str:
    """Return a Markdown table with a row for each run: its ratios, each with its goal if there is one."""
    runs: dict[tuple[str, ...], dict[str, float]] = {}
    for row in read(file):
        if row["ratio"]:
            runs.setdefault(tuple(row[name] for name in _CONDITIONS), {})[row["network"]] = float(row["ratio"])
    heading = ("run", "networks", "geometric mean", "least", "worst", "V1 1.0 224", "V2 1.0 224")
    return table(heading, [_line(key, ratios) for key, ratios in runs.items()], markdown=True)


def _line(key: tuple[str, ...], ratios: Mapping[str, float]) -> tuple[str, ...]:
    machine, target, kernels, isa, clock, threads = key
    goals = standings.int8_goals(int(threads), isa or None)
    least, worst = (pick(ratios, key=ratios.__getitem__) for pick in (min, max))
    limit = f", peers limited to {isa.upper()}" if isa else ""
    return (
        f"{machine}, {target}{f', {kernels}'.removeprefix(', rule')}, {threads} T{limit}"
        + (", processor time" if clock == "processor" else ""),
        str(len(ratios)),
        _judged(statistics.geometric_mean(ratios.values()), goals.get("geometric mean")),
        f"{ratios[least]:.3f} ({least.removesuffix(_SUFFIX)})",
        f"{_judged(ratios[worst], goals.get('worst'))} ({worst.removesuffix(_SUFFIX)})",
        *(_judged(ratios[name], goals.get(name)) if name in ratios else "-" for name in standings.INT8_NETWORKS),
    )


def _judged(ratio: float, goal: float | None) -> str:
    if goal is None:
        return f"{ratio:.3f}"
    return f"{ratio:.3f}, goal {goal:.2f} {'met' if round(ratio, 3) <= goal else '**missed**'}"


if __name__ == "__main__":
    sys.exit(main())
