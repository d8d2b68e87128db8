"""Grouping: which nodes are computed by one kernel, so that each kernel knows its layers by construction.

A group is an anchor (a convolution, a product, a pool, or the first of several element-wise nodes) and all that follows
it element by element: activations, and the sum with a residual. Only the last of its values leaves it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence

from mbench.networks import layout, operations
from mbench.networks.graph import Graph, GraphError, Node

_MOST_OPERATIONS = 64
"""In the expression of a group's element. Hard-swish reads its operand twice, so that each one more in a row doubles
the expression: twelve would be 8191 operations, and TVM and LLVM would take minutes."""
_MOVED = ("resize2d", "slice")
"""What a concatenation does itself where nothing else reads it."""
_MOST_CALLS = 2
"""Functions inside each other there. Each is a polynomial in steps with names, and TVM looks at those inside of others
again and again: two SiLU in a row were seen to compile in 0.4 s, three in 22 s."""


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Group:
    """The nodes that one kernel computes, in order; views of what it made are at its end, and no code."""

    nodes: tuple[Node, ...]
    views: tuple[Node, ...] = ()
    stages: tuple[Group, ...] = ()
    """The groups that one kernel of several is made of: each reads what the one before makes, and nothing else does."""
    fused_name: str = ""
    """The name of its layer where it is fused; none where its only other stage is a prologue."""

    @property
    def anchor(self) -> Node:
        """What gives the group its name, its role and most of its work; a prologue comes before it."""
        first = (*self.nodes, *self.views)[0]
        if self.moved:
            return self.nodes[-1]
        return next((node for node in self.nodes if not operations.is_elementwise(node.op)), first)

    @property
    def moved(self) -> tuple[Node, ...]:
        """What a concatenation at its end moves or resizes before it puts that beside the rest."""
        return self.nodes[:-1] if self.nodes and self.nodes[-1].op == "concat" else ()

    @property
    def name(self) -> str:
        """The name of its layer: the anchor's, unless it is fused."""
        return self.fused_name or self.anchor.name

    @property
    def output(self) -> Node:
        """The node whose value others read."""
        return (*self.nodes, *self.views)[-1]

    @property
    def reads(self) -> tuple[str, ...]:
        """The values and parameters from outside, each once, in order."""
        inside = {node.name for node in (*self.nodes, *self.views)}
        names = (name for node in (*self.nodes, *self.views) for name in node.inputs if name not in inside)
        return tuple(dict.fromkeys(names))


def fused(stages: Sequence[Group], name: str) -> Group:
    """Return one group, of the given name, that does what several do, one after the other."""
    nodes = tuple(node for stage in stages for node in stage.nodes)
    return Group(nodes=nodes, views=stages[-1].views, stages=tuple(stages), fused_name=name)


def with_prologue(prologue: Group, group: Group) -> Group:
    """Return a group that first does, element by element, what another does on what it reads. The layer is its own."""
    return Group(nodes=(*prologue.nodes, *group.nodes), views=group.views, stages=(prologue, group))


def groups(graph: Graph, last: frozenset[str] | None = None) -> tuple[Group, ...]:
    """Return the groups of a folded graph in an order of execution.

    Args:
        graph: without BatchNorm.
        last: the values that lie channels last, which decides what is a view; `layout.channels_last` by default.
    """
    last = layout.channels_last(graph) if last is None else last
    moved = {node.name: _moved(graph, node, last) for node in graph.nodes if node.op == "concat"}
    taken = {node.name for nodes in moved.values() for node in nodes}
    found: list[Group] = []
    for node in graph.nodes:
        if node.name in taken:
            continue
        grown: tuple[Node, ...] = ()
        if layout.is_view(graph, node, last):
            views = _views(graph, node, last)
        else:
            grown = (*moved[node.name], node) if node.name in moved else _grown(graph, node, taken, last)
            following = graph.only_user(grown[-1].name)
            is_view = following is not None and layout.is_view(graph, following, last)
            views = _views(graph, following, last) if following is not None and is_view else ()
        taken.update(each.name for each in (*grown, *views))
        found.append(Group(nodes=grown, views=views))
    return _ordered(graph, found)


