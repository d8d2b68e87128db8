"""Winograd's algorithm for 3x3 kernels: the transforms, and their cost in arithmetic. No TVM.

Outputs of `size` x `size` pixels take (size + 2)^2 multiplications instead of 9 size^2:
Y = A^T [(G g G^T) * (B^T d B)] A. With stride 2 they take (2 size + 1)^2. Along one direction the outer two taps then
meet every other input alone, as a filter of two taps with stride 1 does, which takes size + 1 multiplications. The tap
between them meets the other inputs, one multiplication an output. Each function here transforms along one direction;
what it transforms may be numbers, arrays, or expressions.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

KERNEL = 3
_NEAR, _FAR = 0.5**0.5, 2**0.5
"""Where F(4, 3) takes its polynomials, beside 0 and infinity: +-sqrt(1/2) and +-sqrt(2), not Lavin's +-1 and +-2.

They cost 3 operations more in `output`, and the largest error falls to a fifth: with ReLU's inputs and 512 channels,
from 1.5e-5 of the largest output to 2.5e-6, where multiply-adds in order have 1.5e-6."""

Keep = Callable[[Any], Any]
"""Keeps a value that is used more than once; returns it."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Transform:
    """F(size, 3) with a stride, along one direction.

    `input` turns `tile` values into as many, `output` as many multiplied values into `size` sums; `weights` is G.
    `input_operations` and `output_operations` count their additions, multiplications and both at once.
    """

    stride: int
    size: int
    input: Callable[[Sequence[Any], Keep], list[Any]]
    output: Callable[[Sequence[Any], Keep], list[Any]]
    weights: np.ndarray
    input_operations: int
    output_operations: int

    @property
    def tile(self) -> int:
        """Inputs in one direction, those that neighbours share included."""
        return self.stride * (self.size - 1) + KERNEL

    @property
    def positions(self) -> int:
        """Multiplications for each pair of an input and an output channel."""
        return self.tile**2

    def of_weights(self, weights: np.ndarray) -> np.ndarray:
        """Return G g G^T of weights (3, 3, ci, c): (positions, ci, c) float32, computed in float64."""
        made: np.ndarray = np.einsum(
            "py,qx,yxic->pqic", self.weights, self.weights, weights.astype(np.float64), optimize=True
        )
        made = made.reshape(self.positions, *weights.shape[2:])
        return made.astype(np.float32)


def _input_2(d: Sequence[Any], _keep: Keep) -> list[Any]:
    return [d[0] - d[2], d[1] + d[2], d[2] - d[1], d[1] - d[3]]


def _output_2(m: Sequence[Any], _keep: Keep) -> list[Any]:
    return [m[0] + m[1] + m[2], m[1] - m[2] - m[3]]


def _input_4(d: Sequence[Any], keep: Keep) -> list[Any]:
    points = _at_points((d[2], d[4]), (d[1], d[3]), (_NEAR, _FAR), keep)
    return [d[0] + d[4] - d[2] * 2.5, *points, d[1] + d[5] - d[3] * 2.5]


def _at_points(even: Sequence[Any], odd: Sequence[Any], scales: Sequence[float], keep: Keep) -> list[Any]:
    """Return what is multiplied at +-_NEAR and +-_FAR; the odd parts count by their scales there."""
    near, far = keep(even[1] - even[0] * 2.0), keep(even[1] - even[0] * 0.5)
    near_odd, far_odd = keep(odd[1] - odd[0] * 2.0), keep(odd[1] - odd[0] * 0.5)
    return [
        near + near_odd * scales[0],
        near - near_odd * scales[0],
        far + far_odd * scales[1],
        far - far_odd * scales[1],
    ]


def _output_4(m: Sequence[Any], keep: Keep) -> list[Any]:
    near, near_odd, far, far_odd = _parts(m[1:5], keep)
    return [
        m[0] + near + far,
        near_odd + far_odd,
        near * 0.5 + far * 2.0,
        m[5] + near_odd * 0.5 + far_odd * 2.0,
    ]


