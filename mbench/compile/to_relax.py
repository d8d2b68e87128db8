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

from mbench.compile import fused_kernel, kernel_writer
from mbench.compile.axis_computations import Laid
from mbench.compile.kernel_writer import KernelWriter
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
class Parameter:
    """A parameter of the graph, by its name, and how it is laid out for the kernels that read it.

    `beside`: others of the graph that it is made of as well; `laid_out` is given their numbers after its own.
    """

    name: str
    laid_out: Callable[..., np.ndarray]
    beside: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Lowered:
    """A network as Relax: `module` takes the inputs, then the parameters as `bind` lays them out."""

    module: tvm.IRModule
    calls: tuple[KernelCall, ...]
    parameters: Mapping[str, Parameter]
    """What each parameter of the module is made of; one of the graph that is read in two layouts is there twice."""


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
    names = {each.name for each in lowered.parameters.values()}
    unknown = sorted(parameters.keys() ^ names)
    if unknown:
        whose = "its weights have nothing" if unknown[0] in names else "the network has nothing"
        raise BuildError(f"{whose} for {unknown[0]!r}")
    count = len(lowered.module["main"].params) - len(lowered.parameters)
    given = {}
    for variable in lowered.module["main"].params[count:]:
        shape, dtype = tuple(map(int, variable.ty.shape)), str(variable.ty.dtype)
        parameter = lowered.parameters[str(variable.name)]
        value = parameters[parameter.name]
        if math.prod(shape) != value.size:
            raise BuildError(
                f"the network has {units.shape(shape)} {dtype} for {parameter.name!r}, its weights "
                f"{units.shape(value.shape)} {value.dtype}"
            )
        laid_out = parameter.laid_out(value, *(parameters[name] for name in parameter.beside))
        given[variable.name] = np.asarray(laid_out.reshape(shape), dtype, order="C")
    return relax.transform.BindParams("main", given)(lowered.module)


def kernel_calls(module: tvm.IRModule) -> list[tuple[str, tirx.PrimFunc]]:
    """Return the (name, PrimFunc) that `main` calls, in order of execution."""
    call_tir = tvm.ir.Op.get("relax.call_tir")
    values = [binding.value for block in module["main"].body.blocks for binding in block.bindings]
    called = [value.args[0] for value in values if getattr(value, "op", None) == call_tir]
    return [(str(var.name_hint), module[var]) for var in called]


_WEIGHTED = ("conv2d", "conv2d_transpose", "linear")
_BIAS = 2
"""The place of their bias among what they read."""


