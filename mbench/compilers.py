"""Child processes that compile many small things, and outlive those that crash or hang them."""

from __future__ import annotations

import concurrent.futures
import contextlib
from collections.abc import Callable, Mapping
from concurrent.futures.process import BrokenProcessPool
from types import TracebackType
from typing import Any, Generic, TypeVar

from mbench import builds
from mbench.errors import BuildError

_K = TypeVar("_K")
_T = TypeVar("_T")

DIED = "the process that compiled it crashed, or hung and was stopped"


class Done(Generic[_T]):
    """What came of a task: its answer, or the reason why there is none."""

    def __init__(self, answer: _T | None, reason: str = "") -> None:
        self._answer = answer
        self.reason = reason

    def answer(self) -> _T:
        """Return the answer.

        Raises:
            BuildError: there is none.
        """
        if self.reason:
            raise BuildError(self.reason)
        return self._answer  # type: ignore[return-value]


class Compilers:
    """A pool of such processes. Use as a context: none of them outlives it, however it is left."""

    def __init__(self) -> None:
        self._pool: concurrent.futures.Executor | None = None
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Compilers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    def all_of(
        self,
        tasks: Mapping[_K, Callable[[], _T]],
        silence_s: float,
        report: Callable[[float], None] = lambda _: None,
    ) -> dict[_K, Done[_T]]:
        """Run tasks side by side; what was under way when a process crashed or hung is tried once more, alone.

        Args:
            tasks: by name.
            silence_s: after so long without any task done, those under way are given up.
            report: called with the share that is done.
        """
        found: dict[_K, Done[_T]] = {}
        self._some(tasks, found, silence_s, lambda: report(len(found) / len(tasks)))
        for name, task in tasks.items():
            if name not in found:
                self._some({name: task}, found, silence_s, lambda: report(len(found) / len(tasks)))
                found.setdefault(name, Done(None, DIED))
        return {name: found[name] for name in tasks}

    def _some(
        self,
        tasks: Mapping[_K, Callable[[], _T]],
        found: dict[_K, Done[_T]],
        silence_s: float,
        report: Callable[[], None],
    ) -> None:
        """Add to `found`; leave out what was not done when a process crashed or hung."""
        pool = self._pool or self._start()
        try:
            futures = {builds.submit(pool, task): name for name, task in tasks.items()}
            for future in builds.as_completed(futures, silence_s):
                found[futures[future]] = _ended(future)
                report()
        except (TimeoutError, BrokenProcessPool) as error:
            self._stop(error)

    def _start(self) -> concurrent.futures.Executor:
        self._pool = self._stack.enter_context(builds.children())
        return self._pool

    def _stop(self, error: Exception) -> None:
        """End all processes, also those that do not answer."""
        self._pool = None
        with contextlib.suppress(type(error)):
            self._stack.__exit__(type(error), error, error.__traceback__)


def _ended(future: concurrent.futures.Future[Any]) -> Done[Any]:
    try:
        return Done(future.result())
    except BrokenProcessPool:
        raise
    except Exception as error:  # noqa: BLE001 - whatever it is, it is why this one has no answer; the others go on
        said = next(iter(str(error).splitlines()), "")
        return Done(None, f"{type(error).__name__}: {said}")
