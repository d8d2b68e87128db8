"""A network of the user's own, for Python: what `mbench.run` and the rest take in the place of a name."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Mapping, Sequence
from numbers import Integral
from pathlib import Path
from typing import Any

import msgspec

from mbench.core import dtypes
from mbench.core.errors import UsageError, shown
from mbench.core.records import Variant
from mbench.networks import imported_store, importing
from mbench.networks.importing import ImportPlan

_At = Callable[[int | None], Variant]
"""Returns the network at a batch; at None, at its own."""


class Network:
    """A network that was imported; make one by `from_onnx`, `from_export` or `from_module`.

    Reading it again, as for another batch, is done where that is needed. Nothing else reads the user's file.
    """

    def __init__(self, at: _At, first: int | None = None) -> None:
        """Import it, as `at` does, at the batch that is asked for first; None: its own."""
        self._at = functools.cache(at)
        self._own = self._at(first)

    @classmethod
    def from_onnx(
        cls,
        path: str | os.PathLike[str],
        *,
        input_shapes: Mapping[str, Sequence[int]] | None = None,
        inputs: str | os.PathLike[str] | None = None,
    ) -> Network:
        """Import an ONNX file; what it computes is checked against ONNX Runtime.

        Args:
            path: the file.
            input_shapes: shapes of inputs by name, where the file leaves one open.
            inputs: an .npz with values of inputs by name; the others are drawn.

        Raises:
            UsageError: it cannot be imported.

        Example:
            `network = mbench.Network.from_onnx("detector.onnx", input_shapes={"image": (1, 3, 320, 320)})`
        """
        return cls(_reading(path, input_shapes, inputs))

    @classmethod
    def from_export(
        cls,
        path: str | os.PathLike[str],
        *,
        input_shapes: Mapping[str, Sequence[int]] | None = None,
        inputs: str | os.PathLike[str] | None = None,
    ) -> Network:
        """Import a file of `torch.export.save`; what it computes is checked against PyTorch. See `from_onnx`.

        Raises:
            UsageError: it cannot be imported.
        """
        return cls(_reading(path, input_shapes, inputs))

    @classmethod
    def from_module(cls, module: Any, example: Any, *, name: str | None = None) -> Network:
        """Import a torch module, in evaluation mode; its code runs in this process.

        Args:
            module: a `torch.nn.Module`.
            example: what it is called with: a tensor, or a tuple of several.
            name: what to call it; by default its class.

        Raises:
            UsageError: it cannot be exported or imported.

        Example:
            `network = mbench.Network.from_module(MyNet().eval(), torch.randn(1, 3, 224, 224))`
        """
        return cls(functools.partial(_of_module, module, example, name))

    @property
    def name(self) -> str:
        """What records call it."""
        return self._own.name

    @property
    def digest(self) -> str:
        """SHA-256 of all that was imported."""
        return str(self._own.parameters[imported_store.CONTENT])

    @property
    def dtype(self) -> str:
        """The type that it runs in as it is: float32, or that of a quantised file."""
        return self._own.dtype

    @property
    def other_types(self) -> tuple[str, ...]:
        """The floating-point types that its own runtime computes in and mbench does not."""
        return tuple(sorted(imported_store.float_types(self._own) - {dtypes.DEFAULT}))

    def at(self, batch: int | None = None) -> Variant:
        """Return it as records have it, at another batch or its own.

        Raises:
            UsageError: it cannot have this batch.
        """
        return self._at(batch)

    def __repr__(self) -> str:
        return f"<mbench.Network {self.name} from {self._own.source}>"


def _reading(
    path: str | os.PathLike[str],
    shapes: Mapping[str, Sequence[int]] | None,
    inputs: str | os.PathLike[str] | None,
) -> _At:
    plan = ImportPlan(
        source=os.fspath(path),
        shapes={name: _shape(name, sides) for name, sides in (shapes or {}).items()},
        inputs=None if inputs is None else Path(inputs),
    )
    return reading(plan)


def reading(plan: ImportPlan, timeout_s: float = importing.TIMEOUT_S) -> _At:
    """Return what imports a file or a function at a batch."""

    def at(batch: int | None) -> Variant:
        return importing.in_a_child(msgspec.structs.replace(plan, batch=batch), timeout_s=timeout_s)

    return at


def _shape(name: str, sides: Sequence[int]) -> tuple[int, ...]:
    whole = [isinstance(side, Integral) and not isinstance(side, bool) and side > 0 for side in sides]
    if not all(whole):
        raise UsageError(f"input {shown(name)}: shape {shown(list(sides))} cannot be; expected whole numbers above 0")
    return tuple(map(int, sides))


def _of_module(module: Any, example: Any, name: str | None, batch: int | None) -> Variant:
    from mbench.networks.importers import module_function

    called = name or type(module_function.plain_module(module)).__name__
    found = module_function.of_module(module, example, name=called, where=called, shapes={}, batch=batch)
    return importing.kept(found, called, batch=batch)
