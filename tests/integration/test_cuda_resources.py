"""Whole networks through the rules for GPUs and nvcc, for each architecture: nothing spilled, nothing over a limit."""

from __future__ import annotations

import functools
import shutil
from collections.abc import Iterable
from pathlib import Path

import cuda_on_cpu
import cuda_resources
import pytest
import tvm
from conftest import require
from kernel_cases import Conv
from tvm import tirx

from mbench.compile import to_relax
from mbench.compile.schedules.dispatch import schedule_all
from mbench.compile.schedules.gpu import FLOATS as DTYPES
from mbench.compile.schedules.gpu import tiles
from mbench.compile.schedules.rule import Scheduled
from mbench.hardware import targets
from mbench.networks import variants, weights
from mbench.tuning import candidates

NETWORKS = [
    "mobilenet_v1_0.25_96",
    "mobilenet_v1_0.25_96_standard",
    "mobilenet_v1_1.0_224",
    "mobilenet_v1_1.0_224_standard",
]
CASES = [(network, 1, "float32", "cuda_sm80") for network in NETWORKS]
CASES += [(network, 1, "float32", "cuda_sm90") for network in NETWORKS[2:]]
CASES += [("mobilenet_v1_1.0_224", 1, dtype, target) for dtype in DTYPES for target in ("cuda_sm87", "cuda_sm89")]
CASES += [("mobilenet_v1_1.0_224", 64, dtype, "cuda_sm90") for dtype in DTYPES]
CASES += [("mobilenet_v1_1.0_224_standard", 1, "float16", "cuda_sm90")]
CASES += [("mobilenet_v2_1.0_96", 1, "int8", "cuda_sm87"), ("mobilenet_v3_small_1.0_96", 16, "int8", "cuda_sm90")]
"""The oldest and the newest take most; what differs between architectures shows in one network."""


@functools.lru_cache(maxsize=1)
def kernels_of(network: str, batch: int, dtype: str) -> list[tuple[str, tirx.PrimFunc]]:
    graph = weights.compiled_graph(variants.parse(network, batch=batch, dtype=dtype))
    return to_relax.kernel_calls(to_relax.lower(graph).module)


def scheduled(network: str, batch: int, dtype: str, target: str) -> dict[str, Scheduled]:
    return schedule_all(kernels_of(network, batch, dtype), cuda_on_cpu.machine(target))


def functions_of(made: Iterable[tuple[str, Scheduled]]) -> dict[str, tirx.PrimFunc]:
    return {name: kernel.plan.function for name, kernel in made}


@pytest.mark.slow
@pytest.mark.parametrize(("network", "batch", "dtype", "target"), sorted(CASES))
def test_no_kernel_spills_or_is_over_a_limit(network: str, batch: int, dtype: str, target: str) -> None:
    require(shutil.which("nvcc"), "needs nvcc")
    made = scheduled(network, batch, dtype, target)
    assert {name: kernel.reason for name, kernel in made.items() if kernel.rule == "fallback"} == {}
    assert cuda_resources.complaints(functions_of(made.items()), target) == {}


@pytest.mark.slow
def test_bytes_are_multiplied_by_tensor_cores_and_dot_products_and_nothing_is_contracted() -> None:
    """Only where a residual is added is there a multiplication and an addition that are rounded once."""
    require(shutil.which("nvcc"), "needs nvcc")
    functions = functions_of(scheduled("mobilenet_v2_1.0_96", 1, "int8", "cuda_sm87").items())
    found = cuda_resources.ptx(functions, "cuda_sm87")
    assert found.keys() == functions.keys()
    for name, code in found.items():
        fused = "fma.rn" in code
        assert fused == ("requantize" in name and functions[name].params[-2].dtype == "uint8"), name
        if "depthwise" in name:
            assert "dp4a.u32.s32" in code, name
        elif "conv2d" in name:
            assert "mma.sync.aligned.m16n8k32.row.col.s32.u8.s8.s32" in code, name
    assert any("fma.rn" in code for code in found.values())


def test_what_tuning_would_try_is_compiled(tmp_path: Path) -> None:
    require(shutil.which("nvcc"), "needs nvcc")
    layer = Conv(height=14, width=14, inputs=64, channels=128, kernel=1, padding=(0, 0, 0, 0))
    function, target = tvm.ir.save_json(layer.function()), targets.load("cuda_sm80")
    default, others = candidates.tiles(function, target, 4)
    assert default.rule == "gpu.matmul"
    assert {other.rule for other in others} == {"gpu.matmul", "gpu.convolution"}
    assert len({other.tile for other in others} | {default.tile}) >= 5
    candidates.compile_candidate(function, target, others[0], str(tmp_path / "candidate.so"))
    assert b"kernel_kernel(" in (tmp_path / "candidate.so").read_bytes()


# ----------------------------------------------------------------------------------------------------- that it can fail
TOO_LARGE = {
    "halves": {"rows": 128, "columns": 128, "depth": 128, "slices": 1, "warp_rows": 32, "warp_columns": 32},
    "spilled": {"rows": 128, "columns": 128, "thread_rows": 16, "thread_columns": 32, "depth": 8, "slices": 1},
    "shared": {"rows": 128, "columns": 128, "thread_rows": 8, "thread_columns": 8, "depth": 64, "slices": 1},
}


@pytest.mark.parametrize("case", TOO_LARGE)
def test_a_tile_that_is_too_large_is_seen(monkeypatch: pytest.MonkeyPatch, case: str) -> None:
    require(shutil.which("nvcc"), "needs nvcc")
    dtype = "float16" if case == "halves" else "float32"
    layer = Conv(height=28, width=28, inputs=128, channels=128, kernel=1, padding=(0, 0, 0, 0), dtype=dtype)
    with pytest.raises(ValueError, match="over the GPU's limits"):
        cuda_on_cpu.plan("gpu.matmul", layer, parameters=TOO_LARGE[case])
    monkeypatch.setattr(tiles.Tile, "fits", lambda _self, _limits: True)
    function = cuda_on_cpu.plan("gpu.matmul", layer, parameters=TOO_LARGE[case]).function
    try:
        seen = cuda_resources.complaints({"large": function}, "cuda_sm80")["large"]
    except AssertionError as refused:
        seen = str(refused)  # ptxas itself refuses more shared memory than a block has
    assert {"spilled": "bytes spilled"}.get(case, "too much shared data") in seen
