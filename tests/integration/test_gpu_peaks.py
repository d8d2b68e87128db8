"""The kernels of the peaks: nvcc takes them for every target, and makes of them what they are there to measure."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tvm
from conftest import require

from mbench.hardware import targets
from mbench.measure import gpu_peaks

NAMES = [name for name in targets.available() if name.startswith("cuda")]
KERNELS = {
    "fma": gpu_peaks.fma_kernel(8),
    "mma": gpu_peaks.mma_kernel(8),
    "byte_mma": gpu_peaks.byte_mma_kernel(8),
    "read": gpu_peaks.read_kernel(8, 3, 5),
    "fill": gpu_peaks.fill_kernel(1000, 0.5, "float16"),
}


def source(name: str, kernel: Any) -> str:
    target = tvm.target.Target(dict(targets.load(name).tvm), host={"kind": "llvm"})
    with target:
        module = tvm.compile(tvm.IRModule({"main": kernel.with_attr("global_symbol", "main")}), target=target).mod
    return str(module.imports[0].inspect_source())


def compiled(name: str, kernel: Any, folder: Path) -> tuple[str, str]:
    """Return the PTX that nvcc makes of a kernel, and what ptxas says of its resources."""
    require(shutil.which("nvcc"), "nvcc is not on PATH")
    arch = str(targets.load(name).tvm["arch"])
    file = folder / "kernel.cu"
    file.write_text(source(name, kernel))
    common = ["nvcc", "-O3", "--use_fast_math", "-arch", arch, str(file), "-o"]
    subprocess.run([*common, str(folder / "kernel.ptx"), "--ptx"], check=True, capture_output=True)
    told = subprocess.run(
        [*common, str(folder / "kernel.cubin"), "--cubin", "-Xptxas", "-v"], check=True, capture_output=True, text=True
    )
    return (folder / "kernel.ptx").read_text(), told.stderr + told.stdout


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kernel", ["fma", "mma", "byte_mma", "read"])
def test_nvcc_keeps_all_in_registers(name: str, kernel: str, tmp_path: Path) -> None:
    _, told = compiled(name, KERNELS[kernel], tmp_path)
    assert "0 bytes spill stores, 0 bytes spill loads" in told
    assert "0 bytes stack frame" in told
    (registers,) = (int(found) for found in re.findall(r"Used (\d+) registers", told))
    blocks = 65536 // (registers * gpu_peaks.THREADS)
    assert blocks >= 2, "at least two blocks of threads share a multiprocessor"


@pytest.mark.slow
def test_the_loops_hold_what_is_counted(tmp_path: Path) -> None:
    fma, _ = compiled("cuda_sm90", KERNELS["fma"], tmp_path)
    mma, _ = compiled("cuda_sm90", KERNELS["mma"], tmp_path)
    read, _ = compiled("cuda_sm90", KERNELS["read"], tmp_path)
    assert len(re.findall(r"\bfma\.rn\S*\.f32", fma)) % 8 == 0
    assert len(re.findall(r"\bfma\.rn\S*\.f32", fma)) >= 8
    assert not re.findall(r"\bmul\.\S*f32", fma), "multiplication and addition are one instruction"
    assert len(re.findall(r"mma\.sync\.aligned\.m16n8k16\.row\.col\.f32\.f16\.f16\.f32", mma)) % 8 == 0
    assert "mma.sync" in mma
    byte_mma, _ = compiled("cuda_sm90", KERNELS["byte_mma"], tmp_path)
    found = re.findall(r"mma\.sync\.aligned\.m16n8k32\.row\.col\.s32\.u8\.s8\.s32", byte_mma)
    assert found
    assert len(found) % 8 == 0
    wide = len(re.findall(r"ld\.global\S*\.v4", read))
    assert wide
    assert len(re.findall(r"ld\.global", read)) == wide, "every load is of 16 bytes"


def test_operations_are_counted_as_the_hardware_does_them() -> None:
    assert gpu_peaks.fma_flops(2, steps=3) == 2 * 256 * 8 * 3 * 2
    assert gpu_peaks.mma_flops(2, steps=3) == 2 * 8 * 8 * 3 * (2 * 16 * 8 * 16)
    assert gpu_peaks.byte_mma_operations(2, steps=3) == 2 * 8 * 8 * 3 * (2 * 16 * 8 * 32)


@pytest.mark.parametrize("name", NAMES)
def test_what_l2_delivers_fits_into_it_and_what_dram_delivers_does_not(name: str) -> None:
    target = targets.load(name)
    assert target.processor.l2 is not None
    assert target.memory_bytes is not None
    l2_bytes = int(target.processor.l2.bytes.value)
    sizes = gpu_peaks.working_sets(l2_bytes, int(target.memory_bytes.value))
    blocks = target.processor.cores * gpu_peaks.BLOCKS_PER_SM
    read = {level: gpu_peaks.tiles(size, blocks) * blocks * 4 * 256 * 16 for level, size in sizes.items()}
    assert l2_bytes / 4 <= read["L2"] <= l2_bytes / 2 * 1.001
    assert read["DRAM"] >= 8 * l2_bytes * 0.99


def test_little_memory_is_not_filled() -> None:
    assert gpu_peaks.working_sets(2**20, 2**30)["DRAM"] == 2**28


def test_the_kernels_compute_what_they_say() -> None:
    """The same loops, thread by thread, on the CPU: a thread's bindings become loops."""
    x = np.array([0.5] * 10, dtype="float32")
    value = np.float32(0.5)
    for _ in range(4):
        value = np.float32(value * np.float32(0.5) + np.float32(0.5))
    y = run_on_cpu(gpu_peaks.fma_kernel(2, steps=4), x, np.zeros((2, 256, 8), "float32"))
    assert y == pytest.approx(np.full((2, 256, 8), value))
    data = np.random.default_rng(1).random((2, 3, 4, 256, 4), dtype="float32")
    sums = run_on_cpu(gpu_peaks.read_kernel(2, 3, 2), data, np.zeros((2, 256, 4), "float32"))
    whole = data.sum(axis=(1, 2))
    assert sums == pytest.approx(np.stack([whole.sum(axis=0)] * 2), rel=1e-5)


def run_on_cpu(kernel: Any, given: np.ndarray, result: np.ndarray) -> np.ndarray:
    text = re.sub(r'T\.thread_binding\((\d+), thread="\w+\.x"\)', r"range(\1)", kernel.script())
    assert text.count("range(") >= 2
    loops = tvm.script.from_source(text).with_attr("global_symbol", "main")
    module = tvm.compile(tvm.IRModule({"main": loops}), "llvm").mod
    arrays = [tvm.runtime.tensor(array, tvm.cpu()) for array in (given, result)]
    module["main"](*arrays)
    return np.asarray(arrays[1].numpy())
