"""ONNX files: what is refused and how, and what reads them beside ONNX Runtime."""

from __future__ import annotations

import builtins
import hashlib
import importlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from network_files import error, imported, model, node, operations, read, written
from onnx import TensorProto, helper, numpy_helper

from mbench.core.errors import UsageError
from mbench.networks.importers import onnx_file

CONV = node("Conv", "x w", pads=[1, 1, 1, 1], name="conv")
WEIGHTS = {"w": np.random.default_rng(0).standard_normal((8, 4, 3, 3)).astype(np.float32)}


def small(**changes: Any) -> onnx.ModelProto:
    return model([CONV], **{"constants": WEIGHTS, **changes})


def large(path: Path) -> None:
    path.touch()
    os.truncate(path, 3_000_000_000)


def refused(source: Path, **shapes: tuple[int, ...]) -> str:
    with pytest.raises(UsageError) as caught:
        read(source, batch=None, **shapes)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_network_its_names_and_where_it_comes_from(tmp_path: Path) -> None:
    found = imported(tmp_path, small())
    assert error(found) < 1e-6
    assert (found.source, found.name, found.producer, found.opset) == ("onnx", "network", "tests", 17)
    assert "ONNX Runtime" in found.reference
    assert list(found.parameters) == ["w"]
    np.testing.assert_array_equal(found.parameters["w"], WEIGHTS["w"])


@pytest.mark.parametrize(
    ("name", "write", "expected"),
    [
        ("missing.onnx", lambda path: None, "No such file"),
        ("folder.onnx", lambda path: path.mkdir(), "is a folder"),
        ("empty.onnx", lambda path: path.write_bytes(b""), "is empty"),
        ("text.onnx", lambda path: path.write_text("hello, this is no model"), "no ONNX file"),
        ("cut.onnx", lambda path: path.write_bytes(small().SerializeToString()[:500]), "only a part of one"),
        ("large.onnx", large, "has 3.0 GB"),
    ],
)
def test_files_that_are_none(tmp_path: Path, name: str, write: Callable[[Path], object], expected: str) -> None:
    write(tmp_path / name)
    assert expected in refused(tmp_path / name)


def test_every_cut_is_refused(tmp_path: Path) -> None:
    whole = small().SerializeToString()
    for length in range(0, len(whole) - 1, 37):
        (tmp_path / "cut.onnx").write_bytes(whole[:length])
        refused(tmp_path / "cut.onnx")


@pytest.mark.parametrize("opset", [7, 11, 12, 13, 17, 21, 28])
def test_opsets(tmp_path: Path, opset: int) -> None:
    made = small(opset=opset)
    if opset > 25:  # newer than this ONNX Runtime: the graph alone
        types = onnx_file.inputs_of(made, tmp_path, {}, None)
        assert types["x"].shape == (1, 4, 6, 8)
        return
    assert error(imported(tmp_path, made)) < 1e-5


@pytest.mark.parametrize(("opset", "expected"), [(6, "export the network again"), (99, "older opset")])
def test_opsets_that_are_not_known(tmp_path: Path, opset: int, expected: str) -> None:
    made = small()
    made.opset_import[0].version = opset
    assert expected in refused(written(tmp_path, made))


def test_all_opsets_that_onnx_has_are_read() -> None:
    assert onnx_file.OPSETS[1] >= onnx.defs.onnx_opset_version()


