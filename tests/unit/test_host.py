from __future__ import annotations

import os
import platform
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from mbench.core.errors import TargetError
from mbench.hardware import host, target_file, targets

CPUS = "sys/devices/system/cpu"


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{text}\n")
    return root


def cache(index: int, kind: str, level: int, size: str, sharers: str) -> dict[str, str]:
    folder = f"{CPUS}/cpu0/cache/index{index}"
    values = {"type": kind, "level": str(level), "size": size, "shared_cpu_list": sharers, "coherency_line_size": "64"}
    return {f"{folder}/{name}": value for name, value in values.items()}


@pytest.fixture
def laptop(tmp_path: Path) -> Path:
    """Return the tree of an Ice Lake laptop: 4 cores, 8 processors (0 and 4 are one core), AVX-512, no VM."""
    topology = {
        f"{CPUS}/cpu{number}/topology/{name}": value
        for number in range(8)
        for name, value in (("core_id", str(number % 4)), ("physical_package_id", "0"))
    }
    flags = (
        "fpu sse2 pni ssse3 fma cx16 sse4_1 sse4_2 movbe popcnt avx f16c lahf_lm abm bmi1 avx2 bmi2 avx512f avx512dq"
    )
    return write(
        tmp_path,
        {
            **topology,
            **cache(0, "Data", 1, "48K", "0,4"),
            **cache(1, "Instruction", 1, "32K", "0,4"),
            **cache(2, "Unified", 2, "512K", "0,4"),
            **cache(3, "Unified", 3, "8192K", "0-7"),
            "proc/cpuinfo": "processor\t: 0\nvendor_id\t: GenuineIntel\n"
            "model name\t: Intel(R) Core(TM) i7-1065G7 CPU @ 1.30GHz\n"
            f"flags\t\t: {flags} avx512cd avx512bw avx512vl avx512_vnni\n\nprocessor\t: 1\nmodel name\t: another",
            "proc/meminfo": "MemTotal:       16118884 kB\nMemFree:         1234567 kB\nMemAvailable:    9876543 kB",
            "proc/loadavg": "0.52 0.58 0.59 1/1234 5678",
            "proc/stat": "cpu  84282 747 20805 1615949 44349 0 308 700 0 0\ncpu0 1 2 3 4 5 6 7 8 9 10",
            "etc/os-release": 'NAME="Ubuntu"\nPRETTY_NAME="Ubuntu 24.04.1 LTS"',
            f"{CPUS}/cpu0/cpufreq/scaling_governor": "powersave",
            f"{CPUS}/cpu0/cpufreq/scaling_cur_freq": "1498321",
            f"{CPUS}/cpu0/cpufreq/cpuinfo_max_freq": "3900000",
            f"{CPUS}/intel_pstate/no_turbo": "0",
            "sys/class/dmi/id/sys_vendor": "Dell Inc.",
            "sys/class/dmi/id/product_name": "XPS 13 9300",
            "sys/class/hwmon/hwmon0/name": "nvme",
            "sys/class/hwmon/hwmon0/temp1_input": "91000",
            "sys/class/hwmon/hwmon4/name": "coretemp",
            "sys/class/hwmon/hwmon4/temp1_input": "52000",
            "sys/class/hwmon/hwmon4/temp2_input": "55000",
        },
    )


@pytest.fixture
def pi4(tmp_path: Path) -> Path:
    """Return the tree of a Raspberry Pi 4: 4 Cortex-A72."""
    topology = {
        f"{CPUS}/cpu{number}/topology/{name}": value
        for number in range(4)
        for name, value in (("core_id", str(number)), ("physical_package_id", "0"))
    }
    return write(
        tmp_path,
        {
            **topology,
            **cache(0, "Data", 1, "32K", "0"),
            **cache(1, "Instruction", 1, "48K", "0"),
            **cache(2, "Unified", 2, "1024K", "0-3"),
            "proc/cpuinfo": "processor\t: 0\nBogoMIPS\t: 108.00\nFeatures\t: fp asimd evtstrm crc32 cpuid\n"
            "CPU implementer\t: 0x41\nCPU architecture: 8\nCPU variant\t: 0x0\nCPU part\t: 0xd08\nCPU revision\t: 3",
            "proc/device-tree/model": "Raspberry Pi 4 Model B Rev 1.4\0",
            "proc/meminfo": "MemTotal:        3884336 kB",
            "proc/loadavg": "0.00 0.01 0.05 1/234 567",
            "etc/os-release": 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"',
            f"{CPUS}/cpu0/cpufreq/scaling_governor": "ondemand",
            f"{CPUS}/cpu0/cpufreq/scaling_cur_freq": "600000",
            f"{CPUS}/cpu0/cpufreq/cpuinfo_max_freq": "1800000",
            "sys/class/thermal/thermal_zone0/type": "cpu-thermal",
            "sys/class/thermal/thermal_zone0/temp": "48212",
        },
    )


