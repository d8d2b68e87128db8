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

What is planted is timed a second way before the gate sees it, its kernel alone, again and again, and mended until it is
what was meant, give or take a tenth.

Every trial is appended to FILE as a line of JSON, raw samples included, and the table is made of that file: runs can be
interrupted and added up, and files put together; trials of other code than today's are left aside. `--report` prints
the table alone. Two of these can run side by side, each bound to a processor (taskset), with cache folders
(MBENCH_CACHE_DIR) and files of their own and `--beside`: each loads the machine for the other.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import hashlib
import json
import math
import multiprocessing
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import alone
import machine
from layout import table

from mbench import artifact, builds, host, pipeline, resources, results, stats, variants
from mbench.artifact import Artifact
from mbench.comparison import Finding
from mbench.compile import objects
from mbench.devices import open_device
from mbench.devices.local import LocalDevice
from mbench.gate import exact, limits, matching, paired, timed
from mbench.gate.limits import Limits
from mbench.gate.matching import Match
from mbench.gate.paired import Contest
from mbench.measure import duel, layout
from mbench.measure.observation import Plan
from mbench.records import Layer, Result, Warmup

SCENARIOS = ("same", "loaded", "moved", "layer10", "layer5", "whole2", "counts", "counts1")
SILENT = ("same", "loaded", "moved", "counts")
"""Where there is nothing to find."""
SLOWER = {"layer10": 0.10, "layer5": 0.05, "whole2": 0.02}
NETWORK = "mobilenet_v1_0.25_128"
COUNTED_TARGET = "arm64_cortex_a72"
HEADING = (
    *("scenario", "trials", "slower alone, %", "seen by the gate, %", "right", "95 % bound on the rate"),
    *("no verdict on the whole", "processes", "seconds"),
)
DISTANCES = range(16, 4096, 16)
"""Bytes by which code is moved."""
NEAR = 0.1
"""How far what was planted may be from what was meant, as a share of it."""
TRIES = 5
"""At planting so much in a layer, before another one is drawn."""
MUCH, LITTLE = 40_000, 100
"""Iterations of planted work that tell how long it takes: longer than any layer, and about a hundredth of one."""


def _code(scenario: str) -> str:
    """Return a digest of the code that a scenario tries."""
    timing = (timed, paired, limits, stats, duel, layout, objects)
    used = (exact, limits, matching) if scenario.startswith("counts") else timing
    return hashlib.sha256(b"".join(Path(module.__file__).read_bytes() for module in used)).hexdigest()[:16]


class Trial(NamedTuple):
    """What one trial saw."""

    scenario: str
    network: str
    threads: int
    loaded: bool
    planted: str | None
    """The layer with more work."""
    named: tuple[str, ...]
    """What the gate called regressed: layers, and `whole`."""
    whole: str
    """What it said of the whole network."""
    alone_ratio: float | None
    """How much longer it takes, or the whole network in `whole2`, by what its kernel takes longer alone."""
    planted_ratio: float | None
    """What the gate estimated for the layer with more work."""
    planted_outcome: str | None
    whole_ratio: float | None
    processes: int
    seconds: float
    log_ratios: tuple[float, ...]
    """Of the whole network, one a process."""
    cpu: str = host.describe().cpu


def main() -> int:
    """Run trials, then print the table; return the exit code."""
    arguments = _arguments()
    file: Path = arguments.file
    for scenario in () if arguments.report else arguments.scenarios or SCENARIOS:
        done = sum(1 for trial in _read(file) if trial["scenario"] == scenario)
        for number in range(done, arguments.trials):
            trial = _counted(scenario, arguments) if scenario.startswith("counts") else _timed(scenario, arguments)
            with file.open("a") as out:
                out.write(json.dumps({**trial._asdict(), "code": _code(scenario)}) + "\n")
            print(f"{scenario} {number + 1}/{arguments.trials}: {_told(trial)}", file=sys.stderr, flush=True)
    print(machine.heading())
    print(_table(_read(file)))
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
    parser.add_argument("--report", action="store_true", help="print the table of FILE and run nothing")
    return parser.parse_args()


