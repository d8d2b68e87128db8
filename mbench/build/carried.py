"""Builds and counts that others carry out: orders to the workers of an executor, deliveries into the user's store.

Any executor of `concurrent.futures` can carry orders. Each is one call of `worker_tasks.fulfil`; what it delivers comes
back as the task's result, or lies in a folder that is shared. An order that fails for a reason that is its worker's own
is tried elsewhere, a bounded number of times.
"""

from __future__ import annotations

import concurrent.futures
import pickle
import queue
import traceback
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Protocol

import msgspec

from mbench.build import build, orders, worker_facts, worker_tasks
from mbench.build.artifact_store import ArtifactStore
from mbench.build.builders import Build, failure
from mbench.build.orders import BuildOrder, CountOrder, Delivery, SharedFolder
from mbench.core import system_limits
from mbench.core.artifact import Artifact
from mbench.core.choices import NO_CHOICES, Choices
from mbench.core.errors import BuildError, MbenchError, PluginError, TargetError
from mbench.core.machine_types import Target
from mbench.core.progress import Note, Stage
from mbench.core.records import Failure, Variant

TRIES = 3
"""How many workers an order is given to that fail at it."""
LOST_TRIES = 2
"""How often an order is given that was lost with its workers; Dask itself gives it to several each time."""
_WAKE_S = 0.5
AnyOrder = BuildOrder | CountOrder


class CarrierError(Exception):
    """An order has no answer, since what carried it is gone. `again`: another try may help."""

    def __init__(self, reason: str, *, again: bool = False) -> None:
        super().__init__(reason)
        self.again = again


class Carrier(Protocol):
    """What gives orders to workers."""

    shared: SharedFolder | None

    def submit(self, number: int, written: bytes, avoid: Collection[str]) -> Future[Delivery] | None:
        """Give an order to a worker, to none of `avoid`; None: there is no other.

        Args:
            number: of the try, from 1.
            written: the order.
            avoid: names of workers on which it has failed.
        """
        ...

    def watch(self, note: Note) -> None:
        """Report what has changed, about twice a second.

        Raises:
            CarrierError: nothing will be answered any more.
        """
        ...

    def why(self, error: BaseException) -> CarrierError:
        """Return what an exception means that came instead of an answer."""
        ...


class ExecutorCarrier:
    """Any executor of `concurrent.futures`: it decides which worker takes an order, so that none is avoided."""

    shared: SharedFolder | None = None

    def __init__(self, executor: Executor) -> None:
        """Take an executor; closing it is left to whoever opened it."""
        self._executor = executor

    def submit(self, number: int, written: bytes, avoid: Collection[str]) -> Future[Delivery] | None:
        """Give an order to the executor, unless it has failed there."""
        if avoid:
            return None
        try:
            return self._executor.submit(worker_tasks.fulfil, written)
        except Exception as error:  # noqa: BLE001 - it is shut down, or broken by what another order did to it
            refused: Future[Delivery] = Future()
            refused.set_exception(error)
            return refused

    def watch(self, note: Note) -> None:
        """Report nothing: an executor does not say what it has."""

    def why(self, error: BaseException) -> CarrierError:
        """Return what the executor said."""
        kind = "the worker process died" if isinstance(error, concurrent.futures.BrokenExecutor) else ""
        return CarrierError(kind or system_limits.reason(error))


class _OrderOnTheWay:
    """An order that was given, and where it failed."""

    def __init__(self, name: str, order: AnyOrder, databases: dict[str, Path]) -> None:
        self.name, self.order, self.databases = name, order, databases
        self.failed: dict[str, str] = {}
        self.tries = 1


