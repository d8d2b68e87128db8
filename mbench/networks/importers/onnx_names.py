"""What the user calls the layer that a node of an ONNX file is of: the path of its module, or what the file has.

Each tool that writes files has its own places for names:

- torch (both exporters): weights bear the name of their module, and keep it where a BatchNorm is folded into them. The
  newer exporter notes the modules around a node, the older one writes them into the node's name, each path in full.
- TensorFlow and Keras: the node's name is a path.
- Paddle: weights are `conv2d_0.w_0`, values `hardswish_0.tmp_0`; the node's own name says nothing.
"""

from __future__ import annotations

import collections
import re
from collections.abc import Container, Iterable
from typing import Any

from mbench.networks.importers.graph_writer import LayerNames

_WEIGHTED = {
    "Conv", "ConvTranspose", "Gemm", "MatMul", "BatchNormalization", "PRelu", "LayerNormalization",
    "InstanceNormalization", "GroupNormalization",
}  # fmt: skip
_OF_WEIGHT = re.compile(
    r"(?!onnx::)(.+?)(?:[._/]?(?:weights?|kernel|W|w_\d+)(?::0)?|(?:/[^/]*)?/ReadVariableOp(?::0)?)"
)
_SCOPES = "pkg.torch.onnx.name_scopes"
_OF_PADDLE = re.compile(r"(.+)\.tmp_\d+")
_PATH = re.compile(r"/?[\w.:@-]+(/[\w.:@-]+)+")
_CALL = "StatefulPartitionedCall/"
"""What TensorFlow writes before each name of a saved model."""


def layer_of(node: Any, telling: Container[str]) -> LayerNames:
    """Return what the user calls the layer of a node.

    Args:
        node: an `onnx.NodeProto`.
        telling: the names of the file's constants that one node alone reads. Files hold equal weights once, by the name
            of the layer that came first.
    """
    path = _of_weights(node, telling) or _noted(node) or _path(node.name)
    if path:
        return LayerNames(name=path, is_path=True, source_names=(path,))
    own = node.name or next((name for name in node.output if name), node.op_type)
    said = _OF_PADDLE.fullmatch(node.output[0])
    name = said[1] if said else own
    return LayerNames(name=name, source_names=tuple(dict.fromkeys((name, own))))


def telling(nodes: Iterable[Any], constants: Container[str]) -> set[str]:
    """Return the names of constants that one node alone reads in the place of its weights."""
    counts = collections.Counter(node.input[1] for node in nodes if len(node.input) > 1)
    return {name for name, count in counts.items() if count == 1 and name in constants}


def _of_weights(node: Any, telling: Container[str]) -> str:
    if node.op_type not in _WEIGHTED or len(node.input) < 2 or node.input[1] not in telling:
        return ""
    found = _OF_WEIGHT.fullmatch(node.input[1])
    name = next((part for part in found.groups() if part), "") if found else ""
    return name.removeprefix(_CALL)


def _noted(node: Any) -> str:
    """Return the innermost module that torch's newer exporter notes; the last scope is the node's own."""
    noted = next((entry.value for entry in node.metadata_props if entry.key == _SCOPES), "")
    modules = [scope for scope in re.findall(r"'([^']*)'", noted)[:-1] if scope]
    return modules[-1] if modules else ""


def _path(name: str) -> str:
    """Return the path in a node's name without its last part, which is the operation."""
    if not _PATH.fullmatch(name):
        return ""
    parts = name.removeprefix(_CALL).strip("/").split("/")
    if len(parts) < 2:
        return ""
    return ".".join(_once(parts[:-1])) if name.startswith("/") else "/".join(parts[:-1])


def _once(parts: list[str]) -> list[str]:
    """Return the parts of a path that torch's older exporter writes, which repeat it: block, block.0, block.0.1."""
    kept: list[str] = []
    for part in parts:
        if kept and part.startswith(f"{kept[-1]}."):
            kept.pop()
        kept.append(part)
    return kept
