"""Which kernels of a network are fused into one: a pure function of the graph and the machine. Nothing is lowered here.

An inverted residual expands its input, convolves each channel, and projects: the expanded tensor is the largest of the
network, and goes out to memory and comes back twice. Fused, it stays in a core's caches; but where two threads meet,
lines are expanded by both, and all weights are read anew for every few lines. A model of both decides.

What is done element by element to all that a pointwise convolution reads, such as the multiplication of squeeze-excite,
becomes the prologue of its kernel, where the model of the convolution with it predicts less than that of both kernels.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Collection, Sequence

from mbench.compile.kernel_kinds import Matmul
from mbench.compile.machine import KernelMachine
from mbench.compile.schedules.cpu import elementwise, float_sums, matmul, prologue, tiling
from mbench.core import dtypes
from mbench.core.field_types import LONGEST_NAME
from mbench.networks import kernels, layers, operations
from mbench.networks.graph import Graph, Node
from mbench.networks.kernels import Group

_FMA_A_CYCLE = 2
_L2_BYTES_A_CYCLE = 64
_FAR_BYTES_A_CYCLE = 16
"""What the second cache moves to and from a core, and what lies beyond it."""
_START_CYCLES = 4_000
"""To start the threads and to wait for the last."""
_CALL_CYCLES = 1_500
"""To call one more kernel."""


def plan(graph: Graph, machine: KernelMachine) -> tuple[Group, ...]:
    """Return the kernels of a folded graph: those of `kernels.groups`, some of them fused where that is quicker."""
    found = kernels.groups(graph)
    if machine.kind != "cpu":
        return found
    if machine.broadcasts_from_memory:  # measured on x86 alone
        found = _with_blocks(graph, found, machine)
    return _with_prologues(graph, found, machine)


def _with_blocks(graph: Graph, found: tuple[Group, ...], machine: KernelMachine) -> tuple[Group, ...]:
    """Return the kernels with those of an inverted residual fused."""
    readers = {name: group for group in found for name in group.reads}
    fused: dict[Group, Group] = {}
    for group in found:
        if group not in fused:
            chain = _chain(graph, group, readers)
            if len(chain) > 1 and _pays(graph, chain, machine):
                one = kernels.fused(chain, _name(chain, {each.name for each in fused.values()}))
                fused.update(dict.fromkeys(chain, one))
    return tuple(
        fused.get(group, group) for group in found if group not in fused or group is fused[group].stages[-1]
    )  # at the place of its last stage, whose sum may read what comes between


def _chain(graph: Graph, first: Group, readers: dict[str, Group]) -> tuple[Group, ...]:
    """Return the kernels from `first` on that make an inverted residual, or the part of one that can be fused."""
    chain = [first]
    if _is_pointwise(graph, first) and _grows(graph, first):
        following = _next(graph, first, readers)
        if following is None or not _is_depthwise(graph, following) or not _shrinks(graph, following, readers):
            return ()
        chain.append(following)
    elif not _is_depthwise(graph, first):
        return ()
    last = _next(graph, chain[-1], readers)
    if last is not None and _is_pointwise(graph, last) and _projects(graph, last):
        chain.append(last)
    return tuple(chain)


def _name(chain: Sequence[Group], taken: Collection[str]) -> str:
    """Return a name for a fused layer: the block's, if it is the end of that; else those of all that it does."""
    block, names = chain[0].anchor.block, [group.anchor.name for group in chain]
    if block is not None and block not in taken and chain[-1].anchor.attributes["groups"] == 1:
        return block
    joined = "_".join([names[0], *(name.removeprefix(f"{block}.") for name in names[1:])])
    return joined if len(joined) <= LONGEST_NAME else names[0]


def _next(graph: Graph, group: Group, readers: dict[str, Group]) -> Group | None:
    """Return the kernel that alone reads what one makes, as the image that it convolves."""
    user = graph.only_user(group.output.name)
    if user is None or group.views or group.stages:
        return None
    following = readers[group.output.name]
    anchor = following.anchor
    alone = sum(name == group.output.name for node in following.nodes for name in node.inputs) == 1
    return following if alone and anchor is user else None


