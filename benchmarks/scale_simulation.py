"""Thousands of builds on a cluster and their measurements on boards, simulated: what no machine here can show.

It follows what the product does: `carried` gives all orders at once; Dask's scheduler keeps them in a queue and gives
each worker a few ahead of time; what a dead worker had goes to others, a bounded number of times; the main process
keeps one answer after another; a board is held by one job. Times are drawn from measured ones (`scale_times.json`).

It is an event loop: a heap of (time, number, what happens then). The same seed gives the same events.
"""

from __future__ import annotations

import collections
import dataclasses
import functools
import heapq
import itertools
import math
import random
from collections.abc import Callable, Sequence

from scale_model import Boards, Costs, Outcome, Policy, Trouble

STEAL_EVERY_S = 1.0
"""How often Dask looks for a worker that waits while another has a task ahead (`work-stealing-interval`)."""


@dataclasses.dataclass(eq=False)
class Board:
    """A board, and when it was checked."""

    factor: float
    checked_s: float = -math.inf


@dataclasses.dataclass(eq=False)
class Task:
    """A build, and what it has waited for."""

    number: int
    work_s: float
    since_s: float = 0.0
    deaths: int = 0
    lost: int = 0
    tried: int = 0
    measured: int = 0
    """How many boards have failed at it."""
    avoid: set[int] = dataclasses.field(default_factory=set)
    waited_s: dict[str, float] = dataclasses.field(default_factory=lambda: collections.defaultdict(float))

    def wait(self, cause: str, now_s: float) -> None:
        """Account for the time since something last happened to it."""
        self.waited_s[cause] += now_s - self.since_s
        self.since_s = now_s


@dataclasses.dataclass(eq=False)
class Worker:
    """A worker of one thread: the first of its tasks is under way."""

    number: int
    factor: float
    tasks: list[Task] = dataclasses.field(default_factory=list)
    up: bool = True
    life: int = 0
    """How often it was started: what was to happen in an earlier life does not."""
    hangs: bool = False


