"""What a task of a cluster costs beyond its work, and what the main process holds: parts of `scale.py`.

Builds deliver a recorded artifact and take no time (`scale_worker`): all else is the way of a real one.
"""

from __future__ import annotations

import functools
import itertools
import os
import pickle
import resource
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import psutil
from scale_clusters import Cluster, cluster, network

from mbench.build import build as builder
from mbench.build import builders, carried, dask_cluster, orders, places, worker_facts
from mbench.build.artifact_store import ArtifactStore
from mbench.build.dask_address import DaskAddress
from mbench.build.orders import BuildOrder
from mbench.core import artifact, units
from mbench.core.artifact import Artifact
from mbench.core.machine_types import Target
from mbench.core.records import Failure, Variant
from mbench.core.settings import Warmup
from mbench.hardware import targets
from mbench.measure.observation import MeasurePlan
from mbench.networks import variants

TARGET = "x86_64_v3"
SMALL, LARGE = "mobilenet_v1_0.25_32", "mobilenet_v1_1.0_224"
WORKERS = (1, 2, 4)
MOST_BYTES = 500_000_000
_ALONE = 30
_WARM = 4
_DIGEST = "[0-9a-f]" * 32
PLAN = MeasurePlan(
    threads=1, number=1, repeat=1, layer_repeat=1, block=1, warmup=Warmup(max_s=0.0), measure_max_s=None, tolerance=1e-3
)


def names() -> Iterator[Variant]:
    """Yield networks, each another."""
    for step, size in itertools.product(range(2500), (32, 48, 64, 80)):
        yield variants.parse(f"mobilenet_v1_{0.1 + step * 0.0005:.4f}_{size}")


def recorded(folder: Path, name: str = SMALL) -> Artifact:
    """Return an artifact that is built in a folder."""
    made, _ = builders.in_a_child(builder.build, variants.parse(name), targets.load(TARGET), folder)
    assert isinstance(made, Artifact)
    print(f"recorded: {name}, {units.data_size(size_bytes(made))}")
    return made


def size_bytes(made: Artifact) -> int:
    """Return what travels of an artifact."""
    return sum((made.folder / name).stat().st_size for name in artifact.FILES)


def median_s(what: Callable[[], object], times: int = _ALONE) -> float:
    """Return how long something takes, in the median."""
    taken = []
    for _ in range(times):
        start = time.perf_counter()
        what()
        taken.append(time.perf_counter() - start)
    return statistics.median(taken)


def build_all(
    place: Any, wanted: Sequence[Variant], target: Target, report: Callable[..., None] = lambda *_: None
) -> float:
    """Build; return the seconds that it took. None may fail."""
    start = time.perf_counter()
    built = place.build_all(
        wanted, target, report, use_cache=True, timeout_s=600.0, note=lambda text: print(f"  {text}")
    )
    seconds = time.perf_counter() - start
    for one in built.values():
        if isinstance(one, Failure):
            raise SystemExit(f"{one.variant}: {one.reason}")
    return seconds


# --------------------------------------------------------------------------------------------------------------- builds
def cost(count: int) -> bool:
    """Print what a build that takes no time costs, by 1, 2 and 4 workers, and where that goes."""
    target, wanted = targets.load(TARGET), names()
    with tempfile.TemporaryDirectory() as kept, network() as where:
        made, large = recorded(Path(kept)), recorded(Path(kept), LARGE)
        print(
            "| workers | builds/s | ms a build | main process, ms of CPU | scheduler | workers |\n" + "|---" * 6 + "|"
        )
        for workers in WORKERS:
            with (
                cluster(workers, where, SCALE_RECORDED=str(made.folder)) as running,
                places.opened(running.url, _quiet) as place,
            ):
                build_all(place, [next(wanted) for _ in range(_WARM * workers)], target)
                before, tasks = running.cpu_s(), [next(wanted) for _ in range(count)]
                seconds = build_all(place, tasks, target)
                each = {name: (after - before[name]) / count for name, after in running.cpu_s().items()}
                figures = [f"{1e3 * value:.1f}" for value in (seconds / count, *each.values())]
                print(f"| {workers} | {count / seconds:.1f} | {' | '.join(figures)} |", flush=True)
                if workers == 1:
                    parts = [*_alone(running, place, target, made, wanted), *_by_size(running, (made, large))]
        print(*parts, sep="\n")
    return True


def _quiet(_text: str) -> None:
    pass


def _alone(
    running: Cluster, place: Any, target: Target, made: Artifact, wanted: Iterator[Variant]
) -> list[str]:  # fmt: skip
    """Return what one task after another takes, part by part, and what the scheduler bears in bulk."""
    import distributed

    facts, store = worker_facts.facts(), ArtifactStore.of_user()
    files = orders.packed(made.folder, artifact.FILES)
    digest = made.manifest.digest

    def written() -> bytes:
        variant = next(wanted)
        return pickle.dumps(BuildOrder(
            facts=facts, variant=variant, target=target, inputs=builder.digest_inputs(variant, target), use_cache=True,
            limit_s=600.0,
        ))  # fmt: skip

    def keep() -> None:
        store.receive(digest, files)
        store.discard(digest)

    whole_s = median_s(lambda: build_all(place, [next(wanted)], target))
    order_s, keep_s, order = median_s(written), median_s(keep), written()
    with distributed.Client(running.address, set_as_default=False) as client:
        nothing_s = median_s(lambda: client.submit(len, order + os.urandom(8), pure=False).result())
        many = [order + os.urandom(8) for _ in range(2000)]
        start = time.perf_counter()
        client.gather([client.submit(len, each, pure=False) for each in many])
        bulk_s = (time.perf_counter() - start) / len(many)
    rest_s = whole_s - order_s - keep_s - nothing_s
    rows = {
        f"main process: make an order ({units.data_size(len(order))})": order_s, "scheduler, both ways": nothing_s,
        f"main process: keep an artifact of {units.data_size(size_bytes(made))}": keep_s,
        "transport; worker: its own checks, a child process, its cache": rest_s,
        "one build that takes no time, alone": whole_s,
    }  # fmt: skip
    return [
        "| part of a build | ms |\n|---|---:|", *(f"| {name} | {1e3 * value:.1f} |" for name, value in rows.items()),
        f"scheduler in bulk, orders of that size: {1 / bulk_s:.0f} tasks/s",
    ]  # fmt: skip


