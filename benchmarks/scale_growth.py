"""How a cluster grows, simulated with measured times, and the simulation beside real clusters: parts of `scale.py`."""

from __future__ import annotations

import dataclasses
import itertools
import json
import os
import statistics
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import machine
import scale_simulation as simulation
from scale_clusters import Cluster, Network, cluster, network
from scale_cost import TARGET, WORKERS, build_all, median_s, names, recorded, size_bytes
from scale_simulation import Boards, Costs, Outcome, Policy, Simulation, Trouble

import mbench
from mbench.build import build as builder
from mbench.build import orders, places
from mbench.build.artifact_store import ArtifactStore
from mbench.core import artifact
from mbench.core.artifact import Artifact
from mbench.core.run_options import RunOptions
from mbench.hardware import targets
from mbench.networks import variants

NETWORKS = (
    "mobilenet_v1_0.25_128", "mobilenet_v1_0.5_160", "mobilenet_v1_0.75_224", "mobilenet_v1_1.0_224",
    "mobilenet_v2_0.35_96", "mobilenet_v2_0.5_160", "mobilenet_v2_1.0_224", "mobilenet_v2_1.4_224",
    "mobilenet_v3_small_0.75_224", "mobilenet_v3_small_1.0_224", "mobilenet_v3_large_0.75_224",
    "mobilenet_v3_large_1.0_224", "mobilenet_v4_conv_small_1.0_224", "mobilenet_v4_conv_medium_1.0_256",
    "efficientnet_lite0_1.0_224", "efficientnet_lite1_1.0_240", "mobilenet_v1_1.0_128", "mobilenet_v2_1.0_128",
    "mobilenet_v3_large_1.0_224_standard", "mobilenet_v1_0.5_160_standard",
)  # fmt: skip
MEAN_S = 1.5
"""Of a build that waits: as real ones in proportion, and shorter."""
KILL_EVERY_S = 5.0
BOARDS, KINDS = 500, 5
SEEDS = (1, 2, 3)


def times(count: int) -> bool:
    """Build networks one by one and measure each; write what that took to `scale_times.json`."""
    rows, load = [], []
    with tempfile.TemporaryDirectory() as folder:
        os.environ["MBENCH_CACHE_DIR"] = str(Path(folder) / "cache")
        for name in NETWORKS[:count]:
            load.append(os.getloadavg()[0])
            build_s, bytes_, measure_s = _timed(name, Path(folder))
            rows.append({"network": name, "build_s": build_s, "bytes": bytes_, "measure_s": measure_s})
            print(*rows[-1].values(), sep="  ", flush=True)
    written = {
        "machine": machine.heading(), "date": time.strftime("%Y-%m-%d"), "target": TARGET,
        "load": [min(load), max(load)], "command": "python benchmarks/scale.py times", "rows": rows,
    }  # fmt: skip
    simulation.TIMES.write_text(json.dumps(written, indent=1) + "\n", encoding="utf-8")
    return True


def _timed(name: str, folder: Path) -> tuple[float, int, float]:
    """Return the seconds that a build takes, the bytes that it makes, and the seconds that five sessions take."""
    for options in (RunOptions(output=folder / name, compile_only=True), RunOptions(output=folder / name)):
        start = time.perf_counter()
        mbench.run(name, target=TARGET, options=options)
        taken_s = time.perf_counter() - start
    variant = variants.parse(name)
    made = ArtifactStore.of_user().get(builder.digest(builder.digest_inputs(variant, targets.load(TARGET))))
    return round(made.manifest.compile_s, 3), size_bytes(made), round(taken_s, 3)


