"""What a worker does for a run elsewhere: take an order, do it in a child process within limits, deliver.

It runs in the processes of any executor of `concurrent.futures`, and in Dask's workers. Nothing raises here but a
defect: a delivery says what came of the order.
"""

from __future__ import annotations

import errno
import functools
import math
import os
import pickle
import socket
import threading
from collections.abc import Callable
from multiprocessing import util
from typing import Any, TypeVar

from mbench.build import build, builders, orders, worker_facts
from mbench.build.artifact_store import ArtifactStore
from mbench.build.local_executor import LocalExecutor
from mbench.build.orders import BuildOrder, CountOrder, Delivery, DeliveryOutcome, Order
from mbench.core import artifact, processes, scratch, system_limits
from mbench.core.children import Children, Died, NotWanted, TaskLimits, TookTooLong, TooLarge
from mbench.core.errors import (
    MbenchError,
    MeasureError,
    OtherInputsError,
    PluginError,
    TargetError,
    UnwritableCacheError,
    UsageError,
)

_MOST = 1024
"""Orders side by side that one process can carry; whoever gives them decides how many there are."""
_POOL_LOCK = threading.Lock()
_POOL: list[LocalExecutor] = []
os.register_at_fork(after_in_child=_POOL.clear)  # its threads are not in a process that is forked
_GONE = ("cancelled", "released", "forgotten")
"""States in Dask of a task that nobody waits for."""
_ENDING = ("closing", "closed", "failed")
"""States in Dask of a worker whose answers nobody hears, as one that has lost its scheduler."""
_FULL = os.strerror(errno.ENOSPC)
"""What a linker says, too, where the disk of this worker is full."""

_T = TypeVar("_T")


def fulfil(written: bytes) -> Delivery:
    """Do what an order asks for.

    Args:
        written: the order, pickled: one object, whatever carries it.
    """
    processes.allow_children()
    order: Order = pickle.loads(written)  # noqa: S301 - of whoever may run any code here
    worker = name()
    try:
        difference = worker_facts.difference(_facts(), order.facts) or _unshared(order)
        if difference:
            return Delivery(worker=worker, outcome="elsewhere", reason=difference)
        orders.unpack(order.contents)
        if isinstance(order, BuildOrder):
            return _lacks(worker, order.needs) or _built(worker, order)
        assert isinstance(order, CountOrder)
        return _lacks(worker, order.needs) or _counted(worker, order)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is delivered, and recorded where it was ordered
        return _failed(worker, error)


def _failed(worker: str, error: Exception) -> Delivery:
    """Return the delivery of an order that failed."""
    failed = functools.partial(Delivery, worker=worker, reason=str(error))
    otherwise: DeliveryOutcome = "elsewhere" if _FULL in str(error) else "failed"
    match error:
        case NotWanted():
            return failed(outcome="given up")
        case TargetError():
            return failed(outcome="target")
        case PluginError():
            return failed(outcome="plugin")
        case Died() | TooLarge() | TookTooLong():
            said = builders.stopped(error, "let workers have more (--memory-limit)")
            return failed(outcome="elsewhere", reason=said)
        case OtherInputsError() | UnwritableCacheError() | UsageError():
            return failed(outcome="elsewhere")
        case MbenchError():
            return failed(outcome=otherwise)
        case OSError():
            return failed(outcome="elsewhere", reason=system_limits.reason(error))
    notes = "\n".join(getattr(error, "__notes__", ()))
    return failed(outcome=otherwise, reason=system_limits.reason(error), detail=notes)


def _unshared(order: Order) -> str:
    if order.shared is None:
        return ""
    why = worker_facts.unshared(order.shared.path, order.shared.token)
    return why and f"the folder {order.shared.path} is not shared with it: {why}"


def _lacks(worker: str, needs: tuple[str, ...]) -> Delivery | None:
    left = orders.lacking(needs)
    return Delivery(worker=worker, outcome="lacking", lacking=left) if left else None


