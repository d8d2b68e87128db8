"""Nodes of whole numbers: what is known of a value before it is rounded, and the nodes that round it.

`integer_graph` decides what becomes what. Here a value that is not rounded yet (`Pending`) waits for the scale and zero
point of its 8 bits, since bounds and residuals that come before the rounding change what is written.
"""

from __future__ import annotations

import abc
import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any, Self

import numpy as np

from mbench.networks import integer_forms as forms
from mbench.networks import operations, quantization
from mbench.networks.graph import Graph, Node, TensorType, free_name, needed
from mbench.networks.quantization import Quantization

_UNBOUNDED = (-math.inf, math.inf)
_SHORT = 32_000
"""A magnitude that 16 bits hold, with room for the roundings of float32."""


@dataclasses.dataclass(frozen=True)
class Held:
    """A value of 8 bits: its name, and what its numbers stand for."""

    name: str
    known: Quantization


def _ratio(held: Held, result: Quantization) -> float:
    """Return what a value of 8 bits is multiplied by to have the scale of a result, the exact value of a float32."""
    return float(quantization.multiplier(held.known.scale, result.scale))


class IntegerWriter:
    """Collects the nodes and parameters of a network on whole numbers."""

    def __init__(self, graph: Graph, parameters: Mapping[str, np.ndarray]) -> None:
        self._before, self.parameters = graph, dict(parameters)
        self._nodes: dict[str, Node] = {}
        self._dequantized: dict[Held, str] = {}
        self._rescaled: dict[tuple[Held, Quantization], str] = {}
        self._taken = {*graph.inputs, *graph.parameters}

    def add(self, node: Node) -> str:
        """Add a node; return its name, which is another where one has it already. Its shape and type follow."""
        name = self._fresh(node.name)
        read = [self._type(each) for each in node.inputs]
        op = operations.of(node.op)
        shape = op.shape(tuple(each.shape for each in read), node.attributes)
        dtype = op.dtype(tuple(each.dtype for each in read), node.attributes)
        self._nodes[name] = dataclasses.replace(node, name=name, shape=shape, dtype=dtype)
        return name

    def parameter(self, name: str, value: np.ndarray, *, instead: str = "") -> str:
        """Add a parameter; `instead`: the one that it takes the place and the name of, where that has one reader."""
        alone = instead and len(self._before.users[instead]) == 1
        name = instead if alone else self._fresh(name)
        self.parameters[name] = value
        return name

    def shape(self, name: str) -> tuple[int, ...]:
        """Return the shape of a value that was written."""
        return self._type(name).shape

    def _type(self, name: str) -> TensorType:
        if name in self._nodes:
            return TensorType(shape=self._nodes[name].shape, dtype=self._nodes[name].dtype)
        if name in self._before.inputs:
            return self._before.inputs[name]
        return TensorType.of(self.parameters[name])

    def _fresh(self, name: str) -> str:
        found = free_name(name, self._taken)
        self._taken.add(found)
        return found

    def taken_over(self, name: str, as_float: Callable[[str], str]) -> str:
        """Return the name of an operand that is no number of the network's, such as places."""
        return name if name in self.parameters else as_float(name)

    def dequantized(self, held: Held, node: Node | None) -> str:
        """Return the name of an 8-bit value as floats."""
        if held not in self._dequantized:
            known = {"scale": held.known.scale, "zero_point": held.known.zero_point}
            base = node or self._nodes[held.name]
            name = base.name if base.op == "dequantize" else f"{base.name}.dequantize"
            self._dequantized[held] = self.add(
                dataclasses.replace(base, name=name, op="dequantize", inputs=(held.name,), attributes=known)
            )
        return self._dequantized[held]

    def rescaled(self, held: Held, known: Quantization, node: Node) -> str:
        """Return the name of an 8-bit value with another scale and zero point: itself, or by a table."""
        if held.known == known:
            return held.name
        if (held, known) not in self._rescaled:
            self._rescaled[held, known] = self.looked_up(held, (), known, node, f"{held.name}.rescale")
        return self._rescaled[held, known]

    def looked_up(self, held: Held, steps: tuple[Node, ...], known: Quantization, node: Node, name: str) -> str:
        """Write functions of one number as a table."""
        table = self.parameter(f"{name}.table", forms.table(held.known, steps, known))
        attributes = {**known.attributes, "steps": tuple(map(forms.step, steps))}
        made = dataclasses.replace(node, name=name, op="lookup", inputs=(held.name, table), attributes=attributes)
        return self.add(made)

    def graph(self, outputs: tuple[str, ...]) -> tuple[Graph, dict[str, np.ndarray]]:
        """Return what was written and an output needs."""
        types = {name: TensorType.of(array) for name, array in self.parameters.items()}
        found = needed(self._before.inputs, types, tuple(self._nodes.values()), outputs)
        return found, {name: self.parameters[name] for name in found.parameters}


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Pending(abc.ABC):
    """A value that is known and not rounded to 8 bits yet."""

    node: Node
    """The first node of it on floats, whose names it has."""

    @abc.abstractmethod
    def rounded(self, writer: IntegerWriter, known: Quantization) -> str:
        """Write the nodes that give it in 8 bits; return its name."""


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class _Bounded(Pending):
    """One that may be clamped before it is rounded."""

    bounds: tuple[float, float] = _UNBOUNDED
    last: str = ""
    """The name of the last node of it on floats, where that is not the first."""

    @property
    def is_bounded(self) -> bool:
        """Whether it is clamped."""
        return self.bounds != _UNBOUNDED

    def clamped(self, node: Node) -> Self:
        """Return it clamped by a node."""
        return dataclasses.replace(self, bounds=forms.narrowed(self.bounds, node), last=node.name)

    def result(self, known: Quantization) -> dict[str, Any]:
        """Return the attributes of the node that rounds it."""
        low, high = map(known.whole, self.bounds)
        return {**known.attributes, "low": low, "high": high}


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Summed(_Bounded):
    """Sums in int32."""

    sums: str
    unit: np.ndarray
    """What 1 of the sums stands for, float32, which broadcasts to them."""
    parts: np.ndarray = dataclasses.field(default_factory=lambda: np.ones(1, np.float32))
    """How many numbers a mean divides the sums by, float32, which broadcasts to them."""
    residual: Held | None = None
    largest: np.ndarray | None = None
    """The largest magnitude that the sums may have, whatever is read, float64, which broadcasts to them; None: any."""
    shifted: bool = False
    """Whether the zero point of the result is added before the rounding, as ONNX Runtime does for some operations."""

    @property
    def is_plain(self) -> bool:
        """Whether it is the sums and nothing more."""
        return self.residual is None and not self.is_bounded

    def plus(self, residual: Held, node: Node) -> Summed:
        """Return it with a residual added by a node."""
        return dataclasses.replace(self, residual=residual, last=node.name)

    def rounded(self, writer: IntegerWriter, known: Quantization) -> str:
        """Write a `requantize`."""
        name = self.last or f"{self.node.name}.requantize"
        numbers = quantization.multiplier(self.unit, known.scale, self.parts)
        read, attributes = [self.sums, writer.parameter(f"{self.node.name}.multiplier", numbers)], self.result(known)
        if self.shifted and self.residual is None:
            attributes["shifted"] = True
        elif self._is_short(numbers, known):
            attributes["short"] = True
        if self.residual is not None:
            read.append(self.residual.name)
            attributes["residual_multiplier"] = _ratio(self.residual, known)
            attributes["residual_zero_point"] = self.residual.known.zero_point
        made = dataclasses.replace(self.node, name=name, op="requantize", inputs=tuple(read), attributes=attributes)
        return writer.add(made)

    def _is_short(self, multiplier: np.ndarray, known: Quantization) -> bool:
        """Return whether all results are whole numbers of 16 bits before they are brought within their limits."""
        if self.largest is None:
            return False
        with np.errstate(over="ignore"):
            most = float((multiplier.astype(np.float64) * self.largest).max(initial=0.0))
        if self.residual is not None:
            most += abs(_ratio(self.residual, known)) * self.residual.known.reach
        return most <= _SHORT

    def as_float(self, writer: IntegerWriter) -> str:
        """Write the sums as floats, which are not rounded to 8 bits."""
        scale = writer.parameter(f"{self.node.name}.scale", quantization.multiplier(self.unit, 1.0, self.parts))
        name = f"{self.node.name}.dequantize"
        return writer.add(
            dataclasses.replace(self.node, name=name, op="dequantize", inputs=(self.sums, scale), attributes={})
        )


