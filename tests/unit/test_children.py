from __future__ import annotations

import functools
import math
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import psutil
import pytest

from mbench.core import children
from mbench.core.children import Children, Died, NotWanted, TaskLimits, TookTooLong, TooLarge, as_completed

WAIT_S = 60.0
"""For what comes as soon as a busy machine lets it."""


KEPT: set[int] = set()
"""Processes that other modules' tests keep here, such as the one that draws weights."""


@pytest.fixture(autouse=True)
def kept() -> None:
    """Learn which processes were here before a test."""
    KEPT.clear()
    KEPT.update(each.pid for each in psutil.Process().children())


def ours() -> list[psutil.Process]:
    """Return the processes that a test started here, but for Python's resource tracker."""
    found = [each for each in psutil.Process().children() if each.pid not in KEPT]
    return [each for each in found if "spawn_main" in " ".join(each.cmdline()) and each.status() != "zombie"]


def begun(marker: Path, then: Callable[[], Any]) -> Any:
    """Say that the task has begun."""
    marker.touch()
    return then()


def until(condition: Callable[[], bool]) -> None:
    """Look again until something is so; end the test if it never is."""
    ends_s = time.monotonic() + WAIT_S
    while not condition() and time.monotonic() < ends_s:
        time.sleep(0.01)
    assert condition()


forever = functools.partial(time.sleep, 3600)


def grow() -> None:
    held = bytearray(512 * 2**20)
    held[::4096] = b"x" * len(held[::4096])
    forever()


def grow_below() -> None:
    """Hold the memory in a process below this one."""
    subprocess.run([sys.executable, "-c", "held = b'x' * (512 * 2**20); import time; time.sleep(3600)"], check=False)


def refuse(_argument: int) -> None:
    raise ValueError("no\nat all")


class PickyError(Exception):
    def __init__(self, first: str, second: str) -> None:
        super().__init__(first + second)


def refuse_pickily() -> None:
    raise PickyError("a", "b")


class OnlyHere:
    """A task that the other process cannot load, like a function of a script that was started by its name."""

    def __reduce__(self) -> tuple[Any, ...]:
        return getattr, (0, "ours_alone")

    def __call__(self) -> None:
        pass


def unsendable() -> Any:
    return threading.Lock()


# ------------------------------------------------------------------------------------------------------------- answers
def test_a_process_is_kept_for_the_next_task() -> None:
    with Children(1) as pool:
        first, second = pool.submit(os.getpid), pool.submit(os.getpid)
        assert first.result() == second.result() != os.getpid()
    assert ours() == []


def test_errors_come_back_with_where_they_came_from() -> None:
    with Children(1) as pool:
        with pytest.raises(ValueError, match="no\nat all") as caught:
            pool.submit(refuse, 1).result()
        assert "in refuse" in "".join(caught.value.__notes__)
        with pytest.raises(RuntimeError, match="PickyError: ab"):
            pool.submit(refuse_pickily).result()
        with pytest.raises(TypeError, match="lock"):
            pool.submit(unsendable).result()
        with pytest.raises(TypeError, match="lock"):
            pool.submit(print, threading.Lock()).result()
        with pytest.raises(AttributeError, match="ours_alone"):
            pool.submit(OnlyHere()).result()
        assert pool.submit(abs, -1).result() == 1


# -------------------------------------------------------------------------------------------------------------- limits
@pytest.mark.parametrize(
    ("task", "limits", "error", "said"),
    [
        (forever, TaskLimits(time_s=0.5), TookTooLong, "it took more than 0.5 s"),
        (grow, TaskLimits(memory_bytes=300 * 2**20), TooLarge, "it took more than 0.293 GiB of memory"),
        (grow_below, TaskLimits(memory_bytes=300 * 2**20), TooLarge, "it took more than 0.293 GiB of memory"),
        (os.abort, TaskLimits(), Died, "the process died"),
    ],
    ids=["time", "memory", "memory of a process below", "none"],
)
def test_a_task_that_is_ended_takes_no_other_with_it(
    tmp_path: Path, task: Callable[[], Any], limits: TaskLimits, error: type[Exception], said: str
) -> None:
    with Children(2) as pool:
        other = pool.submit(begun, tmp_path / "begun", functools.partial(until, (tmp_path / "end").exists))
        until((tmp_path / "begun").exists)
        with pytest.raises(error, match=said):
            pool.submit_within(limits, task).result()
        assert pool.submit(abs, -1).result() == 1
        assert not other.done()
        (tmp_path / "end").touch()
        assert other.result() is None
    assert ours() == []