# ----------------------------------------------------------------------------------------------------------- validation
def validate(count: int) -> bool:
    """Print how long builds take real clusters that wait as long as real ones, and how long simulated ones."""
    target, source = targets.load(TARGET), names()
    worst = 0.0
    with tempfile.TemporaryDirectory() as folder, network() as where:
        made = recorded(Path(folder))
        costs = _costs(made, where, source)
        print(costs)
        print("| workers | killed | measured | simulated | error |\n|---:|---:|---:|---:|---:|")
        measured = simulation.measured("build_s")
        scale = MEAN_S / statistics.mean(measured)
        for workers, kill in (*((each, False) for each in WORKERS), (2, True), (4, True)):
            wanted = [next(source) for _ in range(count)]
            work_s = [scale * each for each in simulation.drawn(measured, count, seed=workers)]
            seconds = Path(folder) / "seconds.json"
            seconds.write_text(
                json.dumps({each.name: value for each, value in zip(wanted, work_s, strict=True)}), encoding="utf-8"
            )
            environ = {"SCALE_RECORDED": str(made.folder), "SCALE_SECONDS": str(seconds)}
            with cluster(workers, where, **environ) as running, places.opened(running.url, lambda _: None) as place:
                build_all(place, [next(source) for _ in range(4 * workers)], target)
                with _Killer(running, kill) as killer:
                    taken_s = build_all(place, wanted, target)
            trouble = Trouble(kills_s=tuple(killer.killed), back_s=killer.back_s)
            policy = Policy.of_product()
            said = Simulation(work_s, workers, policy=policy, costs=costs, trouble=trouble).run()
            error = said.makespan_s / taken_s - 1
            worst = max(worst, abs(error))
            print(
                f"| {workers} | {len(killer.killed)} | {taken_s:.1f} s | {said.makespan_s:.1f} s | {error:+.1%} |",
                flush=True,
            )
    print(f"largest error {worst:.1%}")
    return worst <= 0.1


def _costs(made: Artifact, where: Network, source: Any) -> Costs:
    """Return what a task costs beyond its work, measured with builds that take no time, by one worker."""
    target = targets.load(TARGET)
    with (
        cluster(1, where, SCALE_RECORDED=str(made.folder)) as running,
        places.opened(running.url, lambda _: None) as place,
    ):
        build_all(place, [next(source) for _ in range(8)], target)
        tasks = [next(source) for _ in range(100)]
        worker_s = build_all(place, tasks, target) / len(tasks)
        store, files = ArtifactStore.of_user(), orders.packed(made.folder, artifact.FILES)

        def keep() -> None:
            store.receive(made.manifest.digest, files)
            store.discard(made.manifest.digest)

        order_s = median_s(lambda: builder.digest_inputs(next(source), target))
        return Costs(order_s=order_s, worker_s=worker_s, answer_s=median_s(keep))


class _Killer:
    """Kills one worker after another in turn, each five seconds, and starts it anew. Use as a context."""

    def __init__(self, running: Cluster, kill: bool) -> None:
        self._running, self._kill, self._over = running, kill, threading.Event()
        self.killed, self._back_s = list[tuple[float, int]](), list[float]()
        self._thread = threading.Thread(target=self._work, daemon=True)

    def __enter__(self) -> _Killer:
        self._start_s = time.monotonic()
        if self._kill:
            self._thread.start()
        return self

    def __exit__(self, *_how: object) -> None:
        self._over.set()
        if self._kill:
            self._thread.join()

    def _work(self) -> None:
        for place in itertools.cycle(range(len(self._running.workers))):
            if self._over.wait(KILL_EVERY_S):
                return
            self._running.kill(place)
            self.killed.append((time.monotonic() - self._start_s, place))
            start = time.monotonic()
            self._running.workers[place] = self._running.worker(place)
            self._back_s.append(time.monotonic() - start)

    @property
    def back_s(self) -> float:
        """How long a worker was away, in the median."""
        return statistics.median(self._back_s) if self._back_s else 0.0


