"""Where a resized image reads its source: what the attributes of `resize2d` mean, one axis at a time.

Source: ONNX, operator `Resize`. Positions are computed in float32 and in the order of ONNX Runtime, since a position
half-way between two elements is rounded to one of them.

| attribute | values |
|---|---|
| `size` | height and width of the result |
| `scales` | how much larger the result is, down and right; by default as the sizes say |
| `mode` | `nearest`, `linear`, `cubic` |
| `coordinates` | `half_pixel`, `pytorch_half_pixel`, `asymmetric`, `align_corners` |
| `rounding` | of `nearest`: `floor`, `ceil`, `round_prefer_floor`, `round_prefer_ceil`, `half_up`, `floor_or_ceil` |
| `cubic_coefficient` | of `cubic`: -0.75 by default |

`floor_or_ceil` is `ceil` along a side that becomes smaller, else `floor`: ONNX Runtime's way before opset 11.
`half_up` is torch's `nearest-exact`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from mbench.networks.graph import GraphError

MODES = ("nearest", "linear", "cubic")
COORDINATES = ("half_pixel", "pytorch_half_pixel", "asymmetric", "align_corners")
UP_FROM = {"round_prefer_floor": 0.5 + 1e-5, "round_prefer_ceil": 0.5 - 1e-5, "half_up": 0.5}
"""How far beyond a place a position is rounded to the next. Source: ONNX Runtime, which takes 1e-5 for half-way."""
_ROUNDINGS = ("floor", "ceil", *UP_FROM)
_BY_SCALE = "floor_or_ceil"
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
        whole = _rounded(at, rounding(attributes, axis, extent))[None]
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
    scale = _scale(attributes, axis, extent)
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


def rounding(attributes: Mapping[str, Any], axis: int, extent: int) -> str:
    """Return how `nearest` rounds positions along an axis; see `taps`."""
    how = str(attributes.get("rounding", "round_prefer_floor"))
    if how != _BY_SCALE:
        return how
    return "ceil" if _scale(attributes, axis, extent) < 1 else "floor"


def _scale(attributes: Mapping[str, Any], axis: int, extent: int) -> np.float32:
    given = attributes.get("scales")
    return np.float32(attributes["size"][axis] / extent if given is None else given[axis])


def _rounded(at: np.ndarray, how: str) -> np.ndarray:
    if how not in _ROUNDINGS:
        named = ", ".join((*_ROUNDINGS, _BY_SCALE))
        raise GraphError(f"a position cannot be rounded by {how!r}; expected one of: {named}")
    low = np.floor(at)
    if how in UP_FROM:
        return np.asarray(low + (at - low >= np.float32(UP_FROM[how])))
    return np.asarray(low if how == "floor" else np.ceil(at))


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
