"""How quick and how safe a store of records is.

    python benchmarks/history.py add     [--records N]                  1,000 records in at most 60 s
    python benchmarks/history.py series  [--runs N] [--series N]        list and series of 10,000 runs in at most 1 s
    python benchmarks/history.py writers [--writers N] [--records N]    8 at once, one is killed every second

`--store URL` names an empty database; without it a file of SQLite is made. Records are real ones of `tests/data/`, each
copy with a run_id, a date and times of its own.
"""

from __future__ import annotations

import argparse
import datetime
import itertools
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import machine
import msgspec

from mbench.core import record_files
from mbench.core.records import Record, Result
from mbench.history.filters import Filter
from mbench.history.store import Store, open_store

REAL = Path(__file__).parents[1] / "tests" / "data" / "records" / "v2" / "minor-2.json"
FIRST = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
_ROUNDS = 5


def copies(count: int, *, name: str = "run", few_layers: bool = False, networks: int = 1) -> Iterator[Record]:
    """Yield copies of a real record, each as another run.

    Args:
        count: how many.
        name: the beginning of their run_ids.
        few_layers: whether layers are left out, for what does not hang on them.
        networks: how many names of networks they have, in turn.
    """
    real = record_files.read(REAL)
    for number in range(count):
        yield _copy(real, number, name, few_layers=few_layers, network=number % networks)


def _copy(real: Record, number: int, name: str, *, few_layers: bool, network: int) -> Record:
    replace, factor = msgspec.structs.replace, random.Random(f"{name}{number}").uniform(0.9, 1.1)

    def longer(samples: tuple[float, ...] | None) -> tuple[float, ...] | None:
        return samples and tuple(factor * value for value in samples)

    def title(name: str) -> str:
        return f"{name}_{network}" if network else name

    def again(result: Result) -> Result:
        layers = result.layers[:2] if few_layers else result.layers
        return replace(
            result, variant=replace(result.variant, name=title(result.variant.name)),
            layers=tuple(replace(layer, latency_s=longer(layer.latency_s)) for layer in layers),
            end_to_end=replace(
                result.end_to_end, latency_s=longer(result.end_to_end.latency_s), twin_latency_s=None
            ),
        )  # fmt: skip

    asked = replace(real.settings, variants=tuple(map(title, real.settings.variants)))
    at = FIRST + number * datetime.timedelta(hours=1)
    return replace(
        real, run_id=f"{name}-{number:06}", created_at_utc=at.isoformat(), results=tuple(map(again, real.results)),
        settings=asked, labels={"commit": f"{number:040x}", "branch": "main"},
    )  # fmt: skip


def _add(store: Store, records: Iterable[Record]) -> None:
    refused = store.add(records).refused
    if refused:
        raise SystemExit(refused[0])


def _timed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


# ------------------------------------------------------------------------------------------------------------- measured
def add(url: str, records: int) -> None:
    """Print how long it takes to add records, and to add them again."""
    with open_store(url, create=True) as store:
        made = list(copies(records))
        size = len(record_files.encode(made[0]))
        print(f"{records} records of {len(made[0].results)} networks, {size / 1000:.0f} kB each")
        print(f"add       {_timed(lambda: _add(store, made)):8.2f} s   goal 60 s for 1,000")
        print(f"again     {_timed(lambda: _add(store, made)):8.2f} s")
        _print_size(store, url)


def series(url: str, runs: int, networks: int) -> None:
    """Print how long a list takes, and series: of one quantity, of one network, and of all."""
    with open_store(url, create=True) as store:
        if len(store.listed()) < runs:
            took_s = _timed(lambda: _add(store, copies(runs, few_layers=True, networks=networks)))
            print(f"adding {runs} runs: {took_s:.0f} s")
        found = store.series()
        points = sum(len(each.points) for each in found)
        print(f"{runs} runs, {len(found)} series, {points:,} points; median of {_ROUNDS}, goal 1 s")
        name = found[0].identity.network
        asked: dict[str, Callable[[], object]] = {
            "list": store.listed,
            "latency of all networks": lambda: store.series(quantities=["latency_s"]),
            f"all of {name}": lambda: store.series(Filter(networks=(name,))),
            "all series": store.series,
        }
        for what, work in asked.items():
            print(f"{what:32}{statistics.median(_timed(work) for _ in range(_ROUNDS)):8.3f} s")
        _print_size(store, url)


def writers(url: str, count: int, records: int, *, kill_every_s: float, kills: int) -> None:
    """Let processes write at once, kill one of them now and then, and look whether all records are there, once.

    A writer that is killed is started again with the first record that it has not reported as added.

    Raises:
        SystemExit: a record is missing, or there twice.
    """
    open_store(url, create=True).close()
    chosen, killed, begun = random.Random(1), 0, time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        reports = [Path(folder) / f"writer{number}" for number in range(count)]
        running = {number: _writer(url, report, records) for number, report in enumerate(reports)}
        while running:
            time.sleep(kill_every_s)
            running = {number: process for number, process in running.items() if process.poll() is None}
            if running and killed < kills:
                number = chosen.choice(sorted(running))
                running[number].kill()
                running[number].wait()
                killed += 1
                running[number] = _writer(url, reports[number], records)
        reported = [len(report.read_text().splitlines()) for report in reports]
    with open_store(url) as store:
        found = sorted(each.run_id for each in store.listed())
        read = sum(1 for _ in store.records())
    expected = sorted(f"writer{number}-{each:06}" for number in range(count) for each in range(records))
    took = time.perf_counter() - begun
    print(f"{count} writers, {records} records each, {killed} killed, {took:.0f} s: {len(found)} there, {read} read")
    if min(reported) < records or found != expected or read != len(expected):
        raise SystemExit(f"records are missing, or there twice; reported: {reported}")


def _writer(url: str, report: Path, records: int) -> subprocess.Popen[bytes]:
    report.touch()
    command = [sys.executable, __file__, "write", "--store", url, "--records", str(records), "--report", str(report)]
    return subprocess.Popen(command)


def write(url: str, records: int, report: Path) -> None:
    """Add records one by one, as runs that end one after the other, and report each."""
    first = len(report.read_text().splitlines())
    with open_store(url) as store, report.open("a") as done:
        for record in itertools.islice(copies(records, name=report.name), first, None):
            _add(store, [record])
            done.write(f"{record.run_id}\n")
            done.flush()


def _print_size(store: Store, url: str) -> None:
    if "://" not in url:
        print(f"size      {Path(url).stat().st_size / 1e6:8.1f} MB for {len(store.listed())} records")


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure one of these."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["add", "series", "writers", "write"])
    parser.add_argument("--store", default=None, metavar="URL")
    parser.add_argument("--records", type=int, default=None, metavar="N")
    parser.add_argument("--runs", type=int, default=10_000, metavar="N")
    parser.add_argument("--series", type=int, default=1, metavar="N", help="names of networks")
    parser.add_argument("--writers", type=int, default=8, metavar="N")
    parser.add_argument("--kill-every", type=float, default=1.0, metavar="S")
    parser.add_argument("--kills", type=int, default=1_000_000, metavar="N", help="at most so many")
    parser.add_argument("--report", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        url = asked.store or str(Path(folder) / "store.db")
        if asked.what == "write":
            write(url, asked.records, asked.report)
            return
        print(machine.heading())
        if asked.what == "add":
            add(url, asked.records or 1000)
        elif asked.what == "series":
            series(url, asked.runs, asked.series)
        else:
            writers(url, asked.writers, asked.records or 200, kill_every_s=asked.kill_every, kills=asked.kills)


if __name__ == "__main__":
    main()
