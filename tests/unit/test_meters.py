from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from mbench.measure import meters


def write(file: Path, text: object) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"{text}\n")


def rapl(root: Path, zone: str, name: str, energy_uj: object, range_uj: int = 262_143_328_850) -> Path:
    folder = root / "sys/class/powercap" / zone
    write(folder / "name", name)
    write(folder / "energy_uj", energy_uj)
    write(folder / "max_energy_range_uj", range_uj)
    return folder / "energy_uj"


def hwmon(root: Path, number: int, files: dict[str, object]) -> None:
    for name, text in files.items():
        write(root / f"sys/class/hwmon/hwmon{number}" / name, text)


class Clock:
    """Goes on by a step at each reading."""

    def __init__(self, step_s: float) -> None:
        self._now, self._step = 0.0, step_s

    def __call__(self) -> float:
        self._now += self._step
        return self._now


# ------------------------------------------------------------------------------------------------------------- finding
def test_rapl_packages_are_found_and_their_parts_are_not_counted_twice(tmp_path: Path) -> None:
    rapl(tmp_path, "intel-rapl:0", "package-0", 5_000_000)
    rapl(tmp_path, "intel-rapl:0:0", "core", 3_000_000)
    rapl(tmp_path, "intel-rapl:1", "package-1", 7_500_000)
    rapl(tmp_path, "intel-rapl-mmio:0", "package-0", 9)
    found = meters.find(tmp_path)
    assert [(meter.name, meter.read_j()) for meter in found] == [("RAPL package-0", 5.0), ("RAPL package-1", 7.5)]
    assert [meter.range_j() for meter in found] == [pytest.approx(262_143.32885)] * 2


@pytest.mark.parametrize("text", ["", "no number"])
def test_a_counter_without_a_number_is_not_taken(tmp_path: Path, text: str) -> None:
    rapl(tmp_path, "intel-rapl:0", "package-0", text)
    assert meters.find(tmp_path) == []


def test_an_unreadable_counter_is_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = rapl(tmp_path, "intel-rapl:0", "package-0", 1)  # readable by root alone on today's kernels
    rapl(tmp_path, "intel-rapl:1", "package-1", 2)
    read_text = Path.read_text

    def refuse(path: Path, *arguments: object) -> str:
        if path == secret:
            raise PermissionError(13, "Permission denied")
        return read_text(path)

    monkeypatch.setattr(Path, "read_text", refuse)
    assert [meter.name for meter in meters.find(tmp_path)] == ["RAPL package-1"]


def test_hwmon_is_taken_where_there_is_no_rapl(tmp_path: Path) -> None:
    hwmon(tmp_path, 0, {"name": "coretemp", "temp1_input": 40000})
    hwmon(
        tmp_path, 1, {"name": "ina", "energy1_input": 2_000_000, "energy1_label": "VDD_CPU", "energy2_input": 4_000_000}
    )
    found = meters.find(tmp_path)
    assert [(meter.name, meter.read_j()) for meter in found] == [("hwmon VDD_CPU", 2.0), ("hwmon ina", 4.0)]
    assert [meter.range_j() for meter in found] == [None, None]


def test_rapl_goes_before_hwmon(tmp_path: Path) -> None:
    rapl(tmp_path, "intel-rapl:0", "package-0", 1)
    hwmon(tmp_path, 0, {"name": "ina", "energy1_input": 2})
    assert [meter.name for meter in meters.find(tmp_path)] == ["RAPL package-0"]


def test_no_meter_is_none_and_the_network_is_not_run(tmp_path: Path) -> None:
    def run() -> None:
        raise AssertionError("run without a meter")

    assert meters.measure(run, meters.find(tmp_path)) is None


# ----------------------------------------------------------------------------------------------------------- measuring
def burning(*files: tuple[Path, int]) -> Callable[[], None]:
    """Return a run that adds microjoules to each counter."""

    def run() -> None:
        for file, used_uj in files:
            file.write_text(str(int(file.read_text()) + used_uj))

    return run


def test_the_energy_of_one_run_is_the_windows_over_its_runs(tmp_path: Path) -> None:
    first = rapl(tmp_path, "intel-rapl:0", "package-0", 10)
    second = rapl(tmp_path, "intel-rapl:1", "package-1", 500)
    run = burning((first, 300_000), (second, 200_000))
    seen = meters.measure(run, meters.find(tmp_path), window_s=1.0, clock=Clock(0.1))
    assert seen is not None
    assert seen.energy_j == pytest.approx(0.5)  # 0.3 + 0.2 J a run, however many runs
    assert 8 <= seen.runs <= 10  # one reading of the clock before each run, a tenth of a second each
    assert seen.window_s >= 1.0
    assert seen.method == "measured: RAPL package-0, RAPL package-1, idle power included"


def test_a_run_longer_than_the_window_is_measured_once(tmp_path: Path) -> None:
    file = rapl(tmp_path, "intel-rapl:0", "package-0", 0)
    seen = meters.measure(burning((file, 4_000_000)), meters.find(tmp_path), window_s=1.0, clock=Clock(30.0))
    assert seen is not None
    assert seen.runs == 1
    assert seen.energy_j == pytest.approx(4.0)


