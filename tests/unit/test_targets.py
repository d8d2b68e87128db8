from __future__ import annotations

import dataclasses
import platform
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from target_descriptions import MINIMAL, write

from mbench.compile.machine import KernelMachine
from mbench.core import machine_types, resources
from mbench.core.errors import TargetError
from mbench.hardware import gpus, host, linker, nvml, target_file, targets

SHIPPED = sorted(targets.available())
GPUS = [name for name in SHIPPED if targets.load(name).family == "gpu"]
BEYOND_QEMU = ("x86_64_v3_vnni", "x86_64_v4", "x86_64_v4_vnni", "x86_64_v4_bf16")
"""It has neither AVX-512 nor AVX-VNNI."""


def figures(value: Any, path: str = "") -> Iterator[tuple[str, machine_types.Figure]]:
    if isinstance(value, machine_types.Figure):
        yield path, value
    elif isinstance(value, msgspec.Struct):
        for name in value.__struct_fields__:
            yield from figures(getattr(value, name), f"{path}.{name}")
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from figures(item, f"{path}.{key}")


def error_line(folder: Path, name: str = "board") -> str:
    with pytest.raises(TargetError) as caught:
        targets.load(name, extra_dirs=[folder])
    assert "\n" not in str(caught.value)
    return str(caught.value)


# ------------------------------------------------------------------------------------------------------------- shipped
def test_the_targets_that_users_are_told_of_are_there() -> None:
    assert {
        *("x86_64_v2", "x86_64_v3", "x86_64_v3_vnni", "x86_64_v4", "x86_64_v4_vnni", "x86_64_v4_bf16"),
        *("arm64_cortex_a53", "arm64_cortex_a55", "arm64_cortex_a57", "arm64_cortex_a72", "arm64_cortex_a76"),
        "arm64_cortex_a78",
        *(
            "arm64_neoverse_n1",
            "arm64_neoverse_v1",
            "arm64_neoverse_v2",
            "arm64_apple_m1",
            "cuda_sm80",
            "cuda_sm87",
            "cuda_sm89",
            "cuda_sm90",
        ),
        *("raspberry_pi_3", "raspberry_pi_4", "raspberry_pi_5", "raspberry_pi_zero_2_w", "rock_5b"),
        *("jetson_nano", "jetson_orin_nano", "jetson_orin_nano_gpu", "graviton2", "graviton3", "graviton4"),
    } == set(SHIPPED)


@pytest.mark.parametrize("name", SHIPPED)
def test_every_figure_says_where_it_is_from(name: str) -> None:
    found = dict(figures(targets.load(name)))
    assert len(found) > 20
    for path, figure in found.items():
        said = figure.source or figure.estimate or ""
        assert bool(figure.source) != bool(figure.estimate), path
        assert len(said) > 20, f"{path}: {said!r} names no document and gives no reason"


@pytest.mark.parametrize("name", SHIPPED)
def test_the_description_is_complete(name: str) -> None:
    target = targets.load(name)
    processor = target.processor
    for field in ("vector_registers", "frequency_hz", "issue_width", "fma_units", "l1d", "l2"):
        assert getattr(processor, field) is not None, field
    assert "float32" in processor.flops_per_cycle
    assert "float32" in target.peaks.flops_per_s
    assert {"L1", "L2", "DRAM"} <= set(target.peaks.bytes_per_s)
    assert ("L3" in target.peaks.bytes_per_s) == (processor.l3 is not None)
    assert target.energy is not None
    assert target.energy.static_w is not None
    assert target.threads == (1 if target.family == "gpu" else processor.cores)
    assert target.tvm.get("num-cores", processor.cores) == processor.cores
    assert ("qemu_cpu" in target.emulation) == (target.family != "gpu" and name not in BEYOND_QEMU)
    assert target.default_device == ("emulated" if target.family == "arm" else "local")


@pytest.mark.parametrize("name", SHIPPED)
def test_peaks_follow_from_what_a_core_does_in_a_cycle(name: str) -> None:
    target = targets.load(name)
    assert target.processor.frequency_hz is not None
    for dtype, per_cycle in target.processor.flops_per_cycle.items():
        derived = per_cycle.value * target.processor.cores * target.processor.frequency_hz.value
        assert target.peaks.flops_per_s[dtype].value == pytest.approx(derived, rel=0.01), dtype


