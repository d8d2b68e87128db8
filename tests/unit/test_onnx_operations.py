"""ONNX's operations against the tests that ONNX itself has for them, and against ONNX Runtime."""

from __future__ import annotations

import dataclasses
import functools
import importlib
import pkgutil
import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from network_files import computed, error, imported, model, node
from onnx import numpy_helper
from onnx.backend.test.case import node as node_cases

from mbench.core.errors import UsageError
from mbench.networks.importers import onnx_file, onnx_graph, whole
from mbench.networks.importers.onnx_operations import OPERATIONS, advice

_DIFFERENT = ("test_resize_downsample_scales_linear_align_corners", "test_resize_downsample_scales_cubic_align_corners")
"""ONNX Runtime computes these two as mbench does, and not as ONNX's tests say: a test below."""
_SLOW = ("test_attention_", "test_causal_conv", "test_linear_attention", "test_flexattention", "test_affine_grid")
_SLOW_MODULES = (
    *("lppool", "image_decoder", "softmax_cross_entropy_loss", "negativeloglikelihoodloss", "string_split"),
    *("string_concat", "string_normalizer", "regex_full_match", "tfidfvectorizer", "sequence_map"),
)
_KEPT = ("test_attention_4d", "test_attention_4d_causal", "test_attention_3d_gqa")
_UNSIGNED = ("uint16", "uint32", "uint64")
"""torch, which computes the graph here, has no sums and comparisons of them."""


