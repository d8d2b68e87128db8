"""A network of float32 and its numbers become one of 8-bit whole numbers, with the outputs that it has to give.

The calibration sees drawn images, or those that the user gave. The reference is the quantised graph computed by torch
and numpy, exact to the last bit; beside it stands what the float32 network gives.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Iterator, Mapping

import numpy as np
import torch

from mbench.core import units
from mbench.core.errors import UsageError
from mbench.core.quantized import Evaluation, FloatLayer, QuantizationOutcome, QuantizationSettings, SignalToNoise
from mbench.networks import (
    calibration,
    exactness,
    folding,
    image_sets,
    kernels,
    quality,
    quantize,
    tensors,
    torch_network,
)
from mbench.networks.calibration import Images
from mbench.networks.graph import Graph
from mbench.networks.image_sets import Image, ImageSet
from mbench.networks.network_weights import Weights
from mbench.networks.quality import NetworkQuality, ValueQuality
from mbench.networks.quantization import ValueRange
from mbench.networks.quantize import QuantizedNetwork, QuantizeOptions

REFERENCE = "the same network of whole numbers, computed by numpy and PyTorch as docs/int8.md defines it"
CALIBRATION, EVALUATION = "--calibration", "--evaluate"
COMPARED = 8
"""Batches that a quantised network is compared with the float32 network on; of a user's own images, the first."""
_ROWS = 2

Computed = tuple[Graph, Mapping[str, np.ndarray]]
"""A graph and its parameters."""


def quantised(floats: Weights, graph: Graph, settings: QuantizationSettings) -> Weights:
    """Return a network in whole numbers, with what quantisation costs; see `begun`."""
    found, outcome = begun(floats, graph, settings)
    return dataclasses.replace(found, quantized=outcome())


def begun(
    floats: Weights, graph: Graph, settings: QuantizationSettings
) -> tuple[Weights, Callable[[], QuantizationOutcome]]:
    """Return a network in whole numbers, and what compares it with the one in float32, which takes longer.

    Args:
        floats: its weights in float32, and its example inputs.
        graph: in float32, folded.
        settings: how it is quantised.

    Raises:
        UsageError: the images of the calibration do not fit, a pattern of `keep_float` fits no layer, or no layer is
            left to quantise; of the comparison: images or labels of the evaluation do not fit.
    """
    seen, compared, count = _images(graph, settings)
    ranges = calibration.ranges(graph, floats.parameters, seen, percentile=settings.percentile)
    network = with_roundings(floats, graph, ranges, settings)
    if not exactness.is_quantised(network.graph):
        kept = f"{', '.join(settings.keep_float)} is to stay float, and " if settings.keep_float else ""
        raise UsageError(f"{kept}no layer is left that is computed in int8; run the network in float32")
    folded = folding.as_compiled(network.graph)
    found = dataclasses.replace(
        floats,
        parameters=folded.parameters(network.parameters),
        expected=exact_outputs(network.graph, network.parameters, floats.examples),
        reference=REFERENCE,
        graph=folded.graph,
        tolerance=exactness.tolerance(network.graph),
    )

    def outcome() -> QuantizationOutcome:
        quality_found = quality.compared(graph, floats.parameters, network, compared, count)
        return _outcome(graph, floats, network, settings, _layers(folded.graph), found=quality_found)

    return found, outcome


def seen_ranges(floats: Weights, graph: Graph, settings: QuantizationSettings) -> dict[str, ValueRange]:
    """Return the ranges of the values of a network in float32, as `quantised` takes them.

    Raises:
        UsageError: the images of the calibration do not fit.
    """
    seen, *_ = _images(graph, settings)
    return calibration.ranges(graph, floats.parameters, seen, percentile=settings.percentile)


def with_roundings(
    floats: Weights, graph: Graph, ranges: Mapping[str, ValueRange], settings: QuantizationSettings
) -> QuantizedNetwork:
    """Return a network in whole numbers, and the one of floats with the same roundings, which other formats have.

    Args:
        floats: its weights in float32.
        graph: in float32, folded.
        ranges: of its values.
        settings: how it is quantised.

    Raises:
        UsageError: a pattern of `keep_float` fits no layer.
    """
    options = QuantizeOptions(
        activations=settings.activations,
        largest_weight=settings.largest_weight,
        residual="rounded" if settings.residual == "rounded" else "fused",
        keep_float=settings.keep_float,
    )
    return quantize.quantized(graph, floats.parameters, ranges, options)


