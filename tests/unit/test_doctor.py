from __future__ import annotations

import importlib.util
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
from recorded_nvml import Recording

from mbench.core.machine_types import Host
from mbench.devices import doctor, registry, toolchain
from mbench.hardware import cudart, gpus, host, linker, nvml, targets
from mbench.measure import meters

QEMU = 'case "$1" in --version) echo "{name} version {version}";; -h) echo "{options}  x";; esac'


def put(file: Path, script: str) -> None:
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)


@pytest.fixture(autouse=True)
def _no_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    """Be a machine without a GPU, whatever this one has."""

    def refuse() -> nvml.NvmlDevice:
        raise nvml.NotReported("no driver here; install it")

    monkeypatch.setattr(nvml, "open_device", refuse)
    monkeypatch.setattr(gpus, "absent", lambda: "no GPU here; buy one")


OPEN = nvml.open_device


@pytest.fixture
def quiet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    """Return a machine that all is well with, its tools on PATH, and an empty root."""
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("g++", "cc", "aarch64-linux-gnu-g++", "nvcc"):
        put(tools / name, "")
    for name in ("qemu-aarch64", "qemu-x86_64"):
        put(tools / name, QEMU.format(name=name, version="7.2.22", options="-plugin"))
    (tmp_path / "sysroot").mkdir()
    monkeypatch.setattr(toolchain, "_SYSROOTS", {"aarch64": tmp_path / "sysroot"})
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setenv("MBENCH_CONFIG_DIR", str(tmp_path / "config"))
    monkeypatch.setenv("PATH", str(tools))
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setattr(linker, "_has_ziglang", lambda: False)
    monkeypatch.setenv("MBENCH_CACHE_DIR", str(tmp_path / "cache"))
    machine = host.describe(root=tmp_path, processors=range(8), machine="x86_64")
    return msgspec.structs.replace(
        machine,
        cores_logical=8,
        cores_usable=4,
        features=targets.load("x86_64_v3").processor.requires,
        versions={"apache-tvm": "0.27.0.post1", "apache-tvm-ffi": "0.1.14.post1", "torch": "2.13.0"},
        conditions=msgspec.structs.replace(machine.conditions, load_1min=0.1, governor="performance", turbo=False),
    )


def found(machine: Host, root: Path) -> dict[str, list[doctor.Check]]:
    by_name: dict[str, list[doctor.Check]] = {}
    for check in doctor.checks(machine, root=root):
        by_name.setdefault(check.name, []).append(check)
    return by_name


def one(machine: Host, root: Path, name: str) -> doctor.Check:
    (check,) = found(machine, root)[name]
    return check


def conditions(machine: Host, **values: Any) -> Host:
    return msgspec.structs.replace(machine, conditions=msgspec.structs.replace(machine.conditions, **values))


def test_a_quiet_machine_lacks_only_a_meter(quiet: Host, tmp_path: Path) -> None:
    wrong = {
        check.name: check.status
        for checks in found(quiet, tmp_path).values()
        for check in checks
        if check.status != "ok"
    }
    assert wrong == {"power meter": "missing"}


def test_whatever_is_wrong_has_a_hint_and_nothing_spans_lines(quiet: Host, tmp_path: Path) -> None:
    (tmp_path / "bin/nvcc").unlink()
    busy = conditions(quiet, load_1min=7.0, governor="powersave", turbo=True)
    for checks in found(busy, tmp_path).values():
        for check in checks:
            assert "\n" not in check.text + check.hint
            assert bool(check.hint) == (check.status != "ok"), check


def test_what_can_be_compiled_and_measured(quiet: Host, tmp_path: Path) -> None:
    checks = found(quiet, tmp_path)
    assert [check.text for check in checks["targets x86"]] == [
        "x86_64_v2, x86_64_v3: compile and measure",
        f"x86_64_v3_vnni: compile; not measured here: this processor ({quiet.cpu}) lacks avx_vnni",
        f"x86_64_v4: compile; not measured here: this processor ({quiet.cpu}) lacks "
        "avx512bw, avx512cd, avx512dq, avx512f, avx512vl",
        f"x86_64_v4_bf16: compile; not measured here: this processor ({quiet.cpu}) lacks "
        "avx512bw, avx512cd, avx512dq, avx512_bf16, avx512_bitalg, avx512_vbmi2, avx512_vnni, avx512_vpopcntdq, "
        "avx512f, avx512ifma, avx512vbmi, avx512vl",
        f"x86_64_v4_vnni: compile; not measured here: this processor ({quiet.cpu}) lacks "
        "avx512bw, avx512cd, avx512dq, avx512_bitalg, avx512_vbmi2, avx512_vnni, avx512_vpopcntdq, avx512f, "
        "avx512ifma, avx512vbmi, avx512vl",
    ]
    assert "256-bit vectors" in checks["target host"][0].text
    assert "4 cores, 8 processors" in checks["target host"][0].text
    assert "compile and emulate; not measured here" in checks["targets arm"][0].text
    assert "arm64_cortex_a72" in checks["targets arm"][0].text
    assert "compile; compile only: no GPU here" in checks["targets gpu"][0].text