def test_a_laptop(laptop: Path) -> None:
    found = host.describe(root=laptop, processors=range(8), machine="x86_64")
    assert found.os == "Ubuntu 24.04.1 LTS"
    assert found.architecture == "x86_64"
    assert found.cpu == "Intel(R) Core(TM) i7-1065G7 CPU @ 1.30GHz"
    assert (found.cores_physical, found.cores_logical) == (4, 8)
    assert (found.cores_usable, found.processors_usable) == (4, 8)
    assert set(targets.load("x86_64_v4").processor.requires) <= set(found.features)
    assert "avx512_vnni" in found.features
    assert "fpu" not in found.features
    assert found.caches_bytes == {"L1d": 49152, "L2": 524288, "L3": 8388608}
    assert found.memory_bytes == 16118884 * 1024
    assert found.virtual_machine is None
    assert host.available_memory_bytes(root=laptop) == 9876543 * 1024


def test_the_affinity_is_respected(laptop: Path) -> None:
    found = host.describe(root=laptop, processors=[1, 5, 2], machine="x86_64")
    assert (found.cores_physical, found.cores_logical) == (4, 8)
    assert (found.cores_usable, found.processors_usable) == (2, 3)
    target = host.target(found, triple="x86_64-linux-gnu", mcpu="icelake-client", root=laptop)
    assert (target.processor.cores, target.threads, target.tvm["num-cores"]) == (2, 3, 2)


IN_A_CONTAINER = {
    "proc/self/cgroup": "0::/",
    "proc/self/mountinfo": "30 22 0:26 / /sys/fs/cgroup ro - cgroup2 cgroup rw",
    "sys/fs/cgroup/cpu.max": "150000 100000",
    "sys/fs/cgroup/cpu.stat": "usage_usec 9\nnr_periods 12\nnr_throttled 3\nthrottled_usec 250000",
}


def test_a_container_has_its_quota(laptop: Path) -> None:
    before = host.describe(root=laptop, processors=range(8), machine="x86_64")
    assert (before.processors_quota, before.conditions.throttled_s) == (None, None)
    found = host.describe(root=write(laptop, IN_A_CONTAINER), processors=range(8), machine="x86_64")
    assert (found.processors_quota, found.processors_usable) == (1.5, 8)
    assert found.conditions.throttled_s == 0.25
    assert host.conditions(root=laptop).throttled_s == 0.25


@pytest.mark.parametrize(
    ("quota", "wanted", "expected"), [(None, 8, 8), (0.5, 8, 1), (1.5, 8, 1), (2.0, 8, 2), (2.99, 8, 2), (64.0, 8, 8)]
)
def test_a_quota_keeps_so_many_threads_running(laptop: Path, quota: float | None, wanted: int, expected: int) -> None:
    found = host.describe(root=laptop, processors=range(8), machine="x86_64")
    assert msgspec.structs.replace(found, processors_quota=quota).within_quota(wanted) == expected


def test_threads_get_a_core_each_before_a_core_gets_two(laptop: Path) -> None:
    """Processors 0 and 4 of the laptop are one core, 1 and 5 another."""
    assert host.processors_for(4, root=laptop, processors=range(8)) == (0, 1, 2, 3)
    assert host.processors_for(6, root=laptop, processors=range(8)) == (0, 1, 2, 3, 4, 5)
    assert host.processors_for(2, root=laptop, processors=[1, 5, 6]) == (1, 6)
    assert host.processors_for(3, root=laptop, processors=[1, 5, 6]) == (1, 6, 5)
    assert host.processors_for(3, root=laptop, processors=[7]) == (7,)


