"""The networks that a search may answer with: families at every width and resolution of a grid, in each type.

Nothing is built for a candidate: its layers are those that its kernels would be, planned as a build plans them.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from mbench.compile.machine import KernelMachine
from mbench.core import dtypes, processes
from mbench.core.errors import UsageError
from mbench.core.machine_types import Target
from mbench.core.records import Variant
from mbench.fitting import layer_shapes
from mbench.fitting.layer_shapes import LayerShape
from mbench.networks import architectures, costs, folding, lifetimes, near_names, sizes, variants
from mbench.networks import layers as layers_of
from mbench.networks.costs import Costs
from mbench.networks.graph import Graph
from mbench.networks.importers import front_ends
from mbench.networks.layers import LayerSpec

_WIDTH_STEP, _RESOLUTION_STEP = 0.05, 16
"""Of what lies between the published sizes of a family."""
_DRAWN_WEIGHT = 0.01


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class NetworkCandidate:
    """A network, and what is known of it without building it."""

    network: Variant
    costs: Costs
    shapes: tuple[LayerShape, ...]
    """Of its layers; one for each kernel."""
    live_bytes: int
    """Of activations, while the layer runs that has the most: a bound, not what a compiler plans."""

    @property
    def name(self) -> str:
        """The network's."""
        return self.network.name

    @property
    def group(self) -> str:
        """See `group`."""
        return group(self.network)


def group(network: Variant) -> str:
    """Return the group of a network: those in it differ in size alone; an imported one is alone in its own."""
    return f"{network.family} {network.dtype} {network.batch}"


def names(words: Iterable[str]) -> tuple[str, ...]:
    """Return the names of all sizes of families, published and between, each once.

    A family that has no published grid has its own size alone. Another word, such as a name with a size, a grid or a
    file, stands for itself.

    Raises:
        UsageError: a word is nearly a family's name.
    """
    found: dict[str, None] = {}
    for word in words:
        found |= dict.fromkeys(_sizes(word) if architectures.is_known(word) else (_other(word),))
    return tuple(found)


def _other(word: str) -> str:
    """Return a word that is no family; refuse one that is nearly a family's name, and has no size."""
    families = architectures.known_families()
    near = [each for each in near_names.suggested(word, families) if each in families]
    if near and not front_ends.is_source(word):
        meant = " or ".join(map(repr, near))
        raise UsageError(f"family {word!r} is not known; did you mean {meant}? see 'mbench variants'")
    return word


def _sizes(family: str) -> Iterator[str]:
    """Yield the published sizes of a family, then those between."""
    listed = [sizes_of(each) for each in architectures.family_of(family).listed]
    widths, resolutions = (sorted({size[place] for size in listed}) for place in (0, 1))
    base = family.removesuffix("_shallow")
    ending = family.removeprefix(base)
    between = [
        (round(width, 4), int(resolution))
        for width in _with_between(widths, _WIDTH_STEP)
        for resolution in _with_between(resolutions, _RESOLUTION_STEP)
    ]
    for width, resolution in dict.fromkeys([*listed, *between]):
        yield variants.parse(f"{base}_{width:g}_{resolution:g}{ending}").name


def sizes_of(listed: str) -> tuple[float, int]:
    """Return the width and the resolution of a size as families list it: `0.5_160`."""
    width, _, resolution = listed.partition("_")
    return sizes.width(width, listed), sizes.resolution(resolution, listed)


def _with_between(values: Sequence[float], step: float) -> list[float]:
    """Return values in order, and the multiples of a step between the least and the largest."""
    first, last = math.ceil(min(values) / step - 1e-9), math.floor(max(values) / step + 1e-9)
    return sorted({*values, *(round(number * step, 4) for number in range(first, last + 1))})


def described(networks: Sequence[Variant], target: Target) -> tuple[NetworkCandidate, ...]:
    """Return networks as candidates for a target. It imports a compiler: see `builders.in_a_child`.

    Raises:
        UsageError: the family has no network of this size.
    """
    if any(network.quantization is not None for network in networks):
        processes.with_torch()  # it computes the tables of activations
    machine = KernelMachine.of(target)
    return tuple(_described(network, machine) for network in networks)


def _described(network: Variant, machine: KernelMachine) -> NetworkCandidate:
    specs = planned(network, machine)
    return NetworkCandidate(
        network=network,
        costs=costs.total(costs.of_layer(spec, network.dtype) for spec in specs),
        shapes=tuple(layer_shapes.of_layer(spec, network.dtype) for spec in specs),
        live_bytes=_live_bytes(specs, network.dtype),
    )


def planned(network: Variant, machine: KernelMachine) -> tuple[LayerSpec, ...]:
    """Return the layers that a build of a network would have, one for each kernel."""
    from mbench.compile import fusing
    from mbench.networks import signed

    graph = architectures.folded(network).graph
    if network.quantization is not None:
        graph = _in_whole_numbers(graph, network)
        if machine.multiplies_signed:
            graph = signed.signed(graph)
    return layers_of.of_graph(graph, fusing.plan(graph, machine))


def _in_whole_numbers(graph: Graph, network: Variant) -> Graph:
    """Return the quantised graph of a network whose numbers nobody has drawn: they change no shape."""
    from mbench.networks import quantize

    settings = network.quantization
    if settings is None:
        raise UsageError(f"{network.name} is not quantised")
    parameters = {
        name: np.broadcast_to(np.float32(_DRAWN_WEIGHT), given.shape) for name, given in graph.parameters.items()
    }
    ranges = dict.fromkeys((*graph.inputs, *graph.by_name), (-1.0, 6.0))
    options = quantize.QuantizeOptions(
        activations=settings.activations, largest_weight=settings.largest_weight, keep_float=settings.keep_float
    )
    return folding.as_compiled(quantize.quantized(graph, parameters, ranges, options).graph).graph


def _live_bytes(specs: Sequence[LayerSpec], dtype: str) -> int:
    """Return the most bytes of activations that are alive at once, by shapes and lifetimes alone."""
    width = dtypes.width(dtype)
    made = {spec.name: math.prod(spec.output_shape) * width for spec in specs}
    made[lifetimes.INPUT] = math.prod(specs[0].input_shape) * dtypes.width(dtypes.of(dtype).floats)
    kept = lifetimes.alive(specs)
    return max(
        made[spec.name] + sum(made.get(name, 0) for name in names_kept)
        for spec, names_kept in zip(specs, kept, strict=True)
    )
