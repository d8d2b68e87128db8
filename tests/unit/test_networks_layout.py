"""How values lie in memory, and which reshapes and permutations move nothing there."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mbench.networks import layout, rearranging
from mbench.networks.graph import Graph
from mbench.networks.graph_builder import GraphBuilder

SIDES = st.sampled_from([1, 2, 3])


def in_memory(value: np.ndarray, *, last: bool) -> list[int]:
    """Return the numbers of an image in memory's order."""
    laid_out = value.transpose(0, 2, 3, 1) if last else value
    assert laid_out.shape == layout.lying(value.shape, last=last)
    return [int(number) for number in laid_out.ravel()]


@given(
    shape=st.tuples(SIDES, SIDES, SIDES, SIDES),
    axes=st.permutations(range(4)),
    before=st.booleans(),
    after=st.booleans(),
)
def test_a_permutation_is_a_view_where_no_number_moves(
    shape: tuple[int, ...], axes: list[int], before: bool, after: bool
) -> None:
    builder = GraphBuilder()
    graph = builder.graph(builder.add("permute", "y", builder.input("x", shape), axes=tuple(axes)))
    x = np.arange(math.prod(shape)).reshape(shape)
    stays = in_memory(x, last=before) == in_memory(x.transpose(axes), last=after)
    last = frozenset(["x"] * before + ["y"] * after)
    assert layout.is_view(graph, graph.by_name["y"], last) == stays


@given(shape=st.tuples(SIDES, SIDES, SIDES, SIDES), whole=st.sampled_from(["flat", "rows"]), before=st.booleans())
def test_a_reshape_is_taken_as_a_view_only_where_no_number_moves(
    shape: tuple[int, ...], whole: str, before: bool
) -> None:
    builder = GraphBuilder()
    wanted = (shape[0], math.prod(shape[1:])) if whole == "flat" else (math.prod(shape[:-1]), shape[-1])
    graph = builder.graph(builder.add("reshape", "y", builder.input("x", shape), shape=wanted))
    x = np.arange(math.prod(shape)).reshape(shape)
    if layout.is_view(graph, graph.by_name["y"], frozenset(["x"] * before)):
        assert in_memory(x, last=before) == [int(number) for number in x.reshape(wanted).ravel()]
    else:
        assert before


def attention() -> Graph:
    """Rows of channels of an image, and an image of rows, between convolutions."""
    builder = GraphBuilder()
    x = builder.convolution("before", builder.input("image", (1, 3, 4, 6)), 8, norm=None)
    rows = builder.add("permute", "rows", x, axes=(0, 2, 3, 1))
    flat = builder.add("reshape", "flat", rows, shape=(1, 24, 8))
    image = builder.add("reshape", "image2", flat, shape=(1, 4, 6, 8))
    back = builder.add("permute", "back", image, axes=(0, 3, 1, 2))
    return builder.graph(builder.convolution("after", back, 8, norm=None))


def test_images_lie_channels_last_and_rows_do_not() -> None:
    assert layout.channels_last(attention()) == {"before", "back", "after"}


def test_an_image_as_rows_of_channels_and_back_moves_nothing() -> None:
    graph = attention()
    last = layout.channels_last(graph)
    moved = [
        node.name for node in graph.nodes if node.op in ("permute", "reshape") and not layout.is_view(graph, node, last)
    ]
    assert moved == []


def test_a_softmax_of_the_channels_of_an_image_is_one_too() -> None:
    builder = GraphBuilder()
    x = builder.input("image", (1, 3, 4, 6))
    image = builder.convolution("conv", x, 8, norm=None)
    outputs = [builder.add("softmax", f"of {name}{axis}", value, axis=axis)
               for name, value in (("x", x), ("conv", image)) for axis in (1, -1)]  # fmt: skip
    assert layout.channels_last(builder.graph(*outputs)) == {"conv", "of conv1"}


def test_places_that_are_gathered_at_are_no_images() -> None:
    builder = GraphBuilder()
    image = builder.convolution("conv", builder.input("image", (1, 3, 4, 6)), 8, norm=None)
    places = builder.add("argmax", "places", image, axis=1, keepdims=True)
    table = builder.parameter("table", (8,))
    graph = builder.graph(
        builder.add("gather", "of a table", table, places, axis=0),
        builder.add("gather", "of an image", image, builder.parameter("first", (2,), dtype="int64"), axis=1),
    )
    assert layout.channels_last(graph) == {"conv", "places", "of an image"}


def test_what_steps_where_is_said_in_the_order_of_memory() -> None:
    shuffle = rearranging.of_parts((1, 6, 2, 5), (1, 2, 3, 2, 5), (0, 2, 1, 3, 4), (1, 6, 2, 5))
    assert layout.strides(shuffle, from_last=True, to_last=True) == [(2, 30), (5, 6), (3, 1), (2, 3)]
    assert layout.strides(shuffle, from_last=False, to_last=False) == [(3, 10), (2, 30), (2, 5), (5, 1)]
    same = rearranging.of_parts((1, 6, 2, 5), (1, 6, 2, 5), (0, 1, 2, 3), (1, 6, 2, 5))
    assert layout.strides(same, from_last=True, to_last=False) == [(6, 1), (2, 30), (5, 6)]
    assert layout.moves_nothing(same, from_last=True, to_last=True)
    assert not layout.moves_nothing(same, from_last=True, to_last=False)


@pytest.mark.parametrize(("channels", "last"), [(3, {"conv"}), (8, {"conv", "less", "wider"})])
def test_what_is_made_of_inputs_of_few_channels_lies_as_they_do(channels: int, last: set[str]) -> None:
    builder = GraphBuilder()
    x = builder.add("subtract", "less", builder.input("x", (1, channels, 5, 6)), builder.parameter("mean", (1,)))
    x = builder.add("pad", "wider", x, widths=((0, 0), (0, 0), (1, 1), (1, 1)), mode="reflect")
    graph = builder.graph(builder.convolution("conv", x, 8, kernel=3, padding=(0, 0, 0, 0), norm=None))
    assert layout.channels_last(graph) == last
