"""Builds, side by side: each in a child process, through a `concurrent.futures.Executor`.

A compiler that crashes takes a child down, not the run; a cluster's executor can take the pool's place.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import functools
import math
import multiprocessing
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

from mbench import host, resources, scratch, tuned
from mbench.artifact import Artifact
from mbench.compile import build as builder
from mbench.devices import worker
from mbench.errors import BuildError, TargetError
from mbench.measure import gpu
from mbench.records import Failure, Target, Variant
from mbench.tuned import Choices

MAX_BUILDERS = 2
_DETAIL_CHARACTERS = 2000
_WAKE_S = 0.5

_T = TypeVar("_T")

Report = Callable[[str, str, float], None]
"""Called with a variant's name, a stage, and how far it is, from 0 to 1."""
Build = tuple[Artifact, bool] | Failure
"""An artifact and whether it came from the cache, or why there is none."""


@contextlib.contextmanager
def children() -> Iterator[concurrent.futures.Executor]:
    """Yield an executor of processes that compile; none of them outlives the block, however it is left."""
    context = multiprocessing.get_context("spawn")
    workers = max(1, min(MAX_BUILDERS, host.describe().processors_usable or 1))
    pool = concurrent.futures.ProcessPoolExecutor(workers, context, initializer=_become_builder)
    try:
        yield pool
    except BaseException:
        for child in multiprocessing.active_children():
            child.kill()
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _become_builder() -> None:
    worker.become_quiet_child()
    worker.without_torch()
    gpu.prepare_tvm()


def build_all(
    wanted: Sequence[Variant], target: Target, report: Report, *, use_cache: bool, choices: Choices = tuned.NONE
) -> dict[str, Build]:
    """Build all variants side by side. If a build takes its process down, the rest are built one by one.

    Args:
        wanted: what to build.
        target: what for.
        report: called with a variant's name, a stage, and how far it is.
        use_cache: whether artifacts that are there already may be taken.
        choices: how kernels are made that were tuned.

    Raises:
        TargetError: LLVM does not know the target's processor.
    """
    cache = resources.cache_dir() / "artifacts"
    task = functools.partial(builder.build, target=target, cache=cache, use_cache=use_cache, choices=choices)
    tasks = {variant.name: functools.partial(task, variant) for variant in wanted}
    try:
        builds = _build_some(tasks, report)
        for name in tasks:
            if name not in builds:
                why = "the process that compiled it died; out of memory?"
                died = Failure(variant=name, stage="compiling", reason=why)
                builds[name] = _build_some({name: tasks[name]}, report).get(name, died)
                if builds[name] is died:
                    report(name, "failed", 1.0)
    finally:
        scratch.sweep(cache)  # of those that were stopped
    return {name: builds[name] for name in tasks}


def _build_some(tasks: Mapping[str, Callable[[], tuple[Artifact, bool]]], report: Report) -> dict[str, Build]:
    """Return the builds; those that were under way when a process died are left out."""
    builds: dict[str, Build] = {}
    with contextlib.suppress(BrokenProcessPool), children() as pool:  # which has to see it, to end what is left
        futures = {}
        for name, task in tasks.items():
            futures[submit(pool, task)] = name
            report(name, "compiling", 0.0)
        broken: BrokenProcessPool | None = None
        for future in as_completed(futures):
            name = futures[future]
            try:
                builds[name] = _built(future, name)
            except BrokenProcessPool as error:  # those that were done before are kept
                broken = error
                continue
            failed = isinstance(builds[name], Failure)
            report(name, "failed" if failed else "compiling", 1.0)
        if broken:
            raise broken
    return builds


def _built(future: concurrent.futures.Future[tuple[Artifact, bool]], name: str) -> Build:
    """Return what a build made. Whatever went wrong is this variant's failure, except that its target is wrong."""
    try:
        return future.result()
    except (TargetError, BrokenProcessPool):
        raise
    except BuildError as error:
        return Failure(variant=name, stage="compiling", reason=str(error))
    except Exception as error:  # noqa: BLE001 - recorded, with where it came from; the other variants go on
        said = next(iter(str(error).splitlines()), "")
        detail = "".join(traceback.format_exception(error))[-_DETAIL_CHARACTERS:]
        return Failure(variant=name, stage="compiling", reason=f"{type(error).__name__}: {said}", detail=detail)


def as_completed(
    futures: Iterable[concurrent.futures.Future[_T]], silence_s: float = math.inf
) -> Iterator[concurrent.futures.Future[_T]]:
    """Yield futures as they end; Ctrl-C and SIGTERM are heard within half a second.

    A wait without limit is one for a lock: Python hears a signal that comes just before it sleeps when it wakes.

    Raises:
        TimeoutError: for so long none has ended.
    """
    waiting, since = set(futures), time.monotonic()
    while waiting:
        done, waiting = concurrent.futures.wait(waiting, _WAKE_S, concurrent.futures.FIRST_COMPLETED)
        if done:
            yield from done
            since = time.monotonic()
        elif time.monotonic() - since >= silence_s:
            raise TimeoutError(f"nothing was done for {silence_s:g} s")


def in_a_child(task: Callable[..., _T], *arguments: Any) -> _T:
    """Return what a task returns that runs in a process of its own.

    Raises:
        BrokenProcessPool: the process died.
    """
    with children() as pool:
        [done] = as_completed([submit(pool, task, *arguments)])
        return done.result()


def submit(
    pool: concurrent.futures.Executor, task: Callable[..., _T], *arguments: Any
) -> concurrent.futures.Future[_T]:
    """Submit a task; a process that this starts leaves Ctrl-C to us from its first moment.

    Raises:
        BrokenProcessPool: a process of the pool died.
    """
    with worker.deaf_children():
        try:
            return pool.submit(task, *arguments)
        except OSError as error:  # one died while this started another: the pipes between them are closed by then
            raise BrokenProcessPool(f"a process could not be started: {error}") from error