@pytest.mark.parametrize("name", [name for name in SHIPPED if name not in GPUS])
def test_float32_per_cycle_follows_from_the_vector_units(name: str) -> None:
    processor = targets.load(name).processor
    assert processor.fma_units is not None
    multiply_adds = max(1, processor.fma_units.value)  # without FMA: one multiply and one add, on ports of their own
    assert processor.flops_per_cycle["float32"].value == processor.vector_bits / 32 * multiply_adds * 2


@pytest.mark.parametrize(
    ("name", "dots", "bits"),
    [
        ("x86_64_v2", ("vpmaddubsw", "vpmaddwd"), 128),
        ("x86_64_v3", ("vpmaddubsw", "vpmaddwd"), 256),
        ("x86_64_v3_vnni", ("vpdpbusd", "vpmaddubsw", "vpmaddwd"), 256),
        ("x86_64_v4", ("vpmaddubsw", "vpmaddwd"), 512),
        ("x86_64_v4_vnni", ("vpdpbusd", "vpmaddubsw", "vpmaddwd"), 512),
        ("x86_64_v4_bf16", ("vpdpbusd", "vpmaddubsw", "vpmaddwd"), 512),
    ],
)
def test_x86_has_instructions_for_bytes(name: str, dots: tuple[str, ...], bits: int) -> None:
    target = targets.load(name)
    machine = KernelMachine.of(target)
    assert (machine.dots, machine.dot_bits) == (dots, bits)
    assert machine.byte_tables == (name in ("x86_64_v4_vnni", "x86_64_v4_bf16"))
    gained = target.processor.flops_per_cycle["int8"].value / target.processor.flops_per_cycle["float32"].value
    assert gained == (4 if "vpdpbusd" in dots else 1 if name == "x86_64_v3" else 2), name


def test_bfloat16_changes_nothing_else_that_kernels_depend_on() -> None:
    """Kernels of float32 and int8 are the same: code for a machine with bfloat16 differs by its caches and cores."""
    plain, more = (KernelMachine.of(targets.load(f"x86_64_v4_{name}")) for name in ("vnni", "bf16"))
    sizes = {name: getattr(plain, name) for name in ("l1_bytes", "l2_bytes", "cores")}
    assert dataclasses.replace(more, **sizes) == plain
    named = [targets.load(f"x86_64_v4_{name}").tvm for name in ("vnni", "bf16")]
    assert {key: value for key, value in named[1].items() if key not in ("mattr", "num-cores")} == {
        key: value for key, value in named[0].items() if key != "num-cores"
    }


@pytest.mark.parametrize("name", [name for name in SHIPPED if name not in GPUS])
def test_what_the_models_of_counted_code_need_is_there(name: str) -> None:
    processor = targets.load(name).processor
    assert processor.l1d is not None
    assert processor.l2 is not None
    assert processor.l1d.ways is not None
    assert processor.l2.ways is not None
    assert processor.load_units is not None
    assert processor.store_units is not None
    assert processor.load_units.value >= 0.5
    for cache in (processor.l1d, processor.l2, processor.l3):
        if cache and cache.ways:
            sets = cache.bytes.value / (cache.ways.value * cache.line_bytes)
            assert sets.is_integer()
            assert int(sets) & (int(sets) - 1) == 0  # bits of the address name the set


@pytest.mark.parametrize("name", [name for name in SHIPPED if targets.load(name).family == "arm"])
def test_whoever_multiplies_bytes_in_fours_says_how_many(name: str) -> None:
    target = targets.load(name)
    has = "asimddp" in target.processor.requires
    assert ("int8" in target.processor.flops_per_cycle) == ("int8" in target.peaks.flops_per_s) == has
    if has:
        times = 8 if "i8mm" in target.processor.requires else 4
        found = target.processor.flops_per_cycle
        assert found["int8"].value == times * found["float32"].value


