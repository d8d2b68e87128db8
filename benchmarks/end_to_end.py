"""How long the default run takes, with an empty cache and with a warm one, and how big its record is.

Run: python benchmarks/end_to_end.py [-n RUNS] [-- more arguments of mbench run]. Goals on 2 cores: 60 s cold, 20 s
warm, a record under 1 MB, a page under 6 MB.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from pathlib import Path

import machine
from startup import seconds


def run(cache: Path, output: Path, more: list[str]) -> float:
    """Return the wall time of one whole `mbench run`."""
    return seconds([sys.executable, "-m", "mbench", "run", "-o", str(output), *more], cache=cache)


def main() -> None:
    """Run cold and warm in turn and print the medians beside the goals."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-n", "--runs", type=int, default=3)
    parser.add_argument("more", nargs="*")
    arguments = parser.parse_args()
    cold, warm = [], []
    heading = machine.heading()
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "results"
        for index in range(arguments.runs):
            cache = Path(folder) / f"cache-{index}"
            cold.append(run(cache, output, arguments.more))
            warm.append(run(cache, output, arguments.more))
        records = [path.stat().st_size for path in output.glob("*.json")]
        pages = [path.stat().st_size for path in output.glob("*.html")]
    print(heading)
    print(f"whole `mbench run`, {arguments.runs} runs of each, in turn")
    for name, taken, goal in (("cold cache", cold, 60), ("warm cache", warm, 20)):
        spread = f"min {min(taken):.1f} s   max {max(taken):.1f} s"
        print(f"{name:16}median {statistics.median(taken):.1f} s   {spread}   goal {goal} s")
    print(f"record          largest {max(records) / 1e6:.3f} MB   goal 1 MB")
    print(f"page            largest {max(pages) / 1e6:.2f} MB   goal 6 MB")


if __name__ == "__main__":
    main()
