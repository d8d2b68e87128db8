"""How often the gate is wrong on plain records, by real runs and slow-downs planted in real code.

Run: python benchmarks/recorded_calibration.py SCENARIO... [--trials N] [--threads N] [--beside-work] [--file FILE]

    same      two default records of the same code
    whole10   the whole network is made 10 % slower, by work planted in a kernel
    whole30   the same, 30 %
    layer10   one layer of at least 5 % of the time is made 10 % slower; five records a side

Each record is what `mbench run` of the network measures, in sessions, with what is disturbed repeated. Trials are
appended to FILE as lines of JSON, the sessions' medians included; `--report` prints the table alone. Scenarios that are
named one after the other take turns, each with a head of its own beside the same base.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import random
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import machine
import recorded_trials
import slowing
import trial_builds
from gate_calibration import load
from recorded_trials import RUNS, SCENARIOS, RecordedTrial
from trial_builds import NETWORK

import mbench
from mbench.analysis import headline
from mbench.core.artifact import Artifact
from mbench.core.progress import silent
from mbench.core.records import Failure, Record, Result
from mbench.core.run_options import RunOptions
from mbench.hardware import host
from mbench.pipeline import options, runner, turns

_LEAST_SHARE = 0.05


def main() -> int:
    """Run trials, then print the table; return the exit code."""
    arguments = _arguments()
    if not arguments.report:
        for _, alike in itertools.groupby(arguments.scenarios, key=lambda scenario: RUNS.get(scenario, 1)):
            _try(list(alike), arguments)
        print(machine.heading())
    print(recorded_trials.report(recorded_trials.current(recorded_trials.read(arguments.file))))
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scenarios", nargs="*", choices=[*SCENARIOS, []], metavar="SCENARIO")
    parser.add_argument("--trials", type=int, default=50)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--beside-work", action="store_true", help="keep a processor busy meanwhile")
    parser.add_argument("--file", type=Path, default=Path("recorded_calibration.jsonl"))
    parser.add_argument("--report", action="store_true", help="print the table of FILE and run nothing")
    return parser.parse_args()


def _try(scenarios: Sequence[str], arguments: argparse.Namespace) -> None:
    """Run the trials of scenarios that have as many records a side; in each round they share the base's records."""
    threads, base = arguments.threads, trial_builds.build()
    heads = {scenario: _head(scenario, base, threads) for scenario in scenarios}
    count = RUNS.get(scenarios[0], 1)
    with load() if arguments.beside_work else contextlib.nullcontext():
        for number in range(arguments.trials):
            before, seconds = _side(base, threads, count)
            for scenario in random.sample(scenarios, len(scenarios)):
                after, more = _side(heads[scenario].built, threads, count)
                trial = _judged(
                    scenario, (before, after), heads[scenario], threads=threads, loaded=arguments.beside_work,
                    seconds=(seconds + more) / (2 * count),
                )  # fmt: skip
                recorded_trials.append(arguments.file, trial)
                said = "right" if trial.right else "inconclusive" if trial.inconclusive else "WRONG"
                told = f"{said}; named {trial.named}, whole {trial.whole} {trial.whole_ratio:.3f}"
                print(f"{scenario} {number + 1}/{arguments.trials}: {told}", file=sys.stderr, flush=True)


class Head(NamedTuple):
    """What is compared with the base."""

    built: Artifact
    planted: str | None = None
    alone_ratio: float | None = None


def _head(scenario: str, base: Artifact, threads: int) -> Head:
    if scenario == "same":
        return Head(base)
    least = _LEAST_SHARE if scenario == "layer10" else 0.0
    planted, built, alone_ratio = slowing.slowed(base, scenario, threads, least=least)
    return Head(built, planted, alone_ratio)


def _side(built: Artifact, threads: int, count: int) -> tuple[list[Record], float]:
    """Return records of an artifact, and the seconds that they took."""
    start = time.perf_counter()
    return [_record(built, threads) for _ in range(count)], time.perf_counter() - start


def _judged(
    scenario: str, sides: tuple[list[Record], list[Record]], head: Head, *, threads: int, loaded: bool, seconds: float
) -> RecordedTrial:
    with _folders(sides) as (before, after):
        found = mbench.gate(before, after).comparison.findings
    planted = head.planted
    timed = [finding for finding in found if finding.metric == "latency"]
    whole = next(finding for finding in timed if finding.layer is None)
    own = next((finding for finding in timed if planted and finding.layer == planted), None)
    medians = [tuple(headline.medians(record.results[0]) for record in side) for side in sides]
    return RecordedTrial(
        scenario=scenario, network=NETWORK, threads=threads, loaded=loaded, planted=planted,
        alone_ratio=head.alone_ratio,
        named=tuple(finding.layer or "whole" for finding in timed if finding.outcome == "regressed"),
        whole=whole.outcome, whole_ratio=whole.ratio or 1.0, planted_ratio=own.ratio if own else None,
        base_s=medians[0], head_s=medians[1],
        disturbed=(_disturbed(sides[0]), _disturbed(sides[1])),
        seconds=seconds, cpu=host.describe().cpu, code=recorded_trials.digest(threads),
    )  # fmt: skip


def _disturbed(side: list[Record]) -> int:
    return sum(bool(headline.disturbed(record.results[0])) for record in side)


def _record(built: Artifact, threads: int) -> Record:
    """Return what a default run of an artifact records."""
    with tempfile.TemporaryDirectory() as folder, silent([NETWORK]) as progress:
        job = options.new_job([NETWORK], "host", host.describe(), RunOptions(threads=threads, output=Path(folder)))

        def keep(record: Record, *found: Result | Failure) -> Record:
            return runner.grown(record, found)

        return turns.measure_all(job, runner.begun(job), {NETWORK: (built, True)}, progress, keep)


@contextlib.contextmanager
def _folders(sides: Sequence[list[Record]]) -> Iterator[list[Path]]:
    from mbench.core import record_files

    with tempfile.TemporaryDirectory() as folder:
        places = [Path(folder) / word for word in ("base", "head")]
        for place, side in zip(places, sides, strict=True):
            place.mkdir()
            for record in side:
                record_files.write(place / f"{record.run_id}.json", record)
        yield places


if __name__ == "__main__":
    sys.exit(main())
