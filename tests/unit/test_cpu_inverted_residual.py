from __future__ import annotations

import functools
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import fused_cases
import kernel_cases as kernels
import planted_faults
import pytest
from fused_cases import Residual
from hypothesis import given
from hypothesis import strategies as st
from kernel_cases import AVX2
from planted_faults import Fault

from mbench.compile import parallel
from mbench.compile.machine import KernelMachine
from mbench.compile.schedules.cpu import columns

X86 = {name: kernels.MACHINES[name] for name in ("sse", "avx2", "avx512")}
CHANNELS = st.sampled_from([2, 3, 8, 16, 20, 24, 44, 72, 96])


@st.composite
def residuals(draw: st.DrawFn) -> Residual:
    stages = draw(st.sampled_from(["all", "all", "no expand", "no project"]))
    stride, inputs = draw(st.sampled_from([1, 2])), draw(CHANNELS)
    expanded = 0 if stages == "no expand" else draw(CHANNELS)
    outputs = 0 if stages == "no project" else draw(CHANNELS)
    adds = stages == "all" and stride == 1 and draw(st.booleans())
    return Residual(
        batch=draw(st.integers(1, 3)),
        height=draw(st.sampled_from([1, 2, 3, 5, 7, 10, 14])),
        width=draw(st.sampled_from([1, 2, 3, 5, 7, 12, 15, 28])),
        inputs=inputs,
        expanded=expanded,
        outputs=inputs if adds else outputs,
        kernel=draw(st.sampled_from([3, 5])),
        stride=stride,
        across=0 if adds else draw(st.sampled_from([0, 0, 1, 2])),
        sides=None if adds else draw(st.sampled_from([None, None, (2, 2, 2, 2), (1, 2, 3, 4)])),
        activation=draw(st.sampled_from(["relu", "relu6", "hard_swish"])),
        adds=adds,
    )


@kernels.repeatable(16)
@given(data=st.data(), block=residuals(), machine=st.sampled_from(sorted(X86)))
def test_inverted_residuals_are_what_torch_computes(data: st.DataObject, block: Residual, machine: str) -> None:
    parameters = dict(data.draw(st.sampled_from(fused_cases.candidates(block, X86[machine])), label="candidate"))
    assert block.output_shape[1] > 0
    steps = block.batch * block.output_shape[1] // parameters["lines"]
    parameters["line_parts"] = data.draw(st.integers(1, steps), label="parts")
    fused_cases.check(block, X86[machine], parameters)


@pytest.mark.parametrize("lines", [1, 2, 7])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("parts", [1, 2])
def test_lines_made_at_a_time(lines: int, stride: int, parts: int) -> None:
    block = Residual(batch=2, height=7 * stride, width=9, expanded=20, stride=stride)
    if block.output_shape[1] % lines:
        block = Residual(batch=2, height=8 * stride, width=9, expanded=20, stride=stride)
    tiles = {"rows": 3, "vectors": 2, "expand_rows": 4, "expand_vectors": 3, "project_rows": 5, "project_vectors": 1}
    fused_cases.check(block, AVX2, {"lines": lines, "line_parts": parts, **tiles})


def test_threads_share_the_lines_and_not_the_ring() -> None:
    folder = Path(fused_cases.__file__).parent
    paths = os.pathsep.join(filter(None, (str(folder), os.environ.get("PYTHONPATH"))))
    environment = {**os.environ, "TVM_NUM_THREADS": "3", "PYTHONPATH": paths}
    done = subprocess.run(
        [sys.executable, folder / "fused_cases.py"], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    rows = [line.split() for line in done.stdout.splitlines()]
    assert [row[:2] for row in rows] == [["3", "True"], ["2", "True"], ["1", "True"]]
    assert len({bits for *_, bits in rows}) == 1


def test_each_thread_allocates_its_own_arrays() -> None:
    (parameters, *_) = fused_cases.candidates(fused_cases.SHARED, AVX2)
    library = kernels.compiled(fused_cases.built(fused_cases.SHARED, AVX2, parameters).function)
    functions = library.inspect_source("ll").split("\ndefine ")
    inside = [text for text in functions if "parallel_lambda" in text.splitlines()[0]]
    allocating = [text for text in functions if "BackendAllocWorkspace, " in text and "call" in text]
    assert allocating == inside


def test_threads_are_started_once_where_there_is_work_for_them() -> None:
    small = Residual(height=4, width=4)
    for block, loops in ((fused_cases.SHARED, 1), (small, 0)):
        (parameters, *_) = fused_cases.candidates(block, AVX2)
        assert parallel.parallel_loops(fused_cases.built(block, AVX2, parameters).function) == loops


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"lines": 2}, "does not fit"),
        ({"rows": 8}, "does not fit"),
        ({"vectors": 4}, "does not fit"),
        ({"line_parts": 8}, "more than"),
        ({"expand_rows": 0}, "positive"),
    ],
)
def test_parameters_that_do_not_fit_are_refused(wrong: Mapping[str, int], why: str) -> None:
    (parameters, *_) = fused_cases.candidates(Residual(), AVX2)
    with pytest.raises(ValueError, match=why):
        fused_cases.built(Residual(), AVX2, {**parameters, **wrong})


@pytest.mark.parametrize("machine", [kernels.NEON])
def test_it_is_offered_where_it_was_measured_alone(machine: KernelMachine) -> None:
    assert not fused_cases.candidates(Residual(), machine)


# ------------------------------------------------------------------------------------------------------- planted faults
_panels, _pack = columns.panels, columns.pack
BLOCK = Residual(height=7, width=9, inputs=12, expanded=56, outputs=44)
FAULTS = {
    "a panel dropped": Fault(columns, "panels", lambda *given: _panels(*given)[:-1], "not written|are wrong"),
    "weights swapped": Fault(columns, "pack", lambda weights, split: _pack(weights[::-1], split), "are wrong"),
    **planted_faults.OF_TAPS,
    "a tile cut short": planted_faults.OF_TILES["a tile cut short"],
}


@functools.cache
def right() -> Mapping[str, int]:
    """Return the first choice for the block, which is right without a fault."""
    (parameters, *_) = fused_cases.candidates(BLOCK, AVX2)
    fused_cases.check(BLOCK, AVX2, parameters)
    return parameters


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_is_seen(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    parameters, fault = right(), FAULTS[name]
    monkeypatch.setattr(fault.where, fault.name, fault.planted)
    with pytest.raises(AssertionError, match=r"not written|are wrong"):
        fused_cases.check(BLOCK, AVX2, parameters)