# --------------------------------------------------------------------------------------------------------------- timed
def _timed(scenario: str, arguments: argparse.Namespace) -> Trial:
    threads, loaded = arguments.threads, arguments.beside or scenario == "loaded"
    base = _build(NETWORK)
    if scenario in SLOWER:
        layer, head, ratio = _slowed(base, scenario, threads)
    else:
        distance = random.choice(DISTANCES) if scenario == "moved" else 0
        layer, ratio, head = None, None, _build(NETWORK, again=True, distance=distance)
    start = time.perf_counter()
    with _load() if loaded and not arguments.beside else contextlib.nullcontext():
        found, processes = _gate(base, head, threads)
    worse = tuple(finding.layer or "whole" for finding in found if finding.outcome == "regressed")
    whole = next(finding for finding in found if finding.layer is None)
    own = next((finding for finding in found if finding.layer == layer and layer), None)
    return Trial(
        scenario, NETWORK, threads, loaded, layer, worse, whole.outcome, ratio, own and own.ratio, own and own.outcome,
        whole.ratio, processes, time.perf_counter() - start, whole.log_ratios,
    )  # fmt: skip


def _gate(base: Artifact, head: Artifact, threads: int) -> tuple[tuple[Finding, ...], int]:
    """Do what `mbench gate --paired` does with its default settings."""
    device = LocalDevice(lock_dir=resources.cache_dir(), timeout_s=120.0)
    with contextlib.closing(device), duel.twin_of(base) as twin:
        contest = Contest(base.manifest.variant.name, base, twin, head, _matches(base, head), threads, 1e-3)
        fought = paired.judge([contest], device, Limits(), lambda *_: None)
    if fought.failures:
        raise SystemExit(f"gate_calibration.py: {fought.failures[0]}")
    return fought.findings, int(fought.remarks[0].split(": ")[1].split()[0])


def _matches(base: Artifact, head: Artifact) -> tuple[Match, ...]:
    old, new = ([_layer(each, index) for index in range(len(each.manifest.layers))] for each in (base, head))
    return matching.layers(old, new)


def _layer(built: Artifact, index: int) -> Layer:
    plan = built.manifest.layers[index]
    known = {name: getattr(plan, name) for name in plan.__struct_fields__ if name != "kernels"}
    absent = dict.fromkeys(("latency_s", "energy_j", "energy_method", "counters", "roofline"))
    return Layer(index=index, kernel=" + ".join(plan.kernels), **known, **absent)


# -------------------------------------------------------------------------------------------------------------- builds
@functools.cache
def _cache() -> Path:
    return Path(tempfile.mkdtemp(prefix="mbench-calibration-"))


def _build(
    network: str,
    target: str = "host",
    *,
    again: bool = False,
    distance: int = 0,
    kernel: str = "",
    iterations: int | None = None,
) -> Artifact:
    """Build a network in a process of its own.

    Args:
        network: its name.
        target: what for.
        again: build anew what was built before.
        distance: by how many bytes to move what is built anew.
        kernel: where to plant something.
        iterations: of planted work; None: plant one more instruction in the inner loops.
    """
    folder = _cache() / ("again" if again else f"{kernel}-{iterations}")
    return builds.in_a_child(_build_here, network, target, folder, again, distance, kernel, iterations)


def _build_here(
    network: str, target: str, folder: Path, again: bool, distance: int, kernel: str, iterations: int | None
) -> Artifact:
    import planting

    from mbench.compile import build

    described, variant = pipeline.resolve_target(target), variants.parse(network)
    if not kernel:
        with planting.moved(distance) if distance else contextlib.nullcontext():
            return build.build(variant, described, folder, use_cache=not again)[0]
    plant = planting.one_more_instruction if iterations is None else planting.serial_work(iterations)
    with planting.planted(kernel, plant):
        return build.build(variant, described, folder)[0]


def _slowed(base: Artifact, scenario: str, threads: int) -> tuple[str, Artifact, float]:
    """Return a layer drawn among those that are long enough, the network with it made slower, and the ratio alone.

    Planted code moves the kernel's own within its function, which may cost or save as much.
    """
    seconds, pace = _seconds_and_pace(str(base.folder), threads)
    kernels = _own_kernels(base)
    layers = _long_enough(kernels, seconds)
    for layer in random.sample(layers, len(layers)):
        slowed_s = sum(seconds.values()) if scenario == "whole2" else seconds[layer]
        wanted_s = work_s = SLOWER[scenario] * slowed_s
        for _ in range(TRIES):
            iterations = max(1, round((work_s - pace.fixed_s) / pace.iteration_s))
            head = _build(base.manifest.variant.name, kernel=kernels[layer], iterations=iterations)
            extra_s = alone.extra_s(base, head, layer, threads)
            print(f"{layer}: {extra_s / slowed_s:.2%} with {iterations} iterations", file=sys.stderr, flush=True)
            if _as_meant(scenario, ratio := 1 + extra_s / slowed_s):
                return layer, head, ratio
            work_s += wanted_s - extra_s
    raise SystemExit(f"gate_calibration.py: {scenario}: no layer could be made as much slower as was meant")


