"""Quantised networks with int8 where values are uint8: the same outputs to the last bit."""

from __future__ import annotations

import emulated_bytes as emulated
import graph_cases
import numpy as np
import pytest
from byte_layers import ByteConv, drawn
from quantized_cases import Case, computed, images, quantized

from mbench.networks import architectures, signed, torch_network, variants
from mbench.networks.graph import Graph

CASES = [name for name in graph_cases.CASES if "conv" in name or name in (
    "depthwise", "squeeze-excite", "attention", "classifier", "flattened", "rows", "avg_pool2d", "add", "multiply",
)]  # fmt: skip


def eights(graph: Graph) -> dict[str, str]:
    """Return the types of all values of 8 bits that nodes make."""
    return {node.name: node.dtype for node in graph.nodes if node.dtype in ("uint8", "int8")}


def same(graph: Graph, case: Case) -> None:
    """Compare the outputs of a case's network and of another graph with the same parameters."""
    given = images(case.graph, 1, seed=2)[0]
    with torch_network.one_thread():
        expected, _ = computed(case.network.graph, case.network.parameters, given)
        found, _ = computed(graph, case.network.parameters, given)
    for one, other in zip(found, expected, strict=True):
        assert one.dtype == other.dtype
        assert np.array_equal(one, other)


@pytest.mark.parametrize("name", CASES)
def test_operations_give_the_same(name: str) -> None:
    case = quantized(graph_cases.graph(name))
    same(signed.signed(case.network.graph), case)


@pytest.mark.parametrize("residual", ["fused", "rounded"])
def test_a_network_with_residuals_has_int8_throughout(residual: str) -> None:
    case = quantized(architectures.graph(variants.parse("mobilenet_v2_0.35_32")), residual=residual)
    changed = signed.signed(case.network.graph)
    assert set(eights(case.network.graph).values()) == {"uint8"}
    assert set(eights(changed).values()) == {"int8"}
    same(changed, case)


def test_what_a_table_gives_stays() -> None:
    case = quantized(architectures.graph(variants.parse("mobilenet_v3_small_0.5_32")))
    changed = signed.signed(case.network.graph)
    assert {changed.by_name[name].op for name, dtype in eights(changed).items() if dtype == "uint8"} >= {"lookup"}
    assert "int8" in eights(changed).values()
    same(changed, case)


def test_int8_and_outputs_stay() -> None:
    case = quantized(graph_cases.graph("classifier"), activations="int8")
    assert signed.signed(case.network.graph) is case.network.graph
    graph = ByteConv().graph()
    assert signed.signed(graph).type_of(graph.outputs[0]) == graph.type_of(graph.outputs[0])


@pytest.mark.parametrize("instruction", ["sdot", "smull"])
def test_kernels_give_the_same(instruction: str) -> None:
    emulated.needs_emulator()
    for residual in (False, True):
        graph = ByteConv(inputs=16, residual=residual, zero_point=3).graph()
        parameters, inputs = drawn(graph)
        program = emulated.compiled(graph, parameters, instruction, emulated.machine_of(instruction), as_built=True)
        expected, _ = computed(graph, parameters, inputs)
        assert np.array_equal(program.run(inputs)[0], expected[0])