def _parts(m: Sequence[Any], keep: Keep) -> tuple[Any, Any, Any, Any]:
    """Return the even and odd parts at +-_NEAR and +-_FAR."""
    near, far = keep(m[0] + m[1]), keep(m[2] + m[3])
    return near, keep((m[0] - m[1]) * _NEAR), far, keep((m[2] - m[3]) * _FAR)


def _input_2_strided(d: Sequence[Any], _keep: Keep) -> list[Any]:
    return [d[0] - d[2], d[2], d[4] - d[2], d[1], d[3]]


def _output_2_strided(m: Sequence[Any], _keep: Keep) -> list[Any]:
    return [m[0] + m[1] + m[3], m[1] + m[2] + m[4]]


def _input_4_strided(d: Sequence[Any], keep: Keep) -> list[Any]:
    points = _at_points((d[0], d[4]), (d[2], d[6]), (_FAR, _NEAR), keep)
    return [*points, d[0] + d[8] - d[4] * 2.5, *d[1::2]]


def _output_4_strided(m: Sequence[Any], keep: Keep) -> list[Any]:
    near, near_odd, far, far_odd = _parts(m[:4], keep)
    return [
        m[5] + near + far,
        m[6] + near_odd + far_odd,
        m[7] + near * 0.5 + far * 2.0,
        m[8] + m[4] + near_odd * 0.5 + far_odd * 2.0,
    ]


_WEIGHTS_2 = np.array([[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]])
_WEIGHTS_4 = np.array(
    [
        [1, 0, 0],
        *([-2 / 3, -sign * 2 / 3 * _NEAR, -1 / 3] for sign in (1, -1)),
        *([1 / 6, sign / 6 * _FAR, 1 / 3] for sign in (1, -1)),
        [0, 0, 1],
    ]
)
_WEIGHTS_2_STRIDED = np.array([[1, 0, 0], [1, 0, 1], [0, 0, 1], [0, 1, 0], [0, 1, 0]])
_WEIGHTS_4_STRIDED = np.array(
    [
        *([-1 / 3, 0, -sign / 3 * _NEAR] for sign in (1, -1)),
        *([1 / 3, 0, sign / 3 * _FAR] for sign in (1, -1)),
        [0, 0, 1],
        *[[0, 1, 0]] * 4,
    ]
)

TRANSFORMS: dict[tuple[int, int], Transform] = {
    (transform.stride, transform.size): transform
    for transform in (
        Transform(
            stride=1,
            size=2,
            input=_input_2,
            output=_output_2,
            weights=_WEIGHTS_2,
            input_operations=4,
            output_operations=4,
        ),
        Transform(
            stride=1,
            size=4,
            input=_input_4,
            output=_output_4,
            weights=_WEIGHTS_4,
            input_operations=12,
            output_operations=13,
        ),
        Transform(
            stride=2,
            size=2,
            input=_input_2_strided,
            output=_output_2_strided,
            weights=_WEIGHTS_2_STRIDED,
            input_operations=2,
            output_operations=4,
        ),
        Transform(
            stride=2,
            size=4,
            input=_input_4_strided,
            output=_output_4_strided,
            weights=_WEIGHTS_4_STRIDED,
            input_operations=10,
            output_operations=15,
        ),
    )
}
"""By stride and size: F(2x2, 3x3) and F(4x4, 3x3); with stride 2 from F(2, 2), at 0, 1 and infinity, and F(4, 2).

Source: Lavin & Gray, "Fast Algorithms for Convolutional Neural Networks", CVPR 2016, sections 4.1 to 4.3; the points of
F(4x4, 3x3) after Barabasz, Anderson, Soodhalter & Gregg, "Error Analysis and Improving the Accuracy of Winograd
Convolution for Deep Neural Networks", ACM TOMS 46(4), 2020, which shows what the choice does."""
