"""Quotients by a constant: products where nobody can see it, quotients where a number would jump."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from network_files import error, imported, model, node, operations

from mbench.networks.importers import quotients

DIVISOR = {"d": [3.0]}
JUMPS: dict[str, list[Any]] = {
    "floor": [node("Div", "x d", "q"), node("Floor", "q")],
    "rounded by hand": [node("Div", "x d", "q"), node("Add", "q half", "s"), node("Floor", "s")],
    "through a move": [node("Div", "x d", "q"), node("Transpose", "q", "t", perm=[0, 2, 1, 3]), node("Round", "t")],
    "to whole numbers": [node("Div", "x d", "q"), node("Cast", "q", "i", to=7), node("Cast", "i", to=1)],
    "a place": [node("Div", "x d", "q"), node("ArgMax", "q", "i", axis=1), node("Cast", "i", to=1)],
}


@pytest.mark.parametrize("name", JUMPS)
def test_what_jumps_is_divided(tmp_path: Path, name: str) -> None:
    made = model(JUMPS[name], constants={**DIVISOR, "half": [0.5]})
    found = imported(tmp_path, made)
    assert "divide" in operations(found)
    assert not {"scale", "multiply"} & set(operations(found))
    assert error(found) == 0


def test_whole_multiples_of_the_divisor_keep_their_floor(tmp_path: Path) -> None:
    """Oracle: 41 times n, divided by 41. The product with float32(1 / 41) is below n for some n."""
    whole = np.arange(1, 193, dtype=np.float32).reshape(1, 4, 6, 8)
    assert (np.floor(whole * 41 * np.float32(1 / 41)) != whole).any()
    found = imported(tmp_path, model([node("Div", "x d", "q"), node("Floor", "q")], constants={"d": [41.0]}))
    [floor] = found.run({"x": whole * 41})
    np.testing.assert_array_equal(floor, whole)
    assert operations(found) == ["divide", "floor"]


def test_what_does_not_jump_is_multiplied(tmp_path: Path) -> None:
    found = imported(tmp_path, model([node("Div", "x d", "q"), node("Sigmoid", "q")], constants=DIVISOR))
    assert operations(found) == ["scale", "sigmoid"]
    assert error(found) < 1e-6
    exact = imported(tmp_path, model([node("Div", "x d", "q"), node("Floor", "q")], constants={"d": [4.0]}))
    assert operations(exact) == ["scale", "floor"], "a power of 2"


@pytest.mark.parametrize(
    ("divisor", "expected"),
    [([2.0, 4.0], [0.5, 0.25]), ([3.0], [np.float32(1 / 3)]), ([0.0, 1.0], None), ([1e-45], None), ([3e38], None)],
)
def test_a_reciprocal_has_full_precision_or_is_none(divisor: list[float], expected: list[float] | None) -> None:
    found = quotients.reciprocal(np.array(divisor, np.float32))
    assert found is None if expected is None else np.array_equal(found, np.array(expected, np.float32))  # type: ignore[arg-type]
