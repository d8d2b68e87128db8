"""The peak in multiply-adds of bfloat16: what the kernel executes, and how often; no clock is read."""

from __future__ import annotations

import re

import pytest
import tvm
from pair_layers import runs_here
from peak_place import SECONDS, Place

from mbench.core.errors import MeasureError
from mbench.hardware import targets
from mbench.measure import byte_peaks, pair_peaks


def test_each_chain_has_its_instruction_in_the_loop() -> None:
    target = targets.load("x86_64_v4_bf16")
    module = tvm.IRModule({"main": pair_peaks.kernel(16, 1)})
    built = tvm.compile(module, target=tvm.target.Target(target.tvm_options)).mod
    text = "".join(str(each.inspect_source("s")) for each in (built, *built.imports) if each.kind == "llvm")
    assert len(re.findall(r"\bvdpbf16ps\b.*%zmm", text)) >= byte_peaks.CHAINS


@runs_here
@pytest.mark.parametrize("threads", [1, 2])
def test_the_kernel_does_all_of_the_work_that_is_counted(threads: int) -> None:
    """All numbers are ones: each sum says how many were multiplied into it."""
    place = Place()
    found = pair_peaks.calibrate(targets.load("host"), threads, place=place)
    assert len(set(place.sums.tolist())) == 1
    assert found.flops_per_s == {"bfloat16": pytest.approx(2 * place.sums.sum(dtype=float) / SECONDS)}
    assert found.threads == threads
    assert "vdpbf16ps" in found.method


def test_a_target_without_the_instruction_has_no_peak() -> None:
    with pytest.raises(MeasureError, match="target 'x86_64_v4_vnni' has no dot product of bfloat16"):
        pair_peaks.calibrate(targets.load("x86_64_v4_vnni"), 1)
