"""What users call layers, by the tools that write ONNX files."""

from __future__ import annotations

import onnx
import pytest
from network_files import node

from mbench.networks.importers import onnx_names


def named(op: str, inputs: str, *, name: str = "", output: str = "y", scopes: str = "") -> tuple[str, bool]:
    made = node(op, inputs, output, name=name)
    if scopes:
        made.metadata_props.append(onnx.StringStringEntryProto(key="pkg.torch.onnx.name_scopes", value=scopes))
    telling = onnx_names.telling([made], set(inputs.split()[1:]))
    layer = onnx_names.layer_of(made, telling)
    return layer.name, layer.is_path


@pytest.mark.parametrize(
    ("op", "inputs", "name", "output", "expected"),
    [
        ("Conv", "x features.0.0.weight", "/features/features.0/features.0.0/Conv", "y", ("features.0.0", True)),
        ("Conv", "x onnx::Conv_538", "/blocks/blocks.1/blocks.1.0/conv_pw/Conv", "y", ("blocks.1.0.conv_pw", True)),
        ("Clip", "x", "/features/features.0/features.0.2/Clip", "y", ("features.0.2", True)),
        ("Add", "x z", "/model.2/m.0/Add", "y", ("model.2.m.0", True)),
        ("Conv", "x conv2d_0.w_0", "p2o.Conv.0", "conv2d_0.tmp_0", ("conv2d_0", True)),
        ("Conv", "x conv2_expand_weights", "Conv@1", "y", ("conv2_expand", True)),
        ("Clip", "x", "p2o.Clip.3", "hardswish_0.tmp_0", ("hardswish_0", False)),
        ("Mul", "x z", "p2o.Mul.1", "p2o.helper.3", ("p2o.Mul.1", False)),
        ("Conv", "x net/Conv1/Conv2D/ReadVariableOp:0", "net/Conv1/Conv2D", "y", ("net/Conv1", True)),
        ("Conv", "x const_fold_opt__12", "StatefulPartitionedCall/net/Conv1/Conv2D", "y", ("net/Conv1", True)),
        ("Relu", "x", "StatefulPartitionedCall/net/Conv1_relu/Relu6", "y", ("net/Conv1_relu", True)),
        ("Relu", "x", "Relu_7", "y", ("Relu_7", False)),
        ("Relu", "x", "", "y", ("y", False)),
        ("MatMul", "x w", "/attn/qkv/MatMul", "y", ("attn.qkv", True)),
    ],
)
def test_names_by_tool(op: str, inputs: str, name: str, output: str, expected: tuple[str, bool]) -> None:
    assert named(op, inputs, name=name, output=output) == expected


def test_names_of_torchs_newer_exporter() -> None:
    scopes = "['', 'features', 'features.0', 'features.0.1', 'conv2d']"
    assert named("Conv", "x features.0.0.weight", scopes=scopes) == ("features.0.0", True)  # and not its BatchNorm
    assert named("Conv", "x val_3", scopes=scopes) == ("features.0.1", True)
    assert named("Relu", "x", name="node_relu", scopes="['', 'act', 'relu']") == ("act", True)


def test_equal_weights_that_a_file_holds_once_name_no_layer() -> None:
    nodes = [node("LayerNormalization", f"x norm1.weight b{place}", name=f"/norm{place}/Norm") for place in (1, 2)]
    telling = onnx_names.telling(nodes, {"norm1.weight"})
    assert [onnx_names.layer_of(each, telling).name for each in nodes] == ["norm1", "norm2"]
    alone = onnx_names.telling(nodes[:1], {"norm1.weight"})
    assert alone == {"norm1.weight"}