@pytest.mark.parametrize("name", SHIPPED)
def test_nearer_memory_is_faster_and_smaller(name: str) -> None:
    target = targets.load(name)
    rates = [
        target.peaks.bytes_per_s[level].value
        for level in ("L1", "L2", "L3", "DRAM")
        if level in target.peaks.bytes_per_s
    ]
    assert rates == sorted(rates, reverse=True)
    assert len(set(rates)) == len(rates)
    caches = (target.processor.l1d, target.processor.l2, target.processor.l3)
    sizes = [cache.bytes.value * target.processor.cores / cache.shared_by for cache in caches if cache]
    assert sizes[0] < sizes[1]


@pytest.mark.parametrize("name", SHIPPED)
def test_required_features_are_ones_that_the_host_is_asked_for(name: str) -> None:
    assert set(targets.load(name).processor.requires) <= host.KNOWN_FEATURES


def test_horowitz_energy_in_joules() -> None:
    energy = targets.load("arm64").energy
    assert energy is not None
    assert energy.multiply_j["float32"].value / 1e-12 == pytest.approx(3.7)
    assert energy.add_j["float32"].value / 1e-12 == pytest.approx(0.9)
    assert energy.bytes_j["L1"].value * 8 / 1e-12 == pytest.approx(20)
    assert energy.multiply_j["int8"].value / 1e-12 == pytest.approx(0.2)
    assert energy.add_j["int8"].value / 1e-12 == pytest.approx(0.03)
    assert energy.bytes_j["L2"].value * 8 / 1e-12 == pytest.approx(100)
    assert 1.3e-9 < energy.bytes_j["DRAM"].value * 8 < 2.6e-9


# -------------------------------------------------------------------------------------------------------------- look-up
@pytest.mark.parametrize(
    ("asked", "name"),
    [
        ("arm64", "arm64_cortex_a72"),
        ("cortex_a72", "arm64_cortex_a72"),
        ("cortex-a72", "arm64_cortex_a72"),
        ("neoverse-v2", "arm64_neoverse_v2"),
        ("apple-m1", "arm64_apple_m1"),
        ("x86-64-v3", "x86_64_v3"),
        ("sm_80", "cuda_sm80"),
        ("jetson_orin_nano_cpu", "jetson_orin_nano"),
        ("CUDA_SM90", "cuda_sm90"),
    ],
)
def test_aliases(asked: str, name: str) -> None:
    assert targets.load(asked).name == name


def test_an_unknown_name_suggests_the_nearest() -> None:
    with pytest.raises(TargetError) as caught:
        targets.load("arm65")
    assert str(caught.value) == "target 'arm65' is not known; did you mean 'arm64'? see 'mbench targets'"


@pytest.mark.parametrize(
    ("asked", "meant"),
    [
        ("rasberry_pi4", ["raspberry_pi_4"]),
        ("RaspberryPi-5", ["raspberry_pi_5"]),
        ("raspberry_pi_6", ["raspberry_pi_3", "raspberry_pi_4", "raspberry_pi_5"]),
        ("graviton", ["graviton2", "graviton3", "graviton4"]),
        ("cortex_a67", ["cortex_a57", "cortex_a76"]),
        ("gravtion3", ["graviton3"]),  # two letters swapped
        ("zzz", []),
        ("pi", []),
        ("beaglebone", []),
        ("x" * 100_000, []),
    ],
)
def test_only_near_names_are_offered(asked: str, meant: list[str]) -> None:
    with pytest.raises(TargetError) as caught:
        targets.load(asked)
    offered = f"did you mean {' or '.join(map(repr, meant))}? " if meant else ""
    assert str(caught.value) == f"target '{asked}' is not known; {offered}see 'mbench targets'"


def test_boards_have_the_core_that_they_name() -> None:
    boards = targets.cores()
    assert len(boards) == 11
    assert boards["raspberry_pi_4"] == "arm64_cortex_a72"
    assert boards["jetson_orin_nano_gpu"] == "cuda_sm87"
    assert not set(boards.values()) & set(boards)
    for name, core in boards.items():
        board, its_core = targets.load(name), targets.load(core)
        assert {**board.tvm, "num-cores": 0} == {**its_core.tvm, "num-cores": 0}
        assert board.processor.requires == its_core.processor.requires
        assert board.memory_bytes is not None


