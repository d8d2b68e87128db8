"""Graph → Relax: one function a kernel, written as one computation, so that which layers it computes is known.

The weights are parameters until `bind` puts them in: neither torch nor any of its arrays is needed to lower a network.
Nothing is scheduled or built here.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import tvm
from tvm import relax, te, tirx

from mbench.compile import computations, elements, fused_kernel
from mbench.core import dtypes, units
from mbench.core.errors import BuildError
from mbench.networks import kernels, layers, layout, operations
from mbench.networks.graph import Graph, Node
from mbench.networks.kernels import Group


@dataclasses.dataclass(frozen=True, kw_only=True)
class KernelCall:
    """One call of a compiled function, in order of execution. `layer` is the layer's name."""

    kernel: str
    layer: str
    anchor: bool
    """Whether it sums something up, and is not element-wise alone."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Lowered:
    """A network as Relax: `module` takes the inputs, then the parameters as `bind` lays them out."""

    module: tvm.IRModule
    calls: tuple[KernelCall, ...]
    permutations: Mapping[str, Callable[[np.ndarray], np.ndarray]]
    """How each parameter of the graph is laid out for the kernel that reads it."""


def lower(graph: Graph, groups: Sequence[Group] | None = None) -> Lowered:
    """Lower a folded graph, one kernel for each of the groups (by default those of `kernels.groups`).

    Inputs and outputs lie as people have them, images (N, C, H, W). What passes from kernel to kernel, and the weights,
    have the graph's dtype; sums, biases and what follows them in a kernel have the type that it is summed in.

    Raises:
        BuildError: an operation cannot be compiled.
    """
    return _Lowering(graph, groups).run()


def bind(lowered: Lowered, parameters: Mapping[str, np.ndarray]) -> tvm.IRModule:
    """Return a lowered network with its weights in the place of its parameters.

    Raises:
        BuildError: they are not the weights of this network.
    """
    count = len(lowered.module["main"].params) - len(lowered.permutations)
    wanted = lowered.module["main"].params[count:]
    unknown = sorted(parameters.keys() ^ lowered.permutations.keys())
    if unknown:
        whose = "its weights have nothing" if unknown[0] in lowered.permutations else "the network has nothing"
        raise BuildError(f"{whose} for {unknown[0]!r}")
    given = {}
    for variable in wanted:
        shape, dtype = tuple(map(int, variable.ty.shape)), str(variable.ty.dtype)
        value = parameters[variable.name]
        if math.prod(shape) != value.size:
            raise BuildError(
                f"the network has {units.shape(shape)} {dtype} for {variable.name!r}, its weights "
                f"{units.shape(value.shape)} {value.dtype}"
            )
        laid_out = lowered.permutations[variable.name](value)
        given[variable.name] = np.ascontiguousarray(laid_out.reshape(shape), dtype)
    return relax.transform.BindParams("main", given)(lowered.module)


def kernel_calls(module: tvm.IRModule) -> list[tuple[str, tirx.PrimFunc]]:
    """Return the (name, PrimFunc) that `main` calls, in order of execution."""
    call_tir = tvm.ir.Op.get("relax.call_tir")
    values = [binding.value for block in module["main"].body.blocks for binding in block.bindings]
    called = [value.args[0] for value in values if getattr(value, "op", None) == call_tir]
    return [(str(var.name_hint), module[var]) for var in called]


class _Lowering:
    """Lowers one graph."""

    def __init__(self, graph: Graph, groups: Sequence[Group] | None) -> None:
        self._graph = graph
        self._last = layout.channels_last(graph)
        self._groups = kernels.groups(graph, self._last) if groups is None else groups
        self._values: dict[str, Any] = {}
        self._permutations: dict[str, Callable[[np.ndarray], np.ndarray]] = {}
        self._lies: dict[str, tuple[tuple[int, ...], bool]] = {}
        self._calls: list[KernelCall] = []

    def run(self) -> Lowered:
        graph, values = self._graph, self._values
        found = self._groups
        for name, given in graph.inputs.items():
            values[name] = relax.Var(name, relax.TensorType(given.shape, given.dtype))
        for group in found:
            self._declare_parameters(group)
        self._builder = relax.BlockBuilder()
        parameters = [values[name] for name in (*graph.inputs, *self._permutations)]
        with self._builder.function("main", parameters):
            with self._builder.dataflow():
                for group in found:
                    self._emit(group)
                outputs = [self._builder.emit_output(self._as_given(name)) for name in graph.outputs]
            self._builder.emit_func_output(outputs[0] if len(outputs) == 1 else relax.Tuple(outputs))
        return Lowered(module=self._builder.get(), calls=tuple(self._calls), permutations=self._permutations)

    def _declare_parameters(self, group: Group) -> None:
        for node in (*group.nodes, *group.views):
            for place, name in enumerate(node.inputs):
                is_weight = node.op in ("conv2d", "linear") and place == 1
                if name not in self._graph.parameters:
                    if is_weight:
                        raise BuildError(f"layer {node.name!r}: its weights are computed; expected constant ones")
                    continue
                last = node.name in self._last
                shape, permuted = _laid_out(self._graph, node, place, last=last)
                lies = (shape, last and operations.is_elementwise(node.op) and math.prod(shape) > 1)
                if self._lies.setdefault(name, lies) != lies:
                    raise BuildError(
                        f"layer {node.name!r}: parameter {name!r} is read in two layouts; give it a copy of its own"
                    )
                if name in self._values:
                    continue
                own = self._graph.parameters[name].dtype
                dtype = own if is_weight else dtypes.of(own).accumulator
                self._values[name] = relax.Var(name, relax.TensorType(shape, dtype))
                self._permutations[name] = permuted

    def _emit(self, group: Group) -> None:
        if group.stages:
            value = self._emit_fused(group)
        elif group.nodes:
            arguments = [self._values[name] for name in group.reads]

            def kernel(*tensors: te.Tensor) -> te.Tensor:
                given = dict(zip(group.reads, tensors, strict=True))
                return _KernelWriter(self._graph, self._last, given).kernel(group)

            value = self._builder.emit_te(kernel, *arguments, primfunc_name_hint=_hint(self._graph, group))
            called = str(self._builder.lookup_binding(value).args[0].name_hint)
            is_anchor = not operations.is_elementwise(group.anchor.op)
            self._calls.append(KernelCall(kernel=called, layer=group.name, anchor=is_anchor))
        else:
            value = self._values[group.views[0].inputs[0]]
        if group.views:
            shape = layout.lying(group.output.shape, last=group.output.name in self._last)
            value = self._builder.emit(relax.op.reshape(value, shape))
        self._values[group.output.name] = value

    def _emit_fused(self, group: Group) -> Any:
        """Emit a kernel that carries those which it is made of, so that a rule can read off each what it computes."""
        whole = self._function(group)
        reads = {name: place for place, name in enumerate(group.reads)}
        stages = [
            fused_kernel.stage(self._function(each), [reads.get(name) for name in each.reads]) for each in group.stages
        ]
        called = self._builder.add_func(fused_kernel.with_stages(whole, stages), _hint(self._graph, group))
        self._calls.append(KernelCall(kernel=str(called.name_hint), layer=group.name, anchor=True))
        shape = layout.lying(group.nodes[-1].shape, last=group.nodes[-1].name in self._last)
        arguments = [self._values[name] for name in group.reads]
        return self._builder.emit(relax.call_tir(called, arguments, relax.TensorType(shape, group.nodes[-1].dtype)))

    def _function(self, group: Group) -> tirx.PrimFunc:
        """Return what a group computes as a function of what it reads."""
        types = {name: self._type(name) for name in group.reads}
        tensors = {name: te.placeholder(*types[name], f"p{place}") for place, name in enumerate(types)}
        made = dict(tensors)
        for each in group.stages or (group,):
            made[each.nodes[-1].name] = _KernelWriter(self._graph, self._last, made).kernel(each)
        return te.create_prim_func([*tensors.values(), made[group.nodes[-1].name]])

    def _type(self, name: str) -> tuple[tuple[int, ...], str]:
        if name in self._values:
            known = self._values[name].ty
            return tuple(map(int, known.shape)), str(known.dtype)
        node = self._graph.by_name[name]
        return layout.lying(node.shape, last=name in self._last), node.dtype

    def _as_given(self, name: str) -> Any:
        """Return an output as people have it."""
        if name not in self._graph.by_name:
            raise BuildError(f"the network's output {name!r} is computed by nothing; expected a layer's")
        if name not in self._last:
            return self._values[name]
        raise BuildError(f"the network's output {name!r} is an image; expected one that is pooled or flattened")


def _hint(graph: Graph, group: Group) -> str:
    """Return a name for a kernel: what it computes, in order."""
    if group.fused_name:
        return f"fused_{'_'.join(each.anchor.role for each in group.stages)}"
    depthwise = "depthwise_conv2d"
    words = [depthwise if layers.kind(graph, node) == depthwise else node.op for node in group.nodes]
    return "_".join(["fused", *words] if len(words) > 1 else words)


def _laid_out(
    graph: Graph, node: Node, place: int, *, last: bool
) -> tuple[tuple[int, ...], Callable[[np.ndarray], np.ndarray]]:
    """Return the shape in which a kernel reads a parameter, and how it is made of the graph's own."""
    shape = graph.shape(node.inputs[place])
    if node.op == "conv2d" and place == 1:
        outputs, inputs, height, width = shape
        return (height, width, inputs, outputs), lambda value: value.transpose(2, 3, 1, 0)
    if node.op == "linear" and place == 1:
        return (shape[1], shape[0]), lambda value: value.transpose(1, 0)
    if node.op == "conv2d":
        return (1, 1, 1, *shape), lambda value: value
    if math.prod(shape) == 1 and operations.is_elementwise(node.op):
        return (1,), lambda value: value.reshape(1)
    if last and operations.is_elementwise(node.op):
        whole = (1,) * (layout.IMAGE_RANK - len(shape)) + shape
        return layout.lying(whole, last=True), lambda value: value.reshape(whole).transpose(0, 2, 3, 1)
    return shape, lambda value: value


