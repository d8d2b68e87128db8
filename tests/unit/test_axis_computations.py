"""Pads, slices, gathers and reductions of images that lie channels last, and of any others, beside torch."""

from __future__ import annotations

import graph_programs as programs
import kernel_cases as kernels
import numpy as np
import pytest
from tvm import te

from mbench.compile.axis_computations import Laid, written
from mbench.networks.graph_builder import GraphBuilder

SHAPE = (2, 6, 5, 7)


def test_a_value_is_read_by_the_indices_that_people_have() -> None:
    lying = te.placeholder((2, 5, 7, 6), "float16", "image")
    image = Laid(lying, last=True)
    assert (image.shape, image.sums) == (SHAPE, "float32")
    assert str(image(1, 2, 3, 4)) == str(lying(1, 3, 4, 2))
    assert Laid(lying).shape == (2, 5, 7, 6)
    assert str(Laid(lying)(1, 2, 3, 4)) == str(lying(1, 2, 3, 4))
    made = written(SHAPE, image, last=True, name="copy")
    assert [int(extent) for extent in made.shape] == [2, 5, 7, 6]


@pytest.mark.parametrize("last", [True, False])
def test_places_are_moved(last: bool) -> None:
    builder = GraphBuilder()
    x = programs.image(builder, SHAPE, last=last)
    places, table = builder.parameter("places", (3,), dtype="int64"), builder.parameter("table", (2, 2), dtype="int64")
    line = builder.add("slice", "line", x, axis=2, begin=0, end=1)
    outputs = [
        builder.add("slice", "back", x, axis=1, begin=5, end=None, step=-2),
        builder.add("slice", "rest", x, axis=1, begin=2, end=None),
        builder.add("slice", "each", x, axis=3, begin=1, end=6, step=2),
        builder.add("gather", "channels", x, places, axis=1),
        builder.add("gather", "columns", x, places, axis=-1),
        builder.add("gather", "planes", x, table, axis=2),
        builder.add("expand", "lines", line, shape=(2, 6, 4, 7)),
        builder.add("expand", "images", x, shape=(3, *SHAPE)),
    ]
    widths = ((0, 0), (1, 2), (2, 1), (0, 3))
    outputs += [
        builder.add("pad", mode, x, widths=widths, mode=mode, value=1.5) for mode in ("constant", "reflect", "edge")
    ]
    outputs.append(builder.add("pad", "none", x, widths=((0, 0),) * 4, mode="constant"))
    given = {"places": np.array([2, -1, 0]), "table": np.array([[0, 4], [-2, 1]])}
    program = programs.checked(builder.graph(*outputs), parameters=given)
    assert set(program.rules.values()) <= {"cpu.elementwise", "cpu.rearrange", "fallback"}


def test_a_place_beyond_the_end_reads_nothing_beyond_it() -> None:
    builder = GraphBuilder()
    x, places = builder.input("x", (4, 3)), builder.parameter("places", (3,), dtype="int64")
    parameters = {"places": np.array([4, -9, 10**12])}
    program = programs.compiled(builder.graph(builder.add("gather", "rows", x, places, axis=0)), parameters)
    given = np.arange(12, dtype=np.float32).reshape(4, 3)
    [found] = program.run({"x": given})
    np.testing.assert_array_equal(found, given[[3, 0, 3]])


@pytest.mark.parametrize("last", [True, False])
def test_axes_are_reduced(last: bool) -> None:
    builder = GraphBuilder()
    x = programs.image(builder, SHAPE, last=last)
    whole = builder.add("cast", "whole", builder.add("scale", "larger", x, factor=8.0), to="int64")
    outputs = [
        builder.add(f"reduce_{how}", f"{how}{axes}{keepdims}", x, axes=axes, keepdims=keepdims)
        for how, axes, keepdims in (
            *(("mean", axes, keepdims) for axes in ((2, 3), (1,), (3,)) for keepdims in (True, False)),
            *(("sum", (2, 3), True), ("sum", (0, 2), False), ("max", (2, 3), False), ("max", (1,), True)),
            *(("min", (-1,), True), ("prod", (1, 2), False), ("sum", (0, 1, 2, 3), True), ("max", (), True)),
        )
    ]
    outputs += [
        builder.add(op, f"{op}{axis}{keepdims}", x, axis=axis, keepdims=keepdims)
        for op, axis, keepdims in (("argmax", 1, False), ("argmax", 3, True), ("argmin", 1, True), ("argmin", 2, False))
    ]
    outputs += [
        builder.add("reduce_sum", "total", whole, axes=(2, 3), keepdims=False),
        builder.add("reduce_mean", "middle", whole, axes=(1,), keepdims=False),
        builder.add("argmax", "largest", whole, axis=1, keepdims=False),
    ][:: 1 if last else 2]
    programs.checked(builder.graph(*outputs), kernels.AVX512 if last else kernels.SSE)


def test_of_equal_elements_the_first_is_taken() -> None:
    builder = GraphBuilder()
    x = builder.input("x", (3, 5))
    outputs = [builder.add(op, op, x, axis=1, keepdims=False) for op in ("argmax", "argmin")]
    given = np.array([[3, 7, 7, 1, 1], [2, 2, 2, 2, 2], [-np.inf] * 5], np.float32)
    most, least = programs.compiled(builder.graph(*outputs), {}).run({"x": given})
    assert most.tolist() == [1, 0, 0]
    assert least.tolist() == [3, 0, 0]


@pytest.mark.parametrize(
    ("parts", "order", "shape"),
    [
        ((2, 2, 3, 5, 7), (0, 2, 1, 3, 4), SHAPE),  # a channel shuffle
        ((2, 6, 5, 7), (0, 2, 3, 1), (2, 35, 6)),
        ((2, 6, 5, 7), (3, 2, 0, 1), (7, 5, 12)),
    ],
)
def test_axes_are_rearranged(parts: tuple[int, ...], order: tuple[int, ...], shape: tuple[int, ...]) -> None:
    builder = GraphBuilder()
    outputs = [
        builder.add("rearrange", f"y{last}", programs.image(builder, SHAPE, last=last), parts=parts, order=order,
                    shape=shape)
        for last in (True, False)
    ]  # fmt: skip
    programs.checked(builder.graph(*outputs))