def _as_meant(scenario: str, ratio: float | None) -> bool:
    """Return whether what was planted is what a scenario means, as far as it was timed alone."""
    return scenario not in SLOWER or ratio is None or abs(ratio - 1 - SLOWER[scenario]) <= NEAR * SLOWER[scenario]


def _own_kernels(base: Artifact) -> dict[str, str]:
    """Return the kernel of each layer that has one for itself alone, as it was called before weights were packed."""
    called = [kernel for kernel, _ in base.manifest.calls]
    own = [(kernel, layer) for kernel, layer in base.manifest.calls if called.count(kernel) == 1]
    return {base.manifest.layers[layer].name: kernel.removesuffix("_packed") for kernel, layer in own}


class Pace(NamedTuple):
    """How long planted work takes."""

    iteration_s: float
    fixed_s: float
    """What it takes beside its iterations: the kernel waits for their end, and its code lies elsewhere."""


@functools.cache
def _seconds_and_pace(folder: str, threads: int) -> tuple[dict[str, float], Pace]:
    """Return what each layer takes, and planted work, side by side in the gate's own measurement.

    Much work in one layer tells how long an iteration is, little in the shortest what else it costs.
    """
    base = artifact.load(Path(folder))
    kernels = _own_kernels(base)
    first = next(iter(kernels))
    seconds, extra_s = _extra(base, first, kernels[first], MUCH, threads)
    iteration_s = extra_s / MUCH
    shortest = min(_long_enough(kernels, seconds), key=seconds.__getitem__)
    _, extra_s = _extra(base, shortest, kernels[shortest], LITTLE, threads)
    pace = Pace(iteration_s, extra_s - LITTLE * iteration_s)
    print(f"{iteration_s * 1e9:.2f} ns an iteration, {pace.fixed_s * 1e9:.0f} ns beside", file=sys.stderr, flush=True)
    return seconds, pace


def _long_enough(layers: Iterable[str], seconds: Mapping[str, float]) -> list[str]:
    least_s = timed.ASKED_SHARE * sum(seconds.values())
    return [name for name in layers if seconds[name] >= least_s]


def _extra(base: Artifact, layer: str, kernel: str, iterations: int, threads: int) -> tuple[dict[str, float], float]:
    """Return what each layer takes, and by how much the one with planted work takes longer."""
    head = _build(base.manifest.variant.name, kernel=kernel, iterations=iterations)
    found = {finding.layer: finding for finding in _gate(base, head, threads)[0] if finding.layer}
    seconds = {name: float(finding.base or 0.0) for name, finding in found.items()}
    return seconds, seconds[layer] * (float(found[layer].ratio or 1.0) - 1)


@contextlib.contextmanager
def _load() -> Iterator[None]:
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


# -------------------------------------------------------------------------------------------------------------- counts
def _counted(scenario: str, arguments: argparse.Namespace) -> Trial:
    """Count a network in emulation beside a process that loads the machine; compare with the first count."""
    base, layer = _counts_of_base(), None
    start = time.perf_counter()
    built = _build(NETWORK, COUNTED_TARGET, again=True)
    if scenario == "counts1":
        layer, built = _with_one_more(built)
    with contextlib.nullcontext() if arguments.beside else _load():
        head = _count(built)
    matches = matching.layers(base.layers, head.layers)
    found = [*exact.of_network(base, head, Limits(), counts=True)]
    found += exact.of_layers(base.variant.name, matches, Limits(), counts=True)
    counted = [finding for finding in found if finding.way == "counts"]
    worse = {each.layer or "whole" for each in counted if each.outcome == "regressed"}
    differing = {each.layer or "whole" for each in counted if each.base != each.head}
    own = next((each for each in counted if each.layer == layer and layer), None)
    return Trial(
        scenario, NETWORK, 1, True, layer, tuple(sorted(worse if layer else differing)), counted[0].outcome,
        None, own and own.ratio, own and own.outcome, counted[0].ratio, 1, time.perf_counter() - start, (),
    )  # fmt: skip


