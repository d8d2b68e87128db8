"""Operations that files write as several nodes: what is recognised, and what is not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from network_files import computed, error, imported, model, node, operations
from torch import nn

from mbench.networks.graph import Graph, TensorType
from mbench.networks.importers import export_graph, patterns

Written = tuple[list[Any], dict[str, Any]]


def hard_swish_of_paddle() -> Written:
    nodes = [
        node("Add", "x three", "a"),
        node("Clip", "a low high", "b"),
        node("Mul", "x b", "c"),
        node("Div", "c six"),
    ]
    return nodes, {"three": 3.0, "low": 0.0, "high": 6.0, "six": 6.0}


def hard_swish_of_torch() -> Written:
    nodes = [
        node("Add", "x three", "a"),
        node("Clip", "a low high", "b"),
        node("Div", "b six", "c"),
        node("Mul", "x c"),
    ]
    return nodes, {"three": 3.0, "low": 0.0, "high": 6.0, "six": 6.0}


def hard_sigmoid() -> Written:
    nodes = [node("Add", "three x", "a"), node("Clip", "a low high", "b"), node("Mul", "b sixth")]
    return nodes, {"three": 3.0, "low": 0.0, "high": 6.0, "sixth": 0.16666667}


def silu() -> Written:
    return [node("Sigmoid", "x", "a"), node("Mul", "a x")], {}


def mish() -> Written:
    return [node("Softplus", "x", "a"), node("Tanh", "a", "b"), node("Mul", "x b")], {}


def gelu() -> Written:
    nodes = [
        node("Div", "x root", "a"), node("Erf", "a", "b"), node("Add", "b one", "c"), node("Mul", "x c", "d"),
        node("Mul", "d half"),
    ]  # fmt: skip
    return nodes, {"root": 1.41421354, "one": 1.0, "half": 0.5}


def gelu_of_keras() -> Written:
    nodes = [
        node("Mul", "x root", "a"), node("Erf", "a", "b"), node("Add", "one b", "c"), node("Mul", "x half", "d"),
        node("Mul", "d c"),
    ]  # fmt: skip
    return nodes, {"root": 0.70710677, "one": 1.0, "half": 0.5}


def gelu_tanh() -> Written:
    nodes = [
        node("Pow", "x three", "a"), node("Mul", "a small", "b"), node("Add", "x b", "c"), node("Mul", "c root", "d"),
        node("Tanh", "d", "e"), node("Add", "e one", "f"), node("Mul", "x half", "g"), node("Mul", "g f"),
    ]  # fmt: skip
    return nodes, {"three": 3.0, "small": 0.044715, "root": 0.7978845608, "one": 1.0, "half": 0.5}


def leaky_relu() -> Written:
    return [node("Mul", "x slope", "a"), node("Max", "x a")], {"slope": 0.1}


def layer_norm() -> Written:
    nodes = [
        node("ReduceMean", "x", "m", axes=[-1]), node("Sub", "x m", "d"), node("Pow", "d two", "s"),
        node("ReduceMean", "s", "v", axes=[-1]), node("Add", "v small", "e"), node("Sqrt", "e", "r"),
        node("Div", "d r", "n"), node("Mul", "n w", "p"), node("Add", "p b"),
    ]  # fmt: skip
    return nodes, {"two": 2.0, "small": 1e-5, "w": np.linspace(1, 2, 8), "b": np.linspace(0, 1, 8)}


def bias() -> Written:
    return [node("MatMul", "x w", "p"), node("Add", "b p")], {
        "w": np.random.default_rng(0).normal(size=(8, 5)),
        "b": range(5),
    }


def group_norm() -> Written:
    """As torch's older exporter writes it."""
    nodes = [
        node("Reshape", "x rows", "a"), node("InstanceNormalization", "a ones zeros", "b"), node("Shape", "x", "s"),
        node("Reshape", "b s", "c"), node("Mul", "c w", "d"), node("Add", "d b2"),
    ]  # fmt: skip
    return nodes, {
        "rows": np.array([0, 2, -1]), "ones": np.ones(2), "zeros": np.zeros(2),
        "w": np.arange(4.0).reshape(4, 1, 1), "b2": np.arange(4.0).reshape(4, 1, 1) / 3,
    }  # fmt: skip


def whole_pool() -> Written:
    return [node("AveragePool", "x", kernel_shape=[6, 8])], {}


FORMS: list[tuple[str, Callable[[], Written]]] = [
    ("hard_swish", hard_swish_of_paddle), ("hard_swish", hard_swish_of_torch), ("hard_sigmoid", hard_sigmoid),
    ("silu", silu), ("mish", mish), ("gelu", gelu), ("gelu", gelu_of_keras), ("gelu_tanh", gelu_tanh),
    ("leaky_relu", leaky_relu), ("layer_norm", layer_norm), ("linear", bias), ("group_norm", group_norm),
    ("global_avg_pool", whole_pool),
]  # fmt: skip


