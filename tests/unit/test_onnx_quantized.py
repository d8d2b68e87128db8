"""QDQ files read as networks on whole numbers: mbench's own, ONNX Runtime's, and those that cannot be read."""

from __future__ import annotations

import dataclasses
import re
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from benchmark_scripts import script
from network_files import computed, imported, model, node, operations, written
from onnx import TensorProto, helper
from quantized_cases import Case, images, quantized

from mbench.core.errors import UsageError
from mbench.networks import importing, quantization, torch_network, weights
from mbench.networks.graph import Graph, Node
from mbench.networks.graph_builder import GraphBuilder
from mbench.networks.importers import onnx_quantized
from mbench.networks.importers.imported import Imported

WHOLE = {"quantize", "dequantize", "conv2d", "requantize"}
SIDES = (1, 4, 6, 8)


def differing(found: Imported, image: dict[str, np.ndarray]) -> float:
    """Return the largest difference from ONNX Runtime on the same file, over the largest number."""
    expected, got = found.run(image), computed(found.graph, found.parameters, image)
    assert [each.shape for each in expected] == [each.shape for each in got]
    return max(
        float(np.abs(want.astype(float) - have.astype(float)).max() / np.abs(want).max())
        for want, have in zip(expected, got, strict=True)
    )


def block() -> Graph:
    """Return a network with all that mobile networks have."""
    builder = GraphBuilder()
    x = builder.convolution("stem", builder.input("image", (1, 3, 16, 16)), 8, kernel=3, stride=2, activation="relu")
    y = builder.convolution("expand", x, 24, activation="hard_swish")
    y = builder.convolution("dw", y, 24, kernel=3, groups=24, activation="relu6")
    gate = builder.add("global_avg_pool", "squeeze", y)
    gate = builder.convolution("reduce", gate, 8, norm=None, bias=True, activation="relu")
    gate = builder.convolution("excite", gate, 24, norm=None, bias=True, activation="hard_sigmoid")
    y = builder.convolution("project", builder.add("multiply", "gated", y, gate), 8)
    x = builder.add("add", "sum", x, y)
    pooled = builder.add("reshape", "flat", builder.add("global_avg_pool", "pool", x), shape=(1, 8))
    return builder.graph(builder.linear("fc", pooled, 10))


@pytest.mark.parametrize("activations", quantization.DTYPES)
def test_a_file_of_mbenchs_own_is_the_network_that_it_was_written_from(tmp_path: Path, activations: str) -> None:
    case = quantized(block(), activations=activations)
    path = written(tmp_path, script("qdq_writer").model(case.network.qdq))
    found = imported(tmp_path, onnx.load(path))
    assert operations(found) == [each.op for each in case.network.graph.nodes]
    before = case.network.parameters.values()
    assert [each.tolist() for each in found.parameters.values()] == [each.tolist() for each in before]
    assert differing(found, images(case.graph, 1, seed=4)[0]) < 1e-6


def by_onnx_runtime(folder: Path, case: Case, **how: Any) -> Path:
    """Quantise the float network of a case by ONNX Runtime's own tool; return the file."""
    import logging

    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, quantize_static

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self._left: Iterator[dict[str, np.ndarray]] = iter(images(case.graph, 3, seed=1))

        def get_next(self) -> dict[str, np.ndarray] | None:
            return next(self._left, None)

    before = written(folder, script("onnx_writer").model(case.graph, case.parameters), "float.onnx")
    logging.disable(logging.WARNING)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        quantize_static(before, folder / "whole.onnx", Reader(), quant_format=QuantFormat.QDQ, **how)
    logging.disable(logging.NOTSET)
    return folder / "whole.onnx"