@pytest.mark.parametrize(
    ("nodes", "expected"),
    [
        ([helper.make_node("Thing", ["x"], ["y"], name="mine", domain="my.own")], "layer 'mine', operation Thing"),
        (
            [node("QLinearConv", "x s z w s z s z", name="q")],
            "layer 'q', operation QLinearConv (opset 17): the file is",
        ),
        ([node("LSTM", "x w r", name="cell")], "recurrent"),
        ([node("SequenceConstruct", "x x", name="list")], "sequences"),
        ([node("NonMaxSuppression", "x x", name="nms")], "follows a detector"),
        ([node("GridSample", "x x", name="warp")], "layer 'warp', operation GridSample"),
        ([node("BatchNormalization", "x s s s s", training_mode=1, name="norm")], "network.eval()"),
        ([node("Dropout", "x r t", name="drop")], "network.eval()"),
        ([node("Resize", "x _ scales", antialias=1, name="up")], "antialias is 1"),
        ([node("Reshape", "x x", name="bad")], "expected a constant"),
        ([node("Conv", "x", name="bad")], "input 2 is missing"),
        ([node("Conv", "x wrong", name="bad")], "layer 'bad', operation Conv"),
        ([node("Add", "x nowhere", name="bad")], "nothing makes 'nowhere'"),
        ([node("Transpose", "x", perm=[0, 9, 1, 2], name="bad")], "layer 'bad', operation Transpose"),
        ([node("Softmax", "x", axis="one", name="bad")], "layer 'bad', operation Softmax"),
        ([node("Slice", "x far farther", name="bad")], "there is nothing"),
        ([node("ConstantOfShape", "huge", "h", name="bad"), node("Add", "x h")], "elements"),
    ],
)
def test_operations_that_cannot_be_read(tmp_path: Path, nodes: list[onnx.NodeProto], expected: str) -> None:
    constants = {
        "w": WEIGHTS["w"], "r": np.float32(0.5), "s": np.ones(4, np.float32), "z": np.zeros(4, np.int8),
        "t": np.array(True), "scales": np.array([1, 1, 2, 2], np.float32), "wrong": np.ones((8, 3, 3, 3), np.float32),
        "far": np.array([1000]), "farther": np.array([2000]), "huge": np.array([10**6, 10**6, 10**6]),
    }  # fmt: skip
    assert expected in refused(written(tmp_path, model(nodes, constants=constants)))


@pytest.mark.parametrize("number", [np.nan, np.inf])
def test_weights_that_are_no_numbers(tmp_path: Path, number: float) -> None:
    weights = WEIGHTS["w"].copy()
    weights[1, 2, 0, 0] = number
    assert "layer 'w'" not in refused(written(tmp_path, small(constants={"w": weights})))
    assert "1 of 288 numbers of 'w' are NaN or infinite" in refused(tmp_path / "network.onnx")


def test_an_infinite_mask_is_no_weight(tmp_path: Path) -> None:
    mask = np.where(np.eye(8, dtype=bool), 0, -np.inf).astype(np.float32)[:6]
    nodes = [node("Add", "x mask", "masked"), node("Softmax", "masked", axis=-1)]
    assert error(imported(tmp_path, model(nodes, constants={"mask": mask}))) < 1e-6


def outside(folder: Path, location: str) -> Path:
    """Write a model whose weights lie at a place beside its file, or elsewhere."""
    made = small()
    tensor = made.graph.initializer[0]
    onnx.external_data_helper.set_external_data(tensor, location)
    raw = tensor.raw_data
    tensor.ClearField("raw_data")
    target = folder / "sub" / location
    target.parent.mkdir(parents=True, exist_ok=True)
    if not Path(location).is_absolute():
        target.write_bytes(raw)
    return written(folder / "sub", made)


def test_weights_beside_the_file(tmp_path: Path) -> None:
    found = read(outside(tmp_path, "weights.bin"))
    assert error(found) < 1e-6
    np.testing.assert_array_equal(found.parameters["w"], WEIGHTS["w"])


@pytest.mark.parametrize("location", ["../weights.bin", "/etc/passwd", "a/../../weights.bin"])
def test_weights_outside_of_the_folder(tmp_path: Path, location: str) -> None:
    (tmp_path / "sub" / "a").mkdir(parents=True)
    assert "outside of the file's folder" in refused(outside(tmp_path, location))


def test_weights_behind_a_link_and_weights_that_are_gone(tmp_path: Path) -> None:
    path = outside(tmp_path, "weights.bin")
    (tmp_path / "sub" / "weights.bin").rename(tmp_path / "elsewhere.bin")
    assert "no such file" in refused(path)
    (tmp_path / "sub" / "weights.bin").symlink_to(tmp_path / "elsewhere.bin")
    assert "outside of the file's folder" in refused(path)
    (tmp_path / "sub" / "weights.bin").unlink()
    (tmp_path / "sub" / "weights.bin").write_bytes(b"short")
    refused(path)


def test_open_sides_are_asked_for(tmp_path: Path) -> None:
    path = written(tmp_path, small(inputs={"x": ("N", 4, "height", "width")}))
    message = refused(path)
    assert "input 'x' leaves side 3 of 4 (height) open" in message
    assert "--input-shape x=1,4,224,224" in message
    found = read(path, x=(1, 4, 10, 12))
    assert found.graph.inputs["x"].shape == (1, 4, 10, 12)
    assert error(found) < 1e-6


