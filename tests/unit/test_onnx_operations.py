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
    assert sum(not result for result, _ in outcomes().values()) > 750


def test_every_operation_has_a_case_that_is_computed() -> None:
    covered = {op for result, ops in outcomes().values() if not result for op in ops}
    assert OPERATIONS.keys() - covered <= {"CumSum", "DequantizeLinear", "Upsample", *ALONE}  # other tests here


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
        ("SequenceAt", "", "sequences"),
        ("TopK", "", "what follows a detector"),
    ],
)
def test_advice(operation: str, domain: str, expected: str) -> None:
    assert expected in advice(operation, domain)
