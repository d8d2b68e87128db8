"""Builds, side by side: each in a child process, within limits of time and memory of its own.

A compiler that crashes, hangs or takes the memory costs its own variant, not the run.
"""

from __future__ import annotations

import functools
import traceback
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from typing import Any, TypeVar

from mbench.build import build as builder
from mbench.core import processes, resources, scratch, system_limits
from mbench.core.artifact import Artifact
from mbench.core.children import Children, Died, TaskLimits, TookTooLong, TooLarge, as_completed
from mbench.core.choices import NO_CHOICES, Choices
from mbench.core.errors import BuildError, TargetError
from mbench.core.machine_types import Target
from mbench.core.records import Failure, Variant
from mbench.hardware import cudart, host

MAX_BUILDERS = 2
TIMEOUT_S = 600.0
"""Of a build, unless another is asked for: the largest network takes a tenth of it on a slow machine."""
DIED = "the process that compiled it died; out of memory?"
_MEMORY_SHARE = 0.9
"""Of the machine's, that all builds together may take."""
_DETAIL_CHARACTERS = 2000

_T = TypeVar("_T")

Report = Callable[[str, str, float], None]
"""Called with a variant's name, a stage, and how far it is, from 0 to 1."""
Build = tuple[Artifact, bool] | Failure
"""An artifact and whether it came from the cache, or why there is none."""


def children(limits: TaskLimits = TaskLimits()) -> Children:  # noqa: B008 - frozen
    """Return a pool of processes that compile."""
    return Children(builders(), limits=limits, prepare=_become_builder)


def builders() -> int:
    """Return how many builds run side by side here."""
    return max(1, min(MAX_BUILDERS, host.describe().processors_usable or 1))


def _become_builder() -> None:
    processes.become_quiet_child()
    processes.without_torch()
    cudart.prepare_tvm()


def build_all(
    wanted: Sequence[Variant],
    target: Target,
    report: Report,
    *,
    use_cache: bool,
    choices: Choices = NO_CHOICES,
    timeout_s: float = TIMEOUT_S,
) -> dict[str, Build]:
    """Build all variants side by side, each with a share of the memory.

    One that takes more, or whose process dies, is built once more, alone, with all of it.

    Args:
        wanted: what to build.
        target: what for.
        report: called with a variant's name, a stage, and how far it is.
        use_cache: whether artifacts that are there already may be taken.
        choices: how kernels are made that were tuned.
        timeout_s: after so long, a build is given up.

    Raises:
        TargetError: LLVM does not know the target's processor.
    """
    cache = resources.cache_dir() / "artifacts"
    task = functools.partial(builder.build, target=target, cache=cache, use_cache=use_cache, choices=choices)
    tasks = {variant.name: functools.partial(task, variant) for variant in wanted}
    memory = system_limits.memory_bytes() * _MEMORY_SHARE
    try:
        builds = _build_some(tasks, report, TaskLimits(time_s=timeout_s, memory_bytes=memory / builders()))
        for name, lost in list(builds.items()):
            if isinstance(lost, Died | TooLarge):
                builds |= _build_some({name: tasks[name]}, report, TaskLimits(time_s=timeout_s, memory_bytes=memory))
    finally:
        scratch.sweep(cache)  # of those that were stopped
    return {name: _finally(name, builds[name], report) for name in tasks}


def _finally(name: str, built: Build | Died | TooLarge, report: Report) -> Build:
    if not isinstance(built, Died | TooLarge):
        return built
    report(name, "failed", 1.0)
    if isinstance(built, TooLarge):
        reason = (
            f"the build was stopped: {built}, {_MEMORY_SHARE:.0%} of what there is; build it on a machine with more"
        )
    else:
        reason = f"{DIED}{system_limits.memory_hint()}"
    return Failure(variant=name, stage="compiling", reason=reason)


def _build_some(
    tasks: Mapping[str, Callable[[], tuple[Artifact, bool]]], report: Report, limits: TaskLimits
) -> dict[str, Build | Died | TooLarge]:
    """Return the builds, or how those ended that may do better alone."""
    builds: dict[str, Build | Died | TooLarge] = {}
    with children(limits) as pool:
        futures = {}
        for name, task in tasks.items():
            futures[pool.submit(task)] = name
            report(name, "compiling", 0.0)
        for future in as_completed(futures):
            name = futures[future]
            builds[name] = found = _built(future, name)
            if not isinstance(found, Died | TooLarge):
                report(name, "failed" if isinstance(found, Failure) else "compiling", 1.0)
    return builds


def _built(future: Future[tuple[Artifact, bool]], name: str) -> Build | Died | TooLarge:
    """Return what a build made. Whatever went wrong is this variant's failure, except that its target is wrong."""
    try:
        return future.result()
    except TargetError:
        raise
    except (Died, TooLarge) as error:
        return error
    except TookTooLong as error:
        reason = f"the build was stopped: {error}; raise --build-timeout to wait longer"
        return Failure(variant=name, stage="compiling", reason=reason)
    except BuildError as error:
        return Failure(variant=name, stage="compiling", reason=str(error))
    except Exception as error:  # noqa: BLE001 - recorded, with where it came from; the other variants go on
        limit = system_limits.reached(error)
        said = (
            limit or f"{type(error).__name__}: {next(iter(str(error).splitlines()), '')}{system_limits.memory_hint()}"
        )
        detail = "".join(traceback.format_exception(error))[-_DETAIL_CHARACTERS:]
        return Failure(variant=name, stage="compiling", reason=said, detail=detail)


def in_a_child(task: Callable[..., _T], *arguments: Any) -> _T:
    """Return what a task returns that runs in a process of its own.

    Raises:
        Died: the process died.
    """
    with children() as pool:
        [done] = as_completed([pool.submit(task, *arguments)])
        return done.result()