@pytest.mark.parametrize(
    ("tool", "name", "hint"),
    [
        ("g++", "targets x86", "apt install g++,"),
        ("aarch64-linux-gnu-g++", "targets arm", "apt install g++-aarch64-linux-gnu"),
        ("nvcc", "targets gpu", "install the CUDA toolkit"),
        ("qemu-aarch64", "emulation aarch64", "apt install qemu-user"),
        ("qemu-x86_64", "emulation x86_64", "apt install qemu-user"),
        ("aarch64-linux-gnu-g++", "compiler aarch64", "apt install g++-aarch64-linux-gnu"),
        ("g++", "compiler x86_64", "apt install g++)"),
    ],
)
def test_a_missing_tool(quiet: Host, tmp_path: Path, tool: str, name: str, hint: str) -> None:
    (tmp_path / "bin" / tool).unlink()
    check = one(quiet, tmp_path, name)
    assert check.status == "missing"
    assert hint in check.hint


def gpu(monkeypatch: pytest.MonkeyPatch, name: str, driver: int = 13000) -> None:
    """Be a machine with the GPU of a recording."""

    class Library:
        def versions(self) -> tuple[int, int]:
            return driver, 13000

    recording = Recording(name)
    monkeypatch.setattr(nvml, "open_device", lambda: OPEN(recording))
    monkeypatch.setattr(cudart, "Runtime", Library)