def test_threads_get_a_core_each_where_those_of_a_core_are_neighbours(tmp_path: Path) -> None:
    """As in many virtual machines: 0 and 1 are one core."""
    for number in range(8):
        write(tmp_path, {f"{CPUS}/cpu{number}/topology/core_id": str(number // 2)})
    assert host.processors_for(4, root=tmp_path, processors=range(8)) == (0, 2, 4, 6)
    assert host.processors_for(5, root=tmp_path, processors=range(8)) == (0, 2, 4, 6, 1)


def test_the_fastest_cores_and_one_package_come_first(tmp_path: Path) -> None:
    for number in range(8):
        write(tmp_path, {
            f"{CPUS}/cpu{number}/topology/core_id": str(number // 2),
            f"{CPUS}/cpu{number}/topology/physical_package_id": str(number % 2),
            f"{CPUS}/cpu{number}/cpufreq/cpuinfo_max_freq": "2400000" if number >= 4 else "1800000",
        })  # fmt: skip
    assert host.processors_for(8, root=tmp_path, processors=range(8)) == (4, 6, 5, 7, 0, 2, 1, 3)


def test_threads_of_a_machine_that_tells_nothing_of_its_cores(tmp_path: Path) -> None:
    assert host.processors_for(2, root=tmp_path, processors=range(4)) == (0, 1)


def test_the_conditions_of_a_laptop(laptop: Path) -> None:
    found = host.conditions(root=laptop)
    assert found.load_1min == 0.52
    assert found.governor == "powersave"
    assert found.turbo is True
    assert found.frequency_hz == 1498321e3
    assert found.temperature_c == 55.0  # the processor's hottest sensor, not the disk's
    assert found.steal_s == pytest.approx(700 / os.sysconf("SC_CLK_TCK"))
    assert abs((datetime.now(UTC) - datetime.fromisoformat(found.at_utc)).total_seconds()) < 5


@pytest.mark.parametrize(
    ("file", "text", "turbo"),
    [("intel_pstate/no_turbo", "1", False), ("cpufreq/boost", "1", True), ("cpufreq/boost", "0", False)],
)
def test_turbo(tmp_path: Path, file: str, text: str, turbo: bool) -> None:
    assert host.conditions(root=write(tmp_path, {f"{CPUS}/{file}": text})).turbo is turbo


def test_the_target_of_a_laptop(laptop: Path) -> None:
    found = host.describe(root=laptop, processors=range(8), machine="x86_64")
    target = host.target(found, triple="x86_64-linux-gnu", mcpu="icelake-client", root=laptop)
    assert (target.name, target.family, target.default_device, target.threads) == ("host", "x86", "local", 8)
    assert target.tvm == {"kind": "llvm", "mtriple": "x86_64-linux-gnu", "mcpu": "icelake-client", "num-cores": 4}
    processor = target.processor
    assert (processor.cores, processor.vector_bits, processor.vector_registers) == (4, 512, 32)
    assert processor.frequency_hz is not None
    assert processor.frequency_hz.value == 3.9e9
    assert processor.l1d is not None
    assert processor.l3 is not None
    assert (processor.l1d.bytes.value, processor.l1d.shared_by) == (49152, 1)  # both processors are one core
    assert (processor.l3.bytes.value, processor.l3.shared_by) == (8388608, 4)
    assert f"/{CPUS}/cpu0/cache" in (processor.l3.bytes.source or "")
    assert target.peaks.flops_per_s == {}
    assert target.energy == target_file.default_energy()
    assert msgspec.convert(msgspec.to_builtins(target), type(target)) == target


@pytest.mark.parametrize(
    ("features", "vectors"),
    [
        ({"avx", "avx2", "fma", "avx512f", "avx512vl"}, (512, 32)),
        ({"avx", "avx2", "fma"}, (256, 16)),
        ({"avx"}, (128, 16)),
        (set(), (128, 16)),
    ],
)
def test_vectors(laptop: Path, features: set[str], vectors: tuple[int, int]) -> None:
    found = host.describe(root=laptop, processors=range(8), machine="x86_64")
    assert host.vectors(msgspec.structs.replace(found, features=tuple(features))) == vectors


def test_a_raspberry_pi(pi4: Path) -> None:
    found = host.describe(root=pi4, processors=range(4), machine="aarch64")
    assert found.cpu == "Cortex-A72 (Raspberry Pi 4 Model B Rev 1.4)"
    assert found.architecture == "aarch64"
    assert (found.cores_physical, found.cores_logical, found.processors_usable) == (4, 4, 4)
    assert found.features == ("asimd", "crc32")
    assert found.caches_bytes == {"L1d": 32768, "L2": 1048576}
    assert found.virtual_machine is None
    assert found.conditions.governor == "ondemand"
    assert found.conditions.turbo is None
    assert found.conditions.steal_s is None
    assert found.conditions.temperature_c == 48.212
    target = host.target(found, triple="aarch64-linux-gnu", mcpu="cortex-a72", root=pi4)
    assert (target.family, target.processor.vector_bits, target.processor.vector_registers) == ("arm", 128, 32)
    assert target.processor.l2 is not None
    assert target.processor.l2.shared_by == 4
    assert target.processor.l3 is None
    assert found.architecture == "aarch64"
    assert set(targets.load("arm64").processor.requires) <= set(found.features)


def arm_cores(*kinds: tuple[str, str]) -> str:
    return "\n\n".join(
        f"processor\t: {number}\nCPU implementer\t: {implementer}\nCPU architecture: 8\nCPU part\t: {part}"
        for number, (implementer, part) in enumerate(kinds)
    )


A55, A76, FIRESTORM, AMPERE_ONE = ("0x41", "0xd05"), ("0x41", "0xd0b"), ("0x61", "0x23"), ("0xc0", "0xac3")


@pytest.mark.parametrize(
    ("kinds", "board", "expected"),
    [
        ((A76, A76), "", "Cortex-A76"),
        ((A55, A55, A76), "Radxa ROCK 5B", "Cortex-A55 + Cortex-A76 (Radxa ROCK 5B)"),  # both kinds of core
        ((FIRESTORM,), "Apple Mac mini (M1, 2020)", "Apple Mac mini (M1, 2020)"),
        ((AMPERE_ONE,), "", "ARM implementer 0xc0 part 0xac3"),  # not 'unknown': two of these are two processors
        ((A55, FIRESTORM), "", "ARM implementer 0x41 part 0xd05 + ARM implementer 0x61 part 0x23"),
    ],
)
def test_arm_processors_have_names(
    tmp_path: Path, kinds: tuple[tuple[str, str], ...], board: str, expected: str
) -> None:
    files = {"proc/cpuinfo": arm_cores(*kinds)} | ({"proc/device-tree/model": f"{board}\0"} if board else {})
    assert host.describe(root=write(tmp_path, files), processors=[0], machine="aarch64").cpu == expected


def test_architectures_go_by_linux_names(pi4: Path) -> None:
    assert host.describe(root=pi4, processors=[0], machine="arm64").architecture == "aarch64"
    assert host.describe(root=pi4, processors=[0], machine="AMD64").architecture == "x86_64"


def test_another_architecture_has_no_host_target(tmp_path: Path) -> None:
    found = host.describe(root=tmp_path, processors=[0], machine="riscv64")
    with pytest.raises(TargetError, match="riscv64 is neither x86_64 nor arm64"):
        host.target(found, triple="riscv64-linux-gnu", mcpu="generic", root=tmp_path)


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"proc/cpuinfo": "flags : fpu hypervisor"}, "hypervisor"),
        ({"sys/class/dmi/id/sys_vendor": "QEMU"}, "qemu"),
        ({"sys/class/dmi/id/product_name": "VMware Virtual Platform"}, "vmware"),
        ({"sys/class/dmi/id/sys_vendor": "Amazon EC2", "sys/class/dmi/id/product_name": "c5.metal"}, None),
        ({"sys/class/dmi/id/sys_vendor": "Dell Inc."}, None),
        ({"proc/device-tree/hypervisor/compatible": "linux,kvm\0"}, "kvm"),
        ({"proc/device-tree/hypervisor/compatible": "xen,xen-4.16\0xen,xen\0"}, "xen"),
    ],
)
def test_virtual_machines(tmp_path: Path, files: dict[str, str], expected: str | None) -> None:
    assert host.describe(root=write(tmp_path, files), processors=[0], machine="x86_64").virtual_machine == expected


