"""How well changes in a history are found: steps planted in resampled real noise, and series without any.

Run: python benchmarks/history_changes.py [--series N] [--nightly N] [--peer N] [--noise FILE]
     python benchmarks/history_changes.py --keep RECORD|FOLDER... [--noise FILE] [--how TEXT]

The noise is that of real runs of one network with one thread on one machine, in the order in which they were made
(`history_noise.jsonl`; `--keep` adds the runs of records to it). A series is drawn from it by the stationary bootstrap
(Politis and Romano, JASA 89, 1994): stretches of ten runs in a row on average, so that what quick and slow hours of a
machine do stays in it. Runs keep their sessions' medians and whether they were disturbed. The seed is fixed.

    --series N    series of each line of the table (1,000)
    --nightly N   series that are also searched after every single run, as a nightly job does; 0: none
    --peer N      series that E-divisive with a permutation test is asked about as well; 0: none
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import machine
import msgspec
import numpy as np
from numpy.typing import NDArray

from mbench.analysis import change_points, headline
from mbench.core import record_files, units
from mbench.core.field_types import Strict
from mbench.core.records import Record, Result
from mbench.history import changes
from mbench.history.quantities import PACE, QUANTITIES
from mbench.history.series import Change, Identity, Point, Quantity, Series

NOISE = Path(__file__).parent / "history_noise.jsonl"
SEED = 26
RUNS = 100
MEAN_BLOCK = 10
FEWEST_BEFORE, NEAR = 20, 3
"""Runs before a planted step at least; and how far from it a change may be found."""
LEVEL = 0.01
"""Of the permutation test of the peer."""
_DRAWS = 199
_FIRST = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
_LATENCY = Quantity(name="latency_s", label="latency", unit="s", kind="measured")
_WHERE = Identity(
    network="noise", family="", source="family", dtype="float32", batch=1, threads=1, target="host", device="local",
    machine="", hardware="",
)  # fmt: skip

Random = np.random.Generator
Values = NDArray[np.float64]


class NoiseRun(Strict, frozen=True, kw_only=True):
    """One real run of a network that nobody changed."""

    at: str | None
    sessions_s: tuple[float, ...]
    """Medians of the sessions that count."""
    disturbed: bool
    flops_per_s: float | None = None
    """What the machine did in a loop of multiply-adds beside it."""


class NoiseSequence(Strict, frozen=True, kw_only=True):
    """Runs in the order in which they were made."""

    network: str
    threads: int
    machine: str
    how: str
    runs: tuple[NoiseRun, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Line:
    """A line of the table."""

    what: str
    right: int
    of: int
    goal: str
    seconds: float = 0.0

    @property
    def words(self) -> str:
        """It as a row of Markdown."""
        return f"| {self.what} | {self.right / self.of:.1%} of {self.of} | {self.goal} | {self.seconds:.0f} s |"


def main() -> int:
    """Keep noise, or print the table; return the exit code."""
    arguments = _arguments()
    if arguments.keep:
        keep(arguments.keep, arguments.noise, arguments.how)
        return 0
    sequences = read(arguments.noise)
    print(machine.heading())
    for sequence in sequences:
        print(f"\n{described(sequence)}\n")
        print("| what | share | goal | time |\n|---|---|---|---|")
        for line in table(sequence, arguments.series, arguments.nightly, arguments.peer):
            print(line.words, flush=True)
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--series", type=int, default=1000)
    parser.add_argument("--nightly", type=int, default=0)
    parser.add_argument("--peer", type=int, default=0)
    parser.add_argument("--noise", type=Path, default=NOISE)
    parser.add_argument("--keep", type=Path, nargs="+", metavar="RECORD")
    parser.add_argument("--how", default="short runs, one after the other", help="how the kept runs were made")
    return parser.parse_args()


# ------------------------------------------------------------------------------------------------------------ the noise
def read(file: Path = NOISE) -> tuple[NoiseSequence, ...]:
    """Return the sequences of a file, a line each."""
    return tuple(msgspec.json.decode(line, type=NoiseSequence) for line in file.read_text().splitlines())


def keep(paths: Sequence[Path], file: Path, how: str) -> None:
    """Add the runs of records to a file of noise, a sequence for each network."""
    files = [each for path in paths for each in (sorted(path.glob("*.json")) if path.is_dir() else [path])]
    records = sorted((record_files.read(each) for each in files), key=lambda record: record.created_at_utc)
    runs: dict[tuple[str, int, str], list[NoiseRun]] = {}
    for record in records:
        for result in record.results:
            runs.setdefault(_sequence(record, result), []).append(_run(record, result))
    with file.open("a", encoding="utf-8") as out:
        for (network, threads, name), each in runs.items():
            sequence = NoiseSequence(network=network, threads=threads, machine=name, how=how, runs=tuple(each))
            out.write(msgspec.json.encode(sequence).decode() + "\n")


def _sequence(record: Record, result: Result) -> tuple[str, int, str]:
    place = record.device.machine or record.host
    return result.variant.name, record.settings.threads, f"{place.cpu}, {place.processors_usable} processors"


def _run(record: Record, result: Result) -> NoiseRun:
    rates = [each.flops_per_s for each in result.sessions if each.flops_per_s and not each.left_out]
    return NoiseRun(
        at=record.created_at_utc, sessions_s=tuple(float(f"{each:.6g}") for each in headline.medians(result)),
        disturbed=bool(headline.disturbed(result)), flops_per_s=float(f"{np.median(rates):.6g}") if rates else None,
    )  # fmt: skip


def described(sequence: NoiseSequence) -> str:
    """Return what a sequence is of, and how its values vary."""
    values = np.log([np.median(run.sessions_s) for run in sequence.runs])
    beside = np.corrcoef(values[:-1], values[1:])[0, 1]
    disturbed = sum(run.disturbed for run in sequence.runs)
    return (
        f"{len(values)} runs of {sequence.network} ({units.seconds(float(np.exp(np.median(values))))}), "
        f"{sequence.threads} thread, on {sequence.machine}: {sequence.how}. {disturbed} of them disturbed. "
        f"Standard deviation {values.std():.2%}, correlation of runs beside each other {beside:.2f}."
    )


def drawn(sequence: NoiseSequence, count: int, random: Random) -> list[NoiseRun]:
    """Return runs of a sequence, in stretches that begin anywhere and go on around its end."""
    size, taken = len(sequence.runs), list[NoiseRun]()
    at = int(random.integers(size))
    while len(taken) < count:
        if random.random() < 1 / MEAN_BLOCK:
            at = int(random.integers(size))
        taken.append(sequence.runs[at % size])
        at += 1
    return taken


def found(runs: Sequence[NoiseRun], at: int = 0, share: float = 0.0) -> tuple[Change, ...]:
    """Return the changes of runs that are slower by a share from one on, as a store's series have them."""
    made = series(runs, at, share)
    pace = [
        msgspec.structs.replace(point, value=run.flops_per_s, sessions=())
        for point, run in zip(made.points, runs, strict=True)
        if run.flops_per_s
    ]
    beside = Series(id="pace", identity=made.identity, quantity=QUANTITIES[PACE], points=tuple(pace))
    return changes.found([made], [beside])[made.id]