@pytest.mark.parametrize(
    ("name", "clock_hz", "cores", "l2_bytes", "dram_bytes_per_s"),
    [
        # of the makers' data sheets and product briefs; Graviton: aws/aws-graviton-getting-started, README.md
        ("raspberry_pi_zero_2_w", 1e9, 4, 512 << 10, 3.6e9),
        ("raspberry_pi_3", 1.4e9, 4, 512 << 10, 3.6e9),
        ("raspberry_pi_4", 1.5e9, 4, 1 << 20, 5.6e9),
        ("raspberry_pi_5", 2.4e9, 4, 512 << 10, 17.07e9),
        ("jetson_nano", 1.43e9, 4, 2 << 20, 25.6e9),
        ("jetson_orin_nano", 1.5e9, 6, 256 << 10, 68e9),
        ("jetson_orin_nano_gpu", 625e6, 8, 2 << 20, 68e9),
        ("rock_5b", 2.4e9, 4, 512 << 10, 33.8e9),
        ("graviton2", 2.5e9, 64, 1 << 20, 204.8e9),
        ("graviton3", 2.6e9, 64, 1 << 20, 307.2e9),
        ("graviton4", 2.8e9, 96, 2 << 20, 537.6e9),
    ],
)
def test_boards_are_what_their_makers_sell(
    name: str, clock_hz: float, cores: int, l2_bytes: int, dram_bytes_per_s: float
) -> None:
    target = targets.load(name)
    assert target.processor.frequency_hz is not None
    assert target.processor.l2 is not None
    assert (target.processor.frequency_hz.value, target.processor.cores) == (clock_hz, cores)
    assert (target.processor.l2.bytes.value, target.peaks.bytes_per_s["DRAM"].value) == (l2_bytes, dram_bytes_per_s)


def test_a_folder_of_the_user(tmp_path: Path) -> None:
    folder = write(tmp_path, MINIMAL.replace("threads = 4", 'threads = 3\naliases = ["mine"]'))
    target = targets.load("mine", extra_dirs=[folder])
    assert (target.name, target.threads) == ("board", 3)
    assert target.energy == target_file.default_energy()
    assert list(targets.available([folder])) == sorted([*SHIPPED, "board"])
    assert "board" in targets.load_all([folder])
    assert "mine" not in targets.load_all([folder])
    with pytest.raises(TargetError):
        targets.load("mine")


def test_a_folder_without_targets(tmp_path: Path) -> None:
    assert str(tmp_path) in error_line(tmp_path)
    assert "NAME/target.toml" in error_line(tmp_path / "missing")


def test_an_installed_package_adds_targets_and_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "vendor_boards")
    (tmp_path / "vendor_boards/__init__.py").write_text("raise RuntimeError('target folders are data')")
    information = tmp_path / "vendor_boards-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: vendor-boards\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text("[mbench.targets]\nvendor = vendor_boards\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert targets.load("board").description == "a board"
    assert targets.available()["board"] == tmp_path / "vendor_boards/board/target.toml"


def test_an_entry_point_that_leads_nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    information = tmp_path / "gone-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: gone\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text("[mbench.targets]\ngone = gone_boards\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert targets.load("arm64").name == "arm64_cortex_a72", "it breaks nothing else"
    [said] = targets.broken_packages()
    assert said == (
        "'gone' of group mbench.targets, from the package gone 1.0: there is no module 'gone_boards'; "
        "fix that package, or remove it"
    )
    with pytest.raises(TargetError, match=r"from the package gone 1\.0"):
        targets.load("a_board_of_theirs")


def test_importing_is_cheap() -> None:
    code = "import sys, mbench.hardware.targets, mbench.hardware.host, mbench.devices.doctor\n"
    code += "print(*({'tvm', 'torch', 'numpy'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == ""


