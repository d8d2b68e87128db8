"""What quantisation costs in quality, beside the same network in float32: signal to noise, and agreement.

Signal to quantisation noise (SQNR) is 10 log10(sum of squares of the float32 numbers / sum of squared differences), in
dB; 6 dB are about one bit. Agreement is the share of inputs whose largest output is the same. On drawn weights or drawn
images neither is an accuracy: outputs there lie closer together than those of a trained network on its own data.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping

import numpy as np
import torch

from mbench.networks import image_sets, quantization, tensors, torch_network
from mbench.networks.calibration import Images
from mbench.networks.graph import Graph
from mbench.networks.quantize import QuantizedNetwork

_ROWS = 2


@dataclasses.dataclass(frozen=True, kw_only=True)
class ValueQuality:
    """How far one value of a network is from the float32 network's."""

    name: str
    """In the float32 graph."""
    sqnr_db: float
    """Infinite where nothing differs."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class NetworkQuality:
    """How far a quantised network is from the float32 network, on some images."""

    images: int
    values: tuple[ValueQuality, ...]
    """Of each value that is rounded to 8 bits, in order of execution: with all noise from before it."""
    outputs: tuple[ValueQuality, ...]
    agreement: float | None
    """Share of the rows of the first output whose largest number stands at the same place; None for other shapes."""


def sqnr_db(reference: np.ndarray, found: np.ndarray) -> float:
    """Return the signal to noise of numbers, in dB; infinite where nothing differs, NaN where there is no signal."""
    noise = _NoisePowers()
    noise.add("", reference, found)
    return noise.qualities()[0].sqnr_db


def _decibels(signal: float, noise: float) -> float:
    if not noise:
        return math.inf
    return 10 * math.log10(signal / noise) if signal else math.nan


def agreement(reference: np.ndarray, found: np.ndarray) -> np.ndarray:
    """Return of each row, (N, classes), whether its largest number stands at the same place: (N) bool."""
    return np.asarray(reference.argmax(-1) == found.argmax(-1))


def compared(
    graph: Graph,
    parameters: Mapping[str, np.ndarray],
    network: QuantizedNetwork,
    images: Images,
    count: int | None = None,
) -> NetworkQuality:
    """Compare a quantised network with the one in float32.

    Args:
        graph: float32, as it was quantised.
        parameters: its numbers.
        network: quantised.
        images: batches of inputs by name, one or more.
        count: how many images these are, where the last one is repeated to fill its batch; None: all are others.
    """
    names = {whole: name for name, whole in network.values.items()}
    values, outputs = _NoisePowers(), _NoisePowers()
    agreeing: list[bool] = []
    seen = 0
    with torch_network.one_thread():
        for image in images:
            given = {name: tensors.of(each) for name, each in image.items()}
            floats = {**given}
            expected = torch_network.run(graph, parameters, given, watch=floats.__setitem__)

            def see(name: str, value: torch.Tensor, floats: dict[str, torch.Tensor] = floats) -> None:
                if name in names:
                    known = quantization.of_value(network.graph, name)
                    values.add(names[name], floats[names[name]].numpy(), known.real(value.numpy()))

            found = torch_network.run(network.graph, network.parameters, given, watch=see)
            for name, left, right in zip(graph.outputs, expected, found, strict=True):
                outputs.add(name, left.numpy(), right.numpy())
            if expected[0].dim() == _ROWS:
                agreeing += agreement(expected[0].numpy(), found[0].numpy()).tolist()
            seen += image_sets.batch_of(graph)
    count = seen if count is None else min(seen, count)
    return NetworkQuality(
        images=count,
        values=values.qualities(),
        outputs=outputs.qualities(),
        agreement=float(np.mean(agreeing[: count if len(agreeing) == seen else None])) if agreeing else None,
    )


class _NoisePowers:
    """Powers of signals and of noise by name, in order of first appearance."""

    def __init__(self) -> None:
        self._signal: dict[str, float] = {}
        self._noise: dict[str, float] = {}

    def add(self, name: str, reference: np.ndarray, found: np.ndarray) -> None:
        exact = reference.astype(np.float64)
        self._signal[name] = self._signal.get(name, 0.0) + float(np.square(exact).sum())
        self._noise[name] = self._noise.get(name, 0.0) + float(np.square(found.astype(np.float64) - exact).sum())

    def qualities(self) -> tuple[ValueQuality, ...]:
        return tuple(
            ValueQuality(name=name, sqnr_db=_decibels(signal, self._noise[name]))
            for name, signal in self._signal.items()
        )
