"""Einstein's sums, such as `nchw,ndhw->ncd`, written as permutations and matrix products."""

from __future__ import annotations

import math

from mbench.networks.importers.graph_writer import GraphValue, GraphWriter, LayerError


def einsum(writer: GraphWriter, equation: str, *values: GraphValue) -> GraphValue:
    """Write a sum over the letters that the right side of an equation lacks.

    Args:
        writer: of the graph.
        equation: letters for the axes of each value, and for those of what comes out; without an arrow these are the
            letters that are there once, in the alphabet's order.
        values: as many as the equation has on its left side.

    Raises:
        LayerError: the equation has an ellipsis, or a letter twice for one value.
    """
    terms, right = _parsed(equation)
    if "." in equation or any(len(set(term)) < len(term) for term in (*terms, right)) or len(terms) != len(values):
        raise LayerError(f"its equation is {equation!r}; mbench knows letters, each once for a value, and no ellipsis")
    value, term = values[0], terms[0]
    for place in range(1, len(terms)):
        later = set("".join(terms[place + 1 :])) | set(right)
        value, term = _pair(writer, (value, term), (values[place], terms[place]), later)
    value, term = _without(writer, value, term, set(right))
    return writer.permuted(value, [term.index(letter) for letter in right])


def macs(equation: str, *shapes: tuple[int, ...]) -> int:
    """Return the multiply-adds of an equation, of values of these shapes, from the left to the right."""
    terms, right = _parsed(equation)
    sides: dict[str, int] = {}
    for term, shape in zip(terms, shapes, strict=True):
        sides.update(zip(term, shape, strict=True))
    total = 0
    letters = set(terms[0])
    for place in range(1, len(terms)):
        needed, new = set("".join(terms[place + 1 :])) | set(right), set(terms[place])
        met = (letters & (needed | new)) | (new & (needed | letters))
        total += math.prod(sides[letter] for letter in met)
        letters = met & needed
    return total


def _parsed(equation: str) -> tuple[list[str], str]:
    """Return the letters of each value, and of what comes out."""
    left, arrow, right = equation.replace(" ", "").partition("->")
    once = sorted(letter for letter in set(left) - {","} if left.count(letter) == 1)
    return left.split(","), right if arrow else "".join(once)


def _without(writer: GraphWriter, value: GraphValue, term: str, kept: set[str]) -> tuple[GraphValue, str]:
    """Return a value summed over the axes whose letters are not kept, and the letters that are left."""
    axes = [axis for axis, letter in enumerate(term) if letter not in kept]
    return writer.reduced("sum", value, axes, keepdims=False), "".join(letter for letter in term if letter in kept)


def _pair(
    writer: GraphWriter, first: tuple[GraphValue, str], second: tuple[GraphValue, str], later: set[str]
) -> tuple[GraphValue, str]:
    """Return two values multiplied, and summed over the letters of both that nothing needs later."""
    a, a_term = _without(writer, *first, later | set(second[1]))
    b, b_term = _without(writer, *second, later | set(a_term))
    sides = dict(zip(a_term, a.shape, strict=True)) | dict(zip(b_term, b.shape, strict=True))
    both = [letter for letter in a_term if letter in b_term]
    stacks = [letter for letter in both if letter in later]
    summed = [letter for letter in both if letter not in later]
    rows = [letter for letter in a_term if letter not in b_term]
    columns = [letter for letter in b_term if letter not in a_term]

    def extents(*groups: list[str]) -> tuple[int, ...]:
        return tuple(math.prod(sides[letter] for letter in group) for group in groups)

    left = writer.permuted(a, [a_term.index(letter) for letter in (*stacks, *rows, *summed)])
    right = writer.permuted(b, [b_term.index(letter) for letter in (*stacks, *summed, *columns)])
    product = writer.add(
        "matmul",
        writer.reshaped(left, extents(stacks, rows, summed)),
        writer.reshaped(right, extents(stacks, summed, columns)),
    )
    term = "".join((*stacks, *rows, *columns))
    return writer.reshaped(product, [sides[letter] for letter in term]), term