# ---------------------------------------------------------------------------------------------------- bad descriptions
def test_two_folders_of_one_name(tmp_path: Path) -> None:
    first, second = write(tmp_path / "a"), write(tmp_path / "b")
    with pytest.raises(TargetError) as caught:
        targets.available([first, second])
    assert f"{first}/board/target.toml" in str(caught.value)
    assert f"{second}/board/target.toml" in str(caught.value)


def test_the_name_of_a_shipped_target(tmp_path: Path) -> None:
    folder = write(tmp_path, MINIMAL.replace('name = "board"', 'name = "x86_64_v3"'), name="x86_64_v3")
    line = error_line(folder, "x86_64_v3")
    assert str(resources.data_dir("targets") / "x86_64_v3/target.toml") in line
    assert f"{folder}/x86_64_v3/target.toml" in line


@pytest.mark.parametrize("alias", ["arm64", "cuda_sm80", "host", "cuda"])
def test_an_alias_that_is_taken(tmp_path: Path, alias: str) -> None:
    line = error_line(write(tmp_path, MINIMAL.replace("threads", f'aliases = ["{alias}"]\nthreads')))
    assert f"'{alias}' is taken twice" in line
    assert f"{tmp_path}/board/target.toml" in line
    assert ("arm64_cortex_a72/target.toml" in line) == (alias == "arm64")


@pytest.mark.parametrize(
    ("name", "threads", "cores"),
    [
        ("x86_64_v3", 1, 4), ("x86_64_v3", 2, 2), ("x86_64_v3", 3, 3), ("x86_64_v3", 4, 4), ("x86_64_v3", 8, 4),
        ("arm64_neoverse_v2", 1, 4), ("arm64_neoverse_v2", 2, 2), ("arm64_neoverse_v2", 16, 16),
        ("arm64_neoverse_v2", 72, 72), ("arm64_neoverse_v2", 100, 72),
    ],
)  # fmt: skip
def test_layers_are_cut_for_the_threads_of_a_run_and_for_few_cores_where_it_has_one(
    name: str, threads: int, cores: int
) -> None:
    target = targets.load(name)
    cut = targets.for_threads(target, threads)
    assert cut.processor.cores == cores
    back = msgspec.structs.replace(cut, processor=msgspec.structs.replace(cut.processor, cores=target.processor.cores))
    assert back == target, "nothing else changes"


def test_a_gpu_is_not_cut_for_threads_of_the_host() -> None:
    target = targets.load("cuda_sm90")
    assert targets.for_threads(target, 2) is target


# ---------------------------------------------------------------------------------------------------- what can be done
def machine(architecture: str, *features: str) -> machine_types.Host:
    return msgspec.structs.replace(
        host.describe(), architecture=architecture, features=tuple(features), cpu="a processor"
    )


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the only folder on PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setattr(linker, "_has_ziglang", lambda: False)
    return folder


def install(folder: Path, name: str, answer: str = "") -> None:
    (folder / name).write_text(f"#!/bin/sh\necho '{answer}'\n")
    (folder / name).chmod(0o755)


def test_x86_is_measured_where_the_features_are(tools: Path) -> None:
    install(tools, "g++")
    v3 = targets.load("x86_64_v3")
    assert targets.support(v3, machine("x86_64", *v3.processor.requires)) == targets.Support(compile=True, measure=True)
    lacking = targets.support(v3, machine("x86_64", *(word for word in v3.processor.requires if word != "fma")))
    assert (lacking.compile, lacking.measure) == (True, False)
    assert lacking.reason == "not measured here: this processor (a processor) lacks fma"
    assert lacking.emulate
    v4 = targets.support(targets.load("x86_64_v4"), machine("x86_64", *v3.processor.requires))
    assert not v4.emulate, "QEMU has no AVX-512"


def test_arm64_on_x86(tools: Path) -> None:
    install(tools, "g++")
    nothing = targets.support(targets.load("arm64"), machine("x86_64"))
    assert (nothing.compile, nothing.measure) == (False, False)
    assert "apt install g++-aarch64-linux-gnu" in nothing.reason
    install(tools, "aarch64-linux-gnu-g++")
    compiles = targets.support(targets.load("arm64"), machine("x86_64"))
    assert (compiles.compile, compiles.measure) == (True, False)
    assert compiles.reason == "not measured here, which needs an aarch64 machine: see --device rpc://HOST:PORT"
    assert compiles.emulate


