from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kernel_cases import AVX2, AVX512

from mbench.compile.machine import KernelMachine
from mbench.compile.schedules.cpu import tiling


@given(extent=st.integers(1, 3000), limit=st.integers(1, 100))
def test_even_parts_are_as_few_as_do_and_as_even_as_can_be(extent: int, limit: int) -> None:
    sizes = tiling.even_parts(extent, limit)
    assert sum(sizes) == extent
    assert len(sizes) == -(-extent // limit)
    assert max(sizes) <= limit
    assert max(sizes) - min(sizes) <= 1
    assert sizes == sorted(sizes, reverse=True)


@given(extent=st.integers(1, 3000), limit=st.integers(1, 100))
def test_a_cut_covers_its_extent_once_and_in_order(extent: int, limit: int) -> None:
    cut = tiling.Cut.of(extent, limit)
    covered: list[int] = []
    for part in cut.parts:
        for tile in range(part.begin, part.end):
            covered += range(part.at(tile), part.at(tile) + part.size)
    assert covered == list(range(extent))
    assert [part.begin for part in cut.parts] == [0, *(part.end for part in cut.parts[:-1])]
    assert cut.parts[-1].end == cut.count
    assert len({part.size for part in cut.parts}) == len(cut.parts) <= 2
    assert all(part.begin < part.end for part in cut.parts)


@given(channels=st.integers(1, 3000), data=st.data())
def test_panels_cover_all_channels_and_none_beyond(channels: int, data: st.DataObject) -> None:
    width = data.draw(st.integers(1, min(channels, 128)))
    starts = tiling.panel_starts(channels, width)
    covered = {channel for start in starts for channel in range(start, start + width)}
    assert covered == set(range(channels))
    assert len(starts) == -(-channels // width)
    assert starts[:-1] == [width * number for number in range(len(starts) - 1)]  # as the kernels compute them


@given(channels=st.integers(1, 300), reduction=st.integers(1, 40), data=st.data())
def test_packing_puts_each_weight_where_its_panel_reads_it(channels: int, reduction: int, data: st.DataObject) -> None:
    width = data.draw(st.integers(1, min(channels, 32)))
    starts = tiling.panel_starts(channels, width)
    weights = np.arange(reduction * channels, dtype=np.float32).reshape(reduction, channels)
    packed = tiling.pack(weights, starts, width)
    assert packed.shape == (len(starts) * reduction * width,)
    for panel, start in enumerate(starts):
        k, lane = data.draw(st.integers(0, reduction - 1)), data.draw(st.integers(0, width - 1))
        assert packed[(panel * reduction + k) * width + lane] == weights[k, start + lane]


@given(channels=st.integers(1, 300), lanes=st.sampled_from([1, 2, 4, 8, 16]))
def test_the_vector_is_the_widest_that_the_channels_fill(channels: int, lanes: int) -> None:
    found = tiling.vector_lanes(channels, dataclasses.replace(AVX2, vector_bits=32 * lanes))
    assert found == max(width for width in (1, 2, 4, 8, 16) if width <= min(channels, lanes))


# --------------------------------------------------------------------------------------------------- lines of pixels
@given(
    inputs=st.integers(1, 60),
    kernel=st.integers(1, 7),
    stride=st.integers(1, 3),
    padding=st.integers(0, 3),
    limit=st.integers(1, 14),
)
def test_runs_cover_a_line_once_and_know_which_taps_are_padding(
    inputs: int, kernel: int, stride: int, padding: int, limit: int
) -> None:
    outputs = (inputs + 2 * padding - kernel) // stride + 1
    if outputs < 1:
        return
    padded = [False] * padding + [True] * inputs + [False] * padding
    runs = tiling.runs(
        outputs=outputs, inputs=inputs, kernel=kernel, stride=stride, padding=padding, limit=limit
    )  # fmt: skip
    covered: list[int] = []
    for run in runs:
        assert 1 <= run.size <= limit
        assert len(run.inside) == kernel
        for tile in range(run.count):
            first = run.start + tile * run.size
            covered += range(first, first + run.size)
            for kx, i in itertools.product(range(kernel), range(run.size)):
                assert run.inside[kx][i] == padded[(first + i) * stride + kx]
    assert covered == list(range(outputs))
    assert all(one.start + one.count * one.size == other.start for one, other in itertools.pairwise(runs))
    assert all((one.size, one.inside) != (other.size, other.inside) for one, other in itertools.pairwise(runs))


def test_a_long_line_has_few_bodies_of_code() -> None:
    runs = tiling.runs(outputs=112, inputs=112, kernel=3, stride=1, padding=1, limit=8)
    assert [(run.start, run.size, run.count) for run in runs] == [(0, 8, 1), (8, 8, 12), (104, 8, 1)]
    assert runs[0].inside == ((False, *(True,) * 7), (True,) * 8, (True,) * 8)
    assert runs[2].inside == ((True,) * 8, (True,) * 8, (*(True,) * 7, False))


# --------------------------------------------------------------------------------------------------- tasks and threads
def machine(cores: int) -> KernelMachine:
    return dataclasses.replace(AVX512, cores=cores)


@given(
    outer=st.lists(st.integers(1, 9), min_size=1, max_size=80),
    inner=st.integers(1, 100),
    cycles=st.floats(1, 1e8),
    moved_bytes=st.floats(0, 1e7),
    cores=st.sampled_from([1, 2, 3, 4, 8, 64]),
)
def test_grids_are_ordered_by_what_they_take_and_no_task_is_empty_or_tiny(
    outer: list[int], inner: int, cycles: float, moved_bytes: float, cores: int
) -> None:
    grids = tiling.grids(outer, inner, cycles, moved_bytes, machine(cores))
    assert grids
    assert any((grid.outer, grid.inner) == (1, 1) for grid in grids)
    assert len({(grid.outer, grid.inner) for grid in grids}) == len(grids)
    taken = [grid.cycles(cycles, moved_bytes) / cycles for grid in grids]
    assert all(later >= earlier - 0.011 for earlier, later in itertools.pairwise(taken))
    for grid in grids:
        tasks = grid.outer * grid.inner
        assert 1 <= grid.outer <= len(outer)
        assert 1 <= grid.inner <= inner
        assert tasks == 1 or cycles / tasks >= tiling.MIN_TASK_CYCLES
        assert 1 / min(cores, tasks) - 1e-9 <= grid.busiest <= 1 + 1e-9
        assert -1e-9 <= grid.fetched <= grid.busiest + 1e-9


@given(
    outer=st.lists(st.integers(1, 4), min_size=1, max_size=12),
    inner=st.integers(1, 8),
    cores=st.sampled_from([1, 2, 3, 4]),
    along_inner=st.booleans(),
)
def test_what_each_thread_does_and_fetches_is_what_counting_tells(
    outer: list[int], inner: int, cores: int, along_inner: bool
) -> None:
    for grid in tiling.grids(outer, inner, 1e9, 0.0, machine(cores), along_inner=along_inner):
        assert (grid.busiest, grid.fetched) == pytest.approx(counted(outer, inner, grid, cores, along_inner), abs=1e-9)


def counted(outer: list[int], inner: int, grid: tiling.Grid, cores: int, along_inner: bool) -> tuple[float, float]:
    """Count small squares, `1 / cores` of a unit of either loop: what a thread does, and what of it is not its own."""
    rows = [step for step, size in enumerate(outer) for _ in range(size * cores)]
    columns = [step for step in range(inner) for _ in range(cores)]
    part = [step_part(step, len(outer), grid.outer) for step in range(len(outer))]
    column_part = [step_part(step, inner, grid.inner) for step in range(inner)]
    tasks = grid.outer * grid.inner
    each = -(-tasks // cores)
    work, fetched = [0] * cores, [0] * cores
    for (y, row), (x, column) in itertools.product(enumerate(rows), enumerate(columns)):
        thread = (part[row] * grid.inner + column_part[column]) // each
        home = x * cores // len(columns) if along_inner else y * cores // len(rows)
        work[thread] += 1
        fetched[thread] += home != thread
    whole = len(rows) * len(columns)
    return max(work) / whole, max(fetched) / whole


def step_part(step: int, steps: int, parts: int) -> int:
    return next(part for part in range(parts) if steps * part // parts <= step < steps * (part + 1) // parts)


def test_the_busiest_share_is_that_of_the_tasks_laid_end_to_end() -> None:
    # 5 x 1 steps on two threads as two tasks: 2 and 3 steps; as five tasks no better
    shares = {(grid.outer, grid.inner): grid.busiest for grid in tiling.grids([1] * 5, 1, 1e6, 0.0, machine(2))}
    assert shares[1, 1] == 1
    assert shares[2, 1] == pytest.approx(3 / 5)
    # 3 x 2 steps in 3 x 2 tasks: three each
    grids = tiling.grids([1] * 3, 2, 1e6, 0.0, machine(2))
    assert {(grid.outer, grid.inner): grid.busiest for grid in grids}[3, 2] == pytest.approx(1 / 2)


def test_a_cut_that_leaves_data_where_they_are_beats_an_even_one() -> None:
    # three of five steps of pixels, or all of them and half of the channels, half of which the other core has
    def best(moved_bytes: float, *, along_inner: bool = False) -> tuple[int, int]:
        grid, *_ = tiling.grids([1] * 5, 2, 70_000, moved_bytes, machine(2), along_inner=along_inner)
        return grid.outer, grid.inner

    assert best(0.0) == (1, 2)
    assert best(800_000) == (2, 1)
    assert best(800_000, along_inner=True) == (1, 2)


def test_work_too_small_to_share_is_one_task() -> None:
    grids = tiling.grids([1] * 100, 10, 2 * tiling.MIN_TASK_CYCLES - 1, 0.0, machine(8))
    assert [(grid.outer, grid.inner) for grid in grids] == [(1, 1)]


def test_on_one_core_one_task_is_best_and_on_more_the_evenest() -> None:
    best = tiling.grids([1] * 64, 8, 1e7, 0.0, machine(1))[0]
    assert (best.outer, best.inner) == (1, 1)
    assert tiling.grids([1] * 64, 8, 1e7, 0.0, machine(8))[0].busiest == pytest.approx(1 / 8)
