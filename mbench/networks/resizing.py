"""Where a resized image reads its source: what the attributes of `resize2d` mean, one axis at a time.

Source: ONNX, operator `Resize`. Positions are computed in float32 and in the order of ONNX Runtime, since a position
half-way between two elements is rounded to one of them.

| attribute | values |
|---|---|
| `size` | height and width of the result |
| `scales` | how much larger the result is, down and right; by default as the sizes say |
| `mode` | `nearest`, `linear`, `cubic` |
| `coordinates` | `half_pixel`, `pytorch_half_pixel`, `asymmetric`, `align_corners` |
| `rounding` | of `nearest`: `floor`, `ceil`, `round_prefer_floor`, `round_prefer_ceil` |
| `cubic_coefficient` | of `cubic`: -0.75 by default |
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from mbench.networks.graph import GraphError

MODES = ("nearest", "linear", "cubic")
COORDINATES = ("half_pixel", "pytorch_half_pixel", "asymmetric", "align_corners")
_ROUNDINGS = ("floor", "ceil", "round_prefer_floor", "round_prefer_ceil")
DEFAULT_COEFFICIENT = -0.75


@dataclasses.dataclass(frozen=True, kw_only=True)
class Taps:
    """What each place of a resized axis reads: elements (taps, size) of the source, and their weights (taps, size)."""

    elements: np.ndarray
    weights: np.ndarray


def taps(attributes: Mapping[str, Any], axis: int, extent: int) -> Taps:
    """Return what each place along an axis reads.

    Args:
        attributes: of the `resize2d`.
        axis: 0 down, 1 right.
        extent: of the source.

    Raises:
        GraphError: an attribute has a value that is not known.
    """
    at, mode = positions(attributes, axis, extent), attributes["mode"]
    if mode == "nearest":
        whole = _rounded(at, attributes.get("rounding", "round_prefer_floor"))[None]
        return Taps(elements=_inside(whole, extent), weights=np.ones(whole.shape, np.float32))
    if mode == "linear":
        at = np.clip(at, 0, np.float32(extent - 1))
    low = np.floor(at)
    rest = (at - low).astype(np.float32)
    if mode == "linear":
        return Taps(elements=_inside(np.stack([low, low + 1]), extent), weights=np.stack([1 - rest, rest]))
    if mode != "cubic":
        raise GraphError(f"an image cannot be resized by mode {mode!r}; expected one of: {', '.join(MODES)}")
    weights = _cubic(rest, np.float32(attributes.get("cubic_coefficient", DEFAULT_COEFFICIENT)))
    return Taps(elements=_inside(low + np.arange(-1, 3)[:, None], extent), weights=weights)


def positions(attributes: Mapping[str, Any], axis: int, extent: int) -> np.ndarray:
    """Return where each place along an axis lies in the source, (size) float32; see `taps`."""
    size, coordinates = attributes["size"][axis], attributes.get("coordinates", "half_pixel")
    given = attributes.get("scales")
    scale = np.float32(size / extent if given is None else given[axis])
    at, half = np.arange(size, dtype=np.float32), np.float32(0.5)
    if coordinates == "asymmetric":
        return at / scale
    if coordinates == "align_corners":
        return at * np.float32(extent - 1) / np.float32(max(size - 1, 1))
    if coordinates == "pytorch_half_pixel" and size == 1:
        return np.zeros_like(at)
    if coordinates in ("half_pixel", "pytorch_half_pixel"):
        return (at + half) / scale - half
    raise GraphError(
        f"an image cannot be resized by coordinates {coordinates!r}; expected one of: {', '.join(COORDINATES)}"
    )


def _rounded(at: np.ndarray, how: str) -> np.ndarray:
    half = np.float32(0.5)
    if how not in _ROUNDINGS:
        raise GraphError(f"a position cannot be rounded by {how!r}; expected one of: {', '.join(_ROUNDINGS)}")
    whole: np.ndarray = {
        "floor": np.floor(at),
        "ceil": np.ceil(at),
        "round_prefer_floor": np.ceil(at - half),
        "round_prefer_ceil": np.floor(at + half),
    }[how]
    return whole


def _inside(places: np.ndarray, extent: int) -> np.ndarray:
    """Return places as whole numbers; beyond the image lies its edge."""
    return np.asarray(np.clip(places, 0, extent - 1), np.int64)


def _cubic(rest: np.ndarray, a: np.float32) -> np.ndarray:
    """Return the weights of the four elements around a position (R. Keys, 1981), (4, size)."""

    def near(x: np.ndarray) -> np.ndarray:
        return np.asarray(((a + 2) * x - (a + 3)) * x * x + 1)

    def far(x: np.ndarray) -> np.ndarray:
        return np.asarray(((a * x - 5 * a) * x + 8 * a) * x - 4 * a)

    return np.stack([far(rest + 1), near(rest), near(1 - rest), far(2 - rest)]).astype(np.float32)