def exact_outputs(
    graph: Graph, parameters: Mapping[str, np.ndarray], inputs: Mapping[str, np.ndarray]
) -> tuple[np.ndarray, ...]:
    """Return the outputs of a quantised graph, in order: what kernels have to give, to the last bit."""
    with torch_network.one_thread():
        given = {name: tensors.of(value) for name, value in inputs.items()}
        return tuple(output.numpy() for output in torch_network.run(graph, parameters, given))


def _images(graph: Graph, settings: QuantizationSettings) -> tuple[Images, Images, int | None]:
    """Return the batches that the calibration sees, those that are compared, and how many images the user gave."""
    if settings.calibration_sha256 is None:
        drawn = _drawn(graph, settings.images + COMPARED)
        return drawn[: settings.images], drawn[settings.images :], None
    given = image_sets.remembered(settings.calibration_sha256, CALIBRATION)
    seen = given.images(graph, settings.preprocessing or image_sets.DEFAULT)
    return seen, seen[:COMPARED], len(given)


def _drawn(graph: Graph, count: int) -> Images:
    generator = torch.Generator().manual_seed(torch_network.SEED + 2)
    return [
        {name: torch_network.drawn_input(given, given.shape, generator).numpy() for name, given in graph.inputs.items()}
        for _ in range(count)
    ]


def _layers(graph: Graph) -> dict[str, str]:
    """Return the layer that makes each value of a graph, by the value's name."""
    return {node.name: group.name for group in kernels.groups(graph) for node in (*group.nodes, *group.views)}


def _outcome(
    graph: Graph,
    floats: Weights,
    network: QuantizedNetwork,
    settings: QuantizationSettings,
    layers: Mapping[str, str],
    *,
    found: NetworkQuality,
) -> QuantizationOutcome:
    """Return what quantisation made of a network, beside the one in float32; `layers` make its values."""
    evaluation = None
    if settings.evaluation_sha256 is not None:
        given = image_sets.remembered(settings.evaluation_sha256, EVALUATION)
        both = (graph, floats.parameters), (network.graph, network.parameters)
        evaluation = evaluated(*both, given, settings.preprocessing or image_sets.DEFAULT)
    return QuantizationOutcome(
        left_float=tuple(FloatLayer(name=each.name, op=each.op, reason=each.reason) for each in network.left_float),
        images=found.images,
        drawn=settings.calibration_sha256 is None,
        values=tuple(_recorded(value, layers.get(network.values[value.name])) for value in found.values),
        outputs=tuple(
            _recorded(value, layers.get(made)) for value, made in zip(found.outputs, network.graph.outputs, strict=True)
        ),
        agreement=found.agreement,
        evaluation=evaluation,
    )


def evaluated(floats: Computed, whole: Computed, given: ImageSet, preprocessing: str) -> Evaluation:
    """Return how often a network in float32 and the quantised one, both by their references, say what the labels say.

    Raises:
        UsageError: the network gives no row of classes, or the images or labels do not fit it.
    """
    graph, _ = floats
    batch, shape = image_sets.batch_of(graph), graph.shape(graph.outputs[0])
    if len(shape) != _ROWS or shape[0] != batch:
        raise UsageError(
            f"{EVALUATION}: the network's first output is {units.shape(shape)}; expected a row of classes for each "
            "image"
        )
    labels, images = given.labels(shape[1]), given.images(graph, preprocessing)
    first, second = (np.concatenate(list(_largest(*each, images)))[: len(given)] for each in (floats, whole))
    return Evaluation(
        images=len(given),
        float32_correct=int((first == labels).sum()),
        int8_correct=int((second == labels).sum()),
        agreeing=int((first == second).sum()),
    )


def _largest(graph: Graph, parameters: Mapping[str, np.ndarray], images: Iterable[Image]) -> Iterator[np.ndarray]:
    """Yield the places of the largest outputs, batch by batch."""
    for image in images:
        yield exact_outputs(graph, parameters, image)[0].argmax(-1)


def _recorded(value: ValueQuality, layer: str | None) -> SignalToNoise:
    sqnr_db = value.sqnr_db if math.isfinite(value.sqnr_db) else None
    return SignalToNoise(name=value.name, sqnr_db=sqnr_db, layer=layer)