def _built(worker: str, order: BuildOrder) -> Delivery:
    store = ArtifactStore(order.shared.artifacts) if order.shared else ArtifactStore.of_user()
    made, cached = _in_a_child(
        order.limit_s,
        functools.partial(
            build.build, order.variant, order.target, store.folder, use_cache=order.use_cache,
            choices=orders.with_local_databases(order.choices), expected=order.inputs,
        ),
    )  # fmt: skip
    files = None if order.shared else orders.packed(made.folder, artifact.FILES)
    return Delivery(worker=worker, answer=cached, files=files)


def _counted(worker: str, order: CountOrder) -> Delivery:
    store = ArtifactStore(order.shared.artifacts) if order.shared else ArtifactStore.of_user()
    return _in_a_child(math.inf, functools.partial(_count, worker, order, store))


def _count(worker: str, order: CountOrder, store: ArtifactStore) -> Delivery:
    """Count in this process, with a lock and a log of its own: counts disturb nobody."""
    from mbench.devices.emulated import EmulatedDevice
    from mbench.devices.process import WorkerDied

    found = store.get(order.digest)
    with scratch.temporary() as work:
        device = EmulatedDevice(order.target, lock_dir=work, timeout_s=order.timeout_s, waiting=_unheard)
        try:
            if device.emulator != order.emulator:
                reason = f"it emulates with {device.emulator}, expected {order.emulator}"
                return Delivery(worker=worker, outcome="elsewhere", reason=reason)
            return Delivery(worker=worker, answer=device.measure(found, order.plan, _unreported))
        except WorkerDied as error:
            return Delivery(worker=worker, outcome="elsewhere", reason=str(error), detail=error.detail)
        except MeasureError as error:
            return Delivery(worker=worker, outcome="failed", reason=str(error))
        finally:
            device.close()


def _unheard(_text: str) -> None:
    pass


def _unreported(_stage: str, _fraction: float) -> None:
    pass


@functools.cache
def _facts() -> dict[str, str]:
    return worker_facts.facts()


# ------------------------------------------------------------------------------------------------------------- process
def _in_a_child(limit_s: float, task: Callable[[], _T]) -> _T:
    """Return what a task returns in a child process that is kept for the next; it ends if nobody waits any more."""
    limits = TaskLimits(time_s=limit_s, memory_bytes=_memory_bytes(), wanted=_still_wanted())
    return _pool().submit_within(limits, task).result()


def _pool() -> LocalExecutor:
    """Return the child processes of this worker, which are there as long as it is."""
    with _POOL_LOCK:
        if not _POOL:
            side_by_side = _threads()
            pool = Children(_MOST, prepare=builders.become_builder)
            _POOL.append(LocalExecutor(pool, side_by_side, TaskLimits()))
            util.Finalize(None, _end, args=(pool,), exitpriority=100)  # before Python waits for them
        return _POOL[0]


def _end(pool: Children) -> None:
    pool.kill()
    _POOL.clear()


def _dask() -> Any:
    """Return the Dask worker that runs this; None where something else does."""
    import sys

    module = sys.modules.get("distributed.worker")
    if module is None:
        return None
    try:
        return module.get_worker()
    except (ValueError, AttributeError):
        return None


def name() -> str:
    """Return what a worker is called in messages: its address, or its process on its machine."""
    dask = _dask()
    return str(dask.address) if dask else f"process {os.getpid()} of {socket.gethostname()}"


def _threads() -> int:
    dask = _dask()
    return int(dask.state.nthreads) if dask else builders.builders()


def _memory_bytes() -> float:
    """Return what all builds of this worker together may take: nearly all of the machine's, or what Dask allows it."""
    mine = builders.limits(0.0).memory_bytes
    dask = _dask()
    allowed = dask.memory_manager.memory_limit if dask else None
    return min(mine, allowed * builders.MEMORY_SHARE) if allowed else mine


def _still_wanted() -> Callable[[], bool]:
    """Return what says whether the task that this thread runs is still waited for; Dask alone knows."""
    dask = _dask()
    if dask is None:
        return lambda: True
    key, tasks = dask.get_current_task(), dask.state.tasks

    def wanted() -> bool:
        task = tasks.get(key)
        return task is not None and task.state not in _GONE and dask.status.name not in _ENDING

    return wanted