# ----------------------------------------------------------------------------------------------------------- simulation
QUIET = Trouble()
DEATHS = Trouble(deaths_per_worker_hour=0.1)
KILLS = Trouble(kill_every_s=5.0)
HANGS = Trouble(hangs_per_worker_hour=0.1)
FAILURES = Trouble(own_failures=0.01, board_failures=0.002)
STRAGGLERS = Trouble(slow_workers=0.05, slow_boards=0.05, slow_factor=3.0)
ALL = dataclasses.replace(
    STRAGGLERS, deaths_per_worker_hour=0.1, hangs_per_worker_hour=0.1, own_failures=0.01, board_failures=0.002
)
TROUBLES = {
    "nothing": QUIET, "a worker dies every 10 h": DEATHS, "a worker is killed every 5 s": KILLS,
    "a worker hangs every 10 h": HANGS, "1 % of builds, 0.2 % of measurements fail": FAILURES,
    "5 % of workers and boards three times slower": STRAGGLERS, "all but the kills": ALL,
}  # fmt: skip
COSTS = Costs(order_s=0.010, worker_s=0.050, answer_s=0.015)
"""As `cost` measured them here, see docs/scaling.md."""


def simulate(count: int) -> bool:
    """Print what becomes of many builds and their measurements as the cluster grows, and in trouble."""
    policy = Policy.of_product()
    print(f"{policy}\n{COSTS}\nbuild {_described('build_s')}; measurement {_described('measure_s')}")
    print("\n| workers | builds done | workers' use | main process busy |\n|---:|---:|---:|---:|")
    for workers in (50, 100, 200, 400, 800):
        [found] = _simulated(count, workers, policy, QUIET, seeds=SEEDS[:1])
        busy = count * COSTS.answer_s / found.built_s
        print(f"| {workers} | {_minutes(found.built_s)} | {found.worker_use:.0%} | {busy:.0%} |", flush=True)
    print("\n| trouble (200 workers, 500 boards) | built | all done | failed | workers' use | boards' use | lost |")
    print("|---" + "|---:" * 6 + "|")
    for name, trouble in TROUBLES.items():
        found_ = _simulated(count, 200, policy, trouble)
        print(f"| {name} | {_row(found_)} |", flush=True)
    found_ = _simulated(count, 200, policy, ALL, after_all_builds=False)
    print(f"| the same, measured as they are built | {_row(found_)} |")
    print("\nwaiting of a network in the mean, s:")
    for name in ("nothing", "all but the kills"):
        [found] = _simulated(count, 200, policy, TROUBLES[name], seeds=SEEDS[:1])
        print(f"{name}: " + ", ".join(f"{cause} {seconds:.1f}" for cause, seconds in found.waited_s.items()))
    return True


def _described(name: str) -> str:
    values = simulation.measured(name)
    return f"{statistics.mean(values):.1f} s ({min(values):.1f} to {max(values):.1f})"


def _simulated(
    count: int,
    workers: int,
    policy: Policy,
    trouble: Trouble,
    *,
    seeds: Sequence[int] = SEEDS,
    after_all_builds: bool = True,
) -> list[Outcome]:
    """Return what came of it with each seed."""
    outcomes = []
    for seed in seeds:
        work_s, measure_s = (
            simulation.drawn(simulation.measured(name), count, seed=seed) for name in ("build_s", "measure_s")
        )
        boards = Boards(count=BOARDS, kinds=KINDS, measure_s=measure_s, after_all_builds=after_all_builds)
        outcomes.append(
            Simulation(work_s, workers, policy=policy, costs=COSTS, trouble=trouble, boards=boards, seed=seed).run()
        )
    return outcomes


def _row(found: Sequence[Outcome]) -> str:
    def mean(name: str) -> float:
        return statistics.mean(getattr(each, name) for each in found)

    lost = mean("lost_s") / (mean("lost_s") + mean("useful_s"))
    figures = (mean("failed"), mean("worker_use"), mean("board_use"), lost)
    times = f"{_minutes(mean('built_s'))} | {_minutes(mean('makespan_s'))}"
    return f"{times} | {figures[0]:.0f} | {figures[1]:.0%} | {figures[2]:.0%} | {figures[3]:.1%}"


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:.1f} min"
