"""The inputs that a network is checked on."""

from __future__ import annotations

import numpy as np
import pytest

from mbench.core.errors import UsageError
from mbench.networks.graph import Graph, Node, TensorType
from mbench.networks.importers import examples

INPUTS = {
    "image": TensorType(shape=(2, 3, 64, 64)),
    "half": TensorType(shape=(3,), dtype="float16"),
    "words": TensorType(shape=(4, 50), dtype="int64"),
    "pixels": TensorType(shape=(500,), dtype="uint8"),
    "small": TensorType(shape=(500,), dtype="int8"),
    "choice": TensorType(shape=(99,), dtype="bool"),
    "number": TensorType(shape=()),
}


def network() -> Graph:
    nodes = (
        Node(name="flat", op="reshape", inputs=("words",), shape=(200,), dtype="int64", attributes={"shape": (200,)}),
        Node(name="rows", op="gather", inputs=("table", "flat"), shape=(200, 3), attributes={"axis": 0}),
        Node(name="y", op="relu", inputs=("rows",), shape=(200, 3)),
    )
    return Graph(inputs=INPUTS, parameters={"table": TensorType(shape=(11, 3))}, nodes=nodes, outputs=("y",))


def test_inputs_are_drawn_by_type_and_range() -> None:
    found = examples.complete(network(), {})
    assert {name: (each.shape, str(each.dtype)) for name, each in found.items()} == {
        name: (known.shape, known.dtype) for name, known in INPUTS.items()
    }
    assert abs(found["image"].mean()) < 0.03
    assert abs(found["image"].std() - 1) < 0.03
    assert set(found["words"].reshape(-1)) == set(range(11))
    assert found["pixels"].max() > 200
    assert found["small"].min() >= 0
    assert 0.3 < found["choice"].mean() < 0.7
    assert not np.array_equal(found["image"][0], found["image"][1])


def test_they_are_the_same_each_time() -> None:
    first, second = (examples.complete(network(), {}) for _ in range(2))
    assert all(np.array_equal(first[name], second[name]) for name in first)
    assert abs(float(first["image"][0, 0, 0, 0]) - float(examples.complete(network(), {})["image"][0, 0, 0, 0])) == 0


def test_what_is_given_is_taken() -> None:
    image = np.full((2, 3, 64, 64), 0.5, np.float64)
    found = examples.complete(network(), {"image": image})
    assert found["image"].dtype == np.float32
    assert (found["image"] == 0.5).all()


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (
            {"imge": np.zeros(1)},
            "no such input; it has image, half, words, pixels, small, choice, number; did you mean",
        ),
        ({"image": np.zeros((2, 3, 4), np.float32)}, "has shape 2x3x4; expected 2x3x64x64"),
        ({"words": np.zeros((4, 50), np.float32)}, "is of float32; expected int64"),
        ({"choice": np.zeros(99, np.int64)}, "is of int64; expected bool"),
        ({"half": np.array([1, np.nan, 2])}, "NaN or infinite"),
        ({"half": np.float32(1)}, "has shape of one number; expected 3"),
    ],
)
def test_what_is_given_and_does_not_fit(given: dict[str, np.ndarray], expected: str) -> None:
    with pytest.raises(UsageError) as caught:
        examples.complete(network(), given)
    assert expected in str(caught.value)