@pytest.mark.parametrize(
    ("activations", "weights", "per_channel"),
    [("QUInt8", "QInt8", True), ("QInt8", "QInt8", False), ("QUInt8", "QUInt8", False), ("QUInt8", "QUInt8", True)],
)
def test_files_of_onnx_runtimes_tool(tmp_path: Path, activations: str, weights: str, per_channel: bool) -> None:
    from onnxruntime.quantization import QuantType

    case = quantized(block())
    how = {"activation_type": QuantType[activations], "weight_type": QuantType[weights]}
    found = imported(tmp_path, onnx.load(by_onnx_runtime(tmp_path, case, per_channel=per_channel, **how)))
    assert [each.op for each in found.graph.nodes if each.dtype == "float32"].count("dequantize") >= 1
    assert {each.dtype for each in found.graph.nodes if each.op == "conv2d"} == {"int32"}
    shifted = ["other_zero_point" in each.attributes for each in found.graph.nodes if each.op == "conv2d"]
    assert any(shifted) is (weights == "QUInt8" and not per_channel)  # by channel its tool has zero points of 128
    assert differing(found, images(case.graph, 1, seed=4)[0]) < 1e-6


def whole(*shape: int, low: int = -127, high: int = 127, dtype: str = "int8") -> np.ndarray:
    return np.random.default_rng(0).integers(low, high, shape, endpoint=True).astype(dtype)


CONSTANTS: dict[str, Any] = {
    "s": np.float32(0.05), "z": np.uint8(120), "w8": whole(6, 4, 3, 3), "ws": np.linspace(0.01, 0.03, 6),
    "wz": np.zeros(6, np.int8), "b32": whole(6, low=-900, high=900, dtype="int32"),
    "bs": np.float32(0.05) * np.linspace(0.01, 0.03, 6).astype(np.float32), "ys": np.float32(0.2), "yz": np.uint8(100),
}  # fmt: skip


def convolution(
    folder: Path, *, axis: int = 0, opset: int = 17, more: tuple[onnx.NodeProto, ...] = (), **changed: Any
) -> Imported:
    """Read a file of one convolution between roundings, some of its constants changed."""
    nodes = [
        node("QuantizeLinear", "x s z", "q"), node("DequantizeLinear", "q s z", "real"),
        node("DequantizeLinear", "w8 ws wz", "w", axis=axis), node("DequantizeLinear", "b32 bs", "b", axis=0),
        node("Conv", "real w b", "c", pads=[1, 1, 1, 1]), node("QuantizeLinear", "c ys yz", "yq"),
        node("DequantizeLinear", "yq ys yz", "end" if more else "y"), *more,
    ]  # fmt: skip
    return imported(folder, model(nodes, inputs={"x": SIDES}, constants=arrays({**CONSTANTS, **changed}), opset=opset))


def arrays(constants: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Return constants as arrays, of float32 where they are floats of Python's."""
    found = {name: np.asarray(each) for name, each in constants.items()}
    return {name: each.astype(np.float32) if each.dtype == np.float64 else each for name, each in found.items()}


def image(found: Imported, spread: float = 3.0) -> dict[str, np.ndarray]:
    return {name: spread * each for name, each in images(found.graph, 1, seed=6)[0].items()}


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"z": np.uint8(0), "yz": np.uint8(255)},
        {"z": np.uint8(255), "yz": np.uint8(0)},
        {"z": np.int8(-128), "yz": np.int8(127)},
        {"w8": np.full((6, 4, 3, 3), -128, np.int8)},
        {"ws": np.array(0.02), "wz": np.int8(0)},
        {"ws": np.array(0.02), "wz": np.int8(-5)},
        {"w8": whole(6, 4, 3, 3, low=0, high=255, dtype="uint8"), "wz": np.full(6, 131, np.uint8)},
        {"w8": whole(6, 4, 3, 3, low=0, high=255, dtype="uint8"), "wz": np.full(6, 0, np.uint8)},
        {"w8": whole(6, 4, 3, 3, low=0, high=255, dtype="uint8"), "wz": np.full(6, 255, np.uint8)},
        {"ws": np.array([0.0, 0.01, 0.02, 0.03, 0.01, 0.02])},
        {"w8": np.zeros((6, 4, 3, 3), np.int8)},
        {"s": np.float32(2**-5), "ws": np.full(6, 2.0**-8), "ys": np.float32(2**-4), "bs": np.full(6, 2.0**-13)},
    ],
    ids=[
        *("as it is", "zero points at both ends", "the other way", "of int8", "weights of -128", "one scale"),
        *("a zero point of weights", "of uint8", "0", "255", "a scale of 0", "weights of 0", "ties"),
    ],
)
def test_convolutions_are_those_of_the_file(tmp_path: Path, changed: dict[str, Any]) -> None:
    found = convolution(tmp_path, **changed)
    assert set(operations(found)) == WHOLE
    assert differing(found, image(found)) < 1e-6


