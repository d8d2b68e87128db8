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

from mbench.core import plugins
from mbench.core.errors import PluginError, UsageError, shown
from mbench.core.field_types import Op
from mbench.core.records import Variant
from mbench.networks.families import FAMILIES

TITLES: dict[str, str] = {"mobilenet_v1": "MobileNetV1", "mobilenet_v1_shallow": "MobileNetV1 shallow"}
MIN_CHANNELS = 8
_EXAMPLE = "conv_k3_s2_c32 ds_k3_s1_c64 pool fc_c1000"
_SIZED = r"_k[1-9]\d?_s[1-9]_c[1-9]\d{0,5}"
_BLOCKS = re.compile(rf"conv{_SIZED}( (conv{_SIZED}|ds{_SIZED}(_r[1-9]\d{{0,2}})?))* pool fc_c[1-9]\d{{0,5}}")


@dataclasses.dataclass(frozen=True, kw_only=True)
class LayerSpec:
    """One layer: its operation and shapes. Convolutions are followed by BatchNorm and ReLU, padded by kernel // 2.

    Shapes are (N, C, H, W), or (N, C) after the pool.
    """

    name: str
    block: str
    role: str
    """What the layer does in its block: `stem`, `depthwise`, `pointwise`, `standard`, `pool`, `classifier`."""
    inputs: tuple[str, ...] = ()
    """Names of the layers whose outputs it reads; none: it reads the network's input."""
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


def blocks_of(family: str) -> str:
    """Return the blocks of a family, of mbench's own or of one that another package adds.

    Raises:
        UsageError: the family is not known.
        PluginError: the package that adds it is broken, or two add it.
    """
    added = plugins.find(plugins.NETWORKS, family, FAMILIES)
    if added is None:
        if family not in FAMILIES:
            raise UsageError(f"family {family!r} is not known; see 'mbench variants'")
        return FAMILIES[str(family)]
    if set(family) & set("{}"):
        raise added.refuse("its name has a brace, which means a grid of names")
    blocks = added.load()
    text = " ".join(blocks.split()) if isinstance(blocks, str) else ""
    if not _BLOCKS.fullmatch(text):
        raise added.refuse(f"{shown(blocks)} are no blocks; expected words as in {_EXAMPLE!r}")
    return text


def is_known(family: str) -> bool:
    """Return whether there is such a family; the code of the package that adds it is not run."""
    return family in FAMILIES or plugins.find(plugins.NETWORKS, family) is not None


def added_families() -> tuple[tuple[str, ...], tuple[PluginError, ...]]:
    """Return the families that other packages add, and what is wrong with those that cannot be used."""
    sound, broken = [], []
    for family in plugins.names(plugins.NETWORKS):
        try:
            blocks_of(family)
            sound.append(family)
        except PluginError as error:
            broken.append(error)
    return tuple(sound), tuple(broken)


def layers(variant: Variant) -> tuple[LayerSpec, ...]:
    """Return the layers of a variant in the order of execution."""
    blocks = blocks_of(variant.family)
    shape = input_shape(variant)
    specs: list[LayerSpec] = []
    for index, word in enumerate(_words(blocks)):
        for spec in _block(word, index, shape, variant):
            read = (specs[-1].name,) if specs else ()
            specs.append(dataclasses.replace(spec, inputs=read))
            shape = spec.output_shape
    return tuple(specs)


def input_shape(variant: Variant) -> tuple[int, ...]:
    """Return the shape of the images that a variant takes: (N, 3, R, R)."""
    resolution = int(variant.parameters["resolution"])
    return (variant.batch, 3, resolution, resolution)


def _width(variant: Variant) -> float:
    return float(variant.parameters["width_multiplier"])


def title(family: str) -> str:
    """Return how people write a family's name; one that is not known, as it is."""
    return TITLES.get(family, family)


def _words(blocks: str) -> Iterator[str]:
    for word in blocks.split():
        repeat = re.search(r"_r(\d+)$", word)
        yield from [re.sub(r"_r\d+$", "", word)] * (int(repeat[1]) if repeat else 1)


def _block(word: str, index: int, shape: tuple[int, ...], variant: Variant) -> Iterator[LayerSpec]:
    kind, *options = word.split("_")
    number = {option[0]: int(option[1:]) for option in options}
    batch, channels = shape[:2]
    if kind == "pool":
        yield LayerSpec(
            name="pool", block="head", role="pool", op="pool", input_shape=shape, output_shape=(batch, channels),
            kernel=shape[2],
        )  # fmt: skip
        return
    if kind == "fc":
        yield LayerSpec(
            name="fc", block="head", role="classifier", op="dense", input_shape=shape,
            output_shape=(batch, number["c"]),
        )  # fmt: skip
        return
    width, stride, kernel = _width(variant), number["s"], number["k"]
    out = scaled_channels(number["c"], width)
    side = -(-shape[2] // stride)
    reduced = (batch, channels, side, side)
    final = (batch, out, side, side)
    if kind == "conv":
        block, role = ("stem", "stem") if index == 0 else (f"block{index}", "standard")
        yield LayerSpec(
            name=f"conv{index}", block=block, role=role, op="conv2d", input_shape=shape, output_shape=final,
            kernel=kernel, stride=stride,
        )  # fmt: skip
        return
    block = f"block{index}"
    if variant.convolution == "standard":  # instead of the block's two layers
        yield LayerSpec(
            name=f"{block}.conv", block=block, role="standard", op="conv2d", input_shape=shape, output_shape=final,
            kernel=kernel, stride=stride,
        )  # fmt: skip
        return
    yield LayerSpec(
        name=f"{block}.dw", block=block, role="depthwise", op="depthwise_conv2d", input_shape=shape,
        output_shape=reduced, kernel=kernel, stride=stride, groups=channels,
    )  # fmt: skip
    yield LayerSpec(
        name=f"{block}.pw", block=block, role="pointwise", op="pointwise_conv2d", input_shape=reduced,
        output_shape=final,
    )  # fmt: skip
