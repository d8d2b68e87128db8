from __future__ import annotations

import importlib
from typing import Any

import pytest
from recorded_nvml import Recording

from mbench.core.machine_types import GpuConditions
from mbench.hardware import nvml


def device(name: str, **changes: Any) -> nvml.NvmlDevice:
    return nvml.open_device(Recording(name, **changes))


def test_a_gpu_is_described_in_si_units() -> None:
    gpu = device("h100").describe()
    assert (gpu.name, gpu.arch, gpu.driver, gpu.cuda) == ("NVIDIA H100 80GB HBM3", "sm_90", "580.82.07", "13.0")
    assert gpu.multiprocessors == 132, "NVIDIA H100 whitepaper: 132 SMs of 128 FP32 cores"
    assert gpu.memory_bytes == 85520809984
    assert (gpu.sm_clock_max_hz, gpu.memory_clock_max_hz, gpu.power_limit_w) == (1980e6, 2619e6, 700)
    assert gpu.missing == {}


def test_an_a100_has_64_lanes_a_multiprocessor() -> None:
    changes = {"nvmlDeviceGetCudaComputeCapability": [[8, 0]], "nvmlDeviceGetNumGpuCores": [6912]}
    assert device("h100", **changes).describe().multiprocessors == 108, "NVIDIA A100 whitepaper: 108 SMs, 6912 cores"


def test_conditions_in_si_units() -> None:
    assert device("h100").conditions() == GpuConditions(
        sm_clock_hz=1755e6, memory_clock_hz=2619e6, power_w=70.123, power_limit_w=700, temperature_c=34,
        memory_used_bytes=664600576, slowed_by=(),
    )  # fmt: skip


def test_energy_is_told_in_joules() -> None:
    assert device("h100").energy_j() == 1000


def test_what_holds_the_clocks_back_is_named_and_what_the_user_set_is_not() -> None:
    assert device("throttled").conditions().slowed_by == ("power cap", "temperature (software)")


@pytest.mark.parametrize("name", ["sw_power_cap", "hw_slowdown", "sw_thermal", "hw_thermal", "power_brake"])
def test_the_reasons_are_those_of_nvml(name: str) -> None:
    pynvml = importlib.import_module("pynvml")
    bits = {
        "sw_power_cap": (pynvml.nvmlClocksEventReasonSwPowerCap, "power cap"),
        "hw_slowdown": (pynvml.nvmlClocksEventReasonHwSlowdown, "hardware slow-down"),
        "sw_thermal": (pynvml.nvmlClocksEventReasonSwThermalSlowdown, "temperature (software)"),
        "hw_thermal": (pynvml.nvmlClocksEventReasonHwThermalSlowdown, "temperature (hardware)"),
        "power_brake": (pynvml.nvmlClocksEventReasonHwPowerBrakeSlowdown, "power brake"),
    }
    bit, text = bits[name]
    assert device("h100", nvmlDeviceGetCurrentClocksEventReasons=[bit]).conditions().slowed_by == (text,)


def test_a_gpu_without_a_counter_says_so() -> None:
    with pytest.raises(nvml.NotReported, match=r"^nvmlDeviceGetTotalEnergyConsumption: NVML reports 'Not Supported'$"):
        device("no_counter").energy_j()


def test_what_may_not_be_read_is_missing_with_the_reason() -> None:
    gpu, now = device("no_permission").describe(), device("no_permission").conditions()
    assert gpu.power_limit_w is None
    assert now.power_w is None
    assert gpu.missing == {"power_limit_w": "nvmlDeviceGetEnforcedPowerLimit: NVML reports 'Insufficient Permissions'"}
    assert set(now.missing) == {"power_w", "power_limit_w"}
    assert now.temperature_c == 34


def test_a_board_that_tells_next_to_nothing_is_still_known() -> None:
    gpu, now = device("orin").describe(), device("orin").conditions()
    assert gpu.arch == "sm_87"
    for told in (gpu, now):
        nulls = {name for name in told.__struct_fields__ if getattr(told, name) is None}
        assert nulls == set(told.missing)
    assert now.slowed_by is None, "not known is not the same as not slowed"


def test_a_gpu_that_vanishes_ends_the_measurement() -> None:
    with pytest.raises(nvml.DeviceLost, match=r"^the GPU was lost: NVML reports 'GPU is lost'; see dmesg for its Xid$"):
        device("lost").conditions()


def test_a_machine_without_a_driver() -> None:
    with pytest.raises(
        nvml.NotReported, match=r"^no NVIDIA driver: NVML reports 'Driver Not Loaded'; install the driver$"
    ):
        device("no_driver")


def test_nvidia_ml_py_itself_says_the_same_where_there_is_no_driver() -> None:
    pynvml = importlib.import_module("pynvml")
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        with pytest.raises(nvml.NotReported, match=r"^no NVIDIA driver: NVML reports '.+'; install the driver$"):
            nvml.open_device()
    else:
        assert nvml.open_device().describe().arch.startswith("sm_")


def test_without_nvidia_ml_py_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pynvml", None)
    with pytest.raises(nvml.NotReported, match=r"pip install 'mobilenet-bench\[gpu\]'"):
        nvml.open_device()


@pytest.mark.parametrize(
    ("visible", "call"),
    [
        ("1,0", ("nvmlDeviceGetHandleByIndex", 1)),
        ("GPU-6f1a", ("nvmlDeviceGetHandleByUUID", "GPU-6f1a")),
        (None, ("nvmlDeviceGetHandleByIndex", 0)),
    ],
)
def test_the_gpu_is_the_first_that_cuda_sees(
    monkeypatch: pytest.MonkeyPatch, visible: str | None, call: tuple[Any, ...]
) -> None:
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    recording = Recording("h100", nvmlDeviceGetCount=[2])
    nvml.open_device(recording)
    assert recording.calls[-1] == call


@pytest.mark.parametrize(("visible", "said"), [("2", "no GPU number 2"), ("", "begins with ''"), ("MIG-1", "'MIG-1'")])
def test_a_gpu_that_is_not_there(monkeypatch: pytest.MonkeyPatch, visible: str, said: str) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    with pytest.raises(nvml.NotReported, match=said):
        device("h100")
