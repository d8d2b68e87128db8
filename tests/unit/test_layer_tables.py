"""Layers by their shapes alone, in 80 columns."""

from __future__ import annotations

import io

import imported_networks as networks
import record_factory as factory
from printed import printed
from rich.console import Console

from mbench.networks import architectures, folding, layers, variants
from mbench.terminal import layer_tables


def test_layers_and_the_papers_split() -> None:
    """Oracle: arXiv:1704.04861, table 2: 94.86 % of multiply-adds and 74.59 % of parameters in 1x1 convolutions."""
    stream = io.StringIO()
    Console(file=stream, width=80).print(
        layer_tables.layers_table(architectures.layers(variants.parse(factory.PAIR[0])))
    )
    text = stream.getvalue()
    [pointwise] = [line.split() for line in text.splitlines() if line.startswith("pointwise_conv2d")]
    assert pointwise[3:5] == ["94.86", "%"]
    assert pointwise[-2:] == ["74.59", "%"]
    assert "1x1024x7x7" in text
    assert max(map(len, text.splitlines())) <= 80


def test_with_bytes() -> None:
    """Oracle: an 8x8 pointwise convolution at 8x8 pixels: 64 weights and 8 biases, 512 numbers read and 512 written."""
    specs = layers.of_graph(folding.fold(networks.separable()).graph)
    text = printed(layer_tables.with_bytes(specs, title="a net"))
    assert max(map(len, text.splitlines())) <= 80
    [pointwise] = [line.split() for line in text.splitlines() if line.startswith("one.pw")]
    assert pointwise == ["one.pw", "pointwise_conv2d", "1x8x8x8", "4.10", "k", "64", "288", "B", "4.10", "kB"]