def test_limits_are_of_each_task_and_not_of_all() -> None:
    with Children(1, limits=TaskLimits(time_s=WAIT_S, memory_bytes=2**40)) as pool:
        assert [pool.submit(abs, -1).result() for _ in range(3)] == [1] * 3


def test_what_has_ended_holds_nothing() -> None:
    done = subprocess.Popen([sys.executable, "-c", ""])
    done.wait()
    assert children._held_bytes(done.pid) == 0
    assert children._held_bytes(os.getpid()) > 2**20


# ---------------------------------------------------------------------------------------------------------------- ends
def test_processes_do_not_outlive_their_block_and_a_foreign_one_does(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    foreign = context.Process(target=time.sleep, args=(3600,))
    foreign.start()
    before = set(multiprocessing.active_children())
    assert foreign in before
    try:
        found: list[psutil.Process] = []

        def leave() -> None:
            with Children(2) as pool:
                for name in ("a", "b", "waiting"):
                    pool.submit(begun, tmp_path / name, forever)
                until(lambda: (tmp_path / "a").exists() and (tmp_path / "b").exists())
                found.extend(each for each in ours() if each.pid != foreign.pid)
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            leave()
        assert len(found) == 2
        assert not any(each.is_running() for each in found)
        assert not (tmp_path / "waiting").exists()
        assert foreign.is_alive()
        assert set(multiprocessing.active_children()) == before
    finally:
        foreign.kill()
        foreign.join()


def test_a_number_that_another_process_may_have_got_is_not_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    with Children(1) as pool:
        process = psutil.Process(pool.submit(os.getpid).result())
        [child] = pool._all
        process.kill()
        os.waitpid(process.pid, 0)  # as who looks after all children does; multiprocessing does not learn of it
        monkeypatch.setattr(os, "kill", lambda *_: pytest.fail("killed"))
        child.kill()
        assert pool.submit(os.getpid).result() != process.pid


def test_a_closed_pool_starts_no_process() -> None:
    pool = Children(1)
    with pool:
        assert pool.submit(abs, -1).result() == 1
    with pytest.raises(RuntimeError, match="after shutdown"):
        pool.submit(abs, -1)
    with pytest.raises(Died, match="closed"):
        pool._run(TaskLimits(), functools.partial(abs, -1))
    assert math.isinf(TaskLimits().time_s)


PARENT = """
import time
from mbench.core.children import Children

if __name__ == "__main__":
    with Children(1) as pool:
        print(pool.submit(__import__("os").getpid).result(), flush=True)
        pool.submit(time.sleep, 3600).result()
"""


def started_below(noted: Path) -> None:
    """Start a process as a compiler starts a linker, note its number, and wait for it."""
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3600)"]) as below:
        noted.with_suffix(".part").write_text(str(below.pid))
        noted.with_suffix(".part").replace(noted)


def test_what_a_task_started_ends_with_it(tmp_path: Path) -> None:
    noted = tmp_path / "number"
    with Children(1) as pool:
        running = pool.submit(functools.partial(started_below, noted))
        until(noted.exists)
        below = psutil.Process(int(noted.read_text()))
        pool.kill()
        with pytest.raises(Died):
            running.result(WAIT_S)
    until(lambda: not below.is_running() or below.status() == psutil.STATUS_ZOMBIE)


def test_processes_end_when_their_parent_is_killed(tmp_path: Path) -> None:
    program = tmp_path / "parent.py"
    program.write_text(PARENT)
    with subprocess.Popen([sys.executable, program], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = psutil.Process(int(parent.stdout.readline()))
        parent.kill()
        child.wait(WAIT_S)


def test_a_signal_that_does_not_wake_the_wait_for_builds_is_heard() -> None:
    """One that another thread takes is noted, and the lock that this one waits for does not hear of it."""

    def send() -> None:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
        time.sleep(0.2)
        os.kill(os.getpid(), signal.SIGTERM)

    build = Future[None]()
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    threads = threading.Thread(target=send), threading.Timer(60.0, build.set_result, (None,))
    try:
        for thread in threads:
            thread.start()
        with pytest.raises(KeyboardInterrupt):
            list(as_completed([build]))
        assert not build.done()
    finally:
        threads[1].cancel()
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        signal.signal(signal.SIGTERM, before)


def test_a_task_that_nobody_waits_for_any_more_is_ended(tmp_path: Path) -> None:
    begun_file = tmp_path / "begun"
    with Children(1) as pool:
        limits = TaskLimits(wanted=lambda: not begun_file.exists())
        future = pool.submit_within(limits, begun, begun_file, forever)
        assert isinstance(future.exception(WAIT_S), NotWanted)
        assert pool.submit(os.getpid).result(WAIT_S) != os.getpid()
