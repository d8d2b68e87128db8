"""The blocks of a network by the paths of its modules: `features.3.conv.1.0` belongs to the block `features.3`.

A block is an element of a list most of whose elements hold several layers, such as `features` or `stages.0.blocks`;
a list inside of a block, such as the convolution, norm and activation in one, is none. A path without such a list
belongs to the smallest module around it that holds several layers, or to its first part. Where no layer of a network
has a path, as in Paddle's files, names are no blocks.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

_PART = re.compile(r"[./]")
_KERAS = re.compile(r"(.*?[^\W_]*?_?\d+[a-z]?)_[a-zA-Z]\w*")
"""Names without a path: `block_1_expand`, `expanded_conv_3_depthwise`, `block1a_se_reduce`."""


def blocks(weighted: Iterable[str], paths: Iterable[str]) -> Mapping[str, str | None]:
    """Return the block of each path.

    Args:
        weighted: the paths of layers with weights.
        paths: those whose blocks are wanted.
    """
    layers = [tuple(_PART.split(_inside(path))) for path in dict.fromkeys(weighted)]
    tree = _Tree(layers)
    return {path: tree.block(_inside(path)) or None for path in dict.fromkeys(paths)}


def _inside(path: str) -> str:
    """Return a path without what stands before its first part: torch writes `/Conv` for what no module has."""
    return path.lstrip("./")


class _Tree:
    """How many layers with weights each module holds."""

    def __init__(self, layers: list[tuple[str, ...]]) -> None:
        self._counts: dict[tuple[str, ...], int] = {}
        self._children: dict[tuple[str, ...], set[str]] = {(): set()}
        self._is_flat = all(len(layer) == 1 for layer in layers)
        for layer in layers:
            for depth in range(len(layer) + 1):
                self._counts[layer[:depth]] = self._counts.get(layer[:depth], 0) + 1
                if depth:
                    self._children.setdefault(layer[: depth - 1], set()).add(layer[depth - 1])

    def block(self, path: str) -> str | None:
        """Return the block of a path, as the path is written."""
        parts = tuple(_PART.split(path))
        if len(parts) == 1 and (found := _KERAS.fullmatch(path)):
            return found[1]
        if self._is_flat or parts[0] not in self._children[()]:
            return None
        depths = [depth for depth in range(1, len(parts)) if self._is_element(parts[:depth])]
        if self._is_element(parts):  # what a block does itself, such as its sum
            depths.append(len(parts))
        if depths:
            return _start(path, depths[-1])
        if len(parts) == 1:
            return path
        several = [depth for depth in range(1, len(parts)) if self._counts.get(parts[:depth], 0) > 1]
        return _start(path, several[-1] if several else 1)

    def _is_element(self, module: tuple[str, ...]) -> bool:
        """Return whether a module is an element of a list most of whose elements hold several layers.

        Of lists in a list, such as stages, they count together: a stage may be of single convolutions.
        """
        if not module or not module[-1].isdecimal():
            return False
        around = module[:-1]
        if self._holds_blocks((around,)):
            return True
        stages = [(*around[:-1], name) for name in self._children.get(around[:-1], ()) if name.isdecimal()]
        return module in self._children and around in stages and self._holds_blocks(stages)

    def _holds_blocks(self, lists: Iterable[tuple[str, ...]]) -> bool:
        elements = [(*each, name) for each in lists for name in self._children.get(each, ()) if name.isdecimal()]
        return bool(elements) and 2 * sum(self._counts[each] > 1 for each in elements) >= len(elements)


def _start(path: str, depth: int) -> str:
    """Return the first parts of a path, with its own separators."""
    ends = [found.start() for found in _PART.finditer(path)]
    return path if depth > len(ends) else path[: ends[depth - 1]]
