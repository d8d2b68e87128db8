"""How long `mbench report` takes, how big its pages are, and how soon a browser shows them.

Run: python benchmarks/report.py RECORD. The record (best of a pair of networks) stands for many: other records have its
times, longer by a thousandth each, and other names and dates. Goals: two records in 3 s, two hundred in 15 s; 6 MB with
one pair, 12 MB with a hundred records; first view in 1.5 s; the table sorted in 0.2 s, another network shown in 0.3 s.
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

GOALS = {1: (None, 6.0), 2: (3.0, None), 100: (15.0, 12.0), 200: (15.0, None)}
"""By number of records: seconds to build, megabytes."""
FIRST_VIEW_S, SORT_S, SWITCH_S = 1.5, 0.2, 0.3
PAINTED = "performance.getEntriesByName('first-contentful-paint').map(entry => entry.startTime)[0]"
AFTER = """async (selector) => {
  const shown = () => document.querySelector(".panel.current")?.id;
  const [button, before, start] = [document.querySelector(selector), shown(), performance.now()];
  if (!button) return null;
  button.click();
  while (selector.includes("turn") && shown() === before) await new Promise((done) => setTimeout(done));
  await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
  return (performance.now() - start) / 1000;
}"""
"""Clicks, and returns after how many seconds the page is painted again."""
SORT, SWITCH = "#overview thead th:nth-child(2) button", ".turn button:last-child"


def copies(record: records.Record, count: int, folder: Path) -> list[Path]:
    """Write `count` records that differ from the one given by name, date and a little time, and return their files."""
    paths = []
    for number in range(count):
        moment = f"2025-{number // 28 + 1:02}-{number % 28 + 1:02}T12:00:00Z"
        results = tuple(longer(result, 1 + number / 1000) for result in record.results)
        name = f"{record.run_id}-{number}"
        named = msgspec.structs.replace(record, run_id=name, created_at_utc=moment, results=results)
        paths.append(folder / f"{number}.json")
        record_files.write(paths[-1], named)
    return paths


def longer(result: records.Result, factor: float) -> records.Result:
    """Return a result whose whole runs took `factor` times as long: a copy of one counts once."""

    def times(samples: tuple[float, ...] | None) -> tuple[float, ...] | None:
        return samples and tuple(float(f"{factor * value:.9g}") for value in samples)

    replace, whole = msgspec.structs.replace, result.end_to_end
    return replace(
        result,
        layers=tuple(replace(layer, latency_s=times(layer.latency_s)) for layer in result.layers),
        end_to_end=replace(whole, latency_s=times(whole.latency_s), twin_latency_s=times(whole.twin_latency_s)),
    )


def built_s(paths: list[Path], page: Path) -> float:
    """Return the wall time of a whole `mbench report`."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-m", "mbench", "report", *map(str, paths), "-o", str(page)], check=True)
    return time.perf_counter() - start


def seen_s(page: Path, visits: int) -> list[float | None]:
    """Return the median times until the first contents are on the screen, a table is sorted, a network is shown."""
    times: list[list[float | None]] = []
    with browser.chromium() as started:
        for _ in range(visits):
            tab = started.new_page(viewport={"width": 1440, "height": 1000})
            tab.goto(page.as_uri(), wait_until="load")
            times.append([tab.evaluate(PAINTED) / 1000, *(tab.evaluate(AFTER, each) for each in (SORT, SWITCH))])
            tab.close()
    return [None if None in each else statistics.median(each) for each in zip(*times, strict=True)]


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
                    *(
                        "-" if found is None else f"{found:.2f} s (goal {goal:g})"
                        for found, goal in zip(
                            seen_s(page, arguments.runs), (FIRST_VIEW_S, SORT_S, SWITCH_S), strict=True
                        )
                    ),
                ]
            )
    print(heading)
    print(f"{len(record.results)} networks a record; medians of {arguments.runs}")
    print(layout.table(["records", "built in", "page", "first view", "sort", "switch"], rows, words=0))


if __name__ == "__main__":
    main()
