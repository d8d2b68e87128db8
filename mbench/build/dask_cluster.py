"""A Dask cluster that builds and counts: the connection to its scheduler, what its workers must have, and its loss.

The scheduler gives orders to workers, and gives those of a worker that died to others; how often is its own setting
(`distributed.scheduler.allowed-failures`). A worker that no longer answers is dead to it after
`distributed.scheduler.worker-ttl`.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import hashlib
import importlib.util
import logging
import socket
import threading
import time
import warnings
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any, TypeVar

from mbench.build import worker_facts, worker_tasks
from mbench.build.carried import CarrierError
from mbench.build.dask_address import DaskAddress
from mbench.build.dask_deliveries import Deliveries
from mbench.build.orders import Delivery, SharedFolder
from mbench.core import system_limits, units
from mbench.core.errors import UsageError, shortened, why
from mbench.core.progress import Note

CONNECT_S = 10.0
"""How long a scheduler may take to answer at first."""
CHECK_S = 60.0
"""How long the workers may take to say what they have."""
NO_WORKER_S = 600.0
"""How long orders wait for a worker where there is none."""
SILENCE_S = 60.0
"""After how long a scheduler that does not answer is given up."""
_LOOK_S = 2.0
_UNWATCHED_S = 30.0
"""After so long nobody has looked, as while networks are measured: what was seen before says nothing."""
_LONGEST = 200
_START = "start one with 'dask scheduler', or correct the address; see docs/cluster.md"
_ENCRYPTED = "name its certificates in Dask's configuration, see docs/cluster.md"

_T = TypeVar("_T")


class DaskCluster:
    """A connection to a scheduler. Use `connected`."""

    def __init__(self, address: DaskAddress, client: Any, shared: SharedFolder | None) -> None:
        self.address, self.shared = address, shared
        self._client = client
        self._deliveries = Deliveries()
        self._known: dict[str, int] = {}
        self._looked_s = self._seen_s = self._answered_s = time.monotonic()

    # ---------------------------------------------------------------------------------------------------------- carrier
    def submit(self, number: int, written: bytes, avoid: Collection[str]) -> Future[Delivery] | None:
        """Give an order to the scheduler; see `carried.Carrier`. The key of the task is the content of the order."""
        key = f"mbench-{hashlib.sha256(written).hexdigest()}-{number}"
        where: dict[str, Any] = {}
        try:
            if avoid:
                others = sorted(set(self._workers()) - set(avoid))
                if not others:
                    return None
                where = {"workers": others, "allow_other_workers": True}  # where all of them have gone
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", "Sending large graph", UserWarning)  # a network of the user's
                task = self._client.submit(worker_tasks.fulfil, written, key=key, pure=True, **where)
                return self._deliveries.future(task)
        except Exception as error:  # noqa: BLE001 - the connection may end at any moment: the order has no answer
            future: Future[Delivery] = Future()
            future.set_exception(error)
            return future

    def watch(self, note: Note) -> None:
        """Report workers that came and went, and notice that nothing will be answered any more.

        Raises:
            CarrierError: the scheduler is gone, or there has been no worker for a long time.
        """
        if not self._alive():
            raise self._gone()
        now = time.monotonic()
        if now - self._looked_s < _LOOK_S:
            return
        if now - self._looked_s > _UNWATCHED_S:
            self._seen_s = self._answered_s = now
        self._looked_s = now
        try:
            present = self._workers()
        except OSError as error:  # a silent scheduler, too
            if now - self._answered_s > SILENCE_S:
                raise CarrierError(f"the scheduler {self.address} has not answered for {SILENCE_S:g} s") from error
            return
        self._answered_s = time.monotonic()
        if present != self._known:
            note(self._described(present))
            self._known = present
        if present:
            self._seen_s = now
        elif now - self._seen_s > NO_WORKER_S:
            raise CarrierError(f"the cluster {self.address} has had no worker for {NO_WORKER_S:g} s")

    def why(self, error: BaseException) -> CarrierError:
        """Return what an exception means that came instead of a delivery.

        Raises:
            UsageError: a worker that came later lacks something.
        """
        if not self._alive():
            return self._gone()
        if isinstance(error, concurrent.futures.CancelledError):
            return CarrierError(f"the connection to the scheduler {self.address} was lost", again=True)
        if type(error).__name__ == "KilledWorker":
            last = getattr(getattr(error, "last_worker", None), "address", "unknown")
            tries = int(getattr(error, "allowed_failures", 0)) + 1
            said = f"worker {last} died while it had this to do, the last of {tries} that did; out of memory?"
            return CarrierError(said, again=True)
        with contextlib.suppress(OSError):
            self.check()
        return CarrierError(system_limits.reason(error))

    def _gone(self) -> CarrierError:
        return CarrierError(f"the scheduler {self.address} is gone")

    def _alive(self) -> bool:
        return self._client.status in ("running", "connecting")

    # ---------------------------------------------------------------------------------------------------------- workers
    def _workers(self) -> dict[str, int]:
        """Return the threads of each worker, by address, as the scheduler says now.

        Raises:
            OSError: it does not answer.
        """
        return {address: int(each["nthreads"]) for address, each in self._identity().items()}

    def _identity(self) -> dict[str, dict[str, Any]]:
        """Return what the scheduler says now of each worker, by address.

        Raises:
            OSError: it does not answer.
        """
        try:  # the client's own `scheduler_info` answers with what it knew before where the scheduler is silent
            found = _within(CONNECT_S, self._client.sync, self._client.scheduler.identity, n_workers=-1)
        except OSError:
            raise
        except Exception as error:  # a client that is about to close has no scheduler
            raise ConnectionError(why(error)) from error
        return dict(found["workers"])

    def _described(self, workers: dict[str, int]) -> str:
        count, threads = len(workers), sum(workers.values())
        if not count:
            return f"cluster {self.address}: no worker; the work waits for one"
        gone = sorted(set(self._known) - set(workers))
        left = f"; gone: {', '.join(gone)}" if gone else ""
        what = f"{units.counted(count, 'worker')}, {units.counted(threads, 'task')} side by side"
        return f"cluster {self.address}: {what}{left}"

    def introduce(self, note: Note) -> None:
        """Say what the cluster is."""
        self._known = self._workers()
        note(self._described(self._known))
        if self.address.open_to_others:
            note(
                f"cluster {self.address}: not encrypted; whoever reaches it can run code on its workers: see "
                "docs/cluster.md"
            )

    def check(self) -> None:
        """Notice, before any work, that scheduler or workers have other versions, or do not see the shared folder.

        Raises:
            UsageError: one does; the message names it, what it has, and what is expected.
        """
        seen = _within(CHECK_S, self._client.get_versions)
        ours = seen["client"]["packages"]
        others = {"the scheduler": seen["scheduler"], **{_of(name): each for name, each in seen["workers"].items()}}
        for who, each in others.items():
            for package in ("distributed", "python"):
                got, wanted = each["packages"].get(package), ours[package]
                if _minor(package, got) != _minor(package, wanted):
                    raise self._differs(who, f"{package} {got}, expected {wanted}")
        expected = worker_facts.facts()
        for name, found in self._everywhere(worker_facts.facts).items():
            if found.get("mbench") == worker_facts.ABSENT:
                raise self._differs(_of(name), f"no mbench, expected {expected['mbench']}")
            if difference := worker_facts.difference(found, expected):
                raise self._differs(_of(name), difference)
        if self.shared is not None:
            for name, said in self._everywhere(worker_facts.unshared, self.shared.path, self.shared.token).items():
                if said:
                    raise UsageError(
                        f"--executor {self.address}: the folder {self.shared.path} is not shared with worker {name}: "
                        f"{said}; mount it there under the same path, or leave out ?shared="
                    )

    def _differs(self, who: str, what: str) -> UsageError:
        return UsageError(f"--executor {self.address}: {who} has {what}; install the same versions everywhere")

    def _everywhere(self, function: Callable[..., _T], *arguments: str) -> dict[str, _T]:
        """Return what a function of `worker_facts` answers on each worker, which gets it as code.

        Raises:
            UsageError: a worker cannot run it.
        """
        import cloudpickle

        cloudpickle.register_pickle_by_value(worker_facts)
        try:
            answers = _within(CHECK_S, self._client.run, function, *arguments, on_error="return")
        finally:
            cloudpickle.unregister_pickle_by_value(worker_facts)
        for name, answer in answers.items():
            if isinstance(answer, BaseException):
                said = shortened(f"{type(answer).__name__}: {why(answer)}", _LONGEST)
                raise UsageError(f"--executor {self.address}: worker {name} cannot say what it has: {said}")
        return dict(answers)

    def silent(self) -> str:
        """Return who does not answer: the scheduler, or the worker that it heard of least recently."""
        try:
            workers = self._identity()
        except OSError:
            return "the scheduler"
        last = min(workers, key=lambda address: workers[address]["last_seen"], default=None)
        return "the scheduler" if last is None else f"{_of(last)}, the one heard of least recently,"

    def close(self) -> None:
        """Cancel what is left, and let the scheduler go."""
        self._deliveries.close()
        with contextlib.suppress(Exception):
            self._client.close(timeout=_LOOK_S)


def _of(worker: str) -> str:
    return f"worker {worker}"


def _minor(package: str, version: str | None) -> str:
    """Return what must be the same of a version: of Python, whose code travels, the first two numbers."""
    return ".".join(str(version).split(".")[:2]) if package == "python" else str(version)


def _within(seconds: float, function: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
    """Return what a function of Dask's client returns, which may wait for a silent worker for ever.

    Raises:
        TimeoutError: it does not return in time.
    """
    done: Future[Any] = Future()

    def work() -> None:
        try:
            done.set_result(function(*arguments, **named))
        except BaseException as error:  # noqa: BLE001 - raised where it is waited for
            done.set_exception(error)

    threading.Thread(target=work, daemon=True).start()
    return done.result(seconds)


# ---------------------------------------------------------------------------------------------------------- connection
@contextlib.contextmanager
def connected(address: DaskAddress, note: Note) -> Iterator[DaskCluster]:
    """Connect to a scheduler and check its workers; close the connection afterwards, with all that is left of the work.

    Raises:
        UsageError: there is no scheduler, or it or a worker lacks something.
    """
    if importlib.util.find_spec("distributed") is None:
        raise UsageError(
            f"--executor {address} needs the package distributed; install: pip install 'mobilenet-bench[cluster]'"
        )
    _refuse_silence(address)
    with contextlib.ExitStack() as stack:
        stack.enter_context(_quiet())
        client = _client(address)
        shared = stack.enter_context(_token(address)) if address.shared else None
        cluster = DaskCluster(address, client, shared)
        stack.callback(cluster.close)
        try:
            cluster.check()
            cluster.introduce(note)
        except TimeoutError as error:
            said = f"{cluster.silent()} does not answer within {CHECK_S:g} s; look at its log, or end it"
            raise UsageError(f"--executor {address}: {said}") from error
        except OSError as error:
            raise UsageError(f"--executor {address}: {why(error)}; is the scheduler gone?") from error
        yield cluster


def _refuse_silence(address: DaskAddress) -> None:
    """Notice at once that nothing listens at an address: Dask would try again and again.

    Raises:
        UsageError: nothing does.
    """
    try:
        socket.create_connection((address.host, address.port), CONNECT_S).close()
    except (OSError, UnicodeError) as error:  # of a name that no host can have
        raise UsageError(f"--executor {address}: no scheduler answers: {why(error)}; {_START}") from error


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Drop what Dask logs meanwhile: its remarks would stand between ours."""
    import distributed  # noqa: F401 - it makes the loggers

    def drop(_record: logging.LogRecord) -> bool:
        return False

    with contextlib.ExitStack() as stack:
        for name in list(logging.root.manager.loggerDict):
            if name.partition(".")[0] in ("distributed", "tornado", "asyncio"):
                logger = logging.getLogger(name)
                logger.addFilter(drop)
                stack.callback(logger.removeFilter, drop)
        yield