def test_the_batch_is_asked_for_or_1(tmp_path: Path) -> None:
    path = written(tmp_path, small(inputs={"x": ("N", 4, 6, 8)}))
    assert read(path).graph.inputs["x"].shape[0] == 1
    found = read(path, batch=3)
    assert found.graph.inputs["x"].shape == (3, 4, 6, 8)
    assert error(found) < 1e-6
    fixed = written(tmp_path, small(), "fixed.onnx")
    with pytest.raises(UsageError, match=r"--batch 3: the first side of input 'x' is 1, and the file fixes it"):
        read(fixed, batch=3)


@pytest.mark.parametrize(
    ("described", "expected"),
    [
        (helper.make_tensor_sequence_value_info("x", TensorProto.FLOAT, None), "input 'x' is a sequence"),
        (helper.make_tensor_value_info("x", TensorProto.STRING, (1, 4)), "text"),
        (helper.make_tensor_value_info("x", TensorProto.FLOAT, None), "how many sides"),
    ],
)
def test_inputs_that_are_no_tensors_of_numbers(tmp_path: Path, described: onnx.ValueInfoProto, expected: str) -> None:
    made = small()
    made.graph.input[0].CopyFrom(described)
    assert expected in refused(written(tmp_path, made))


def test_a_network_that_computes_the_same_at_all_times(tmp_path: Path) -> None:
    made = model([node("Relu", "w")], inputs={}, constants=WEIGHTS)
    assert "no inputs" in refused(written(tmp_path, made))
    made = model([node("Relu", "x"), node("Relu", "w", "z")], outputs=("y", "z"), constants=WEIGHTS)
    assert error(imported(tmp_path, made)) == 0
    made = model([node("Relu", "w")], constants=WEIGHTS)
    assert "no output depends on the inputs" in refused(written(tmp_path, made))


def test_functions_of_the_file_and_of_onnx_are_taken_apart(tmp_path: Path) -> None:
    made = model([helper.make_node("Twice", ["x"], ["t"], domain="own"), node("MeanVarianceNormalization", "t")])
    inner = [node("Add", "a a", "b")]
    made.functions.append(helper.make_function("own", "Twice", ["a"], ["b"], inner, made.opset_import))
    made.opset_import.append(helper.make_opsetid("own", 1))
    found = imported(tmp_path, made)
    assert error(found) < 1e-5
    assert "reduce_mean" in operations(found)


def test_a_file_as_tensorflow_and_keras_have_it(tmp_path: Path) -> None:
    """Channels last at its inputs, SAME padding that is not the same on both sides, and names that are paths."""
    generator = np.random.default_rng(0)
    constants = {
        "w1": generator.standard_normal((8, 3, 3, 3)), "w2": generator.standard_normal((8, 1, 3, 3)),
        "w3": generator.standard_normal((4, 8, 1, 1)), "fc": generator.standard_normal((4, 5)), "b": np.ones(5),
        "low": np.array(0), "high": np.array(6),
    }  # fmt: skip
    prefix = "StatefulPartitionedCall/net"
    nodes = [
        node("Transpose", "x", "t", perm=[0, 3, 1, 2], name=f"{prefix}/Conv1/Conv2D__6"),
        node("Conv", "t w1", "c1", name=f"{prefix}/Conv1/Conv2D", auto_pad="SAME_UPPER", strides=[2, 2]),
        node("Clip", "c1 low high", "r1", name=f"{prefix}/Conv1_relu/Relu6"),
        node("Conv", "r1 w2", "c2", name=f"{prefix}/block_1/dw/depthwise", pads=[0, 0, 1, 1], strides=[2, 2], group=8),
        node("Conv", "c2 w3", "c3", name=f"{prefix}/block_1/project/Conv2D"),
        node("GlobalAveragePool", "c3", "g", name=f"{prefix}/pool/Mean"),
        node("Squeeze", "g axes", "s", name=f"{prefix}/pool/Mean_Squeeze"),
        node("MatMul", "s fc", "m", name=f"{prefix}/predictions/MatMul"),
        node("Add", "m b", "a", name=f"{prefix}/predictions/BiasAdd"),
        node("Softmax", "a", name=f"{prefix}/predictions/Softmax"),
    ]
    arrays = {name: np.asarray(each, np.float32) for name, each in constants.items()} | {"axes": np.array([2, 3])}
    found = imported(tmp_path, model(nodes, inputs={"x": ("unk__1", 16, 16, 3)}, constants=arrays))
    assert error(found) < 1e-5
    layers = [(each.name, each.role) for each in found.graph.nodes if each.op in ("conv2d", "linear")]
    assert layers == [
        ("net/Conv1", "stem"), ("net/block_1/dw", "depthwise"), ("net/block_1/project", "pointwise"),
        ("net/predictions", "classifier"),
    ]  # fmt: skip