def _with_one_more(base: Artifact) -> tuple[str, Artifact]:
    """Return a layer drawn among those with inner loops, and the network with one more instruction in these."""
    kernels = _own_kernels(base)
    layers = [layer.name for layer in base.manifest.layers if layer.macs and layer.name in kernels]
    for layer in random.sample(layers, len(layers)):
        head = _build(NETWORK, COUNTED_TARGET, kernel=kernels[layer])
        if head.manifest.files[artifact.LIBRARY] != base.manifest.files[artifact.LIBRARY]:  # else it has no such loop
            return layer, head
    raise SystemExit("gate_calibration.py: no kernel has an inner loop")


@functools.cache
def _counts_of_base() -> Result:
    return _count(_build(NETWORK, COUNTED_TARGET))


def _count(built: Artifact) -> Result:
    target = pipeline.resolve_target(COUNTED_TARGET)
    plan = Plan(
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


# --------------------------------------------------------------------------------------------------------------- table
def _read(file: Path) -> list[dict[str, Any]]:
    """Return the trials of the code as it is now, of what was meant; others say nothing of it."""
    trials = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
    meant = [trial for trial in trials if _as_meant(trial["scenario"], trial.get("alone_ratio"))]
    return [trial for trial in meant if trial["code"] == _code(trial["scenario"])]


def _right(trial: dict[str, Any]) -> bool:
    """Return whether the gate said what is true of a trial."""
    named = set(trial["named"])
    if trial["scenario"] in SILENT:
        return not named
    if trial["scenario"] == "whole2":
        return "whole" in named
    return trial["planted"] in named and named <= {trial["planted"], "whole"}


def _told(trial: Trial) -> str:
    verdict = "right" if _right(trial._asdict()) else "WRONG"
    return f"{verdict}; planted {trial.planted}, named {trial.named}, whole {trial.whole}, {trial.seconds:.0f} s"


def _table(trials: Sequence[dict[str, Any]]) -> str:
    """Return a Markdown table: trials, how many were judged right, and the bound that this gives (Clopper-Pearson).

    Processes and seconds are medians.
    """
    from scipy.stats import binomtest

    rows = []
    groups: dict[tuple[str, int, bool], list[dict[str, Any]]] = {}
    for trial in trials:  # the oldest were not timed alone
        groups.setdefault((trial["scenario"], trial["threads"], bool(trial.get("alone_ratio"))), []).append(trial)
    for (scenario, threads, timed_alone), group in sorted(groups.items(), key=lambda item: SCENARIOS.index(item[0][0])):
        right = sum(map(_right, group))
        silent = scenario in SILENT
        side = "less" if silent else "greater"
        test = binomtest(len(group) - right if silent else right, len(group), alternative=side)
        bound = test.proportion_ci(0.95, method="exact")
        said = f"wrong at most {bound.high:.1%}" if silent else f"right at least {bound.low:.1%}"
        undecided = sum(trial["whole"] == "undecided" for trial in group)
        processes, seconds = (statistics.median_high(each[key] for each in group) for key in ("processes", "seconds"))
        name = f"{scenario}, {threads} thread{'s' * (threads > 1)}"
        slower = _percent(group, "alone_ratio") if timed_alone else "not timed" if scenario in SLOWER else ""
        seen = _percent(group, "whole_ratio" if scenario == "whole2" else "planted_ratio")
        cells = (name, len(group), slower, seen, right, said, undecided, processes, round(seconds))
        rows.append(tuple(map(str, cells)))
    return table(HEADING, rows, markdown=True)


def _percent(trials: Sequence[dict[str, Any]], ratio: str) -> str:
    """Return by how much what was planted made things slower: the median, the least, the most."""
    found = sorted(100 * (trial[ratio] - 1) for trial in trials if trial["planted"])
    return f"{statistics.median(found):.1f} ({found[0]:.1f} to {found[-1]:.1f})" if found else ""


if __name__ == "__main__":
    sys.exit(main())
