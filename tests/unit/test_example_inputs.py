"""Inputs that a network is checked on: drawn by type and range, or given and checked."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mbench.core.errors import UsageError
from mbench.networks import example_inputs
from mbench.networks.graph import Graph, Node, TensorType

IMAGE = TensorType(shape=(1, 3, 8, 8))
TABLE = TensorType(shape=(7, 4))


def graph(**inputs: TensorType) -> Graph:
    """Return a graph that looks up what `tokens` says in a table of seven rows, by way of a cast."""
    nodes = [Node(name=f"out_{name}", op="relu", inputs=(name,), shape=given.shape) for name, given in inputs.items()]
    if "tokens" in inputs:
        shape = inputs["tokens"].shape
        nodes += [
            Node(name="wide", op="cast", inputs=("tokens",), shape=shape, dtype="int64", attributes={"to": "int64"}),
            Node(name="rows", op="gather", inputs=("table", "wide"), shape=(*shape, 4), attributes={"axis": 0}),
        ]
    return Graph(inputs=inputs, parameters={"table": TABLE}, nodes=tuple(nodes), outputs=(nodes[-1].name,))


def test_they_are_drawn_by_type_and_range_and_always_the_same() -> None:
    wanted = graph(
        image=IMAGE, pixels=TensorType(shape=(1000,), dtype="uint8"), mask=TensorType(shape=(1000,), dtype="bool"),
        tokens=TensorType(shape=(1000,), dtype="int32"), length=TensorType(shape=(1000,), dtype="int64"),
    )  # fmt: skip
    drawn = example_inputs.of(wanted, {}, "a file")
    assert {name: (value.shape, str(value.dtype)) for name, value in drawn.items()} == {
        name: (each.shape, each.dtype) for name, each in wanted.inputs.items()
    }
    assert abs(drawn["image"].std() - 1) < 0.2
    assert set(drawn["tokens"].tolist()) == set(range(7))  # the rows that there are
    assert drawn["pixels"].min() == 0
    assert drawn["pixels"].max() == 255
    assert 0.4 < drawn["mask"].mean() < 0.6
    again = example_inputs.of(wanted, {"mask": np.zeros(1000, bool)}, "a file")
    assert not again["mask"].any()
    assert all(np.array_equal(again[name], drawn[name]) for name in drawn if name != "mask")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"imag": np.zeros((1, 3, 8, 8), "float32")}, "a file: it has no input 'imag'; did you mean 'image'?"),
        ({"x": np.zeros(2, "float32")}, "a file: it has no input 'x'; its inputs: image (1x3x8x8 float32)"),
        ({"image": np.zeros((1, 3, 8, 9), "float32")}, "input 'image' is given as 1x3x8x9 float32; expected 1x3x8x8"),
        ({"image": np.zeros((1, 3, 8, 8))}, "given as 1x3x8x8 float64; expected 1x3x8x8 float32"),
        ({"image": np.float32(1)}, "input 'image' is given as one number, float32; expected"),
        ({"image": np.full((1, 3, 8, 8), np.nan, "float32")}, "'image' is given with numbers that are not finite"),
    ],
)
def test_what_does_not_fit_is_refused(given: dict[str, np.ndarray], said: str) -> None:
    with pytest.raises(UsageError) as refused:
        example_inputs.of(graph(image=IMAGE), given, "a file")
    assert said in str(refused.value)


def test_a_file_of_arrays_is_read(tmp_path: Path) -> None:
    file, image = tmp_path / "in.npz", np.ones((1, 3, 8, 8), "float32")
    np.savez(file, image=image)
    np.testing.assert_array_equal(example_inputs.read(file)["image"], image)


def test_a_file_that_is_none_is_refused(tmp_path: Path) -> None:
    one, text, objects = (tmp_path / name for name in ("one.npz", "text.npz", "objects.npz"))
    with one.open("wb") as file:
        np.save(file, np.ones(3))
    text.write_text("no arrays")
    np.savez(objects, image=np.array([{}], object))
    for file, said in (
        (tmp_path / "absent.npz", "No such file"), (one, "holds one array without a name"), (text, "cannot be read"),
        (objects, "cannot be read"), (tmp_path, "Is a directory"),
    ):  # fmt: skip
        with pytest.raises(UsageError, match=f"--input .*{file.name}.*{said}"):
            example_inputs.read(file)
    np.savez(text, words=np.array(["a"]))
    with pytest.raises(UsageError, match=r"'words' holds <U1; expected numbers"):
        example_inputs.read(text)
