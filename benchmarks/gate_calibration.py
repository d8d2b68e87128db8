"""How often the gate is wrong, by real runs: false alarms, and slow-downs planted in real code that it must catch.

Run: python benchmarks/gate_calibration.py SCENARIO... [--trials N] [--threads N] [--file FILE]

    same      head is another build of the same code
    loaded    the same beside a process that keeps a processor busy
    moved     head is the same code, but lies elsewhere in its library, as code does behind a kernel that was changed
    layer10   one layer that takes at least 3 % of the time is made 10 % slower: a chain of multiply-adds in its kernel
    layer5    the same, 5 %
    whole2    the same kernel is made so much slower that the whole network is 2 % slower
    counts    counts of another build of the same code, counted beside a process that loads the machine
    counts1   counts, after one more instruction in the inner loops of one kernel

Every trial is appended to FILE as a line of JSON, raw samples included, and the tables are made from that file: runs
can be interrupted and added up, and files put together. Trials whose digest is not that of today's code are left out
(`gate_digest.py`). `--report` prints the tables alone. Two of these can run side by side, each pinned to a processor
(taskset), with cache folders (MBENCH_CACHE_DIR) and files of their own and `--beside`: each loads the machine for the
other.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import math
import multiprocessing
import random
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import gate_trials
import machine
import slowing
import trial_builds
from gate_trials import SCENARIOS, SLOWER, Trial
from trial_builds import NETWORK

from mbench.core import artifact, resources
from mbench.core.artifact import Artifact
from mbench.core.records import Result
from mbench.core.settings import Warmup
from mbench.devices import open_device
from mbench.gating import exact, matching
from mbench.gating.limits import Limits
from mbench.hardware import host
from mbench.measure.observation import MeasurePlan
from mbench.pipeline import results, runner

COUNTED_TARGET = "arm64_cortex_a72"
DISTANCES = range(16, 4096, 16)
"""Bytes by which code is moved."""


def main() -> int:
    """Run trials, then print the tables; return the exit code."""
    arguments = _arguments()
    file: Path = arguments.file
    for scenario in () if arguments.report else arguments.scenarios or SCENARIOS:
        digest = gate_trials.digest(scenario)
        known = [trial for trial in gate_trials.current(gate_trials.read(file)) if trial.as_meant]
        done = sum(trial.scenario == scenario for trial in known)
        for number in range(done, arguments.trials):
            run = _counted if scenario.startswith("counts") else _timed
            trial = run(scenario, digest, arguments)
            gate_trials.append(file, trial)
            print(f"{scenario} {number + 1}/{arguments.trials}: {_told(trial)}", file=sys.stderr, flush=True)
    if not arguments.report:
        print(machine.heading())
    kept = gate_trials.read(file)
    current = gate_trials.current(kept)
    print(gate_trials.report(current))
    if other := len(kept) - len(current):
        print(f"{file}: {other} trials are of code that decides otherwise and were left out", file=sys.stderr)
    return 0


def _scenario(text: str) -> str:
    if text not in SCENARIOS:
        raise argparse.ArgumentTypeError(f"{text!r} is none of {', '.join(SCENARIOS)}")
    return text


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scenarios", nargs="*", type=_scenario, metavar="SCENARIO", help=", ".join(SCENARIOS))
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--file", type=Path, default=Path("gate_calibration.jsonl"))
    parser.add_argument("--beside", action="store_true", help="start no load: something else loads the machine")
    parser.add_argument("--report", action="store_true", help="print the tables of FILE and run nothing")
    return parser.parse_args()


def _told(trial: Trial) -> str:
    verdict = "right" if trial.right else "WRONG"
    return f"{verdict}; planted {trial.planted}, named {trial.named}, whole {trial.whole}, {trial.seconds:.0f} s"


def _timed(scenario: str, digest: str, arguments: argparse.Namespace) -> Trial:
    """Build a baseline and a head, and let the gate compare them."""
    threads, loaded = arguments.threads, arguments.beside or scenario == "loaded"
    base = trial_builds.build()
    layer: str | None = None
    alone_ratio: float | None = None
    if scenario in SLOWER:
        layer, head, alone_ratio = slowing.slowed(base, scenario, threads)
    else:
        head = trial_builds.build(again=True, distance=random.choice(DISTANCES) if scenario == "moved" else 0)
    start = time.perf_counter()
    with load() if loaded and not arguments.beside else contextlib.nullcontext():
        found, processes = trial_builds.gate(base, head, threads)
    seconds = time.perf_counter() - start
    worse = tuple(finding.layer or "whole" for finding in found if finding.outcome == "regressed")
    whole = next(finding for finding in found if finding.layer is None)
    own = next((finding for finding in found if finding.layer == layer and layer), None)
    return Trial(
        scenario=scenario, network=NETWORK, threads=threads, loaded=loaded, planted=layer, named=worse,
        whole=whole.outcome, alone_ratio=alone_ratio, planted_ratio=own.ratio if own else None,
        planted_outcome=own.outcome if own else None, whole_ratio=whole.ratio, processes=processes, seconds=seconds,
        log_ratios=whole.log_ratios, cpu=host.describe().cpu, code=digest,
    )  # fmt: skip


@contextlib.contextmanager
def load() -> Iterator[None]:
    """Keep one processor busy meanwhile."""
    process = multiprocessing.get_context("spawn").Process(target=_spin, daemon=True)
    process.start()
    try:
        yield
    finally:
        process.kill()
        process.join()


def _spin() -> None:
    parent = multiprocessing.parent_process()
    while parent is not None and parent.is_alive():  # it may be killed
        for _ in range(1_000_000):
            math.sqrt(2.0)


def _counted(scenario: str, digest: str, arguments: argparse.Namespace) -> Trial:
    """Count a network in emulation beside a process that loads the machine; compare with the first count."""
    base = _counts_of_base()
    layer: str | None = None
    start = time.perf_counter()
    built = trial_builds.build(NETWORK, COUNTED_TARGET, again=True)
    if scenario == "counts1":
        layer, built = _with_one_more(built)
    with contextlib.nullcontext() if arguments.beside else load():
        head = _count(built)
    matches = matching.layers(base.layers, head.layers)
    found = [*exact.of_network(base, head, Limits(), counts=True)]
    found += exact.of_layers(base.variant.name, matches, Limits(), counts=True)
    counted = [finding for finding in found if finding.way == "counts"]
    worse = {each.layer or "whole" for each in counted if each.outcome == "regressed"}
    differing = {each.layer or "whole" for each in counted if each.base != each.head}
    own = next((each for each in counted if each.layer == layer and layer), None)
    return Trial(
        scenario=scenario, network=NETWORK, threads=1, loaded=True, planted=layer,
        named=tuple(sorted(worse if layer else differing)), whole=counted[0].outcome,
        planted_ratio=own.ratio if own else None, planted_outcome=own.outcome if own else None,
        whole_ratio=counted[0].ratio, processes=1, seconds=time.perf_counter() - start, log_ratios=(),
        cpu=host.describe().cpu, code=digest,
    )  # fmt: skip


def _with_one_more(base: Artifact) -> tuple[str, Artifact]:
    """Return a layer drawn among those with inner loops, and the network with one more instruction in these."""
    kernels = trial_builds.own_kernels(base)
    layers = [layer.name for layer in base.manifest.layers if layer.macs and layer.name in kernels]
    for layer in random.sample(layers, len(layers)):
        head = trial_builds.build(NETWORK, COUNTED_TARGET, kernel=kernels[layer])
        if head.manifest.files[artifact.LIBRARY] != base.manifest.files[artifact.LIBRARY]:  # else it has no such loop
            return layer, head
    raise SystemExit("gate_calibration.py: no kernel has an inner loop")


@functools.cache
def _counts_of_base() -> Result:
    return _count(trial_builds.build(NETWORK, COUNTED_TARGET))


def _count(built: Artifact) -> Result:
    target = runner.resolve_target(COUNTED_TARGET)
    plan = MeasurePlan(
        threads=1, number=1, repeat=1, layer_repeat=1, block=1, warmup=Warmup(max_s=0.0), measure_max_s=None,
        tolerance=1e-3,
    )  # fmt: skip
    lock_dir = resources.cache_dir()
    device = open_device("emulated", target, lock_dir=lock_dir, timeout_s=600.0, waiting=lambda _: None)
    with contextlib.closing(device):
        seen = device.measure(built, plan, lambda *_: None)
    return results.result(
        built, cached=False, target=target, threads=1, observation=seen, calibration=None, reason="emulated"
    )


if __name__ == "__main__":
    sys.exit(main())
