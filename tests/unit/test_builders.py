"""A Builder with one executor or another, the executor of this machine, and the store."""

from __future__ import annotations

import concurrent.futures
import math
import multiprocessing
import os
import threading
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import fake_devices as fakes
import msgspec
import pytest

from mbench.build import build, builders
from mbench.build.artifact_store import ArtifactStore
from mbench.build.builders import Builder
from mbench.build.compilers import Compilers
from mbench.build.local_executor import LocalExecutor
from mbench.core.artifact import LIBRARY, MANIFEST, REFERENCE, Artifact
from mbench.core.children import Died, TaskLimits, TookTooLong, TooLarge
from mbench.core.errors import BuildError, OutputError, TargetError
from mbench.core.records import Failure, Variant
from mbench.hardware import targets
from mbench.networks import variants

NAMES = ("mobilenet_v1_0.25_32", "mobilenet_v1_0.5_32", "mobilenet_v1_0.25_64")
WANTED = [variants.parse(name) for name in NAMES]
TARGET = targets.load("x86_64_v3")


def silent(*_: Any) -> None:
    pass


def compiled(variant: Variant, target: Any, cache: Path, **_: Any) -> tuple[Artifact, bool]:
    """Stand for the compiler: what it makes follows from the variant alone."""
    store = ArtifactStore(cache)
    with store.work() as work:
        made = fakes.compiled(work, variant)
        made.library.write_bytes(variant.name.encode())
        made.reference.write_bytes(b"input and output")
        digest = build.digest(build.digest_inputs(variant, target))
        manifest = msgspec.structs.replace(made.manifest, digest=digest, target=target.name)
        return store.put(manifest, work), False


# -------------------------------------------------------------------------------------------------------- any executor
def digests(executor: Executor, folder: Path) -> dict[str, tuple[str, str]]:
    built = Builder(executor, ArtifactStore(folder)).build(WANTED, TARGET, silent)
    assert list(built) == list(NAMES)
    assert [one for one in built.values() if isinstance(one, Failure)] == []
    found = {name: one[0] for name, one in built.items() if not isinstance(one, Failure)}
    assert [one.folder for one in found.values()] == [folder / one.manifest.digest for one in found.values()]
    return {name: (one.manifest.digest, one.manifest.files[LIBRARY]) for name, one in found.items()}


def test_the_same_artifacts_with_any_executor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "build", compiled)
    with ThreadPoolExecutor(3) as threads, LocalExecutor(fakes.InThisProcess(), 2, TaskLimits()) as local:  # type: ignore[arg-type]
        seen = [digests(threads, tmp_path / "a"), digests(local, tmp_path / "b"), digests(threads, tmp_path / "a")]
    assert seen[0] == seen[1] == seen[2]
    assert len(seen[0]) == len(set(seen[0].values())) == len(NAMES)


@pytest.mark.slow
def test_the_compiler_makes_the_same_in_processes_of_another_pool(tmp_path: Path) -> None:
    [variant], folders = WANTED[:1], (tmp_path / "theirs", tmp_path / "ours")
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        theirs = Builder(pool, ArtifactStore(folders[0])).build([variant], TARGET, silent)[variant.name]
    with builders.local_executor(600.0) as local:
        ours = Builder(local, ArtifactStore(folders[1])).build([variant], TARGET, silent)[variant.name]
    assert not isinstance(theirs, Failure), theirs
    assert not isinstance(ours, Failure), ours
    assert theirs[0].manifest.digest == ours[0].manifest.digest
    for name in (LIBRARY, REFERENCE):
        assert theirs[0].manifest.files[name] == ours[0].manifest.files[name]


