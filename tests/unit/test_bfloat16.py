"""bfloat16 in kernels: each number is widened and rounded as PyTorch does; dot products are those of float64."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import graph_programs as programs
import kernel_cases as kernels
import numpy as np
import pytest
import torch
from pair_layers import BFLOAT16, runs_here
from tvm import tirx
from tvm.script.ir_builder import IRBuilder
from tvm.script.ir_builder import tirx as T  # noqa: N812 - the name that TVM's script language has

from mbench.compile import bfloat16
from mbench.compile.schedules import emit
from mbench.networks import outside, torch_network
from mbench.networks.graph import Graph
from mbench.networks.graph_builder import GraphBuilder

LANES = 16


def run(body: Callable[..., None], *arrays: np.ndarray) -> None:
    """Compile a kernel of some arrays, and run it."""
    builder = IRBuilder()
    with builder, T.prim_func(is_private=True):
        T.func_attr({"tirx.noalias": True})
        parameters = [T.arg(f"p{n}", T.buffer(array.shape, str(array.dtype))) for n, array in enumerate(arrays)]
        with bfloat16.functions():
            body(*parameters)
    kernels.compiled(builder.get())["main"](*map(tensor, arrays))


def tensor(array: np.ndarray) -> Any:
    import tvm

    return tvm.runtime.from_dlpack(array)


def aligned(values: Sequence[Any] | np.ndarray, dtype: str) -> np.ndarray:
    """Return an array that begins at a cache line, as TVM's do."""
    return kernels.Guarded(np.asarray(values).astype(dtype), 0).values


def test_every_number_of_16_bits_is_widened_as_torch_does() -> None:
    bits = aligned(np.arange(1 << 16), "uint16")
    found = aligned(np.zeros(1 << 16), "float32")

    def widen(x: Any, y: Any) -> None:
        with T.serial((1 << 16) // LANES) as turn:
            emit.store(y, emit.floats(x, turn * LANES, LANES), turn * LANES, LANES)

    run(widen, bits, found)
    expected = torch.from_numpy(bits.view(np.int16)).view(torch.bfloat16).float().numpy()
    assert (found.view(np.uint32) == expected.view(np.uint32)).all()


@runs_here
@pytest.mark.parametrize("lanes", [1, 4, 16, 32])
def test_numbers_are_rounded_to_nearest_even_as_torch_does(lanes: int) -> None:
    drawn = np.random.default_rng(0).standard_normal(64 * LANES).astype(np.float32)
    ties = (np.arange(64 * LANES, dtype=np.uint32) << 16 | 0x3F808000).view(np.float32)  # halfway, exactly
    special = np.array([0.0, -0.0, np.inf, -np.inf, 3.4e38, -3.4e38, 1e-30, 65504], np.float32)
    given = aligned(np.concatenate([drawn, ties, np.tile(special, 4)]), "float32")
    found = aligned(np.zeros(given.shape), "uint16")

    def round_(x: Any, y: Any) -> None:
        with T.serial(given.size // lanes) as turn:
            emit.store(y, bfloat16.rounded(emit.vector(x, turn * lanes, lanes)), turn * lanes, lanes)

    run(round_, given, found)
    expected = torch.from_numpy(given).to(torch.bfloat16).view(torch.int16).numpy().view(np.uint16)
    assert (found == expected).all()


@runs_here
@pytest.mark.parametrize("lanes", [1, 2, 4, 8, 16])
def test_dot_products_add_both_products_of_a_pair(lanes: int) -> None:
    generator = np.random.default_rng(lanes)
    words, weights = (generator.standard_normal((lanes, 2)).astype(BFLOAT16) for _ in range(2))
    total = aligned(generator.standard_normal(lanes), "float32")
    expected = total + (words.astype(np.float64) * weights.astype(np.float64)).sum(1)

    def dot(x: Any, w: Any, y: Any) -> None:
        total, words, weights = (emit.vector(array, 0, lanes) for array in (y, x, w))
        emit.store(y, bfloat16.dot(total, words, weights, lanes), 0, lanes)

    run(dot, *(aligned(each.view(np.int32).ravel(), "int32") for each in (words, weights)), total)
    assert np.allclose(total, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("number", [0.0, 1.0, -2.5, float("-inf")])
def test_constants_have_the_bits_that_torch_gives_them(number: float) -> None:
    bits = torch.tensor(number, dtype=torch.bfloat16).view(torch.int16).item()
    assert int(bfloat16.constant(number).value) == bits % (1 << 16)


def test_only_bfloat16_is_stored_as_something_else() -> None:
    x, whole = tirx.Var("x", "float32"), tirx.Var("n", "int32")
    assert bfloat16.as_stored(x, "float32") is x
    assert bfloat16.as_stored(whole, "int8") is whole
    assert str(bfloat16.as_stored(x, "bfloat16").ty) == bfloat16.STORED == bfloat16.stored("bfloat16")
    assert bfloat16.stored("int8") == "int8"


def many_operations() -> Graph:
    """Return a network with kernels of all kinds: by rule, moves alone, and some that no rule takes."""
    builder = GraphBuilder(dtype="bfloat16")
    window: dict[str, Any] = {"kernel": (3, 3), "strides": (2, 2), "padding": (1, 1, 1, 1)}
    image = builder.input("image", (2, 3, 18, 18))
    stem = builder.convolution("stem", image, 16, kernel=3, stride=2, activation="relu6")
    each = builder.convolution("each", stem, 16, kernel=3, groups=16, activation="hard_swish")
    total = builder.add("add", "total", stem, builder.convolution("mixed", each, 16))
    mean = builder.add("global_avg_pool", "mean", total)
    gate = builder.add("sigmoid", "gate", builder.convolution("gating", mean, 16, bias=True, norm=None))
    gated = builder.add("multiply", "gated", total, gate)
    largest = builder.add("max_pool2d", "largest", gated, **window)
    both = builder.add("concat", "both", largest, builder.add("avg_pool2d", "average", gated, **window), axis=1)
    part = builder.add("slice", "part", both, axis=1, begin=8, end=24)
    shares = builder.add("softmax", "shares", part, axis=1)
    scale, shift = (builder.parameter(f"norm.{name}", (16,)) for name in ("weight", "bias"))
    norm = builder.add("instance_norm", "norm", builder.add("add", "end", shares, part), scale, shift, epsilon=1e-5)
    row = builder.add("reshape", "row", norm, shape=(2, 16 * 5 * 5))
    return outside.with_inputs(builder.graph(builder.linear("classes", row, 11)), "bfloat16")


@runs_here
def test_a_network_of_many_operations_is_what_torch_computes_in_float32() -> None:
    graph = many_operations()
    drawn, inputs = torch_network.draw(graph), torch_network.example_inputs(graph)
    program = programs.compiled(graph, drawn, kernels.AVX512, dtype="bfloat16")
    [found] = program.run({name: value.numpy() for name, value in inputs.items()})
    [expected] = torch_network.run(graph, drawn, inputs)
    assert str(found.dtype) == "float32"
    error = np.abs(found - expected.numpy()).max() / np.abs(expected.numpy()).max()
    assert 1e-4 < error < 3e-2, "it is rounded, but not more than that"
    rules = set(program.rules.values())
    taken = ("matmul", "convolution", "depthwise", "pool", "window_pool", "rows")
    assert {f"cpu.{name}" for name in taken} < rules
    assert "fallback" in rules
