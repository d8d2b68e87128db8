"""Writing a graph, node by node: shapes follow, names and parameters are given once."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from mbench.core import dtypes
from mbench.networks import operations
from mbench.networks.graph import Graph, GraphError, Node, TensorType

BATCH_NORM = ("weight", "bias", "mean", "variance")
"""The parameters of a BatchNorm, each one number a channel."""


class GraphBuilder:
    """Collects nodes; each method adds one and returns the name of its value.

    All that is added inside `with builder.block(name)` belongs to that block, and its names begin with it.
    """

    def __init__(self, *, dtype: str = dtypes.DEFAULT) -> None:
        self._dtype = dtype
        self._inputs: dict[str, TensorType] = {}
        self._parameters: dict[str, TensorType] = {}
        self._nodes: list[Node] = []
        self._types: dict[str, TensorType] = {}
        self._block: str | None = None
        self._prefix = ""

    @contextlib.contextmanager
    def block(self, name: str, *, prefix: str | None = None) -> Iterator[None]:
        """Let what is added belong to a block. `prefix` is what names begin with, `NAME.` if it is not given."""
        before = self._block, self._prefix
        self._block, self._prefix = name, f"{name}." if prefix is None else prefix
        try:
            yield
        finally:
            self._block, self._prefix = before

    def shape(self, value: str) -> tuple[int, ...]:
        """Return the shape of a value."""
        return self._types[value].shape

    def input(self, name: str, shape: tuple[int, ...], *, dtype: str | None = None) -> str:
        """Add an input of the network; it has the network's type if none is given.

        Raises:
            GraphError: a value of this name is there already.
        """
        return self._given(self._inputs, name, shape, dtype)

    def parameter(self, name: str, shape: tuple[int, ...], *, dtype: str | None = None) -> str:
        """Add a parameter, by its whole name; it has the network's type if none is given.

        Raises:
            GraphError: a value of this name is there already.
        """
        return self._given(self._parameters, name, shape, dtype)

    def _given(self, known: dict[str, TensorType], name: str, shape: tuple[int, ...], dtype: str | None) -> str:
        if name in self._types:
            raise GraphError(f"the name {name!r} is there twice")
        known[name] = self._types[name] = TensorType(shape=shape, dtype=dtype or self._dtype)
        return name

    def add(self, op: str, name: str, *inputs: str, role: str = "other", **attributes: Any) -> str:
        """Add a node.

        Raises:
            GraphError: the operation is not known or takes no such shapes, or a value of this name is there already.
        """
        name = f"{self._prefix}{name}"
        if name in self._types:
            raise GraphError(f"the name {name!r} is there twice")
        known, read = operations.of(op), [self._types[each] for each in inputs]
        given = TensorType(
            shape=known.shape(tuple(each.shape for each in read), attributes),
            dtype=known.dtype(tuple(each.dtype for each in read), attributes),
        )
        self._nodes.append(
            Node(
                name=name, op=op, inputs=inputs, shape=given.shape, dtype=given.dtype, attributes=attributes,
                block=self._block, role=role,
            )
        )  # fmt: skip
        self._types[name] = given
        return name

    def convolution(
        self,
        name: str,
        x: str,
        channels: int,
        *,
        kernel: int | tuple[int, int] = 1,
        stride: int | tuple[int, int] = 1,
        padding: tuple[int, int, int, int] | None = None,
        dilation: int = 1,
        groups: int = 1,
        role: str = "other",
        norm: float | None = 1e-5,
        bias: bool = False,
        activation: str | None = None,
    ) -> str:
        """Add a convolution, the BatchNorm after it, and an activation.

        Args:
            name: of the convolution; the others are `NAME.norm` and `NAME.ACTIVATION`.
            x: what it reads, (N, C, H, W).
            channels: of its output.
            kernel: its height and width.
            stride: down and right.
            padding: top, left, bottom, right; half of the kernel on each side if it is not given.
            dilation: how far the taps of the kernel lie apart.
            groups: of channels that are summed apart.
            role: of all of them in their block.
            norm: epsilon of the BatchNorm; None for none.
            bias: whether it has a bias.
            activation: an operation that takes one value.
        """
        down, across = (kernel, kernel) if isinstance(kernel, int) else kernel
        steps = (stride, stride) if isinstance(stride, int) else stride
        sides = tuple((side - 1) * dilation // 2 for side in (down, across))
        whole = f"{self._prefix}{name}"
        weight = self.parameter(f"{whole}.weight", (channels, self._types[x].shape[1] // groups, down, across))
        added = [self.parameter(f"{whole}.bias", (channels,))] if bias else []
        value = self.add(
            "conv2d", name, x, weight, *added, role=role, strides=steps, padding=padding or (*sides, *sides),
            dilation=(dilation, dilation), groups=groups,
        )  # fmt: skip
        if norm is not None:
            value = self.batch_norm(f"{name}.norm", value, role=role, epsilon=norm)
        return value if activation is None else self.add(activation, f"{name}.{activation}", value, role=role)

    def batch_norm(self, name: str, x: str, *, role: str = "other", epsilon: float = 1e-5) -> str:
        """Add a BatchNorm as inference has it: by statistics that are parameters."""
        channels = (self._types[x].shape[1],)
        given = [self.parameter(f"{self._prefix}{name}.{part}", channels) for part in BATCH_NORM]
        return self.add("batch_norm", name, x, *given, role=role, epsilon=epsilon)

    def channel_scale(self, name: str, x: str, *, role: str = "other") -> str:
        """Add the product with a parameter, one number a channel."""
        factor = self.parameter(f"{self._prefix}{name}.weight", (1, self._types[x].shape[1], 1, 1))
        return self.add("multiply", name, x, factor, role=role)

    def linear(self, name: str, x: str, outputs: int, *, role: str = "classifier", bias: bool = True) -> str:
        """Add a fully connected layer over the last axis of `x`."""
        whole = f"{self._prefix}{name}"
        given = [self.parameter(f"{whole}.weight", (outputs, self._types[x].shape[-1]))]
        given += [self.parameter(f"{whole}.bias", (outputs,))] if bias else []
        return self.add("linear", name, x, *given, role=role)

    def graph(self, *outputs: str) -> Graph:
        """Return what was written.

        Raises:
            GraphError: a name is there twice.
        """
        return Graph(inputs=self._inputs, parameters=self._parameters, nodes=tuple(self._nodes), outputs=outputs)
