"""Tasks in child processes: each has a process to itself while it runs, and limits of time and memory.

A task that crashes, hangs or grows too large takes its own process down, and nothing else. Processes are started when a
task needs one, and kept for the next. Only what was started here is ever ended from here.

Python's `ProcessPoolExecutor` fails all tasks when one process dies, and like other pools it limits no task's memory.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import dataclasses
import functools
import math
import multiprocessing
import signal
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from multiprocessing import connection, resource_tracker
from multiprocessing.reduction import ForkingPickler
from types import TracebackType
from typing import Any, TypeVar

import psutil

from mbench.core import processes

_LOOK_S = 0.25
_WAKE_S = 0.5
_JOIN_S = 5.0

_T = TypeVar("_T")


class ChildError(Exception):
    """A task has no answer, since its process is gone."""


class Died(ChildError):
    """The process ended by itself, or something else ended it."""


class TookTooLong(ChildError):
    """It was ended: the task took more than `TaskLimits.time_s`."""


class TooLarge(ChildError):
    """It was ended: the task took more than `TaskLimits.memory_bytes`."""


class NotWanted(ChildError):
    """It was ended: nobody waits for the task any more, as `TaskLimits.wanted` says."""


def _always() -> bool:
    return True


@dataclasses.dataclass(frozen=True, kw_only=True)
class TaskLimits:
    """What a task may take. Memory is what its process and those below it hold."""

    time_s: float = math.inf
    memory_bytes: float = math.inf
    wanted: Callable[[], bool] = _always
    """Asked a few times a second whether anybody still waits for the task."""


def _nothing() -> None:
    pass


class Children(concurrent.futures.Executor):
    """Up to `workers` processes that run tasks. Use as a context: none outlives it, however it is left."""

    def __init__(
        self,
        workers: int,
        *,
        limits: TaskLimits = TaskLimits(),
        prepare: Callable[[], None] = _nothing,
        name: str | None = None,
        daemon: bool = False,
    ) -> None:
        """Start nothing yet.

        Args:
            workers: how many tasks run side by side.
            limits: of each task, if it is not given its own.
            prepare: called in each process before its first task.
            name: of the processes.
            daemon: whether the processes end with this one where nobody closes the pool; they can have no children.
        """
        with processes.deaf_children():  # the process that tracks the pool's locks is one, too
            resource_tracker.ensure_running()
        self._limits = limits
        self._start = functools.partial(_Child, prepare, name, daemon)
        self._threads = concurrent.futures.ThreadPoolExecutor(workers, initializer=_leave_interrupts)
        self._lock = threading.Lock()
        self._all: set[_Child] = set()
        self._idle: list[_Child] = []
        self._closed = False

    def submit(self, task: Callable[..., _T], /, *args: Any, **kwargs: Any) -> concurrent.futures.Future[_T]:
        """Return the future of a task; it raises ChildError where the task's process is gone."""
        return self.submit_within(self._limits, task, *args, **kwargs)

    def submit_within(
        self, limits: TaskLimits, task: Callable[..., _T], /, *args: Any, **kwargs: Any
    ) -> concurrent.futures.Future[_T]:
        """Submit a task with limits of its own."""
        return self._threads.submit(self._run, limits, functools.partial(task, *args, **kwargs))

    def _run(self, limits: TaskLimits, task: Callable[[], _T]) -> _T:
        child = self._take()
        try:
            return child.run(task, limits)
        finally:
            with self._lock:
                if child.alive():
                    self._idle.append(child)
                else:
                    self._all.discard(child)

    def _take(self) -> _Child:
        """Return a process that waits for a task, or a new one."""
        with self._lock:
            while self._idle:
                child = self._idle.pop()
                if child.alive():
                    return child
                self._all.discard(child)
            if self._closed:
                raise Died("the pool is closed")
            child = self._start()
            self._all.add(child)
            return child

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self.kill()
        self.shutdown(cancel_futures=True)

    def kill(self) -> None:
        """End all processes at once; the tasks that they run raise Died."""
        with self._lock:
            self._closed = True
            for child in self._all:
                child.kill()

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more tasks; wait for those that run, then for the processes to end."""
        self._threads.shutdown(wait=wait, cancel_futures=cancel_futures)
        with self._lock:
            self._closed = True
            for child in self._idle:
                child.dismiss()
            for child in self._idle if wait else ():
                child.join()


def _leave_interrupts() -> None:
    """Let this thread, and the processes that it starts, hear neither Ctrl-C nor SIGHUP."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGHUP})


