"""Graphs of ONNX files: order, names, branches, and files that are large, deep or wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from network_files import error, imported, model, node, operations, read
from onnx import helper

from mbench.core.errors import UsageError
from mbench.networks.graph import TensorType
from mbench.networks.importers import onnx_graph


def test_a_model_in_memory_is_read_and_its_multiply_adds_are_counted() -> None:
    made = model([node("MatMul", "x w")], constants={"w": np.ones((8, 5), np.float32)})
    found = onnx_graph.read(made, {"x": TensorType(shape=(1, 4, 6, 8))}, "memory")
    assert found.macs == {"y": 4 * 6 * 8 * 5}
    assert list(found.parameters) == ["w"]


def test_nodes_in_any_order(tmp_path: Path) -> None:
    nodes = [node("Relu", "b"), node("Exp", "a", "b"), node("Neg", "x", "a")]
    made = model(nodes)
    found = imported(tmp_path, made)
    assert operations(found) == ["negative", "exp", "relu"]


def test_a_circle_of_nodes(tmp_path: Path) -> None:
    nodes = [node("Add", "x b", "a", name="first"), node("Relu", "a", "b", name="second"), node("Relu", "b")]
    with pytest.raises(UsageError, match="node 'first' reads, in the end, what it makes itself"):
        imported(tmp_path, model(nodes))


def test_a_value_that_is_made_twice(tmp_path: Path) -> None:
    nodes = [node("Relu", "x", "a"), node("Exp", "x", "a"), node("Neg", "a")]
    with pytest.raises(UsageError, match="'a' is made twice"):
        imported(tmp_path, model(nodes))


def test_constants_of_one_name(tmp_path: Path) -> None:
    made = model([node("Add", "x w")], constants={"w": np.ones(8, np.float32)})
    made.graph.initializer.append(made.graph.initializer[0])
    with pytest.raises(UsageError, match="two constants have one name"):
        imported(tmp_path, made)


def test_equal_names_of_nodes_are_told_apart(tmp_path: Path) -> None:
    nodes = [node("Relu", "x", "a", name="same"), node("Exp", "a", "b", name="same"), node("Neg", "b", name="same")]
    found = imported(tmp_path, model(nodes))
    assert [each.name for each in found.graph.nodes] == ["same", "same.exp", "same.negative"]
    assert {each.source_names for each in found.graph.nodes} == {("same",)}


@pytest.mark.parametrize("name", ["<b>bold</b>", "a\nb\tc", "\x1b[31mred", "quo\"te's", "näme 层 🙂", "x" * 5000])
def test_names_of_any_letters(tmp_path: Path, name: str) -> None:
    found = imported(
        tmp_path, model([node("Conv", "x w", name=name)], constants={"w": np.ones((2, 4, 1, 1), np.float32)})
    )
    assert found.graph.nodes[0].source_names == (name,)
    assert error(found) < 1e-6


def test_a_node_without_a_name_has_that_of_its_value(tmp_path: Path) -> None:
    assert imported(tmp_path, model([node("Relu", "x")])).graph.nodes[0].name == "y"


def test_an_input_and_a_node_of_one_name(tmp_path: Path) -> None:
    found = imported(tmp_path, model([node("Relu", "x", "a", name="x"), node("Neg", "a", name="x.relu")]))
    assert len({"x", *(each.name for each in found.graph.nodes)}) == 3
    assert error(found) == 0


def test_nodes_that_no_output_needs_are_left_out(tmp_path: Path) -> None:
    nodes = [node("Relu", "x"), node("NonZero", "x", "unused")]
    assert operations(imported(tmp_path, model(nodes))) == ["relu"]


def test_ten_thousand_nodes_in_a_row(tmp_path: Path) -> None:
    count = 10_000
    nodes = [node("Relu" if place % 2 else "Neg", f"v{place}", f"v{place + 1}") for place in range(count)]
    found = imported(tmp_path, model(nodes, inputs={"v0": (1, 2)}, outputs=(f"v{count}",)))
    assert len(found.graph.nodes) == count


def branch(name: str, op: str) -> onnx.GraphProto:
    made = node(op, "x", f"{name}_value")
    return helper.make_graph([made], name, [], [helper.make_tensor_value_info(f"{name}_value", 1, None)])


def choice(condition: str, *, output: str = "y") -> onnx.NodeProto:
    return node(
        "If", condition, output, then_branch=branch("then", "Relu"), else_branch=branch("else", "Exp"), name="if"
    )


@pytest.mark.parametrize(("wanted", "expected"), [(4, "relu"), (5, "exp")])
def test_a_branch_that_shapes_decide(tmp_path: Path, wanted: int, expected: str) -> None:
    """As torch's older exporter writes a squeeze."""
    nodes = [
        node("Shape", "x", "shape"), node("Gather", "shape one", "channels"), node("Equal", "channels wanted", "is"),
        choice("is"),
    ]  # fmt: skip
    constants = {"one": np.array(1), "wanted": np.array(wanted)}
    found = imported(tmp_path, model(nodes, constants=constants))
    assert operations(found) == [expected]
    assert error(found) < 1e-6


def test_a_branch_that_the_input_decides(tmp_path: Path) -> None:
    nodes = [node("ReduceSum", "x", "sum", keepdims=0), node("Greater", "sum zero", "is"), choice("is")]
    with pytest.raises(UsageError, match=r"layer 'if', operation If .*control flow"):
        imported(tmp_path, model(nodes, constants={"zero": np.float32(0)}))


@pytest.mark.parametrize(("condition", "output", "said"), [("", "y", "control flow"), ("is", "y z", "a branch has 1")])
def test_a_branch_that_does_not_fit(tmp_path: Path, condition: str, output: str, said: str) -> None:
    made = model([choice(condition, output=output)], constants={"is": np.array(True)})
    with pytest.raises(UsageError, match=said):
        imported(tmp_path, made)


def test_an_operation_may_be_called_anything(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"operation <b> .opset 17.: mbench does not know it") as caught:
        imported(tmp_path, model([node("<b>\n", "x")]))
    assert "\n" not in str(caught.value)


def test_branches_inside_of_branches(tmp_path: Path) -> None:
    depth, inner = 30, [node("Relu", "x", "v0")]
    for level in range(depth):
        outputs = [helper.make_tensor_value_info(f"v{level}", 1, None)]
        deep = helper.make_graph(inner, f"level{level}", [], outputs)
        inner = [
            helper.make_node("If", ["yes"], [f"v{level + 1}"], then_branch=deep, else_branch=branch("else", "Exp"))
        ]
    made = model(inner, outputs=(f"v{depth}",), constants={"yes": np.array(True)})
    assert operations(imported(tmp_path, made)) == ["relu"]


def field(number: int, content: bytes) -> bytes:
    """Return a field of protobuf that holds bytes."""
    length, encoded = len(content), b""
    while length > 127:
        encoded += bytes([length % 128 + 128])
        length //= 128
    return bytes([number * 8 + 2]) + encoded + bytes([length]) + content


def test_a_file_that_is_deeper_than_protobuf_reads(tmp_path: Path) -> None:
    inner = b""
    for _ in range(1_000):  # a graph with a node with an attribute with a graph, and so on
        inner = field(1, field(5, field(6, inner)))
    (tmp_path / "deep.onnx").write_bytes(field(7, inner))
    with pytest.raises(UsageError, match="no ONNX file"):
        read(tmp_path / "deep.onnx")
