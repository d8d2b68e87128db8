"""What the tasks of a Dask cluster deliver, fetched from its workers a few at a time.

Dask's own executor fetches each delivery as soon as it is there. Where workers are quicker than the process that keeps
artifacts, that process would hold all of them.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import queue
import threading
import weakref
from concurrent.futures import Future
from typing import Any

from mbench.build.orders import Delivery

HELD = 2
"""Deliveries that are here at once: one that is kept, and the next."""
PATIENCE_S = 5.0
"""After so long the next is fetched all the same: whoever ordered the others may need this one first."""


class FetchedFuture(Future[Delivery]):
    """A task of Dask, done once its delivery is here. Drop it after use: that makes room for the next."""

    def __init__(self, task: Any) -> None:
        """Take a future of Dask."""
        super().__init__()
        self._task = task

    def cancel(self) -> bool:
        """Let Dask have the task, too, unless its delivery is already fetched; it ends what nobody else waits for."""
        task, cancelled = self._task, super().cancel()
        if cancelled and task is not None:
            self._task = None
            with contextlib.suppress(Exception):  # the connection may be gone, and the task with it
                task.release()  # `cancel` asks the scheduler of each alone: half a minute for thousands
        return cancelled

    def fetch(self, room: threading.Semaphore) -> None:
        """Fetch the delivery of the task, which is done, once there is room."""
        if not self.set_running_or_notify_cancel():
            return
        task, self._task = self._task, None
        held = room.acquire(timeout=PATIENCE_S)
        try:
            delivery = task.result()
        except BaseException as error:  # noqa: BLE001 - raised where the answer is asked for
            if held:
                room.release()
            self.set_exception(concurrent.futures.CancelledError() if task.cancelled() else error)
            return
        if held:
            weakref.finalize(self, room.release)
        self.set_result(delivery)


class Deliveries:
    """Fetches what is done, in a thread of its own."""

    def __init__(self) -> None:
        """Begin."""
        self._done: queue.SimpleQueue[FetchedFuture | None] = queue.SimpleQueue()
        self._room = threading.Semaphore(HELD)
        threading.Thread(target=self._work, name="mbench-deliveries", daemon=True).start()

    def future(self, task: Any) -> FetchedFuture:
        """Return the future of what a task of Dask delivers."""
        fetched = FetchedFuture(task)
        task.add_done_callback(lambda _task: self._done.put(fetched))
        return fetched

    def close(self) -> None:
        """Fetch nothing more."""
        self._done.put(None)

    def _work(self) -> None:
        while (fetched := self._done.get()) is not None:
            fetched.fetch(self._room)
            del fetched  # while this waits for the next
