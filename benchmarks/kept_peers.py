"""mbench beside other runtimes, as the runs of `peers.py` that `peers.csv` keeps: the table of RESULTS.md.

Run: python benchmarks/kept_peers.py     measures nothing

`peers.csv` has a row for each network, machine, kind of kernels (by rule or tuned) and number of threads: the median of
each runtime in milliseconds (empty: it did not take part), the ratio of mbench to the best peer, and the same ratio as
the median over rounds, which drift of the machine between rounds does not touch.
"""

from __future__ import annotations

import csv
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path

import standings
from layout import table

FILE = Path(__file__).with_name("peers.csv")
STANDARD = "_standard"


def main() -> int:
    """Print the table; return the exit code."""
    print(report())
    return 0


def read(file: Path = FILE) -> list[dict[str, str]]:
    """Return the rows of the file."""
    with file.open(newline="") as opened:
        return list(csv.DictReader(opened))


def report(file: Path = FILE) -> str:
    """Return a Markdown table with a row for each run: its ratios, each with its goal."""
    runs: dict[tuple[str, str, str], list[dict[str, str]]] = {}
    for row in read(file):
        runs.setdefault((row["machine"], row["kernels"], row["threads"]), []).append(row)
    heading = ("run", "networks", "geometric mean", "least", "worst", "standard network")
    return table(heading, [_row(*key, seen) for key, seen in runs.items()], markdown=True)


def _row(machine: str, kernels: str, threads: str, seen: Sequence[dict[str, str]]) -> tuple[str, ...]:
    goals = standings.TUNED_GOALS if kernels == "tuned" else standings.GOALS
    separable = {row["network"]: float(row["ratio"]) for row in seen if not row["network"].endswith(STANDARD)}
    standard = [float(row["ratio"]) for row in seen if row["network"].endswith(STANDARD)]
    worst, least = (pick(separable, key=separable.__getitem__) for pick in (max, min))
    return (
        f"{machine}, {'tuned' if kernels == 'tuned' else 'by rule'}, {threads} T", str(len(separable)),
        _judged(statistics.geometric_mean(separable.values()), goals["geometric mean"]),
        f"{separable[least]:.3f} ({_short(least)})",
        f"{_judged(separable[worst], goals['worst'])} ({_short(worst)})",
        ", ".join(_judged(ratio, goals["standard network"]) for ratio in standard) or "not measured",
    )  # fmt: skip


def _judged(ratio: float, goal: float) -> str:
    return f"{ratio:.3f}, goal {goal:.2f} {'met' if round(ratio, 3) <= goal else '**missed**'}"


def _short(network: str) -> str:
    return network.removeprefix("mobilenet_v1_")


if __name__ == "__main__":
    sys.exit(main())
