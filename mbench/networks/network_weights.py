"""The numbers that a network is built with, and what it is checked against; `weights` draws or reads them."""

from __future__ import annotations

import dataclasses

import numpy as np

from mbench.core import artifact, dtypes
from mbench.core.quantized import QuantizationOutcome
from mbench.networks.graph import Graph


@dataclasses.dataclass(frozen=True, kw_only=True)
class Weights:
    """The weights of a network, and what it is checked against.

    `parameters` are those of the folded graph, float32, as it has them; `examples` are its inputs, by name, in the
    graph's dtype; `expected` are the reference's own outputs for them, in order. `reference` is what computed these, in
    numbers of `reference_dtype`, and to within `reference_resolution`, in the outputs' unit, however small they are.
    A quantised network has a graph of its own, which depends on the numbers.
    """

    parameters: dict[str, np.ndarray]
    examples: dict[str, np.ndarray]
    expected: tuple[np.ndarray, ...]
    reference: str = artifact.PYTORCH
    reference_dtype: str = dtypes.DEFAULT
    reference_resolution: float = 0.0
    graph: Graph | None = None
    """What is compiled; None: the folded graph of the variant."""
    tolerance: float | None = None
    """Of a quantised network: see `exactness.tolerance`."""
    quantized: QuantizationOutcome | None = None
