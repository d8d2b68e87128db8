"""How long `mbench history publish` takes, how big its sites are, and how soon a browser shows their pages.

Run: python benchmarks/history_site.py RECORD. A history is made up: 10,000 runs of 20 networks on 2 targets, with
five quantities each, so 200 series of 250 runs. What is measured has noise of 1 %, and each network has one step. The
record (best of a pair of networks) stands for those that have pages of their own. Goals: 30 s, 40 MB; first view in
1.5 s.
"""

from __future__ import annotations

import argparse
import datetime
import hashlib
import random
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import browser
import layout
import machine

from mbench.core import record_files
from mbench.history import changes, publish, site_names
from mbench.history.series import Identity, Point, Quantity, Series

NETWORKS, TARGETS, RUNS = 20, ("arm64", "x86_64_v4"), 250
PUBLISH_S, SITE_MB, FIRST_VIEW_S = 30.0, 40.0, 1.5
NOISE, STEP = 0.01, 1.06
QUANTITIES = (
    (Quantity(name="latency_s", label="latency", unit="s", kind="measured"), 3.5e-3),
    (Quantity(name="instructions", label="instructions", unit="", kind="exact"), 5e8),
    (Quantity(name="energy_j", label="measured energy", unit="J", kind="measured"), 2e-2),
    (Quantity(name="library_bytes", label="library", unit="B", kind="exact"), 1.7e6),
    (Quantity(name="peak_bytes", label="planned memory", unit="B", kind="exact"), 2.3e7),
)
START = datetime.datetime(2025, 1, 1, tzinfo=datetime.UTC)
VISITED = ("overview", "a network on a target", "targets side by side")
MOST_LOOKS = 3000
"""Of 10 ms each, for what is painted or drawn."""
PAINTED = "performance.getEntriesByName('first-contentful-paint').map(entry => entry.startTime)[0]"
DRAWN = "document.querySelectorAll('.plot').length === document.querySelectorAll('.plot[data-drawn]').length"


def history() -> Iterator[Series]:
    """Yield the series."""
    for number in range(NETWORKS * len(TARGETS)):
        identity = Identity(
            network=f"mobilenet_v1_{1 + number // len(TARGETS)}.0_224", family="mobilenet_v1", source="family",
            dtype="float32", batch=1, threads=1, target=TARGETS[number % len(TARGETS)], device="local", machine="ci-1",
            hardware="AMD EPYC 9654",
        )  # fmt: skip
        for quantity, level in QUANTITIES:
            noise = random.Random(f"{number} {quantity.name}")
            name = hashlib.sha256(f"{identity} {quantity.name}".encode()).hexdigest()
            at = 40 + 10 * (number // len(TARGETS))
            values = [level * (STEP if run >= at else 1.0) for run in range(RUNS)]
            if quantity.kind == "measured":
                values = [value * noise.gauss(1, NOISE) for value in values]
            points = tuple(_point(number, run, value, quantity, noise) for run, value in enumerate(values))
            yield Series(id=name, identity=identity, quantity=quantity, points=points)


def _point(number: int, run: int, value: float, quantity: Quantity, noise: random.Random) -> Point:
    measured = quantity.kind == "measured"
    return Point(
        record=hashlib.sha256(f"{number} {run}".encode()).hexdigest(),
        run_id=f"20250101-{number}-{run}",
        at=START + datetime.timedelta(hours=12 * run, minutes=number),
        value=value,
        sessions=tuple(value * noise.gauss(1, NOISE / 2) for _ in range(5)) if measured else (),
        low=value * (1 - NOISE) if measured else None,
        high=value * (1 + NOISE) if measured else None,
        labels={"commit": hashlib.sha256(str(run).encode()).hexdigest()[:40], "branch": "main"},
        marks={"mbench": f"0.{run // 50}.0", "apache-tvm": "0.27.0" if run > 125 else "0.26.0"},
    )


def views_s(folder: Path, visits: int) -> dict[str, tuple[float, float]]:
    """Return, for each kind of page, the median times to its first contents and until its figures are drawn."""
    pages = (site_names.INDEX, next(folder.glob("*-on-*.html")).name, site_names.TARGETS)
    found = {}
    with browser.chromium() as started:
        for kind, name in zip(VISITED, pages, strict=True):
            times = [_view_s(started, folder / name) for _ in range(visits)]
            first, drawn = zip(*times, strict=True)
            found[kind] = statistics.median(first), statistics.median(drawn)
    return found


def _view_s(started: Any, page: Path) -> tuple[float, float]:
    tab = started.new_page(viewport={"width": 1440, "height": 1000})
    tab.goto(page.as_uri(), wait_until="load")
    first = _answer(tab, PAINTED) / 1000
    _answer(tab, DRAWN)
    drawn = tab.evaluate("performance.now()") / 1000
    tab.close()
    return first, drawn


def _answer(tab: Any, question: str) -> Any:
    """Return what a page answers once that is something; its policy lets no function of the browser's driver wait."""
    for _ in range(MOST_LOOKS):
        if found := tab.evaluate(question):
            return found
        tab.wait_for_timeout(10)
    raise SystemExit(f"no answer to {question}")


def main() -> None:
    """Publish twice, open the pages, and print what it took beside the goals."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("record", type=Path)
    parser.add_argument("-n", "--visits", type=int, default=5)
    arguments = parser.parse_args()
    heading, record = machine.heading(), record_files.read(arguments.record)
    series = list(history())
    start = time.perf_counter()
    found = changes.found(series)
    searched_s = time.perf_counter() - start
    rows = [["changes searched", f"{searched_s:.1f} s", "", f"{sum(map(len, found.values()))} found"]]
    with tempfile.TemporaryDirectory() as room:
        folder = Path(room) / "site"
        for name in ("published", "published again"):
            start = time.perf_counter()
            done = publish.publish(folder, series, found, read=lambda _: record, note=print)
            taken = time.perf_counter() - start
            pages = f"{done.pages} pages, {done.record_pages} of records, {done.kept} of them kept"
            rows.append([name, f"{taken:.1f} s", f"{PUBLISH_S:g} s", pages])
        rows.append(["size", f"{done.bytes / 1e6:.1f} MB", f"{SITE_MB:g} MB", f"{done.records:,} records"])
        for kind, (first, drawn) in views_s(folder, arguments.visits).items():
            rows.append(
                [f"first view: {kind}", f"{first:.2f} s", f"{FIRST_VIEW_S:g} s", f"figures drawn: {drawn:.2f} s"]
            )
    print(heading)
    print(f"{len(series)} series of {RUNS} runs; views: medians of {arguments.visits}")
    print(layout.table(["what", "took", "goal", "details"], rows, words=1))


if __name__ == "__main__":
    main()
