"""The types of numbers that ONNX files have, by their numbers there, as numpy calls them."""

from __future__ import annotations

from mbench.networks.importers.graph_writer import LayerError

NUMPY_NAMES = {
    1: "float32", 2: "uint8", 3: "int8", 4: "uint16", 5: "int16", 6: "int32", 7: "int64", 9: "bool", 10: "float16",
    11: "float64", 12: "uint32", 13: "uint64",
}  # fmt: skip
FOUR_BITS = (21, 22)
"""uint4 and int4: weights that a file rounds may be such, and become floats as they are read."""
_OTHERS = {
    8: "text", 14: "complex64", 15: "complex128", 16: "bfloat16", 17: "float8e4m3fn", 18: "float8e4m3fnuz",
    19: "float8e5m2", 20: "float8e5m2fnuz", 21: "uint4", 22: "int4", 23: "float4e2m1",
}  # fmt: skip


def numpy_name(number: int) -> str:
    """Return numpy's name of a type of ONNX.

    Raises:
        LayerError: mbench computes with no such numbers.
    """
    if number not in NUMPY_NAMES:
        said = _OTHERS.get(number, f"number {number} of ONNX's types")
        raise LayerError(f"type {said} is not supported; expected {', '.join(NUMPY_NAMES.values())}")
    return NUMPY_NAMES[number]
