"""What is done to the rows of a matrix product first: right on every machine, and each thread in arrays of its own."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import kernel_cases as kernels
import planted_faults
import prologue_cases
import pytest
import tvm
from hypothesis import assume, given
from hypothesis import strategies as st
from kernel_cases import AVX2, AVX512, NEON, Conv
from planted_faults import Fault
from prologue_cases import FORMS, Gated

from mbench.compile import memory, parallel, tvm_passes
from mbench.compile.kernel import Kernel
from mbench.compile.kernel_kinds import Matmul
from mbench.compile.machine import KernelMachine
from mbench.compile.schedules import emit
from mbench.compile.schedules.cpu import matmul, prologue, tiling
from mbench.compile.schedules.cpu.prologue import ROWS, WEIGHTS, RowTasks
from mbench.compile.schedules.rule import KernelPlan

WAYS = (ROWS, WEIGHTS)


@st.composite
def gated(draw: st.DrawFn) -> Gated:
    inputs = draw(kernels.channels())
    adds = draw(st.booleans())
    return Gated(
        batch=draw(st.integers(1, 3)),
        height=draw(kernels.sides()),
        width=draw(kernels.sides()),
        inputs=inputs,
        outputs=inputs if adds else draw(kernels.channels()),
        form=draw(st.sampled_from(sorted(FORMS))),
        activation=draw(st.sampled_from([None, "relu", "hard_swish"])),
        adds=adds,
    )


@kernels.repeatable(16)
@given(data=st.data(), case=gated(), machine=kernels.machines())
def test_what_comes_before_a_product_is_what_torch_computes(
    data: st.DataObject, case: Gated, machine: KernelMachine
) -> None:
    assume(case.has_prologue)
    offered = prologue_cases.candidates(case, machine)
    assert offered
    by_way = [parameters for way in WAYS for parameters in offered[:200] if parameters["prologue"] == way]
    prologue_cases.check(case, machine, data.draw(st.sampled_from(by_way), label="parameters"))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("batch", [1, 2])
def test_weights_are_changed_only_where_all_rows_have_the_same_factors(form: str, batch: int) -> None:
    case = Gated(form=form, batch=batch)
    ways = {parameters["prologue"] for parameters in prologue_cases.candidates(case, AVX2)}
    alike = FORMS[form].by_channel and (batch == 1 or "constant" in form)
    assert ways == ({ROWS, WEIGHTS} if alike else {ROWS})


@pytest.mark.parametrize("machine", [AVX2, AVX512, NEON], ids=["avx2", "avx512", "neon"])
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("row_parts", [1, 3])
@pytest.mark.parametrize("panel_parts", [1, 2])
def test_tiles_of_two_sizes_and_panels_that_overlap(
    machine: KernelMachine, way: int, row_parts: int, panel_parts: int
) -> None:
    case = Gated(height=5, width=11, inputs=45, outputs=70, activation="hard_swish")
    parts = {"row_parts": row_parts, "panel_parts": panel_parts}
    prologue_cases.check(case, machine, {"rows": 6, "vectors": 2, **parts, "prologue": way})


@pytest.mark.parametrize("way", WAYS)
def test_weights_that_are_fetched_ahead_are_those_in_memory(way: int) -> None:
    case = Gated(height=12, width=5, inputs=128, outputs=89)
    small = dataclasses.replace(AVX2, l2_bytes=4096)
    parameters = {"rows": 10, "vectors": 2, "row_parts": 1, "panel_parts": 1, "prologue": way}
    assert "prefetch" in prologue_cases.built(case, small, parameters).function.script()
    prologue_cases.check(case, small, parameters)


# ------------------------------------------------------------------------------------------------------------- threads
def test_threads_share_the_rows_and_not_the_arrays() -> None:
    folder = Path(prologue_cases.__file__).parent
    paths = os.pathsep.join(filter(None, (str(folder), os.environ.get("PYTHONPATH"))))
    environment = {**os.environ, "TVM_NUM_THREADS": "3", "PYTHONPATH": paths}
    done = subprocess.run(
        [sys.executable, folder / "prologue_cases.py"], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    rows = [line.split() for line in done.stdout.splitlines()]
    wanted = [[str(count), str(way), "True"] for count in (3, 2, 1) for way in WAYS]
    assert [row[:3] for row in rows] == wanted
    assert len({(way, bits) for _, way, _, bits in rows}) == len(WAYS)


def allocates_in_threads(plan: KernelPlan) -> bool:
    """Whether the code that each thread runs allocates the arrays, and no other does."""
    functions = kernels.compiled(plan.function).inspect_source("ll").split("\ndefine ")
    inside = [text for text in functions if "parallel_lambda" in text.splitlines()[0]]
    allocating = [text for text in functions if "BackendAllocWorkspace, " in text and "call" in text]
    return bool(inside) and allocating == inside


@pytest.mark.parametrize("way", WAYS)
def test_each_thread_allocates_its_own_array(way: int) -> None:
    plan = prologue_cases.shared(way)
    assert allocates_in_threads(plan)
    unmarked = dataclasses.replace(plan, function=plan.function.without_attr(tvm_passes.OWN_ARRAYS))
    assert not allocates_in_threads(unmarked)  # TVM then makes it one array for all threads


@pytest.mark.parametrize("way", WAYS)
def test_threads_are_started_once_and_the_array_is_counted(way: int) -> None:
    plan, case = prologue_cases.shared(way), prologue_cases.SHARED
    assert parallel.parallel_loops(plan.function) == 1
    cut = tiling.Cut.of(case.height * case.width, 4)
    rows = max(
        sum(part.size for part in cut.parts for tile in range(part.begin, part.end) if tile * 6 // cut.count == task)
        for task in range(6)
    )
    elements = case.inputs * (rows if way == ROWS else 2 * AVX2.lanes())
    assert memory.workspace_bytes(plan.function) == 4 * elements


# -------------------------------------------------------------------------------------------------------- what is taken
def test_any_other_kernel_has_no_prologue() -> None:
    assert prologue.read(Kernel(Conv(kernel=1, padding=(0, 0, 0, 0)).function())) is None


@pytest.mark.parametrize(
    ("form", "wrong", "why"),
    [
        ("gate", {"prologue": 3}, "way 3 of a prologue is none of 1, 2"),
        ("a factor for each pixel", {"prologue": 2}, "way 2 of a prologue is none of 1"),
        ("gate", {"prologue": 0}, "positive"),
        ("gate", {"rows": 99}, "larger than"),
    ],
)
def test_parameters_that_do_not_fit_are_refused(form: str, wrong: Mapping[str, int], why: str) -> None:
    case = Gated(form=form)
    (parameters, *_) = prologue_cases.candidates(case, AVX2)
    with pytest.raises(ValueError, match=why):
        prologue_cases.built(case, AVX2, {**parameters, **wrong})


# --------------------------------------------------------------------------------------------------------------- model
def test_the_smaller_operand_is_changed() -> None:
    """Of 3136 rows and 24 columns the weights, of 49 rows and 160 columns the rows: fewer numbers to multiply."""
    for rows, reduction, columns, expected in ((3136, 72, 24, WEIGHTS), (49, 960, 160, ROWS)):
        (_, best), *_ = matmul.ranked(Matmul(rows=rows, reduction=reduction, columns=columns), AVX2, WAYS)
        assert best["prologue"] == expected


def test_what_is_changed_is_counted_by_hand() -> None:
    product = Matmul(rows=48, reduction=20, columns=44)
    parts = {"row_parts": 3, "panel_parts": 2}
    rows = [prologue.vectors(ROWS, product, **parts, cores=cores, lanes=8) for cores in (1, 2, 3, 6)]
    assert rows == [
        48 * 3,
        2 * 16 * 3,
        16 * 3,
        16 * 3,
    ]  # 20 channels are 3 vectors; 2 tasks in a row have the same rows
    weights = [prologue.vectors(WEIGHTS, product, **parts, cores=cores, lanes=8) for cores in (1, 2, 3, 6)]
    assert weights == [3 * 20 * 6, 1.5 * 20 * 6, 20 * 6, 20 * 3]  # 44 columns are 6 vectors, half of them a task's


def test_one_core_changes_each_row_once_though_tasks_share_the_columns() -> None:
    product = Matmul(rows=49, reduction=960, columns=160)
    given = {"rows": 5, "vectors": 2, "row_parts": 2, "panel_parts": 2}
    plain, one, other = (
        matmul.cycles_alone(product, {**given, **more}, AVX2)
        for more in ({}, {"prologue": ROWS}, {"prologue": WEIGHTS})
    )
    moved = 49 * 960 * 4 * (1 / 64 + 1 / 16)  # half of the rows is over a third of L2
    assert one - plain == pytest.approx(49 * 960 / 8 * prologue.VECTOR_CYCLES + moved)
    assert other > one


def test_a_prologue_costs_something_and_less_than_the_product() -> None:
    product = Matmul(rows=196, reduction=480, columns=112)
    plain = matmul.ranked(product, AVX2)[0][0]
    for way in WAYS:
        assert plain < matmul.ranked(product, AVX2, [way])[0][0] < 1.5 * plain


@pytest.mark.parametrize(("extent", "limit"), [(49, 14), (35, 4), (7, 7), (100, 3)])
@pytest.mark.parametrize("parts", [1, 2, 3, 5, 8])
def test_rows_of_tasks_are_those_of_their_tiles(extent: int, limit: int, parts: int) -> None:
    rows = RowTasks(cut=tiling.Cut.of(extent, limit), row_parts=parts, panel_parts=1)
    sizes = [part.size for part in rows.cut.parts for _ in range(part.begin, part.end)]
    assert [rows.first_row(tile) for tile in range(rows.cut.count + 1)] == [0, *itertools.accumulate(sizes)]
    tasks = [emit.part(task, parts, rows.cut.count) for task in range(parts)]
    assert rows.most_rows == max(sum(sizes[int(first) : int(first) + int(count)]) for first, count in tasks)


@pytest.mark.parametrize("row_parts", [1, 3, 20])
@pytest.mark.parametrize("cores", [1, 2])
def test_a_thread_writes_the_rows_of_its_next_task_only_if_they_are_others(row_parts: int, cores: int) -> None:
    """20 parts of 10 tiles: some have none, and their neighbours must not take theirs for written."""
    case = Gated(height=5, width=8, inputs=24, outputs=44)
    tvm.get_global_func("runtime.config_threadpool")(1, cores)
    parts = {"row_parts": row_parts, "panel_parts": 3}
    prologue_cases.check(case, AVX2, {"rows": 4, "vectors": 2, **parts, "prologue": ROWS})


# ------------------------------------------------------------------------------------------------------- planted faults
_write = prologue._ChangedRows._write
CASE = Gated(height=5, width=7, inputs=24, outputs=44)
PARAMETERS = {"rows": 4, "vectors": 2, "row_parts": 2, "panel_parts": 2}
NEXT_ROW = Fault(prologue._ChangedRows, "_write", lambda own, row, to: _write(own, row + 1, to), "not written")
FAULTS = {
    "rows first: each the next": (ROWS, NEXT_ROW),
    **{f"rows first: {name}": (ROWS, fault) for name, fault in planted_faults.OF_TILES.items()},
    **{f"weights first: {name}": (WEIGHTS, fault) for name, fault in planted_faults.OF_TILES.items()},
}


@functools.cache
def right(way: int) -> None:
    """Check that the case is right without a fault."""
    prologue_cases.check(CASE, AVX2, {**PARAMETERS, "prologue": way})


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_is_seen(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    way, fault = FAULTS[name]
    right(way)
    monkeypatch.setattr(fault.where, fault.name, fault.planted)
    with pytest.raises(AssertionError, match=r"are wrong|not written|outside of its output"):
        prologue_cases.check(CASE, AVX2, {**PARAMETERS, "prologue": way})


@pytest.mark.parametrize("way", WAYS)
def test_a_factor_that_is_forgotten_is_seen(monkeypatch: pytest.MonkeyPatch, way: int) -> None:
    def plain(own: prologue.Prologue, arrays: list[tvm.tirx.Buffer], row: object, start: int, channel: int) -> object:
        return own.source(arrays)[start + channel]

    monkeypatch.setattr(prologue.Prologue, "value", plain)
    monkeypatch.setattr(prologue.Prologue, "factor", lambda *_: tvm.tirx.const(1.0, "float32"))
    with pytest.raises(AssertionError, match="are wrong"):
        prologue_cases.check(CASE, AVX2, {**PARAMETERS, "prologue": way})
