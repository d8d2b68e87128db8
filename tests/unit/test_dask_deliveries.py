"""Deliveries of a cluster: so many are here at once, and no more. Tasks stand for Dask's futures."""

from __future__ import annotations

import concurrent.futures
import gc
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from mbench.build import dask_deliveries
from mbench.build.dask_deliveries import HELD, Deliveries
from mbench.build.orders import Delivery

WAIT_S = 60.0


class Task:
    """A task that is done, and counts what is fetched."""

    fetched = 0

    def __init__(self, error: BaseException | None = None) -> None:
        self.error, self.told = error, threading.Event()

    def add_done_callback(self, callback: Callable[[Any], None]) -> None:
        callback(self)

    def result(self) -> Delivery:
        Task.fetched += 1
        if self.error is not None:
            raise self.error
        return Delivery(worker="a")

    def cancelled(self) -> bool:
        return isinstance(self.error, concurrent.futures.CancelledError)

    def release(self) -> None:
        self.told.set()


class Waiting(Task):
    """A task that is never done."""

    def add_done_callback(self, callback: Callable[[Any], None]) -> None:
        pass


@pytest.fixture
def deliveries(monkeypatch: pytest.MonkeyPatch) -> Iterator[Deliveries]:
    monkeypatch.setattr(Task, "fetched", 0)
    monkeypatch.setattr(dask_deliveries, "PATIENCE_S", WAIT_S)
    made = Deliveries()
    yield made
    made.close()


def test_no_more_are_here_than_are_held_and_all_come(deliveries: Deliveries) -> None:
    waiting = [deliveries.future(Task()) for _ in range(20)]
    for taken in range(20):
        assert waiting.pop(0).result(WAIT_S).worker == "a"
        assert Task.fetched <= taken + 1 + HELD
    assert Task.fetched == 20


def test_one_that_came_without_room_makes_none(deliveries: Deliveries, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dask_deliveries, "PATIENCE_S", 0.0)
    every = [deliveries.future(Task()) for _ in range(3 * HELD)]
    assert all(each.result(WAIT_S).worker == "a" for each in every)
    del every
    gc.collect()
    assert deliveries._room._value == HELD


def test_what_failed_takes_no_room(deliveries: Deliveries) -> None:
    failed = [deliveries.future(Task(ValueError(f"{number}"))) for number in range(3 * HELD)]
    assert [str(each.exception(WAIT_S)) for each in failed] == [f"{number}" for number in range(3 * HELD)]
    assert deliveries.future(Task()).result(WAIT_S).worker == "a"


def test_a_task_that_dask_cancelled_is_cancelled(deliveries: Deliveries) -> None:
    lost = deliveries.future(Task(concurrent.futures.CancelledError("dask")))
    with pytest.raises(concurrent.futures.CancelledError):
        lost.result(WAIT_S)


def test_what_nobody_wants_is_not_fetched(deliveries: Deliveries) -> None:
    task = Waiting()
    unwanted = deliveries.future(task)
    assert unwanted.cancel()
    assert task.told.is_set()
    unwanted.fetch(threading.Semaphore(0))
    assert Task.fetched == 0


def test_what_lies_here_unused_stops_nobody_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dask_deliveries, "PATIENCE_S", 0.01)
    made = Deliveries()
    unused = [made.future(Task()) for _ in range(3 * HELD)]
    assert unused[-1].result(WAIT_S).worker == "a"
    made.close()
