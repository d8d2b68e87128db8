"""Loops over tiles, compiled and run: each place is visited once, by whichever task, in tiles of its size."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tvm
from tvm import tirx
from tvm.script.ir_builder import IRBuilder
from tvm.script.ir_builder import tirx as T  # noqa: N812 - the name that TVM's script language has

from mbench.compile.schedules import emit
from mbench.compile.schedules.cpu import tile_loops, tiling
from mbench.compile.schedules.cpu.tiling import Cut

SPLITS = [(13, 4), (12, 4), (3, 8), (1, 1), (40, 7)]


def sizes_seen(extent: int, write: Callable[[Callable[[Any, int], None]], None]) -> list[int]:
    """Run what `write` writes, which visits tiles (start, size); return what was added up at each place: the sizes."""
    with IRBuilder() as builder, T.prim_func(is_private=False):
        T.func_attr({"global_symbol": "main", "tirx.noalias": True})
        seen = T.arg("seen", T.buffer((extent,), "int32"))

        def visit(start: Any, size: int) -> None:
            for place in range(size):
                T.buffer_store(seen, seen[start + place] + tirx.const(size, "int32"), [start + place])

        write(visit)
    run = tvm.compile(tvm.IRModule({"main": builder.get()}), target="llvm")
    found = tvm.runtime.tensor(np.zeros(extent, np.int32))
    run["main"](found)
    return [int(each) for each in found.numpy()]


def expected(extent: int, limit: int) -> list[int]:
    return [size for size in tiling.even_parts(extent, limit) for _ in range(size)]


@pytest.mark.parametrize(("extent", "limit"), SPLITS)
@pytest.mark.parametrize("parts", [1, 3])
def test_tasks_share_tiles(extent: int, limit: int, parts: int) -> None:
    split = Cut.of(extent, limit)

    def write(visit: Callable[[Any, int], None]) -> None:
        with emit.tasks(split.count, min(parts, split.count), 1, 1) as ((first, count), _):
            for start, size, _ in tile_loops.shared(split, first, count):
                visit(start, size)

    assert sizes_seen(extent, write) == expected(extent, limit)


def test_tiles_are_numbered() -> None:
    numbers: list[int] = []
    for _, _, number in tile_loops.shared(Cut.of(3, 2), 0, 2):
        numbers.append(number)  # of a tile of its size alone, no loop is written
    assert numbers == [0, 1]


@pytest.mark.parametrize(("extent", "limit"), SPLITS)
def test_every_tile_is_visited(extent: int, limit: int) -> None:
    def write(visit: Callable[[Any, int], None]) -> None:
        for start, size in tile_loops.every(extent, limit):
            visit(start, size)

    assert sizes_seen(extent, write) == expected(extent, limit)


@pytest.mark.parametrize(("extent", "limit"), SPLITS)
def test_one_tile_is_visited_by_its_number(extent: int, limit: int) -> None:
    split = Cut.of(extent, limit)

    def write(visit: Callable[[Any, int], None]) -> None:
        with T.serial(split.count) as number:
            for start, size in tile_loops.one(split, number):
                visit(start, size)

    assert sizes_seen(extent, write) == expected(extent, limit)