class Orders:
    """Orders on their way, and what comes of them. Use as a context: what is not answered then is cancelled."""

    def __init__(self, carrier: Carrier, store: ArtifactStore, note: Note) -> None:
        self._carrier, self._store, self._note = carrier, store, note
        self._given: dict[Future[Delivery], _OrderOnTheWay] = {}
        self._done: queue.SimpleQueue[Future[Delivery]] = queue.SimpleQueue()
        """Futures that are done: asking thousands of them for each answer takes longer than keeping it."""
        self._over: list[tuple[str, Delivery | Failure]] = []

    def __enter__(self) -> Orders:
        return self

    def __exit__(self, *_how: object) -> None:
        for future in self._given:
            future.cancel()

    def give(self, name: str, order: AnyOrder, databases: dict[str, Path] | None = None) -> None:
        """Give an order; `name` is what it is of."""
        self._submit(_OrderOnTheWay(name, order, databases or {}))

    def answered(self, until: Callable[[], bool] = lambda: False) -> Iterator[tuple[str, Delivery | Failure]]:
        """Yield the answer to each order as it comes, or why there is none; stop when `until` says so."""
        while not until() and (self._given or self._over):
            while self._over:
                yield self._over.pop()
            try:
                self._carrier.watch(self._note)
            except CarrierError as error:
                self._give_up(error)
                continue
            if (done := self._next_done()) is not None:
                given, future = done
                answer = self._answer(given, future)
                if answer is not None:
                    yield given.name, answer

    @property
    def ready(self) -> bool:
        """Whether an answer can be taken without waiting."""
        return bool(self._over) or not self._done.empty()

    def _next_done(self) -> tuple[_OrderOnTheWay, Future[Delivery]] | None:
        """Return an order whose future is done; None where there is none for a while, or it was given up."""
        try:
            future = self._done.get(timeout=_WAKE_S)
        except queue.Empty:
            return None
        given = self._given.pop(future, None)
        return None if given is None else (given, future)

    def _give_up(self, error: CarrierError) -> None:
        for future, given in self._given.items():
            future.cancel()
            self._over.append((given.name, failure(given.name, str(error))))
        self._given.clear()

    def _submit(self, given: _OrderOnTheWay) -> bool:
        """Give an order to a worker; return whether there is one."""
        future = self._carrier.submit(given.tries, pickle.dumps(given.order), given.failed)
        if future is not None:
            self._given[future] = given
            future.add_done_callback(self._done.put)
        return future is not None

    def _answer(self, given: _OrderOnTheWay, future: Future[Delivery]) -> Delivery | Failure | None:
        """Return what came of an order; None where it was given again.

        Raises:
            TargetError: LLVM does not know the target's processor.
            PluginError: a package that adds a rule or the network is broken.
        """
        try:
            delivery = future.result()
        except Exception as error:  # noqa: BLE001 - whatever carries orders may raise anything
            return self._uncarried(given, error)
        except concurrent.futures.CancelledError as error:
            return self._uncarried(given, error)
        match delivery.outcome:
            case "target":
                raise TargetError(delivery.reason)
            case "plugin":
                raise PluginError(delivery.reason)
            case "lacking":
                return self._with_contents(given, delivery.lacking)
            case "elsewhere":
                return self._elsewhere(given, delivery)
            case "given up":  # while it was cancelled, as by another run that had ordered the same
                return self._lost(given, CarrierError(f"worker {delivery.worker} gave it up", again=True))
            case "failed":
                return failure(given.name, delivery.reason, delivery.detail)
        return delivery

    def _uncarried(self, given: _OrderOnTheWay, error: BaseException) -> Failure | None:
        try:
            why = self._carrier.why(error)
        except MbenchError as refused:
            return failure(given.name, str(refused))
        return self._lost(given, why, "".join(traceback.format_exception(error)))

    def _lost(self, given: _OrderOnTheWay, why: CarrierError, detail: str = "") -> Failure | None:
        """Give an order again that no worker answered, if that may help."""
        given.tries += 1
        if why.again and given.tries <= LOST_TRIES and self._submit(given):
            return None
        return failure(given.name, str(why), detail)

    def _with_contents(self, given: _OrderOnTheWay, lacking: Collection[str]) -> Failure | None:
        """Give an order again with what the worker lacks."""
        if given.order.contents:
            where = ", ".join(lacking)
            return failure(given.name, f"workers do not keep what is sent along ({where}); is their disk full?")
        try:
            needed = given.order.needs  # all of it: another worker may take it now
            contents = {each: orders.content_of(each, given.databases, self._store.folder) for each in needed}
        except BuildError as error:
            return failure(given.name, str(error))
        given.order = msgspec.structs.replace(given.order, contents=contents)
        return None if self._submit(given) else _failed_everywhere(given)

    def _elsewhere(self, given: _OrderOnTheWay, delivery: Delivery) -> Failure | None:
        """Give an order to another worker; where it has failed often enough, say where and why."""
        given.failed.pop(delivery.worker, None)  # the last one is named
        given.failed[delivery.worker] = delivery.reason
        given.tries += 1
        if given.tries <= TRIES and self._submit(given):
            self._note(f"{given.name}: worker {delivery.worker}: {delivery.reason}; trying another worker")
            return None
        return _failed_everywhere(given, delivery.detail)


