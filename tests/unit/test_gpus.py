from __future__ import annotations

from pathlib import Path

import pytest
from recorded_nvml import Recording

from mbench.core.machine_types import Gpu
from mbench.hardware import cudart, gpus, nvml, targets

H100 = Gpu(name="NVIDIA H100", arch="sm_90", driver="580.82.07", cuda="13.0")
NVCC = """
case "$1" in
--version) echo "Cuda compilation tools, release {release}, V{release}.88" ;;
--list-gpu-code) printf 'sm_80\\nsm_90\\n' ;;
esac
"""


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the only folder on PATH, on a machine without a driver."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(gpus, "_ROOT", tmp_path)
    use(monkeypatch, "no_driver")
    return tmp_path


OPEN = nvml.open_device


def use(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    recording = Recording(name)
    monkeypatch.setattr(nvml, "open_device", lambda: OPEN(recording))


def put(file: Path, script: str) -> None:
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)


def nvcc(folder: Path, release: str = "13.0") -> None:
    put(folder / "nvcc", NVCC.format(release=release))


def versions(monkeypatch: pytest.MonkeyPatch, driver: int, runtime: int = 13000) -> None:
    class Library:
        def versions(self) -> tuple[int, int]:
            return driver, runtime

    monkeypatch.setattr(cudart, "Runtime", Library)


def test_nvidia_smi_is_asked_where_nvml_cannot(tools: Path) -> None:
    put(tools / "nvidia-smi", "echo '8.9, NVIDIA L4, 550.54.15, 23034, 2040, 6251, [N/A]'")
    gpu = gpus.found()
    assert gpu is not None
    assert (gpu.name, gpu.arch, gpu.driver, gpu.memory_bytes) == ("NVIDIA L4", "sm_89", "550.54.15", 23034 * 2**20)
    assert gpu.sm_clock_max_hz == 2040e6
    assert set(gpu.missing) == {"multiprocessors", "cuda", "power_limit_w"}


@pytest.mark.parametrize("answer", ["NVIDIA-SMI has failed", "", "No devices were found"])
def test_no_gpu(tools: Path, answer: str) -> None:
    put(tools / "nvidia-smi", f"echo '{answer}'")
    assert gpus.found() is None


def test_nvcc_says_its_release_and_what_it_can_make_code_for(tools: Path) -> None:
    assert gpus.toolkit() is None
    both = "needs nvcc, which is not on PATH, and this machine has no NVIDIA GPU; install the CUDA toolkit"
    assert both in gpus.no_compiling("sm_90")
    put(tools / "nvidia-smi", "echo '9.0, NVIDIA H100, 580.82.07, 81559, 1980, 2619, 700.00'")
    assert "needs nvcc, which is not on PATH; install the CUDA toolkit" in gpus.no_compiling("sm_90")
    nvcc(tools)
    assert gpus.toolkit() == gpus.Toolkit(release="13.0", archs=("sm_80", "sm_90"))
    assert gpus.no_compiling("sm_90") == gpus.no_compiling("sm_90a") == ""


def test_an_architecture_newer_than_nvcc_knows(tools: Path) -> None:
    nvcc(tools)
    said = "nvcc 13.0 does not know sm_130, it knows sm_80, sm_90; install a newer CUDA toolkit"
    assert gpus.no_compiling("sm_130") == said


def test_an_old_nvcc_that_lists_nothing_is_tried(tools: Path) -> None:
    put(tools / "nvcc", "exit 1")
    assert gpus.no_compiling("sm_90") == ""


def test_no_driver(tools: Path) -> None:
    nvcc(tools)
    said = "this machine has no NVIDIA GPU; measure on another, or give this container one (docker run --gpus all)"
    assert gpus.no_measuring("sm_90") == f"compile only: {said}"


