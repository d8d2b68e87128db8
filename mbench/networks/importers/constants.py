"""Operations of the graph on constants, in numpy: what a file computes of shapes and weights is settled while reading.

Not a way to compute a network: convolutions, pools and the like have no entry, and stay nodes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from mbench.networks.operation_shapes import Attributes

VIEWS = ("reshape", "permute", "cast", "slice", "expand")
"""Operations after which a constant is still what the file calls it."""


def _divide(_known: Attributes, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    if np.issubdtype(x.dtype, np.floating):
        return np.asarray(x / y)
    if not np.all(y):
        raise ZeroDivisionError("a whole number is divided by 0")
    return np.asarray(
        np.trunc(x / y) if np.abs(x).max(initial=0) < 2**52 else np.sign(x) * np.sign(y) * (abs(x) // abs(y))
    )


def _slice(known: Attributes, x: np.ndarray) -> np.ndarray:
    chosen = slice(known["begin"], known["end"], known.get("step", 1))
    return np.asarray(x[(slice(None),) * (known["axis"] % x.ndim) + (chosen,)])


def _pad(known: Attributes, x: np.ndarray) -> np.ndarray:
    if known["mode"] == "constant":
        return np.pad(x, known["widths"], constant_values=known["value"])
    return np.pad(x, known["widths"], mode=known["mode"])


def _reduction(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda known, x: function(x, axis=tuple(known["axes"]), keepdims=bool(known["keepdims"]))


def _place(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda known, x: function(x, axis=known["axis"], keepdims=bool(known["keepdims"]))


def _plain(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda _known, *arrays: function(*arrays)


OPERATIONS: dict[str, Callable[..., Any]] = {
    "add": _plain(np.add),
    "subtract": _plain(np.subtract),
    "multiply": _plain(np.multiply),
    "divide": _divide,
    "maximum": _plain(np.maximum),
    "minimum": _plain(np.minimum),
    "power": _plain(np.power),
    "mod": _plain(np.mod),
    "equal": _plain(np.equal),
    "greater": _plain(np.greater),
    "less": _plain(np.less),
    "greater_equal": _plain(np.greater_equal),
    "less_equal": _plain(np.less_equal),
    "and": _plain(np.logical_and),
    "or": _plain(np.logical_or),
    "not": _plain(np.logical_not),
    "where": _plain(np.where),
    "abs": _plain(np.abs),
    "negative": _plain(np.negative),
    "reciprocal": _plain(np.reciprocal),
    "floor": _plain(np.floor),
    "ceil": _plain(np.ceil),
    "round": _plain(np.rint),
    "sign": _plain(np.sign),
    "exp": _plain(np.exp),
    "log": _plain(np.log),
    "sqrt": _plain(np.sqrt),
    "sin": _plain(np.sin),
    "cos": _plain(np.cos),
    "tanh": _plain(np.tanh),
    "relu": _plain(lambda x: np.maximum(x, 0)),
    "scale": lambda known, x: x * known["factor"],
    "clip": lambda known, x: np.clip(x, known["low"], known["high"]),
    "cast": lambda known, x: x.astype(known["to"]),
    "reshape": lambda known, x: x.reshape(known["shape"]),
    "permute": lambda known, x: x.transpose(known["axes"]),
    "expand": lambda known, x: np.broadcast_to(x, known["shape"]).copy(),
    "concat": lambda known, *arrays: np.concatenate(arrays, known["axis"]),
    "slice": _slice,
    "pad": _pad,
    "gather": lambda known, x, indices: np.take(x, indices, axis=known["axis"]),
    "matmul": _plain(np.matmul),
    "reduce_mean": _reduction(np.mean),
    "reduce_sum": _reduction(np.sum),
    "reduce_max": _reduction(np.max),
    "reduce_min": _reduction(np.min),
    "reduce_prod": _reduction(np.prod),
    "argmax": _place(np.argmax),
    "argmin": _place(np.argmin),
}