def test_a_gpu_that_can_be_measured(quiet: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gpu(monkeypatch, "h100")
    checks = found(quiet, tmp_path)
    (known,) = checks["gpu"]
    assert known.text == "NVIDIA H100 80GB HBM3 (sm_90); driver 580.82.07, which runs CUDA up to 13.0"
    assert [check.status for name in ("gpu", "nvcc", "gpu runs code", "gpu meter") for check in checks[name]] == [
        "ok"
    ] * 4
    measured = [check.text for check in checks["targets gpu"] if "compile and measure" in check.text]
    assert measured == ["cuda_sm90: compile and measure"]


@pytest.mark.parametrize(
    ("name", "check", "status", "text", "hint"),
    [
        ("throttled", "gpu meter", "warn", "held back now: power cap, temperature (software)", "cool"),
        ("no_counter", "gpu meter", "missing", "no energy counter: ", "energy is modelled"),
        ("no_permission", "gpu meter", "missing", "'Insufficient Permissions'", "energy is modelled"),
    ],
)
def test_what_a_gpu_lacks(
    quiet: Host,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    check: str,
    status: str,
    text: str,
    hint: str,
) -> None:
    gpu(monkeypatch, name)
    seen = one(quiet, tmp_path, check)
    assert seen.status == status
    assert text in seen.text
    assert hint in seen.hint


def test_a_driver_that_is_too_old(quiet: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gpu(monkeypatch, "h100", driver=12040)
    seen = one(quiet, tmp_path, "gpu runs code")
    assert seen.status == "missing"
    assert "runs CUDA up to 12.4, the code needs CUDA 13" in seen.text
    assert seen.hint == "update the NVIDIA driver"


def test_a_missing_package_and_a_wrong_version(quiet: Host, tmp_path: Path) -> None:
    machine = msgspec.structs.replace(quiet, versions={"apache-tvm": "0.27.0.post1", "apache-tvm-ffi": "0.1.15"})
    assert one(machine, tmp_path, "torch").status == "missing"
    check = one(machine, tmp_path, "apache-tvm-ffi version")
    assert (check.status, check.hint) == ("warn", "pip install apache-tvm-ffi==0.1.14.post1")


def test_emulators_that_count(quiet: Host, tmp_path: Path) -> None:
    check = one(quiet, tmp_path, "emulation aarch64")
    assert (check.status, check.text) == ("ok", "qemu-aarch64 7.2.22 checks numerics and counts instructions")


@pytest.mark.parametrize(
    ("version", "options", "said"),
    [("10.0.2", "-strace", "takes no plugins"), ("5.2.0", "-plugin", "too old for counting")],
)
def test_emulators_that_do_not_count(quiet: Host, tmp_path: Path, version: str, options: str, said: str) -> None:
    put(tmp_path / "bin/qemu-aarch64", QEMU.format(name="qemu-aarch64", version=version, options=options))
    check = one(quiet, tmp_path, "emulation aarch64")
    assert check.status == "warn"
    assert check.text.startswith(f"qemu-aarch64 {version} checks numerics, without counts: ")
    assert said in check.text
    assert "Debian 12" in check.hint


def test_no_c_library_to_emulate_with(quiet: Host, tmp_path: Path) -> None:
    (tmp_path / "sysroot").rmdir()
    check = one(quiet, tmp_path, "emulation aarch64")
    assert (check.status, "apt install g++-aarch64-linux-gnu" in check.hint) == ("missing", True)


@pytest.mark.parametrize(
    ("package", "hint"), [("capstone", "install: pip install 'mobilenet-bench[emulation]'"), ("pip", "ensurepip")]
)
def test_a_missing_package_for_counting(
    quiet: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str, hint: str
) -> None:
    assert one(quiet, tmp_path, package).status == "ok"
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == package else find(name))
    check = one(quiet, tmp_path, package)
    assert check.status == "missing"
    assert hint in check.hint


def test_no_c_compiler(quiet: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert one(quiet, tmp_path, "compiler C").status == "ok"
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "ziglang" else find(name))
    (tmp_path / "bin/cc").unlink()
    assert one(quiet, tmp_path, "compiler C").status == "missing"


def test_devices_with_names(quiet: Host, tmp_path: Path) -> None:
    registry.add("pi4", registry.NamedDevice(rpc="127.0.0.1:9090"))
    check = one(quiet, tmp_path, "device pi4")
    assert (check.status, check.text) == ("ok", "rpc://127.0.0.1:9090 (not contacted)")
    registry.file().write_text("torn")
    check = one(quiet, tmp_path, "devices")
    assert (check.status, "correct the file" in check.hint) == ("warn", True)


def test_an_architecture_without_a_target(quiet: Host, tmp_path: Path) -> None:
    assert one(msgspec.structs.replace(quiet, architecture="riscv64"), tmp_path, "target host").status == "missing"


@pytest.mark.parametrize(
    ("values", "name"),
    [({"load_1min": 3.0}, "load"), ({"governor": "powersave"}, "governor"), ({"turbo": True}, "turbo")],
)
def test_bad_conditions(quiet: Host, tmp_path: Path, values: dict[str, Any], name: str) -> None:
    assert one(quiet, tmp_path, name).status == "ok"
    assert one(conditions(quiet, **values), tmp_path, name).status == "warn"


def test_what_a_machine_does_not_tell_is_not_checked(quiet: Host, tmp_path: Path) -> None:
    silent = conditions(quiet, load_1min=None, governor=None, turbo=None)
    assert not {"load", "governor", "turbo"} & set(found(silent, tmp_path))


def test_a_virtual_machine(quiet: Host, tmp_path: Path) -> None:
    check = one(
        msgspec.structs.replace(conditions(quiet, steal_s=12.34), virtual_machine="kvm"), tmp_path, "virtual machine"
    )
    assert check.status == "warn"
    assert check.text == "kvm; the hypervisor took 12.3 s of processor time since boot"


def test_one_processor(quiet: Host, tmp_path: Path) -> None:
    assert one(msgspec.structs.replace(quiet, processors_usable=1), tmp_path, "processors").status == "warn"


def in_a_container(machine: Host, root: Path, **files: str) -> Host:
    """Return the machine as a container with some files of cgroup v2 sees it; `cpu_max` is `cpu.max`."""
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text("0::/\n")
    (root / "proc/self/mountinfo").write_text("30 22 0:26 / /sys/fs/cgroup ro - cgroup2 cgroup rw\n")
    (root / "sys/fs/cgroup").mkdir(parents=True)
    for name, text in files.items():
        (root / "sys/fs/cgroup" / name.replace("_", ".")).write_text(f"{text}\n")
    limited = host.describe(root=root, processors=range(8), machine="x86_64")
    return msgspec.structs.replace(machine, processors_quota=limited.processors_quota)


@pytest.mark.parametrize(
    ("text", "status", "said", "hint", "threads"),
    [
        ("max 100000", "ok", "none", "", 4),
        ("800000 100000", "ok", "8 of 8 processors", "", 4),
        ("350000 100000", "warn", "3.5 of 8 processors", "lift the quota, or run no more than --threads 3: ", 3),
        ("150000 100000", "warn", "1.5 of 8 processors", "lift the quota, or run no more than --threads 1: ", 1),
        ("50000 100000", "warn", "0.5 of 8 processors", "lift the quota to at least 1: ", 1),
    ],
)
def test_a_quota(quiet: Host, tmp_path: Path, text: str, status: str, said: str, hint: str, threads: int) -> None:
    """The quiet machine has 8 processors on 4 cores."""
    machine = in_a_container(quiet, tmp_path, cpu_max=text)
    check = one(machine, tmp_path, "processor quota")
    assert (check.status, check.text) == (status, said)
    assert check.hint == (f"{hint}threads over it are stopped in mid-run" if hint else "")
    expected = f"8 of 8 usable by affinity; default: --threads {threads}"
    assert one(machine, tmp_path, "processors").text == expected


@pytest.mark.parametrize(
    ("stat", "said"),
    [
        ("nr_periods 120\nnr_throttled 48\nthrottled_usec 3250000", " for 3.25 s, in 48 of 120 periods"),
        ("nr_throttled 48", ", in 48 periods"),
        ("nr_periods 120\nnr_throttled 0\nthrottled_usec 0", None),
        ("", None),
    ],
)
@pytest.mark.parametrize(("quota", "status"), [("1.5", "warn"), ("8", "ok")])
def test_a_quota_that_held_threads_back(
    quiet: Host, tmp_path: Path, stat: str, said: str | None, quota: str, status: str
) -> None:
    limit = f"{float(quota) * 100_000:.0f} 100000"
    check = one(in_a_container(quiet, tmp_path, cpu_max=limit, cpu_stat=stat), tmp_path, "processor quota")
    held = "" if said is None else f"; it held threads back{said}"
    assert (check.status, check.text) == (status, f"{quota} of 8 processors{held}")


def test_the_affinity_and_the_cpuset_are_said(quiet: Host, tmp_path: Path) -> None:
    machine = in_a_container(quiet, tmp_path, cpuset_cpus_effective="2-3")
    narrow = msgspec.structs.replace(machine, processors_usable=2, cores_usable=2)
    check = one(narrow, tmp_path, "processors")
    assert (check.status, check.text) == ("ok", "2 of 8 usable by affinity, cpuset 2-3; default: --threads 2")


def test_power_meters(quiet: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counter = tmp_path / "sys/class/powercap/intel-rapl:0/energy_uj"
    counter.parent.mkdir(parents=True)
    counter.write_text("123\n")
    counter.with_name("name").write_text("package-0\n")
    check = one(quiet, tmp_path, "power meter")
    assert (check.status, check.text) == ("ok", "RAPL package-0")
    monkeypatch.setattr(meters, "_readable", lambda file: file != counter)  # tests may run as root
    check = one(quiet, tmp_path, "power meter")
    assert (check.status, check.text) == ("missing", "RAPL is there, and only root may read it")
    assert "chmod" in check.hint


@pytest.mark.parametrize(("available_kb", "status"), [(8_000_000, "ok"), (500_000, "warn")])
def test_memory(quiet: Host, tmp_path: Path, available_kb: int, status: str) -> None:
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/meminfo").write_text(f"MemTotal: 16000000 kB\nMemAvailable: {available_kb} kB\n")
    assert one(quiet, tmp_path, "memory").status == status


def test_disk(quiet: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert str(tmp_path / "cache") in one(quiet, tmp_path, "cache").text
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 10_000_000}))
    check = one(quiet, tmp_path, "cache")
    assert (check.status, check.text) == ("warn", f"10.0 MB free in {tmp_path / 'cache'}")
    monkeypatch.setattr("os.access", lambda *_: False)
    assert one(quiet, tmp_path, "cache").status == "missing"


def test_this_machine_is_looked_at_without_what_takes_seconds() -> None:
    """Importing tvm or torch takes seconds, and so does compiling."""
    code = (
        "import subprocess, sys\n"
        "from mbench.devices import doctor\n"
        "started, start = [], subprocess.Popen.__init__\n"
        "def count(self, command, *given, **named):\n"
        "    started.append(command)\n"
        "    start(self, command, *given, **named)\n"
        "subprocess.Popen.__init__ = count\n"
        "print(len(doctor.checks()), len(started), *({'tvm', 'torch'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    checks, started, *heavy = done.stdout.split()
    assert int(checks) >= 10
    assert int(started) <= 20
    assert heavy == []