def test_what_is_missing_where_no_gpu_is_found(tmp_path: Path) -> None:
    assert gpus.absent(root=tmp_path).startswith("this machine has no NVIDIA GPU; ")
    for name, vendor, kind in (("0", "0x8086", "0x030000"), ("1", "0x10de", "0x040300"), ("2", "0x10de", "0x030200")):
        assert "has no NVIDIA GPU" in gpus.absent(root=tmp_path)  # a GPU of others, and the audio device of one
        device = tmp_path / "sys/bus/pci/devices" / name
        device.mkdir(parents=True)
        (device / "vendor").write_text(f"{vendor}\n")
        (device / "class").write_text(f"{kind}\n")
    assert gpus.absent(root=tmp_path) == "this machine's NVIDIA GPU has no driver; install the NVIDIA driver"
    version = tmp_path / "proc/driver/nvidia/version"
    version.parent.mkdir(parents=True)
    version.write_text("NVRM version\n")
    assert gpus.absent(root=tmp_path) == ""


def test_a_gpu_with_a_driver_of_the_same_cuda_is_measured(tools: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nvcc(tools)
    use(monkeypatch, "h100")
    versions(monkeypatch, 13000)
    assert gpus.no_measuring("sm_90") == ""


@pytest.mark.parametrize(("driver", "release", "wanted"), [(12040, "12.4", 13), (13010, "14.0", 14), (0, "13.0", 13)])
def test_a_driver_older_than_what_runs_on_it(
    tools: Path, monkeypatch: pytest.MonkeyPatch, driver: int, release: str, wanted: int
) -> None:
    nvcc(tools, release)
    use(monkeypatch, "h100")
    versions(monkeypatch, driver)
    said = gpus.no_measuring("sm_90")
    assert f"the driver 580.82.07 runs CUDA up to {driver // 1000}.{driver % 1000 // 10}" in said
    assert said.endswith(f"the code needs CUDA {wanted}; update the NVIDIA driver")


def test_an_older_driver_of_the_same_major_version_will_do() -> None:
    assert gpus.too_old(H100, (13000, 13020), gpus.Toolkit(release="13.2", archs=())) == ""


def test_without_cudas_runtime(tools: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nvcc(tools)
    use(monkeypatch, "h100")
    monkeypatch.setattr(cudart, "_places", lambda: iter(["libcudart-that-is-not-there.so"]))
    assert "needs libcudart.so.13, which is not found; install the CUDA toolkit 13" in gpus.no_measuring("sm_90")


def test_another_gpu_than_the_targets(tools: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, "h100")
    said = "this machine's NVIDIA H100 80GB HBM3 (sm_90) cannot execute code for sm_80; see --target cuda"
    assert gpus.no_measuring("sm_80") == f"compile only: {said}"


def test_a_gpu_that_is_gone(tools: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone() -> nvml.NvmlDevice:
        raise nvml.DeviceLost("the GPU was lost: NVML reports 'GPU is lost'; see dmesg for its Xid")

    monkeypatch.setattr(nvml, "open_device", gone)
    assert gpus.found() is None
    assert gpus.no_measuring("sm_90").startswith("the GPU was lost")


@pytest.mark.parametrize(
    ("gpu", "code", "runs"),
    [
        ("sm_90", "sm_90", True),
        ("sm_90", "sm_90a", True),
        ("sm_89", "sm_80", True),
        ("sm_80", "sm_86", False),
        ("sm_90", "sm_80", False),
        ("sm_103", "sm_100", True),
        ("sm_103", "sm_100a", False),
    ],
)
def test_machine_code_runs_on_its_own_major_version(gpu: str, code: str, runs: bool) -> None:
    assert gpus.runs(gpu, code) is runs


def test_the_target_takes_what_the_gpu_tells_and_keeps_the_rest() -> None:
    target = targets.load("cuda_sm90")
    gpu = nvml.open_device(Recording("h100", nvmlDeviceGetNumGpuCores=[114 * 128])).describe()
    here = gpus.as_found(target, gpu)
    assert here.processor.cores == 114, "an H100 PCIe has 114"
    assert here.processor.l2 is not None
    assert here.processor.l2.shared_by == 114
    assert here.power_limit_w is not None
    assert here.power_limit_w.value == 700
    assert here.peaks == target.peaks
    assert here.energy is not None
    assert here.energy.static_w is None, "of this board it is not known"
    for fact in ("NVIDIA H100 80GB HBM3", "114 SMs", "1.98 GHz", "700 W", "H100 80GB SXM5"):
        assert fact in here.description
    assert gpus.as_found(target, None) is target
