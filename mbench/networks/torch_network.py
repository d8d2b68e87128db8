"""A graph computed by torch, node by node: what a network has to give; and weights that keep every layer alive.

Freshly initialised torch networks are no test of numerics: their activations die out with depth and the output is the
last bias alone, whatever the kernels do. Here convolutions draw He-normal weights, and each BatchNorm carries the mean
and variance that its input really has on a fixed batch of random images, so that activations keep unit scale.
"""

from __future__ import annotations

import contextlib
import math
import zlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import torch

from mbench.networks import tensors, torch_operations
from mbench.networks.graph import Graph, Node, TensorType

SEED = 20170417
_CALIBRATION_IMAGES = 4
_CALIBRATION_PIXELS = 64  # of each channel of the smallest map, or its mean and variance would be noise
_CALIBRATION_WORK = 64 * 64 * 64  # pixels of all images, beyond which a large network would take minutes
_MANTISSA_BITS = 8

Values = dict[str, torch.Tensor]
_Watch = Callable[[str, torch.Tensor], None]


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Let torch use one thread: it sums in the same order on every machine, and fast where others are busy.

    Several threads wait for each other by spinning, which then takes seconds.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def example_inputs(graph: Graph) -> Values:
    """Return the inputs that numerics are checked on: standard normal, the same on every machine."""
    generator = torch.Generator().manual_seed(SEED + 1)
    return {name: drawn_input(given, given.shape, generator) for name, given in graph.inputs.items()}


def drawn_input(given: TensorType, shape: tuple[int, ...], generator: torch.Generator) -> torch.Tensor:
    """Return numbers of a normal distribution, float32; of whole numbers 0 and 1, which are places too."""
    if "float" in given.dtype:
        return torch.randn(*shape, generator=generator)
    return torch.randint(0, 2, shape, generator=generator).to(getattr(torch, given.dtype))


@torch.no_grad()  # type: ignore[untyped-decorator]
def run(
    graph: Graph, parameters: Mapping[str, np.ndarray], inputs: Values, *, watch: _Watch | None = None
) -> tuple[torch.Tensor, ...]:
    """Return the outputs of a graph.

    Args:
        graph: folded or not; quantised or not.
        parameters: the numbers of all its parameters.
        inputs: its inputs; the batch may be another than the graph's, where no reshape holds it.
        watch: is called with each node's name and value.
    """
    constants = {name: tensors.of(value) for name, value in parameters.items()}
    inputs = {**inputs, **{name: constants[name] for name in graph.outputs if name in graph.parameters}}
    return _run(graph, inputs, lambda node, _read: [constants[name] for name in graph.constants(node)], watch)


@torch.no_grad()  # type: ignore[untyped-decorator]
def draw(
    graph: Graph, given: Mapping[str, np.ndarray] | None = None, inputs: Values | None = None
) -> dict[str, np.ndarray]:
    """Return parameters for a graph, the same on every machine.

    Each is drawn by a generator that its name seeds, in the order of execution; statistics are what flows through.

    Args:
        graph: not folded.
        given: parameters that are not drawn, such as those of a user's file, whose network has no other batch than its
            own; without any, several images flow through.
        inputs: what flows through; by default random numbers.
    """
    inputs = _calibration(graph, several=given is None) if inputs is None else inputs
    drawn = {**{name: np.zeros(graph.shape(name), np.float32) for name in _unread(graph)}, **(given or {})}

    def give(node: Node, read: list[torch.Tensor]) -> list[torch.Tensor]:
        names = [name for name in graph.constants(node) if name not in drawn]
        if names:
            numbers = _drawn(node, read, [graph.shape(name) for name in names])
            drawn.update({name: _typed(graph, name, value) for name, value in zip(names, numbers, strict=True)})
        return [tensors.of(drawn[name]) for name in graph.constants(node)]

    _run(graph, inputs, give)
    return drawn


