"""A device whose counts come from workers."""

from __future__ import annotations

import pickle
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import fake_devices as fakes
import pytest
from builder_fakes import TARGET, WANTED, compiled

from mbench.build.artifact_store import ArtifactStore
from mbench.build.carried import CarrierError
from mbench.build.carried_counts import CarriedEmulator
from mbench.build.orders import CountOrder, Delivery, SharedFolder
from mbench.core.errors import MeasureError
from mbench.core.settings import Warmup
from mbench.devices.protocols import Emulates, MeasuresAhead
from mbench.measure.observation import MeasurePlan

PLAN = MeasurePlan(
    threads=1, number=1, repeat=3, layer_repeat=3, block=3, warmup=Warmup(max_s=0.1), measure_max_s=None, tolerance=1e-4
)


class Counts:
    """Answers each order with what is planned, in the order that is asked for."""

    shared: SharedFolder | None = None

    def __init__(self, *answers: Any) -> None:
        self.answers, self.orders = list(answers), list[CountOrder]()
        self.futures: list[Future[Delivery]] = []

    def submit(self, number: int, written: bytes, avoid: Any) -> Future[Delivery] | None:
        self.orders.append(pickle.loads(written))
        future: Future[Delivery] = Future()
        self.futures.append(future)
        answer = self.answers.pop(0)
        if answer is not None:
            future.set_result(answer)
        return future

    def watch(self, note: Any) -> None:
        pass

    def why(self, error: BaseException) -> CarrierError:
        return CarrierError(str(error))


def test_counts_are_ordered_ahead_and_come_by_artifact(tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path)
    artifacts = [compiled(each, TARGET, tmp_path)[0] for each in WANTED]
    seen = [fakes.observed(each) for each in artifacts]
    carrier = Counts(*(Delivery(worker="a", answer=each) for each in seen[:2]), None)
    device = CarriedEmulator(carrier, store, TARGET, "qemu 7 -cpu max", 60.0, lambda _: None)
    assert isinstance(device, MeasuresAhead)
    assert isinstance(device, Emulates)
    device.measure_ahead([(each, PLAN) for each in artifacts])
    assert [order.digest for order in carrier.orders] == [each.manifest.digest for each in artifacts]
    assert {order.emulator for order in carrier.orders} == {"qemu 7 -cpu max"}
    assert [device.measure(each, PLAN, lambda *_: None) for each in reversed(artifacts[:2])] == seen[1::-1]
    device.close()
    assert carrier.futures[2].cancelled()


def test_what_could_not_be_counted_says_why(tmp_path: Path) -> None:
    made, _ = compiled(WANTED[0], TARGET, tmp_path)
    carrier = Counts(Delivery(worker="a", outcome="failed", reason="illegal instruction"))
    device = CarriedEmulator(carrier, ArtifactStore(tmp_path), TARGET, "qemu", 60.0, lambda _: None)
    with pytest.raises(MeasureError, match="illegal instruction"):
        device.measure(made, PLAN, lambda *_: None)