class Answering(Executor):
    """Answers each task with what was planned."""

    def __init__(self, *planned: Any) -> None:
        self.planned = list(planned)
        self.futures: list[Future[Any]] = []

    def submit(self, *_: Any, **__: Any) -> Future[Any]:
        future: Future[Any] = Future()
        self.futures.append(future)
        plan = self.planned.pop(0)
        if isinstance(plan, BaseException):
            future.set_exception(plan)
        elif plan is not None:
            future.set_result(plan)
        return future


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (Died("gone"), builders.DIED),
        (BrokenExecutor("a process was killed"), builders.DIED),
        (TooLarge("it took more than 1 GiB of memory"), "build it on a machine with more"),
        (TookTooLong("it took more than 5 s"), "raise --build-timeout"),
        (BuildError("linking failed"), "linking failed"),
        (ValueError("a\nb"), "ValueError: a"),
    ],
)
def test_what_an_executor_raises_is_a_failure_of_one_network(error: Exception, said: str, tmp_path: Path) -> None:
    told: list[tuple[str, str, float]] = []
    good = (fakes.compiled(tmp_path / "a", WANTED[0]), False)
    builder = Builder(Answering(good, error), ArtifactStore(tmp_path))
    built = builder.build(WANTED[:2], TARGET, lambda *said: told.append(said))
    failed = built[NAMES[1]]
    assert built[NAMES[0]] == good
    assert isinstance(failed, Failure)
    assert said in failed.reason
    assert "\n" not in failed.reason
    assert (NAMES[1], "failed", 1.0) in told


def test_a_wrong_target_cancels_what_waits(tmp_path: Path) -> None:
    executor = Answering(TargetError("no such processor"), None, None)
    with pytest.raises(TargetError):
        Builder(executor, ArtifactStore(tmp_path)).build(WANTED, TARGET, silent)
    assert [future.cancelled() for future in executor.futures] == [False, True, True]


# -------------------------------------------------------------------------------------------------------- this machine
class Pool(fakes.InThisProcess):
    """A pool in threads, which keeps what it was given, and who ran beside whom."""

    def __init__(self) -> None:
        self.threads = ThreadPoolExecutor(4)
        self.limits: list[TaskLimits] = []
        self.closed: list[Any] = []

    def submit_within(self, limits: TaskLimits, task: Callable[..., Any], /, *arguments: Any) -> Any:
        self.limits.append(limits)
        return self.threads.submit(task, *arguments)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        self.threads.shutdown(wait, cancel_futures=cancel_futures)

    def __exit__(self, *how: Any) -> None:
        self.closed.append(how[0])


def local(pool: Pool, memory_bytes: float = 8.0) -> LocalExecutor:
    return LocalExecutor(pool, 2, TaskLimits(time_s=7.0, memory_bytes=memory_bytes))  # type: ignore[arg-type]


