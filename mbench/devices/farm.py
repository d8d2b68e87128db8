"""Several devices that measure side by side: `DeviceFarm.measure` takes jobs and yields what became of each.

Each device has a thread, which holds it, checks it with the reference network and measures on it, one job at a time.
The caller's thread alone hears of what happens, so that nobody else touches the record or the screen.
"""

from __future__ import annotations

import dataclasses
import functools
import queue
import signal
import threading
import time
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import Any

from mbench.core.errors import MbenchError, MeasureError
from mbench.core.machine_types import Target
from mbench.core.progress import Note, Progress, Report
from mbench.devices.farm_board import FarmBoard
from mbench.devices.farm_file import FarmFile
from mbench.devices.farm_tasks import MEASURING, FarmTask, FarmTasks
from mbench.devices.process import WorkerDied
from mbench.measure.observation import Observation

_JOIN_S = 90.0
"""How long the end waits for devices to be let go: the program that releases a place has as long."""
_POLL_S = 0.2
_OF_THE_NETWORK = (
    "reading", "uploading", "loading", "checking", "warming up", "measuring", "measuring layers", "metering energy",
)  # fmt: skip
"""Stages of a job in which the network may be to blame; in the others, the device was not reached."""
_MOST_UNREACHED = 3
"""So often in a row a device may be right and yet not be reached for a job."""