def test_a_counter_that_wraps_around_is_carried_on(tmp_path: Path) -> None:
    file = rapl(tmp_path, "intel-rapl:0", "package-0", 9_000_000, range_uj=10_000_000)
    seen = meters.measure(lambda: file.write_text("2500000"), meters.find(tmp_path), window_s=1.0, clock=Clock(5.0))
    assert seen is not None
    assert seen.runs == 1
    assert seen.energy_j == pytest.approx(3.5)  # 1 J to the end of the counter, 2.5 after it


def test_no_energy_is_no_negative_energy(tmp_path: Path) -> None:
    rapl(tmp_path, "intel-rapl:0", "package-0", 9_000_000)
    seen = meters.measure(lambda: None, meters.find(tmp_path), window_s=1.0, clock=Clock(0.5))
    assert seen is not None
    assert seen.energy_j == 0.0


def test_a_power_sensor_is_summed_up_over_time(tmp_path: Path) -> None:
    hwmon(tmp_path, 0, {"name": "ina219", "power1_input": 2_000_000})
    clock = Clock(1.0)
    (sensor,) = meters.find(tmp_path, clock)
    assert sensor.name == "hwmon ina219, power over time"
    assert sensor.read_j() == pytest.approx(2.0)  # 2 W for one second
    hwmon(tmp_path, 0, {"power1_input": 4_000_000})
    assert sensor.read_j() == pytest.approx(2.0 + 3.0)  # from 2 to 4 W in the next


def test_the_energy_of_a_run_by_a_power_sensor(tmp_path: Path) -> None:
    hwmon(tmp_path, 0, {"name": "ina219", "power1_input": 5_000_000})
    clock = Clock(0.01)
    seen = meters.measure(lambda: None, meters.find(tmp_path, clock), window_s=1.0, clock=clock)
    assert seen is not None
    assert seen.energy_j * seen.runs / seen.window_s == pytest.approx(5.0, rel=0.05)


def test_energy_counters_go_before_power_sensors(tmp_path: Path) -> None:
    hwmon(tmp_path, 0, {"name": "ina", "energy1_input": 2, "power1_input": 3})
    assert [meter.name for meter in meters.find(tmp_path)] == ["hwmon ina"]


def test_a_counter_that_is_set_back_tells_nothing(tmp_path: Path) -> None:
    hwmon(tmp_path, 0, {"name": "ina", "energy1_input": 9_000_000})
    file = tmp_path / "sys/class/hwmon/hwmon0/energy1_input"
    assert meters.measure(lambda: file.write_text("10"), meters.find(tmp_path), clock=Clock(0.4)) is None


# ------------------------------------------------------------------------------------------- sensors of other machines
COUNTER, POWER = "/sys/class/hwmon/hwmon0/energy1_input", "/sys/class/hwmon/hwmon0/power1_input"


def test_a_counter_that_was_read_elsewhere(tmp_path: Path) -> None:
    hwmon(tmp_path, 0, {"name": "ina", "energy1_input": 0})
    samples = {COUNTER: [(0.0, 1_000_000), (0.5, 2_000_000), (1.25, 6_000_000)]}
    seen = meters.replayed(samples, root=tmp_path, runs=10)
    assert seen is not None
    assert seen.energy_j == pytest.approx(5.0 / 10)
    assert (seen.runs, seen.window_s) == (10, 1.25)
    assert seen.method == "measured: hwmon ina, idle power included"


def test_a_power_sensor_that_was_read_elsewhere_is_summed_up_over_its_own_time(tmp_path: Path) -> None:
    hwmon(tmp_path, 0, {"name": "ina219", "power1_input": 0})
    samples = {POWER: [(0.0, 2_000_000), (1.0, 4_000_000), (1.5, 4_000_000)]}  # 3 J, then 2 J
    seen = meters.replayed(samples, root=tmp_path, runs=5)
    assert seen is not None
    assert seen.energy_j == pytest.approx(1.0)


def test_several_sensors_that_were_read_elsewhere_are_added(tmp_path: Path) -> None:
    hwmon(tmp_path, 0, {"name": "a", "power1_input": 0})
    hwmon(tmp_path, 1, {"name": "b", "power1_input": 0})
    second = POWER.replace("hwmon0", "hwmon1")
    samples = {POWER: [(0.0, 1_000_000), (2.0, 1_000_000)], second: [(0.0, 3_000_000), (2.0, 3_000_000)]}
    seen = meters.replayed(samples, root=tmp_path, runs=1)
    assert seen is not None
    assert seen.energy_j == pytest.approx(8.0)


def test_a_counter_that_was_set_back_elsewhere_tells_nothing(tmp_path: Path) -> None:
    hwmon(tmp_path, 0, {"name": "ina", "energy1_input": 0})
    assert meters.replayed({COUNTER: [(0.0, 9_000_000), (1.0, 10)]}, root=tmp_path, runs=3) is None


@pytest.mark.parametrize("samples", [{}, {COUNTER: []}, {COUNTER: [(0.0, 5)]}])
def test_too_few_readings_tell_nothing(tmp_path: Path, samples: dict[str, list[tuple[float, int]]]) -> None:
    hwmon(tmp_path, 0, {"name": "ina", "energy1_input": 5})
    assert meters.replayed(samples, root=tmp_path, runs=1) is None
