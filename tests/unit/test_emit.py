"""What the kernels are written with: shares of tasks, and memory seen as flat arrays."""

from __future__ import annotations

from typing import Any

import kernel_cases as kernels
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kernel_cases import Conv
from tvm import te, tirx
from tvm.script.ir_builder import tirx as T  # noqa: N812 - the name that TVM's script language has

from mbench.compile.expressions import rebuild
from mbench.compile.kernel import Kernel
from mbench.compile.schedules import emit

INDEX, FIRST, COUNT = (tirx.Var(name, "int32") for name in ("index", "first", "count"))


def value_of(expression: Any, *variables: tuple[Any, int]) -> int:
    """Return what an expression is for given values of its variables; a whole number is what it is."""
    return expression if isinstance(expression, int) else int(rebuild(expression, variables, no_load))


def no_load(_buffer: Any, _indices: Any) -> Any:
    raise AssertionError("nothing is loaded here")


# -------------------------------------------------------------------------------------------------------------- shares
@given(extent=st.integers(1, 400), parts=st.integers(1, 70))
def test_parts_follow_each_other_cover_the_extent_and_differ_by_one_at_most(extent: int, parts: int) -> None:
    begin, length = emit.part(INDEX, parts, extent)
    shares = [(value_of(begin, (INDEX, number)), value_of(length, (INDEX, number))) for number in range(parts)]
    assert [start for start, _ in shares] == [sum(size for _, size in shares[:number]) for number in range(parts)]
    sizes = [size for _, size in shares]
    assert sum(sizes) == extent
    assert max(sizes) - min(sizes) <= 1


@given(data=st.data(), whole=st.integers(1, 60))
def test_an_overlap_is_what_two_ranges_have_in_common(data: st.DataObject, whole: int) -> None:
    first = data.draw(st.integers(0, whole))
    count = data.draw(st.integers(0, whole - first))
    begin = data.draw(st.integers(0, whole - 1))
    end = data.draw(st.integers(begin + 1, whole))
    common = sorted(set(range(first, first + count)) & set(range(begin, end)))
    for one, other in ((first, count), (FIRST, COUNT), (first, COUNT)):
        low, length = emit.overlap(one, other, begin, end, whole)
        start, size = (value_of(bound, (FIRST, first), (COUNT, count)) for bound in (low, length))
        assert list(range(start, start + size)) == common


