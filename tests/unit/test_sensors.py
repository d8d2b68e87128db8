"""Clocks and temperatures of processors, out of fake trees of /sys."""

from __future__ import annotations

from pathlib import Path

import pytest

from mbench.hardware import host, sensors

CPUS = "sys/devices/system/cpu"
LAPTOP = {
    f"{CPUS}/cpu0/cpufreq/scaling_cur_freq": "1498321\n",
    f"{CPUS}/cpu1/cpufreq/scaling_cur_freq": "2401000\n",
    f"{CPUS}/cpu10/cpufreq/scaling_cur_freq": "3900000\n",
    f"{CPUS}/cpu0/cpufreq/cpuinfo_max_freq": "3900000\n",
    "sys/class/hwmon/hwmon0/name": "nvme\n",
    "sys/class/hwmon/hwmon0/temp1_input": "91000\n",
    "sys/class/hwmon/hwmon4/name": "coretemp\n",
    "sys/class/hwmon/hwmon4/temp1_input": "52000\n",
    "sys/class/hwmon/hwmon4/temp2_input": "55000\n",
}
PI = {
    **{f"{CPUS}/cpu{number}/cpufreq/scaling_cur_freq": "1500000\n" for number in range(4)},
    "sys/class/thermal/thermal_zone0/type": "cpu-thermal\n",
    "sys/class/thermal/thermal_zone0/temp": "81212\n",
    "sys/class/thermal/thermal_zone1/type": "gpu-thermal\n",
    "sys/class/thermal/thermal_zone1/temp": "99000\n",
}


def tree(root: Path, files: dict[str, str]) -> Path:
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    return root


def seen(root: Path) -> dict[str, str]:
    return sensors.read(sensors.found(sensors.look(root=root)), root)


@pytest.mark.parametrize(("files", "clock_hz", "temperature_c"), [(LAPTOP, 3.9e9, 55.0), (PI, 1.5e9, 81.212)])
def test_the_highest_clock_and_the_hottest_sensor_of_the_processor(
    tmp_path: Path, files: dict[str, str], clock_hz: float, temperature_c: float
) -> None:
    found = seen(tree(tmp_path, files))
    assert sensors.frequency_hz(found) == clock_hz
    assert sensors.temperature_c(found) == temperature_c
    assert host.conditions(root=tmp_path).temperature_c == temperature_c  # the other reader of the same tree


def test_the_clock_is_of_the_processors_that_count(tmp_path: Path) -> None:
    found = seen(tree(tmp_path, LAPTOP))
    assert sensors.frequency_hz(found, (0, 1)) == 2.401e9
    assert sensors.frequency_hz(found, (7,)) is None


def test_only_what_changes_and_counts_is_read_again(tmp_path: Path) -> None:
    paths = sensors.found(sensors.look(root=tree(tmp_path, LAPTOP)))
    assert set(paths) == {f"/{path}" for path in LAPTOP if "cur_freq" in path or "hwmon4/temp" in path}


def test_a_reading_is_of_its_moment(tmp_path: Path) -> None:
    paths = sensors.found(sensors.look(root=tree(tmp_path, PI)))
    tree(tmp_path, {f"{CPUS}/cpu{number}/cpufreq/scaling_cur_freq": "600000" for number in range(4)})
    assert sensors.frequency_hz(sensors.read(paths, tmp_path)) == 6e8


@pytest.mark.parametrize("text", ["", "unknown", "1e9", "-", "12345678901234567890"])
def test_what_is_no_number_is_no_reading(tmp_path: Path, text: str) -> None:
    found = seen(tree(tmp_path, {name: text if "freq" in name or "temp1" in name else was for name, was in PI.items()}))
    assert sensors.frequency_hz(found) is None


def test_a_machine_without_sensors_shows_nothing(tmp_path: Path) -> None:
    assert seen(tmp_path) == {}
    assert (sensors.frequency_hz({}), sensors.temperature_c({})) == (None, None)


def test_a_sensor_that_went_away_is_left_out(tmp_path: Path) -> None:
    paths = sensors.found(sensors.look(root=tree(tmp_path, PI)))
    (tmp_path / "sys/class/thermal/thermal_zone0/temp").unlink()
    found = sensors.read(paths, tmp_path)
    assert (sensors.frequency_hz(found), sensors.temperature_c(found)) == (1.5e9, None)