class _Child:
    """A process that runs one task after the other, until its pipe is closed."""

    def __init__(self, prepare: Callable[[], None], name: str | None, daemon: bool) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        with theirs, processes.without_script():
            self._process = context.Process(target=_serve, args=(theirs, prepare), name=name, daemon=daemon)
            self._process.start()

    def alive(self) -> bool:
        """Return whether the process is running. Its sentinel stays valid even if another thread has waited for it."""
        return not connection.wait([self._process.sentinel], timeout=0)

    def run(self, task: Callable[[], _T], limits: TaskLimits) -> _T:
        """Return what the task returns, or raise what it raises.

        Raises:
            ChildError: the process died, or was ended at a limit.
        """
        deadline = time.monotonic() + limits.time_s
        try:
            self._pipe.send(task)
            while not connection.wait([self._pipe, self._process.sentinel], _LOOK_S):
                if time.monotonic() >= deadline:
                    self._end()
                    raise TookTooLong(f"it took more than {limits.time_s:g} s")
                if not limits.wanted():
                    self._end()
                    raise NotWanted("nobody waits for it any more")
                if limits.memory_bytes < math.inf and _held_bytes(self._process.pid) > limits.memory_bytes:
                    self._end()
                    raise TooLarge(f"it took more than {limits.memory_bytes / 2**30:.3g} GiB of memory")
            kind, answer = self._pipe.recv()
        except (EOFError, OSError) as error:
            self._end()
            raise Died("the process died") from error
        if kind == "error":
            raise answer
        return answer  # type: ignore[no-any-return]

    def kill(self) -> None:
        """End it and those below it at once; one that has ended may have left its number to another process."""
        if self.alive():
            below = _below(self._process.pid)
            self._process.kill()
            for each in below:
                with contextlib.suppress(psutil.Error):
                    each.kill()

    def dismiss(self) -> None:
        """Let it end by itself."""
        self._pipe.close()

    def join(self) -> None:
        """Wait until it has ended by itself; end it if it does not."""
        self._process.join(_JOIN_S)
        self._end()

    def _end(self) -> None:
        self.kill()
        connection.wait([self._process.sentinel])
        self._process.join(_JOIN_S)
        self._pipe.close()


def _below(pid: int | None) -> list[psutil.Process]:
    """Return the processes that a process started, and those that they started, as a linker."""
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.Error:
        return []


def _held_bytes(pid: int | None) -> int:
    """Return the memory of a process and those below it; one that has just ended holds none."""
    held = 0
    try:
        process = psutil.Process(pid)
        for each in (process, *process.children(recursive=True)):
            held += each.memory_info().rss
    except psutil.Error:
        pass
    return held


def _serve(pipe: connection.Connection, prepare: Callable[[], None]) -> None:
    """Run in the child."""
    processes.become_quiet_child()
    prepare()
    while True:
        try:
            task = pipe.recv()
        except EOFError:
            return
        except Exception as error:  # noqa: BLE001 - a task that this process cannot load, as one of the user's script
            pipe.send_bytes(_portable(error))
            continue
        try:
            answer = _pickled(("answer", task()))
        except Exception as error:  # noqa: BLE001 - raised where the answer is waited for
            answer = _portable(error)
        pipe.send_bytes(answer)


def _portable(error: Exception) -> memoryview:
    """Return an exception as it goes through the pipe, with where it came from."""
    error.add_note("".join(traceback.format_exception(error)))
    try:
        pickled = _pickled(("error", error))
        ForkingPickler.loads(pickled)
    except Exception:  # noqa: BLE001 - whatever its type does when it is copied
        return _pickled(("error", RuntimeError(f"{type(error).__name__}: {error}")))
    return pickled


def _pickled(answer: tuple[str, Any]) -> memoryview:
    made: memoryview = ForkingPickler.dumps(answer)
    return made


def as_completed(futures: Iterable[concurrent.futures.Future[_T]]) -> Iterator[concurrent.futures.Future[_T]]:
    """Yield futures as they end; Ctrl-C and SIGTERM are heard within half a second.

    A wait without limit is one for a lock: Python hears a signal that comes just before it sleeps when it wakes.
    """
    waiting = set(futures)
    while waiting:
        done, waiting = concurrent.futures.wait(waiting, _WAKE_S, concurrent.futures.FIRST_COMPLETED)
        yield from done