def _moved(graph: Graph, concatenation: Node, last: frozenset[str]) -> tuple[Node, ...]:
    """Return the nodes that only a concatenation reads, and that move or resize something on its way there."""
    found = []
    for name in dict.fromkeys(concatenation.inputs):
        node = graph.by_name.get(name)
        alone = node is not None and graph.only_user(name) is concatenation
        if node is not None and alone and node.op in _MOVED and (name in last) == (concatenation.name in last):
            found.append(node)
    return tuple(found)


def _views(graph: Graph, first: Node, last: frozenset[str]) -> tuple[Node, ...]:
    found = [first]
    while (user := graph.only_user(found[-1].name)) is not None and layout.is_view(graph, user, last):
        found.append(user)
    return tuple(found)


def _grown(graph: Graph, first: Node, taken: set[str], last: frozenset[str]) -> tuple[Node, ...]:
    """Return the longest group that starts with a node and has one value that is read outside."""
    if not layout.fuses(first.op):
        return (first,)
    members, best = [first], 1
    known = {first.name: _Growth.of(first, {}) if operations.is_elementwise(first.op) else _Growth()}
    while members[-1].name not in graph.outputs:
        inside = {member.name for member in members}
        readers = {user.name: user for name in inside for user in graph.users[name] if user.name not in inside}
        ready = [
            user
            for user in readers.values()
            if operations.is_elementwise(user.op)
            and user.name not in taken
            and user.shape == first.shape
            and (user.name in last) == (first.name in last)
            and _Growth.of(user, known).is_small
            and not any(graph.depends_on(name, inside) for name in user.inputs if name not in inside)
        ]
        if not ready:
            break
        members.append(next(node for node in graph.nodes if node in ready))
        inside.add(members[-1].name)
        known[members[-1].name] = _Growth.of(members[-1], known)
        if not any(_leaves(graph, member.name, inside) for member in members[:-1]):
            best = len(members)
    return tuple(members[:best])


@dataclasses.dataclass(frozen=True)
class _Growth:
    """How large the expression of an element is: operations, each load one of them, and functions inside each other."""

    operations: int = 1
    calls: int = 0

    @classmethod
    def of(cls, node: Node, known: Mapping[str, _Growth]) -> _Growth:
        """Return that of a node's value. `known`: of what it reads; all else is loaded."""
        op, read = operations.of(node.op), [known.get(name, cls()) for name in node.inputs]
        return cls(1 + op.reads * sum(each.operations for each in read), op.calls + max(each.calls for each in read))

    @property
    def is_small(self) -> bool:
        """Whether it is small enough for one kernel."""
        return self.operations <= _MOST_OPERATIONS and self.calls <= _MOST_CALLS


def _leaves(graph: Graph, name: str, inside: set[str]) -> bool:
    return name in graph.outputs or any(user.name not in inside for user in graph.users[name])


def _ordered(graph: Graph, found: list[Group]) -> tuple[Group, ...]:
    """Return the groups so that each comes after those that it reads; otherwise as they are.

    Raises:
        GraphError: two groups read each other.
    """
    makers = {group.output.name: group for group in found}
    placed: set[str] = {*graph.inputs, *graph.parameters}
    waiting, order = list(found), list[Group]()
    while waiting:
        ready = next((group for group in waiting if all(name in placed for name in group.reads)), None)
        if ready is None:
            raise GraphError(f"kernels read each other: {', '.join(makers)[:200]}")
        waiting.remove(ready)
        order.append(ready)
        placed.add(ready.output.name)
    return tuple(order)


def sources(graph: Graph, found: tuple[Group, ...]) -> Mapping[Group, tuple[Group, ...]]:
    """Return the groups that each reads, views of others looked through, so that each has a kernel."""
    makers = {group.output.name: group for group in found}

    def behind(name: str) -> Iterator[Group]:
        group = makers.get(name)
        if group is None:
            return
        if group.nodes:
            yield group
            return
        for read in group.reads:
            yield from behind(read)

    return {group: tuple(dict.fromkeys(each for name in group.reads for each in behind(name))) for group in found}
