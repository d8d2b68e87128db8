"""What there is to measure on the devices of a farm, and who has it: the one state that their threads share.

Nothing here contacts a device or waits for one longer than its caller wants.
"""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable, Iterable

from mbench.core.artifact import Artifact
from mbench.core.errors import shortened

MEASURING = "measuring"
_LONGEST = 500
"""Characters of a reason."""


@dataclasses.dataclass(eq=False)
class FarmTask:
    """A network that is to be measured, all its sessions on one device."""

    artifact: Artifact
    tries: int = 0
    """Devices that had it and brought no result."""
    not_on: set[str] = dataclasses.field(default_factory=set)
    """Devices that are right and could not measure it."""
    reason: str = ""
    """Why the last try came to nothing."""
    stage: str = MEASURING
    """What it was doing then."""
    detail: str = ""
    measured: bool = False
    """Whether it has a result, if a doubtful one."""

    @property
    def name(self) -> str:
        """Of the network."""
        return self.artifact.manifest.variant.name


class FarmTasks:
    """Hands each task to one device at a time.

    A task is pending, on a device, measured and to be confirmed by the device's next check, or settled.
    """

    def __init__(
        self, tasks: Iterable[FarmTask], devices: Iterable[str], *, most_tries: int, lost: Callable[[FarmTask], None]
    ) -> None:
        """Begin with all tasks pending.

        Args:
            tasks: in the order in which they are handed out.
            devices: names of those that may take tasks, now or later.
            most_tries: of a task.
            lost: called with a task that no device can measure any more.
        """
        self._pending, self._devices = list(tasks), set(devices)
        self._running: dict[FarmTask, str] = {}
        self._doubtful: dict[str, list[FarmTask]] = {name: [] for name in self._devices}
        self._most_tries, self._lost = most_tries, lost
        self._changed = threading.Condition()
        self._stopped = False
        self._left: dict[str, str] = {}

    @property
    def over(self) -> bool:
        """Whether every task is settled, or nothing more is wanted."""
        with self._changed:
            return self._over()

    def take(self, device: str) -> FarmTask | None:
        """Wait for a task that a device may have; None: its own results wait for a check first, or all is over."""
        with self._changed:
            while not self._over():
                task = next((each for each in self._pending if device not in each.not_on), None)
                if task is not None:
                    self._pending.remove(task)
                    self._running[task] = device
                    return task
                if self._doubtful[device]:
                    return None
                self._changed.wait()
            return None

    def done(self, task: FarmTask, device: str) -> None:
        """Keep a task as measured, until the device is known to have been right all the time."""
        with self._changed:
            task.measured = True
            self._running.pop(task, None)
            self._doubtful[device].append(task)
            self._changed.notify_all()

    def confirm(self, device: str) -> None:
        """Settle what a device has measured."""
        with self._changed:
            self._doubtful[device].clear()
            self._changed.notify_all()

    def doubt(self, device: str, reason: str) -> tuple[FarmTask, ...]:
        """Hand out again what a device measured since its last check; return it."""
        with self._changed:
            doubted = tuple(self._doubtful[device])
            self._doubtful[device].clear()
            for task in doubted:
                task.not_on.add(device)
                self._again(task, reason)
            return doubted

    def failed(self, task: FarmTask, device: str, reason: str, *, its_own: bool) -> None:
        """Hand out a task again that a device did not measure.

        Args:
            task: what was tried.
            device: that had it.
            reason: why it came to nothing.
            its_own: whether the device is right, so that the reason lies in the task.
        """
        with self._changed:
            self._running.pop(task, None)
            if its_own:
                task.not_on.add(device)
            self._again(task, reason)

    def put_back(self, task: FarmTask) -> None:
        """Hand out a task again that was not begun."""
        with self._changed:
            self._running.pop(task, None)
            self._pending.insert(0, task)
            self._changed.notify_all()

    def leave(self, device: str, reason: str) -> None:
        """Count no more on a device. A task that it had is handed out again; that was a try.

        Once nothing more is wanted, its unchecked tasks stay known, and no task is lost: the run has only ended.

        Args:
            device: that is of no use any more.
            reason: why, for tasks that nobody is left for.
        """
        with self._changed:
            self._devices.discard(device)
            self._left[device] = reason
            if self._stopped:
                return
            self._doubtful[device].clear()
            for task in [each for each, holder in self._running.items() if holder == device]:
                del self._running[task]
                self._again(task, f"{device}: {reason}")
            for task in [each for each in self._pending if self._hopeless(each)]:
                self._settle(task)
            self._changed.notify_all()

    @property
    def unchecked(self) -> dict[str, str]:
        """The tasks that are measured and not confirmed, each with its device, by name."""
        with self._changed:
            return {task.name: device for device, tasks in self._doubtful.items() for task in tasks}

    def stop(self) -> None:
        """Hand out nothing more."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def wait(self, seconds: float) -> bool:
        """Wait so long, or until all is over; return whether it is."""
        with self._changed:
            return self._changed.wait_for(self._over, seconds)

    def _again(self, task: FarmTask, reason: str) -> None:
        task.tries += 1
        task.reason = reason
        self._pending.append(task)
        if self._hopeless(task):
            self._settle(task)
        self._changed.notify_all()

    def _hopeless(self, task: FarmTask) -> bool:
        return task.tries >= self._most_tries or not self._devices - task.not_on

    def _settle(self, task: FarmTask) -> None:
        self._pending.remove(task)
        if not task.reason:
            why = "; ".join(f"{name}: {reason}" for name, reason in self._left.items())
            task.reason = shortened(f"no device of the farm is left: {why}", _LONGEST)
        self._lost(task)

    def _over(self) -> bool:
        return self._stopped or not (self._pending or self._running or any(self._doubtful.values()))
