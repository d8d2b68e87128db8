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
from torch.nn import functional

from mbench.networks.graph import Graph, Node

SEED = 20170417
_CALIBRATION_IMAGES = 4
_CALIBRATION_PIXELS = 64  # of each channel of the smallest map, or its mean and variance would be noise
_CALIBRATION_WORK = 64 * 64 * 64  # pixels of all images, beyond which a large network would take minutes
_MANTISSA_BITS = 8

Values = dict[str, torch.Tensor]


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
    return {name: torch.randn(*given.shape, generator=generator) for name, given in graph.inputs.items()}


@torch.no_grad()  # type: ignore[untyped-decorator]
def run(graph: Graph, parameters: Mapping[str, np.ndarray], inputs: Values) -> tuple[torch.Tensor, ...]:
    """Return the outputs of a graph.

    Args:
        graph: folded or not.
        parameters: the numbers of all its parameters.
        inputs: its inputs; the batch may be another than the graph's, where no reshape holds it.
    """
    constants = {name: torch.from_numpy(value) for name, value in parameters.items()}
    return _run(graph, inputs, lambda node, _read: [constants[name] for name in graph.constants(node)])


@torch.no_grad()  # type: ignore[untyped-decorator]
def draw(graph: Graph) -> dict[str, np.ndarray]:
    """Return parameters for a graph, the same on every machine.

    Each is drawn by a generator that its name seeds, in the order of execution; statistics are what flows through.
    """
    images = torch.Generator().manual_seed(SEED)
    sides = [math.prod(node.shape[2:]) for node in graph.nodes if node.op == "batch_norm"]
    size = max((math.prod(given.shape[2:]) for given in graph.inputs.values()), default=1)
    wanted = -(-_CALIBRATION_PIXELS // min(sides, default=_CALIBRATION_PIXELS))
    count = max(_CALIBRATION_IMAGES, min(wanted, _CALIBRATION_WORK // size))
    inputs = {name: torch.randn(count, *given.shape[1:], generator=images) for name, given in graph.inputs.items()}
    drawn: dict[str, np.ndarray] = {}

    def give(node: Node, read: list[torch.Tensor]) -> list[torch.Tensor]:
        names = [name for name in graph.constants(node) if name not in drawn]
        if names:
            given = _drawn(node, read, [graph.shape(name) for name in names])
            drawn.update({name: value.numpy() for name, value in zip(names, given, strict=True)})
        return [torch.from_numpy(drawn[name]) for name in graph.constants(node)]

    _run(graph, inputs, give)
    return drawn


def _drawn(node: Node, read: list[torch.Tensor], shapes: list[tuple[int, ...]]) -> list[torch.Tensor]:
    """Return numbers for the parameters of a node that reads `read`."""
    generator = torch.Generator().manual_seed(SEED ^ zlib.crc32(node.name.encode()))
    if node.op in ("conv2d", "linear"):
        weight = torch.empty(shapes[0]).normal_(0.0, (2.0 / math.prod(shapes[0][1:])) ** 0.5, generator=generator)
        if node.op == "conv2d" and len(shapes) > 1:
            return [weight, _opening(node, read[0], weight, generator)]
        return [weight, *(torch.empty(shape).normal_(0.0, 0.1, generator=generator) for shape in shapes[1:])]
    if node.op == "batch_norm":
        return _statistics(read[0], generator)
    if node.op == "layer_norm":
        scale = torch.empty(shapes[0]).uniform_(0.8, 1.2, generator=generator)
        return [scale, *(torch.empty(shape).uniform_(0.0, 0.5, generator=generator) for shape in shapes[1:])]
    return [torch.empty(shape).uniform_(0.4, 0.6, generator=generator) for shape in shapes]


def _opening(node: Node, x: torch.Tensor, weight: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Return a bias in the place of BatchNorm: the mean is taken off, and most ReLUs stay open.

    Without it half of the channels inside squeeze-excite give nothing, and what reads them could be wrong.
    """
    mean = _convolution(node, len(x), x, weight).mean((0, 2, 3))
    return torch.empty_like(mean).uniform_(0.5, 1.0, generator=generator) - _coarse(mean)


def _statistics(x: torch.Tensor, generator: torch.Generator) -> list[torch.Tensor]:
    """Return scale, shift, mean and variance for a BatchNorm that reads `x`, (N, C, H, W).

    Scale near 1, shift positive: most ReLUs stay open.
    """
    mean, variance = x.mean((0, 2, 3)), x.var((0, 2, 3), unbiased=False)
    floor = 0.05 * variance.mean() + 1e-6
    scale = torch.empty_like(mean).uniform_(0.8, 1.2, generator=generator)
    shift = torch.empty_like(mean).uniform_(0.0, 0.5, generator=generator)
    return [scale, shift, _coarse(mean), _coarse(torch.maximum(variance, floor))]


def _coarse(x: torch.Tensor) -> torch.Tensor:
    """Keep 8 bits of mantissa, so that machines that sum in another order still get the same statistics."""
    mantissa, exponent = torch.frexp(x)
    return torch.ldexp(torch.round(mantissa * 2**_MANTISSA_BITS) / 2**_MANTISSA_BITS, exponent)


def _run(
    graph: Graph, inputs: Values, constants: Callable[[Node, list[torch.Tensor]], list[torch.Tensor]]
) -> tuple[torch.Tensor, ...]:
    values, last = dict(inputs), _last_reads(graph)
    batch = next(iter(inputs.values())).shape[0]
    for place, node in enumerate(graph.nodes):
        read = [values[name] for name in graph.operands(node)]
        given = dict(zip(graph.constants(node), constants(node, read), strict=True))
        values[node.name] = OPERATIONS[node.op](
            node, batch, *(given[name] if name in given else values[name] for name in node.inputs)
        )
        for name in last.get(place, ()):
            del values[name]
    return tuple(values[name] for name in graph.outputs)


def _last_reads(graph: Graph) -> dict[int, tuple[str, ...]]:
    """Return the values that no later node reads, by the place of the node that reads them last."""
    places = {name: place for place, node in enumerate(graph.nodes) for name in graph.operands(node)}
    found: dict[int, tuple[str, ...]] = {}
    for name, place in places.items():
        if name not in graph.outputs:
            found[place] = (*found.get(place, ()), name)
    return found


def _convolution(node: Node, _batch: int, x: torch.Tensor, *weights: torch.Tensor) -> torch.Tensor:
    known = node.attributes
    top, left, bottom, right = known["padding"]
    if (top, left) == (bottom, right):
        return functional.conv2d(x, *weights, stride=known["strides"], padding=(top, left), dilation=known["dilation"],
                                 groups=known["groups"])  # fmt: skip
    x = functional.pad(x, (left, right, top, bottom))
    return functional.conv2d(x, *weights, stride=known["strides"], dilation=known["dilation"], groups=known["groups"])


def _batch_norm(node: Node, _batch: int, x: torch.Tensor, *given: torch.Tensor) -> torch.Tensor:
    scale, shift, mean, variance = given
    return functional.batch_norm(x, mean, variance, scale, shift, eps=node.attributes["epsilon"])


def _layer_norm(node: Node, _batch: int, x: torch.Tensor, *given: torch.Tensor) -> torch.Tensor:
    shape = [x.shape[axis] for axis in node.attributes["axes"]]
    return functional.layer_norm(x, shape, *given, eps=node.attributes["epsilon"])


def _max_pool(node: Node, _batch: int, x: torch.Tensor) -> torch.Tensor:
    known = node.attributes
    x, padding = _padded(x, known["padding"], -torch.inf)
    return functional.max_pool2d(x, known["kernel"], known["strides"], padding, ceil_mode=bool(known.get("ceil_mode")))


def _avg_pool(node: Node, _batch: int, x: torch.Tensor) -> torch.Tensor:
    known = node.attributes
    how = {"kernel_size": known["kernel"], "stride": known["strides"], "ceil_mode": bool(known.get("ceil_mode"))}

    def mean(image: torch.Tensor) -> torch.Tensor:
        image, padding = _padded(image, known["padding"], 0.0)
        return functional.avg_pool2d(image, padding=padding, **how)

    whole = mean(x)
    return whole if known.get("count_include_pad", True) else whole / mean(torch.ones_like(x[:1, :1]))


def _padded(x: torch.Tensor, padding: tuple[int, int, int, int], value: float) -> tuple[torch.Tensor, tuple[int, int]]:
    """Return an image with what torch cannot pad by itself, as it is not the same on both sides, and what it can."""
    top, left, bottom, right = padding
    if (top, left) == (bottom, right):
        return x, (top, left)
    return functional.pad(x, (left, right, top, bottom), value=value), (0, 0)


def _of_batch(node: Node, batch: int, x: torch.Tensor) -> torch.Tensor:
    """Reshape; the batch may be another than the graph's where it is the first axis."""
    return x.reshape(batch, *node.shape[1:])


def _slice(node: Node, _batch: int, x: torch.Tensor) -> torch.Tensor:
    known = node.attributes
    return x.narrow(known["axis"], known["begin"], known["end"] - known["begin"])


def _unary(function: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
    return lambda _node, _batch, x: function(x)


def _binary(function: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
    return lambda _node, _batch, x, y: function(x, y)


OPERATIONS: dict[str, Callable[..., Any]] = {
    "conv2d": _convolution,
    "linear": lambda _node, _batch, x, *weights: functional.linear(x, *weights),
    "matmul": _binary(torch.matmul),
    "batch_norm": _batch_norm,
    "layer_norm": _layer_norm,
    "max_pool2d": _max_pool,
    "avg_pool2d": _avg_pool,
    "global_avg_pool": _unary(lambda x: x.mean((2, 3), keepdim=True)),
    "softmax": lambda node, _batch, x: x.softmax(node.attributes["axis"]),
    "reshape": _of_batch,
    "permute": lambda node, _batch, x: x.permute(*node.attributes["axes"]),
    "concat": lambda node, _batch, *xs: torch.cat(xs, node.attributes["axis"]),
    "slice": _slice,
    "add": _binary(torch.add),
    "subtract": _binary(torch.subtract),
    "multiply": _binary(torch.multiply),
    "divide": _binary(torch.divide),
    "maximum": _binary(torch.maximum),
    "minimum": _binary(torch.minimum),
    "clip": lambda node, _batch, x: x.clamp(node.attributes["low"], node.attributes["high"]),
    "scale": lambda node, _batch, x: x * node.attributes["factor"],
    "relu": _unary(functional.relu),
    "relu6": _unary(functional.relu6),
    "hard_swish": _unary(functional.hardswish),
    "hard_sigmoid": _unary(functional.hardsigmoid),
    "sigmoid": _unary(torch.sigmoid),
    "silu": _unary(functional.silu),
    "gelu": _unary(functional.gelu),
    "gelu_tanh": _unary(lambda x: functional.gelu(x, approximate="tanh")),
    "tanh": _unary(torch.tanh),
}


class TorchNetwork(torch.nn.Module):  # type: ignore[misc]
    """A graph with its parameters as a torch module in evaluation mode: what peers are given."""

    def __init__(self, graph: Graph, parameters: Mapping[str, np.ndarray]) -> None:
        super().__init__()
        self._graph = graph
        self._places = {name: f"p{place}" for place, name in enumerate(graph.parameters)}
        for name, attribute in self._places.items():
            self.register_buffer(attribute, torch.from_numpy(parameters[name].copy()))
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