def weighted(
    writer: IntegerWriter,
    node: Node,
    x: Held,
    weight: np.ndarray,
    bias: np.ndarray | None,
    unit: np.ndarray,
    largest: np.ndarray,
    weight_zero_point: int = 0,
) -> Summed:
    """Write the sums of a convolution or a fully connected layer.

    Args:
        writer: what writes.
        node: on floats.
        x: what it reads.
        weight: whole numbers, as the node has them.
        bias: in units of the sums, (O).
        unit: what 1 of the sums stands for, (O) float32.
        largest: the largest magnitude that the sums may have, whatever is read, (O).
        weight_zero_point: the weight that stands for 0.
    """
    weight_name, *bias_name = node.inputs[1:]
    read = [x.name, writer.parameter(f"{node.name}.weight", weight.astype(quantization.WEIGHTS), instead=weight_name)]
    if bias is not None:
        whole = bias.astype(quantization.SUMS)
        read.append(writer.parameter(f"{node.name}.bias", whole, instead=bias_name[0]))
    attributes = {**node.attributes, "zero_point": x.known.zero_point}
    if weight_zero_point:
        attributes["other_zero_point"] = weight_zero_point
    heaviest = int(np.abs(weight.astype(np.int16)).max(initial=0))
    reach = next(
        (limit for limit in (quantization.NARROW_WEIGHT, quantization.LARGEST_WEIGHT) if heaviest <= limit), None
    )
    if reach is not None:
        attributes["largest_weight"] = reach
    sums = writer.add(dataclasses.replace(node, inputs=tuple(read), attributes=attributes))
    rank = len(node.shape)
    shape = (-1,) if node.op == "linear" else (1, -1, *(1,) * (rank - 2))
    return Summed(node=node, sums=sums, unit=unit.reshape(shape), largest=largest.reshape(shape))