def test_a_million_sums_are_rounded_as_onnx_runtime_rounds_them(tmp_path: Path) -> None:
    """Multipliers differ in their last bit where scales are multiplied and divided in another order."""
    generator = np.random.default_rng(5)
    steps, image_side = generator.uniform(0.002, 0.02, 4096).astype(np.float32), 16
    constants = {
        "s": np.float32(0.0131), "z": np.uint8(3), "w8": whole(4096, 1, 1, 1), "ws": steps,
        "wz": np.zeros(4096, np.int8), "b32": whole(4096, low=-20_000, high=20_000, dtype="int32"),
        "bs": np.float32(0.0131) * steps, "ys": np.float32(0.0277), "yz": np.uint8(100),
    }  # fmt: skip
    nodes = [
        node("DequantizeLinear", "x s z", "real"), node("DequantizeLinear", "w8 ws wz", "w", axis=0),
        node("DequantizeLinear", "b32 bs", "b", axis=0), node("Conv", "real w b", "c"),
        node("QuantizeLinear", "c ys yz"),
    ]  # fmt: skip
    types = {"x": onnx.TensorProto.UINT8, "y": onnx.TensorProto.UINT8}
    inputs = {"x": (1, 1, image_side, image_side)}
    found = imported(tmp_path, model(nodes, inputs=inputs, constants=arrays(constants), types=types))
    given = {"x": np.arange(256, dtype=np.uint8).reshape(1, 1, image_side, image_side)}
    [expected], [got] = found.run(given), computed(found.graph, found.parameters, given)
    assert expected.size == 2**20
    assert np.ptp(expected) == 255
    assert np.array_equal(expected, got)


@pytest.mark.parametrize("op", ["Add", "Mul"])
@pytest.mark.parametrize("scales", [(2.0**-5, 2.0**-4, 2.0**-3), (0.0313, 0.0171, 0.0417)], ids=["ties", "any"])
def test_every_pair_of_bytes_is_added_and_multiplied_as_by_onnx_runtime(
    tmp_path: Path, op: str, scales: tuple[float, ...]
) -> None:
    """On x86-64; of two halves, the even one is with the zero point of the result, which is odd."""
    constants = dict(zip(("xs", "ys", "s"), map(np.float32, scales), strict=True))
    zeros = {"xz": np.uint8(100), "yz": np.uint8(151), "z": np.uint8(77)}
    nodes = [
        node("DequantizeLinear", "x xs xz", "left"), node("DequantizeLinear", "other ys yz", "right"),
        node(op, "left right", "made"), node("QuantizeLinear", "made s z"),
    ]  # fmt: skip
    types = dict.fromkeys(("x", "other", "y"), onnx.TensorProto.UINT8)
    inputs = dict.fromkeys(("x", "other"), (1, 1, 256, 256))
    made = model(nodes, inputs=inputs, constants=arrays({**constants, **zeros}), types=types)
    found = imported(tmp_path, made)
    x = np.broadcast_to(np.arange(256, dtype=np.uint8), (1, 1, 256, 256)).copy()
    given = {"x": x, "other": np.ascontiguousarray(x.swapaxes(2, 3))}
    [expected], [got] = found.run(given), computed(found.graph, found.parameters, given)
    assert np.ptp(expected) > 150
    assert np.array_equal(expected, got)


@pytest.mark.parametrize("scales", [(2.0**-5, 2.0**-6), (0.0313, 0.0171)], ids=["ties", "any"])
def test_means_of_windows_are_rounded_as_by_onnx_runtime(tmp_path: Path, scales: tuple[float, float]) -> None:
    """It computes them of floats: where scales are no powers of two, a half may be rounded the other way."""
    constants = {"xs": np.float32(scales[0]), "xz": np.uint8(100), "s": np.float32(scales[1]), "z": np.uint8(77)}
    nodes = [
        node("DequantizeLinear", "x xs xz", "real"), node("AveragePool", "real", "m", kernel_shape=[2, 2]),
        node("QuantizeLinear", "m s z"),
    ]  # fmt: skip
    types = dict.fromkeys(("x", "y"), onnx.TensorProto.UINT8)
    found = imported(tmp_path, model(nodes, inputs={"x": (1, 4, 40, 40)}, constants=arrays(constants), types=types))
    given = {"x": whole(1, 4, 40, 40, low=60, high=140, dtype="uint8")}
    [expected], [got] = found.run(given), computed(found.graph, found.parameters, given)
    assert np.array_equal(expected, got)


