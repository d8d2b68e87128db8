"""Winograd's algorithm for 3x3 and 5x5 kernels: the transforms, and their cost in arithmetic. No TVM.

Outputs of `size` x `size` pixels take (size + kernel - 1)^2 multiplications instead of kernel^2 size^2:
Y = A^T [(G g G^T) * (B^T d B)] A. With stride 2 they take (2 size + kernel - 2)^2. Along one direction the taps 0, 2, 4
then meet every other input alone, as a filter with stride 1 does, and the taps 1 and 3 the other inputs. Of a 3x3
kernel the latter is one tap, one multiplication an output. Each function here transforms along one direction; what it
transforms may be numbers, arrays, or expressions.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

_NEAR, _FAR = 0.5**0.5, 2**0.5
"""Where F(4, 3) and F(2, 5) take their polynomials, beside 0 and infinity: +-sqrt(1/2) and +-sqrt(2), not +-1 and +-2.

The latter are Lavin's. For F(4, 3) ours cost 3 operations more in `output`, and the largest error falls to a fifth:
with ReLU's inputs and 512 channels, from 1.5e-5 of the largest output to 2.5e-6, where multiply-adds in order have
1.5e-6. With 5x5 kernels these have 3e-6, F(2, 5) has 1.7e-6, and F(4, 5) has 1e-5, at +-1/2, +-1 and +-2: no other
multiples of 1/16 nearby are better. With stride 2 the error of all is 1.8e-6 at most."""

Keep = Callable[[Any], Any]
"""Keeps a value that is used more than once; returns it."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Transform:
    """F(size, kernel) with a stride, along one direction.

    `input` turns `tile` values into as many, `output` as many multiplied values into `size` sums; `weights` is G.
    `input_operations` and `output_operations` count their additions, multiplications and both at once.
    """

    kernel: int
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
        return self.stride * (self.size - 1) + self.kernel

    @property
    def positions(self) -> int:
        """Multiplications for each pair of an input and an output channel."""
        return self.tile**2

    def of_weights(self, weights: np.ndarray) -> np.ndarray:
        """Return G g G^T of weights (kernel, kernel, ci, c): (positions, ci, c) float32, computed in float64."""
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


def _input_4_of_2(d: Sequence[Any], keep: Keep) -> list[Any]:
    return [*_at_points((d[0], d[2]), (d[1], d[3]), (_FAR, _NEAR), keep), d[0] + d[4] - d[2] * 2.5]


def _input_4_strided(d: Sequence[Any], keep: Keep) -> list[Any]:
    return [*_input_4_of_2(d[0::2], keep), *d[1::2]]


def _output_4_strided(m: Sequence[Any], keep: Keep) -> list[Any]:
    near, near_odd, far, far_odd = _parts(m[:4], keep)
    return [
        m[5] + near + far,
        m[6] + near_odd + far_odd,
        m[7] + near * 0.5 + far * 2.0,
        m[8] + m[4] + near_odd * 0.5 + far_odd * 2.0,
    ]


def _output_2_of_5(m: Sequence[Any], _keep: Keep) -> list[Any]:
    return [m[0] + m[1] + m[2] + m[3] + m[4], m[5] + (m[1] - m[2]) * _NEAR + (m[3] - m[4]) * _FAR]


def _input_4_of_5(d: Sequence[Any], keep: Keep) -> list[Any]:
    """Multiply at 0, +-1/2, +-1, +-2 and infinity."""
    made = []
    for point, total, product in ((0.5, 5.0, 4.0), (1.0, 4.25, 1.0), (2.0, 1.25, 0.25)):
        even = keep(d[6] - d[4] * total + d[2] * product)
        odd = keep(d[5] - d[3] * total + d[1] * product)
        made += [even + odd * point, even - odd * point]
    return [d[6] - d[0] + (d[2] - d[4]) * 5.25, *made, d[7] - d[1] + (d[3] - d[5]) * 5.25]


def _output_4_of_5(m: Sequence[Any], keep: Keep) -> list[Any]:
    half, one, two = (keep(m[place] + m[place + 1]) for place in (1, 3, 5))
    half_odd, one_odd, two_odd = (keep(m[place] - m[place + 1]) for place in (1, 3, 5))
    return [
        m[0] + half + one + two,
        one_odd + half_odd * 0.5 + two_odd * 2.0,
        one + half * 0.25 + two * 4.0,
        m[7] + one_odd + half_odd * 0.125 + two_odd * 8.0,
    ]