def series(runs: Sequence[NoiseRun], at: int = 0, share: float = 0.0) -> Series:
    """Return a series of runs that are slower by a share from one on."""
    points = []
    for index, run in enumerate(runs):
        sessions = tuple(each * (1 + share * (index >= at)) for each in run.sessions_s)
        disturbed = ("other work",) if run.disturbed else ()
        point = Point(
            record=f"{index:064x}", run_id=str(index), at=_FIRST + datetime.timedelta(days=index),
            value=float(np.median(sessions)), sessions=sessions, disturbed=disturbed,
        )  # fmt: skip
        points.append(point)
    return Series(id="noise", identity=_WHERE, quantity=_LATENCY, points=tuple(points))


# ------------------------------------------------------------------------------------------------------------ the table
def table(sequence: NoiseSequence, count: int, nightly: int, peer: int) -> Iterator[Line]:
    """Yield the lines for one sequence of real runs."""
    yield _line("no step, a certain change in 100 runs", "at most 1 %", count, lambda random: alarm(sequence, random))
    for share, runs, goal in ((0.05, 6, "at least 95 %"), (0.03, 10, "at least 90 %")):
        yield _line(
            f"step of {share:.0%}, certain after {runs} runs", goal, count,
            lambda random, share=share, runs=runs: caught(sequence, random, share, runs),  # type: ignore[misc]
        )  # fmt: skip
    yield _line("no step, perhaps a change at the end", "", count, lambda random: unsure(sequence, random))
    if nightly:
        what = "no step, a certain change in any of 100 nights"
        yield _line(what, "", nightly, lambda random: alarm(sequence, random, every_night=True))
    if peer:
        what = f"no step, a change by E-divisive, p up to {LEVEL}"
        yield _line(what, "", peer, lambda random: bool(e_divisive(_logs(drawn(sequence, RUNS, random)), random)))


