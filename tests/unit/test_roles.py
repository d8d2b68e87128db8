"""Blocks and roles of imported networks, beside those of the built-in families that they are."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable

import published_modules
import pytest
import torch
from torch import nn

from mbench.networks import architectures, variants
from mbench.networks.graph import Graph, Node, TensorType
from mbench.networks.importers import export_graph, roles, whole

_LAYERS = ("conv2d", "linear")

NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "mobilenet_v2_1.0_64": lambda: published_modules.libraries()[0].mobilenet_v2(),
    "mobilenet_v3_small_1.0_64": lambda: published_modules.libraries()[0].mobilenet_v3_small(),
    "mobilenet_v4_conv_small_1.0_64": lambda: _timm("mobilenetv4_conv_small"),
    "mobilenet_v1_1.0_64": lambda: _timm("mobilenetv1_100"),
    "efficientnet_lite0_1.0_64": lambda: _timm("efficientnet_lite0"),
}


def _timm(name: str) -> nn.Module:
    module: nn.Module = published_modules.libraries()[1].create_model(name)
    return module


@functools.cache
def graph(name: str) -> Graph:
    module = NETWORKS[name]().eval()
    image = published_modules.image(64)
    with torch.no_grad():
        program = torch.export.export(module, (image,))
    (given,) = program.graph_signature.user_inputs
    found = export_graph.read(program, {given: TensorType(shape=tuple(image.shape))}, name)
    return whole.finished(found, name)[0]


def layers(found: Graph) -> list[Node]:
    return [node for node in found.nodes if node.op in _LAYERS]


@pytest.mark.parametrize("name", NETWORKS)
def test_roles_are_those_of_the_family(name: str) -> None:
    family = layers(architectures.graph(variants.parse(name)))
    assert [node.role for node in layers(graph(name))] == [node.role for node in family]


@pytest.mark.parametrize("name", NETWORKS)
def test_layers_share_a_block_where_they_do_in_the_family(name: str) -> None:
    family, found = layers(architectures.graph(variants.parse(name))), layers(graph(name))
    inside = [place for place, node in enumerate(family) if (node.block or "").startswith("block")]
    pairs = itertools.pairwise(inside)
    differing = [
        found[second].name
        for first, second in pairs
        if (family[first].block == family[second].block) != (found[first].block == found[second].block)
    ]
    assert differing == []


def test_the_sums_and_gates_of_a_block() -> None:
    found = graph("mobilenet_v3_small_1.0_64")
    block = [(node.op, node.role) for node in found.nodes if node.block == "features.5" and node.op != "batch_norm"]
    assert block == [
        ("conv2d", "expand"), ("hard_swish", "expand"), ("conv2d", "depthwise"), ("hard_swish", "depthwise"),
        ("global_avg_pool", "squeeze"), ("conv2d", "reduce"), ("relu", "reduce"), ("conv2d", "excite"),
        ("hard_sigmoid", "excite"), ("multiply", "excite"), ("conv2d", "project"), ("add", "residual"),
    ]  # fmt: skip


def written(*nodes: tuple[str, str, tuple[str, ...], tuple[int, ...], int]) -> Graph:
    """Return a graph of convolutions without paths: name, operation, inputs, shape, groups."""
    made, parameters = [], {}
    shapes: dict[str, tuple[int, ...]] = {"x": (1, 3, 8, 8)}
    for name, op, inputs, shape, groups in nodes:
        attributes = {}
        if op == "conv2d":
            channels = shapes[inputs[0]][1]
            kernel = 3 if groups > 1 else 1
            parameters[f"{name}.w"] = TensorType(shape=(shape[1], channels // groups, kernel, kernel))
            inputs = (*inputs, f"{name}.w")
            pad = kernel // 2
            attributes = {
                "strides": (1, 1), "padding": (pad,) * 4, "dilation": (1, 1), "groups": groups,
            }  # fmt: skip
        shapes[name] = shape
        made.append(Node(name=name, op=op, inputs=inputs, shape=shape, attributes=attributes))
    return Graph(
        inputs={"x": TensorType(shape=(1, 3, 8, 8))}, parameters=parameters, nodes=tuple(made), outputs=(made[-1].name,)
    )


def test_neighbours_alone_tell_where_there_are_no_paths() -> None:
    image = (1, 8, 8, 8)
    wide = (1, 24, 8, 8)
    found = roles.assigned(
        written(
            ("first", "conv2d", ("x",), image, 1),
            ("c1", "conv2d", ("first",), wide, 1),
            ("r1", "relu", ("c1",), wide, 1),
            ("c2", "conv2d", ("r1",), wide, 24),
            ("c3", "conv2d", ("c2",), image, 1),
            ("sum", "add", ("first", "c3"), image, 1),
            ("c4", "conv2d", ("sum",), image, 8),
            ("c5", "conv2d", ("c4",), wide, 1),
        )
    )
    assert {node.name: node.role for node in found.nodes} == {
        "first": "stem", "c1": "expand", "r1": "expand", "c2": "depthwise", "c3": "project", "sum": "residual",
        "c4": "depthwise", "c5": "pointwise",
    }  # fmt: skip
    assert {node.block for node in found.nodes} == {None}
