"""Operations that files write as several nodes, such as SiLU as a product with a sigmoid, as the one that they are.

So that a network has the same nodes by whatever tool it was written. A pattern is an expression:

- `("add", X, Y)`: a node of this operation; `add`, `multiply`, `maximum` and `minimum` match in either order;
- `"x"`: any value, the same one wherever the name stands; `"@w"`: the same, of parameters alone;
- `"#e"`: a constant of one number, whatever it is; `3.0`: that number;
- `("=", "d", X)`: X, called d from then on.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from mbench.networks.graph import Graph, Node, TensorType
from mbench.networks.importers.graph_writer import WEIGHTED

Pattern = Any
Found = dict[str, Any]
_COMMUTES = ("add", "multiply", "maximum", "minimum")
_CLOSE = 1e-5
"""Files round 1/6 and the root of 2 in many ways."""
_ROOT, _CUBE = math.sqrt(2), 0.044715


def recognised(graph: Graph, parameters: Mapping[str, np.ndarray]) -> tuple[Graph, dict[str, np.ndarray]]:
    """Return a graph in which operations that are written as several nodes are one, and its parameters."""
    rewriter = _Rewriter(graph, parameters)
    changed = rewriter.run()
    return changed, {name: rewriter.parameters[name] for name in changed.parameters}


class _Rewriter:
    """Goes through the nodes once, in order of execution, so that what is inside of others is found first."""

    def __init__(self, graph: Graph, parameters: Mapping[str, np.ndarray]) -> None:
        self.graph = graph
        self.parameters = dict(parameters)
        self.nodes = {node.name: node for node in graph.nodes}
        """By their names in the graph, by which others read them; what replaces one may have another name."""
        self._gone: set[str] = set()
        self._taken = {*graph.inputs, *self.parameters, *self.nodes}
        self._outputs = set(graph.outputs)
        self._readers = {name: len(users) + (name in graph.outputs) for name, users in graph.users.items()}

    def run(self) -> Graph:
        for name in self.nodes:
            self._rewrite(name)
        added = {name: TensorType.of(array) for name, array in self.parameters.items()}
        renamed = {name: node.name for name, node in self.nodes.items() if node.name != name}
        return self.graph.rewritten(
            lambda node: () if node.name in self._gone else (self.nodes[node.name],), parameters=added, renamed=renamed
        )

    def _rewrite(self, name: str) -> None:
        """Replace a node as long as something is found in it."""
        changed = True
        while changed:
            changed = False
            node = self.nodes[name]
            for pattern, build in _BY_ROOT.get(node.op, ()):
                found: Found = {}
                inside: list[str] = []
                if self._matches(pattern, name, found, inside) and self._is_apart(inside):
                    made = build(self, node, found)
                    if made is not None:
                        self._replace(name, made, inside)
                        changed = True
                        break

    def _replace(self, key: str, made: Node, inside: list[str]) -> None:
        root, name = self.nodes[key], made.name
        sources = dict.fromkeys(each for part in inside for each in self.nodes[part].source_names)
        self._gone.update(inside[1:])
        if name == root.name and made.op != root.op:
            base = re.sub(rf"\.{root.op}(_\d+)?$", "", name)
            said = base if made.op in WEIGHTED else f"{base}.{made.op}"
            name = said if base != name and said not in self._taken else name
        self._taken.add(name)
        self.nodes[key] = dataclasses.replace(made, name=name, source_names=tuple(sources))

    def _is_apart(self, inside: list[str]) -> bool:
        """Return whether nothing but the pattern reads what is inside of it, all but its root."""
        for part in inside[1:]:
            read_here = sum(part in self.nodes[each].inputs for each in inside)
            if part in self._outputs or self._readers[part] > read_here:
                return False
        return True

    def _matches(self, pattern: Pattern, value: str, found: Found, inside: list[str]) -> bool:
        """Return whether a value is what a pattern says; fill in its names and its nodes, the root first."""
        if isinstance(pattern, float):
            number = self._number(value)
            return number is not None and math.isclose(number, pattern, rel_tol=_CLOSE, abs_tol=1e-12)
        if isinstance(pattern, str):
            return self._captures(pattern, value, found)
        op, *rest = pattern
        if op == "=":
            name, part = rest
            return self._matches(part, value, found, inside) and found.setdefault(name, value) == value
        node = self.nodes.get(value)
        if node is None or node.op != op:
            return False
        for order in (rest, rest[::-1]) if op in _COMMUTES else (rest,):
            tried, nodes = dict(found), [*inside, *([] if value in inside else [value])]
            if self._operands(node, order, tried, nodes):
                found.update(tried)
                inside[:] = nodes
                return True
        return False

    def _operands(self, node: Node, patterns: list[Pattern], found: Found, inside: list[str]) -> bool:
        if node.op == "scale":
            child, factor = patterns
            given = node.attributes["factor"]
            if isinstance(factor, str):
                found[factor] = given
            elif not math.isclose(given, factor, rel_tol=_CLOSE):
                return False
            return self._matches(child, node.inputs[0], found, inside)
        return len(patterns) == len(node.inputs) and all(
            self._matches(pattern, value, found, inside) for pattern, value in zip(patterns, node.inputs, strict=True)
        )

    def _captures(self, name: str, value: str, found: Found) -> bool:
        if name.startswith("#"):
            number = self._number(value)
            return number is not None and found.setdefault(name, number) == number
        if name.startswith("@") and value not in self.parameters:
            return False
        return bool(found.setdefault(name, value) == value)

    def _number(self, value: str) -> float | None:
        array = self.parameters.get(value)
        return float(array.reshape(-1)[0]) if array is not None and array.size == 1 else None

    def shape(self, value: str) -> tuple[int, ...]:
        """Return the shape of a value or parameter."""
        return self.parameters[value].shape if value in self.parameters else self.graph.shape(value)

    def reshaped(self, name: str, shape: tuple[int, ...]) -> str:
        """Return a parameter in another shape: the same one where nothing else reads it."""
        array = self.parameters[name].reshape(shape)
        if array.shape == self.parameters[name].shape:
            return name
        new = name if self._readers.get(name, 0) == 1 else f"{name}.reshaped"
        while new != name and (new in self.parameters or new in self.nodes):
            new += "_"
        self.parameters[new] = array
        self._readers[new] = 1
        return new


MakeNode = Callable[[_Rewriter, Node, Found], Node | None]


def _one(op: str, **attributes: Any) -> MakeNode:
    """Return what makes a node of one operation, of the value x."""
    return lambda _rewriter, node, found: dataclasses.replace(
        node, op=op, inputs=(found["x"],), attributes=dict(attributes)
    )


def _leaky(_rewriter: _Rewriter, node: Node, found: Found) -> Node | None:
    if not 0 <= found["slope"] < 1:
        return None
    return dataclasses.replace(node, op="leaky_relu", inputs=(found["x"],), attributes={"alpha": found["slope"]})


def _scaled_twice(rewriter: _Rewriter, node: Node, found: Found) -> Node:
    inner = rewriter.nodes[node.inputs[0]].attributes["factor"]
    return dataclasses.replace(node, inputs=(found["x"],), attributes={"factor": node.attributes["factor"] * inner})


def _reshaped_twice(_rewriter: _Rewriter, node: Node, found: Found) -> Node:
    return dataclasses.replace(node, inputs=(found["x"],))


def _with_bias(rewriter: _Rewriter, node: Node, found: Found) -> Node | None:
    """Let a sum with one number for each output be the bias of a fully connected layer."""
    product = next(rewriter.nodes[name] for name in node.inputs if name in rewriter.nodes)
    bias, outputs = rewriter.shape(found["@b"]), node.shape[-1]
    if math.prod(bias) != outputs or bias[-1:] != (outputs,) or product.shape != node.shape:
        return None
    inputs = (found["x"], found["@w"], rewriter.reshaped(found["@b"], (outputs,)))
    return dataclasses.replace(product, inputs=inputs)


def _without_ones_before(shape: tuple[int, ...], rank: int) -> tuple[int, ...]:
    """Return the last sides of a shape, so many; all of them where others are not 1, which broadcast differently."""
    before = len(shape) - rank
    return shape[before:] if before > 0 and set(shape[:before]) == {1} else shape


def _layer_norm(rewriter: _Rewriter, node: Node, found: Found) -> Node | None:
    means = [rewriter.nodes[found[name]] for name in ("m", "v")]
    shape = rewriter.shape(found["x"])
    axes = means[0].attributes["axes"]
    last = tuple(range(len(shape) - len(axes), len(shape)))
    if any(mean.attributes != {"axes": last, "keepdims": True} for mean in means):
        return None
    extents = shape[len(shape) - len(axes) :]
    if not all(_without_ones_before(rewriter.shape(found[name]), len(axes)) == extents for name in ("@w", "@b")):
        return None
    given = [rewriter.reshaped(found[name], extents) for name in ("@w", "@b")]
    attributes = {"axes": last, "epsilon": found["#e"]}
    return dataclasses.replace(node, op="layer_norm", inputs=(found["x"], *given), attributes=attributes)


def _group_norm(rewriter: _Rewriter, node: Node, found: Found) -> Node | None:
    """Let a norm of rows, one a group of channels, with a scale and shift of each channel, be a norm of groups."""
    inner = rewriter.nodes[found["i"]]
    shape, (batch, groups, *_) = rewriter.shape(found["x"]), inner.shape
    plain = np.all(rewriter.parameters[found["@o"]] == 1) and not np.any(rewriter.parameters[found["@z"]])
    if len(shape) != 4 or shape != node.shape or shape[0] != batch or shape[1] % groups or not plain:
        return None
    if not all(_without_ones_before(rewriter.shape(found[name]), 3) == (shape[1], 1, 1) for name in ("@w", "@b")):
        return None
    given = [rewriter.reshaped(found[name], (shape[1],)) for name in ("@w", "@b")]
    attributes = {"groups": groups, "epsilon": inner.attributes["epsilon"]}
    return dataclasses.replace(node, op="group_norm", inputs=(found["x"], *given), attributes=attributes)


def _whole_pool(rewriter: _Rewriter, node: Node, found: Found) -> Node | None:
    known = node.attributes
    if tuple(known["kernel"]) != rewriter.shape(found["x"])[2:] or any(known["padding"]) or node.shape[2:] != (1, 1):
        return None
    return dataclasses.replace(node, op="global_avg_pool", attributes={})


def _tanh_inside(x: Pattern) -> Pattern:
    """Return the argument of the hyperbolic tangent in an approximated GELU."""
    cube = ("multiply", ("multiply", x, x), x)
    return ("scale", ("add", x, ("scale", cube, _CUBE)), math.sqrt(2 / math.pi))


_ERF_RISEN = ("add", ("erf", ("scale", "x", 1 / _ROOT)), 1.0)
_TANH_RISEN = ("add", ("tanh", _tanh_inside("x")), 1.0)
_SIX = ("relu6", ("add", "x", 3.0))
_APART = ("=", "d", ("subtract", "x", ("=", "m", ("reduce_mean", "x"))))
_DEVIATION = ("sqrt", ("add", ("=", "v", ("reduce_mean", ("multiply", "d", "d"))), "#e"))

_PATTERNS: tuple[tuple[Pattern, MakeNode], ...] = (
    (("scale", _SIX, 1 / 6), _one("hard_sigmoid")),
    (("scale", ("multiply", "x", _SIX), 1 / 6), _one("hard_swish")),
    (("multiply", "x", ("hard_sigmoid", "x")), _one("hard_swish")),
    (("multiply", ("scale", "x", 1 / 6), _SIX), _one("hard_swish")),
    (("multiply", "x", ("sigmoid", "x")), _one("silu")),
    (("multiply", "x", ("tanh", ("softplus", "x"))), _one("mish")),
    *(
        (pattern, _one(op))
        for op, risen in (("gelu", _ERF_RISEN), ("gelu_tanh", _TANH_RISEN))
        for pattern in (
            ("scale", ("multiply", "x", risen), 0.5),
            ("multiply", ("scale", "x", 0.5), risen),
            ("multiply", "x", ("scale", risen, 0.5)),
        )
    ),
    (("maximum", "x", ("scale", "x", "slope")), _leaky),
    (("scale", ("scale", "x", "inner"), "outer"), _scaled_twice),
    (("reshape", ("reshape", "x")), _reshaped_twice),
    (("add", ("linear", "x", "@w"), "@b"), _with_bias),
    (("add", ("multiply", ("divide", _APART, _DEVIATION), "@w"), "@b"), _layer_norm),
    (("add", ("multiply", ("multiply", _APART, ("reciprocal", _DEVIATION)), "@w"), "@b"), _layer_norm),
    (
        ("add", ("multiply", ("reshape", ("=", "i", ("instance_norm", ("reshape", "x"), "@o", "@z"))), "@w"), "@b"),
        _group_norm,
    ),
    (("avg_pool2d", "x"), _whole_pool),
)

_BY_ROOT: dict[str, list[tuple[Pattern, MakeNode]]] = {}
for _pattern, _build in _PATTERNS:
    _BY_ROOT.setdefault(_pattern[0], []).append((_pattern, _build))
