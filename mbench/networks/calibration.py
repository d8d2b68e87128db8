"""Calibration: the range of each value of a network in float32, seen on given images.

| percentile | the range is |
|---|---|
| 100 (the default) | from the smallest to the largest number seen |
| p | without the (100 - p) % largest and as many of the smallest: those are clamped |

The default clamps nothing that was seen, which is what ONNX Runtime and LiteRT do. A percentile such as 99.99 gives the
rest finer steps; it pays for networks with a few very large activations, and costs where these matter: measure it, with
`networks.quality`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch

from mbench.core import units
from mbench.core.errors import UsageError
from mbench.networks import tensors, torch_network
from mbench.networks.graph import Graph
from mbench.networks.quantization import ValueRange

MIN_MAX = 100.0
_LEAST = 50.0

Images = Sequence[Mapping[str, np.ndarray]]
"""Inputs of a network by name, several times."""


def ranges(
    graph: Graph, parameters: Mapping[str, np.ndarray], images: Images, *, percentile: float = MIN_MAX
) -> dict[str, ValueRange]:
    """Return the range of each floating-point input and node of a graph.

    Args:
        graph: float32, folded: what is going to be quantised.
        parameters: its numbers.
        images: one or more, each in the shapes of the graph's inputs.
        percentile: above 50, at most 100: see above.

    Raises:
        UsageError: there are no images, one has a wrong shape, or a value is NaN or infinite.
    """
    if not _LEAST < percentile <= MIN_MAX:
        raise UsageError(f"percentile {percentile:g} of a calibration cannot be; expected a number above 50, up to 100")
    if not images:
        raise UsageError("a calibration needs at least one image, and there is none")
    tails = _Tails(len(images), (MIN_MAX - percentile) / 100)
    with torch_network.one_thread():
        for place, image in enumerate(images, 1):
            given = _checked(graph, image, f"image {place} of the calibration")
            for name, value in given.items():
                tails.see(name, value)
            torch_network.run(graph, parameters, given, watch=tails.see)
    return tails.ranges()


def _checked(graph: Graph, image: Mapping[str, np.ndarray], said: str) -> torch_network.Values:
    """Return an image as torch has it.

    Raises:
        UsageError: it is not what the graph reads.
    """
    for name in graph.inputs:
        if name not in image:
            raise UsageError(f"{said} has no input {name!r}; expected {', '.join(graph.inputs)}")
        got, expected = image[name].shape, graph.shape(name)
        if got != expected:
            raise UsageError(f"{said}: input {name!r} is {units.shape(got)}; expected {units.shape(expected)}")
    return {name: tensors.of(image[name].astype(given.dtype)) for name, given in graph.inputs.items()}


class _Tails:
    """Keeps of each value the numbers that may be the ends of its range: exact, and small whatever the images are."""

    def __init__(self, images: int, left_out: float) -> None:
        self._images, self._left_out = images, left_out
        self._seen: dict[str, int] = {}
        self._low: dict[str, np.ndarray] = {}
        self._high: dict[str, np.ndarray] = {}

    def see(self, name: str, value: torch.Tensor) -> None:
        """Take in a value of the network.

        Raises:
            UsageError: it is not finite.
        """
        if not value.is_floating_point():
            return
        numbers = value.numpy().reshape(-1)
        low, high = float(numbers.min()), float(numbers.max())
        if not (math.isfinite(low) and math.isfinite(high)):
            count = int(np.count_nonzero(~np.isfinite(numbers)))
            raise UsageError(
                f"{count} of {numbers.size} numbers of {name!r} are NaN or infinite on the images of the calibration; "
                "expected finite ones"
            )
        kept = self._kept(numbers.size * self._images)
        self._low[name] = _smallest(np.concatenate([self._low.get(name, numbers[:0]), numbers]), kept)
        self._high[name] = -_smallest(-np.concatenate([self._high.get(name, numbers[:0]), numbers]), kept)
        self._seen[name] = self._seen.get(name, 0) + numbers.size

    def _kept(self, count: int) -> int:
        return math.floor(count * self._left_out) + 1

    def ranges(self) -> dict[str, ValueRange]:
        """Return the range of each value: as many numbers lie beyond each end as are left out."""
        return {name: (float(self._low[name].max()), float(self._high[name].min())) for name in self._seen}


def _smallest(numbers: np.ndarray, count: int) -> np.ndarray:
    """Return the smallest numbers, in no order."""
    if count == 1:
        return np.asarray(numbers.min(keepdims=True))
    return np.asarray(np.partition(numbers, count - 1)[:count]) if count < numbers.size else numbers
