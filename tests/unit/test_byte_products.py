"""The model that ranks tiles of products of bytes, against what can be worked out by hand."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from mbench.compile.kernel_kinds import Matmul
from mbench.compile.machine import KernelMachine
from mbench.compile.schedules.cpu.byte_products import ByteProduct
from mbench.compile.schedules.cpu.dots import DotProduct
from mbench.hardware import targets

NAMES = ("rows", "vectors", "row_parts", "panel_parts")
ONE_CORE = dataclasses.replace(KernelMachine.of(targets.load("arm64_cortex_a76")), cores=1)


class OneCycle(DotProduct):
    """An instruction with which every tile takes a cycle."""

    def summed(self, total: Any, operand: Any, weights: Any, lanes: int) -> Any:
        raise AssertionError("nothing is written here")

    def tile_cycles(self, rows: int, vectors: int, steps: int) -> float:
        return 1.0


def product(*, lanes: int = 4, **changes: Any) -> ByteProduct:
    matmul = Matmul(rows=8, reduction=4096, columns=16, dtype="uint8")
    dot = OneCycle(name="none", lanes=(4,), registers=32)
    given: dict[str, Any] = {"matmul": matmul, "dot": dot, "units": 8, "steps": 1024, "names": NAMES, **changes}
    return ByteProduct(lanes=lanes, **given)


def cycles(found: ByteProduct, l1_bytes: int, **tile: int) -> float:
    """Return the cycles of a tile on one core."""
    machine = dataclasses.replace(ONE_CORE, l1_bytes=l1_bytes)
    return next(each for each, parameters in found.ranked(machine) if tile.items() <= parameters.items())


def test_weights_that_the_first_cache_keeps_cost_no_more_than_the_tiles() -> None:
    assert cycles(product(), 2**20, rows=1, vectors=1) == 8 * 4
    assert cycles(product(), 2**20, rows=4, vectors=2) == 2 * 2
    assert cycles(product(once=100.0), 2**20, rows=4, vectors=2) == 104


def test_others_are_read_once_for_each_tile_of_rows() -> None:
    panel_bytes = 4096 * 4
    assert cycles(product(), panel_bytes, rows=1, vectors=1) == 4 * (8 + 8 * panel_bytes / 64)
    assert cycles(product(), panel_bytes, rows=4, vectors=2) == 2 * (2 + 2 * 2 * panel_bytes / 64)


@pytest.mark.parametrize("machine", [ONE_CORE, dataclasses.replace(ONE_CORE, cores=4)])
def test_tiles_fit_and_the_quickest_come_first(machine: KernelMachine) -> None:
    ranked = product(units=4).ranked(machine)
    taken = [each for each, _ in ranked]
    assert taken == sorted(taken)
    assert {tuple(parameters) for _, parameters in ranked} == {NAMES}
    assert {parameters["rows"] for _, parameters in ranked} == {1, 2, 3, 4}
    assert {parameters["vectors"] for _, parameters in ranked} == {1, 2, 3, 4}


def test_columns_that_fill_no_register_have_no_tiles() -> None:
    assert product(lanes=0).ranked(ONE_CORE) == []
