"""The inputs that an imported network is checked on: those that its user gives, the rest drawn by type and range."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from mbench.core import plain, units
from mbench.core.errors import UsageError, did_you_mean, shown, why
from mbench.networks.graph import Graph, TensorType

_SEED = 20170418
_MOST_INDEX = 10
"""Below which whole numbers are drawn that nothing says the range of."""
_KEEPS_NUMBERS = ("cast", "reshape", "permute", "slice", "expand", "concat", "where")
"""Operations that give the whole numbers that they read."""


def of(graph: Graph, given: Mapping[str, np.ndarray], source: str) -> dict[str, np.ndarray]:
    """Return a value for each input of a graph, the same each time.

    Args:
        graph: of the network.
        given: values by name; the others are drawn.
        source: the user's file, for messages.

    Raises:
        UsageError: a value is of no input, or not of its shape and type.
    """
    for name, value in given.items():
        if name not in graph.inputs:
            near = did_you_mean(name, graph.inputs) or f"; its inputs: {_listed(graph)}"
            raise UsageError(f"{source}: it has no input {shown(name)}{near}")
        _check(name, value, graph.inputs[name], source)
    generator = np.random.default_rng(_SEED)
    drawn = {name: _drawn(graph, name, generator) for name in graph.inputs}
    return {name: given.get(name, value) for name, value in drawn.items()}


def _check(name: str, value: np.ndarray, wanted: TensorType, source: str) -> None:
    found, expected = (_words(each.shape, str(each.dtype)) for each in (value, wanted))
    if value.shape != wanted.shape or str(value.dtype) != wanted.dtype:
        raise UsageError(f"{source}: input {shown(name)} is given as {found}; expected {expected}")
    if value.dtype.kind == "f" and not np.isfinite(value).all():
        raise UsageError(f"{source}: input {shown(name)} is given with numbers that are not finite; expected none")


def _listed(graph: Graph) -> str:
    return plain.line(", ".join(f"{name} ({_words(each.shape, each.dtype)})" for name, each in graph.inputs.items()))


def _words(shape: tuple[int, ...], dtype: str) -> str:
    return f"{units.shape(shape) or 'one number,'} {dtype}"


def _drawn(graph: Graph, name: str, generator: np.random.Generator) -> np.ndarray:
    """Return numbers for an input: standard normal ones, indices that are there, bytes, truths."""
    wanted = graph.inputs[name]
    if wanted.dtype.startswith(("float", "bfloat")):
        return generator.standard_normal(wanted.shape).astype(wanted.dtype)
    if wanted.dtype == "bool":
        return generator.random(wanted.shape) < 0.5
    small = np.iinfo(wanted.dtype).bits == 8
    below = np.iinfo(wanted.dtype).max + 1 if small else _rows(graph, name)
    return generator.integers(0, below, wanted.shape).astype(wanted.dtype)


def _rows(graph: Graph, name: str) -> int:
    """Return the number that an input's numbers stay below, as all tables have that many rows that they look up in."""
    carried, rows = {name}, list[int]()
    for node in graph.nodes:
        if node.op == "gather" and node.inputs[1] in carried:
            rows.append(graph.shape(node.inputs[0])[node.attributes["axis"]])
        elif node.op in _KEEPS_NUMBERS and carried.intersection(node.inputs):
            carried.add(node.name)
    return min(rows, default=_MOST_INDEX)


def read(file: Path) -> dict[str, np.ndarray]:
    """Return the arrays of a file that numpy wrote, by name.

    Raises:
        UsageError: it cannot be read, or holds what is no numbers.
    """
    try:
        loaded = np.load(file, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            raise UsageError(f"--input {file}: it holds one array without a name; expected an .npz of named arrays")
        with loaded as archive:
            found = {name: archive[name] for name in archive.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise UsageError(f"--input {file}: cannot be read: {why(error)}; expected an .npz of numpy.savez") from error
    strange = next((name for name, value in found.items() if value.dtype.kind not in "fiub"), None)
    if strange is not None:
        raise UsageError(f"--input {file}: {shown(strange)} holds {found[strange].dtype}; expected numbers")
    return found