def test_compilers_of_candidates_have_the_limits_of_builds(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[TaskLimits] = []
    submit = LocalExecutor.submit_within

    def spy(self: LocalExecutor, limits: TaskLimits, task: Any, /, *arguments: Any) -> Any:
        given.append(limits)
        return submit(self, limits, task, *arguments)

    monkeypatch.setattr(LocalExecutor, "submit_within", spy)
    with Compilers() as compilers:
        assert compilers.all_of({"one": os.getpid}, 7.0)["one"].answer()
    assert given == [builders.limits(7.0)]
    assert (given[0].time_s, given[0].memory_bytes < math.inf) == (7.0, True)


@pytest.mark.parametrize("error", [Died("gone"), TooLarge("too large")])
def test_what_fails_beside_others_runs_once_more_alone(error: Exception) -> None:
    pool, submitted, failed = Pool(), threading.Event(), threading.Event()
    ended: list[str] = []
    tries: list[int] = []

    def fails_once() -> str:
        submitted.wait()
        tries.append(len(ended))
        if len(tries) == 1:
            failed.set()
            raise error
        return "done"

    def long() -> str:
        failed.wait()
        ended.append("long")
        return "long"

    with local(pool) as executor:
        futures = [executor.submit(task) for task in (fails_once, long, long)]
        submitted.set()
        assert [future.result() for future in futures] == ["done", "long", "long"]
    assert tries == [0, 2], "the second time, no other ran"
    assert [limits.memory_bytes for limits in pool.limits] == [4.0, 4.0, 4.0, 8.0]
    assert {limits.time_s for limits in pool.limits} == {7.0}


def test_what_fails_twice_has_failed_and_others_go_on() -> None:
    def dies() -> None:
        raise Died("gone")

    pool = Pool()
    with local(pool) as executor:
        first, second = executor.submit(dies), executor.submit(dies)
        assert isinstance(first.exception(), Died)
        assert isinstance(second.exception(), Died)
        assert executor.submit(os.getpid).result() == os.getpid()
    assert len(pool.limits) == 5


@pytest.mark.parametrize("error", [TookTooLong("slow"), ValueError("no")])
def test_what_fails_otherwise_is_not_tried_again(error: Exception) -> None:
    def fails() -> None:
        raise error

    pool = Pool()
    with local(pool) as executor:
        assert executor.submit(fails).exception() is error
    assert len(pool.limits) == 1


def test_leaving_it_by_an_error_ends_the_pool_and_tries_nothing_again() -> None:
    pool, go = Pool(), threading.Event()

    def dies() -> None:
        go.wait()
        raise Died("gone")

    def interrupted() -> None:
        with local(pool) as executor:
            left.extend((executor, executor.submit(dies)))
            raise KeyboardInterrupt

    def closes(*how: Any) -> None:
        pool.closed.append(how[0])
        go.set()

    left: list[Any] = []
    pool.__exit__ = closes  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        interrupted()
    executor, future = left
    assert isinstance(future.exception(), Died)
    assert pool.closed == [KeyboardInterrupt]
    assert len(pool.limits) == 1
    with pytest.raises(RuntimeError, match="shut down"):
        executor.submit(os.getpid)


# ------------------------------------------------------------------------------------------------------------ the store
@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(tmp_path / "artifacts")


def put(store: ArtifactStore) -> Artifact:
    return compiled(WANTED[0], TARGET, store.folder)[0]


def test_put_has_get_discard(store: ArtifactStore) -> None:
    kept = put(store)
    digest = kept.manifest.digest
    assert kept.folder == store.path(digest) == store.folder / digest
    assert store.has(digest)
    assert store.get(digest) == store.sound(digest) == kept
    store.discard(digest)
    store.discard(digest)
    assert not store.has(digest)
    assert store.sound(digest) is None
    with pytest.raises(BuildError):
        store.get(digest)
    assert list(store.folder.iterdir()) == []


def test_what_is_damaged_is_never_taken(store: ArtifactStore) -> None:
    kept = put(store)
    kept.library.write_bytes(b"other")
    assert store.has(kept.manifest.digest)
    with pytest.raises(BuildError, match="damaged"):
        store.get(kept.manifest.digest)
    assert store.sound(kept.manifest.digest) is None
    assert not store.has(kept.manifest.digest), "it is removed"


def test_a_build_that_stops_leaves_nothing(store: ArtifactStore) -> None:
    def stops() -> None:
        with store.work() as work:
            (work / MANIFEST).write_text("{")
            raise RuntimeError("a test")

    with pytest.raises(RuntimeError, match="a test"):
        stops()
    assert list(store.folder.iterdir()) == []


def test_what_is_not_mbenchs_stays(store: ArtifactStore) -> None:
    kept = put(store)
    (kept.folder / "thesis.txt").write_text("mine")
    with pytest.raises(OutputError, match=r"thesis\.txt is not mbench's"):
        store.discard(kept.manifest.digest)
    assert (kept.folder / "thesis.txt").exists()


def test_two_that_put_the_same_at_once_both_have_it(store: ArtifactStore) -> None:
    with ThreadPoolExecutor(4) as pool:
        done, _ = concurrent.futures.wait([pool.submit(put, store) for _ in range(8)])
    assert len({future.result().manifest.digest for future in done}) == 1
    assert len(list(store.folder.iterdir())) == 1
