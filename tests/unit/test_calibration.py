"""Ranges of values on images: exact ends, exact percentiles, and images that cannot be used."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mbench.core.errors import UsageError
from mbench.networks import calibration
from mbench.networks.graph import Graph
from mbench.networks.graph_builder import GraphBuilder

SHAPE = (1, 2, 5, 5)


def doubled() -> Graph:
    builder = GraphBuilder()
    return builder.graph(builder.add("scale", "twice", builder.input("x", SHAPE), factor=-2.0))


def images(*numbers: float | np.ndarray) -> list[dict[str, np.ndarray]]:
    return [{"x": np.broadcast_to(np.float32(each), SHAPE)} for each in numbers]


def random(count: int) -> list[dict[str, np.ndarray]]:
    generator = np.random.default_rng(7)
    return images(*(generator.standard_normal(SHAPE) for _ in range(count)))


def test_ranges_reach_from_the_smallest_to_the_largest_number() -> None:
    given_images = random(3)
    found = calibration.ranges(doubled(), {}, given_images)
    low, high = (getattr(np.stack([each["x"] for each in given_images]), end)() for end in ("min", "max"))
    assert found == {"x": (low, high), "twice": (-2 * high, -2 * low)}


@settings(max_examples=20)
@given(count=st.integers(1, 4), percentile=st.floats(50.5, 100))
def test_percentiles_leave_out_as_many_numbers_as_they_say(count: int, percentile: float) -> None:
    given_images = random(count)
    low, high = calibration.ranges(doubled(), {}, given_images, percentile=percentile)["x"]
    numbers = np.sort(np.concatenate([each["x"].reshape(-1) for each in given_images]))
    left_out = int(numbers.size * (100 - percentile) / 100)
    assert abs(int(np.count_nonzero(numbers > high)) - left_out) <= 1  # the share is a float
    assert np.count_nonzero(numbers < low) == np.count_nonzero(numbers > high)
    assert {low, high} <= {float(each) for each in numbers}


@pytest.mark.parametrize(("number", "expected"), [(0.0, (0.0, 0.0)), (3.0, (3.0, 3.0)), (-1.5, (-1.5, -1.5))])
@pytest.mark.parametrize("percentile", [100.0, 99.0])
def test_constant_images(number: float, expected: tuple[float, float], percentile: float) -> None:
    assert calibration.ranges(doubled(), {}, images(number, number), percentile=percentile)["x"] == expected


@pytest.mark.parametrize(
    ("given_images", "how", "said"),
    [
        ([], {}, "a calibration needs at least one image, and there is none"),
        (images(np.nan), {}, "50 of 50 numbers of 'x' are NaN or infinite on the images of the calibration"),
        (images(1.0, np.inf), {}, "50 of 50 numbers of 'x' are NaN or infinite"),
        (images(3e38), {}, "50 of 50 numbers of 'twice' are NaN or infinite"),
        ([{"x": np.zeros((1, 2, 5, 6), np.float32)}], {}, "image 1 of the calibration: input 'x' is 1x2x5x6; expected"),
        ([*images(1.0), {"y": np.zeros(SHAPE)}], {}, "image 2 of the calibration has no input 'x'; expected x"),
        (images(1.0), {"percentile": 100.5}, "percentile 100.5 of a calibration cannot be"),
        (images(1.0), {"percentile": 50.0}, "percentile 50 of a calibration cannot be; expected a number above 50"),
        (images(1.0), {"percentile": float("nan")}, "percentile nan"),
    ],
)
def test_images_that_cannot_be_used(given_images: list[Any], how: dict[str, float], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        calibration.ranges(doubled(), {}, given_images, **how)


def test_indices_have_no_range() -> None:
    builder = GraphBuilder()
    best = builder.add("argmax", "best", builder.input("x", SHAPE), axis=1, keepdims=False)
    assert set(calibration.ranges(builder.graph(best), {}, images(1.0))) == {"x"}
