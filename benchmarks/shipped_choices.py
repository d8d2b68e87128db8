"""What `mbench tune` gained, as the tuned choices in `targets/*/tuned/` record it.

Run: python benchmarks/shipped_choices.py     prints the table of RESULTS.md; measures nothing
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from layout import table

from mbench.tuning import choice_files

TARGETS = Path(__file__).parents[1] / "targets"
HEADING = (
    *("target", "threads", "kernels", "quicker alone", "and in the network"),
    *("16 networks, tuned over by rule", "standard network"),
)


def main() -> int:
    """Print the table; return the exit code."""
    print(report())
    return 0


def report(folder: Path = TARGETS) -> str:
    """Return a Markdown table: a row for each shipped file and number of threads."""
    files = sorted(folder.glob("*/tuned/rules.toml"), reverse=True)
    return table(HEADING, [row for file in files for row in _rows(choice_files.read(file))], markdown=True)


def _rows(file: choice_files.File) -> Iterator[tuple[str, ...]]:
    for threads in sorted({entry.threads for entry in file.kernels}):
        entries = [entry for entry in file.kernels if entry.threads == threads]
        networks = [network for network in file.networks if network.threads == threads]
        ratios = {one.variant: one.seconds / one.default_seconds for one in networks}
        standard = [ratio for name, ratio in ratios.items() if name.endswith("_standard")]
        separable = [ratio for name, ratio in ratios.items() if not name.endswith("_standard")]
        quicker, followed = sum(entry.differs for entry in entries), sum(entry.wins for entry in entries)
        counts = (threads, len(entries), quicker, followed)
        yield file.target, *map(str, counts), _spread(separable), ", ".join(f"{ratio:.3f}" for ratio in standard)


def _spread(ratios: Sequence[float]) -> str:
    """Return the geometric mean, the least and the most."""
    return f"{statistics.geometric_mean(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f})"


if __name__ == "__main__":
    sys.exit(main())
