"""What a layer's cost depends on, as numbers: the key under which equal layers meet, and the features of a model.

A layer as specified (of a candidate that was never built) and a layer as recorded have the same key where their kernels
are the same: the network around them does not matter.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple, Protocol

from mbench.core.network_digest import DescribedLayer

_CHEAP = ("reshape", "relu", "relu6", "clip", "requantize", "add", "quantized_add")
"""Operations that cost next to nothing where a kernel has them behind its sums."""


class ShapedLayer(DescribedLayer, Protocol):
    """A layer as specified, as planned in an artifact, or as recorded."""

    @property
    def macs(self) -> int: ...  # noqa: D102
    @property
    def params(self) -> int: ...  # noqa: D102


class LayerShape(NamedTuple):
    """A layer as a model sees it."""

    kind: str
    """Layers of one kind have one model: the operation, and the type that it computes in."""
    key: tuple[object, ...]
    """Equal for layers with equal kernels."""
    macs: int
    moved: int
    """Elements of input, weights and output."""
    features: tuple[float, ...]


def of_layer(layer: ShapedLayer, dtype: str) -> LayerShape:
    """Return what the cost of a layer of a network of `dtype` depends on."""
    read, made = math.prod(layer.input_shape), math.prod(layer.output_shape)
    stride = layer.stride[0] if layer.stride else 1
    side = math.prod(layer.kernel_size) if layer.kernel_size else 1
    costly = sum(each not in _CHEAP for each in layer.operations)
    channels = _channels(layer.input_shape), _channels(layer.output_shape)
    sizes = (1 + layer.macs, read, made, 1 + layer.params, *channels, side)
    counts = (stride > 1, len(layer.operations), costly)
    features = (*map(math.log, sizes), *map(float, counts))
    return LayerShape(
        kind=f"{layer.op} {dtype}",
        key=(
            *(layer.op, dtype, tuple(layer.operations), tuple(layer.input_shape), tuple(layer.output_shape)),
            *(tuple(layer.kernel_size or ()), tuple(layer.stride or ()), layer.groups, layer.macs, layer.params),
        ),
        macs=layer.macs,
        moved=read + made + layer.params,
        features=features,
    )


def _channels(shape: Sequence[int]) -> int:
    return shape[1] if len(shape) > 1 else shape[0]
