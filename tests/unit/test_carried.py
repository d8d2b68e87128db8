"""Orders to workers: what is tried elsewhere, how often, and what comes of it."""

from __future__ import annotations

import pickle
from collections.abc import Collection
from concurrent.futures import BrokenExecutor, CancelledError, Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import imported_networks
import pytest
from builder_fakes import NAMES, TARGET, WANTED, compiled

from mbench.build import build, carried, orders, worker_tasks
from mbench.build.artifact_store import ArtifactStore
from mbench.build.builders import Build
from mbench.build.carried import CarrierError, ExecutorCarrier
from mbench.build.orders import BuildOrder, Content, Delivery, SharedFolder
from mbench.core.artifact import FILES, LIBRARY
from mbench.core.errors import TargetError
from mbench.core.progress import Note
from mbench.core.records import Failure, Variant

KEPT = carried._kept


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("MBENCH_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(build, "build", lambda variant, target, cache, **_: compiled(variant, target, cache))
    monkeypatch.setattr(worker_tasks, "_in_a_child", lambda _limit_s, task: task())
    monkeypatch.setattr(carried, "_kept", lambda store, _name, _inputs, delivery: _received(store, delivery))
    return tmp_path


def _received(store: ArtifactStore, delivery: Delivery) -> Build:
    assert delivery.files is not None
    [digest] = [name for name in delivery.files if name not in FILES] or ["?"]
    return store.receive(digest, {name: delivery.files[name] for name in FILES}), bool(delivery.answer)


class Workers:
    """Named workers that answer as planned; the first that is not avoided takes an order."""

    shared: SharedFolder | None = None

    def __init__(self, *names: str, answer: Any) -> None:
        self.names, self.answer = names, answer
        self.given: list[tuple[str, BuildOrder]] = []
        self.gone = ""

    def submit(self, number: int, written: bytes, avoid: Collection[str]) -> Future[Delivery] | None:
        left = [name for name in self.names if name not in avoid]
        if not left:
            return None
        order = pickle.loads(written)
        self.given.append((left[0], order))
        future: Future[Delivery] = Future()
        answer = self.answer(left[0], order, number)
        if isinstance(answer, BaseException):
            future.set_exception(answer)
        elif answer is not None:
            future.set_result(answer)
        return future

    def watch(self, note: Note) -> None:
        if self.gone:
            raise CarrierError(self.gone)

    def why(self, error: BaseException) -> CarrierError:
        return CarrierError(f"lost: {error}", again=isinstance(error, CancelledError))


def built(workers: Any, wanted: list[Variant] | None = None, notes: list[str] | None = None) -> dict[str, Build]:
    return carried.build_all(
        workers, ArtifactStore.of_user(), wanted or WANTED[:1], TARGET, lambda *_: None,
        (notes if notes is not None else []).append, use_cache=True, timeout_s=5.0,
    )  # fmt: skip


def done(worker: str, order: BuildOrder) -> Delivery:
    """Build as a worker does, with the digest of what it is of beside the files."""
    made, _ = compiled(order.variant, order.target, Path(orders.place_of("made")))
    files: Content = {name: (made.folder / name).read_bytes() for name in FILES}
    return Delivery(worker=worker, answer=False, files={**files, made.manifest.digest: b""})


def reason(found: dict[str, Build]) -> str:
    [failed] = found.values()
    assert isinstance(failed, Failure)
    return failed.reason


def test_any_executor_carries_orders() -> None:
    with ThreadPoolExecutor(2) as threads:
        answered = ExecutorCarrier(threads).submit(1, b"no order", ())
        assert answered is not None
        assert answered.exception() is not None
        assert ExecutorCarrier(threads).submit(2, b"", {"where it failed"}) is None
    carrier = ExecutorCarrier(threads)
    closed = carrier.submit(1, b"", ())
    assert closed is not None
    assert "after shutdown" in str(closed.exception())
    assert str(carrier.why(BrokenExecutor("x"))) == "the worker process died"
    assert str(carrier.why(ValueError("a\nb"))) == "ValueError: a"


def test_a_failure_of_a_worker_is_tried_elsewhere() -> None:
    notes: list[str] = []

    def answer(worker: str, order: BuildOrder, _: int) -> Delivery:
        full = Delivery(worker=worker, outcome="elsewhere", reason="No space left on device")
        return full if worker == "a" else done(worker, order)

    workers = Workers("a", "b", answer=answer)
    found = built(workers, notes=notes)
    assert not isinstance(found[NAMES[0]], Failure)
    assert [worker for worker, _ in workers.given] == ["a", "b"]
    assert notes == [f"{NAMES[0]}: worker a: No space left on device; trying another worker"]


def test_what_fails_everywhere_is_tried_a_bounded_number_of_times() -> None:
    workers = Workers(*"abcdef", answer=lambda worker, *_: Delivery(worker=worker, outcome="elsewhere", reason="full"))
    assert reason(built(workers)) == "worker c (and so on 2 others): full"
    assert len(workers.given) == carried.TRIES


def test_what_would_fail_anywhere_is_tried_once() -> None:
    workers = Workers("a", "b", answer=lambda worker, *_: Delivery(worker=worker, outcome="failed", reason="no rule"))
    assert reason(built(workers)) == "no rule"
    assert len(workers.given) == 1


def test_an_order_that_is_lost_is_given_again_a_bounded_number_of_times() -> None:
    workers = Workers("a", answer=lambda *_: CancelledError("the scheduler restarted"))
    assert reason(built(workers)) == "lost: the scheduler restarted"
    assert len(workers.given) == carried.LOST_TRIES
    workers = Workers("a", answer=lambda *_: ValueError("no pickle"))
    assert reason(built(workers)) == "lost: no pickle"
    assert len(workers.given) == 1


def test_what_a_worker_lacks_is_sent_once() -> None:
    network = imported_networks.kept()

    def lacks(worker: str, order: BuildOrder, _: int) -> Delivery:
        return Delivery(worker=worker, outcome="lacking", lacking=order.needs)

    workers = Workers("a", answer=lacks)
    assert "workers do not keep what is sent along" in reason(built(workers, [network]))
    assert [sorted(order.contents) for _, order in workers.given] == [[], list(workers.given[0][1].needs)]


def test_what_the_last_worker_left_lacked_has_failed() -> None:
    network = imported_networks.kept()

    def answer(worker: str, order: BuildOrder, _: int) -> Delivery:
        if worker == "a":
            return Delivery(worker=worker, outcome="elsewhere", reason="full")
        workers.names = ("a",)  # the other is gone before it gets what it lacks
        return Delivery(worker=worker, outcome="lacking", lacking=order.needs)

    workers = Workers("a", "b", answer=answer)
    assert reason(built(workers, [network])) == "worker a: full"


def test_what_a_worker_gave_up_is_given_to_it_again() -> None:
    def answer(worker: str, order: BuildOrder, number: int) -> Delivery:
        return done(worker, order) if number > 1 else Delivery(worker=worker, outcome="given up", reason="not wanted")

    workers = Workers("a", answer=lambda worker, *_: Delivery(worker=worker, outcome="given up", reason="not wanted"))
    assert reason(built(workers)) == "worker a gave it up"
    assert len(workers.given) == carried.LOST_TRIES
    assert not isinstance(built(Workers("a", answer=answer))[NAMES[0]], Failure)


def test_without_workers_all_that_waits_fails_with_the_reason() -> None:
    workers = Workers("a", answer=lambda *_: None)
    workers.gone = "the scheduler is gone"
    found = built(workers, WANTED)
    assert [each.reason for each in found.values() if isinstance(each, Failure)] == ["the scheduler is gone"] * 3


def test_answers_are_taken_as_they_come() -> None:
    on_the_way: list[Future[Delivery]] = []

    class Slow(Workers):
        def submit(self, number: int, written: bytes, avoid: Collection[str]) -> Future[Delivery] | None:
            waiting = super().submit(number, written, avoid)
            assert waiting is not None
            on_the_way.append(waiting)
            return waiting

        def watch(self, note: Note) -> None:
            if on_the_way:
                on_the_way.pop().set_result(done("a", self.given[len(on_the_way)][1]))

    taken: list[str] = []
    carried.build_all(
        Slow("a", answer=lambda *_: None), ArtifactStore.of_user(), WANTED, TARGET,
        lambda name, _stage, share: taken.append(name) if share == 1.0 else None, lambda _: None, use_cache=True,
        timeout_s=5.0,
    )  # fmt: skip
    assert taken == [*reversed(NAMES)]


def test_answers_are_taken_while_orders_are_given() -> None:
    workers = Workers("a", answer=lambda worker, order, _: done(worker, order))
    given: list[int] = []
    carried.build_all(
        workers, ArtifactStore.of_user(), WANTED, TARGET,
        lambda _name, _stage, share: given.append(len(workers.given)) if share == 1.0 else None, lambda _: None,
        use_cache=True, timeout_s=5.0,
    )  # fmt: skip
    assert given == [1, 2, 3]  # and not after the last


def test_a_wrong_target_ends_all() -> None:
    workers = Workers("a", answer=lambda worker, *_: Delivery(worker=worker, outcome="target", reason="no such cpu"))
    with pytest.raises(TargetError, match="no such cpu"):
        built(workers, WANTED)


def test_what_is_here_already_is_not_ordered() -> None:
    made, _ = compiled(WANTED[0], TARGET, ArtifactStore.of_user().folder)
    workers = Workers(answer=None)
    found = built(workers)
    assert found == {NAMES[0]: (made, True)}
    assert workers.given == []


def test_what_was_damaged_on_its_way_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(carried, "_kept", KEPT)

    def answer(worker: str, order: BuildOrder, _: int) -> Delivery:
        files = done(worker, order).files
        assert files is not None
        return Delivery(worker=worker, files={**{name: files[name] for name in FILES}, LIBRARY: b"damaged"})

    said = reason(built(Workers("a", answer=answer)))
    assert said.startswith("what worker a built cannot be kept: ")
    assert "it was damaged" in said
