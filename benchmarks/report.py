"""How long `mbench report` takes, how big its pages are, and how soon a browser shows them.

Run: python benchmarks/report.py RECORD. The record (best of a pair of networks) stands for many: it is copied under
other names and dates. Goals: two records in 3 s, a hundred in 15 s; 6 MB with one pair, 12 MB with a hundred records;
first view in 1.5 s.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import browser
import layout
import machine
import msgspec

from mbench.core import record_files, records

GOALS = {1: (None, 6.0), 2: (3.0, None), 100: (15.0, 12.0)}
"""By number of records: seconds to build, megabytes."""
FIRST_VIEW_S = 1.5
PAINTED = "performance.getEntriesByName('first-contentful-paint').map(entry => entry.startTime)[0]"


def copies(record: records.Record, count: int, folder: Path) -> list[Path]:
    """Write `count` records that differ from the one given by name and date, and return their files."""
    paths = []
    for number in range(count):
        moment = f"2025-{number // 28 + 1:02}-{number % 28 + 1:02}T12:00:00Z"
        named = msgspec.structs.replace(record, run_id=f"{record.run_id}-{number}", created_at_utc=moment)
        paths.append(folder / f"{number}.json")
        record_files.write(paths[-1], named)
    return paths


def built_s(paths: list[Path], page: Path) -> float:
    """Return the wall time of a whole `mbench report`."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-m", "mbench", "report", *map(str, paths), "-o", str(page)], check=True)
    return time.perf_counter() - start


def first_view_s(page: Path, visits: int) -> float:
    """Return the median time from the request for the page to its first contents on the screen."""
    times: list[float] = []
    with browser.chromium() as started:
        for _ in range(visits):
            tab = started.new_page(viewport={"width": 1440, "height": 1000})
            tab.goto(page.as_uri(), wait_until="load")
            times.append(tab.evaluate(PAINTED) / 1000)
            tab.close()
    return statistics.median(times)


def main() -> None:
    """Build and open each page, and print what it took beside the goals."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("record", type=Path)
    parser.add_argument("-n", "--runs", type=int, default=3)
    arguments = parser.parse_args()
    heading = machine.heading()
    record, rows = record_files.read(arguments.record), []
    for count, (goal_s, goal_mb) in GOALS.items():
        with tempfile.TemporaryDirectory() as folder:
            page = Path(folder) / "page.html"
            paths = copies(record, count, Path(folder))
            taken = statistics.median(built_s(paths, page) for _ in range(arguments.runs))
            rows.append(
                [
                    str(count),
                    f"{taken:.2f} s" + (f" (goal {goal_s:g})" if goal_s else ""),
                    f"{page.stat().st_size / 1e6:.2f} MB" + (f" (goal {goal_mb:g})" if goal_mb else ""),
                    f"{first_view_s(page, arguments.runs):.2f} s (goal {FIRST_VIEW_S:g})",
                ]
            )
    print(heading)
    print(f"{len(record.results)} networks a record; medians of {arguments.runs}")
    print(layout.table(["records", "built in", "page", "first view"], rows, words=0))


if __name__ == "__main__":
    main()
