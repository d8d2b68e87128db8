"""How values lie in memory, and which reshapes and permutations move nothing there."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mbench.networks import layout
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
