"""The inputs that a network is checked and measured on: the user's own, those of its file, or drawn.

Drawn by type and range, the same on every machine: standard normal where numbers are floats, as images are once they
are normalised; of whole numbers those that the network can read, such as the places of a table.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping

import numpy as np

from mbench.core import units
from mbench.core.errors import CollisionError, UsageError, did_you_mean
from mbench.networks.graph import Graph, TensorType

_SEED = 20170418
_GREATEST = 256
"""Above the numbers of inputs whose range is not known: those of a pixel."""
_PASS = ("cast", "reshape", "permute", "slice", "expand", "concat")
"""Operations after which a place is still the same place."""
_BETWEEN = ("--input", "NETWORK")
"""What excludes each other where an array is not the network's."""


def complete(graph: Graph, given: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return an array for each input of a graph, those that are given among them.

    Args:
        graph: the network.
        given: arrays by the inputs' names.

    Raises:
        UsageError: an array is given for no input, or has another shape or type than the input, or numbers that are
            NaN or infinite.
    """
    for name in given:
        if name not in graph.inputs:
            near = did_you_mean(name, graph.inputs)
            said = f"input {name!r}: the network has no such input; it has {', '.join(graph.inputs)}{near}"
            raise CollisionError(said, *_BETWEEN)
    return {
        name: _checked(name, given[name], known) if name in given else _drawn(graph, name, known)
        for name, known in graph.inputs.items()
    }


def _checked(name: str, array: np.ndarray, known: TensorType) -> np.ndarray:
    if array.shape != known.shape:
        got, wanted = units.shape(array.shape), units.shape(known.shape)
        said = f"input {name!r}: the array given has shape {got or 'of one number'}; expected {wanted}"
        raise CollisionError(said, *_BETWEEN)
    if not np.can_cast(array.dtype, known.dtype, "same_kind") or (array.dtype == bool) != (known.dtype == "bool"):
        said = f"input {name!r}: the array given is of {array.dtype}; expected {known.dtype}"
        raise CollisionError(said, *_BETWEEN)
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise UsageError(f"input {name!r}: the array given holds NaN or infinite numbers; expected finite ones")
    return np.ascontiguousarray(array, dtype=known.dtype).reshape(known.shape)


def _drawn(graph: Graph, name: str, known: TensorType) -> np.ndarray:
    generator = np.random.Generator(np.random.PCG64(_SEED ^ zlib.crc32(name.encode("utf-8", "surrogatepass"))))
    kind = np.dtype(known.dtype).kind
    if kind == "f":
        return np.asarray(generator.standard_normal(known.shape)).astype(known.dtype)
    if kind == "b":
        return np.asarray(generator.integers(0, 2, known.shape)).astype(bool)
    most = min(_GREATEST, int(np.iinfo(known.dtype).max) + 1)
    return np.asarray(generator.integers(0, _places(graph, name) or most, known.shape)).astype(known.dtype)


def _places(graph: Graph, name: str) -> int | None:
    """Return how many places the smallest table has that an input chooses from; None where it chooses from none."""
    found: list[int] = []
    waiting, seen = [name], {name}
    while waiting:
        value = waiting.pop()
        for user in graph.users[value]:
            if user.op == "gather" and user.inputs[1] == value:
                found.append(graph.shape(user.inputs[0])[user.attributes["axis"]])
            elif user.op in _PASS and user.name not in seen:
                seen.add(user.name)
                waiting.append(user.name)
    return min(found, default=None)