def test_several_inputs_and_outputs_of_any_type(tmp_path: Path) -> None:
    nodes = [
        node("Gather", "table places", "rows"),
        node("Where", "choice rows zero", "chosen"),
        node("ArgMax", "chosen", "best", axis=1, keepdims=0),
    ]
    made = model(
        nodes, inputs={"places": (2, 5), "choice": (2, 5, 1)}, outputs=("best", "chosen"),
        constants={"table": np.random.default_rng(0).standard_normal((7, 3)).astype(np.float32), "zero": np.float32(0)},
        types={"places": TensorProto.INT64, "choice": TensorProto.BOOL, "best": TensorProto.INT64},
    )  # fmt: skip
    found = imported(tmp_path, made)
    assert error(found) == 0
    assert [found.graph.type_of(name).dtype for name in found.graph.outputs] == ["int64", "float32"]
    assert found.examples["places"].max() < 7
    assert found.examples["choice"].dtype == bool


@pytest.mark.parametrize("package", ["onnx", "onnxruntime"])
def test_packages_that_are_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    path, real = written(tmp_path, small()), importlib.import_module

    def missing(name: str, *rest: Any) -> Any:
        if name == package:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return real(name, *rest)

    monkeypatch.setattr(importlib, "import_module", missing)
    assert "pip install 'mobilenet-bench[onnx]'" in refused(path)


def test_reading_needs_neither_torch_nor_tvm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, real = written(tmp_path, small()), builtins.__import__

    def checked(name: str, *rest: Any, **more: Any) -> Any:
        assert name.partition(".")[0] not in ("torch", "tvm"), name
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", checked)
    read(path)


def test_the_reference_says_what_it_cannot_compute(tmp_path: Path) -> None:
    found = imported(tmp_path, small())
    with pytest.raises(UsageError, match="ONNX Runtime, the reference, failed"):
        found.run({"x": np.zeros((1, 4, 6, 8), np.float64)})
    newer = small()
    newer.ir_version = 99
    other = imported(tmp_path, newer)
    with pytest.raises(UsageError, match="ONNX Runtime, the reference, does not load it"):
        other.run(other.examples)
    assert numpy_helper is not None


def test_what_is_masked_out_completely_is_0_where_the_file_asks_for_nan(tmp_path: Path) -> None:
    """As torch writes attention: a softmax, and 0 where that is NaN. ONNX Runtime gives NaN there."""
    mask = np.zeros((6, 8), np.float32)
    mask[2], mask[4, :3] = -np.inf, -np.inf
    nodes = [node("Add", "x mask", "s"), node("Softmax", "s", "p"), node("IsNaN", "p", "n"), node("Where", "n zero p")]
    found = imported(tmp_path, model(nodes, constants={"mask": mask, "zero": 0.0}))
    assert error(found) < 1e-6
    [weights] = found.run(found.examples)
    assert not weights[:, :, 2].any()
    with pytest.raises(
        UsageError, match="which of the numbers that are computed are NaN; mbench knows it of a softmax"
    ):
        imported(tmp_path, model([node("IsNaN", "x", "n"), node("Where", "n x x")]))


def test_a_file_is_opened_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is compiled, what computes its outputs and what its digest is of are one state of a file that changes."""
    file = written(tmp_path, small())
    data, reads = file.read_bytes(), list[Path]()
    read_bytes = Path.read_bytes

    def counted(path: Path) -> bytes:
        reads.append(path)
        return read_bytes(path)

    monkeypatch.setattr(Path, "read_bytes", counted)
    found = read(file)
    file.write_bytes(b"another network")
    assert error(found) < 1e-5, "ONNX Runtime has what was read, too"
    assert reads == [file]
    assert found.file_sha256 == hashlib.sha256(data).hexdigest()
