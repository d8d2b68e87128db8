from __future__ import annotations

import pytest
from conftest import require

from mbench.core.errors import MeasureError
from mbench.hardware import cudart


@pytest.fixture
def runtime() -> cudart.Runtime:
    """Return NVIDIA's own library, which loads without a driver."""
    try:
        return cudart.Runtime()
    except cudart.CudaError as error:
        require(False, str(error))
        raise


def test_it_is_the_version_that_tvm_is_linked_against(runtime: cudart.Runtime) -> None:
    assert runtime.versions()[1] // 1000 == 13


def test_without_a_driver_every_call_says_so_in_one_line(runtime: cudart.Runtime) -> None:
    if runtime.versions()[0]:
        start = runtime.record()
        runtime.hold(2e-3)
        stop = runtime.record()
        runtime.wait()
        assert 1e-3 < runtime.seconds(start, stop) < 1
        return
    for call in (runtime.record, runtime.wait, runtime.free_bytes, lambda: runtime.hold(1e-3)):
        with pytest.raises(cudart.CudaError, match=r"^cuda\w+: CUDA reports cudaError\w+: [^\n]+$"):
            call()


def test_a_machine_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cudart, "_places", lambda: iter(["libcudart-that-is-not-there.so"]))
    with pytest.raises(
        cudart.CudaError, match=r"libcudart\.so\.13, which is not found; .* pip install nvidia-cuda-runtime"
    ):
        cudart.Runtime()


@pytest.mark.parametrize(
    ("raised", "said"),
    [
        (
            "CUDA Runtime Error: cudaErrorMemoryAllocation (2): out of memory",
            "out of device memory at batch 256; take",
        ),
        (
            "cuModuleLoadData(&(module_[device_id]), code_.data()) failed with error: CUDA_ERROR_OUT_OF_MEMORY",
            "out of device memory at batch 256; take",
        ),
        (
            "CUDALaunch Error: CUDA_ERROR_UNKNOWN\n grid=(1,1,1)\n// CUDA Source\n#include <cuda_fp16.h>",
            "the GPU was lost while it was in use: CUDALaunch Error: CUDA_ERROR_UNKNOWN; see dmesg",
        ),
        (
            "CUDA Runtime Error: cudaErrorIllegalAddress (700): an illegal memory access",
            "CUDA Runtime Error: cudaErrorIll",
        ),
    ],
)
def test_what_tvm_raises_is_said_in_one_line(raised: str, said: str) -> None:
    meant = cudart.explained(RuntimeError(raised), "batch 256")
    assert isinstance(meant, MeasureError)
    assert str(meant).startswith(said)
    assert "\n" not in str(meant)


def test_what_is_not_cudas_stays_what_it_is() -> None:
    with pytest.raises(RuntimeError, match="no such function"), cudart.explaining("batch 1"):
        raise RuntimeError("no such function")
    with pytest.raises(MeasureError, match="out of device memory at batch 1; "), cudart.explaining("batch 1"):
        raise RuntimeError("CUDA Runtime Error: cudaErrorMemoryAllocation (2): out of memory")
