"""Quotients by a constant, written as multiplications by its reciprocal: those that have to be divided after all.

Times 1 / y folds into a convolution, and costs a fifth of a division. It may differ from x / y by the last bit, which
no tolerance notices, unless what follows jumps: the floor of 2.9999998 is 2, and that of 3 is 3.
"""

from __future__ import annotations

import numpy as np

from mbench.networks import operations
from mbench.networks.graph import Node

_JUMPS = ("floor", "ceil", "round", "sign", "mod", "equal", "greater", "less", "greater_equal", "less_equal",
          "argmax", "argmin", "quantize")  # fmt: skip
_MOVES = ("reshape", "permute", "slice", "concat", "pad", "expand", "reduce_max", "reduce_min", "max_pool2d")
"""Operations that hand on the numbers that they read, as those element by element make others of each."""


def reciprocal(divisor: np.ndarray) -> np.ndarray | None:
    """Return what stands for a division as a factor; None where it has less than full precision, as of 0."""
    if not np.all(divisor):
        return None
    with np.errstate(over="ignore", under="ignore"):
        inverse = np.asarray((1.0 / divisor.astype(np.float64)).astype(divisor.dtype))
    least = np.finfo(np.float32 if divisor.dtype.itemsize > np.dtype(np.float32).itemsize else divisor.dtype).tiny
    normal = np.isfinite(inverse) & (np.abs(inverse) >= least)
    return inverse if normal.all() else None


def is_exact(divisor: np.ndarray) -> bool:
    """Return whether a multiplication by the reciprocal gives the quotient itself: of powers of 2."""
    return bool(np.all(np.abs(np.frexp(divisor)[0]) == 0.5))


class Quotients:
    """Knows which values are made of such multiplications, element by element."""

    def __init__(self) -> None:
        self._made_of: dict[str, frozenset[str]] = {}

    def add(self, scaled: str) -> None:
        """Remember a multiplication, by the name of its node."""
        self._made_of[scaled] = self._made_of.get(scaled, frozenset()) | {scaled}

    def to_divide(self, node: Node) -> frozenset[str]:
        """Return the multiplications that have to be divisions, since a node jumps with what is made of them."""
        read = frozenset[str]().union(*(self._made_of.get(name, frozenset()) for name in node.inputs))
        if not read:
            return read
        if node.op in _JUMPS or (node.op == "cast" and "float" not in node.attributes["to"]):
            return read
        if operations.is_elementwise(node.op) or node.op in _MOVES:
            self._made_of[node.name] = read
        return frozenset()
