"""A machine of our own that measures networks at once, for tests of the search for one that fits."""

from __future__ import annotations

import dataclasses
import functools
import math
import random
import zlib
from collections.abc import Sequence

import msgspec
import record_factory

from mbench.analysis import accuracy
from mbench.core.fit_records import DeviceLimits, Objective
from mbench.core.progress import Progress, silent
from mbench.core.records import Result, Variant
from mbench.fitting import answers, candidates, layer_shapes, observations, search
from mbench.fitting.budget import Budget
from mbench.fitting.candidates import NetworkCandidate
from mbench.fitting.layer_shapes import LayerShape
from mbench.fitting.observations import Observed
from mbench.fitting.search import FitOutcome, FitSearch, Question
from mbench.hardware import targets
from mbench.networks import variants

TARGET = targets.load("arm64_cortex_a72")
STATIC_W = 1.5
"""Of the coefficients that records for tests have."""


def cost(shape: LayerShape) -> float:
    """A machine of our own: rates by kind, a start, and a share that each shape has of its own."""
    rate = {"depthwise_conv2d float32": 5e9}.get(shape.kind, 4e10)
    own = 1 + 0.04 * math.sin(zlib.crc32(repr(shape.key).encode()))
    return (shape.macs / rate + shape.moved / 2e10 + 1e-6) * own


def measured(name: str) -> Result:
    """Return what the machine shows of a network, five sessions without noise."""
    result = record_factory.record([name]).results[0]
    drawn = random.Random(name)
    layers = []
    for layer in result.layers:
        shape = layer_shapes.of_layer(layer, "float32")
        seconds = cost(shape) * math.exp(drawn.gauss(0, 0.01))
        joules = 5e-12 * shape.macs + 1e-11 * shape.moved + STATIC_W * seconds
        layers.append(msgspec.structs.replace(layer, latency_s=(seconds,), energy_j=joules))
    whole = truth(name)
    return msgspec.structs.replace(
        result, layers=tuple(layers), end_to_end=msgspec.structs.replace(result.end_to_end, latency_s=(whole,) * 5)
    )


def truth(name: str) -> float:
    return 1.02 * sum(cost(shape) for shape in described(name).shapes)


@functools.cache
def described(name: str) -> NetworkCandidate:
    [found] = candidates.described([variants.parse(name)], TARGET)
    return found


class Machine:
    """Stands for `Observations`: measures at once, and counts."""

    def __init__(self, broken: Sequence[str] = (), *, session_s: float = 0.0) -> None:
        self.known: dict[str, Observed] = {}
        self.methods: dict[str, str] = {}
        self.failed: dict[str, str] = {}
        self.asked: list[str] = []
        self.sessions: list[int] = []
        """Of each that was asked."""
        self.attempts: dict[str, int] = {}
        self._broken, self._session_s = broken, session_s
        self.now_s = 0.0
        """By its clock: a session of a network takes some seconds."""

    def measure(self, networks: Sequence[Variant], _progress: Progress, *, sessions: int) -> tuple[Observed, ...]:
        for network in networks:
            self.asked.append(network.name)
            self.sessions.append(sessions)
            self.now_s += sessions * self._session_s
            self.attempts[network.name] = self.attempts.get(network.name, 0) + 1
            if network.name in self._broken:
                self.failed[network.name] = "the compiler crashed"
                continue
            found = observations.of_result(measured(network.name))
            assert found is not None
            self.known[network.name] = marked(found, sessions > 1)
        return ()


def marked(found: Observed, sure: bool) -> Observed:
    """Return what was seen as of several sessions, which are alike here, or of one, which may be 8 % off."""
    wide = 1.0 if sure else 1.08
    return dataclasses.replace(found, sure=sure, low_s=found.latency_s / wide, high_s=found.latency_s * wide)


def question(
    limits: DeviceLimits, words: Sequence[str] = ("mobilenet_v1",), objective: Objective = "accuracy"
) -> Question:
    every = tuple(described(name) for name in candidates.names(words))
    return Question(
        candidates=every,
        accuracies={each.name: accuracy.of(each.network) for each in every},
        limits=limits,
        objective=objective,
    )


def searched(asked: Question, machine: Machine, *, seconds: float = 1000.0) -> FitOutcome:
    budget = Budget(seconds, counted=False, clock=lambda: machine.now_s)
    return FitSearch(asked, machine, budget=budget, sessions=5).run(silent, search.unheard)  # type: ignore[arg-type]


def best(found: FitOutcome, limits: DeviceLimits) -> str | None:
    given = answers.answers(found.estimates.candidates, limits, found.sure)
    return given[0].network if given else None


def exhaustive(asked: Question) -> float | None:
    """Return the best accuracy of all that fit, every one measured."""
    fitting = []
    for each in asked.candidates:
        top1 = asked.accuracies[each.name].top1_percent
        if top1 is not None and truth(each.name) <= (asked.limits.latency_s or math.inf):
            fitting.append(top1)
    return max(fitting, default=None)