def _calibration(graph: Graph, *, several: bool) -> Values:
    """Return random inputs; `several`: as many images as the smallest map needs to have a mean and a variance."""
    images = torch.Generator().manual_seed(SEED)
    sides = [math.prod(node.shape[2:]) for node in graph.nodes if node.op == "batch_norm"]
    size = max((math.prod(each.shape[2:]) for each in graph.inputs.values()), default=1)
    wanted = -(-_CALIBRATION_PIXELS // min(sides, default=_CALIBRATION_PIXELS))
    count = max(_CALIBRATION_IMAGES, min(wanted, _CALIBRATION_WORK // size))
    return {
        name: drawn_input(each, (count, *each.shape[1:]) if several else each.shape, images)
        for name, each in graph.inputs.items()
    }


def _unread(graph: Graph) -> list[str]:
    """Return the parameters that no node reads."""
    return [name for name in graph.parameters if not graph.users[name]]


def _typed(graph: Graph, name: str, value: torch.Tensor) -> np.ndarray:
    """Return numbers for a parameter; whole ones are 0, which is a place everywhere."""
    dtype, array = graph.parameters[name].dtype, value.numpy()
    return array if "float" in dtype else np.zeros_like(array, dtype)


def _drawn(node: Node, read: list[torch.Tensor], shapes: list[tuple[int, ...]]) -> list[torch.Tensor]:
    """Return numbers for the parameters of a node that reads `read`."""
    generator = torch.Generator().manual_seed(SEED ^ zlib.crc32(node.name.encode()))
    if node.op in ("conv2d", "conv2d_transpose", "linear"):
        weight = torch.empty(shapes[0]).normal_(0.0, (2.0 / math.prod(shapes[0][1:])) ** 0.5, generator=generator)
        if node.op == "conv2d" and len(shapes) > 1:
            return [weight, _opening(node, read[0], weight, generator)]
        return [weight, *(torch.empty(shape).normal_(0.0, 0.1, generator=generator) for shape in shapes[1:])]
    if node.op == "batch_norm":
        return _statistics(read[0], generator)
    if node.op in ("layer_norm", "group_norm", "instance_norm"):
        scale = torch.empty(shapes[0]).uniform_(0.8, 1.2, generator=generator)
        return [scale, *(torch.empty(shape).uniform_(0.0, 0.5, generator=generator) for shape in shapes[1:])]
    return [torch.empty(shape).uniform_(0.4, 0.6, generator=generator) for shape in shapes]


def _opening(node: Node, x: torch.Tensor, weight: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Return a bias in the place of BatchNorm: the mean is taken off, and most ReLUs stay open.

    Without it half of the channels inside squeeze-excite give nothing, and what reads them could be wrong.
    """
    mean = torch_operations.convolution(node, x, weight).mean((0, 2, 3))
    return torch.empty_like(mean).uniform_(0.5, 1.0, generator=generator) - _coarse(mean)


def _statistics(x: torch.Tensor, generator: torch.Generator) -> list[torch.Tensor]:
    """Return scale, shift, mean and variance for a BatchNorm that reads `x`, (N, C, …).

    Scale near 1, shift positive: most ReLUs stay open.
    """
    others = (0, *range(2, x.dim()))
    mean, variance = x.mean(others), x.var(others, unbiased=False)
    floor = 0.05 * variance.mean() + 1e-6
    scale = torch.empty_like(mean).uniform_(0.8, 1.2, generator=generator)
    shift = torch.empty_like(mean).uniform_(0.0, 0.5, generator=generator)
    return [scale, shift, _coarse(mean), _coarse(torch.maximum(variance, floor))]


def _coarse(x: torch.Tensor) -> torch.Tensor:
    """Keep 8 bits of mantissa, so that machines that sum in another order still get the same statistics."""
    mantissa, exponent = torch.frexp(x)
    return torch.ldexp(torch.round(mantissa * 2**_MANTISSA_BITS) / 2**_MANTISSA_BITS, exponent)


def _run(
    graph: Graph,
    inputs: Values,
    constants: Callable[[Node, list[torch.Tensor]], list[torch.Tensor]],
    watch: _Watch | None = None,
) -> tuple[torch.Tensor, ...]:
    values, last = dict(inputs), _last_reads(graph)
    for place, node in enumerate(graph.nodes):
        read = [values[name] for name in graph.operands(node)]
        given = dict(zip(graph.constants(node), constants(node, read), strict=True))
        values[node.name] = torch_operations.OPERATIONS[node.op](
            node, *(given[name] if name in given else values[name] for name in node.inputs)
        )
        if watch is not None:
            watch(node.name, values[node.name])
        for name in last.get(place, ()):
            del values[name]
    return tuple(values[name] for name in graph.outputs if name in values)


def _last_reads(graph: Graph) -> dict[int, tuple[str, ...]]:
    """Return the values that no later node reads, by the place of the node that reads them last."""
    places = {name: place for place, node in enumerate(graph.nodes) for name in graph.operands(node)}
    found: dict[int, tuple[str, ...]] = {}
    for name, place in places.items():
        if name not in graph.outputs:
            found[place] = (*found.get(place, ()), name)
    return found


class TorchNetwork(torch.nn.Module):  # type: ignore[misc]
    """A graph with its parameters as a torch module in evaluation mode: what peers are given."""

    def __init__(self, graph: Graph, parameters: Mapping[str, np.ndarray]) -> None:
        super().__init__()
        self._graph = graph
        self._places = {name: f"p{place}" for place, name in enumerate(graph.parameters)}
        for name, attribute in self._places.items():
            self.register_buffer(attribute, tensors.of(parameters[name].copy()))
        self.eval()

    def forward(self, *inputs: torch.Tensor) -> Any:
        """Return the output, or a tuple of several."""
        graph = self._graph
        given = dict(zip(graph.inputs, inputs, strict=True))
        outputs = _run(
            graph,
            given,
            lambda node, _read: [getattr(self, self._places[name]) for name in graph.constants(node)],
        )
        return outputs[0] if len(outputs) == 1 else outputs
