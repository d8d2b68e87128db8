"""Which nodes of an ONNX graph its outputs need, and in which order."""

from __future__ import annotations

import pytest
from network_files import node

from mbench.core.errors import UsageError
from mbench.networks.importers import onnx_order

NODES = [node("Relu", "x", "a"), node("Shape", "b", "s"), node("Exp", "a", "b"), node("Reshape", "a s", "y")]


def names(nodes: list[object]) -> list[str]:
    return [each.output[0] for each in nodes]  # type: ignore[attr-defined]


def test_each_node_comes_after_what_it_reads() -> None:
    assert names(onnx_order.needed(NODES, ["y"], {"x"}, "file")) == ["a", "b", "s", "y"]
    assert names(onnx_order.needed(NODES, ["b"], {"x"}, "file")) == ["a", "b"]


def test_what_only_lends_its_shape_is_not_computed() -> None:
    assert onnx_order.computed(NODES, ["y"]) == {"y", "a", "x", "s"}


def test_a_value_with_the_name_of_an_input() -> None:
    with pytest.raises(UsageError, match="'x' is made twice"):
        onnx_order.needed([node("Relu", "a", "x")], ["x"], {"x", "a"}, "file")