def _client(address: DaskAddress) -> Any:
    """Return a client of a scheduler.

    Raises:
        UsageError: what listens there is no scheduler, or does not take us.
    """
    import distributed

    asked = {"timeout": CONNECT_S, "set_as_default": False, "name": "mbench"}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", distributed.versions.VersionMismatchWarning)  # `check` says it
            return _within(2 * CONNECT_S, distributed.Client, address.scheduler, **asked)  # its own limit may not hold
    except Exception as error:
        said = shortened(why(error), _LONGEST) if str(error) else f"it says nothing within {2 * CONNECT_S:g} s"
        hint = _ENCRYPTED if any(word in said.lower() for word in ("ssl", "tls", "certificate", "encrypt")) else _START
        raise UsageError(f"--executor {address}: what listens there is no scheduler of Dask: {said}; {hint}") from error


@contextlib.contextmanager
def _token(address: DaskAddress) -> Iterator[SharedFolder]:
    """Write a token into the folder that is shared, for as long as it is.

    Raises:
        UsageError: nothing can be written there.
    """
    folder = str(address.shared)
    try:
        token = worker_facts.write_token(folder)
    except OSError as error:
        raise UsageError(f"--executor {address}: nothing can be written to {folder}: {why(error)}") from error
    try:
        yield SharedFolder(path=folder, token=token)
    finally:
        (Path(folder) / token).unlink(missing_ok=True)
