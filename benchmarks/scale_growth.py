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
import scale_model
from scale_clusters import Cluster, Network, cluster, cpu_s, network, with_children
from scale_cost import TARGET, WORKERS, build_all, median_s, names, recorded, size_bytes
from scale_model import Boards, Costs, Outcome, Policy, Trouble
from scale_simulation import Simulation

import mbench
from mbench.build import build as builder
from mbench.build import builders, orders, places
from mbench.build.artifact_store import ArtifactStore
from mbench.core import artifact
from mbench.core.artifact import Artifact
from mbench.core.records import Failure
from mbench.core.run_options import RunOptions
from mbench.hardware import targets
from mbench.networks import variants

NETWORKS = (
    "mobilenet_v1_0.25_128", "mobilenet_v2_1.0_224", "mobilenet_v3_small_1.0_224", "efficientnet_lite0_1.0_224",
    "mobilenet_v1_1.0_224", "mobilenet_v2_0.35_96", "mobilenet_v3_large_1.0_224", "mobilenet_v4_conv_small_1.0_224",
    "mobilenet_v1_1.0_224_standard", "mobilenet_v2_1.4_224", "mobilenet_v1_0.5_160", "mobilenet_v3_small_0.75_224",
    "mobilenet_v4_conv_medium_1.0_256", "mobilenet_v2_0.5_160", "mobilenet_v3_large_0.75_224", "mobilenet_v1_0.75_192",
)  # fmt: skip
MEAN_S = 1.5
"""Of a build that waits: as real ones in proportion, and shorter."""
KILL_EVERY_S = 5.0
SEEDS = (1, 2, 3)


def times(count: int) -> bool:
    """Build networks one by one and measure each; write what that took to `scale_times.json`.

    A build counts with its processor time, which other work on this machine changes little, and which a worker of one
    processor needs. A measurement counts with its time: its processes wait as much as they compute.
    """
    rows, load, target = [], [], targets.load(TARGET)
    with tempfile.TemporaryDirectory() as folder, builders.local_executor(600.0, 1) as executor:
        os.environ["MBENCH_CACHE_DIR"] = str(Path(folder) / "cache")
        store = ArtifactStore.of_user()
        for name in (NETWORKS[0], *NETWORKS[:count]):  # the first one starts the process that builds
            load.append(os.getloadavg()[0])
            before_s = _children_cpu_s()
            [made] = builders.Builder(executor, store).build(
                [variants.parse(name)], target, lambda *_: None, use_cache=False
            ).values()  # fmt: skip
            build_s, start = _children_cpu_s() - before_s, time.perf_counter()
            assert not isinstance(made, Failure), made.reason
            mbench.run(name, target=TARGET, options=RunOptions(output=Path(folder) / name))
            row = scale_model.Network(
                network=name, build_s=round(build_s, 2), bytes=size_bytes(made[0]),
                measure_s=round(time.perf_counter() - start, 2),
            )  # fmt: skip
            rows.append(row)
            print(row, flush=True)
            _write(rows[1:], load)
    return True


def _write(rows: Sequence[scale_model.Network], load: Sequence[float]) -> None:
    written = {
        "machine": machine.heading(), "date": time.strftime("%Y-%m-%d"), "target": TARGET,
        "load": [min(load), max(load)], "command": "python benchmarks/scale.py times",
        "rows": [dataclasses.asdict(row) for row in rows],
    }  # fmt: skip
    scale_model.TIMES.write_text(json.dumps(written, indent=1) + "\n", encoding="utf-8")


