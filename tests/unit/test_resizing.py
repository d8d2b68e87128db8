"""Where a resized image reads its source, beside ONNX Runtime and torch."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from mbench.networks import resizing, torch_operations
from mbench.networks.graph import GraphError, Node

SIZES = [(8, 10), (12, 15), (7, 11), (3, 2), (1, 1), (4, 5)]
"""Of images of 4 x 5: twice, three times, other factors, smaller, one pixel, the same."""
COORDINATES = ("half_pixel", "pytorch_half_pixel", "asymmetric", "align_corners")


def resized(x: np.ndarray, **attributes: Any) -> np.ndarray:
    node = Node(name="resize", op="resize2d", inputs=(), shape=(), attributes=attributes)
    found: np.ndarray = torch_operations.OPERATIONS["resize2d"](node, torch.from_numpy(x)).numpy()
    return found


def images() -> np.ndarray:
    return np.random.default_rng(3).standard_normal((1, 2, 4, 5)).astype(np.float32)


def by_onnx(x: np.ndarray, cases: list[dict[str, Any]]) -> list[np.ndarray]:
    """Return what ONNX Runtime makes of one image in several ways, by one model."""
    import onnxruntime
    from onnx import helper, numpy_helper

    nodes, constants = [], []
    for place, case in enumerate(cases):
        given = np.array((1.0, 1.0, *case["scales"]) if "scales" in case else (*x.shape[:2], *case["size"]))
        given = given.astype(np.float32 if "scales" in case else np.int64)
        constants.append(numpy_helper.from_array(given, f"given{place}"))
        read = ["x", "", f"given{place}"] if "scales" in case else ["x", "", "", f"given{place}"]
        how = {"mode": case["mode"], "coordinate_transformation_mode": case["coordinates"]}
        how |= {"nearest_mode": case["rounding"]} if case["mode"] == "nearest" else {}
        nodes.append(helper.make_node("Resize", read, [f"y{place}"], **how))
    outputs = [helper.make_empty_tensor_value_info(f"y{place}") for place in range(len(cases))]
    described = helper.make_tensor_value_info("x", helper.np_dtype_to_tensor_dtype(x.dtype), x.shape)
    graph = helper.make_graph(nodes, "resizes", [described], outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return [each for each in session.run(None, {"x": x}) if isinstance(each, np.ndarray)]


@pytest.mark.parametrize("coordinates", COORDINATES)
def test_images_are_resized_as_by_onnx(coordinates: str) -> None:
    roundings = ("floor", "ceil", "round_prefer_floor", "round_prefer_ceil")
    ways: list[dict[str, Any]] = [{"mode": "nearest", "rounding": each} for each in roundings]
    ways += [{"mode": "linear"}, {"mode": "cubic"}]
    cases = [{"size": size, "coordinates": coordinates, **way} for size, way in itertools.product(SIZES, ways)]
    for case, expected in zip(cases, by_onnx(images(), cases), strict=True):
        np.testing.assert_allclose(resized(images(), **case), expected, rtol=1e-5, atol=1e-5, err_msg=str(case))


@pytest.mark.parametrize("rounding", ["round_prefer_floor", "round_prefer_ceil"])
@pytest.mark.parametrize("coordinates", ["asymmetric", "half_pixel"])
def test_what_is_half_way_but_for_the_last_bits_is_rounded_as_by_onnx(coordinates: str, rounding: str) -> None:
    x = np.arange(11 * 14, dtype=np.float32).reshape(1, 1, 11, 14)
    way = {"coordinates": coordinates, "rounding": rounding, "mode": "nearest"}
    cases = [{"size": (high, wide), **way} for high, wide in zip(range(3, 33), range(32, 2, -1), strict=True)]
    for case, expected in zip(cases, by_onnx(x, cases), strict=True):
        np.testing.assert_array_equal(resized(x, **case), expected, err_msg=str(case))


def test_a_side_that_becomes_smaller_may_be_rounded_up() -> None:
    way = {"size": (2, 10), "mode": "nearest", "coordinates": "asymmetric", "rounding": "floor_or_ceil"}
    assert resizing.taps(way, 0, 5).elements.tolist() == [[0, 3]]
    assert resizing.taps(way, 1, 5).elements.tolist() == [[0, 0, 1, 1, 2, 2, 3, 3, 4, 4]]


def test_scales_may_differ_from_what_the_sizes_say() -> None:
    scales, size = (1.7, 2.3), (6, 11)  # the sizes are 4 * 1.7 and 5 * 2.3, rounded down
    cases = [{"size": size, "scales": scales, "coordinates": "asymmetric", "mode": "nearest", "rounding": "floor"},
             {"size": size, "scales": scales, "coordinates": "half_pixel", "mode": "linear"}]  # fmt: skip
    for case, expected in zip(cases, by_onnx(images(), cases), strict=True):
        found = resized(images(), **case)
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
        without = {key: value for key, value in case.items() if key != "scales"}
        assert not np.allclose(found, resized(images(), **without))


@pytest.mark.parametrize("size", SIZES)
def test_torchs_own_ways(size: tuple[int, int]) -> None:
    x = torch.from_numpy(images())
    ways: list[tuple[dict[str, Any], dict[str, Any]]] = [
        ({"mode": "nearest", "coordinates": "asymmetric", "rounding": "floor"}, {"mode": "nearest"}),
        ({"mode": "nearest", "coordinates": "half_pixel", "rounding": "half_up"}, {"mode": "nearest-exact"}),
        ({"mode": "linear", "coordinates": "half_pixel"}, {"mode": "bilinear"}),
        ({"mode": "linear", "coordinates": "align_corners"}, {"mode": "bilinear", "align_corners": True}),
        ({"mode": "cubic", "coordinates": "half_pixel"}, {"mode": "bicubic"}),
    ]
    for own, torchs in ways:
        expected = functional.interpolate(x, size, **torchs).numpy()
        np.testing.assert_allclose(
            resized(images(), size=size, **own), expected, rtol=1e-5, atol=1e-5, err_msg=str(own)
        )


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"mode": "lanczos"}, "by mode 'lanczos'; expected one of: nearest, linear, cubic"),
        ({"coordinates": "tf_crop_and_resize"}, "by coordinates 'tf_crop_and_resize'"),
        ({"rounding": "up"}, "rounded by 'up'; expected one of: floor"),
    ],
)
def test_ways_that_are_not_known_are_refused(wrong: dict[str, str], said: str) -> None:
    with pytest.raises(GraphError, match=said):
        resizing.taps({"size": (3, 3), "mode": "nearest", **wrong}, 0, 5)
