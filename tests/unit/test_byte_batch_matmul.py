"""Matrix products of two operands of 8 bits, as in attention: every byte as the exact reference has it."""

from __future__ import annotations

from typing import Any

import byte_layers as layers
import emulated_bytes as emulated
import kernel_cases as kernels
import numpy as np
import pytest
from byte_layers import AVX2, VNNI
from hypothesis import given
from hypothesis import strategies as st

from mbench.compile.machine import KernelMachine
from mbench.networks.graph import Graph
from mbench.networks.graph_builder import GraphBuilder

RULE = "cpu.batch_matmul"


def product(
    lead: tuple[int, ...] = (2,), rows: int = 7, depth: int = 32, columns: int = 19, *, to: str = "float32",
    zero_points: tuple[int, int] = (200, 3), dtype: str = "uint8",
) -> Graph:  # fmt: skip
    """Return a graph of one product, whose sums become floats as they are, or bytes."""
    builder = GraphBuilder()
    read = [
        builder.input("x", (*lead, rows, depth), dtype=dtype),
        builder.input("y", (*lead, depth, columns), dtype=dtype),
    ]
    known: dict[str, Any] = {"zero_point": zero_points[0], "other_zero_point": zero_points[1]}
    sums = builder.add("matmul", "scores", *read, **known)
    if to == "float32":
        return builder.graph(builder.add("dequantize", "out", sums, builder.parameter("scale", (1,))))
    ends = np.iinfo(to)
    more: dict[str, Any] = {"scale": 1.0, "zero_point": 5, "to": to, "low": int(ends.min), "high": int(ends.max)}
    multiplier = builder.parameter("multiplier", (1,) * (len(lead) + 2))
    return builder.graph(builder.add("requantize", "out", sums, multiplier, **more))


def check(graph: Graph, machine: KernelMachine, *, ends: bool = False) -> set[str]:
    """Compare every output with the reference; return the rules."""
    parameters, inputs = layers.drawn(graph)
    for values in inputs.values():
        if ends:
            values[:] = np.iinfo(values.dtype).max
    return set(layers.exact(graph, parameters, inputs, machine).rules.values())


@pytest.mark.parametrize("machine", [AVX2, VNNI])
@pytest.mark.parametrize("to", ["float32", "uint8", "int8"])
@pytest.mark.parametrize("lead", [(), (1, 3)])
def test_products_are_exact(lead: tuple[int, ...], to: str, machine: KernelMachine) -> None:
    layers.needs_dot_products()
    assert RULE in check(product(lead, to=to), machine)


@pytest.mark.parametrize("depth", [258, 259, 515, 1000])
@pytest.mark.parametrize("dtype", ["uint8", "int8"])
def test_the_largest_sums_are_exact(dtype: str, depth: int) -> None:
    """Of more than 258 times 255 times 255, float32 has not every number: longer sums are added up in parts."""
    least = int(np.iinfo(dtype).min)
    assert RULE in check(product(depth=depth, zero_points=(least, least), dtype=dtype), AVX2, ends=True)


@kernels.repeatable(6)
@given(
    depth=st.integers(1, 1200), rows=st.integers(1, 20), columns=st.integers(1, 40), machine=layers.machines(),
    zero_points=st.tuples(st.integers(0, 255), st.integers(0, 255)), to=st.sampled_from(["float32", "uint8"]),
)  # fmt: skip
def test_sums_of_any_length_are_exact(
    depth: int, rows: int, columns: int, machine: KernelMachine, zero_points: tuple[int, int], to: str
) -> None:
    layers.needs_dot_products()
    assert RULE in check(product((), rows, depth, columns, to=to, zero_points=zero_points), machine)


@pytest.mark.parametrize("instruction", ["usmmla", "sdot", "smull"])
def test_products_are_exact_on_arm(instruction: str) -> None:
    emulated.needs_emulator()
    graph = product(depth=300, to="uint8")
    assert RULE in set(emulated.exact(graph, *layers.drawn(graph), instruction).rules.values())
