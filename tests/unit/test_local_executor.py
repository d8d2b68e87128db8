"""Builds on this machine: several at once, and once more alone where one failed beside others."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import fake_devices as fakes
import pytest

from mbench.build.local_executor import LocalExecutor
from mbench.core.children import Died, TaskLimits, TookTooLong, TooLarge


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
