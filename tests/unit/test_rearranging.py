"""Chains of reshapes and permutations as one, beside numpy."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mbench.networks import rearranging
from mbench.networks.graph import Node
from mbench.networks.rearranging import Rearrangement

Shape = tuple[int, ...]


def reshape(*shape: int) -> Node:
    return Node(name="reshape", op="reshape", inputs=("x",), shape=shape, attributes={"shape": shape})


def permute(source: Shape, *axes: int) -> Node:
    shape = tuple(source[axis] for axis in axes)
    return Node(name="permute", op="permute", inputs=("x",), shape=shape, attributes={"axes": axes})


def moved(x: np.ndarray, nodes: list[Node]) -> np.ndarray:
    for node in nodes:
        x = x.reshape(node.shape) if node.op == "reshape" else x.transpose(node.attributes["axes"])
    return x


def done(x: np.ndarray, one: Rearrangement) -> np.ndarray:
    return x.reshape(one.parts).transpose(one.order).reshape(one.shape)


def shapes(size: int) -> list[Shape]:
    """Return shapes of so many elements."""
    return [(size,), (1, size), (2, size // 2), (size // 2, 2), (2, 3, size // 6), (size // 4, 1, 2, 2), (4, size // 4)]


@given(data=st.data(), first=st.sampled_from(shapes(24)))
def test_a_chain_does_what_its_nodes_do_one_after_the_other(data: st.DataObject, first: Shape) -> None:
    nodes, shape = list[Node](), first
    for _ in range(data.draw(st.integers(1, 4))):
        if data.draw(st.booleans()):
            node = permute(shape, *data.draw(st.permutations(range(len(shape)))))
        else:
            node = reshape(*data.draw(st.sampled_from(shapes(24))))
        nodes.append(node)
        shape = node.shape
    one = rearranging.of_chain(first, nodes)
    if one is None:
        return
    x = np.arange(math.prod(first)).reshape(first)
    np.testing.assert_array_equal(done(x, one), moved(x, nodes))
    for parts, wanted in ((one.source_axes(), first), (one.axes(), shape)):
        assert tuple(math.prod(one.parts[part] for part in axis) for axis in parts) == wanted
    assert sorted(part for axis in one.axes() for part in axis) == list(range(len(one.parts)))


def test_a_channel_shuffle_has_as_few_parts_as_it_can() -> None:
    chain = [reshape(1, 2, 4, 5, 6), permute((1, 2, 4, 5, 6), 0, 2, 1, 3, 4), reshape(1, 8, 5, 6)]
    one = rearranging.of_chain((1, 8, 5, 6), chain)
    assert one == Rearrangement(source=(1, 8, 5, 6), parts=(2, 4, 5, 6), order=(1, 0, 2, 3), shape=(1, 8, 5, 6))


def test_axes_that_cannot_be_split_evenly_are_left() -> None:
    assert rearranging.of_chain((4, 6), [permute((4, 6), 1, 0), reshape(3, 8)]) is not None
    assert rearranging.of_chain((4, 6), [permute((4, 6), 1, 0), reshape(4, 6)]) is None


def test_what_a_node_says_is_read_as_it_was_written() -> None:
    chain = [reshape(2, 3, 4), permute((2, 3, 4), 2, 0, 1), reshape(8, 3)]
    one = rearranging.of_chain((6, 4), chain)
    assert one is not None
    attributes = {"parts": list(one.parts), "order": list(one.order), "shape": list(one.shape)}
    node = Node(name="all", op="rearrange", inputs=("x",), shape=(8, 3), attributes=attributes)
    assert rearranging.of_node(node, (6, 4)) == one


@pytest.mark.parametrize(("extent", "parts"), [(1, []), (6, [0, 1]), (2, [0])])
def test_axes_are_made_of_parts(extent: int, parts: list[int]) -> None:
    assert rearranging.grouped([0, 1], [2, 3], (extent, 6 // extent))[0] == parts
