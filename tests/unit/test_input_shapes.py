"""Sides of inputs that a file leaves open: the batch, and what has to be said."""

from __future__ import annotations

import pytest

from mbench.core.errors import UsageError
from mbench.networks.importers import input_shapes
from mbench.networks.importers.input_shapes import InputSide


@pytest.mark.parametrize("side", ["N", "n", "batch", "batch_size", "bs", "DynamicDimension.0", "unk__12", None, "s77"])
def test_the_first_side_is_the_batch(side: InputSide) -> None:
    assert input_shapes.settle({"x": [side, 3, 8, 8]}, {}, None) == {"x": (1, 3, 8, 8)}
    assert input_shapes.settle({"x": [side, 3, 8, 8]}, {}, 4) == {"x": (4, 3, 8, 8)}


@pytest.mark.parametrize("side", ["height", "seq_len", "W", "channels", "num_tokens"])
def test_a_first_side_of_another_name_is_asked_for(side: str) -> None:
    with pytest.raises(UsageError, match=f"leaves side 1 of 2 .{side}. open"):
        input_shapes.settle({"x": [side, 3]}, {}, None)


def test_a_later_side_is_the_batch_by_its_name_alone() -> None:
    assert input_shapes.settle({"x": [8, "batch"]}, {}, 2) == {"x": (8, 2)}
    with pytest.raises(UsageError, match=r"input 'x' leaves side 2 of 4 open.*--input-shape x=1,3,224,224"):
        input_shapes.settle({"x": [None, None, None, None]}, {}, None)


def test_what_is_given_holds_for_sides_of_the_same_name() -> None:
    inputs: dict[str, list[InputSide]] = {"left": ["N", 3, "h", "w"], "right": ["N", 1, "h", "w"]}
    found = input_shapes.settle(inputs, {"left": (2, 3, 16, 24)}, None)
    assert found == {"left": (2, 3, 16, 24), "right": (2, 1, 16, 24)}


@pytest.mark.parametrize(
    ("shapes", "expected"),
    [
        ({"imag": (1, 3, 8, 8)}, "the network has no such input; it has image; did you mean 'image'"),
        ({"image": (1, 3, 8)}, "1x3x8 has 3 sides; the network's input has 4"),
        ({"image": (1, 4, 8, 8)}, "side 2 of 1x4x8x8 is 4; the file fixes it at 3"),
        ({"image": (1, 3, 0, 8)}, "a side of 0; expected whole numbers from 1"),
        ({"image": (1, 3, 8, 9)}, "'side' is 9, and 8 elsewhere"),
    ],
)
def test_shapes_that_do_not_fit(shapes: dict[str, tuple[int, ...]], expected: str) -> None:
    with pytest.raises(UsageError) as caught:
        input_shapes.settle({"image": ["N", 3, "side", "side"]}, shapes, None)
    assert expected in str(caught.value)


def test_a_batch_that_the_file_does_not_allow() -> None:
    with pytest.raises(UsageError, match="the file fixes it; export the network with an open batch"):
        input_shapes.settle({"x": [1, 3]}, {}, 2)
    with pytest.raises(UsageError, match="--input-shape has it; give one of the two"):
        input_shapes.settle({"x": ["N", 3]}, {"x": (3, 3)}, 2)
    assert input_shapes.settle({"x": [2, 3]}, {}, 2) == {"x": (2, 3)}
    assert input_shapes.settle({"x": ["N", 3], "scalar": []}, {}, 2) == {"x": (2, 3), "scalar": ()}