def _by_size(running: Cluster, artifacts: Sequence[Artifact]) -> list[str]:
    """Return what carrying, keeping and checking artifacts takes."""
    import distributed

    store, rows = ArtifactStore.of_user(), []
    with distributed.Client(running.address, set_as_default=False) as client:
        nothing_s = median_s(lambda: client.submit(bytes, 0, pure=False).result())
        for made in artifacts:
            moved_s = max(median_s(functools.partial(_carried, client, size_bytes(made))) - nothing_s, 1e-4)
            files = orders.packed(made.folder, artifact.FILES)
            kept_s = median_s(functools.partial(_kept_anew, store, made.manifest.digest, files))
            checked_s = median_s(functools.partial(store.get, made.manifest.digest))
            taken = [
                f"{1e3 * each:.1f} ms, {size_bytes(made) / each / 1e6:.0f} MB/s"
                for each in (moved_s, kept_s, checked_s)
            ]
            rows.append(f"| {units.data_size(size_bytes(made))} | {' | '.join(taken)} |")
    return ["| artifact | carried | kept | checked |\n|---:|---:|---:|---:|", *rows]


def _carried(client: Any, size: int) -> None:
    client.submit(bytes, size, pure=False).result()


def _kept_anew(store: ArtifactStore, digest: str, files: dict[str, bytes]) -> None:
    store.discard(digest)
    store.receive(digest, files)


# --------------------------------------------------------------------------------------------------------------- counts
def counts(times: int) -> bool:
    """Print what an emulated count by a worker takes beyond the same worker's own time for it."""
    target, more, work = targets.load(TARGET), [], []
    with network() as where, cluster(1, where) as running, places.opened(running.url, _quiet) as place:
        store = ArtifactStore.of_user()
        sizes = (32, 64, 96, 128, 160)[:times]
        for size in (32, *sizes):
            variant = variants.parse(f"mobilenet_v1_0.25_{size}")
            build_all(place, [variant], target)
            made = store.get(builder.digest(builder.digest_inputs(variant, target)))
            running.forget()
            emulator = place.emulator(target, timeout_s=600.0, note=print)
            assert emulator is not None
            start = time.perf_counter()
            emulator.measure(made, PLAN, lambda *_: None)
            taken_s = time.perf_counter() - start
            emulator.close()
            [(begin_s, end_s, _)] = running.work()
            more.append(taken_s - (end_s - begin_s))
            work.append(end_s - begin_s)
            print(f"{variant.name}: {taken_s:.2f} s, of them counting {work[-1]:.2f} s", flush=True)
    more, work = more[1:], work[1:]  # the first starts the process that is kept
    print(f"a count: {statistics.median(more):.3f} s beyond counting ({statistics.median(work):.1f} s)")
    return True


# --------------------------------------------------------------------------------------------------------------- memory
def memory(count: int) -> bool:
    """Have many small networks built by two workers; print the most that each process held."""
    return _held(count, SMALL, 2)


def burst(count: int) -> bool:
    """Have large networks built by four workers, quicker than the main process can keep them; print the same."""
    return _held(count, LARGE, 4)


def _held(count: int, name: str, workers: int) -> bool:
    target, source = targets.load(TARGET), names()
    wanted = [next(source) for _ in range(count)]
    with tempfile.TemporaryDirectory() as folder, network() as where:
        made = recorded(Path(folder), name)
        with (
            cluster(workers, where, SCALE_RECORDED=str(made.folder)) as running,
            dask_cluster.connected(DaskAddress.parse(running.url), print) as there,
        ):
            before, done = _rss(os.getpid()), itertools.count(1)

            def report(_name: str, _stage: str, share: float) -> None:
                if share < 1.0:
                    return
                for kept in store.folder.glob(_DIGEST):  # 10,000 fill a disk
                    shutil.rmtree(kept)
                if (number := next(done)) % max(count // 20, 1) == 0:
                    held = (os.getpid(), running.scheduler.pid, running.workers[0].pid)
                    print(number, *(units.data_size(_rss(pid)) for pid in held), sep="  ", flush=True)

            store, start = ArtifactStore.of_user(), time.perf_counter()
            built = carried.build_all(there, store, wanted, target, report, print, use_cache=True, timeout_s=600.0)
            seconds, cpu = time.perf_counter() - start, running.cpu_s()
    failed = [one for one in built.values() if isinstance(one, Failure)]
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(f"{count} tasks in {seconds:.0f} s, {len(failed)} failed; CPU of each process: {cpu}")
    print(
        f"it held {units.data_size(before)} before, {units.data_size(most)} at most; goal {units.data_size(MOST_BYTES)}"
    )
    return not failed and most < MOST_BYTES


def _rss(pid: int) -> int:
    return int(psutil.Process(pid).memory_info().rss)
