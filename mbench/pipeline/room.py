"""Whether a network fits this machine's memory: an estimate from its graph, before anything is built.

It is a lower bound, so that nothing is refused that could be built; a build that needs more comes to its own limit, see
`mbench.build.builders`.
"""

from __future__ import annotations

import math
from collections.abc import Container, Iterable, Sequence

from mbench.core import dtypes, units
from mbench.core.records import Failure, Variant
from mbench.networks import architectures, costs, lifetimes
from mbench.networks.layers import LayerSpec

STAGE = "planning"
BUILD_COPIES = 8
"""How often a build holds the weights, at least: drawn, folded, packed, in the module, in the library as generated and
as linked. MobileNetV1 and V2 and their standard twins took 14 to 17 times their weights."""


def refused(wanted: Iterable[Variant], available_bytes: int, built: Container[str] = frozenset()) -> dict[str, Failure]:
    """Return a failure for each network that needs more than the available memory, by name.

    Args:
        wanted: the networks.
        available_bytes: of memory.
        built: names of those that need no build, so that they hold their weights once.
    """
    found = {}
    for variant in wanted:
        specs = architectures.layers(variant)
        weights = sum(costs.of_layer(spec, variant.dtype).weight_bytes for spec in specs)
        activations = activation_bytes(specs, variant.dtype)
        copies, does = (1, "running") if variant.name in built else (BUILD_COPIES, "building")
        held = f"{copies} {'copy' if copies == 1 else 'copies'}"
        needed = copies * weights + activations
        smaller = "batch" if variant.imported else "width, resolution or batch"
        if needed > available_bytes:
            found[variant.name] = Failure(
                variant=variant.name,
                stage=STAGE,
                reason=(
                    f"too large for this machine: {does} needs at least {units.data_size(needed)} of memory "
                    f"({held} of {units.data_size(weights)} of weights, "
                    f"{units.data_size(activations)} of activations), and {units.data_size(available_bytes)} are "
                    f"available; choose a smaller {smaller}"
                ),
            )
    return found


def activation_bytes(specs: Sequence[LayerSpec], dtype: str) -> int:
    """Return the most that is alive of activations while any layer runs, in bytes."""
    sizes = {spec.name: math.prod(spec.output_shape) for spec in specs}
    sizes[lifetimes.INPUT] = math.prod(specs[0].input_shape)
    kept = zip(specs, lifetimes.alive(specs), strict=True)
    return dtypes.of(dtype).bytes * max(sizes[spec.name] + sum(map(sizes.__getitem__, names)) for spec, names in kept)