def arrays(constants: dict[str, Any]) -> dict[str, np.ndarray]:
    given = {name: np.asarray(value) for name, value in constants.items()}
    return {name: each.astype(np.float32) if name != "rows" else each for name, each in given.items()}


@pytest.mark.parametrize(("operation", "write"), FORMS, ids=lambda each: getattr(each, "__name__", each))
def test_it_becomes_one_node_that_computes_the_same(
    tmp_path: Path, operation: str, write: Callable[[], Written]
) -> None:
    nodes, constants = write()
    found = imported(tmp_path, model(nodes, constants=arrays(constants)))
    kept = [op for op in operations(found) if op != "reshape"]
    assert kept == [operation]
    assert error(found) < 1e-5


@pytest.mark.parametrize(("operation", "write"), FORMS[:-1], ids=lambda each: getattr(each, "__name__", each))
def test_nothing_is_recognised_where_a_part_is_read_elsewhere(
    tmp_path: Path, operation: str, write: Callable[[], Written]
) -> None:
    nodes, constants = write()
    inner = nodes[-2].output[0]
    found = imported(
        tmp_path, model([*nodes, node("Neg", inner, "z")], outputs=("y", "z"), constants=arrays(constants))
    )
    assert error(found) < 1e-5
    assert len(operations(found)) > 2


@pytest.mark.parametrize(
    ("write", "name", "value"),
    [
        (hard_swish_of_paddle, "three", 2.9),
        (gelu, "half", 0.4),
        (hard_sigmoid, "sixth", 0.2),
        (leaky_relu, "slope", 1.5),
    ],
)
def test_other_numbers_are_another_function(
    tmp_path: Path, write: Callable[[], Written], name: str, value: float
) -> None:
    nodes, constants = write()
    found = imported(tmp_path, model(nodes, constants=arrays({**constants, name: value})))
    assert len(operations(found)) > 1
    assert error(found) < 1e-5


@pytest.mark.parametrize(
    ("write", "shape", "changes"),
    [
        # as many numbers as the last axes have elements, and along other axes: these scale channels, or rows
        (layer_norm, (1, 8, 8, 8), {"w": np.arange(8.0).reshape(8, 1)}),
        (layer_norm, (1, 8, 8, 8), {"b": np.arange(8.0).reshape(8, 1, 1)}),
        (group_norm, (1, 4, 6, 4), {"b2": np.arange(16.0).reshape(4, 1, 4)}),
    ],
)
def test_numbers_along_other_axes_are_another_norm(
    tmp_path: Path, write: Callable[[], Written], shape: tuple[int, ...], changes: dict[str, np.ndarray]
) -> None:
    nodes, constants = write()
    made = model(nodes, inputs={"x": shape}, constants=arrays({**constants, **changes}))
    found = imported(tmp_path, made)
    assert len(operations(found)) > 2
    assert error(found) < 1e-5


def test_a_node_that_stands_for_several_has_all_their_names(tmp_path: Path) -> None:
    nodes = [node("Sigmoid", "x", "a", name="gate"), node("Mul", "x a", name="product")]
    found = imported(tmp_path, model(nodes))
    assert found.graph.nodes[0].source_names == ("product", "gate")


def test_a_layer_keeps_its_path(tmp_path: Path) -> None:
    nodes = [node("Sigmoid", "x", "a", name="/stem/act/Sigmoid"), node("Mul", "x a", name="/stem/act/Mul")]
    assert [each.name for each in imported(tmp_path, model(nodes)).graph.nodes] == ["stem.act.silu"]


def test_one_inside_of_another_keeps_its_path(tmp_path: Path) -> None:
    """A hard sigmoid, and the hard-swish that it becomes: both are renamed."""
    nodes, constants = hard_swish_of_torch()
    for each in nodes:
        each.name = f"/act/{each.op_type}"
    found = imported(tmp_path, model(nodes, constants=arrays(constants)))
    assert [(each.name, each.op) for each in found.graph.nodes] == [("act.hard_swish", "hard_swish")]
    assert error(found) < 1e-6


def test_torchs_own_networks_stay_as_they_are() -> None:
    """What is recognised in a graph computes what the graph did."""
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.GELU(), nn.Conv2d(4, 4, 1), nn.Hardswish()).eval()
    x = torch.randn(1, 3, 6, 6)
    with torch.no_grad():
        program = torch.export.export(module, (x,))
    read = export_graph.read(program, {"input": TensorType(shape=tuple(x.shape))}, "test")
    graph, parameters = patterns.recognised(read.graph, read.parameters)
    assert isinstance(graph, Graph)
    (got,) = computed(graph, parameters, {"input": x.numpy()})
    np.testing.assert_allclose(got, module(x).detach().numpy(), rtol=1e-5, atol=1e-6)
