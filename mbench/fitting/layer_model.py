"""A model of what one kind of layer costs, learnt from the layers that were seen; it says how far it may be off.

The logarithm of a cost is that of a sum of work and bytes, with what a Gaussian process makes of the rest: close shapes
have close costs. Each shape has a share of its own as well, as tiles that do not fill give it, so that a shape that was
seen has nearly the cost that was seen, and one that was not is known as well as its neighbours allow.
Rasmussen and Williams, Gaussian Processes for Machine Learning, 2006, algorithm 2.1 and section 5.4.1.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
from scipy import linalg, optimize

from mbench.fitting.layer_shapes import LayerShape

_FEWEST = 4
"""Shapes, below which nothing is learnt of how close ones lie together: the usual spread is taken."""
_MOST_LEARNT_OF = 120
"""Shapes that the spread is learnt of: the work grows with the third power."""
_USUAL = (math.log(2.0), math.log(0.3), math.log(0.05))
"""Logarithms of the reach, in standard deviations of the features, of the common spread, and of each shape's own."""
_LEAST_SHARE = 0.1
"""Of the least cost that was seen: what a shape costs at least before it is known better. Fitted rates may be 0."""
_RANGES = ((math.log(0.3), math.log(30.0)), (math.log(0.02), math.log(2.0)), (math.log(0.003), math.log(0.6)))


@dataclasses.dataclass(frozen=True, kw_only=True)
class SeenLayer:
    """A layer with what it cost, in seconds, joules, instructions or what else."""

    shape: LayerShape
    cost: float
    """Above 0."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Predicted:
    """Costs of several layers: logarithms, and how they vary together."""

    log_mean: np.ndarray
    """(layers,)."""
    log_covariance: np.ndarray
    """(layers, layers)."""


class LayerModel:
    """What layers of one kind cost."""

    def __init__(self, seen: Sequence[SeenLayer], noise: float, spread: np.ndarray | None = None) -> None:
        """Learn.

        Args:
            seen: layers of this kind; one at least. Of equal shapes the mean is taken.
            noise: standard deviation of the logarithm of one cost that was seen.
            spread: of another model of the same kind, as `spread`; None: it is learnt.
        """
        merged = _merged(seen)
        self._shapes = [shape for shape, _, _ in merged]
        self._index = {shape.key: place for place, shape in enumerate(self._shapes)}
        costs = np.array([cost for _, cost, _ in merged])
        self._noise = noise**2 / np.array([count for _, _, count in merged])
        self._base = _fitted_base(self._shapes, costs)
        self._least = _LEAST_SHARE * float(costs.min())
        features = np.array([shape.features for shape in self._shapes])
        self._centre, deviation = features.mean(axis=0), features.std(axis=0)
        self._scale = np.where(deviation > 1e-9, deviation, 1.0)
        self._points = (features - self._centre) / self._scale
        self._rest = np.log(costs) - self._base_of(self._shapes)
        self._offset = float(np.mean(self._rest))
        self.spread = self._learnt() if spread is None else spread
        """Logarithms of reach, common spread and own spread."""
        matrix = self._covariance(self._points, self._points) + np.diag(self._own + self._noise)
        self._factor = linalg.cho_factor(matrix, lower=True)
        self._weights = linalg.cho_solve(self._factor, self._rest - self._offset)

    @property
    def _own(self) -> float:
        return float(np.exp(2 * self.spread[2]))

    def predict(self, shapes: Sequence[LayerShape]) -> Predicted:
        """Return the costs of layers of this kind."""
        points = (np.array([shape.features for shape in shapes]) - self._centre) / self._scale
        across = self._covariance(points, self._points) + self._own * self._same(shapes, self._shapes)
        mean = self._base_of(shapes) + self._offset + across @ self._weights
        inner = self._covariance(points, points) + self._own * self._same(shapes, shapes)
        reduced = inner - across @ linalg.cho_solve(self._factor, across.T)
        return Predicted(log_mean=mean, log_covariance=reduced)

    def _same(self, left: Sequence[LayerShape], right: Sequence[LayerShape]) -> np.ndarray:
        places = {shape.key: place for place, shape in enumerate(right)}
        if len(places) == len(right):
            found = np.zeros((len(left), len(right)))
            for row, shape in enumerate(left):
                if shape.key in places:
                    found[row, places[shape.key]] = 1.0
            return found
        return np.array([[float(one.key == other.key) for other in right] for one in left])

    def _base_of(self, shapes: Sequence[LayerShape]) -> np.ndarray:
        return np.asarray(np.log(np.maximum(_terms(shapes) @ self._base, self._least)))

    def _covariance(self, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        return _matern(left, right, self.spread)

    def _learnt(self) -> np.ndarray:
        """Return the spread that makes what was seen most likely."""
        if len(self._shapes) < _FEWEST:
            return np.array(_USUAL)
        chosen = np.linspace(0, len(self._shapes) - 1, min(len(self._shapes), _MOST_LEARNT_OF)).astype(int)
        points, rest, noise = self._points[chosen], (self._rest - self._offset)[chosen], self._noise[chosen]

        def unlikely(spread: np.ndarray) -> float:
            matrix = _matern(points, points, spread) + np.diag(np.exp(2 * spread[2]) + noise)
            lower = linalg.cholesky(matrix, lower=True)
            solved = linalg.solve_triangular(lower, rest, lower=True)
            return float(0.5 * solved @ solved + np.log(np.diag(lower)).sum())

        found = optimize.minimize(unlikely, np.array(_USUAL), method="L-BFGS-B", bounds=_RANGES)
        return np.asarray(found.x)


def _merged(seen: Sequence[SeenLayer]) -> list[tuple[LayerShape, float, int]]:
    """Return each shape once, with the geometric mean of its costs and how many there were."""
    found: dict[object, list[SeenLayer]] = {}
    for each in seen:
        found.setdefault(each.shape.key, []).append(each)
    return [
        (group[0].shape, math.exp(sum(math.log(each.cost) for each in group) / len(group)), len(group))
        for group in found.values()
    ]


def _terms(shapes: Sequence[LayerShape]) -> np.ndarray:
    """Return what costs are sums of: multiply-adds, elements moved, and being called at all."""
    return np.array([(shape.macs, shape.moved, 1.0) for shape in shapes])


def _fitted_base(shapes: Sequence[LayerShape], costs: np.ndarray) -> np.ndarray:
    """Return non-negative rates that fit the costs with the least sum of squared relative errors."""
    terms = _terms(shapes) / costs[:, None]
    largest = terms.max(axis=0)
    largest[largest == 0] = 1.0
    found, _ = optimize.nnls(terms / largest, np.ones(len(costs)))
    rates = found / largest
    return rates if rates.any() else np.array([0.0, 0.0, float(costs.mean())])


def _matern(left: np.ndarray, right: np.ndarray, spread: np.ndarray) -> np.ndarray:
    """Return Matérn's covariance of smoothness 5/2, without what each shape has of its own."""
    reach, common = np.exp(spread[0]), np.exp(2 * spread[1])
    squared = ((left[:, None, :] - right[None, :, :]) ** 2).mean(axis=2)
    near = np.sqrt(5.0 * np.maximum(squared, 0.0)) / reach
    return np.asarray(common * (1 + near + near**2 / 3) * np.exp(-near))
