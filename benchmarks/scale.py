"""What building on a Dask cluster costs beyond the work, and how it grows; docs/scaling.md has results.

Run: python benchmarks/scale.py PART [-n N]. It starts a scheduler and workers on this machine, each in a process of its
own, and ends them; all but the first three give each a network namespace of its own where they run as root.

| part | what it does | goal |
|---|---|---|
| `overhead` | the same builds by one worker and by one local process, in turn | at most 5 % and 0.1 s a build |
| `throughput` | 64 networks by 2 workers and by 2 local processes, each twice | at least 0.9 of the local throughput |
| `kills` | 200 tasks while a worker is killed every 5 s | all done, each once, nothing wrong |
| `cost` | builds that take no time, by 1, 2 and 4 workers: what is left is the cluster's | |
| `counts` | emulated counts by one worker | |
| `memory` | 10,000 tasks: what the main process holds | below 500 MB |
| `burst` | 200 large networks, done quicker than they can be kept: the same | below 500 MB |
| `tracker` | what a request to a tracker of 500 boards takes, and what the process of each board holds | |
| `times` | builds and measures networks here: what the simulation draws from (`scale_times.json`) | |
| `validate` | builds that wait as long as real ones, by 1, 2 and 4 workers, and simulated | |
| `simulate` | 10,000 builds and 500 boards; needs no cluster | |

`overhead`, `throughput` and `kills` compile, with empty caches. A task of `kills` is one build of a small network; each
has another limit of time, so that it is another task. One in ten is built anew, the others may come from the cache of
the worker.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import shutil
import signal
import statistics
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import machine
import scale_clusters
import scale_cost
import scale_growth
import scale_tracker
from scale_clusters import cluster

from mbench.build import build as builder
from mbench.build import builders, carried, dask_cluster, places, worker_facts
from mbench.build.artifact_store import ArtifactStore
from mbench.build.builders import Build
from mbench.build.dask_address import DaskAddress
from mbench.build.local_executor import LocalExecutor
from mbench.build.orders import BuildOrder
from mbench.core.artifact import LIBRARY
from mbench.core.machine_types import Target
from mbench.core.records import Failure, Variant
from mbench.hardware import targets
from mbench.networks import variants

TARGET = "x86_64_v3"
SMALL = "mobilenet_v1_0.25_32"
OVERHEAD_SHARE, OVERHEAD_S, LEAST_THROUGHPUT, KILL_EVERY_S = 0.05, 0.1, 0.9, 5.0


def build(place: Any, wanted: Sequence[Variant], target: Target) -> tuple[float, dict[str, Build]]:
    """Build with an empty cache; return the seconds that it took, and what came of it."""
    shutil.rmtree(Path(os.environ["MBENCH_CACHE_DIR"]) / "artifacts", ignore_errors=True)
    start = time.perf_counter()
    built = place.build_all(
        wanted, target, lambda *_: None, use_cache=True, timeout_s=600.0, note=lambda text: print(f"  {text}")
    )
    seconds = time.perf_counter() - start
    for one in built.values():
        if isinstance(one, Failure):
            raise SystemExit(f"{one.variant}: {one.reason}")
    return seconds, built


def libraries(built: dict[str, Build]) -> dict[str, str]:
    """Return the hash of each library."""
    return {name: one[0].manifest.files[LIBRARY] for name, one in built.items() if not isinstance(one, Failure)}


class KeptBuilder:
    """Builds in local processes that are kept, as those of a worker are: what starting them takes is no overhead."""

    def __init__(self, executor: LocalExecutor) -> None:
        self._executor = executor

    def build_all(
        self, wanted: Sequence[Variant], target: Target, report: Any, *, use_cache: bool, **_: Any
    ) -> dict[str, Build]:
        """Build; see `builders.Builder`."""
        return builders.Builder(self._executor, ArtifactStore.of_user()).build(
            wanted, target, report, use_cache=use_cache
        )


def overhead(runs: int) -> bool:
    """Build the same networks in turn by one worker and by one local process; print what a build costs more."""
    wanted = [variants.parse(name) for name in (SMALL, "mobilenet_v1_0.5_128", "mobilenet_v2_1.0_96")]
    target, taken = targets.load(TARGET), dict[str, list[float]](local=[], cluster=[])
    with cluster(1) as made, places.opened(made.url, print) as there, builders.local_executor(600.0, 1) as executor:
        ways: dict[str, Any] = {"local": KeptBuilder(executor), "cluster": there}
        for place in ways.values():
            build(place, wanted, target)  # starts the processes that are kept
        for number in range(runs):
            for name in sorted(ways, reverse=bool(number % 2)):
                made.forget()
                seconds, _ = build(ways[name], wanted, target)
                taken[name].append(seconds / len(wanted))
            print(*(f"{name} {each[-1]:.3f} s" for name, each in taken.items()), sep="  ", flush=True)
    local_s, cluster_s = (statistics.median(taken[name]) for name in ("local", "cluster"))
    more_s = statistics.median(there - here for there, here in zip(taken["cluster"], taken["local"], strict=True))
    print(f"a build: local {local_s:.3f} s, cluster {cluster_s:.3f} s, more {more_s:+.3f} s ({more_s / local_s:+.1%})")
    print(f"goal: at most {OVERHEAD_SHARE:.0%} and {OVERHEAD_S} s")
    return more_s <= OVERHEAD_S and more_s <= OVERHEAD_SHARE * local_s


def throughput(count: int) -> bool:
    """Build many networks by two workers and by two local processes, kept alike; print the throughput of both."""
    widths, sizes = (0.1 + 0.05 * step for step in range(16)), (32, 48, 64, 80)
    names = [f"mobilenet_v1_{width:.2f}_{size}" for width in widths for size in sizes][:count]
    wanted, target = [variants.parse(name) for name in names], targets.load(TARGET)
    taken, cpu_s = dict[str, list[float]](local=[], cluster=[]), dict[str, float](local=0.0, cluster=0.0)
    found: list[dict[str, str]] = []
    with cluster(2) as made, places.opened(made.url, print) as there, builders.local_executor(600.0, 2) as executor:
        ways: dict[str, Any] = {"local": KeptBuilder(executor), "cluster": there}
        for place in ways.values():
            build(place, wanted[:4], target)  # starts the processes that are kept
        for name in ("cluster", "local", "local", "cluster"):  # what drifts meets both alike
            made.forget()
            before_s = all_cpu_s()
            seconds, built = build(ways[name], wanted, target)
            used_s = all_cpu_s() - before_s
            taken[name].append(seconds)
            cpu_s[name] += used_s
            found.append(libraries(built))
            print(f"{name}: {seconds:.1f} s, {used_s:.1f} s of CPU, load {os.getloadavg()[0]:.1f}", flush=True)
    same = all(each == found[0] for each in found)
    print(f"processor time of the local builds: {cpu_s['local'] / cpu_s['cluster']:.3f} of the cluster's")
    here_s, there_s = (sum(taken[name]) / 2 for name in ("local", "cluster"))
    print(f"{len(wanted)} networks: local {here_s:.1f} s, cluster {there_s:.1f} s: {here_s / there_s:.2f} of its speed")
    print(f"goal: at least {LEAST_THROUGHPUT}; libraries are {'the same' if same else 'NOT the same'}")
    return same and here_s / there_s >= LEAST_THROUGHPUT


def all_cpu_s() -> float:
    """Return the processor time so far of this process and of all that it started."""
    return sum(map(scale_clusters.cpu_s, scale_clusters.with_children(os.getpid())))


def kills(count: int) -> bool:
    """Give many tasks to two workers while one is killed every five seconds; print what came of them."""
    variant, target = variants.parse(SMALL), targets.load(TARGET)
    over, killed = threading.Event(), 0
    with cluster(2) as made, dask_cluster.connected(DaskAddress.parse(made.url), print) as there:

        def kill() -> None:
            nonlocal killed
            while not over.wait(KILL_EVERY_S):
                place = random.randrange(len(made.workers))
                made.kill(place)
                killed += 1
                made.workers[place] = made.worker(place)

        inputs, seen = builder.digest_inputs(variant, target), dict[str, list[str]]()
        facts, killer = worker_facts.facts(), threading.Thread(target=kill, daemon=True)
        with carried.Orders(there, ArtifactStore.of_user(), print) as given:
            for number in range(count):
                order = BuildOrder(
                    facts=facts, variant=variant, target=target, inputs=inputs, use_cache=number % 10 > 0,
                    limit_s=600.0 + number,
                )  # fmt: skip
                given.give(str(number), order)
            killer.start()
            start = time.perf_counter()
            for name, answer in given.answered():
                failed = isinstance(answer, Failure)
                seen.setdefault(name, []).append(answer.reason if failed else libraries_of(answer))
                print(f"{len(seen)} of {count} answered, {killed} workers killed", flush=True)
            taken_s = time.perf_counter() - start
        over.set()
        killer.join()
    once = len(seen) == count and all(len(each) == 1 for each in seen.values())
    kinds = {each for answers in seen.values() for each in answers}
    print(f"{len(seen)} of {count} tasks answered in {taken_s:.0f} s, {killed} workers killed; answers: {kinds}")
    return once and len(kinds) == 1 and killed > 0


def libraries_of(answer: Any) -> str:
    """Return the hash of the library that a worker delivered."""
    return hashlib.sha256(answer.files[LIBRARY]).hexdigest()[:12]


PARTS: dict[str, tuple[Callable[[int], bool], int]] = {
    "overhead": (overhead, 7), "throughput": (throughput, 64), "kills": (kills, 200),
    "cost": (scale_cost.cost, 200), "counts": (scale_cost.counts, 5), "memory": (scale_cost.memory, 10_000),
    "burst": (scale_cost.burst, 200), "tracker": (scale_tracker.tracker, 500),
    "times": (scale_growth.times, 16), "validate": (scale_growth.validate, 48),
    "simulate": (scale_growth.simulate, 10_000),
}  # fmt: skip


def main() -> None:
    """Run one part."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("-n", type=int, default=None, help="Runs, networks or tasks.")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that nothing is left behind
    print(machine.heading())
    work, count = PARTS[arguments.part]
    done = work(arguments.n or count)
    print("goal reached" if done else "goal NOT reached")
    sys.exit(0 if done else 1)


if __name__ == "__main__":
    main()