def _failed_everywhere(given: _OrderOnTheWay, detail: str = "") -> Failure:
    """Return the failure of an order that no other worker can take."""
    worker, reason = list(given.failed.items())[-1]
    others = len(given.failed) - 1
    more = f" (and so on {others} other{'s' if others > 1 else ''})" if others else ""
    return failure(given.name, f"worker {worker}{more}: {reason}", detail)


# -------------------------------------------------------------------------------------------------------------- builds
def build_all(
    carrier: Carrier,
    store: ArtifactStore,
    wanted: Sequence[Variant],
    target: Target,
    report: Stage,
    note: Note,
    *,
    use_cache: bool,
    choices: Choices = NO_CHOICES,
    timeout_s: float,
) -> dict[str, Build]:
    """Have variants built by the workers of a carrier; return what came of each, by name.

    Args:
        carrier: gives orders to workers.
        store: where artifacts are kept here.
        wanted: what to build.
        target: what for.
        report: called with a variant's name, a stage, and how far it is.
        note: called with what the user should know.
        use_cache: whether artifacts may be taken that are there already, here or on a worker.
        choices: how kernels are made that were tuned.
        timeout_s: a build that takes longer is given up.

    Raises:
        TargetError: LLVM does not know the target's processor.
        PluginError: a package that adds a rule or the network is broken.
    """
    builds: dict[str, Build] = {}
    portable, databases = orders.named_by_content(choices)
    facts = worker_facts.facts()
    addresses: dict[str, dict[str, str]] = {}
    with Orders(carrier, store, note) as on_the_way:

        def take(until: Callable[[], bool] = lambda: False) -> None:
            for name, answer in on_the_way.answered(until):
                inputs = addresses.pop(name)
                builds[name] = answer if isinstance(answer, Failure) else _kept(store, name, inputs, answer)
                report(name, "failed" if isinstance(builds[name], Failure) else "compiling", 1.0)

        for variant in wanted:
            take(lambda: not on_the_way.ready)  # else what is done waits in memory until the last order is given
            inputs = build.digest_inputs(variant, target, choices)
            found = _at_hand(store, build.digest(inputs), use_cache=use_cache)
            report(variant.name, "compiling", 0.0 if found is None else 1.0)
            if found is not None:
                builds[variant.name] = found, True
                continue
            addresses[variant.name] = inputs
            order = BuildOrder(
                facts=facts, shared=carrier.shared, variant=variant, target=target, choices=portable, inputs=inputs,
                use_cache=use_cache, limit_s=timeout_s,
            )  # fmt: skip
            on_the_way.give(variant.name, order, databases)
        take()
    return {variant.name: builds[variant.name] for variant in wanted}


def _at_hand(store: ArtifactStore, address: str, *, use_cache: bool) -> Artifact | None:
    if use_cache:
        return store.sound(address)
    store.discard(address)
    return None


def _kept(store: ArtifactStore, name: str, inputs: dict[str, str], delivery: Delivery) -> Build:
    """Keep what a worker built, checked; return it, or why it cannot be taken."""
    address = build.digest(inputs)
    try:
        kept = store.get(address) if delivery.files is None else store.receive(address, delivery.files)
    except (BuildError, OSError) as error:
        why = str(error) if isinstance(error, BuildError) else system_limits.why(error)
        return failure(name, f"what worker {delivery.worker} built cannot be kept: {why}")
    if kept.manifest.inputs != inputs:
        return failure(name, f"worker {delivery.worker} built something else than what was asked for")
    return kept, bool(delivery.answer)
