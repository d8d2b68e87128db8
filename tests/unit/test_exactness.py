"""How exact the outputs of a quantised network have to be."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from mbench.networks import exactness
from mbench.networks.graph_builder import GraphBuilder

_Add = Callable[..., str]
ROUNDED: dict[str, Any] = {"scale": 0.1, "zero_point": 3, "low": 0, "high": 255, "to": "uint8"}
REAL: dict[str, Any] = {"scale": 0.1, "zero_point": 3}


def whole(_add: _Add, x: str) -> str:
    return x


def reshaped(add: _Add, x: str) -> str:
    return add("reshape", "flat", x, shape=(1, 64))


def softmax_last(add: _Add, x: str) -> str:
    return add("softmax", "soft", x, axis=1)


def softmax_between(add: _Add, x: str) -> str:
    soft = add("softmax", "soft", x, axis=1)
    return add("dequantize", "again", add("quantize", "rounded", soft, **ROUNDED), **REAL)


@pytest.mark.parametrize(
    ("rest", "tolerance", "floats"),
    [
        (whole, 0.0, []), (reshaped, 0.0, []), (softmax_last, 1e-4, ["soft"]), (softmax_between, None, ["soft"]),
    ],
)  # fmt: skip
def test_floats_before_a_rounding_move_numbers_by_a_step(
    rest: Callable[[_Add, str], str], tolerance: float | None, floats: list[str]
) -> None:
    builder = GraphBuilder()
    rounded = builder.add("quantize", "q", builder.input("image", (1, 4, 4, 4)), **ROUNDED)
    graph = builder.graph(rest(builder.add, builder.add("dequantize", "d", rounded, **REAL)))
    assert exactness.is_quantised(graph)
    assert exactness.tolerance(graph) == tolerance
    assert [node.name for node in exactness.float_nodes(graph)] == floats


def test_a_network_of_floats_is_not_quantised() -> None:
    builder = GraphBuilder()
    assert not exactness.is_quantised(
        builder.graph(builder.convolution("conv", builder.input("image", (1, 3, 4, 4)), 8))
    )