def _line(what: str, goal: str, count: int, happened: Callable[[Random], bool]) -> Line:
    random, began = np.random.default_rng(SEED), time.perf_counter()
    right = sum(happened(random) for _ in range(count))
    return Line(what=what, right=right, of=count, goal=goal, seconds=time.perf_counter() - began)


def alarm(sequence: NoiseSequence, random: Random, *, every_night: bool = False) -> bool:
    """Return whether a series without a step has a certain change, at its end or after any of its runs."""
    runs = drawn(sequence, RUNS, random)
    ends = range(1, RUNS + 1) if every_night else (RUNS,)
    return any(each.certainty == "certain" for end in ends for each in found(runs[:end]))


def unsure(sequence: NoiseSequence, random: Random) -> bool:
    """Return whether a series without a step perhaps has a change."""
    return any(each.certainty == "perhaps" for each in found(drawn(sequence, RUNS, random)))


def caught(sequence: NoiseSequence, random: Random, share: float, after: int) -> bool:
    """Return whether a step is certain, and where it was planted, after so many runs."""
    at = int(random.integers(FEWEST_BEFORE, RUNS - after + 1))
    seen = found(drawn(sequence, at + after, random), at, share)
    return any(each.certainty == "certain" and each.worse and abs(each.at - at) <= NEAR for each in seen)


# ------------------------------------------------------------------------------------------------------------- the peer
def e_divisive(values: Values, random: Random, start: int = 0) -> list[int]:
    """Return the changes of E-divisive (Matteson and James, JASA 109, 2014): bisection with a permutation test."""
    if len(values) < 2 * change_points.FEWEST:
        return []
    largest, at = _best(values)
    beaten = sum(_best(random.permutation(values))[0] >= largest for _ in range(_DRAWS))
    if (beaten + 1) / (_DRAWS + 1) > LEVEL:
        return []
    left, right = values[:at], values[at:]
    return [*e_divisive(left, random, start), start + at, *e_divisive(right, random, start + at)]


def _best(values: Values) -> tuple[float, int]:
    """Return the largest statistic of all places, and its place."""
    size = len(values)
    apart = np.abs(values[:, None] - values[None, :])
    sums = np.zeros((size + 1, size + 1))
    sums[1:, 1:] = apart.cumsum(0).cumsum(1)
    places = np.arange(change_points.FEWEST, size - change_points.FEWEST + 1)
    first = sums[places, places]
    across = sums[places, size] - first
    second = sums[size, size] - 2 * across - first
    left, right = places, size - places
    energy = 2 * across / (left * right) - first / (left * (left - 1)) - second / (right * (right - 1))
    scaled = energy * left * right / size
    best = int(np.argmax(scaled))
    return float(scaled[best]), int(places[best])


def _logs(runs: Sequence[NoiseRun]) -> Values:
    return np.log([float(np.median(run.sessions_s)) for run in runs])


if __name__ == "__main__":
    sys.exit(main())
