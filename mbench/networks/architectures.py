"""The networks: what a variant's name means, as a list of layers from shapes alone (no torch).

A network is a few strings, one block a word, in the manner of timm:

    conv_k3_s2_c32      convolution, 3x3, stride 2, 32 output channels, BatchNorm, ReLU
    ds_k3_s1_c64_r5     depthwise-separable block (depthwise 3x3, pointwise to 64 channels), 5 times
    pool                global average
    fc_c1000            fully connected

Channels are for width multiplier 1. The torch modules are in `networks.torch_network`, their weights as arrays in
`mbench.networks.weights`.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator

from mbench.core.field_types import Op
from mbench.core.records import Variant
from mbench.networks.families import mobilenet_v1

FAMILIES: dict[str, str] = {
    "mobilenet_v1": mobilenet_v1.BLOCKS,
    "mobilenet_v1_shallow": mobilenet_v1.SHALLOW_BLOCKS,
}
MIN_CHANNELS = 8


@dataclasses.dataclass(frozen=True, kw_only=True)
class LayerSpec:
    """One layer: its operation and shapes. Convolutions are followed by BatchNorm and ReLU, padded by kernel // 2.

    Shapes are (N, C, H, W), or (N, C) after the pool.
    """

    name: str
    op: Op
    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    kernel: int = 1
    stride: int = 1
    groups: int = 1

    @property
    def is_conv(self) -> bool:
        """Whether this is any of the convolutions."""
        return self.op in ("conv2d", "depthwise_conv2d", "pointwise_conv2d")

    @property
    def weight_shape(self) -> tuple[int, ...] | None:
        """The weights as kernels read them: (height, width, inputs of a group, outputs), or (inputs, outputs)."""
        inputs, outputs = self.input_shape[1], self.output_shape[1]
        if self.is_conv:
            return (self.kernel, self.kernel, inputs // self.groups, outputs)
        return (inputs, outputs) if self.op == "dense" else None

    @property
    def bias_shape(self) -> tuple[int, ...] | None:
        """The biases, one for each output channel, as they are added to (N, H, W, C), or to (N, C)."""
        if self.weight_shape is None:
            return None
        return (1, 1, 1, self.output_shape[1]) if self.is_conv else self.output_shape[1:]


def scaled_channels(channels: int, width: float) -> int:
    """Return the channels at a width multiplier: truncated, at least 8.

    Source: `depth = lambda d: max(int(d * depth_multiplier), min_depth)`, min_depth 8, tensorflow/models,
    research/slim/nets/mobilenet_v1.py. The 1e-9 keeps 0.29 * 100 from becoming 28.
    """
    return max(int(channels * width + 1e-9), MIN_CHANNELS)


def layers(variant: Variant) -> tuple[LayerSpec, ...]:
    """Return the layers of a variant in the order of execution."""
    blocks = FAMILIES[variant.family]
    shape: tuple[int, ...] = (variant.batch, 3, variant.resolution, variant.resolution)
    specs: list[LayerSpec] = []
    for index, word in enumerate(_words(blocks)):
        for spec in _block(word, index, shape, variant):
            specs.append(spec)
            shape = spec.output_shape
    return tuple(specs)


def _words(blocks: str) -> Iterator[str]:
    for word in blocks.split():
        repeat = re.search(r"_r(\d+)$", word)
        yield from [re.sub(r"_r\d+$", "", word)] * (int(repeat[1]) if repeat else 1)


def _block(word: str, index: int, shape: tuple[int, ...], variant: Variant) -> Iterator[LayerSpec]:
    kind, *options = word.split("_")
    number = {option[0]: int(option[1:]) for option in options}
    batch, channels = shape[:2]
    if kind == "pool":
        yield LayerSpec(name="pool", op="pool", input_shape=shape, output_shape=(batch, channels), kernel=shape[2])
        return
    if kind == "fc":
        yield LayerSpec(name="fc", op="dense", input_shape=shape, output_shape=(batch, number["c"]))
        return
    width, stride, kernel = variant.width_multiplier, number["s"], number["k"]
    out = scaled_channels(number["c"], width)
    side = -(-shape[2] // stride)
    reduced = (batch, channels, side, side)
    final = (batch, out, side, side)
    if kind == "conv":
        yield LayerSpec(
            name=f"conv{index}", op="conv2d", input_shape=shape, output_shape=final, kernel=kernel, stride=stride
        )
    elif variant.convolution == "standard":
        yield LayerSpec(
            name=f"block{index}.conv", op="conv2d", input_shape=shape, output_shape=final, kernel=kernel, stride=stride
        )
    else:
        yield LayerSpec(
            name=f"block{index}.dw", op="depthwise_conv2d", input_shape=shape, output_shape=reduced,
            kernel=kernel, stride=stride, groups=channels,
        )  # fmt: skip
        yield LayerSpec(name=f"block{index}.pw", op="pointwise_conv2d", input_shape=reduced, output_shape=final)