def _input_2_of_5_strided(d: Sequence[Any], keep: Keep) -> list[Any]:
    return [*_input_2(d[0::2], keep), d[1] - d[3], d[3], d[3] - d[5]]


def _output_2_of_5_strided(m: Sequence[Any], keep: Keep) -> list[Any]:
    return _output_2([m[0] + m[4], keep(m[1] + m[5]), m[2], m[3] + m[6]], keep)


def _input_4_of_5_strided(d: Sequence[Any], keep: Keep) -> list[Any]:
    return [*_input_4(d[0::2], keep), *_input_4_of_2(d[1::2], keep)]


def _output_4_of_5_strided(m: Sequence[Any], keep: Keep) -> list[Any]:
    return _output_4([m[0], *(keep(m[place] + m[place + 5]) for place in range(1, 6))], keep)


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


def _by_phase(even: np.ndarray, odd: np.ndarray) -> np.ndarray:
    """Return G of five taps from those of taps 0, 2, 4 and of taps 1, 3."""
    made = np.zeros((len(even) + len(odd), 5))
    made[: len(even), 0::2], made[len(even) :, 1::2] = even, odd
    return made


_WEIGHTS_2_OF_5_STRIDED = _by_phase(_WEIGHTS_2, np.array([[1, 0], [1, 1], [0, 1]]))
_WEIGHTS_4_OF_5_STRIDED = _by_phase(_WEIGHTS_4, _WEIGHTS_4_STRIDED[:5, 0::2])


def _weights_at(points: Sequence[float], taps: int) -> np.ndarray:
    """Return G for finite points and infinity, where the largest power in each row of B^T has the factor 1."""
    rows = [
        [point**tap / math.prod(point - other for other in points if other != point) for tap in range(taps)]
        for point in points
    ]
    return np.array([*rows, [0] * (taps - 1) + [1]])


TRANSFORMS: dict[tuple[int, int, int], Transform] = {
    (transform.kernel, transform.stride, transform.size): transform
    for transform in (
        Transform(
            kernel=3,
            stride=1,
            size=2,
            input=_input_2,
            output=_output_2,
            weights=_WEIGHTS_2,
            input_operations=4,
            output_operations=4,
        ),
        Transform(
            kernel=3,
            stride=1,
            size=4,
            input=_input_4,
            output=_output_4,
            weights=_WEIGHTS_4,
            input_operations=12,
            output_operations=13,
        ),
        Transform(
            kernel=3,
            stride=2,
            size=2,
            input=_input_2_strided,
            output=_output_2_strided,
            weights=_WEIGHTS_2_STRIDED,
            input_operations=2,
            output_operations=4,
        ),
        Transform(
            kernel=3,
            stride=2,
            size=4,
            input=_input_4_strided,
            output=_output_4_strided,
            weights=_WEIGHTS_4_STRIDED,
            input_operations=10,
            output_operations=15,
        ),
        Transform(
            kernel=5,
            stride=1,
            size=2,
            input=_input_4,
            output=_output_2_of_5,
            weights=_weights_at((0, _NEAR, -_NEAR, _FAR, -_FAR), 5),
            input_operations=12,
            output_operations=8,
        ),
        Transform(
            kernel=5,
            stride=1,
            size=4,
            input=_input_4_of_5,
            output=_output_4_of_5,
            weights=_weights_at((0, 0.5, -0.5, 1, -1, 2, -2), 5),
            input_operations=24,
            output_operations=16,
        ),
        Transform(
            kernel=5,
            stride=2,
            size=2,
            input=_input_2_of_5_strided,
            output=_output_2_of_5_strided,
            weights=_WEIGHTS_2_OF_5_STRIDED,
            input_operations=6,
            output_operations=7,
        ),
        Transform(
            kernel=5,
            stride=2,
            size=4,
            input=_input_4_of_5_strided,
            output=_output_4_of_5_strided,
            weights=_WEIGHTS_4_OF_5_STRIDED,
            input_operations=22,
            output_operations=18,
        ),
    )
}
"""By kernel, stride and size. With stride 2, 3x3 is from F(2, 2), at 0, 1 and infinity, and F(4, 2); 5x5 from these and
F(2, 3) and F(4, 3).

Source: Lavin & Gray, "Fast Algorithms for Convolutional Neural Networks", CVPR 2016, sections 4.1 to 4.3; the points of
F(4x4, 3x3) after Barabasz, Anderson, Soodhalter & Gregg, "Error Analysis and Improving the Accuracy of Winograd
Convolution for Deep Neural Networks", ACM TOMS 46(4), 2020, which shows what the choice does."""