class _KernelWriter:
    """Writes one kernel: its anchor, the bias, then all that follows as one block."""

    def __init__(self, graph: Graph, last: frozenset[str], tensors: Mapping[str, te.Tensor]) -> None:
        self._graph, self._last, self._tensors = graph, last, tensors

    def kernel(self, group: Group) -> te.Tensor:
        anchor, *rest = group.nodes
        sums = dtypes.of(anchor.dtype).accumulator
        if operations.is_elementwise(anchor.op):
            return self._chain(group, None, group.nodes)
        total = self._anchor(anchor)
        if anchor.op in ("conv2d", "linear") and len(anchor.inputs) > 2:
            total = computations.added(total, self._tensors[anchor.inputs[2]])
        if rest or (str(total.dtype) == sums and sums != anchor.dtype):
            return self._chain(group, total, rest)
        return total

    def _anchor(self, node: Node) -> te.Tensor:
        read = [self._tensors[name] for name in node.inputs]
        known = node.attributes
        first = len(read[0].shape) == layout.IMAGE_RANK and node.inputs[0] not in self._last
        if node.op == "conv2d":
            steps = {key: known[key] for key in ("strides", "padding", "dilation", "groups")}
            return computations.convolution(read[0], read[1], **steps, channels_first=first)
        if node.op in ("linear", "matmul", "softmax", "layer_norm"):
            return self._along_axes(node, [self._lying_as(name, last=False) for name in node.inputs])
        if node.op == "global_avg_pool":
            return computations.global_average(read[0], channels_first=first)
        if node.op in ("max_pool2d", "avg_pool2d"):
            return computations.pooling(read[0], node.op[:3], known, node.shape[2:], channels_first=first)
        if node.op in ("reshape", "permute", "slice", "concat"):
            return self._moved(node, read)
        raise BuildError(f"layer {node.name!r}: operation {node.op!r} cannot be compiled")

    def _along_axes(self, node: Node, read: list[te.Tensor]) -> te.Tensor:
        """Write what works on axes as people have them; what it reads and gives lies so."""
        if node.op == "softmax":
            return computations.softmax(read[0], node.attributes["axis"] % len(node.shape))
        if node.op == "layer_norm":
            x, weight, bias = read
            axes = [axis % len(node.shape) for axis in node.attributes["axes"]]
            return computations.layer_norm(x, weight, bias, axes, node.attributes["epsilon"])
        return (computations.linear if node.op == "linear" else computations.product)(read[0], read[1])

    def _moved(self, node: Node, read: list[te.Tensor]) -> te.Tensor:
        known, last = node.attributes, node.name in self._last
        if node.op in ("concat", "slice"):
            read = [self._lying_as(name, last=last) for name in node.inputs]
        if node.op == "concat":
            return computations.concatenated(read, self._axis(node.name, known["axis"]))
        if node.op == "slice":
            return computations.part(read[0], self._axis(node.name, known["axis"]), known["begin"], known["end"])
        source_last = node.inputs[0] in self._last
        if node.op == "reshape":
            return computations.reshaped(read[0], node.shape, from_last=source_last, to_last=last)
        return computations.permuted(read[0], known["axes"], from_last=source_last, to_last=last)

    def _lying_as(self, name: str, *, last: bool) -> te.Tensor:
        """Return a value channels last, or as people have it."""
        tensor, lies = self._tensors[name], name in self._last
        same = lies == last or len(tensor.shape) != layout.IMAGE_RANK
        return tensor if same else computations.permuted(tensor, range(layout.IMAGE_RANK), from_last=lies, to_last=last)

    def _axis(self, name: str, axis: int) -> int:
        axis %= len(self._graph.shape(name))
        return {0: 0, 1: 3, 2: 1, 3: 2}[axis] if name in self._last else axis

    def _chain(self, group: Group, total: te.Tensor | None, nodes: tuple[Node, ...] | list[Node]) -> te.Tensor:
        """Return one computation of all element-wise nodes."""
        end = group.nodes[-1]
        last = end.name in self._last
        sums = dtypes.of(end.dtype).accumulator

        def value(*at: Any) -> Any:
            values = {} if total is None else {group.nodes[0].name: total(*at).astype(sums)}

            def read(name: str) -> Any:
                if name in values:
                    return values[name]
                first = last and name not in self._last and name not in self._graph.parameters
                return computations.broadcast(self._tensors[name], at, channels_first=first).astype(sums)

            for node in nodes:
                operands = [read(name) for name in node.inputs]
                values[node.name] = elements.EXPRESSIONS[node.op](node.attributes, operands, sums)
            result = values[end.name]
            return result if sums == end.dtype else result.astype(end.dtype)

        return computations.chain(layout.lying(end.shape, last=last), value)
