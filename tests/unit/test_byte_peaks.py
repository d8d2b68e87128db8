"""The peak in multiply-adds of bytes: what the kernel executes, and how often; no clock is read."""

from __future__ import annotations

import re
from typing import Any

import msgspec
import numpy as np
import pytest
import tvm
from peak_place import SECONDS, Place

from mbench.core.errors import MeasureError
from mbench.core.machine_types import Target
from mbench.hardware import byte_instructions, targets
from mbench.measure import byte_peaks

TARGETS = ("x86_64_v2", "x86_64_v3", "x86_64_v4", "arm64_cortex_a72", "arm64_cortex_a76", "arm64_neoverse_v2")


def vnni() -> Target:
    target = targets.load("x86_64_v4")
    processor = msgspec.structs.replace(target.processor, requires=("avx512_vnni", "avx512vl", "avx512bw"))
    return msgspec.structs.replace(target, processor=processor, tvm={**target.tvm, "mcpu": "cascadelake"})


def assembly(target: Target) -> str:
    found = byte_instructions.of(target.family, target.processor)
    assert found is not None
    kernel = byte_peaks.kernel(found, 1, signed=target.family != "x86")
    module = tvm.compile(tvm.IRModule({"main": kernel}), target=tvm.target.Target(dict(target.tvm))).mod
    found_in = [module, *getattr(module, "imports", ())]
    return "\n".join(map(_source, found_in))


def _source(module: Any) -> str:
    try:
        return str(module.inspect_source("s"))
    except Exception:  # noqa: BLE001 - a module without code of its own
        return ""


@pytest.mark.parametrize("target", [*map(targets.load, TARGETS), vnni()], ids=lambda each: str(each.tvm["mcpu"]))
def test_each_chain_has_its_instruction_in_the_loop(target: Target) -> None:
    found = byte_instructions.of(target.family, target.processor)
    assert found is not None
    text = assembly(target)
    for name in found.mnemonics:
        pattern = name.removeprefix("v") if target.tvm["mcpu"] == "x86-64-v2" else name
        assert len(re.findall(rf"\b{pattern}\d?\b", text)) >= byte_peaks.CHAINS, name


@pytest.mark.parametrize("threads", [1, 2])
def test_the_kernel_does_all_of_the_work_that_is_counted(threads: int) -> None:
    """All numbers are ones: each sum says how many were multiplied into it, beside the one that it began with."""
    place, target = Place(), targets.load("host")
    found = byte_peaks.calibrate(target, threads, place=place)
    done = int((place.sums.astype(np.int64) - 1).sum())
    assert len(set(place.sums.tolist())) == 1
    assert found.flops_per_s == {"int8": pytest.approx(2 * done / SECONDS)}
    assert (found.threads, found.bytes_per_s) == (threads, {})
    way = byte_instructions.of(target.family, target.processor)
    assert way is not None
    assert way.mnemonics[0] in found.method


def test_a_target_that_is_known_to_multiply_no_bytes_has_no_peak() -> None:
    target = targets.load("x86_64_v2")
    bare = msgspec.structs.replace(target, processor=msgspec.structs.replace(target.processor, requires=()))
    with pytest.raises(MeasureError, match="no instructions that multiply bytes"):
        byte_peaks.calibrate(bare, 1)
