"""The one table of types, and that no other module has one."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

import mbench
from mbench.core import dtypes
from mbench.core.errors import UsageError
from mbench.core.records import Counters
from mbench.hardware import target_file

PACKAGE = Path(mbench.__file__).parent
HOME = PACKAGE / "core" / "dtypes.py"
TYPES = {*dtypes.NAMES, *dtypes.FIGURES}


def typed(node: ast.expr | None) -> bool:
    """Return whether an expression is a type's name."""
    return isinstance(node, ast.Constant) and node.value in TYPES


def number(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, int | float)


def tables(source: str) -> Iterator[int]:
    """Yield the lines that give numbers by type: a dictionary, or `2 if dtype == "float16" else 4`."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Dict):
            if any(typed(key) and number(value) for key, value in zip(node.keys, node.values, strict=True)):
                yield node.lineno
        elif (
            isinstance(node, ast.IfExp)
            and isinstance(node.test, ast.Compare)
            and any(map(typed, (node.test.left, *node.test.comparators)))
            and number(node.body)
        ):
            yield node.lineno


@pytest.mark.parametrize("name", dtypes.NAMES)
def test_a_type_is_as_numpy_says(name: str) -> None:
    dtype, there = dtypes.of(name), np.dtype(getattr(ml_dtypes, name, dtypes.of(name).numpy))
    assert dtype.bytes == there.itemsize
    assert dtype.lanes(512) == dtypes.lanes(name, 512) == 64 // there.itemsize
    exact = dtype.name not in dtypes.FLOATS
    assert (0 if exact else ml_dtypes.finfo(there).eps) <= dtype.kernel_tolerance <= dtype.network_tolerance < 0.5
    assert dtypes.width(dtype.accumulator) >= dtype.bytes
    assert dtype.floats in dtypes.FLOATS
    assert name in dtypes.FIGURES


@pytest.mark.parametrize("name", dtypes.NAMES)
def test_a_type_leads_to_energies_and_to_counters(name: str) -> None:
    energy = target_file.default_energy()
    assert {dtypes.of(name).energy} <= energy.multiply_j.keys() & energy.add_j.keys()
    assert dtypes.of(name).operations in Counters.__struct_fields__


@pytest.mark.parametrize(("name", "expected"), [("int8", 64), ("bfloat16", 32), ("float64", 8), ("text", None)])
def test_lanes_of_what_networks_cannot_have_yet(name: str, expected: int | None) -> None:
    assert dtypes.lanes(name, 512) == expected


def test_a_type_that_is_not_supported() -> None:
    with pytest.raises(UsageError, match="'int4' is not supported; expected one of: float32, float16, bfloat16, int8"):
        dtypes.of("int4")


def test_several_types_are_named_with_commas() -> None:
    assert dtypes.several("float32,int8, float32") == ("float32", "int8")
    with pytest.raises(UsageError, match="dtype '' is not supported"):
        dtypes.several("int8,")


@pytest.mark.parametrize(
    ("name", "tolerance"), [("uint8", 0), ("int32", 0), ("int8", 0), ("bool", 0), ("float32", 1e-4)]
)
def test_whole_numbers_are_exact(name: str, tolerance: float) -> None:
    assert dtypes.kernel_tolerance(name) == tolerance


def test_sums_in_the_type_itself_may_be_twice_as_far_off() -> None:
    assert dtypes.kernel_tolerance("float16", sums="float16") == 2 * dtypes.kernel_tolerance("float16")
    assert dtypes.network_tolerance("float16", sums="float16") == 2 * dtypes.network_tolerance("float16")
    assert dtypes.network_tolerance("float16") == dtypes.of("float16").network_tolerance
    assert dtypes.kernel_tolerance("float32", sums="float16") == dtypes.kernel_tolerance("float32")
    assert dtypes.kernel_tolerance("int8", sums="int8") == 0


def test_no_other_module_has_a_table_of_types() -> None:
    found = {
        path.relative_to(PACKAGE).as_posix(): lines
        for path in PACKAGE.rglob("*.py")
        if path != HOME and (lines := list(tables(path.read_text(encoding="utf-8"))))
    }
    assert found == {}


@pytest.mark.parametrize(
    "planted", ['BYTES = {"float32": 4, "float16": 2}', 'width = 2 if dtype == "float16" else 4', 'x = {"int8": 1e-2}']
)
def test_a_table_elsewhere_is_found(planted: str) -> None:
    assert list(tables(f"import math\n\n{planted}\n")) == [3]


def test_operations_on_whole_numbers_are_called_so_and_lie_four_deep() -> None:
    assert [dtypes.operation(name) for name in ("float32", "float16", "int8", "later")] == [
        "FLOP",
        "FLOP",
        "OP",
        "FLOP",
    ]
    assert [dtypes.depth(name) for name in ("float32", "int8", "later")] == [1, 4, 1]