def _is_depthwise(graph: Graph, group: Group) -> bool:
    node = group.anchor
    if layers.kind(graph, node) != "depthwise_conv2d" or not _is_inside(graph, node):
        return False
    return tuple(node.attributes["dilation"]) == (1, 1) and node.attributes["groups"] == node.shape[1]


def _is_pointwise(graph: Graph, group: Group) -> bool:
    return layers.is_pointwise(graph, group.anchor) and _is_inside(graph, group.anchor)


def _is_inside(graph: Graph, node: Node) -> bool:
    """Whether a node has the type that is fused, and reads what the network made."""
    return node.dtype == dtypes.DEFAULT and node.inputs[0] not in graph.inputs


def _grows(graph: Graph, group: Group) -> bool:
    return group.anchor.shape[1] > graph.shape(group.anchor.inputs[0])[1]


def _shrinks(graph: Graph, group: Group, readers: dict[str, Group]) -> bool:
    """Whether a projection follows a depthwise convolution, with nothing but work element by element between them.

    The layers say so, and not the names of blocks, which the user's own file has not.
    """
    wanted, names, found = group.output.shape, [group.output.name], False
    for name in names:
        for user in graph.users[name]:
            if operations.is_elementwise(user.op) and user.shape == wanted:
                names.append(user.name)
            elif layers.is_pointwise(graph, user) and user.inputs[0] == name and user.shape[2:] == wanted[2:]:
                found = found or _projects(graph, readers[user.inputs[1]])
    return found


def _projects(graph: Graph, group: Group) -> bool:
    """Whether it makes fewer channels than it reads, or as many and no activation follows (arXiv:1801.04381)."""
    made, read = group.anchor.shape[1], graph.shape(group.anchor.inputs[0])[1]
    return made < read or (made == read and all(node.op == "add" for node in group.nodes[1:]))


# ---------------------------------------------------------------------------------------------------------- prologues
def _with_prologues(graph: Graph, found: tuple[Group, ...], machine: KernelMachine) -> tuple[Group, ...]:
    """Return the kernels with those that work element by element as prologues of pointwise convolutions."""
    readers = {name: group for group in found for name in group.reads}
    one: dict[Group, Group] = {}
    for group in found:
        following = _multiplied(graph, group, readers, machine)
        if following is not None and _prologue_pays(graph, group, following, machine):
            one[following] = kernels.with_prologue(group, following)
    gone = {group.stages[0] for group in one.values()}
    return tuple(one.get(group, group) for group in found if group not in gone)


def _multiplied(graph: Graph, group: Group, readers: dict[str, Group], machine: KernelMachine) -> Group | None:
    """Return the pointwise convolution that alone reads what a kernel makes element by element."""
    user = graph.only_user(group.output.name)
    if user is None or group.views or not all(operations.is_elementwise(node.op) for node in group.nodes):
        return None
    following = readers[group.output.name]
    names = [name for node in following.nodes for name in node.inputs]
    name = group.output.name
    reads = user is following.anchor and user.inputs[0] == name and names.count(name) == 1 and not following.stages
    dtype = user.dtype
    cheap = all(not operations.of(node.op).calls and node.dtype == dtype for node in group.nodes)
    cheap = cheap and all(graph.type_of(name).dtype == dtype for name in group.reads)
    if not reads or not cheap or any(name in graph.inputs for name in group.reads):
        return None
    known = dtype in float_sums.TYPES and machine.multiplies(dtype)
    return following if known and layers.is_pointwise(graph, user) else None


def _ways(graph: Graph, group: Group) -> tuple[int, ...]:
    """Return how a prologue can be done: on the weights too, where it is the product with a factor for each channel."""
    if len(group.nodes) > 1 or group.anchor.op != "multiply":
        return (prologue.ROWS,)
    shapes = (graph.shape(name) for name in group.anchor.inputs)
    aligned = [(1,) * (len(group.anchor.shape) - len(shape)) + shape for shape in shapes]
    by_channel = any(math.prod(shape) == shape[1] for shape in aligned)
    return (prologue.ROWS, prologue.WEIGHTS) if by_channel and group.anchor.shape in aligned else (prologue.ROWS,)