class Simulation:
    """One run. Use `run`, once."""

    def __init__(
        self,
        work_s: Sequence[float],
        workers: int,
        *,
        policy: Policy,
        costs: Costs | None = None,
        trouble: Trouble | None = None,
        boards: Boards | None = None,
        given_s: Sequence[float] | None = None,
        bytes_: Sequence[float] | None = None,
        seed: int = 0,
    ) -> None:
        """Take what is to be done.

        Args:
            work_s: what each build takes.
            workers: how many there are, of one thread each.
            policy: what is done about trouble.
            costs: what a task costs beyond its work; none.
            trouble: what goes wrong; nothing.
            boards: what measures; nothing is measured.
            given_s: when each order is given; one after another from the start.
            bytes_: of the artifact that each makes; none.
            seed: of all that is drawn.
        """
        self._policy, self._costs, self._trouble = policy, costs or Costs(), trouble or Trouble()
        self._boards, self._bytes = boards, bytes_
        self._random = random.Random(seed)
        self._now_s, self._numbers = 0.0, itertools.count()
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._tasks = [Task(number, seconds) for number, seconds in enumerate(work_s)]
        self._waiting: list[tuple[int, int, Task]] = []
        self._later = itertools.count(len(self._tasks))
        slow = self._trouble.slow_workers
        self._workers = [Worker(n, self._factor(slow)) for n in range(workers)]
        self._by_load: list[dict[Worker, None]] = [{} for _ in range(policy.window + 1)]
        self._by_load[0] = dict.fromkeys(self._workers)
        self._answers: collections.deque[tuple[Task, bool]] = collections.deque()
        self._keeping, self._stealing = False, False
        self._useful_s = self._lost_s = self._built_s = self._board_s = 0.0
        self._built, self._measured, self._failed, self._deaths, self._boards_lost = 0, 0, 0, 0, 0
        self._to_measure: list[collections.deque[Task]] = []
        self._free: list[list[Board]] = []
        self._in_use: collections.Counter[int] = collections.Counter()
        self._given_s = given_s or [self._costs.order_s * (each.number + 1) for each in self._tasks]

    def _factor(self, share: float) -> float:
        return self._trouble.slow_factor if self._random.random() < share else 1.0

    # ----------------------------------------------------------------------------------------------------------- events
    def _at(self, after_s: float, what: Callable[[], None]) -> None:
        heapq.heappush(self._events, (self._now_s + after_s, next(self._numbers), what))

    def _of_life(self, worker: Worker, after_s: float, what: Callable[[], None]) -> None:
        """Have something happen unless the worker dies before."""
        life = worker.life
        self._at(after_s, lambda: what() if worker.life == life and worker.up else None)

    def run(self) -> Outcome:
        """Let all of it happen; return what came of it."""
        self._begin()
        while not self._over():
            self._now_s, _, what = heapq.heappop(self._events)
            what()
        return self._outcome()

    def _over(self) -> bool:
        measured = self._measured if self._boards else self._built
        return measured + self._failed == len(self._tasks)

    def _begin(self) -> None:
        for task, at_s in zip(self._tasks, self._given_s, strict=True):
            task.since_s = at_s
            self._at(at_s, lambda task=task: self._arrive(task, task.number))  # type: ignore[misc]
        for worker in self._workers:
            self._live(worker)
        for at_s, number in self._trouble.kills_s:
            self._at(at_s, lambda number=number: self._die(self._workers[number]))  # type: ignore[misc]
        if math.isfinite(self._trouble.kill_every_s):
            self._at(self._trouble.kill_every_s, self._kill)
        if boards := self._boards:
            self._to_measure = [collections.deque() for _ in range(boards.kinds)]
            all_ = [Board(self._factor(self._trouble.slow_boards)) for _ in range(boards.count)]
            self._free = [all_[kind :: boards.kinds] for kind in range(boards.kinds)]

    # ---------------------------------------------------------------------------------------------------------- trouble
    def _live(self, worker: Worker) -> None:
        trouble = self._trouble
        for rate, what in ((trouble.deaths_per_worker_hour, self._die), (trouble.hangs_per_worker_hour, self._hang)):
            if rate:
                self._of_life(worker, self._random.expovariate(rate / 3600), lambda what=what: what(worker))  # type: ignore[misc]

    def _kill(self) -> None:
        self._die(self._random.choice(self._workers))
        self._at(self._trouble.kill_every_s, self._kill)

    def _hang(self, worker: Worker) -> None:
        """Let a worker do nothing more; the scheduler does not know, and goes on to count on it."""
        worker.life += 1
        worker.hangs = True
        self._of_life(worker, self._policy.silence_s, lambda: self._die(worker))

    def _die(self, worker: Worker) -> None:
        if not worker.up:
            return
        self._deaths += 1
        self._unlist(worker)
        worker.up = worker.hangs = False
        worker.life += 1
        tasks, worker.tasks = worker.tasks, []
        for place, task in enumerate(tasks):
            if place == 0:
                self._lost_s += self._now_s - task.since_s
            task.wait("lost with a worker", self._now_s)
            task.deaths += 1  # those that it had ahead of time, too, as Dask counts
            if task.deaths <= self._policy.allowed_deaths:
                self._arrive(task, task.number)
                continue
            task.deaths = 0
            task.lost += 1
            if task.lost < self._policy.lost_tries:
                self._arrive(task, next(self._later))
            else:
                self._fail(task)
        self._at(self._trouble.back_s, lambda: self._come_back(worker))
        self._assign()

    def _come_back(self, worker: Worker) -> None:
        worker.up = True
        self._by_load[0][worker] = None
        self._live(worker)
        self._assign()

    def _fail(self, _task: Task) -> None:
        self._failed += 1
        self._when_all_built()

    # -------------------------------------------------------------------------------------------------------- scheduler
    def _arrive(self, task: Task, priority: int) -> None:
        heapq.heappush(self._waiting, (priority, next(self._numbers), task))
        self._assign()

    def _assign(self) -> None:
        """Give the tasks that wait to the workers that have the fewest."""
        while self._waiting and (worker := self._least_busy()):
            _, _, task = heapq.heappop(self._waiting)
            task.wait("a worker", self._now_s)
            self._give(worker, task)

    def _least_busy(self) -> Worker | None:
        return next((worker for each in self._by_load[:-1] for worker in each), None)

    def _give(self, worker: Worker, task: Task) -> None:
        self._unlist(worker)
        worker.tasks.append(task)
        self._list(worker)
        if len(worker.tasks) == 1:
            self._start(worker)

    def _unlist(self, worker: Worker) -> None:
        self._by_load[min(len(worker.tasks), self._policy.window)].pop(worker, None)

    def _list(self, worker: Worker) -> None:
        self._by_load[min(len(worker.tasks), self._policy.window)][worker] = None

    def _start(self, worker: Worker) -> None:
        if worker.hangs:
            return
        task = worker.tasks[0]
        task.wait("another task of its worker", self._now_s)
        seconds = min(task.work_s * worker.factor, self._policy.limit_s)
        self._of_life(worker, self._costs.worker_s + seconds, lambda: self._end(worker))

    def _end(self, worker: Worker) -> None:
        self._unlist(worker)
        task = worker.tasks.pop(0)
        self._list(worker)
        seconds = self._now_s - task.since_s
        good = task.work_s * worker.factor <= self._policy.limit_s
        good = good and self._random.random() >= self._trouble.own_failures
        task.wait("its work" if good else "a try that failed", self._now_s)
        if good:
            self._useful_s += seconds
        else:
            self._lost_s += seconds
            task.avoid.add(worker.number)
        self._answers.append((task, good))
        self._keep_next()
        if worker.tasks:
            self._start(worker)
        self._assign()
        self._steal_soon()

    def _elsewhere(self, task: Task) -> None:
        """Give a task to another worker than those at which it failed, at once; it waits in no queue then."""
        task.tried += 1
        others = [each for each in self._workers if each.up and each.number not in task.avoid]
        if task.tried >= self._policy.tries or not others:
            self._fail(task)
        else:
            self._give(min(others, key=lambda each: len(each.tasks)), task)

    def _steal_soon(self) -> None:
        if self._by_load[0] and not self._waiting and not self._stealing:
            self._stealing = True
            self._at(STEAL_EVERY_S - self._now_s % STEAL_EVERY_S, self._steal)

    def _steal(self) -> None:
        """Give what workers have ahead to those that have nothing."""
        self._stealing = False
        loaded = [worker for each in self._by_load[2:] for worker in each if not worker.hangs]
        for thief, victim in zip(list(self._by_load[0]), loaded, strict=False):
            self._unlist(victim)
            task = victim.tasks.pop()
            self._list(victim)
            self._give(thief, task)
        if loaded:
            self._steal_soon()

    # ----------------------------------------------------------------------------------------------------- main process
    def _keep_next(self) -> None:
        """Keep an answer, and make an order: one thread does both in turn."""
        if self._answers and not self._keeping:
            self._keeping = True
            task, good = self._answers.popleft()
            keep_s = self._bytes[task.number] / self._costs.keep_bytes_per_s if self._bytes and good else 0.0
            self._at(self._costs.order_s + self._costs.answer_s + keep_s, lambda: self._kept(task, good))

    def _kept(self, task: Task, good: bool) -> None:
        self._keeping = False
        task.wait("the main process", self._now_s)
        if good:
            self._built += 1
            self._built_s = self._now_s
            self._measure(task)
        else:
            self._elsewhere(task)
        self._keep_next()

    # ----------------------------------------------------------------------------------------------------------- boards
    def _measure(self, task: Task) -> None:
        if self._boards is None:
            return
        self._to_measure[task.number % self._boards.kinds].append(task)
        self._when_all_built()
        if not self._boards.after_all_builds:
            self._hold(task.number % self._boards.kinds)

    def _when_all_built(self) -> None:
        if self._boards and self._boards.after_all_builds and self._built + self._failed == len(self._tasks):
            for kind, jobs in enumerate(self._to_measure):
                for task in jobs:
                    task.wait("all other builds", self._now_s)
                self._hold(kind)

    def _hold(self, kind: int) -> None:
        """Have the jobs of a kind measured by its free boards."""
        assert self._boards is not None
        jobs, free = self._to_measure[kind], self._free[kind]
        while jobs and free:
            task, board = jobs.popleft(), free.pop(0)
            task.wait("a board", self._now_s)
            self._in_use[kind] += 1
            check_s = 0.0
            if self._now_s - board.checked_s >= self._boards.check_every_s:
                check_s, board.checked_s = board.factor * self._boards.check_s, self._now_s
            fails = self._random.random() < self._trouble.board_failures
            seconds = board.factor * self._boards.measure_s[task.number] * (self._random.random() if fails else 1.0)
            release = functools.partial(self._release, kind, task, board, fails=fails, measuring_s=seconds)
            self._at(check_s + seconds, release)
        while jobs and not self._in_use[kind]:  # no board of its kind is left
            jobs.popleft()
            self._failed += 1

    def _release(self, kind: int, task: Task, board: Board, *, fails: bool, measuring_s: float) -> None:
        """Give a board back, or set it aside and its job behind all others, as a farm does."""
        assert self._boards is not None
        self._in_use[kind] -= 1
        task.wait("a board that failed" if fails else "its measurement", self._now_s)
        if not fails:
            self._board_s += measuring_s
            self._measured += 1
            self._free[kind].append(board)
        else:
            self._boards_lost += 1
            task.measured += 1
            if task.measured >= self._boards.tries:
                self._failed += 1
            else:
                self._to_measure[kind].append(task)
        self._hold(kind)

    # ---------------------------------------------------------------------------------------------------------- outcome
    def _outcome(self) -> Outcome:
        causes = sorted({cause for task in self._tasks for cause in task.waited_s})
        count = len(self._tasks) or 1
        boards_s = (self._now_s - self._built_s * self._boards.after_all_builds) if self._boards else 0.0
        return Outcome(
            makespan_s=self._now_s, built_s=self._built_s, built=self._built, measured=self._measured,
            failed=self._failed, useful_s=self._useful_s, lost_s=self._lost_s,
            worker_use=self._useful_s / (len(self._workers) * self._built_s) if self._built_s else 0.0,
            board_use=self._board_s / (self._boards.count * boards_s) if self._boards and boards_s else 0.0,
            waited_s={cause: sum(task.waited_s.get(cause, 0.0) for task in self._tasks) / count for cause in causes},
            deaths=self._deaths, boards_lost=self._boards_lost,
        )  # fmt: skip