def test_arm64_on_arm64(tools: Path) -> None:
    install(tools, "c++")
    assert targets.support(targets.load("arm64"), machine("aarch64", "asimd", "crc32")).measure
    assert not targets.support(targets.load("arm64_cortex_a76"), machine("aarch64", "asimd", "crc32")).measure


def test_code_for_linux_is_not_measured_on_another_system(tools: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tools, "aarch64-linux-gnu-g++")
    monkeypatch.setattr(platform, "system", lambda: "Darwin")
    found = targets.support(targets.load("arm64"), machine("aarch64", "asimd", "crc32"))
    assert (found.compile, found.measure, found.emulate) == (True, False, False)
    assert found.reason == "not measured here: its code is for Linux; use --target host"


@pytest.fixture
def no_nvml(monkeypatch: pytest.MonkeyPatch) -> None:
    """Be a machine without a driver, whatever this one has."""

    def refuse() -> nvml.NvmlDevice:
        raise nvml.NotReported("no driver here")

    monkeypatch.setattr(nvml, "open_device", refuse)
    monkeypatch.setattr(gpus, "absent", lambda: "no GPU here; buy one")


@pytest.mark.usefixtures("no_nvml")
def test_cuda(tools: Path) -> None:
    nothing = targets.support(targets.load("cuda_sm80"), machine("x86_64"))
    assert (nothing.compile, nothing.measure) == (False, False)
    assert "nvcc" in nothing.reason
    install(tools, "nvcc")
    compiles = targets.support(targets.load("cuda_sm80"), machine("x86_64"))
    assert (compiles.compile, compiles.measure) == (True, False)
    assert compiles.reason == "compile only: no GPU here; buy one"


def test_a_kind_that_mbench_cannot_compile_for(tmp_path: Path) -> None:
    folder = write(tmp_path, MINIMAL.replace('kind = "llvm"', 'kind = "vulkan"').replace('"arm"', '"gpu"'))
    nothing = targets.support(targets.load("board", extra_dirs=[folder]), machine("x86_64"))
    assert (nothing.compile, nothing.measure) == (False, False)
    assert "'vulkan' is not in this version" in nothing.reason


@pytest.mark.usefixtures("no_nvml")
def test_cuda_takes_the_target_of_the_gpu(tools: Path) -> None:
    with pytest.raises(
        TargetError, match="target 'cuda': no GPU here; to compile for another machine's, name it: cuda_sm80, "
    ):
        targets.load("cuda")
    install(tools, "nvidia-smi", "9.0, NVIDIA H100 80GB HBM3, 580.82.07, 81559, 1980, 2619, 700.00")
    target = targets.load("cuda")
    assert target.name == "cuda_sm90"
    assert target.description.startswith("this machine's NVIDIA H100 80GB HBM3 (")
    assert target.memory_bytes is not None
    assert target.memory_bytes.value == 81559 * 2**20
    assert target.processor.frequency_hz is not None
    assert target.processor.frequency_hz.value == 1980e6
    assert target.processor.cores == 132, "nvidia-smi does not report it: the reference machine's"
    assert target.energy is not None
    assert target.energy.static_w is None
    install(tools, "nvidia-smi", "7.5, Tesla T4")
    with pytest.raises(TargetError, match=r"none for Tesla T4 \(sm_75\)"):
        targets.load("cuda")
    install(tools, "nvidia-smi", "NVIDIA-SMI has failed")
    with pytest.raises(TargetError, match="no GPU here"):
        targets.load("cuda")


@pytest.mark.parametrize("name", GPUS)
def test_a_gpu_has_its_memory_and_power_limit_with_a_source(name: str) -> None:
    target = targets.load(name)
    assert target.memory_bytes is not None
    assert target.memory_bytes.source
    assert target.power_limit_w is not None
    assert target.power_limit_w.source
    assert target.energy is not None
    assert target.energy.static_w is not None
    assert target.energy.static_w.value < target.power_limit_w.value
