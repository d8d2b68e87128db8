"""Operations on constants in numpy against torch's, for every operation that has both."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from network_files import computed

from mbench.networks import operations
from mbench.networks.graph import Graph, Node, TensorType
from mbench.networks.importers import constants

ATTRIBUTES: dict[str, dict[str, Any]] = {
    "scale": {"factor": 1.5}, "clip": {"low": -0.5, "high": 0.5}, "cast": {"to": "int32"},
    "reshape": {"shape": (2, 12)},
    "permute": {"axes": (2, 0, 1)}, "expand": {"shape": (2, 2, 3, 4)}, "concat": {"axis": 1},
    "slice": {"axis": 1, "begin": 2, "end": None, "step": -1}, "gather": {"axis": 1},
    "pad": {"widths": ((0, 0), (1, 1), (2, 0)), "mode": "reflect", "value": 0.0},
    **{f"reduce_{how}": {"axes": (0, 2), "keepdims": False} for how in ("mean", "sum", "max", "min", "prod")},
    "argmax": {"axis": 1, "keepdims": True}, "argmin": {"axis": 1, "keepdims": True},
}  # fmt: skip
TWO = ("add", "subtract", "multiply", "divide", "maximum", "minimum", "mod", "concat", "power")
COMPARED = ("equal", "greater", "less", "greater_equal", "less_equal")


def arrays(op: str) -> list[np.ndarray]:
    x = np.random.default_rng(0).normal(size=(2, 3, 4)).astype(np.float32)
    if op in ("and", "or", "not"):
        return [x > 0, x > 0.5][: 1 if op == "not" else 2]
    if op == "where":
        return [x > 0, x, -x]
    if op == "gather":
        return [x, np.array([2, -3, 0])]
    if op == "matmul":
        return [x, x.transpose(0, 2, 1).copy()]
    if op in ("log", "sqrt", "power"):
        x = np.abs(x)
    return [x, np.abs(x) + 0.5] if op in (*TWO, *COMPARED) else [x]


@pytest.mark.parametrize("op", constants.OPERATIONS)
def test_numpy_computes_what_torch_does(op: str) -> None:
    given, attributes = arrays(op), ATTRIBUTES.get(op, {})
    known = operations.of(op)
    shape = known.shape(tuple(each.shape for each in given), attributes)
    dtype = known.dtype(tuple(str(each.dtype) for each in given), attributes)
    inputs = {f"i{place}": each for place, each in enumerate(given)}
    types = {name: TensorType(shape=each.shape, dtype=str(each.dtype)) for name, each in inputs.items()}
    node = Node(name="y", op=op, inputs=tuple(inputs), shape=shape, dtype=dtype, attributes=attributes)
    (expected,) = computed(Graph(inputs=types, parameters={}, nodes=(node,), outputs=("y",)), {}, inputs)
    got = np.asarray(constants.OPERATIONS[op](attributes, *given)).astype(dtype)
    assert got.shape == expected.shape == shape
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)


def test_whole_numbers_are_divided_towards_0() -> None:
    x, y = np.array([7, -7, 7, -7, 2**62]), np.array([2, 2, -2, -2, 3])
    assert constants.OPERATIONS["divide"]({}, x, y).tolist() == [3, -3, -3, 3, 2**62 // 3]
    with pytest.raises(ZeroDivisionError):
        constants.OPERATIONS["divide"]({}, x, np.array(0))
