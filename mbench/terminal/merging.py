"""What is said of several networks, in one line for a cause: numbers become ranges, lists of layers their number.

Texts are alike if they differ only in numbers and in names of layers and kernels, so that what an older record says is
merged too.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from mbench.core import plain, units
from mbench.core.records import Result

FEW = 2
"""Up to so many layers are named."""
_WORD = re.compile(r"[^\s,:;]+")
_SECONDS = {"ns": 1e-9, "µs": 1e-6, "ms": 1e-3, "s": 1.0}
_HOLE = "\0"
_FILLING = re.compile(rf"{_HOLE}|(?<![\w.+-])(\d+(?:\.\d+)?)(?: (ns|µs|ms|s)\b)?(?![\w.]*\w)")


class _AmountCell(NamedTuple):
    value: float
    """In seconds, if it is a time."""
    text: str


class _Outlined(NamedTuple):
    """A text with holes where its names and numbers were, and what filled them, in order."""

    text: str
    filled: tuple[tuple[str, ...] | _AmountCell, ...]


def known_names(result: Result) -> dict[str, str]:
    """Return the names of a result's layers and kernels, each with what it is."""
    kernels = dict.fromkeys((kernel for layer in result.layers for kernel in layer.kernel.split(" + ")), "kernel")
    return kernels | dict.fromkeys((layer.name for layer in result.layers), "layer")


def merged(texts: Mapping[str, Iterable[str]], names: Mapping[str, Mapping[str, str]]) -> dict[str, tuple[str, ...]]:
    """Return what is said of networks, a line for a cause in the order of first mention, with whom it is said of.

    Args:
        texts: what is said of each network.
        names: of each network, the names of its layers and kernels, each with what it is.
    """
    alike: dict[str, list[tuple[str, _Outlined]]] = {}
    for network, said in texts.items():
        for text in said:
            found = _shape(plain.visible(text), names.get(network, {}))
            alike.setdefault(found.text, []).append((network, found))
    lines: dict[str, tuple[str, ...]] = {}
    for group in alike.values():
        networks = [network for network, _ in group]
        kinds = {name: kind for network in networks for name, kind in names.get(network, {}).items()}
        line = _line([found for _, found in group], kinds)
        lines[line] = tuple(dict.fromkeys((*lines.get(line, ()), *networks)))
    return lines


def part(networks: Collection[str], every: Collection[object]) -> str:
    """Return how many of all networks something is said of, `3 of 16 networks`; nothing if of all."""
    return "" if len(networks) == len(every) else f"{len(networks)} of {len(every)} networks"


def among(networks: Collection[str], every: Collection[object]) -> str:
    """Return the same in brackets, to follow a line."""
    said = part(networks, every)
    return f" ({said})" if said else ""


def _shape(text: str, names: Mapping[str, str]) -> _Outlined:
    """Return a text without the names of its layers and kernels, and without numbers."""
    shape, lists, at = "", list[tuple[str, ...]](), 0
    for match in _WORD.finditer(text):
        if match[0] not in names:
            continue
        between, at = text[at : match.start()], match.end()
        if lists and between == ", ":
            lists[-1] = (*lists[-1], match[0])
        else:
            shape += between + _HOLE
            lists.append((match[0],))
    return _without_numbers(shape + text[at:], lists)


def _without_numbers(text: str, lists: Iterable[tuple[str, ...]]) -> _Outlined:
    shape, rest, at = "", iter(lists), 0
    filled = list[tuple[str, ...] | _AmountCell]()
    for match in _FILLING.finditer(text):
        shape += text[at : match.start()] + _HOLE
        at = match.end()
        if match[0] == _HOLE:
            filled.append(next(rest))
        else:
            filled.append(_AmountCell(float(match[1]) * _SECONDS.get(match[2], 1.0), match[0]))
            shape += "s" if match[2] else "#"  # a number and a time are not alike
    return _Outlined(shape + text[at:], tuple(filled))


def _line(said: Sequence[_Outlined], kinds: Mapping[str, str]) -> str:
    line, *parts = said[0].text.split(_HOLE)
    for place, after in enumerate(parts):
        values = [found.filled[place] for found in said]
        if isinstance(values[0], _AmountCell):
            line += _range([value for value in values if isinstance(value, _AmountCell)]) + after[1:]
        else:
            line += _named([value for value in values if not isinstance(value, _AmountCell)], kinds) + after
    return line


def _named(lists: Sequence[tuple[str, ...]], kinds: Mapping[str, str]) -> str:
    """Return a few names that are the same for all, else how many there are."""
    if len(set(lists)) == 1 and len(lists[0]) <= FEW:
        return ", ".join(lists[0])
    said = units.ranged(map(len, lists), "{:.0f}".format)
    return f"{said} {kinds.get(lists[0][0], 'layer')}{'' if said == '1' else 's'}"


def _range(values: Sequence[_AmountCell]) -> str:
    low, high = min(values), max(values)
    if low.value == high.value:
        return low.text
    number, space, unit = low.text.partition(" ")
    return f"{number if space and high.text.endswith(f' {unit}') else low.text} to {high.text}"