def _prologue_pays(graph: Graph, group: Group, following: Group, machine: KernelMachine) -> bool:
    """Return whether a convolution with the prologue is quicker than both kernels, judged as by `_pays`."""
    batch, channels, height, width = shape = group.output.shape
    columns, dtype = following.anchor.shape[1], following.anchor.dtype
    product = Matmul(rows=batch * height * width, reduction=channels, columns=columns, dtype=dtype)
    together, chosen = matmul.ranked(product, machine, _ways(graph, group))[0]
    apart, plain = matmul.ranked(product, machine)[0]
    work = elementwise.cycles_of(math.prod(shape), machine)
    moved = dtypes.of(dtype).bytes * sum(math.prod(graph.shape(name)) for name in (*group.reads, group.name))
    grid = tiling.grids([1] * product.rows, 1, work, moved, machine)[0]
    start = _CALL_CYCLES if grid.outer == 1 else _START_CYCLES
    ratio = together / (apart + grid.cycles(work, moved) + start)
    if machine.cores > 1:
        alone = [matmul.cycles_alone(product, parameters, machine) for parameters in (chosen, plain)]
        ratio *= alone[0] / (alone[1] + work + _CALL_CYCLES)
    return ratio < 1


# -------------------------------------------------------------------------------------------------------------- model
@dataclasses.dataclass(frozen=True, kw_only=True)
class _ChainCosts:
    """Of a chain of kernels, in cycles of one core, or bytes."""

    compute: float
    line: float
    """To expand the lines that two threads both need, where they meet."""
    steps: int
    """Lines of output, over all images."""
    weight_bytes: int
    between_bytes: tuple[int, ...]
    """Of each value that passes from one kernel to the next."""

    def apart(self, cores: int, machine: KernelMachine) -> float:
        """Return what one of so many cores takes for its share, one kernel after the other."""
        moved = 0.0
        for size in self.between_bytes:
            near = size / cores <= machine.l2_bytes / 2
            moved += 2 * size / cores / (_L2_BYTES_A_CYCLE if near else _FAR_BYTES_A_CYCLE)
        start = _START_CYCLES if cores > 1 else _CALL_CYCLES
        return self.compute / cores + moved + len(self.between_bytes) * start

    def fused(self, cores: int, machine: KernelMachine) -> float:
        """Return what the busiest core takes with one kernel."""
        steps = -(-self.steps // cores)
        cycles = self.compute * steps / self.steps + (self.line if cores > 1 else 0)
        if self.weight_bytes > machine.l1_bytes / 2:
            near = self.weight_bytes <= machine.l2_bytes / 2
            cycles += steps * self.weight_bytes / (_L2_BYTES_A_CYCLE if near else _FAR_BYTES_A_CYCLE)
        return cycles


def _pays(graph: Graph, chain: Sequence[Group], machine: KernelMachine) -> bool:
    """Return whether fusing is quicker on the whole, on one core and on all of the machine's."""
    costs = _costs(graph, chain, machine)
    return math.prod(costs.fused(cores, machine) / costs.apart(cores, machine) for cores in {1, machine.cores}) < 1


def _costs(graph: Graph, chain: Sequence[Group], machine: KernelMachine) -> _ChainCosts:
    anchors = [group.anchor for group in chain]
    rate = _FMA_A_CYCLE * machine.lanes()
    depthwise = next(node for node in anchors if node.attributes["groups"] > 1)
    weights = [graph.shape(node.inputs[1]) for node in anchors]
    shared = max(graph.shape(depthwise.inputs[1])[2] - depthwise.attributes["strides"][0], 0)
    line = 0.0
    if anchors[0] is not depthwise:
        line = shared * layers.macs(graph, anchors[0]) / anchors[0].shape[2] / anchors[0].shape[0] / rate
    return _ChainCosts(
        compute=sum(layers.macs(graph, node) for node in anchors) / rate,
        line=line,
        steps=depthwise.shape[0] * depthwise.shape[2],
        weight_bytes=sum(math.prod(shape) for shape in weights) * dtypes.of(dtypes.DEFAULT).bytes,
        between_bytes=tuple(math.prod(node.shape) * dtypes.of(node.dtype).bytes for node in anchors[:-1]),
    )
