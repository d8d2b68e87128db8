"""A model of what networks cost: the sum over their layers, what lies between them, and how far it may be off.

How far is learnt too: each network that was seen is predicted from the others, and the intervals are widened until they
would have held what was seen.
"""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Mapping, Sequence

import numpy as np
from scipy import stats as distributions

from mbench.fitting.layer_model import LayerModel, SeenLayer
from mbench.fitting.layer_shapes import LayerShape

_LEAST_BETWEEN = 0.01
"""Standard deviation that is assumed, at least, between a sum of layers and the whole, of their logarithms."""
_FEWEST = 3
"""Networks from which it is learnt how far predictions are off; of fewer, `_UNKNOWN` is added."""
_UNKNOWN = 0.25
_MOST_LEFT_OUT = 10
"""Networks that are predicted from the others: each needs a model of its own."""
_UNSEEN = 0.5
"""Standard deviation of the logarithm of what a kind of layer costs that was never seen."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class SeenNetwork:
    """A network with what it cost."""

    name: str
    group: str
    """Networks of a group have the same relation of the whole to the sum of the layers: a family, in one type."""
    layers: tuple[SeenLayer, ...]
    whole: float
    """What all of it cost."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Range:
    """What a network is predicted to cost."""

    value: float
    low: float
    high: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class Mistake:
    """What a network was predicted to cost when it was left out, and what it did."""

    name: str
    group: str
    predicted: float
    seen: float
    deviation: float
    """Standard deviation of the logarithm that the model claimed."""

    @property
    def error(self) -> float:
        """Of the prediction, relative to what was seen."""
        return self.predicted / self.seen - 1


class NetworkModel:
    """What networks cost whose layers are like those that were seen."""

    def __init__(self, seen: Sequence[SeenNetwork], *, noise: float, confidence: float = 0.95) -> None:
        """Learn.

        Args:
            seen: one network at least.
            noise: standard deviation of the logarithm of one layer's cost; 0.001 of counts.
            confidence: of intervals.

        Raises:
            ValueError: nothing was seen.
        """
        if not seen:
            raise ValueError("nothing was seen; a model needs a network at least")
        self._seen, self._noise = tuple(seen), noise
        self._models = _models(self._seen, noise)
        self._ratios = _ratios(self._seen)
        self.mistakes = self._left_out()
        """Networks that were seen, each predicted from the others; of many, some."""
        self._stretch = _stretches(self.mistakes)
        self._quantile = float(distributions.norm.ppf(0.5 + confidence / 2))

    def predict(self, group: str, shapes: Sequence[LayerShape]) -> Range:
        """Return what a network of a group costs that has these layers."""
        value, deviation = self._predicted(self._models, self._ratios, group, shapes)
        wide = self._quantile * self._stretch.get(group, self._stretch[""]) * deviation
        return Range(value=value, low=value * math.exp(-wide), high=value * math.exp(wide))

    def _predicted(
        self, models: Mapping[str, LayerModel], ratios: Mapping[str, tuple[float, float]], group: str,
        shapes: Sequence[LayerShape],
    ) -> tuple[float, float]:  # fmt: skip
        """Return the cost, and the standard deviation of its logarithm."""
        total, variance = 0.0, 0.0
        for kind, members in _by_kind(shapes).items():
            if kind in models:
                found = models[kind].predict(members)
                costs = np.exp(found.log_mean)
                variance += float(costs @ found.log_covariance @ costs)
            else:
                costs = np.array([_stranger(models, shape) for shape in members])
                variance += float((costs.sum() * _UNSEEN) ** 2)
            total += float(costs.sum())
        ratio, between = ratios.get(group) or ratios[""]
        unknown = 0.0 if group in ratios else _UNKNOWN
        return total * ratio, math.sqrt(variance / total**2 + between**2 + unknown**2)

    def _left_out(self) -> tuple[Mistake, ...]:
        if len(self._seen) < _FEWEST:
            return ()
        spreads = {kind: model.spread for kind, model in self._models.items()}
        found = []
        chosen = np.linspace(0, len(self._seen) - 1, min(len(self._seen), _MOST_LEFT_OUT)).astype(int)
        for network in (self._seen[place] for place in chosen):
            others = [each for each in self._seen if each is not network]
            models, ratios = _models(others, self._noise, spreads), _ratios(others)
            shapes = [layer.shape for layer in network.layers]
            value, deviation = self._predicted(models, ratios, network.group, shapes)
            found.append(
                Mistake(
                    name=network.name, group=network.group, predicted=value, seen=network.whole, deviation=deviation
                )
            )  # fmt: skip
        return tuple(found)


def _models(
    seen: Sequence[SeenNetwork], noise: float, spreads: Mapping[str, np.ndarray] | None = None
) -> dict[str, LayerModel]:
    layers: dict[str, list[SeenLayer]] = {}
    for network in seen:
        for layer in network.layers:
            layers.setdefault(layer.shape.kind, []).append(layer)
    known = spreads or {}
    return {kind: LayerModel(members, noise, known.get(kind)) for kind, members in layers.items()}


def _ratios(seen: Sequence[SeenNetwork]) -> dict[str, tuple[float, float]]:
    """Return, by group and of all (under an empty name), the whole over the sum of layers, and how that varies."""
    logs: dict[str, list[float]] = {}
    for network in seen:
        found = math.log(network.whole / sum(layer.cost for layer in network.layers))
        for name in ("", network.group):
            logs.setdefault(name, []).append(found)
    common = max(_LEAST_BETWEEN, statistics.stdev(logs[""])) if len(logs[""]) > 1 else _UNKNOWN
    return {
        name: (
            math.exp(statistics.median(values)),
            max(_LEAST_BETWEEN, statistics.stdev(values)) if len(values) >= _FEWEST else common,
        )
        for name, values in logs.items()
    }


def _stretches(mistakes: Sequence[Mistake]) -> dict[str, float]:
    """Return by what intervals are widened, by group where enough of it was seen, and of all under an empty name."""
    groups: dict[str, list[Mistake]] = {}
    for each in mistakes:
        groups.setdefault(each.group, []).append(each)
    return {"": _stretch(mistakes)} | {name: _stretch(own) for name, own in groups.items() if len(own) >= _FEWEST}


def _stretch(mistakes: Sequence[Mistake]) -> float:
    """Return by what intervals are widened, at least 1, to hold what was seen."""
    if not mistakes:
        return 1.0
    scores = [math.log(each.predicted / each.seen) / each.deviation for each in mistakes]
    return max(1.0, math.sqrt(sum(score**2 for score in scores) / len(scores)))


def _stranger(models: Mapping[str, LayerModel], shape: LayerShape) -> float:
    """Return the mean of what other kinds of layers would cost at this shape."""
    logs = [float(model.predict([shape]).log_mean[0]) for model in models.values()]
    return math.exp(sum(logs) / len(logs))


def _by_kind(shapes: Sequence[LayerShape]) -> dict[str, list[LayerShape]]:
    found: dict[str, list[LayerShape]] = {}
    for shape in shapes:
        found.setdefault(shape.kind, []).append(shape)
    return found