class _Lowering:
    """Lowers one graph."""

    def __init__(self, graph: Graph, groups: Sequence[Group] | None) -> None:
        self._graph = graph
        self._last = layout.channels_last(graph)
        self._groups = kernels.groups(graph, self._last) if groups is None else groups
        self._values: dict[str, Any] = {}
        self._parameters: dict[str, Parameter] = {}
        self._keys: dict[tuple[str, int], str] = {}
        self._layouts: dict[tuple[str, tuple[str, tuple[int, ...], bool]], str] = {}
        self._lying_last: set[str] = set()
        self._calls: list[KernelCall] = []

    def run(self) -> Lowered:
        graph, values = self._graph, self._values
        found = self._groups
        for name, given in graph.inputs.items():
            values[name] = relax.Var(name, relax.TensorType(given.shape, given.dtype))
        for group in found:
            self._declare_parameters(group)
        self._builder = relax.BlockBuilder()
        parameters = [values[name] for name in (*graph.inputs, *self._parameters)]
        with self._builder.function("main", parameters):
            with self._builder.dataflow():
                for group in found:
                    self._emit(group)
                outputs = [self._builder.emit_output(self._output(name)) for name in graph.outputs]
            self._builder.emit_func_output(outputs[0] if len(outputs) == 1 else relax.Tuple(outputs))
        return Lowered(module=self._builder.get(), calls=tuple(self._calls), parameters=self._parameters)

    def _declare_parameters(self, group: Group) -> None:
        for node in (*group.nodes, *group.views):
            for place, name in enumerate(node.inputs):
                is_weight = node.op in _WEIGHTED and place == 1
                if name not in self._graph.parameters:
                    if is_weight:
                        raise BuildError(f"layer {node.name!r}: its weights are computed; expected constant ones")
                    continue
                self._declare(node, place, is_weight=is_weight)

    def _declare(self, node: Node, place: int, *, is_weight: bool) -> None:
        """Declare a parameter in the layout in which a node reads it; in another, it is there a second time."""
        name, last = node.inputs[place], node.name in self._last
        shape, permuted = _laid_out(self._graph, node, place, last=last)
        broadcasts = operations.is_elementwise(node.op) and not _is_table(node, place)
        lies_last = last and broadcasts and math.prod(shape) > 1
        folds = place == _BIAS and kernel_writer.folds_zero_point(node)  # so that no other node can read the same
        kind = node.name if folds else node.op if is_weight else ""  # equal shapes may be turned in different ways
        lies = (kind, shape, lies_last)
        key = self._layouts.setdefault((name, lies), self._new_key(name))
        self._keys[node.name, place] = key
        if key in self._values:
            return
        own = self._graph.parameters[name].dtype
        dtype = own if is_weight else dtypes.accumulator(own)
        self._values[key] = relax.Var(key, relax.TensorType(shape, dtype))
        if folds:
            self._parameters[key] = Parameter(name=name, laid_out=_with_zero_point(node), beside=(node.inputs[1],))
        else:
            self._parameters[key] = Parameter(name=name, laid_out=permuted)
        if lies_last:
            self._lying_last.add(key)

    def _new_key(self, name: str) -> str:
        """Return a name for a parameter: its own, or where that is taken by it in another layout, one that is free."""
        key = name
        while key in self._values or (key != name and key in self._graph.users):
            key = f"{key}_again"
        return key

    def _key(self, node: Node, place: int) -> str:
        """Return the name of what a node reads: of a value, or of a parameter in the layout that the node has it in."""
        return self._keys.get((node.name, place), node.inputs[place])

    def _reads(self, group: Group) -> tuple[str, ...]:
        """Return what a group reads from outside, each once, in order."""
        nodes = (*group.nodes, *group.views)
        inside = {node.name for node in nodes}
        keys = (self._key(node, place) for node in nodes for place in range(len(node.inputs)))
        return tuple(dict.fromkeys(key for key in keys if key not in inside))

    def _kernel(self, group: Group, tensors: Mapping[str, te.Tensor]) -> te.Tensor:
        """Return what a group computes of tensors by their keys."""

        def read(node: Node, place: int) -> Laid:
            key = self._key(node, place)
            return Laid(tensors[key], key in self._last or key in self._lying_last)

        return KernelWriter(last=self._last, read=read).kernel(group)

    def _emit(self, group: Group) -> None:
        if group.stages:
            value = self._emit_fused(group)
        elif group.nodes:
            reads = self._reads(group)
            arguments = [self._values[key] for key in reads]

            def kernel(*tensors: te.Tensor) -> te.Tensor:
                return self._kernel(group, dict(zip(reads, tensors, strict=True)))

            value = self._builder.emit_te(kernel, *arguments, primfunc_name_hint=_hint(self._graph, group))
            called = str(self._builder.lookup_binding(value).args[0].name_hint)
            is_anchor = not operations.is_elementwise(group.anchor.op)
            self._calls.append(KernelCall(kernel=called, layer=group.name, anchor=is_anchor))
        else:
            value = self._values[self._key(group.views[0], 0)]
        shape = layout.lying(group.output.shape, last=group.output.name in self._last)
        if tuple(map(int, value.ty.shape)) != shape:
            value = self._builder.emit(relax.op.reshape(value, shape))
        self._values[group.output.name] = value

    def _emit_fused(self, group: Group) -> Any:
        """Emit a kernel that carries those which it is made of, so that a rule can read off each what it computes."""
        whole = self._function(group)
        reads = {key: place for place, key in enumerate(self._reads(group))}
        stages = [
            fused_kernel.stage(self._function(each), [reads.get(key) for key in self._reads(each)])
            for each in group.stages
        ]
        called = self._builder.add_func(fused_kernel.with_stages(whole, stages), _hint(self._graph, group))
        self._calls.append(KernelCall(kernel=str(called.name_hint), layer=group.name, anchor=True))
        shape = layout.lying(group.nodes[-1].shape, last=group.nodes[-1].name in self._last)
        arguments = [self._values[key] for key in reads]
        return self._builder.emit(relax.call_tir(called, arguments, relax.TensorType(shape, group.nodes[-1].dtype)))

    def _function(self, group: Group) -> tirx.PrimFunc:
        """Return what a group computes as a function of what it reads."""
        types = {key: self._type(key) for key in self._reads(group)}
        tensors = {key: te.placeholder(*types[key], f"p{place}") for place, key in enumerate(types)}
        made = dict(tensors)
        for each in group.stages or (group,):
            made[each.nodes[-1].name] = self._kernel(each, made)
        return te.create_prim_func([*tensors.values(), made[group.nodes[-1].name]])

    def _type(self, name: str) -> tuple[tuple[int, ...], str]:
        if name in self._values:
            known = self._values[name].ty
            return tuple(map(int, known.shape)), str(known.dtype)
        node = self._graph.by_name[name]
        return layout.lying(node.shape, last=name in self._last), node.dtype

    def _output(self, name: str) -> Any:
        """Return an output, which a kernel makes and which lies as people have it."""
        if name not in self._graph.by_name:
            raise BuildError(f"the network's output {name!r} is computed by nothing; expected a layer's")
        extents = self._graph.shape(name)[1:]
        if name in self._last and extents[0] > 1 and math.prod(extents[1:]) > 1:
            raise BuildError(f"the network's output {name!r} lies channels last; expected one that lies as given")
        value, shape = self._values[name], self._graph.shape(name)
        same = tuple(map(int, value.ty.shape)) == shape
        return value if same else self._builder.emit(relax.op.reshape(value, shape))


