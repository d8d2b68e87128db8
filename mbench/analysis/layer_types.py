"""Which layers of a quantised network are computed in floating point, and what its values lost. No formatting."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mbench.core import dtypes
from mbench.core.quantized import FloatLayer
from mbench.core.records import Layer, Result

_ROUNDING = frozenset(("quantize", "dequantize", "requantize", "cast"))
"""Operations that only bring numbers from one type to another."""


def contents(layer: Layer) -> tuple[str, ...]:
    """Return the names of all that a layer computes: of the layers that its one kernel is fused of, or its own."""
    return layer.contains or (layer.name,)


def stayed_float(result: Result) -> dict[str, FloatLayer]:
    """Return the layers of a quantised network that are computed in floating point, and why, by name."""
    left = {each.name: each for each in result.quantized.left_float} if result.quantized else {}
    return {layer.name: left[name] for layer in result.layers for name in contents(layer) if name in left}


def of_layer(dtype: str, names: Sequence[str], left_float: Sequence[FloatLayer]) -> str:
    """Return the type that a layer computes in.

    Args:
        dtype: of its network.
        names: of all that it computes; see `contents`.
        left_float: of its network.
    """
    return dtypes.of(dtype).floats if any(each.name in names for each in left_float) else dtype


def only_rounds(layer: Layer) -> bool:
    """Return whether a layer only brings numbers from one type to another."""
    return bool(layer.operations) and not layer.macs and _ROUNDING.issuperset(layer.operations)


def signals(result: Result) -> Mapping[str, float]:
    """Return the signal to quantisation noise of the last value that each layer makes, in dB, by the layer's name.

    A layer whose value is not rounded to 8 bits, or is known by no layer's name, has none.
    """
    if result.quantized is None:
        return {}
    owners = {name: layer.name for layer in result.layers for name in contents(layer)}
    seen = (*result.quantized.values, *result.quantized.outputs)
    return {
        owners[value.layer]: value.sqnr_db
        for value in seen
        if value.layer is not None and value.layer in owners and value.sqnr_db is not None
    }
