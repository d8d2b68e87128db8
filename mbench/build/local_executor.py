"""The executor for this machine: tasks in child processes, side by side, and alone once more where that failed.

A task that takes more than its share of the memory, or whose process dies, is run again when no other runs, with all of
the memory. Every other executor of `concurrent.futures` can take its place, without this.
"""

from __future__ import annotations

import collections
import concurrent.futures
import dataclasses
import functools
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any, TypeVar

from mbench.core.children import Children, Died, TaskLimits, TooLarge

_T = TypeVar("_T")


@dataclasses.dataclass
class _Submitted:
    """A task, and the future that whoever submitted it holds."""

    task: Callable[[], Any]
    limits: TaskLimits
    future: concurrent.futures.Future[Any] = dataclasses.field(default_factory=concurrent.futures.Future)
    again: bool = False
    """Whether it is run for the second time."""


class LocalExecutor(concurrent.futures.Executor):
    """Runs tasks in a pool of child processes. Use as a context: none outlives it, however it is left."""

    def __init__(self, pool: Children, workers: int, limits: TaskLimits) -> None:
        """Take over a pool.

        Args:
            pool: runs `workers` tasks side by side.
            workers: how many share the memory.
            limits: of a task that is alone, if it is not given its own.
        """
        self._pool, self._workers, self._limits = pool, workers, limits
        self._changed = threading.Condition()
        self._fresh: collections.deque[_Submitted] = collections.deque()
        self._alone: collections.deque[_Submitted] = collections.deque()
        self._running = 0
        self._one_alone = False
        self._closed = False

    def submit(self, task: Callable[..., _T], /, *args: Any, **kwargs: Any) -> concurrent.futures.Future[_T]:
        """Return the future of a task; it raises ChildError where its process was gone, twice."""
        return self.submit_within(self._limits, task, *args, **kwargs)

    def submit_within(
        self, limits: TaskLimits, task: Callable[..., _T], /, *args: Any, **kwargs: Any
    ) -> concurrent.futures.Future[_T]:
        """Submit a task with limits of its own; beside others it gets its share of the memory."""
        asked = _Submitted(functools.partial(task, *args, **kwargs), limits)
        with self._changed:
            if self._closed:
                raise RuntimeError("the executor is shut down")
            self._fresh.append(asked)
        self._start_next()
        return asked.future

    def _start_next(self) -> None:
        """Start whatever may run now."""
        while (asked := self._next()) is not None:
            share = 1 if asked.again else self._workers
            limits = dataclasses.replace(asked.limits, memory_bytes=asked.limits.memory_bytes / share)
            try:
                inner = self._pool.submit_within(limits, asked.task)
            except RuntimeError as error:  # the pool was closed meanwhile
                inner = concurrent.futures.Future()
                inner.set_exception(error)
            inner.add_done_callback(functools.partial(self._ended, asked))

    def _next(self) -> _Submitted | None:
        with self._changed:
            if self._one_alone:
                return None
            if self._fresh:
                self._running += 1
                return self._fresh.popleft()
            if self._alone and not self._running:
                self._one_alone = True
                return self._alone.popleft()
            return None

    def _ended(self, asked: _Submitted, inner: concurrent.futures.Future[Any]) -> None:
        error = None if inner.cancelled() else inner.exception()
        with self._changed:
            again = isinstance(error, Died | TooLarge) and not asked.again and not self._closed
            if asked.again:
                self._one_alone = False
            else:
                self._running -= 1
            if again:
                asked.again = True
                self._alone.append(asked)
        if not again and asked.future.set_running_or_notify_cancel():
            if inner.cancelled():
                error = concurrent.futures.CancelledError()
            if error is not None:
                asked.future.set_exception(error)
            else:
                asked.future.set_result(inner.result())
        self._start_next()
        with self._changed:
            self._changed.notify_all()

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more tasks; wait for those that there are, or cancel those that do not run."""
        with self._changed:
            self._changed.wait_for(lambda: cancel_futures or not wait or self._idle())
            self._closed = True
            left = [*self._fresh, *self._alone]
            self._fresh.clear()
            self._alone.clear()
        for asked in left:
            asked.future.cancel()
        self._pool.shutdown(wait, cancel_futures=cancel_futures)

    def _idle(self) -> bool:
        return not (self._running or self._one_alone or self._fresh or self._alone)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            with self._changed:
                self._closed = True
            self._pool.__exit__(kind, error, trace)
        self.shutdown(cancel_futures=kind is not None)
