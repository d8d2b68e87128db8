"""What a layer costs by its shape alone: multiply-adds, parameters, bytes. No torch, no measurement.

`params` are the weights of convolutions and of the fully connected layer, as the paper counts them (arXiv:1704.04861,
table 2): no biases, no BatchNorm, and those that several layers read at the first of them alone. `biases` are what
inference adds to that once BatchNorm is folded.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from mbench.core import dtypes
from mbench.networks.layers import LayerSpec


@dataclasses.dataclass(frozen=True, kw_only=True)
class Costs:
    """Costs of a layer or of a sum of layers. Bytes are of one inference at the variant's batch and dtype."""

    macs: int
    params: int
    biases: int
    weight_bytes: int
    activation_bytes: int
    """Inputs plus output, each counted once."""


def of_layer(spec: LayerSpec, dtype: str = dtypes.DEFAULT) -> Costs:
    """Return the costs of one layer. Biases have the type of the sums that they are added to.

    Args:
        spec: the layer; where it is quantised, its parameters have types of their own.
        dtype: of its other values and parameters.
    """
    width, bias_width = dtypes.width(dtypes.of(dtype).floats), dtypes.width(dtypes.of(dtype).accumulator)
    plain = spec.params * width + spec.biases * bias_width
    return Costs(
        macs=spec.macs,
        params=spec.params - spec.known_params,
        biases=spec.biases,
        weight_bytes=plain if spec.parameter_bytes is None else spec.parameter_bytes,
        activation_bytes=spec.activation_elements * width + spec.other_bytes,
    )


def total(costs: Iterable[Costs]) -> Costs:
    """Return the sum, field by field."""
    items = list(costs)
    return Costs(
        **{field.name: sum(getattr(item, field.name) for item in items) for field in dataclasses.fields(Costs)}
    )


def split_by_op(specs: Iterable[LayerSpec], dtype: str = dtypes.DEFAULT) -> dict[str, Costs]:
    """Return the costs summed by kind of layer, in order of first appearance (the paper's table 2)."""
    groups: dict[str, list[Costs]] = {}
    for spec in specs:
        groups.setdefault(spec.op, []).append(of_layer(spec, dtype))
    return {op: total(items) for op, items in groups.items()}
