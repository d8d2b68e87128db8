"""Emulated counts that workers carry out: a device that has artifacts counted elsewhere, several at once."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import cast

from mbench.build import worker_facts
from mbench.build.artifact_store import ArtifactStore
from mbench.build.carried import Carrier, Orders
from mbench.build.orders import CountOrder, Delivery
from mbench.core.artifact import Artifact
from mbench.core.errors import MeasureError
from mbench.core.machine_types import Target
from mbench.core.progress import Note, Report
from mbench.core.records import Failure
from mbench.measure.observation import MeasurePlan, Observation


class CarriedEmulator:
    """Has artifacts checked and counted by workers that emulate a target as this machine would."""

    name = "emulated"

    def __init__(
        self, carrier: Carrier, store: ArtifactStore, target: Target, emulator: str, timeout_s: float, note: Note
    ) -> None:
        """Take a carrier; nothing is asked of it yet.

        Args:
            carrier: gives orders to workers.
            store: where the artifacts lie.
            target: what is emulated.
            emulator: what must do it: program, version, processor.
            timeout_s: see `devices.emulated`.
            note: called with what the user should know.
        """
        self._target, self.emulator, self._timeout_s = target, emulator, timeout_s
        self._shared, self._facts = carrier.shared, worker_facts.facts()
        self._stack = contextlib.ExitStack()
        self._orders = self._stack.enter_context(Orders(carrier, store, note))
        self._given: set[str] = set()
        self._answers: dict[str, Delivery | Failure] = {}

    def measure_ahead(self, wanted: Sequence[tuple[Artifact, MeasurePlan]]) -> None:
        """Have artifacts counted that will be asked for."""
        for artifact, plan in wanted:
            self._give(artifact, plan)

    def _give(self, artifact: Artifact, plan: MeasurePlan) -> None:
        digest = artifact.manifest.digest
        if digest not in self._given:
            self._given.add(digest)
            order = CountOrder(
                facts=self._facts, shared=self._shared, digest=digest, target=self._target, plan=plan,
                timeout_s=self._timeout_s, emulator=self.emulator,
            )  # fmt: skip
            self._orders.give(digest, order)

    def measure(self, artifact: Artifact, plan: MeasurePlan, report: Report) -> Observation:
        """Return what a worker counted.

        Raises:
            MeasureError: it could not be counted.
        """
        digest = artifact.manifest.digest
        self._give(artifact, plan)
        report("emulating", 0.0)
        if digest not in self._answers:
            for name, answer in self._orders.answered(lambda: digest in self._answers):
                self._answers[name] = answer
        self._given.discard(digest)
        answer = self._answers.pop(digest)
        if isinstance(answer, Failure):
            raise MeasureError(answer.reason)
        return cast(Observation, answer.answer)

    def close(self) -> None:
        """Cancel what nobody asked for."""
        self._stack.close()
