"""The block of each node and its role there, by the paths of the user's modules and by what is computed of what.

Built-in families say what a convolution is for; a file does not. Here a convolution is known by its neighbours: one
that a depthwise convolution of its block reads is `expand`, and so on. Where files have no paths, there are no blocks,
and neighbours are all that is known.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping

from mbench.networks import layers, operations
from mbench.networks.graph import Graph, Node
from mbench.networks.importers import module_paths

_WEIGHTED = ("conv2d", "linear", "conv2d_transpose")
_POOLS = ("global_avg_pool", "avg_pool2d", "max_pool2d", "reduce_mean", "reduce_max")
_INHERITED = ("batch_norm", "reshape", "permute", "layer_norm")
"""Operations that belong to what they read, as those element by element do."""
_ATTENTION = re.compile(r"(?:^|[./_])(query|key|value|q|k|v)(?:_proj|_conv)?(?=$|[./])")
_LETTERS = {"q": "query", "k": "key", "v": "value"}
_IMAGE, _ROWS = 4, 2
_LONGEST_GATE = 20


def assigned(graph: Graph) -> Graph:
    """Return a graph whose nodes have their blocks and roles."""
    blocks = _blocks(graph)
    roles = _Roles(graph, blocks).all()
    nodes = {
        node.name: dataclasses.replace(node, block=blocks[node.name], role=roles[node.name]) for node in graph.nodes
    }
    return graph.rewritten(lambda node: (nodes[node.name],))


def _path(node: Node) -> str:
    return node.source_names[0] if node.source_names else node.name


def _passes(node: Node) -> bool:
    return node.op == "batch_norm" or operations.is_elementwise(node.op)


def _blocks(graph: Graph) -> dict[str, str | None]:
    """Return the block of each node: that of its path, or of what it reads where its own name says nothing."""
    weighted = [_path(node) for node in graph.nodes if node.op in _WEIGHTED]
    known = module_paths.blocks(weighted, map(_path, graph.nodes))
    found: dict[str, str | None] = {}
    for node in graph.nodes:
        block = known[_path(node)]
        if block is None and _passes(node):
            block = next((found[name] for name in graph.operands(node) if name in found), None)
        found[node.name] = block
    return found


class _Roles:
    """`_reads` and `_read_by` hold the neighbours of each layer with weights, inside of its block."""

    def __init__(self, graph: Graph, blocks: Mapping[str, str | None]) -> None:
        self._graph, self._blocks = graph, blocks
        self._roles: dict[str, str] = {}
        self._first: set[str] = set()  # values that no layer with weights has had a part in
        self._reads: dict[str, Node] = {}
        self._read_by: dict[str, list[Node]] = {}

    def all(self) -> dict[str, str]:
        self._find_gates()
        self._find_neighbours()
        for node in self._graph.nodes:
            if node.name not in self._roles:
                self._roles[node.name] = self._weighted_role(node) if node.op in _WEIGHTED else self._other_role(node)
        self._find_end()
        return self._roles

    def _find_gates(self) -> None:
        """Find squeeze-excite: an image times one number a channel, which a pool and layers after it make."""
        graph = self._graph
        for node in graph.nodes:
            operands = graph.operands(node)
            if node.op != "multiply" or len(node.shape) != _IMAGE or len(operands) < 2 or node.shape[2:] == (1, 1):
                continue
            gate = next((name for name in operands if graph.shape(name)[2:] == (1, 1)), None)
            chain = self._up_to_pool(gate) if gate else []
            if chain:
                last = next((place for place, each in enumerate(chain) if each.op in _WEIGHTED), 0)
                self._roles |= {each.name: "excite" if place <= last else "reduce" for place, each in enumerate(chain)}
                self._roles |= {node.name: "excite", chain[-1].name: "squeeze"}

    def _up_to_pool(self, gate: str) -> list[Node]:
        """Return what makes a gate, from its end back to the pool; nothing where it is made in another way."""
        chain: list[Node] = []
        name = gate
        while (node := self._graph.by_name.get(name)) is not None and len(chain) < _LONGEST_GATE:
            chain.append(node)
            operands = self._graph.operands(node)
            if node.op in _POOLS:
                return chain
            if len(operands) != 1:
                break
            name = operands[0]
        return []

    def _find_neighbours(self) -> None:
        graph = self._graph
        last: dict[str, Node] = {}  # the layer with weights that a value is made of, element by element
        self._first.update(graph.inputs)
        for node in graph.nodes:
            operands = graph.operands(node)
            gated = self._roles.get(node.name) == "excite" and node.op == "multiply"
            if gated:
                operands = tuple(name for name in operands if graph.shape(name)[2:] != (1, 1))
            before = last.get(operands[0]) if len(operands) == 1 else None
            if node.op in _WEIGHTED:
                last[node.name] = node
                if before is not None and self._blocks[before.name] == self._blocks[node.name]:
                    self._reads[node.name] = before
                    self._read_by.setdefault(before.name, []).append(node)
            elif before is not None and _passes(node):
                last[node.name] = before
            elif self._first.issuperset(operands):
                self._first.add(node.name)

    def _weighted_role(self, node: Node) -> str:
        if self._is_depthwise(node):
            return "depthwise"
        if node.inputs[0] in self._first and node.op == "conv2d":
            return "stem"
        if said := _ATTENTION.search(_path(node)):
            return _LETTERS.get(said[1], said[1])
        if node.op == "conv2d" and node.attributes["groups"] > 1:
            return "other"
        if self._expands(node):
            return "expand"
        if self._projects(node):
            return "project"
        if node.op == "conv2d_transpose":
            return "other"
        wide = node.op == "conv2d" and max(self._graph.shape(node.inputs[1])[2:]) > 1
        return "standard" if wide else "pointwise"

    def _is_depthwise(self, node: Node) -> bool:
        return node.op == "conv2d" and layers.kind(self._graph, node) == "depthwise_conv2d"

    def _expands(self, node: Node) -> bool:
        """Return whether a layer widens what a depthwise convolution, or one that narrows it again, then reads."""
        before, after = self._reads.get(node.name), self._read_by.get(node.name, [])
        known = self._blocks[node.name] is not None
        if any(self._is_depthwise(each) for each in after):
            return known or before is None or not self._is_depthwise(before)
        inside = known and len(node.shape) > _ROWS  # and not of a classifier's layers
        return inside and any(self._narrows(each) and each.op == node.op for each in after) and self._widens(node)

    def _projects(self, node: Node) -> bool:
        """Return whether a layer narrows what its block widened."""
        before = self._reads.get(node.name)
        if before is None or not self._is_pointwise(node):
            return False
        if not self._is_depthwise(before):
            return self._roles.get(before.name) == "expand"
        first = self._reads.get(before.name)
        expanded = first is not None and self._roles.get(first.name) == "expand"
        return expanded or (self._blocks[node.name] is None and self._narrows(node))

    def _channels(self, node: Node) -> tuple[int, int]:
        """Return how many channels a layer reads and gives."""
        outputs, inputs = self._graph.shape(node.inputs[1])[:2]
        return inputs, outputs

    def _widens(self, node: Node) -> bool:
        inputs, outputs = self._channels(node)
        return outputs > inputs

    def _narrows(self, node: Node) -> bool:
        inputs, outputs = self._channels(node)
        return outputs < inputs and self._is_pointwise(node)

    def _is_pointwise(self, node: Node) -> bool:
        return node.op == "linear" or (node.op == "conv2d" and self._graph.shape(node.inputs[1])[2:] == (1, 1))

    def _other_role(self, node: Node) -> str:
        graph, operands = self._graph, self._graph.operands(node)
        if node.op in _POOLS:
            return "pool"
        if node.op == "matmul" or (
            node.op == "softmax" and any(user.op == "matmul" for user in graph.users[node.name])
        ):
            return "attention"
        if node.op == "add" and len(operands) == 2 and len({graph.shape(name) for name in operands}) == 1:
            return "residual"
        otherwise = "activation" if operations.is_elementwise(node.op) or node.op == "softmax" else "other"
        if len(operands) != 1 or operands[0] not in self._roles:
            return otherwise
        together = self._blocks[operands[0]] in (None, self._blocks[node.name]) or self._blocks[node.name] is None
        inherits = _passes(node) or (node.op in _INHERITED and together)
        return self._roles[operands[0]] if inherits else otherwise

    def _find_end(self) -> None:
        """Call what comes last in a network that classifies `classifier`, and pointwise layers before it `head`."""
        graph = self._graph
        if len(graph.outputs) != 1 or len(graph.shape(graph.outputs[0])) != 2:
            return
        name, role = graph.outputs[0], "classifier"
        while (node := graph.by_name.get(name)) is not None:
            if node.op in _WEIGHTED:
                before = self._reads.get(node.name)
                inside = before is not None and self._is_depthwise(before)
                if inside or not self._is_pointwise(node) or self._roles[node.name] not in ("pointwise", "stem"):
                    return
                self._rename(node, role)
                role = "head"
            elif not _passes(node) and node.op not in (*_POOLS, *_INHERITED, "softmax"):
                return
            operands = graph.operands(node)
            if len(operands) != 1:
                return
            name = operands[0]

    def _rename(self, layer: Node, role: str) -> None:
        """Give a layer another role, and what belongs to it."""
        waiting = [layer]
        while waiting:
            node = waiting.pop()
            self._roles[node.name] = role
            waiting += [user for user in self._graph.users[node.name] if _passes(user) or user.op in _INHERITED]