def test_a_fully_connected_layer_in_both_forms(tmp_path: Path) -> None:
    """Weights of a MatMul have their channels along the last axis, those of a Gemm may have them along the first."""
    constants = {
        "s": np.float32(0.05), "z": np.uint8(120), "m8": whole(8, 5), "ms": np.linspace(0.01, 0.03, 5),
        "g8": whole(3, 5), "gs": np.linspace(0.01, 0.03, 3), "ys": np.float32(0.2),
        "gb": whole(3, dtype="int32"), "gbs": np.linspace(0.01, 0.03, 3, dtype=np.float32) * np.float32(0.2),
    }  # fmt: skip
    nodes = [
        node("QuantizeLinear", "x s z", "q"), node("DequantizeLinear", "q s z", "real"),
        node("DequantizeLinear", "m8 ms", "m", axis=1), node("MatMul", "real m", "first"),
        node("QuantizeLinear", "first ys z", "fq"), node("DequantizeLinear", "fq ys z", "f"),
        node("DequantizeLinear", "g8 gs", "g", axis=0), node("DequantizeLinear", "gb gbs", "b", axis=0),
        node("Gemm", "f g b", "y", transB=1),
    ]  # fmt: skip
    found = imported(tmp_path, model(nodes, inputs={"x": (3, 8)}, constants=arrays(constants)))
    assert operations(found) == ["quantize", "linear", "requantize", "linear", "dequantize"]
    assert differing(found, image(found)) < 1e-6


def test_weights_that_a_file_has_as_floats_and_rounds(tmp_path: Path) -> None:
    """As exporters of networks trained with fake quantisation write them."""
    constants = {
        "s": np.float32(0.05), "z": np.uint8(120), "w32": np.random.default_rng(1).normal(0, 1, (6, 4, 1, 1)),
        "ws": np.linspace(0.01, 0.03, 6, dtype=np.float32), "wz": np.zeros(6, np.int8),
    }  # fmt: skip
    nodes = [
        node("QuantizeLinear", "x s z", "q"), node("DequantizeLinear", "q s z", "real"),
        node("QuantizeLinear", "w32 ws wz", "wq", axis=0), node("DequantizeLinear", "wq ws wz", "w", axis=0),
        node("Conv", "real w"),
    ]  # fmt: skip
    found = imported(tmp_path, model(nodes, inputs={"x": SIDES}, constants=arrays(constants)))
    assert operations(found) == ["quantize", "conv2d", "dequantize"]
    assert differing(found, image(found)) < 1e-6


@pytest.mark.parametrize(
    "changed",
    [
        {"w8": whole(6, 4, 3, 3, low=-3000, high=3000, dtype="int16"), "wz": np.zeros(6, np.int16), "opset": 21},
        {"axis": 1, "ws": np.linspace(0.01, 0.03, 4), "wz": np.zeros(4, np.int8)},
        {"axis": 2, "ws": np.linspace(0.01, 0.03, 3), "wz": np.zeros(3, np.int8)},
    ],
    ids=["weights of int16", "scales by input channel", "scales by line"],
)
def test_weights_that_are_no_whole_numbers_of_8_bits_stay_float(tmp_path: Path, changed: dict[str, Any]) -> None:
    found = convolution(tmp_path, **changed)
    assert operations(found) == ["quantize", "dequantize", "conv2d", "quantize", "dequantize"]
    assert found.graph.by_name["c"].dtype == "float32"
    assert differing(found, image(found)) <= 0.01


