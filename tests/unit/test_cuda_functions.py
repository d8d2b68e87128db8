"""What quantised networks compute element by element in CUDA C: at the ends of floats, and at halves."""

from __future__ import annotations

import re
from typing import Any

import byte_layers as layers
import cuda_on_cpu
import cuda_programs
import numpy as np
import tvm
from tvm import tirx

from mbench.compile import cuda_functions
from mbench.networks.graph import Graph
from mbench.networks.graph_builder import GraphBuilder

ENDS = [np.nan, np.inf, -np.inf, 3e38, -3e38, 0.25, 0.75, -0.25, -0.75, 1.25, 0.0, -0.0, 63.5, 63.75, -64.25, 1e-40]


def as_in_cuda(source: str) -> str:
    """Take CUDA's own minimum and maximum, which give the other operand where one is NaN: CUDA Math API, `fmaxf`."""
    changed = re.sub(r"\b(max|min)\(", r"std::f\1(", source)
    assert changed != source
    return changed


def test_floats_at_their_ends_are_rounded_as_the_definition_says() -> None:
    builder = GraphBuilder()
    x = builder.input("x", (1, 16))
    graph = builder.graph(builder.add("quantize", "q", x, scale=0.5, zero_point=128, to="uint8"))
    made = cuda_programs.program(graph, {})
    inputs = {"x": np.array([ENDS], np.float32)}
    assert dict(cuda_programs.differing({"q": made}, {"q": inputs}, plant=as_in_cuda)) == {}


def shifted() -> tuple[Graph, dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Return a sum whose zero point is added before it is rounded, with halves and sums far beyond the limits."""
    builder = GraphBuilder()
    read = builder.input("x", (3, 4096), dtype="int32"), builder.parameter("factor", (3, 1))
    known: dict[str, Any] = {"scale": 0.5, "zero_point": 9, "to": "uint8", "low": 3, "high": 250}
    graph = builder.graph(builder.add("requantize", "y", *read, shifted=True, **known))
    sums = np.random.default_rng(2).integers(-(2**14), 2**14, (3, 4096)).astype(np.int32)
    sums[0] = np.arange(-2048, 2048)
    sums[2, :2] = -(2**31), 2**31 - 1
    return graph, {"factor": np.array([[0.5], [0.0172341], [1e30]], np.float32)}, {"x": sums}


def test_halves_are_rounded_as_the_definition_says() -> None:
    graph, parameters, inputs = shifted()
    made = cuda_programs.program(graph, parameters)
    assert dict(cuda_programs.differing({"y": made}, {"y": inputs})) == {}
    away = {"plant": lambda source: source.replace("__float2int_rn(", "int(0.5f + ")}
    assert "differ" in dict(cuda_programs.differing({"y": made}, {"y": inputs}, **away))["y"]


def test_a_residual_is_added_by_a_multiplication_that_is_rounded_once() -> None:
    graph = layers.ByteConv(residual=True).graph()
    parameters, inputs = layers.drawn(graph)
    made = cuda_programs.program(graph, parameters)
    source = cuda_on_cpu.source_of(made.functions)
    assert "__fmaf_rn(" in source
    assert "__float2int_rn(" in source
    assert dict(cuda_programs.differing({"c": made}, {"c": inputs})) == {}


def test_an_intrinsic_that_cuda_has_no_function_for_is_left_to_code_generation_to_refuse() -> None:
    cuda_functions.register()
    x = tirx.const(1.5, "float32")
    fine, unknown = (tirx.call_llvm_pure_intrin("float32", name, x, x, x) for name in ("llvm.fma", "llvm.fmuladd"))
    lower = tvm.ir.Op.get("tirx.call_llvm_pure_intrin").get_attr("cuda.FLowerIntrinsic")
    assert str(lower(fine).args[0].value) == "__fmaf_rn"
    assert lower(unknown).same_as(unknown)