FarmWork = Callable[[FarmBoard, FarmTask, Report], Sequence[Observation]]
"""Measures all sessions of a task on a board."""
FarmPrepare = Callable[[FarmBoard, Report, Note], None]
"""Does once on a board what it needs before its first job."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class FarmDone:
    """A task was measured."""

    task: FarmTask
    board: FarmBoard
    seen: Sequence[Observation]


@dataclasses.dataclass(frozen=True, kw_only=True)
class FarmLost:
    """No device of the farm could measure a task."""

    task: FarmTask


@dataclasses.dataclass(frozen=True, kw_only=True)
class FarmDoubted:
    """A device was not right any more after it had measured these; they are measured again elsewhere, if possible."""

    tasks: Sequence[FarmTask]
    board: FarmBoard
    reason: str


FarmEvent = FarmDone | FarmLost | FarmDoubted


@dataclasses.dataclass(frozen=True, kw_only=True)
class HowToHold:
    """What every device is opened with."""

    target: Target
    lock_dir: Path
    timeout_s: float


class DeviceFarm:
    """The devices of a run."""

    def __init__(
        self, boards: Sequence[FarmBoard], rules: FarmFile, how: HowToHold, *, prepare: FarmPrepare, work: FarmWork
    ) -> None:
        """Contact nobody yet.

        Args:
            boards: the devices.
            rules: how patient to be with them.
            how: what each is opened with.
            prepare: called in a device's thread, before its first job.
            work: called in a device's thread for each job.
        """
        self.boards = tuple(boards)
        self._rules, self._how, self._prepare, self._work = rules, how, prepare, work
        self._heard: queue.Queue[Any] = queue.Queue()
        self._threads: list[threading.Thread] = []
        self._tasks: FarmTasks | None = None
        self.unheard: list[FarmEvent] = []
        """What had become of tasks and was not yielded, once an interrupt or its caller ended `measure`."""

    @property
    def unchecked(self) -> dict[str, str]:
        """The tasks whose device was not checked again after them, each with that device, by name."""
        return self._tasks.unchecked if self._tasks is not None else {}

    def measure(self, tasks: Sequence[FarmTask], progress: Progress) -> Generator[FarmEvent, None, None]:
        """Measure tasks on whichever devices are free; yield what became of them, until all are settled.

        A task may be yielded as done more than once: where a device is doubted, the last one counts.
        """
        names = [board.name for board in self.boards]
        self._tasks = FarmTasks(tasks, names, most_tries=self._rules.tries, lost=self._lost)
        self._threads = [
            threading.Thread(target=self._serve, args=(board,), name=f"farm-{board.name}", daemon=True)
            for board in self.boards
        ]
        for thread in self._threads:
            thread.start()
        try:
            while True:
                over = self._tasks.over  # first: what was heard before it must be yielded
                try:
                    heard = self._heard.get(timeout=_POLL_S)
                except queue.Empty:
                    if over:
                        return
                    continue
                if isinstance(heard, FarmEvent):
                    yield heard
                else:
                    heard(progress)
        finally:
            self._close(progress)

    def _close(self, progress: Progress) -> None:
        """Let all devices go, whatever they do; keep what they had finished."""
        assert self._tasks is not None
        self._tasks.stop()
        for board in self.boards:
            board.stop()
        deadline = time.monotonic() + _JOIN_S
        try:
            for thread in self._threads:
                thread.join(max(0.0, deadline - time.monotonic()))
        finally:  # also where a second interrupt ends the wait
            self._drain(progress)

    def _drain(self, progress: Progress) -> None:
        while not self._heard.empty():
            heard = self._heard.get()
            if isinstance(heard, FarmEvent):
                self.unheard.append(heard)
            else:
                heard(progress)

    # --------------------------------------------------------------------------------------------- in a device's thread
    def _serve(self, board: FarmBoard) -> None:
        assert self._tasks is not None
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGHUP})  # children inherit this
        note = self._note(board)
        try:
            board.open(self._how.target, lock_dir=self._how.lock_dir, timeout_s=self._how.timeout_s, waiting=note)
            if self._usable(board, self._look(board)):
                self._take_tasks(board)
        except MbenchError as error:
            if not self._tasks.over:  # else it waited, and is right for all that is known
                self._put_aside(board, str(error))
        except BaseException as error:  # noqa: BLE001 - raised in the caller's thread
            self._heard.put(functools.partial(_raise, error))
        finally:
            self._tasks.leave(board.name, board.set_aside[-1].reason if board.set_aside else "the run has ended")
            board.close(note)

    def _take_tasks(self, board: FarmBoard) -> None:
        """Measure until all is over, or the device is of no use any more."""
        assert self._tasks is not None
        while not self._tasks.over:
            task = self._tasks.take(board.name)
            if self._tasks.over:
                return
            if task is None or board.due:
                wrong = self._look(board)
                if wrong is None:
                    self._tasks.confirm(board.name)
                else:
                    if task is not None:
                        self._tasks.put_back(task)
                    if not self._usable(board, wrong):
                        return
                    continue
            if task is not None and not self._measured(board, task):
                return

    def _measured(self, board: FarmBoard, task: FarmTask) -> bool:
        """Measure a task; return whether the device is still of use."""
        assert self._tasks is not None
        try:
            seen = self._work(board, task, functools.partial(self._staged, task.name))
        except MeasureError as error:
            if self._tasks.over:
                return False
            begun = isinstance(error, WorkerDied) and error.stage in _OF_THE_NETWORK
            task.stage, task.detail = (error.stage, error.detail) if isinstance(error, WorkerDied) else (MEASURING, "")
            wrong = self._look(board)
            if wrong is None and not begun:
                board.unreached += 1
                if board.unreached < _MOST_UNREACHED:
                    self._tasks.put_back(task)
                    return True
                wrong = str(error)
            self._tasks.failed(task, board.name, f"{board.name}: {error}", its_own=wrong is None)
            return self._usable(board, None if wrong is None else str(error))
        board.unreached = 0
        self._heard.put(FarmDone(task=task, board=board, seen=seen))
        self._tasks.done(task, board.name)
        return True

    def _look(self, board: FarmBoard) -> str | None:
        """Check a device; return what is wrong with it, or None."""
        wrong = board.check(self._stage(board))
        if wrong is None and not board.prepared:
            board.prepared = True
            self._prepare(board, self._stage(board), self._note(board))
        return wrong

    def _usable(self, board: FarmBoard, wrong: str | None) -> bool:
        """Return whether a device may go on; one that is not right is set aside, and tried again once after a pause."""
        assert self._tasks is not None
        if wrong is None or self._tasks.over:
            return wrong is None
        self._put_aside(board, wrong)
        if board.doubtful:
            doubted = self._tasks.doubt(board.name, f"{board.name}: {wrong}")
            self._heard.put(FarmDoubted(tasks=doubted, board=board, reason=wrong))
        else:
            self._tasks.confirm(board.name)
        if not board.may_return:
            return False
        self._cycle(board)
        if self._tasks.wait(self._rules.pause_s):
            return False
        again = self._look(board)
        if again is None:
            board.taken_back()
            self._note(board)("answers again, and its reference network is right: taken back")
        elif not self._tasks.over:
            self._note(board)(f"stays set aside: {again}")
        return again is None

    def _cycle(self, board: FarmBoard) -> None:
        try:
            done = board.cycle_power()
        except MeasureError as error:
            done = str(error)
        if done is not None:
            self._note(board)(done)

    def _put_aside(self, board: FarmBoard, reason: str) -> None:
        board.put_aside(reason)
        self._note(board)(f"set aside: {reason}")

    def _lost(self, task: FarmTask) -> None:
        self._heard.put(FarmLost(task=task))

    def _note(self, board: FarmBoard) -> Note:
        return lambda text: self._heard.put(lambda progress: progress.note(f"{board.name}: {text}"))

    def _stage(self, board: FarmBoard) -> Report:
        return lambda _stage, fraction: self._staged(board.name, "reference network", fraction)

    def _staged(self, name: str, stage: str, fraction: float) -> None:
        self._heard.put(lambda progress: progress.stage(name, stage, fraction))


def _raise(error: BaseException, _progress: Progress) -> None:
    raise error