def test_weights_of_4_bits_are_whole_numbers_of_8(tmp_path: Path) -> None:
    """ONNX Runtime's tool writes them in its own domain where the opset has no such type."""
    weight = helper.make_tensor("w4", TensorProto.INT4, (6, 4, 3, 3), whole(6, 4, 3, 3, low=-7, high=7).ravel())
    nodes = [
        node("QuantizeLinear", "x s z", "q"), node("DequantizeLinear", "q s z", "real"),
        node("DequantizeLinear", "w4 ws", "w", axis=0, domain="com.microsoft"), node("Conv", "real w"),
    ]  # fmt: skip
    constants = {name: CONSTANTS[name] for name in ("s", "z", "ws")}
    made = model(nodes, inputs={"x": SIDES}, constants=arrays(constants))
    made.graph.initializer.append(weight)
    made.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    found = imported(tmp_path, made)
    assert operations(found) == ["quantize", "conv2d", "dequantize"]
    assert np.abs(found.parameters["w4"]).max() == 7
    assert differing(found, image(found)) < 1e-6


@pytest.mark.parametrize("keepdims", [0, 1])
@pytest.mark.parametrize("axes", [[2, 3], [-1, -2], [1]])
def test_a_mean_over_an_image_is_a_pool_of_whole_numbers(tmp_path: Path, keepdims: int, axes: list[int]) -> None:
    """As networks have it that call `mean`, such as timm's: nothing rounds it before its sides are dropped."""
    constants = {"s": np.float32(0.05), "z": np.uint8(120), "ys": np.float32(0.0171), "yz": np.uint8(131)}
    nodes = [
        node("DequantizeLinear", "x s z", "real"), node("ReduceMean", "real", "m", axes=axes, keepdims=keepdims),
        node("QuantizeLinear", "m ys yz"),
    ]  # fmt: skip
    types = dict.fromkeys(("x", "y"), TensorProto.UINT8)
    inputs = {"x": (3, 50, 9, 7)}
    found = imported(tmp_path, model(nodes, inputs=inputs, constants=arrays(constants), types=types))
    if axes == [1]:
        assert "reduce_mean" in operations(found)
        return
    assert operations(found) == ["global_sum_pool", "requantize", *(["reshape"] if not keepdims else [])]
    given = {"x": whole(3, 50, 9, 7, low=0, high=255, dtype="uint8")}
    [expected], [got] = found.run(given), computed(found.graph, found.parameters, given)
    assert np.ptp(expected) > 20
    assert np.array_equal(expected, got)


def test_scales_by_input_channel_of_as_many_channels_are_seen() -> None:
    """Their number says nothing; the weights do."""
    layer = Node(name="fc", op="linear", inputs=("x", "w"), shape=(1, 4))
    scales = np.array([0.01, 0.02, 0.03, 0.04], np.float32)
    numbers = whole(4, 4)
    by_output, by_input = (numbers * scales[:, None]).astype(np.float32), (numbers * scales).astype(np.float32)
    assert onnx_quantized.by_channel(layer, by_output, scales) is not None
    assert onnx_quantized.by_channel(layer, by_input, scales) is None


def test_an_island_of_floats(tmp_path: Path) -> None:
    found = convolution(tmp_path, more=(node("Softmax", "end", axis=1),))
    assert operations(found)[-2:] == ["dequantize", "softmax"]
    assert differing(found, image(found)) < 1e-5