def multiplied(writer: IntegerWriter, node: Node, x: Held, y: Held) -> Summed:
    """Write the multiplications of two values, element by element or as matrices."""
    op = "quantized_multiply" if node.op == "multiply" else node.op
    attributes = {"zero_point": x.known.zero_point, "other_zero_point": y.known.zero_point}
    sums = writer.add(dataclasses.replace(node, op=op, inputs=(x.name, y.name), attributes=attributes))
    unit = quantization.sum_scale(x.known.scale, y.known.scale).reshape((1,) * len(node.shape))
    return Summed(node=node, sums=sums, unit=unit, shifted=node.op == "multiply")


def pooled(writer: IntegerWriter, node: Node, x: Held) -> Summed:
    """Write the sums of a mean pool, whose windows may differ in size at the edges."""
    attributes = {**node.attributes, "zero_point": x.known.zero_point}
    image, unit = writer.shape(x.name), np.full((1, 1, 1, 1), x.known.scale, np.float32)
    if node.op == "global_avg_pool":
        sums = writer.add(dataclasses.replace(node, op="global_sum_pool", inputs=(x.name,), attributes=attributes))
        return Summed(node=node, sums=sums, unit=unit, parts=np.full((1, 1, 1, 1), math.prod(image[2:]), np.float32))
    sums = writer.add(dataclasses.replace(node, op="sum_pool2d", inputs=(x.name,), attributes=attributes))
    return Summed(node=node, sums=sums, unit=unit, parts=_parts(node, image), shifted=True)


