"""The files that runtimes load of a network that mbench quantised: the same scales, zero points and whole numbers.

mbench adds a residual to sums before they are rounded. In a file that says so, ONNX Runtime computes the convolution
before it in float32, and LiteRT adds nothing but values of 8 bits. In the files here, what is added is rounded before.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
from cases import LITE, ONNX, SIGNED, Case

from mbench.core import dtypes
from mbench.core.quantized import QuantizationSettings
from mbench.networks import architectures, quantized_weights
from mbench.networks import weights as weights_of
from mbench.networks.graph import Graph
from mbench.networks.network_weights import Weights
from mbench.networks.quantization import ValueRange
from mbench.networks.quantize import QuantizedNetwork


@dataclasses.dataclass(frozen=True, kw_only=True)
class Calibrated:
    """What all files of a network are made from."""

    floats: Weights
    graph: Graph
    """In float32, folded."""
    ranges: dict[str, ValueRange]
    settings: QuantizationSettings

    def network(self, **changed: Any) -> QuantizedNetwork:
        """Return it in whole numbers, with some settings changed."""
        settings = msgspec.structs.replace(self.settings, **changed)
        return quantized_weights.with_roundings(self.floats, self.graph, self.ranges, settings)


def kept(case: Case) -> Calibrated:
    """Return what the files of a network are made from; its inputs and what is expected of them are kept."""
    settings = case.variant.quantization
    assert settings is not None
    exact = msgspec.structs.replace(case.variant, dtype=dtypes.DEFAULT, quantization=None)
    case.keep(weights_of.draw(case.variant), (floats := weights_of.draw(exact)).expected)
    graph = architectures.folded(exact).graph
    ranges = quantized_weights.seen_ranges(floats, graph, settings)
    return Calibrated(floats=floats, graph=graph, ranges=ranges, settings=settings)


def _export_onnx(file: str, **changed: Any) -> Callable[[Calibrated, Path], None]:
    def write(network: Calibrated, folder: Path) -> None:
        import onnx
        import qdq_writer

        onnx.save(qdq_writer.model(network.network(**changed).qdq), folder / file)

    return write


def _export_tflite(network: Calibrated, folder: Path) -> None:
    import tflite_int8_writer

    content = tflite_int8_writer.model(network.network(residual="rounded").qdq, network.ranges)
    (folder / LITE).write_bytes(content)


FORMATS: dict[str, Callable[[Calibrated, Path], None]] = {
    ONNX: _export_onnx(ONNX, residual="rounded"),
    SIGNED: _export_onnx(SIGNED, residual="rounded", activations="int8"),
    LITE: _export_tflite,
}
