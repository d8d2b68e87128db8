"""What the operations of quantised networks mean, exact to the last bit, on tensors of torch.

Sums of multiplications are computed in float64, where whole numbers are exact up to 2^53; all else is
`integer_arithmetic`. So `torch_network.run` on a quantised graph is the reference that kernels are compared with.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from mbench.networks import integer_arithmetic as exact
from mbench.networks import tensors
from mbench.networks.graph import Node

_Meaning = Callable[..., torch.Tensor]


def exactly_summed(meaning: _Meaning) -> _Meaning:
    """Return an operation's meaning that, of 8-bit values, gives exact sums, int32, of x - `zero_point`.

    The second operand has the attribute `other_zero_point`; that of weights is 0 but in some users' files.
    """

    def compute(node: Node, x: torch.Tensor, *others: torch.Tensor) -> torch.Tensor:
        if "float" in node.dtype:
            return meaning(node, x, *others)
        first, *rest = others
        known = node.attributes
        given = first.double() - known.get("other_zero_point", 0), *(each.double() for each in rest)
        return meaning(node, x.double() - known.get("zero_point", 0), *given).round().to(torch.int32)

    return compute


def _numpy(function: Callable[..., np.ndarray]) -> _Meaning:
    """Return the meaning of an operation on arrays, which is given the node's attributes."""

    def compute(node: Node, *read: torch.Tensor) -> torch.Tensor:
        return tensors.of(np.ascontiguousarray(function(node.attributes, *(each.numpy() for each in read))))

    return compute


def _result(known: Any) -> dict[str, Any]:
    return {"zero_point": known["zero_point"], "low": known["low"], "high": known["high"], "dtype": _made(known)}


def _made(known: Any) -> str:
    """Return the type of a result before something is taken off."""
    return "uint8" if known.get("less") else str(known["to"])


def _given(function: Callable[..., np.ndarray]) -> Callable[..., np.ndarray]:
    """Return a function whose results have `less` taken off, where the attributes say so."""

    def compute(known: Any, *read: np.ndarray) -> np.ndarray:
        found = function(known, *read)
        return (found.astype(np.int32) - known["less"]).astype(known["to"]) if known.get("less") else found

    return compute


def _quantize(known: Any, x: np.ndarray) -> np.ndarray:
    return exact.quantized(x, scale=known["scale"], zero_point=known["zero_point"], dtype=_made(known))


def _dequantize(known: Any, x: np.ndarray, *scale: np.ndarray) -> np.ndarray:
    if scale:
        return exact.dequantized(x, scale=scale[0])
    return exact.dequantized(x, scale=known["scale"], zero_point=known["zero_point"])


def _requantize(known: Any, sums: np.ndarray, multiplier: np.ndarray, *residual: np.ndarray) -> np.ndarray:
    if known.get("shifted"):
        return exact.requantized_shifted(sums, multiplier, **_result(known))
    if not residual:
        return exact.requantized(sums, multiplier, **_result(known))
    before = residual[0].astype(np.int32) + known.get("residual_less", 0)
    return exact.requantized_sum(
        sums, multiplier, before, residual_multiplier=known["residual_multiplier"],
        residual_zero_point=known["residual_zero_point"], **_result(known),
    )  # fmt: skip


def _added(known: Any, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    x, y = (each.astype(np.int32) + less for each, less in zip((x, y), known.get("operands_less", (0, 0)), strict=True))
    return exact.added(x, y, multipliers=known["multipliers"], zero_points=known["zero_points"], **_result(known))


def _affine(known: Any, x: np.ndarray, multiplier: np.ndarray, offset: np.ndarray) -> np.ndarray:
    return exact.scaled_and_shifted(x, multiplier, offset, **_result(known))


def _multiplied(node: Node, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    known = node.attributes
    return (x.to(torch.int32) - known["zero_point"]) * (y.to(torch.int32) - known["other_zero_point"])


def _pooled(node: Node, x: torch.Tensor, averaged: _Meaning) -> torch.Tensor:
    """Sum windows: what averages them gives, were it divided by 1."""
    return averaged(node, x.double() - node.attributes["zero_point"]).round().to(torch.int32)


def _globally_pooled(node: Node, x: torch.Tensor) -> torch.Tensor:
    return (x.to(torch.int32) - node.attributes["zero_point"]).sum((2, 3), keepdim=True).to(torch.int32)


def with_windows(averaged: _Meaning) -> dict[str, _Meaning]:
    """Return the meaning of every operation.

    Args:
        averaged: sums windows of an image of floats, given a node with the attributes of a pool.
    """
    return {
        "quantize": _numpy(_given(_quantize)),
        "dequantize": _numpy(_dequantize),
        "requantize": _numpy(_given(_requantize)),
        "lookup": _numpy(lambda _known, x, table: exact.looked_up(x, table)),
        "quantized_add": _numpy(_given(_added)),
        "quantized_affine": _numpy(_given(_affine)),
        "quantized_multiply": _multiplied,
        "sum_pool2d": lambda node, x: _pooled(node, x, averaged),
        "global_sum_pool": _globally_pooled,
    }