def test_numbers_of_8_bits_in_and_out(tmp_path: Path) -> None:
    nodes = [
        node("DequantizeLinear", "x s z", "real"), node("MaxPool", "real", "m", kernel_shape=[2, 2], strides=[2, 2]),
        node("QuantizeLinear", "m s z"),
    ]  # fmt: skip
    types = {"x": onnx.TensorProto.UINT8, "y": onnx.TensorProto.UINT8}
    constants = {"s": np.float32(0.05), "z": np.uint8(7)}
    found = imported(tmp_path, model(nodes, inputs={"x": SIDES}, constants=arrays(constants), types=types))
    assert operations(found) == ["max_pool2d"]
    given = {"x": whole(*SIDES, low=0, high=255, dtype="uint8")}
    assert np.array_equal(found.run(given)[0], computed(found.graph, found.parameters, given)[0])


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"z": np.uint16(7), "yz": np.uint16(7)}, "activations of uint16; mbench computes with those of 8 bits"),
        ({"z": np.int16(7)}, "activations of int16; mbench computes with those of 8 bits"),
        ({"s": np.full(6, 0.1), "z": np.full(6, 3, np.uint8)}, "activations with 6 scales; mbench computes with one"),
        ({"s": np.float32(0)}, "scale 0 of a quantised value cannot be; expected a number above 0"),
        ({"s": np.float32(-1)}, "scale -1 of a quantised value cannot be"),
        ({"s": np.float32(np.nan)}, "scale nan of a quantised value cannot be"),
        ({"s": np.array(0.1, np.float16)}, "its scale is float16; expected float32"),
        ({"ws": np.full(5, 0.1), "wz": np.zeros(5, np.int8)}, "it has 5 scales for an axis of 6"),
        ({"axis": 7}, "axis 7 of a value that has 4"),
        ({"z": np.int32(7)}, "activations of int32; mbench computes with those of 8 bits"),
    ],
)
def test_what_cannot_be_read_is_refused_in_a_line(tmp_path: Path, changed: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=r"layer '.*', operation \w+ \(opset 17\): .*" + said) as refused:
        convolution(tmp_path, **changed)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("nodes", "said"),
    [
        ([node("QuantizeLinear", "x x", "q"), node("Cast", "q", to=1)], "its scale is computed while the network runs"),
        (
            [node("DynamicQuantizeLinear", "x", "q t u"), node("DequantizeLinear", "q t u")],
            r"\(dynamic quantisation\); mbench computes with scales that are known before: quantise it with .*_static",
        ),
        (
            [node("QLinearConv", "x s z x s z s z")],
            r"in another form than QDQ with 8 bits, which mbench reads: quantise it with quant_format=QuantFormat\.QDQ",
        ),
        (
            [node("QuantizeLinear", "x s", "q", block_size=2), node("DequantizeLinear", "q s")],
            "its attribute block_size is 2; mbench knows 0 alone",
        ),
    ],
    ids=["a scale that is computed", "dynamic", "QOperator", "blocks"],
)
def test_other_forms_are_refused_in_a_line(tmp_path: Path, nodes: list[onnx.NodeProto], said: str) -> None:
    constants = {"s": np.float32(0.05), "z": np.uint8(7)}
    with pytest.raises(UsageError, match=said):
        imported(tmp_path, model(nodes, inputs={"x": (1,) * 4}, constants=arrays(constants), opset=21))


def test_a_quantised_file_is_kept_with_its_exact_outputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MBENCH_CACHE_DIR", str(tmp_path / "cache"))
    found = convolution(tmp_path)
    kept = importing.kept(found, "net.onnx")
    assert (kept.dtype, kept.quantised_file) == ("int8", True)
    drawn = weights.draw(kept)
    given = {name: torch.from_numpy(value) for name, value in drawn.examples.items()}
    [exact] = torch_network.run(found.graph, found.parameters, given)
    np.testing.assert_array_equal(drawn.expected[0], exact.numpy())
    assert drawn.tolerance == 0.0
    assert drawn.quantized is not None
    assert drawn.quantized.left_float == ()
    assert re.search(
        r"as docs/int8\.md defines it; ONNX Runtime [\d.]+ on the same file differs by [\d.e-]+ of the", drawn.reference
    )


def test_a_reading_that_its_own_runtime_contradicts_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MBENCH_CACHE_DIR", str(tmp_path / "cache"))
    found = convolution(tmp_path)
    wrong = dataclasses.replace(found, run=lambda inputs: tuple(-each for each in found.run(inputs)))
    with pytest.raises(UsageError, match=r"differs from that of ONNX Runtime .* by more than roundings explain"):
        importing.kept(wrong, "net.onnx")


def test_what_a_file_leaves_float_is_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MBENCH_CACHE_DIR", str(tmp_path / "cache"))
    kept = importing.kept(convolution(tmp_path, more=(node("Softmax", "end", "y", axis=1),)), "net.onnx")
    drawn = weights.draw(kept)
    assert drawn.quantized is not None
    assert [each.op for each in drawn.quantized.left_float] == ["softmax"]
    assert drawn.tolerance == 1e-4
