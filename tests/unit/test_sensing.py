"""What sensors show under load: of a fake tree of /sys, and of a recorded GPU."""

from __future__ import annotations

from pathlib import Path

from recorded_nvml import Recording

from mbench.hardware import nvml
from mbench.measure import gpu, sensing
from mbench.measure.sustain import SensorReading

CLOCK = "sys/devices/system/cpu/cpu{}/cpufreq/scaling_cur_freq"


def write(root: Path, path: str, text: str) -> None:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(text)


def test_a_board_that_grows_hot(tmp_path: Path) -> None:
    for number, clock in enumerate(("1500000", "1400000", "600000")):
        write(tmp_path, CLOCK.format(number), clock)
    write(tmp_path, "sys/class/thermal/thermal_zone0/type", "cpu-thermal")
    write(tmp_path, "sys/class/thermal/thermal_zone0/temp", "48212")
    busy = iter((7.0, 8.5))
    found = sensing.OfProcessors((1, 2), root=tmp_path, busy_s=lambda: next(busy))
    assert found.read() == SensorReading(frequency_hz=1.4e9, temperature_c=48.212, others_busy_s=7.0)
    write(tmp_path, CLOCK.format(1), "1000000")
    write(tmp_path, "sys/class/thermal/thermal_zone0/temp", "81000")
    assert found.read() == SensorReading(frequency_hz=1e9, temperature_c=81.0, others_busy_s=8.5)


def test_a_machine_that_shows_nothing_has_a_reason_for_each_field(tmp_path: Path) -> None:
    assert sensing.OfProcessors((0,), root=tmp_path, busy_s=lambda: 1.0).read() == SensorReading(others_busy_s=1.0)
    assert set(sensing.WHY) == {"frequency_hz", "temperature_c", "others_busy", "slowed_by"}
    assert all("\n" not in why for why in sensing.WHY.values())


def test_others_of_this_machine_are_at_work_or_not() -> None:
    first = sensing.others_busy_s()
    assert sensing.others_busy_s() >= first - 1.0  # of processor time since boot: it does not go back by seconds


def test_a_gpu_that_its_limits_hold_back() -> None:
    """As `data/nvml/throttled.json` was recorded: 1230 MHz, 86 °C, power cap and temperature (bits 0x04 and 0x20)."""
    board = gpu.Board(lambda: nvml.open_device(Recording("throttled")))
    assert sensing.OfGpu(board, busy_s=lambda: 0.5).read() == SensorReading(
        frequency_hz=1.23e9, temperature_c=86.0, others_busy_s=0.5, slowed_by=("power cap", "temperature (software)")
    )


def test_a_gpu_that_does_not_report_its_clock_has_the_drivers_reason() -> None:
    silent = Recording("throttled", nvmlDeviceGetClockInfo=[{"error": "NVML_ERROR_NOT_SUPPORTED"}])
    found = sensing.OfGpu(gpu.Board(lambda: nvml.open_device(silent)), busy_s=lambda: 0.5)
    assert found.read().frequency_hz is None
    assert "Not Supported" in found.why["frequency_hz"]


def test_without_a_driver_its_reason_is_kept() -> None:
    def none() -> nvml.NvmlDevice:
        raise nvml.NotReported("no NVIDIA driver")

    found = sensing.OfGpu(gpu.Board(none), busy_s=lambda: 0.5)
    assert found.read() == SensorReading(others_busy_s=0.5)
    assert {found.why[name] for name in ("frequency_hz", "temperature_c", "slowed_by")} == {"no NVIDIA driver"}
