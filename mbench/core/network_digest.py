"""The digest of a network: what it computes on what shapes, and nothing of how it was compiled or how large a batch is.

Weights are no part of it: a user's file has digests of its own. What shapes do not show, such as dilation and the
bounds of a clip, is a layer's `settings`, which records do not keep: a digest is computed when a network is built.

Two records of one network have the same digest, whatever their target, dtype and batch.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from mbench.core.field_types import Op


class DescribedLayer(Protocol):
    """A layer as recorded, or as planned in an artifact."""

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def op(self) -> Op: ...  # noqa: D102
    @property
    def operations(self) -> Sequence[str]: ...  # noqa: D102
    @property
    def inputs(self) -> Sequence[str]: ...  # noqa: D102
    @property
    def input_shape(self) -> Sequence[int]: ...  # noqa: D102
    @property
    def output_shape(self) -> Sequence[int]: ...  # noqa: D102
    @property
    def kernel_size(self) -> Sequence[int] | None: ...  # noqa: D102
    @property
    def stride(self) -> Sequence[int] | None: ...  # noqa: D102
    @property
    def groups(self) -> int | None: ...  # noqa: D102


def of_layers(layers: Iterable[DescribedLayer]) -> str:
    """Return the digest of a network with these layers, in order of execution."""
    described = []
    for layer in layers:
        settings = getattr(layer, "settings", ())  # the built-in networks of version 0.1.0 have none
        extra = {"settings": settings} if settings else {}
        described.append({**{field: getattr(layer, field) for field in (*_FIELDS, "operations")}, **extra})
    return _hashed(described)


def of_documents(layers: Iterable[dict[str, Any]]) -> str:
    """Return the same of layers as a record file holds them.

    Raises:
        KeyError, TypeError: they are not of that form.
    """
    described = ({field: layer[field] for field in _FIELDS} for layer in layers)
    return _hashed(list(described))


_FIELDS = ("name", "op", "inputs", "input_shape", "output_shape", "kernel_size", "stride", "groups")
_IMPLIED = (
    ("conv2d", "relu"), ("linear",), ("global_avg_pool", "reshape"), (),
)  # fmt: skip
"""Operations of MobileNetV1's layers. They follow from `op`, and records from before operations were kept do not have
them: left out, so that such a network has the same digest in all records."""


def _hashed(layers: list[dict[str, Any]]) -> str:
    described = []
    for layer in layers:
        operations = tuple(layer.pop("operations", ()))
        extra = {} if operations in _IMPLIED else {"operations": operations}
        without_batch = {"input_shape": layer["input_shape"][1:], "output_shape": layer["output_shape"][1:]}
        described.append({**layer, **without_batch, **extra})
    return hashlib.sha256(json.dumps(described, separators=(",", ":")).encode()).hexdigest()