@given(channels=st.integers(1, 300), data=st.data())
def test_the_last_panel_ends_with_the_last_channel(channels: int, data: st.DataObject) -> None:
    width = data.draw(st.integers(1, channels))
    start = emit.panel_start(INDEX, width, channels)
    starts = [value_of(start, (INDEX, panel)) for panel in range(-(-channels // width))]
    assert starts[-1] + width == channels
    assert starts[:-1] == [width * number for number in range(len(starts) - 1)]


@given(shape=st.lists(st.integers(1, 5), min_size=0, max_size=4), data=st.data())
def test_a_place_is_where_numpy_says(shape: list[int], data: st.DataObject) -> None:
    place = data.draw(st.integers(0, int(np.prod(shape)) - 1))
    found = [value_of(index, (INDEX, place)) for index in emit.unraveled(INDEX, shape)]
    assert found == [int(index) for index in np.unravel_index(place, shape)] if shape else found == []


@given(extents=st.lists(st.tuples(st.integers(1, 4), st.booleans()), min_size=1, max_size=3), data=st.data())
def test_an_operand_that_broadcasts_has_fewer_matrices(extents: list[tuple[int, bool]], data: st.DataObject) -> None:
    lead = [extent for extent, _ in extents]
    own = [1 if shared else extent for extent, shared in extents]
    matrices = np.arange(np.prod(own)).reshape(own)
    place = data.draw(st.integers(0, int(np.prod(lead)) - 1))
    at = np.unravel_index(place, lead)
    found = value_of(emit.matrix_of(emit.unraveled(INDEX, lead), own), (INDEX, place))
    assert found == np.broadcast_to(matrices, lead)[at]


# ------------------------------------------------------------------------------------------------------ small kernels
def copier(*shape: int) -> Kernel:
    """Return a kernel of an input, two more and an output, all of one shape; what it computes is written anew."""
    inputs = [te.placeholder(shape, "float32", name) for name in "abc"]
    return Kernel(te.create_prim_func([*inputs, te.compute(shape, lambda *at: inputs[0][at], "y")]))


def ran(writer: emit.Writer, *arrays: np.ndarray) -> np.ndarray:
    return kernels.run(kernels.compiled(writer.result()), arrays, arrays[0].shape)


def counted(*shape: int) -> np.ndarray:
    return np.arange(np.prod(shape), dtype=np.float32).reshape(shape)


@pytest.mark.parametrize(
    ("outer", "outer_parts", "inner", "inner_parts"),
    [(7, 1, 5, 1), (7, 3, 5, 1), (7, 1, 5, 2), (7, 3, 5, 4), (3, 5, 2, 3)],
)
def test_tasks_do_every_step(outer: int, outer_parts: int, inner: int, inner_parts: int) -> None:
    x = counted(outer, inner)
    writer = emit.Writer(copier(outer, inner))
    with (
        writer.function() as (source, _, _, target),
        emit.tasks(outer, outer_parts, inner, inner_parts) as ((row, rows), (column, columns)),
        emit.loop(rows) as down,
        emit.loop(columns) as across,
    ):
        place = emit.named((row + down) * inner + column + across)
        emit.store(target, source[place] + tirx.const(1.0, "float32"), place, 1)
    np.testing.assert_array_equal(ran(writer, x, x, x), x + 1)  # what no task does stays NaN


def test_one_task_is_written_without_a_parallel_loop() -> None:
    for parts, parallel in ((1, False), (2, True)):
        writer = emit.Writer(copier(4, 4))
        with (
            writer.function() as (source, _, _, target),
            emit.tasks(4, parts, 4, 1) as ((row, rows), _),
            emit.loop(rows) as down,
        ):
            emit.store(target, emit.vector(source, (row + down) * 4, 4), (row + down) * 4, 4)
        assert ("T.parallel" in writer.result().script()) == parallel


@pytest.mark.parametrize("lanes", [1, 2, 8])
def test_accumulators_keep_their_rows_and_vectors_apart(lanes: int) -> None:
    rows, vectors = 3, 2
    x = counted(rows, vectors * lanes)
    writer = emit.Writer(copier(rows, vectors * lanes))
    with writer.function() as (source, factor, _, target):
        sums = emit.Accumulators(rows, vectors, lanes)
        sums.each(lambda row, vector, lane: source[(row * vectors + vector) * lanes + lane])
        for row in range(rows):
            for v in range(vectors):
                start = (row * vectors + v) * lanes
                sums.add(row, v, emit.vector(factor, start, lanes) * emit.broadcast(factor[row], lanes))
        for row in range(rows):
            for v in range(vectors):
                with emit.lanes_of(lanes) as lane:
                    T.buffer_store(target, sums.element(row, v, lane), [(row * vectors + v) * lanes + lane])
    np.testing.assert_array_equal(ran(writer, x, 2 * x, x), x + 2 * x * (2 * x.ravel()[:rows, None]))


@pytest.mark.parametrize("lanes", [1, 4])
def test_registers_keep_what_is_largest_element_by_element(lanes: int) -> None:
    x = np.random.default_rng(3).standard_normal((1, lanes), dtype=np.float32)
    writer = emit.Writer(copier(1, lanes))
    with writer.function() as (source, other, _, target):
        sums = emit.Accumulators(1, 1, lanes)
        sums.each(lambda _row, _vector, lane: source[lane])
        sums.keep_largest(0, 0, emit.vector(other, 0, lanes))
        emit.store(target, sums.vector(0, 0), 0, lanes)
    np.testing.assert_array_equal(ran(writer, x, -x, x), np.abs(x))


def test_a_parameter_is_loaded_by_its_own_indices() -> None:
    x = counted(2, 3, 4)
    kernel = copier(2, 3, 4)
    writer = emit.Writer(kernel)
    parameter = kernel.function.params[2]
    with writer.function() as (*_, target), emit.loop(24) as number:
        at = [tirx.floordiv(number, 12), tirx.floormod(tirx.floordiv(number, 4), 3), tirx.floormod(number, 4)]
        emit.store(target, writer.load(parameter, at), number, 1)
    np.testing.assert_array_equal(ran(writer, x, x, -x), -x)


def test_packed_weights_are_a_flat_parameter_of_their_own_length() -> None:
    writer = emit.Writer(Kernel(Conv().function()), packed_elements=1234)
    with writer.function() as (_, weights, _, target):
        emit.store(target, weights[1233], 0, 1)
    shapes = [tuple(int(extent) for extent in parameter.shape) for parameter in writer.result().params]
    assert shapes == [(1, 7, 7, 8), (1234,), (1, 1, 1, 16), (1, 7, 7, 16)]


def test_what_is_inside_of_bounds_is_done_and_nothing_else() -> None:
    x = counted(2, 8)
    writer = emit.Writer(copier(2, 8))
    with writer.function() as (source, _, _, target), emit.loop(16) as number:
        emit.store(target, source[number], number, 1)
        with emit.inside(number, (3, 9), always=False):
            emit.store(target, tirx.const(-1.0, "float32"), number, 1)
        with emit.inside(number, (0, 0), always=True):
            emit.store(target, emit.vector(target, number, 1) * tirx.const(2.0, "float32"), number, 1)
    expected = 2 * np.where((x >= 3) & (x < 9), -1, x)
    np.testing.assert_array_equal(ran(writer, x, x, x), expected)


def test_a_lane_of_a_vector_is_repeated() -> None:
    x = counted(2, 4)
    writer = emit.Writer(copier(2, 4))
    with writer.function() as (source, _, _, target):
        for row in range(2):
            emit.store(target, emit.lane(emit.vector(source, row * 4, 4), 3 - row, 4), row * 4, 4)
    np.testing.assert_array_equal(ran(writer, x, x, x), np.repeat([[3.0], [6.0]], 4, axis=1))


def test_a_prefetch_past_the_end_does_no_harm() -> None:
    x = counted(1, 4)
    writer = emit.Writer(copier(1, 4))
    with writer.function() as (source, _, _, target):
        emit.prefetch(source, tirx.const(2**28, "int32"))
        emit.store(target, emit.vector(source, 0, 4), 0, 4)
    assert "prefetch" in kernels.compiled(writer.result()).inspect_source("ll")
    np.testing.assert_array_equal(ran(writer, x, x, x), x)
