"""Kernels of values of all types, several inputs and outputs, beside torch."""

from __future__ import annotations

import graph_programs as programs
import kernel_cases as kernels
import numpy as np
import pytest

from mbench.compile import kernel_writer, to_relax
from mbench.core.errors import BuildError
from mbench.networks import operations
from mbench.networks.graph import Graph, Node, TensorType
from mbench.networks.graph_builder import GraphBuilder


def random(*shape: int) -> np.ndarray:
    return np.random.default_rng(3).random(shape)


def test_every_operation_is_written() -> None:
    wanted = {op for op, known in operations.OPERATIONS.items() if not known.elementwise} - {"batch_norm"}
    assert set(kernel_writer._WRITERS) == wanted


@pytest.mark.parametrize("machine", ["avx2", "neon"])
def test_inputs_and_values_of_all_types(machine: str) -> None:
    builder = GraphBuilder()
    x = builder.input("x", (2, 3, 4, 5))
    pixels, mask = (
        builder.input("pixels", (2, 3, 4, 5), dtype="uint8"),
        builder.input("mask", (2, 1, 4, 5), dtype="bool"),
    )
    places, number = builder.input("places", (2, 7), dtype="int64"), builder.input("number", (1,), dtype="int32")
    table, seven = builder.parameter("table", (9, 4)), builder.parameter("seven", (1,), dtype="int64")
    bright = builder.add("scale", "bright", builder.add("cast", "float", pixels, to="float32"), factor=1 / 255)
    y = builder.convolution("conv", builder.add("add", "sum", x, bright), 6, kernel=3, norm=None, activation="relu")
    large = builder.add("greater", "large", y, builder.parameter("threshold", (1,)))
    chosen = builder.add(
        "where", "chosen", builder.add("or", "either", large, mask), y, builder.add("negative", "n", y)
    )
    scaled = builder.add("divide", "scaled", builder.add("multiply", "times", places, places), seven)
    counted = builder.add("cast", "ones", builder.add("equal", "equal", places, seven), to="int64")
    outputs = [
        large, chosen, scaled,
        builder.add("gather", "rows", table, places, axis=0),
        builder.add("reduce_sum", "count", counted, axes=(1,), keepdims=False),
        builder.add("argmax", "best", chosen, axis=1, keepdims=False),
        builder.add("multiply", "square", number, number),
        builder.add("concat", "both", pixels, pixels, axis=1),
        builder.add("slice", "part", mask, axis=3, begin=1, end=4),
        builder.add("mod", "rest", places, seven),
        builder.add("reduce_max", "brightest", pixels, axes=(2, 3), keepdims=True),
        builder.add("resize2d", "larger", pixels, size=(8, 10), mode="nearest", coordinates="asymmetric",
                    rounding="floor"),
    ]  # fmt: skip
    programs.checked(
        builder.graph(*outputs), kernels.MACHINES[machine],
        parameters={"seven": np.array([7]), "threshold": np.array([0.3], np.float32)},
        pixels=(256 * random(2, 3, 4, 5)).astype(np.uint8), mask=random(2, 1, 4, 5) > 0.5,
        places=(11 * random(2, 7)).astype(np.int64) - 3, number=np.array([5], np.int32),
    )  # fmt: skip


def test_outputs_in_all_forms() -> None:
    """Images, one that is read inside, an input, a constant, one that is there twice, and a view of one."""
    builder = GraphBuilder()
    x, other = builder.input("x", (1, 3, 6, 5)), builder.input("other", (1, 3, 6, 5))
    y = builder.convolution("conv", builder.add("add", "sum", x, other), 8, kernel=3, norm=None, activation="relu")
    z = builder.convolution("again", y, 4, norm=None)
    flat = builder.add("reshape", "flat", builder.add("global_avg_pool", "pool", z), shape=(1, 4))
    logits = builder.linear("fc", flat, 5)
    constant = builder.parameter("constant", (2, 3))
    view = builder.add("reshape", "view", logits, shape=(5, 1))
    program = programs.checked(builder.graph(y, x, z, constant, logits, y, view, flat))
    assert [node.op for node in program.graph.nodes if node.name.endswith(".output")] == [
        *("rearrange", "cast", "rearrange", "cast")
    ]


def test_an_operation_that_cannot_be_compiled_is_named() -> None:
    builder = GraphBuilder()
    x = builder.input("x", (1, 3, 4, 4))
    node = Node(name="norm", op="batch_norm", inputs=(x,), shape=(1, 3, 4, 4))
    graph = Graph(inputs={"x": TensorType(shape=(1, 3, 4, 4))}, parameters={}, nodes=(node,), outputs=("norm",))
    with pytest.raises(BuildError, match="layer 'norm': operation 'batch_norm' cannot be compiled"):
        to_relax.lower(graph)


@pytest.mark.parametrize("shape", [(2, 3, 4, 5), (3, 1, 1), (1, 3, 1, 1), (5,), (1,)])
def test_a_chain_reads_values_of_any_rank_and_layout(shape: tuple[int, ...]) -> None:
    builder = GraphBuilder()
    x, y = builder.input("x", shape), builder.parameter("y", shape)
    image = programs.image(builder, (2, 3, 4, 5))
    once = builder.add("multiply", "once", builder.add("add", "sum", image, x), y)
    wider = builder.add("expand", "wider", once, shape=(2, 2, 3, 4, 5))
    programs.checked(builder.graph(once, builder.add("subtract", "less", wider, image)))


@pytest.mark.parametrize("dtype", ["int64", "int32", "uint8", "bool"])
def test_parameters_keep_their_type(dtype: str) -> None:
    builder = GraphBuilder()
    x, y = builder.input("x", (4,), dtype=dtype), builder.parameter("y", (4,), dtype=dtype)
    both = builder.add("or" if dtype == "bool" else "add", "both", x, y)
    given = np.array([1, 0, 1, 1]).astype(dtype)
    programs.checked(builder.graph(both), parameters={"y": given}, x=given[::-1].copy())


def test_a_concatenation_resizes_and_slices_what_it_alone_reads() -> None:
    builder = GraphBuilder()
    x = programs.image(builder, (1, 8, 4, 6))
    y = programs.image(builder, (1, 8, 8, 12))
    larger = builder.add("resize2d", "larger", x, size=(8, 12), mode="nearest", coordinates="asymmetric",
                         rounding="floor")  # fmt: skip
    smooth = builder.add("resize2d", "smooth", x, size=(8, 12), mode="linear")
    part = builder.add("slice", "part", y, axis=1, begin=2, end=7)
    shared = builder.add("slice", "shared", y, axis=1, begin=0, end=3)
    both = builder.add("concat", "both", larger, y, part, smooth, shared, larger, axis=1)
    program = programs.checked(builder.graph(both, builder.add("reduce_max", "most", shared, axes=(1,), keepdims=True)))
    assert [name for name in program.kernels if "concat" in name] == ["fused_resize2d_slice_resize2d_concat"]
    assert program.rules["fused_resize2d_slice_resize2d_concat"] == "cpu.elementwise"
    assert "slice" in program.kernels


def test_a_concatenation_of_many_is_copied_stretch_by_stretch() -> None:
    builder = GraphBuilder()
    read = [programs.image(builder, (1, channels, 3, 5)) for channels in range(1, 25)]
    program = programs.checked(builder.graph(builder.add("concat", "all", *read, axis=1)))
    assert program.rules["concat"] == "cpu.elementwise"
    assert "if_then_else" not in program.kernels["concat"].plan.function.script()
