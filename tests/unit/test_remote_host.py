from __future__ import annotations

import os
import platform
from pathlib import Path

import pytest

from mbench.devices.line import ServerInfo
from mbench.devices.remote_host import Snapshot
from mbench.hardware import host

INFO = ServerInfo(version="0.1.0", architecture="aarch64", processors=4, server=1, session=1)
CPUS = "/sys/devices/system/cpu"
PI = {  # a Raspberry Pi 4 Model B, as its files read; source: Debian 12 on that board
    "/etc/os-release": 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nID=debian\n',
    "/proc/cpuinfo": "processor\t: 0\nBogoMIPS\t: 108.00\nFeatures\t: fp asimd evtstrm crc32 cpuid\n"
    "CPU implementer\t: 0x41\nCPU architecture: 8\nCPU variant\t: 0x0\nCPU part\t: 0xd08\nCPU revision\t: 3\n",
    "/proc/meminfo": "MemTotal:        3884364 kB\nMemFree:         3101232 kB\nMemAvailable:    3502332 kB\n",
    "/proc/loadavg": "0.42 0.10 0.03 1/138 900\n",
    "/proc/stat": "cpu  1000 20 300 90000 50 4 6 0 0 0\ncpu0 250 5 75 22500 10 1 1 0 0 0\n",
    "/proc/self/stat": "812 (mbench server) S 1 812 812 0 -1 4194304 900 0 0 0 70 30 0 0 20 0 1 0 5000 10 20",
    "/proc/self/status": "Name:\tmbench-server\nVmPeak:\t   90000 kB\nVmHWM:\t   12000 kB\nCpus_allowed_list:\t0-1,3\n",
    "/proc/sys/kernel/hostname": "pi\n",
    "/proc/sys/kernel/osrelease": "6.1.0-18-arm64\n",
    "/proc/device-tree/model": "Raspberry Pi 4 Model B Rev 1.4\0",
    **{f"{CPUS}/cpu{number}/topology/core_id": f"{number}\n" for number in range(4)},
    **{f"{CPUS}/cpu{number}/topology/physical_package_id": "0\n" for number in range(4)},
    f"{CPUS}/cpu0/cpufreq/scaling_governor": "ondemand\n",
    f"{CPUS}/cpu0/cpufreq/scaling_cur_freq": "1500000\n",
    "/sys/class/thermal/thermal_zone0/type": "cpu-thermal\n",
    "/sys/class/thermal/thermal_zone0/temp": "48212\n",
}


def snapshot(tmp_path: Path, **without: str) -> Snapshot:
    return Snapshot({path: text for path, text in PI.items() if path not in without.values()}, tmp_path / "tree")


def test_a_board_is_described_by_its_own_files(tmp_path: Path) -> None:
    machine = snapshot(tmp_path).machine(INFO)
    assert machine.name == "pi"
    assert machine.os == "Debian GNU/Linux 12 (bookworm)"
    assert machine.architecture == "aarch64"
    assert machine.cpu == "Cortex-A72 (Raspberry Pi 4 Model B Rev 1.4)"
    assert (machine.cores_physical, machine.cores_logical, machine.processors_usable) == (4, 4, 3)
    assert machine.features == ("asimd", "crc32")
    assert machine.memory_bytes == 3884364 * 1024
    assert machine.versions == {"mbench-server": "0.1.0"}
    assert machine.conditions.temperature_c == 48.212


def test_nothing_of_this_machine_gets_into_the_description(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "processor", lambda: "ours")
    machine = Snapshot({}, tmp_path / "tree").machine(INFO)
    here = host.describe()
    assert machine.name == "unknown" != here.name
    assert machine.os == "Linux ?"
    assert machine.cpu == "unknown"
    assert (machine.cores_physical, machine.cores_logical) == (None, 4)
    assert machine.features == ()
    assert machine.memory_bytes == 0
    assert not set(machine.versions) & set(here.versions) - {"mbench-server"}
    assert platform.node() not in str(machine)


def test_the_kernel_stands_for_a_system_without_a_name(tmp_path: Path) -> None:
    assert snapshot(tmp_path, no="/etc/os-release").machine(INFO).os == "Linux 6.1.0-18-arm64"


def test_what_a_board_is_doing(tmp_path: Path) -> None:
    seen = snapshot(tmp_path).conditions()
    assert (seen.governor, seen.frequency_hz, seen.load_1min) == ("ondemand", 1.5e9, 0.42)
    assert (seen.temperature_c, seen.steal_s, seen.turbo) == (48.212, 0.0, None)


def test_the_serving_process(tmp_path: Path) -> None:
    seen = snapshot(tmp_path)
    assert seen.process_peak_bytes() == 12000 * 1024
    assert seen.affinity() == (0, 1, 3)
    assert seen.others_busy_s() == pytest.approx((1000 + 20 + 300 + 4 + 6 - 70 - 30) / 100)


def test_a_board_that_tells_nothing(tmp_path: Path) -> None:
    seen = Snapshot({}, tmp_path / "tree")
    assert seen.process_peak_bytes() is None
    assert seen.affinity() is None
    assert seen.others_busy_s() is None


def test_others_of_this_machine_are_counted_as_psutil_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both read the same moment: this machine's own files, kept."""
    from mbench.measure import activity

    files = {path: Path(path).read_text() for path in ("/proc/stat", "/proc/self/stat")}
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc" / "stat").write_text(files["/proc/stat"])
    monkeypatch.setattr("psutil.PROCFS_PATH", str(tmp_path / "proc"))
    own_ticks = sum(map(int, files["/proc/self/stat"].rpartition(")")[2].split()[11:13]))
    assert os.sysconf("SC_CLK_TCK") == 100
    assert Snapshot(files, tmp_path / "tree").others_busy_s() == pytest.approx(activity.busy_s() - own_ticks / 100)