def test_a_machine_that_tells_nothing(tmp_path: Path) -> None:
    found = host.describe(root=tmp_path, processors=[0, 1], machine="x86_64")
    assert found.features == ()
    assert found.caches_bytes == {}
    assert found.cores_physical is None
    assert found.processors_usable == 2
    assert msgspec.structs.replace(found.conditions, at_utc="") == type(found.conditions)(at_utc="")
    target = host.target(found, triple="x86_64-linux-gnu", mcpu="x86-64", root=tmp_path)
    assert target.processor.frequency_hz is None
    assert target.processor.l1d is None


@pytest.mark.skipif(platform.system() != "Linux", reason="compares with what Linux says elsewhere")
def test_this_machine() -> None:
    found = host.describe()
    assert found.name == platform.node()
    assert found.cores_logical == os.cpu_count()
    assert found.processors_usable == len(os.sched_getaffinity(0))
    assert 1 <= (found.cores_usable or 1) <= found.cores_logical
    assert found.memory_bytes == pytest.approx(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"), rel=0.01)
    assert found.versions["python"] == platform.python_version()
    assert {"mbench", "apache-tvm", "apache-tvm-ffi", "torch", "numpy"} <= set(found.versions)
    assert found.conditions.load_1min is not None
    assert {"x86_64": "sse4_2", "aarch64": "asimd"}[found.architecture] in found.features