@functools.cache
def cases() -> tuple[Any, ...]:
    """Return ONNX's own tests of single operations, all but some that are refused or take seconds to make."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for module in pkgutil.iter_modules(node_cases.__path__):
            if module.name not in _SLOW_MODULES:
                importlib.import_module(f"{node_cases.__name__}.{module.name}")
    made = node_cases._NodeTestCases
    return tuple(case for case in made if case.name in _KEPT or not case.name.startswith(_SLOW))


def outcome(case: Any, *, fixed: bool) -> str:
    """Return how a graph compares with what a test of ONNX expects; `fixed`: inputs but the first are constants.

    `refused: …`, `wrong: …` or nothing.
    """
    made = onnx.ModelProto()
    made.CopyFrom(case.model)
    given, expected = ([_numbers(each) for each in side] for side in case.data_sets[0])
    names = [each.name for each in made.graph.input]
    arrays = dict(zip(names, given, strict=False))
    if not all(isinstance(each, np.ndarray) for each in (*given, *expected)):
        return "refused: no tensors"
    kept = names[:1] if fixed else names
    made.graph.initializer.extend(numpy_helper.from_array(arrays[name], name) for name in names if name not in kept)
    try:
        onnx_file.checked_opset(made, Path(case.name))
        made = onnx_file.inlined(made, Path(case.name))
        types = onnx_file.inputs_of(made, Path(case.name), {name: arrays[name].shape for name in kept}, None)
        found = onnx_graph.read(made, types, where=case.name)
        graph, parameters = whole.finished(found, case.name)
    except UsageError as refused:
        return f"refused: {refused}"
    if any(str(each.dtype) in _UNSIGNED for each in (*given, *expected)):
        return ""
    for got, want in zip(computed(graph, parameters, arrays), expected, strict=True):
        close = 2e-3 if want.dtype == np.float16 else 1e-5
        if got.shape != want.shape or got.dtype != want.dtype:
            return f"wrong: {got.shape} of {got.dtype}, expected {want.shape} of {want.dtype}"
        if not np.allclose(got, want, rtol=1e-3, atol=close, equal_nan=True):
            return f"wrong: by up to {np.abs(got.astype(float) - want.astype(float)).max()}"
    return ""


def _numbers(given: Any) -> Any:
    return numpy_helper.to_array(given) if isinstance(given, onnx.TensorProto) else given


@functools.cache
def outcomes() -> dict[str, tuple[str, set[str]]]:
    """Return the outcome of each case, with the operations of its model."""
    found = {}
    for case in cases():
        result = outcome(case, fixed=False)
        if "depends on" in result:
            result = outcome(case, fixed=True)
        found[case.name] = (result, {each.op_type for each in case.model.graph.node})
    return found


def test_what_onnx_expects_is_computed_or_refused() -> None:
    wrong = {name: result for name, (result, _) in outcomes().items() if result.startswith("wrong")}
    assert set(wrong) == set(_DIFFERENT), wrong
    assert sum(not result for result, _ in outcomes().values()) > 700


def test_every_operation_has_a_case_that_is_computed() -> None:
    covered = {op for result, ops in outcomes().values() if not result for op in ops}
    assert OPERATIONS.keys() - covered <= {
        "CumSum",
        "DequantizeLinear",
        "IsNaN",
        "QuantizeLinear",
        "Upsample",
        *ALONE,
    }  # other tests


def test_a_wrong_result_is_seen() -> None:
    case = next(each for each in cases() if each.name == "test_add")
    spoiled = dataclasses.replace(case, data_sets=[(case.data_sets[0][0], [case.data_sets[0][1][0] + 1])])
    assert outcome(spoiled, fixed=False).startswith("wrong")


def test_refusals_name_the_operation_and_what_to_do() -> None:
    unknown = [result for result, _ in outcomes().values() if "mbench does not know it" in result]
    assert len(unknown) > 50
    assert all(re.search(r"layer '.*', operation \w+ \(opset \d+\): .*extract_model", each) for each in unknown)


ALONE = {
    "LayerNormalization": (["x w b"], {"w": np.linspace(1, 2, 8), "b": np.linspace(0, 1, 8)}),
    "Not": (["c"], {}),
    "OneHot": (["i depth values"], {"depth": np.array(5), "values": np.array([0.5, 2.0], np.float32)}),
}
"""Operations whose tests of ONNX have inputs or outputs that no network has."""


@pytest.mark.parametrize("op", ALONE)
def test_operations_by_onnx_runtime_alone(tmp_path: Path, op: str) -> None:
    (inputs,), constants = ALONE[op]
    nodes = [node("Greater", "x zero", "c"), node("ArgMax", "x", "i", axis=1), node(op, inputs)]
    types = {"y": onnx.TensorProto.BOOL} if op == "Not" else {}
    floats = {name: each if each.ndim == 0 else each.astype(np.float32) for name, each in constants.items()}
    made = model(nodes, constants={"zero": np.float32(0), **floats}, types=types)
    assert error(imported(tmp_path, made)) < 1e-5


@pytest.mark.parametrize(
    ("nodes", "constants"),
    [
        ([node("ReduceLogSumExp", "x", noop_with_empty_axes=1)], {}),
        ([node("Mod", "a b", "c", fmod=1), node("Add", "x c")], {"a": [-7.0, 7, -5.5, 5.5] * 2, "b": [3.0] * 8}),
        ([node("Mul", "x tiny", "a"), node("Div", "a tiny")], {"tiny": [1e-39]}),
    ],
    ids=["nothing is reduced", "remainders of constants", "a divisor of almost 0"],
)
def test_corner_cases_by_onnx_runtime(
    tmp_path: Path, nodes: list[onnx.NodeProto], constants: dict[str, list[float]]
) -> None:
    made = model(nodes, inputs={"x": (1, 4, 6, 8)}, constants=constants, opset=18)
    assert error(imported(tmp_path, made)) < 1e-5


@pytest.mark.parametrize("mode", ["linear", "cubic"])
def test_resizing_with_aligned_corners_is_that_of_onnx_runtime(tmp_path: Path, mode: str) -> None:
    resize = node("Resize", "x _ scales", mode=mode, coordinate_transformation_mode="align_corners")
    made = model([resize], inputs={"x": (1, 1, 4, 4)}, constants={"scales": [1, 1, 0.8, 0.8]})
    assert error(imported(tmp_path, made)) < 1e-5


@pytest.mark.parametrize("opset", [7, 9])
def test_upsample_of_old_files(tmp_path: Path, opset: int) -> None:
    if opset == 7:
        made = model([node("Upsample", "x", mode="linear", scales=[1.0, 1.0, 2.0, 3.0])], opset=7)
    else:
        made = model([node("Upsample", "x s", mode="nearest")], constants={"s": [1, 1, 2, 3]}, opset=9)
    assert error(imported(tmp_path, made)) < 1e-5


def test_old_files_take_the_pixel_above_where_an_image_becomes_smaller(tmp_path: Path) -> None:
    made = model([node("Resize", "x s")], constants={"s": [1, 1, 0.4, 1.7]}, opset=10)
    assert error(imported(tmp_path, made)) < 1e-6


@pytest.mark.parametrize("op", ["ReduceLogSumExp", "ReduceL2", "ReduceSumSquare", "ReduceMean"])
@pytest.mark.parametrize("noop", [0, 1])
def test_a_reduction_over_no_axes_is_one_over_all_or_none(tmp_path: Path, op: str, noop: int) -> None:
    reduce = node(op, "r axes", noop_with_empty_axes=noop)
    made = model([node("Relu", "x", "r"), reduce], constants={"axes": np.zeros(0, np.int64)}, opset=18)
    assert error(imported(tmp_path, made)) < 1e-5


@pytest.mark.parametrize(("low", "high"), [(-(2**63), 2**63 - 1), (2**60 + 3, 2**60 + 101), (5, 3)])
def test_whole_numbers_are_clipped_exactly(tmp_path: Path, low: int, high: int) -> None:
    nodes = [node("Add", "x k", "q"), node("Clip", "q low high")]
    constants = {"k": np.array(2**60), "low": np.array(low), "high": np.array(high)}
    types = {"x": onnx.TensorProto.INT64, "y": onnx.TensorProto.INT64}
    found = imported(tmp_path, model(nodes, constants=constants, types=types))
    [want], [got] = found.run(found.examples), computed(found.graph, found.parameters, found.examples)
    assert (want == got).all()


def test_constants_of_operations_that_are_taken_apart(tmp_path: Path) -> None:
    made = model([node("RMSNormalization", "x w")], constants={"w": np.linspace(1, 2, 8, dtype=np.float32)}, opset=23)
    assert error(imported(tmp_path, made)) < 1e-5


def test_a_vector_times_a_constant_matrix(tmp_path: Path) -> None:
    weight = np.arange(12, dtype=np.float32).reshape(3, 4)
    found = imported(tmp_path, model([node("MatMul", "x w")], inputs={"x": (3,)}, constants={"w": weight}))
    assert error(found) < 1e-6
    assert [each.op for each in found.graph.nodes] == ["reshape", "linear", "reshape"]


@pytest.mark.parametrize("count", [3, 500])
def test_tiles(tmp_path: Path, count: int) -> None:
    made = model([node("Tile", "x n")], inputs={"x": (2, 3)}, constants={"n": np.array([1, count])})
    found = imported(tmp_path, made)
    assert error(found) == 0
    assert len(found.graph.nodes) <= 3


INT = onnx.TensorProto.INT64
GIVEN = "its input 2 depends on what the network is given"
REFUSED: dict[str, tuple[Any, dict[str, Any], str]] = {
    "weights": (node("Conv", "x w"), {"inputs": {"x": (1, 4, 6, 8), "w": (2, 4, 3, 3)}}, GIVEN),
    "a norm's": (
        node("BatchNormalization", "x w one one one"),
        {"inputs": {"x": (1, 4, 6, 8), "w": (4,)}, "constants": {"one": np.ones(4, np.float32)}},
        GIVEN,
    ),
    "a norm in training": (
        node("BatchNormalization", "x one one one one", "y mean variance saved_mean saved_variance"),
        {"constants": {"one": np.ones(4, np.float32)}, "opset": 9}, "it is in training mode",
    ),
    "a norm of no channels": (
        node("BatchNormalization", "x one one one one"),
        {"inputs": {"x": (4,)}, "constants": {"one": np.ones(4, np.float32)}}, "cannot be normalised by",
    ),
    "whole numbers' power": (
        node("Pow", "x x"), {"types": {"x": INT, "y": INT}}, "power is computed of floating-point numbers alone",
    ),
    "pixels between": (
        node("Resize", "x _ s", mode="linear"),
        {"constants": {"s": [1, 1, 2, 2]}, "types": {"x": onnx.TensorProto.UINT8, "y": onnx.TensorProto.UINT8}},
        "resize2d is computed of floating-point numbers alone, and this is of uint8; cast it before",
    ),
    "a place outside": (
        node("GatherND", "x far"), {"constants": {"far": np.array([[0, 4]])}}, "it reads a place that is not among",
    ),
    "unsigned": (
        node("Add", "x x"), {"types": {"x": onnx.TensorProto.UINT16, "y": onnx.TensorProto.UINT16}},
        "input 'x': its numbers are uint16; mbench computes with float32",
    ),
    "huge input": (node("Relu", "x"), {"inputs": {"x": (10**9, 10**9)}}, "input 'x': .* are 1000000000000000000 elem"),
    "huge value": (
        node("Expand", "x s"), {"inputs": {"x": (1,)}, "constants": {"s": np.array([10**9, 100])}},
        "are 100000000000 elements; expected at most 2147483647",
    ),
    "huge constant": (
        [node("Expand", "one s", "q"), node("ReduceSum", "q", "r", keepdims=0), node("Add", "x r")],
        {"constants": {"one": np.ones(1, np.float32), "s": np.array([10**9, 100])}}, "asks for 1e.11 elements",
    ),
    "huge tiles": (
        [node("Tile", "one s", "q"), node("ReduceSum", "q", "r", keepdims=0), node("Add", "x r")],
        {"constants": {"one": np.ones(1, np.float32), "s": np.array([10**9])}}, "asks for 1e.09 elements",
    ),
    "no number": (
        node("Clip", "x low"), {"constants": {"low": np.array(np.nan, np.float32)}}, "low of clip is NaN; expected",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_compiled_is_refused_at_once(tmp_path: Path, case: str) -> None:
    nodes, given, said = REFUSED[case]
    with pytest.raises(UsageError, match=said):
        imported(tmp_path, model(nodes if isinstance(nodes, list) else [nodes], **given))


def test_truths_are_reduced(tmp_path: Path) -> None:
    nodes = [node("Greater", "x zero", "c"), node("ReduceMax", "c axes")]
    constants = {"zero": np.array(1.2, np.float32), "axes": np.array([3])}
    found = imported(tmp_path, model(nodes, constants=constants, types={"y": onnx.TensorProto.BOOL}, opset=20))
    assert error(found) == 0


def test_shape_arithmetic_becomes_constants(tmp_path: Path) -> None:
    """Reshape to what Shape, Gather, Concat, ConstantOfShape, Range and others compute, as exporters write it."""
    nodes = [
        node("Shape", "x", "shape"),
        node("Gather", "shape zero", "batch", axis=0),
        node("Unsqueeze", "batch first", "batches"),
        node("ConstantOfShape", "one", "ones", value=helper_tensor(-1)),
        node("Concat", "batches ones", "wanted", axis=0),
        node("Reshape", "x wanted", "flat"),
        node("Size", "x", "size"),
        node("Range", "zero size_of_row step", "places"),
        node("CumSum", "places zero", "sums"),
        node("Cast", "sums", "numbers", to=1),
        node("Mul", "flat numbers"),
    ]
    constants = {
        "zero": np.array(0, np.int64), "first": np.array([0], np.int64), "one": np.array([1], np.int64),
        "size_of_row": np.array(192, np.int64), "step": np.array(1, np.int64),
    }  # fmt: skip
    found = imported(tmp_path, model(nodes, constants=constants))
    assert error(found) < 1e-6
    assert [each.op for each in found.graph.nodes] == ["reshape", "multiply"]


def helper_tensor(number: int) -> onnx.TensorProto:
    return numpy_helper.from_array(np.array([number], np.int64))


def test_weights_of_8_bits_become_floats(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    constants = {
        "q": generator.integers(-128, 128, (6, 4, 3, 3)).astype(np.int8), "s": np.full(6, 0.01, np.float32),
        "z": np.zeros(6, np.int8),
    }  # fmt: skip
    nodes = [node("DequantizeLinear", "q s z", "w", axis=0), node("Conv", "x w", pads=[1, 1, 1, 1])]
    found = imported(tmp_path, model(nodes, constants=constants))
    assert error(found) < 1e-5
    assert found.parameters["q"].dtype == np.float32


@pytest.mark.parametrize(
    ("operation", "domain", "expected"),
    [
        ("FusedConv", "com.microsoft", "the file from before"),
        ("Thing", "my.own", "domain 'my.own'"),
        ("LSTM", "", "recurrent"),
        ("Loop", "", "control flow"),
        ("QLinearConv", "", "before quantisation"),
        ("QLinearAdd", "com.microsoft", "before quantisation"),
        ("QGemm", "com.microsoft", "before quantisation"),
        ("DynamicQuantizeMatMul", "com.microsoft", "before quantisation"),
        ("QuantizeLinear", "com.microsoft", "QDQ with 8 bits"),
        ("MatMulNBits", "com.microsoft", "QDQ with 8 bits"),
        ("QLinearAdd", "my.own", "domain 'my.own'"),
        ("SequenceAt", "", "sequences"),
        ("TopK", "", "what follows a detector"),
    ],
)
def test_advice(operation: str, domain: str, expected: str) -> None:
    assert expected in advice(operation, domain)