def _parts(node: Node, image: tuple[int, ...]) -> np.ndarray:
    """Return what each window of a mean pool divides its sum by: (1, 1, H, W) float32, or (1, 1, 1, 1) for all.

    A window of nothing but padding divides by 1.
    """
    import torch  # not above: graphs are read without it

    from mbench.networks import torch_operations

    ones = torch.ones((1, 1, *image[2:]), dtype=torch.float64)
    mean = torch_operations.OPERATIONS["avg_pool2d"](node, ones).numpy()
    whole = dataclasses.replace(node, attributes={**node.attributes, "zero_point": 0})
    count = torch_operations.OPERATIONS["sum_pool2d"](whole, ones).numpy()
    found = np.where(count > 0, np.rint(count / np.where(mean > 0, mean, 1.0)), 1.0).astype(np.float32)
    return found[..., :1, :1] if np.ptp(found) == 0 else found


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Total(_Bounded):
    """The sum of two values of 8 bits, or their difference."""

    x: Held
    y: Held
    sign: float = 1.0

    def rounded(self, writer: IntegerWriter, known: Quantization) -> str:
        """Write a `quantized_add`."""
        attributes = {
            **self.result(known),
            "multipliers": (_ratio(self.x, known), self.sign * _ratio(self.y, known)),
            "zero_points": (self.x.known.zero_point, self.y.known.zero_point),
        }
        made = dataclasses.replace(
            self.node, op="quantized_add", inputs=(self.x.name, self.y.name), attributes=attributes
        )
        return writer.add(made)


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Affine(_Bounded):
    """A value of 8 bits times constants, plus constants."""

    x: Held
    factor: np.ndarray = dataclasses.field(default_factory=lambda: np.ones(1))
    offset: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(1))

    def then(self, node: Node, number: np.ndarray) -> Affine:
        """Return it as a node changes it: `multiply`, `add` or `subtract`, by constants."""
        if node.op == "multiply":
            return dataclasses.replace(self, factor=self.factor * number, offset=self.offset * number, last=node.name)
        more = number if node.op == "add" else -number
        return dataclasses.replace(self, offset=self.offset + more, last=node.name)

    def rounded(self, writer: IntegerWriter, known: Quantization) -> str:
        """Write a `quantized_affine`."""
        multiplier = (self.factor * self.x.known.scale / known.scale).astype(np.float32)
        offset = self.offset / known.scale - multiplier.astype(np.float64) * self.x.known.zero_point
        read = (
            self.x.name,
            writer.parameter(f"{self.node.name}.multiplier", multiplier),
            writer.parameter(f"{self.node.name}.offset", offset.astype(np.float32)),
        )
        made = dataclasses.replace(self.node, op="quantized_affine", inputs=read, attributes=self.result(known))
        return writer.add(made)


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Looked(Pending):
    """Functions of one number, one after the other, of a value of 8 bits."""

    x: Held
    steps: tuple[Node, ...]

    def rounded(self, writer: IntegerWriter, known: Quantization) -> str:
        """Write a `lookup`."""
        return writer.looked_up(self.x, self.steps, known, self.node, self.node.name)


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Joined(Pending):
    """What puts values beside each other, or a number around one: all have to be of one scale."""

    parts: tuple[Held, ...]

    def rounded(self, writer: IntegerWriter, known: Quantization) -> str:
        """Write a `concat` or a `pad` of what is rescaled where it has to be."""
        read = tuple(writer.rescaled(each, known, self.node) for each in self.parts)
        attributes = dict(self.node.attributes)
        if self.node.op == "pad" and self.node.attributes["mode"] == "constant":
            attributes["value"] = known.whole(float(self.node.attributes.get("value", 0.0)))
        return writer.add(dataclasses.replace(self.node, inputs=read, attributes=attributes))