def _hint(graph: Graph, group: Group) -> str:
    """Return a name for a kernel: what it computes, in order."""
    if group.fused_name:
        return f"fused_{'_'.join(each.anchor.role for each in group.stages)}"
    depthwise = "depthwise_conv2d"
    words = [depthwise if layers.kind(graph, node) == depthwise else node.op for node in group.nodes]
    return "_".join(["fused", *words] if len(words) > 1 else words)


def _is_table(node: Node, place: int) -> bool:
    return node.op == "lookup" and place == 1


def _with_zero_point(node: Node) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """Return a function of bias and weights: what sums begin with, so that x - z is x, and padding is z."""
    zero, other = (node.attributes.get(name, 0) for name in ("zero_point", "other_zero_point"))

    def start(bias: np.ndarray, weight: np.ndarray) -> np.ndarray:
        sums = (weight.astype(np.int64) - other).reshape(len(weight), -1).sum(1)
        return np.asarray(bias.astype(np.int64) - zero * sums).astype(np.int32)  # modulo 2^32, as sums are

    return start


def _laid_out(
    graph: Graph, node: Node, place: int, *, last: bool
) -> tuple[tuple[int, ...], Callable[[np.ndarray], np.ndarray]]:
    """Return the shape in which a kernel reads a parameter, and how it is made of the graph's own."""
    shape = graph.shape(node.inputs[place])
    if _is_table(node, place):
        return shape, lambda value: value
    if node.op == "conv2d" and place == 1:
        outputs, inputs, height, width = shape
        return (height, width, inputs, outputs), lambda value: value.transpose(2, 3, 1, 0)
    if node.op == "conv2d_transpose" and place == 1:
        groups = node.attributes["groups"]
        inputs, outputs, height, width = shape[0] // groups, shape[1], *shape[2:]
        return (
            (height, width, inputs, groups * outputs),
            lambda value: (
                value.reshape(groups, inputs, outputs, height, width)
                .transpose(3, 4, 1, 0, 2)
                .reshape(height, width, inputs, groups * outputs)
            ),
        )
    if node.op == "linear" and place == 1:
        return (shape[1], shape[0]), lambda value: value.transpose(1, 0)
    if node.op in ("conv2d", "conv2d_transpose") and place == _BIAS:
        return (1, 1, 1, *shape), lambda value: value
    if math.prod(shape) == 1 and operations.is_elementwise(node.op):
        return (1,), lambda value: value.reshape(1)
    if last and operations.is_elementwise(node.op):
        whole = (1,) * (layout.IMAGE_RANK - len(shape)) + shape
        return layout.lying(whole, last=True), lambda value: value.reshape(whole).transpose(0, 2, 3, 1)
    return shape, lambda value: value
