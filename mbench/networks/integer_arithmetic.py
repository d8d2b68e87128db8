"""The arithmetic of quantised networks, exact to the last bit: what every kernel has to give, whatever it is made of.

numpy alone, apart from all kernels. docs/int8.md has the definition in words; the functions here are it. Every
operation on floats below is one of IEEE 754 in float32, rounded to nearest, halves to even; a fused multiply-add is
rounded once.
"""

from __future__ import annotations

import numpy as np

LAST_BIT = np.int64(1)


def fused(x: np.ndarray, y: np.ndarray | np.float32, z: np.ndarray | np.float32) -> np.ndarray:
    """Return x y + z in float32, rounded once.

    The product of two float32 is exact in float64. Its sum with z is rounded to odd there, so that rounding it again to
    float32 gives what rounding once would (S. Boldo and G. Melquiond, IEEE Trans. Computers 57(4), 2008).
    """
    product = x.astype(np.float64) * np.asarray(y, np.float64)
    addend = np.asarray(z, np.float64)
    total = product + addend
    moved = total - product
    error = (product - (total - moved)) + (addend - moved)  # Knuth's sum of two: exact
    bits = np.ascontiguousarray(total).view(np.int64)
    nearer = np.where((error > 0) == (total > 0), bits + LAST_BIT, bits - LAST_BIT)
    odd = np.where((error != 0) & np.isfinite(total) & (bits & LAST_BIT == 0), nearer, bits)
    return np.asarray(odd.view(np.float64).astype(np.float32))


def settled(value: np.ndarray, zero_point: int, low: int, high: int, dtype: str) -> np.ndarray:
    """Return float32 numbers as whole ones: rounded, shifted by the zero point, within [low, high]. NaN gives `low`."""
    inside = np.clip(np.rint(value), np.float32(low - zero_point), np.float32(high - zero_point))
    whole = np.where(np.isnan(inside), np.float32(low - zero_point), inside)
    return (whole.astype(np.int32) + zero_point).astype(dtype)


def quantized(x: np.ndarray, *, scale: float, zero_point: int, dtype: str) -> np.ndarray:
    """Return real numbers, float32, in 8 bits: clamp(rint(x * (1 / scale)) + zero_point)."""
    known = np.iinfo(dtype)
    with np.errstate(over="ignore"):
        scaled = x.astype(np.float32) * np.float32(1.0 / scale)
    return settled(scaled, zero_point, int(known.min), int(known.max), dtype)


def dequantized(x: np.ndarray, *, scale: float | np.ndarray, zero_point: int = 0) -> np.ndarray:
    """Return the real numbers that 8-bit ones or sums stand for: float32(x - zero_point) * scale, float32.

    `scale`: one number, or float32 that broadcasts.
    """
    return (x.astype(np.int64) - zero_point).astype(np.float32) * np.asarray(scale, np.float32)


def requantized(
    sums: np.ndarray, multiplier: np.ndarray, *, zero_point: int, low: int, high: int, dtype: str
) -> np.ndarray:
    """Return sums in 8 bits: clamp(rint(float32(sum) * multiplier) + zero_point).

    Args:
        sums: int32.
        multiplier: float32, which broadcasts to the sums.
        zero_point: of the result.
        low: the smallest result.
        high: the largest one.
        dtype: of the result.
    """
    with np.errstate(over="ignore"):
        scaled = sums.astype(np.float32) * multiplier
    return settled(scaled, zero_point, low, high, dtype)


def requantized_shifted(
    sums: np.ndarray, multiplier: np.ndarray, *, zero_point: int, low: int, high: int, dtype: str
) -> np.ndarray:
    """Return sums in 8 bits, the zero point added before the rounding; see `requantized`.

    clamp(rint(float32(sum) * multiplier + zero_point)): of two halves, the even one is with the zero point.
    """
    with np.errstate(over="ignore"):
        shifted = sums.astype(np.float32) * multiplier + np.float32(zero_point)
    return settled(shifted, 0, low, high, dtype)


def offset_of(pairs: tuple[tuple[float, int], ...]) -> np.float32:
    """Return what zero points add: minus the sum of multiplier times zero point, float32. Multipliers are float32."""
    return np.float32(-sum(float(np.float32(multiplier)) * zero for multiplier, zero in pairs))


def requantized_sum(
    sums: np.ndarray, multiplier: np.ndarray, residual: np.ndarray, *, residual_multiplier: float,
    residual_zero_point: int, zero_point: int, low: int, high: int, dtype: str,
) -> np.ndarray:  # fmt: skip
    """Return sums plus an 8-bit value, in 8 bits, rounded once.

    clamp(rint(fma(float32(sum), multiplier, fma(float32(r), m, c))) + zero_point), where r is the residual, m its
    multiplier and c = -m times its zero point; see `requantized`.
    """
    offset = offset_of(((residual_multiplier, residual_zero_point),))
    added = fused(residual.astype(np.float32), np.float32(residual_multiplier), offset)
    return settled(fused(sums.astype(np.float32), multiplier, added), zero_point, low, high, dtype)


def added(
    x: np.ndarray, y: np.ndarray, *, multipliers: tuple[float, float], zero_points: tuple[int, int], zero_point: int,
    low: int, high: int, dtype: str,
) -> np.ndarray:  # fmt: skip
    """Return the sum of two 8-bit values that broadcast, in 8 bits.

    clamp(rint(fma(float32(x), m0, fma(float32(y), m1, c)))), where m are the multipliers and c is `shift_of`.
    """
    first, second = map(np.float32, multipliers)
    other = fused(y.astype(np.float32), second, shift_of(multipliers, zero_points, zero_point))
    return settled(fused(x.astype(np.float32), first, other), 0, low, high, dtype)


def shift_of(multipliers: tuple[float, float], zero_points: tuple[int, int], zero_point: int) -> np.float32:
    """Return what zero points add to a sum of two values, with that of the result: z - fma(m0, z0, m1 * z1), float32.

    Source: the order of ONNX Runtime's QLinearAdd on x86-64, `MlasQLinearAddKernelAvx2Helper` in qladd_avx2.cpp.
    """
    first, second = map(np.float32, multipliers)
    [both] = fused(np.array([first]), np.float32(zero_points[0]), second * np.float32(zero_points[1]))
    return np.float32(np.float32(zero_point) - both)


def scaled_and_shifted(
    x: np.ndarray, multiplier: np.ndarray, offset: np.ndarray, *, zero_point: int, low: int, high: int, dtype: str
) -> np.ndarray:
    """Return clamp(rint(fma(float32(x), multiplier, offset)) + zero_point); both are float32 and broadcast to x."""
    return settled(fused(x.astype(np.float32), multiplier, offset), zero_point, low, high, dtype)


def looked_up(x: np.ndarray, table: np.ndarray) -> np.ndarray:
    """Return what a table of 256 has for each number; its first is for the smallest number of x's type."""
    return np.asarray(table[x.astype(np.int64) - int(np.iinfo(x.dtype).min)])
