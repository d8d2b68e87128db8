"""A contest: every runtime in a process of its own, taking turns in blocks. Measures; compares nothing.

Thread pools that spin disturb each other, so whoever is not running is stopped (SIGSTOP), threads and all. Each runtime
may spin as it likes while its own block lasts.
"""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import cases
import formats
import runtimes
from cases import Case, Outputs

from mbench.core import processes

LOAD_MAX_S = 600.0
BLOCK_S = 0.08
WARM_UP_S = 0.3
_END_MAX_S = 5.0
_WAKE_S = 0.01
_LEAST_RUNS = 5
_PR_SET_PDEATHSIG = 1
_STATISTICS = Path("/proc/stat")
CLOCKS: dict[str, Callable[[], float]] = {"wall": time.perf_counter, "processor": time.process_time}


class ContestError(Exception):
    """A runtime could not be loaded or run; says why."""


@dataclasses.dataclass(frozen=True)
class Block:
    """What one runtime did in one turn: seconds of each run, and how many processors it kept busy."""

    runs_s: tuple[float, ...]
    busy: float
    others: float
    """How many processors other work kept busy meanwhile, on this machine or on its host."""


@dataclasses.dataclass(frozen=True)
class Seen:
    """What a contest saw of one runtime: its outputs, and a block a round."""

    outputs: Outputs
    blocks: tuple[Block, ...]


# ---------------------------------------------------------------------------------------------------------- other side
def _serve(pipe: Connection, job: Callable[[Connection, Any], None], argument: Any) -> None:
    """Run a job, and send ("failed", why) if it fails."""
    processes.become_quiet_child()
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)  # reaches a stopped process too
    try:
        job(pipe, argument)
    except Exception as error:  # noqa: BLE001 - whatever a runtime raises is why it is left out
        pipe.send(("failed", f"{type(error).__name__}: {next(iter(str(error).splitlines()), '')}"))


def _export(pipe: Connection, argument: tuple[Case, set[str]]) -> None:
    pipe.send(("done", formats.export(*argument)))


def _contest(pipe: Connection, argument: tuple[str, Case]) -> None:
    """Load a network; then, for each time that is asked for, run a block. None asks for the outputs."""
    name, case = argument
    os.environ.update(cases.environment(case))
    run, read = runtimes.of(case)[name].load(case)
    clock = CLOCKS[case.clock]
    pipe.send(("done", None))
    with contextlib.suppress(EOFError):  # the contest is over
        while True:
            block_s = pipe.recv()
            pipe.send(("done", read(run()) if block_s is None else _block(run, block_s, clock)))


def _block(run: Callable[[], Any], block_s: float, clock: Callable[[], float]) -> Block:
    """Run for `block_s` seconds, at least five times, after a few runs that only wake threads and caches."""
    _repeat(run, _WAKE_S, 2, clock)
    start, own, whole = time.perf_counter(), time.process_time(), busy_s(_STATISTICS.read_text())
    runs_s = _repeat(run, block_s, _LEAST_RUNS, clock)
    took_s, own_s = time.perf_counter() - start, time.process_time() - own
    others_s = busy_s(_STATISTICS.read_text()) - whole - own_s
    return Block(runs_s, busy=own_s / took_s, others=others_s / took_s)


def busy_s(statistics: str) -> float:
    """Return for how long processors were busy, together, since the machine started: the text of /proc/stat.

    What a host took from a virtual machine counts, too. Source: Linux, Documentation/filesystems/proc.rst, 1.7.
    """
    user, nice, system, _idle, _iowait, irq, softirq, steal, *_ = map(int, statistics.splitlines()[0].split()[1:])
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def _repeat(run: Callable[[], Any], at_least_s: float, at_least: int, clock: Callable[[], float]) -> tuple[float, ...]:
    runs_s: list[float] = []
    total = 0.0
    while total < at_least_s or len(runs_s) < at_least:
        start = clock()
        run()
        runs_s.append(clock() - start)
        total += runs_s[-1]
    return tuple(runs_s)


# ------------------------------------------------------------------------------------------------------------ this side
class _Child:
    """A process that answers over a pipe."""

    def __init__(self, job: Callable[[Connection, Any], None], argument: Any) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, job, argument), daemon=True)
        with processes.deaf_children():
            self._process.start()
        theirs.close()

    def answer(self, max_s: float) -> Any:
        """Return what it sends next.

        Raises:
            ContestError: it failed, died, or took too long.
        """
        if not self._pipe.poll(max_s):
            raise ContestError(f"no answer within {max_s:g} s")
        try:
            kind, value = self._pipe.recv()
        except (EOFError, OSError):
            self._process.join(_END_MAX_S)
            raise ContestError(f"its process died, exit code {self._process.exitcode}") from None
        if kind == "failed":
            raise ContestError(value)
        return value

    def turn(self, wanted: float | None) -> Any:
        """Let it go on, ask for a block or the outputs, stop it again; return the answer."""
        self._signal(signal.SIGCONT)
        with contextlib.suppress(OSError):  # dead; the answer says so
            self._pipe.send(wanted)
        try:
            return self.answer(LOAD_MAX_S)
        finally:
            self.pause()

    def pause(self) -> None:
        self._signal(signal.SIGSTOP)

    def _signal(self, number: int) -> None:
        if self._process.pid is not None and self._process.is_alive():
            os.kill(self._process.pid, number)

    def end(self) -> None:
        """End it, gently first: some runtimes leave semaphores behind."""
        self._pipe.close()
        self._signal(signal.SIGCONT)
        self._process.join(_END_MAX_S)
        self._process.kill()
        self._process.join()


def export(case: Case, files: set[str]) -> dict[str, str]:
    """Make the files of a network, in a process of its own; return the reasons of those that could not be made.

    Raises:
        ContestError: none could.
    """
    child = _Child(_export, (case, files))
    try:
        answer: dict[str, str] = child.answer(LOAD_MAX_S)
        return answer
    finally:
        child.end()


def hold(names: Sequence[str], case: Case, rounds: int) -> dict[str, Seen | str]:
    """Return what was seen of each runtime, or why it was left out."""
    left_out: dict[str, str] = {}
    children: dict[str, _Child] = {}
    blocks: dict[str, list[Block]] = {name: [] for name in names}
    outputs: dict[str, Outputs] = {}

    @contextlib.contextmanager
    def leaving_out(name: str) -> Iterator[None]:
        try:
            yield
        except ContestError as error:
            left_out[name] = str(error)
            children.pop(name).end()

    try:
        children.update((name, _Child(_contest, (name, case))) for name in names)
        for name in names:
            with leaving_out(name):
                children[name].answer(LOAD_MAX_S)
                children[name].pause()
        for name in list(children):
            with leaving_out(name):
                children[name].turn(WARM_UP_S)
                outputs[name] = children[name].turn(None)
        for index in range(rounds):
            for name in _order(list(children), index):
                with leaving_out(name):
                    blocks[name].append(children[name].turn(BLOCK_S))
    finally:
        for child in children.values():
            child.end()
    seen = {name: Seen(outputs[name], tuple(blocks[name])) for name in names if name not in left_out}
    return {name: left_out.get(name) or seen[name] for name in names}


def _order(names: list[str], index: int) -> list[str]:
    """Return who comes when in a round: everybody begins some time, and every other round runs backwards."""
    shift = index // 2 % max(1, len(names))
    turned = names[shift:] + names[:shift]
    return turned[::-1] if index % 2 else turned
