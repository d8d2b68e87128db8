"""The user's own network: which texts of the command line name one, and what reads each kind.

Opening a network is a function of `FRONT_ENDS`; none of them is imported before it is asked for.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from mbench.core.errors import UsageError
from mbench.networks.importers.examples import complete
from mbench.networks.importers.imported import Imported

_FUNCTION = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*")


def is_source(text: str) -> bool:
    """Return whether a network of the command line is the user's own: a file, or `package.module:function`."""
    return _kind(text) is not None


def runs(text: str) -> str | None:
    """Return, for people, which code of the user's is run to read a network; None where none is."""
    if _kind(text) != "function":
        return None
    from mbench.networks.importers import module_function

    return module_function.runs(text)


def _kind(text: str) -> str | None:
    if text.lower().endswith((".onnx", ".pt2")):
        return text.lower().rsplit(".", 1)[1]
    return "function" if _FUNCTION.fullmatch(text) else None


def read(
    text: str, *, shapes: Mapping[str, tuple[int, ...]], batch: int | None, examples: Mapping[str, np.ndarray]
) -> Imported:
    """Return the user's own network.

    Args:
        text: a file, `FILE.onnx` or `FILE.pt2`, or `package.module:function`, whose code is run.
        shapes: of inputs by name, where the network leaves sides open.
        batch: the first side of inputs where it is open.
        examples: inputs by name that the network is checked on; those that are missing are drawn.

    Raises:
        UsageError: it is no such network, or holds what mbench cannot read.
    """
    kind = _kind(text)
    if kind == "onnx":
        from mbench.networks.importers import onnx_file

        found = onnx_file.read(Path(text), shapes=shapes, batch=batch)
    elif kind == "pt2":
        from mbench.networks.importers import export_file

        found = export_file.read(Path(text), shapes=shapes, batch=batch)
    elif kind == "function":
        from mbench.networks.importers import module_function

        found = module_function.read(text, shapes=shapes, batch=batch)
    else:
        raise UsageError(f"{text!r} names no network; expected FILE.onnx, FILE.pt2 or package.module:function")
    return dataclasses.replace(found, examples=complete(found.graph, {**found.examples, **examples}))