def _children_cpu_s() -> float:
    """Return the processor time so far of what this process started."""
    return sum(map(cpu_s, with_children(os.getpid())[1:]))


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
        measured = scale_model.measured()
        scale = MEAN_S / statistics.mean(each.build_s for each in measured)
        for workers, kill in (*((each, False) for each in WORKERS), (2, True), (4, True)):
            wanted = [next(source) for _ in range(count)]
            work_s = [scale * each.build_s for each in scale_model.drawn(measured, count, seed=workers)]
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
TROUBLES = {
    "nothing": Trouble(),
    "a worker dies every 10 h": Trouble(deaths_per_worker_hour=0.1),
    "one of them is killed every 5 s": Trouble(kill_every_s=5.0),
    "a worker hangs every 10 h": Trouble(hangs_per_worker_hour=0.1),
    "1 % of builds, 0.2 % of measurements fail": Trouble(own_failures=0.01, board_failures=0.002),
    "5 % of workers and boards, three times slower": Trouble(slow_workers=0.05, slow_boards=0.05),
    "all but the kills": Trouble(
        deaths_per_worker_hour=0.1, hangs_per_worker_hour=0.1, own_failures=0.01, board_failures=0.002,
        slow_workers=0.05, slow_boards=0.05,
    ),
}  # fmt: skip
COSTS = Costs(order_s=0.007, worker_s=0.034, answer_s=0.010, keep_bytes_per_s=410e6)
"""As `cost` measured them, see docs/scaling.md."""
SHARED = dataclasses.replace(COSTS, keep_bytes_per_s=1280e6)
"""With a shared folder the main process reads and checks what it had to receive and write."""
BOARDS = Boards(count=500, kinds=5, check_every_s=300.0, check_s=10.0)
MANY, WORKERS_THERE = (25, 50, 100, 200, 400, 800), 100


def simulate(count: int) -> bool:
    """Print what becomes of many builds and their measurements as the cluster grows, and in trouble."""
    rows = scale_model.measured()
    print(f"{Policy.of_product()}\n{COSTS}\n{BOARDS}; seeds {SEEDS}")
    for name in ("build_s", "bytes", "measure_s"):
        values = [getattr(row, name) for row in rows]
        print(f"{name} of {len(values)} networks: mean {statistics.mean(values):.4g}, {min(values)} to {max(values)}")
    print("\n| workers | built | use of workers | built, shared folder | use of workers |\n" + "|---:" * 5 + "|")
    for workers in MANY:
        pair = [_simulated(count, workers, TROUBLES["nothing"], costs)[0] for costs in (COSTS, SHARED)]
        figures = [f"{_minutes(each.built_s)} | {each.worker_use:.0%}" for each in pair]
        print(f"| {workers} | {' | '.join(figures)} |", flush=True)
    print(f"\n| {WORKERS_THERE} workers, shared folder | built | measured | failed | use of workers, boards | lost |")
    print("|---" + "|---:" * 5 + "|")
    found: dict[str, list[Outcome]] = {}
    for name, trouble in TROUBLES.items():
        found[name] = _simulated(count, WORKERS_THERE, trouble, SHARED)
        print(_row(name, found[name]), flush=True)
    at_once = _simulated(count, WORKERS_THERE, trouble, SHARED, after_all_builds=False)
    print(_row("the same, each measured when it is built", at_once))
    for name in ("nothing", "all but the kills"):
        waited = ", ".join(f"{cause} {seconds:.1f}" for cause, seconds in found[name][0].waited_s.items())
        print(f"\nmean seconds of a network, {name}: {waited}")
    return True


def _simulated(
    count: int, workers: int, trouble: Trouble, costs: Costs, *, after_all_builds: bool = True
) -> list[Outcome]:
    """Return what came of it with each seed."""
    outcomes = []
    for seed in SEEDS:
        networks = scale_model.drawn(scale_model.measured(), count, seed=seed)
        measure_s = [each.measure_s for each in networks]
        boards = dataclasses.replace(BOARDS, measure_s=measure_s, after_all_builds=after_all_builds)
        run = Simulation(
            [each.build_s for each in networks], workers, policy=Policy.of_product(), costs=costs, trouble=trouble,
            boards=boards, bytes_=[each.bytes for each in networks], seed=seed,
        )  # fmt: skip
        outcomes.append(run.run())
    return outcomes


def _row(name: str, found: Sequence[Outcome]) -> str:
    def mean(field: str) -> float:
        return float(statistics.mean(getattr(each, field) for each in found))

    lost = mean("lost_s") / (mean("lost_s") + mean("useful_s"))
    uses = f"{mean('worker_use'):.0%}, {mean('board_use'):.0%}"
    return (
        f"| {name} | {_minutes(mean('built_s'))} | {_minutes(mean('makespan_s'))} | {mean('failed'):.1f} | {uses} "
        f"| {lost:.1%} |"
    )


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:.1f} min"
