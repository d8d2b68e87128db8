"""Builds, side by side: a Builder hands each to an executor, and keeps the artifacts in a store.

On this machine each is in a child process, within limits of time and memory: a compiler that crashes, hangs or takes
the memory costs its own variant, not the run.
"""

from __future__ import annotations

import functools
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import BrokenExecutor, Executor, Future
from typing import Any, TypeVar

from mbench.build import build as builder
from mbench.build.artifact_store import ArtifactStore
from mbench.build.local_executor import LocalExecutor
from mbench.core import processes, scratch, system_limits
from mbench.core.artifact import Artifact
from mbench.core.children import Children, Died, TaskLimits, TookTooLong, TooLarge, as_completed
from mbench.core.choices import NO_CHOICES, Choices
from mbench.core.errors import MbenchError, PluginError, TargetError
from mbench.core.machine_types import Target
from mbench.core.progress import Stage
from mbench.core.records import Failure, Variant
from mbench.hardware import cudart, host

MAX_BUILDERS = 2
TIMEOUT_S = 600.0
"""Of a build, unless another is asked for: the largest network takes a tenth of it on a slow machine."""
DIED = "the process that compiled it died; out of memory?"
MEMORY_SHARE = 0.9
"""Of the machine's, that all builds together may take."""
_DETAIL_CHARACTERS = 2000

_T = TypeVar("_T")

Build = tuple[Artifact, bool] | Failure
"""An artifact and whether it came from the cache, or why there is none."""


def children(workers: int | None = None) -> Children:
    """Return a pool of processes that compile, so many side by side; None: as many as this machine bears."""
    return Children(workers or builders(), prepare=become_builder)


def builders() -> int:
    """Return how many builds run side by side here."""
    machine = host.describe()
    return machine.within_quota(min(MAX_BUILDERS, machine.processors_usable or 1))


def become_builder() -> None:
    """Prepare a child process for builds."""
    processes.become_quiet_child()
    processes.without_torch()
    cudart.prepare_tvm()


def limits(timeout_s: float) -> TaskLimits:
    """Return what builds may take that are given up after a time: nearly all of the memory, all of them together."""
    return TaskLimits(time_s=timeout_s, memory_bytes=system_limits.memory_bytes() * MEMORY_SHARE)


def local_executor(timeout_s: float, workers: int | None = None) -> LocalExecutor:
    """Return an executor on this machine: builds share the memory, and are given up after a time."""
    side_by_side = workers or builders()  # first: it asks the system, and a pool takes open files
    return LocalExecutor(children(side_by_side), side_by_side, limits(timeout_s))


class Builder:
    """Builds networks with an executor, into a store that its workers reach."""

    def __init__(self, executor: Executor, store: ArtifactStore) -> None:
        """Take what it needs; closing the executor is left to whoever opened it.

        Args:
            executor: runs each build as one task. Builds are pure: any executor makes the same artifacts.
            store: where they are kept.
        """
        self._executor, self._store = executor, store

    def build(
        self,
        wanted: Sequence[Variant],
        target: Target,
        report: Stage,
        *,
        use_cache: bool = True,
        choices: Choices = NO_CHOICES,
    ) -> dict[str, Build]:
        """Build variants side by side; return what came of each, by name.

        Args:
            wanted: what to build.
            target: what for.
            report: called with a variant's name, a stage, and how far it is.
            use_cache: whether artifacts that are there already may be taken.
            choices: how kernels are made that were tuned.

        Raises:
            TargetError: LLVM does not know the target's processor.
            PluginError: a package that adds a rule or the network is broken.
        """
        cache = self._store.folder
        task = functools.partial(builder.build, target=target, cache=cache, use_cache=use_cache, choices=choices)
        builds: dict[str, Build] = {}
        futures: dict[Future[tuple[Artifact, bool]], str] = {}
        try:
            for variant in wanted:
                futures[self._executor.submit(task, variant)] = variant.name
                report(variant.name, "compiling", 0.0)
            for future in as_completed(futures):
                name = futures[future]
                builds[name] = found = _built(future, name)
                report(name, "failed" if isinstance(found, Failure) else "compiling", 1.0)
        finally:
            for future in futures:
                future.cancel()
        return {variant.name: builds[variant.name] for variant in wanted}


def build_all(
    wanted: Sequence[Variant],
    target: Target,
    report: Stage,
    *,
    use_cache: bool,
    choices: Choices = NO_CHOICES,
    timeout_s: float = TIMEOUT_S,
    workers: int | None = None,
) -> dict[str, Build]:
    """Build all variants on this machine, into the user's store, `workers` side by side; see `Builder.build`.

    One that takes more than its share of the memory, or whose process dies, is built once more, alone, with all of it.
    After `timeout_s`, a build is given up.
    """
    store = ArtifactStore.of_user()
    try:
        with local_executor(timeout_s, workers) as executor:
            return Builder(executor, store).build(wanted, target, report, use_cache=use_cache, choices=choices)
    finally:
        store.sweep()  # of those that were stopped, as are temporary files
        scratch.sweep_temporary()


def already_built(wanted: Sequence[Variant], target: Target, choices: Choices = NO_CHOICES) -> frozenset[str]:
    """Return the names of variants whose artifacts are in the user's store."""
    store = ArtifactStore.of_user()
    addresses = builder.digests(wanted, target, choices)
    return frozenset(name for name, address in addresses.items() if store.has(address))


def _built(future: Future[tuple[Artifact, bool]], name: str) -> Build:
    """Return what a build made. Whatever went wrong is this variant's failure, unless all of them have it."""
    try:
        return future.result()
    except (TargetError, PluginError):
        raise
    except (Died, TooLarge, TookTooLong, BrokenExecutor) as error:
        return failure(name, stopped(error, "build it on a machine with more"))
    except MbenchError as error:
        return failure(name, str(error))
    except Exception as error:  # noqa: BLE001 - recorded, with where it came from; the other variants go on
        return failure(name, system_limits.reason(error), "".join(traceback.format_exception(error)))


def stopped(error: Died | TooLarge | TookTooLong | BrokenExecutor, more_memory: str) -> str:
    """Return why the process of a build ended before the build did, and what to do; `more_memory`: to have more."""
    if isinstance(error, TooLarge):
        return f"the build was stopped: {error}, {MEMORY_SHARE:.0%} of what there is; {more_memory}"
    if isinstance(error, TookTooLong):
        return f"the build was stopped: {error}; raise --build-timeout to wait longer"
    return f"{DIED}{system_limits.memory_hint()}"


def failure(name: str, reason: str, detail: str = "") -> Failure:
    """Return the failure of a network's build; the end of `detail` is kept."""
    return Failure(variant=name, stage="compiling", reason=reason, detail=detail[-_DETAIL_CHARACTERS:])


def in_a_child(task: Callable[..., _T], *arguments: Any) -> _T:
    """Return what a task returns that runs in a process of its own.

    Raises:
        Died: the process died.
    """
    with children() as pool:
        [done] = as_completed([pool.submit(task, *arguments)])
        return done.result()
