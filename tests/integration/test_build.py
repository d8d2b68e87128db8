from __future__ import annotations

import errno
import gc
import hashlib
import importlib.metadata
import multiprocessing
import os
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import numpy as np
import pytest
from conftest import require

from mbench.build import build, builders
from mbench.build.artifact_store import ArtifactStore
from mbench.build.builders import Builder
from mbench.core import artifact, machine_types, network_digest, resources
from mbench.core.artifact import LIBRARY, MANIFEST, REFERENCE, Artifact
from mbench.core.errors import BuildError, TargetError
from mbench.core.machine_types import Target
from mbench.core.records import Failure, Variant
from mbench.hardware import linker, targets
from mbench.networks import architectures, torch_network, variants

VARIANT = variants.parse("mobilenet_v1_0.25_32")
EM_X86_64, EM_AARCH64, EM_CUDA = 62, 183, 190  # <elf.h>


@pytest.fixture(scope="module")
def host() -> Target:
    return targets.load("host")


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("artifacts")


@pytest.fixture(scope="module")
def built(cache: Path, host: Target) -> Artifact:
    done, cached = build.build(VARIANT, host, cache)
    assert not cached
    return done


@pytest.fixture
def no_compiling(monkeypatch: pytest.MonkeyPatch) -> None:
    def compile_(*_: object) -> None:
        raise AssertionError("compiled, though the artifact was there")

    monkeypatch.setattr(build, "_compile", compile_)


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def machine_of(library: Path) -> int:
    """Return e_machine of an ELF file."""
    header = library.read_bytes()[:20]
    assert header[:4] == b"\x7fELF"
    return int(struct.unpack_from("<H", header, 18)[0])


# ------------------------------------------------------------------------------------------------------ what is built
def test_the_artifact_holds_a_library_and_torchs_reference(built: Artifact, cache: Path) -> None:
    assert sorted(path.name for path in built.folder.iterdir()) == sorted([LIBRARY, MANIFEST, REFERENCE])
    assert [path.name for path in cache.iterdir() if path.name.startswith(".")] == []
    graph = architectures.graph(VARIANT)
    images = torch_network.example_inputs(graph)
    [expected] = torch_network.run(graph, torch_network.draw(graph), images)
    with np.load(built.reference) as reference:
        np.testing.assert_array_equal(reference["input"], images["image"].numpy())
        np.testing.assert_allclose(reference["output"], expected.numpy(), rtol=1e-5, atol=1e-5)


def test_the_compiler_makes_the_same_in_processes_of_any_pool(built: Artifact, host: Target, tmp_path: Path) -> None:
    theirs = ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"))
    for name, executor in (("theirs", theirs), ("ours", builders.local_executor(600.0))):
        with executor:
            done = Builder(executor, ArtifactStore(tmp_path / name)).build([VARIANT], host, lambda *_: None)
        made = done[VARIANT.name]
        assert not isinstance(made, Failure), made
        assert made[0].manifest.digest == built.manifest.digest
        for file in (LIBRARY, REFERENCE):
            assert made[0].manifest.files[file] == built.manifest.files[file]


def test_the_manifest_attributes_every_kernel_to_its_layer(built: Artifact) -> None:
    manifest = built.manifest
    names = [layer.name for layer in manifest.layers]
    assert names == [spec.name for spec in architectures.layers(VARIANT)]  # no layer of the compiler's own
    assert [index for _, index in manifest.calls] == sorted(index for _, index in manifest.calls)
    for index, layer in enumerate(manifest.layers):
        assert layer.kernels == tuple(kernel for kernel, of in manifest.calls if of == index)
        assert layer.kernels
    assert {kernel for kernel, _ in manifest.calls} == manifest.schedules.keys()
    assert manifest.fallbacks == {}
    depthwise = next(layer for layer in manifest.layers if layer.name == "block2.dw")
    assert (depthwise.kernel_size, depthwise.stride, depthwise.groups) == ((3, 3), (2, 2), 16)


def test_every_kernels_code_begins_a_cache_line(built: Artifact) -> None:
    require(shutil.which("nm"), "needs nm (Debian: binutils)")
    listed = subprocess.run(["nm", str(built.library)], stdout=subprocess.PIPE, text=True, check=True).stdout
    rows = [line.split() for line in listed.splitlines() if "__tvm_ffi_" in line]
    begins = {row[2].removeprefix("__tvm_ffi_"): int(row[0], 16) for row in rows if row[1] == "T"}
    assert {kernel for kernel, _ in built.manifest.calls} <= set(begins)
    assert [kernel for kernel, address in begins.items() if address % 64] == []


def test_kernels_that_leave_most_of_a_vector_empty_are_named() -> None:
    from mbench.compile.machine import KernelMachine
    from mbench.compile.schedules.rule import KernelPlan, Scheduled

    def using(lanes: int | None) -> Scheduled:
        return Scheduled(plan=KernelPlan(function=None, lanes=lanes), rule="cpu.matmul")

    machine = KernelMachine.of(targets.load("x86_64_v3"))
    kernels = {"one": using(1), "two": using(2), "half": using(4), "all": using(8), "other": using(None)}
    assert build._narrow(kernels, machine) == {"one": 1, "two": 2}


# ------------------------------------------------------------------------------------------------------------ the cache
@pytest.mark.usefixtures("no_compiling")
def test_the_second_build_is_from_the_cache(built: Artifact, host: Target, cache: Path) -> None:
    assert build.build(VARIANT, host, cache) == (built, True)


def test_without_the_cache_it_is_built_again_byte_for_byte(
    built: Artifact, host: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 3)  # what is built does not depend on how many work at it
    shutil.copytree(built.folder, tmp_path / built.folder.name)
    hashes = {name: sha256(built.folder / name) for name in (LIBRARY, REFERENCE)}
    before = (tmp_path / built.folder.name / MANIFEST).stat().st_ino
    again, cached = build.build(VARIANT, host, tmp_path, use_cache=False)
    assert not cached
    assert (again.folder / MANIFEST).stat().st_ino != before
    assert {name: sha256(again.folder / name) for name in hashes} == hashes
    assert [path.name for path in tmp_path.iterdir()] == [again.folder.name]


def truncate(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def flip(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 0x10
    file.write_bytes(data)


@pytest.mark.parametrize("damage", [truncate, flip, Path.unlink])
@pytest.mark.parametrize("name", [LIBRARY, REFERENCE, MANIFEST])
def test_a_damaged_artifact_is_built_again(
    name: str,
    damage: Callable[[Path], None],
    built: Artifact,
    host: Target,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = tmp_path / built.folder.name
    shutil.copytree(built.folder, folder)
    damage(folder / name)
    with pytest.raises(BuildError):
        artifact.load(folder)

    def compile_(_variant: Any, _target: Any, _choices: Any, _inputs: Any, work: Path) -> artifact.Manifest:
        for file in (LIBRARY, REFERENCE):  # what compiling would give, without the seconds that it takes
            shutil.copy(built.folder / file, work / file)
        return built.manifest

    monkeypatch.setattr(build, "_compile", compile_)
    again, cached = build.build(VARIANT, host, tmp_path)
    assert not cached
    assert artifact.load(folder) == again
    assert sha256(again.library) == sha256(built.library)


def test_two_processes_may_build_into_one_cache_at_once(tmp_path: Path) -> None:
    program = (
        "import sys, pathlib\n"
        "from mbench.hardware import targets; from mbench.networks import variants\n"
        "from mbench.build import build\n"
        "target = targets.load('host')\n"
        "done, _ = build.build(variants.parse('mobilenet_v1_0.25_32'), target, pathlib.Path(sys.argv[1]))\n"
        "print(done.folder.name, done.manifest.files['model.so'])\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path)]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = {process.communicate(timeout=600)[0] for process in running}
    assert [process.returncode for process in running] == [0, 0]
    assert len(said) == 1
    folder, library = said.pop().split()
    assert artifact.load(tmp_path / folder).manifest.files[LIBRARY] == library
    assert [path.name for path in tmp_path.iterdir()] == [folder]


@pytest.mark.parametrize("on", [True, False])
def test_a_build_leaves_the_garbage_collector_as_it_was(
    on: bool, host: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def compile_(*_: object) -> None:
        assert not gc.isenabled()
        raise BuildError("a test")

    monkeypatch.setattr(build, "_compile", compile_)
    was_on = gc.isenabled()
    (gc.enable if on else gc.disable)()
    try:
        with pytest.raises(BuildError, match="a test"):
            build.build(VARIANT, host, tmp_path)
        assert gc.isenabled() is on
    finally:
        (gc.enable if was_on else gc.disable)()


# ----------------------------------------------------------------------------------------------------------- the digest
def digest(variant: Variant, target: Target) -> str:
    return build.digest(build.digest_inputs(variant, target))


Changed = TypeVar("Changed", bound=msgspec.Struct)


def changed(item: Changed, **changes: Any) -> Changed:
    return msgspec.structs.replace(item, **changes)


def test_a_network_has_one_digest_however_its_kernels_are_fused(cache: Path) -> None:
    """Fused on x86 and not on Arm, it is the same network."""
    variant = variants.parse("mobilenet_v2_0.35_32")
    require(linker.find("aarch64-linux-gnu"), "a linker for aarch64")
    fused, apart = (
        build.build(variant, targets.load(name), cache)[0].manifest for name in ("x86_64_v3", "arm64_cortex_a72")
    )
    assert len(fused.layers) < len(apart.layers)
    expected = network_digest.of_layers(architectures.layers(variant))
    assert (fused.network_digest, apart.network_digest) == (expected, expected)


@pytest.mark.parametrize(("board", "same"), [("raspberry_pi_4", True), ("jetson_orin_nano", False)])
def test_a_board_has_the_code_of_its_core_where_all_that_kernels_depend_on_is_equal(board: str, same: bool) -> None:
    core = targets.load(targets.cores()[board])
    assert (digest(VARIANT, targets.load(board)) == digest(VARIANT, core)) == same


def test_the_digest_is_the_folders_name_and_lists_what_went_in(built: Artifact, host: Target) -> None:
    assert built.folder.name == built.manifest.digest == digest(VARIANT, host)
    assert len(built.manifest.digest) == 32
    assert built.manifest.inputs["torch"] == importlib.metadata.version("torch")


@pytest.mark.parametrize(
    "variant",
    [
        variants.parse("mobilenet_v1_0.5_32"),
        variants.parse("mobilenet_v1_0.25_33"),
        variants.parse("mobilenet_v1_0.25_32_standard"),
        variants.parse("mobilenet_v1_0.25_32_shallow"),
        variants.parse("mobilenet_v1_0.25_32", batch=2),
    ],
    ids=lambda variant: f"{variant.name}, {variant.batch}",
)
def test_another_variant_has_another_digest(variant: Variant, host: Target) -> None:
    assert digest(variant, host) != digest(VARIANT, host)


def test_what_a_gpu_holds_changes_the_digest() -> None:
    target = targets.load("cuda_sm90")
    processor, other = target.processor, machine_types.Figure(value=77, source="a test")
    assert processor.multiprocessor is not None
    seen = [digest(VARIANT, target)]
    for field in ("threads", "blocks", "registers", "shared_bytes"):
        held = msgspec.structs.replace(processor.multiprocessor, **{field: other})
        seen.append(digest(VARIANT, changed(target, processor=changed(processor, multiprocessor=held))))
    seen.append(digest(VARIANT, changed(target, processor=changed(processor, multiprocessor=None))))
    seen.append(digest(VARIANT, changed(target, processor=changed(processor, flops_per_cycle={"float32": other}))))
    for level in ("L2", "DRAM"):
        peaks = changed(target.peaks, bytes_per_s={**target.peaks.bytes_per_s, level: other})
        seen.append(digest(VARIANT, changed(target, peaks=peaks)))
    assert len(set(seen)) == len(seen) == 9


def test_what_changes_the_code_changes_the_digest(host: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = [digest(VARIANT, host)]
    processor = host.processor
    seen.append(digest(VARIANT, changed(host, tvm={**host.tvm, "mcpu": "x86-64"})))
    seen.append(digest(VARIANT, changed(host, tvm={**host.tvm, "num-cores": 77})))
    seen.append(digest(VARIANT, changed(host, processor=changed(processor, vector_bits=processor.vector_bits * 2))))
    seen.append(digest(VARIANT, changed(host, processor=changed(processor, vector_registers=7))))
    seen.append(digest(VARIANT, changed(host, processor=changed(processor, cores=77))))
    for level in ("l1d", "l2"):
        cache = machine_types.Cache(bytes=machine_types.Figure(value=12345, source="a test"))
        seen.append(digest(VARIANT, changed(host, processor=changed(processor, **{level: cache}))))
    seen.append(digest(VARIANT, changed(host, family="arm" if host.family == "x86" else "x86")))
    with monkeypatch.context() as patched:
        patched.setattr(build, "_source_digest", lambda: "other sources")
        seen.append(digest(VARIANT, host))
    version = importlib.metadata.version
    for name in ("apache-tvm", "apache-tvm-ffi", "torch", "numpy"):
        with monkeypatch.context() as patched:
            patched.setattr(
                importlib.metadata, "version", lambda asked, name=name: "0.0" if asked == name else version(asked)
            )
            seen.append(digest(VARIANT, host))
    assert len(set(seen)) == len(seen)


def test_what_does_not_change_the_code_does_not_change_the_digest(host: Target) -> None:
    same = [
        host,
        changed(host, name="other"),
        changed(host, description="other", aliases=("another",)),
        changed(host, threads=host.threads + 7),
        changed(host, energy=None),
        changed(host, tvm=dict(reversed(host.tvm.items()))),
        changed(host, processor=changed(host.processor, l3=None)),
    ]
    assert len({digest(VARIANT, target) for target in same}) == 1


def test_the_source_digest_follows_the_text_of_the_sources(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    package = tmp_path / "mbench"
    shutil.copytree(resources.PACKAGE, package, ignore=shutil.ignore_patterns("__pycache__"))
    right = build._source_digest()
    monkeypatch.setattr(resources, "PACKAGE", package)
    assert build._source_digest() == right
    seen = {right}
    for file in (
        "compile/schedules/cpu/matmul.py",
        "networks/torch_network.py",
        "networks/families/mobilenet_v1.py",
        "core/artifact.py",
    ):
        with (package / file).open("a") as text:
            text.write("#\n")
        seen.add(build._source_digest())
    assert len(seen) == 5
    (package / "page" / "report.py").write_text("# shows what was built\n")
    (package / "tuning" / "timing.py").write_text("# times what was built\n")
    assert build._source_digest() in seen


# ------------------------------------------------------------------------------------------------- what cannot be built
def left_behind(cache: Path) -> list[str]:
    return [path.name for path in cache.iterdir()] if cache.exists() else []


def test_a_failing_linker_is_an_error_of_one_line(
    host: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CXX", "/bin/false")
    with pytest.raises(BuildError) as caught:
        build.build(VARIANT, host, tmp_path)
    assert str(caught.value) == "linking with '/bin/false' failed (status 1): no message"
    assert left_behind(tmp_path) == []


def test_no_compiler_at_all_is_an_error_that_says_what_to_install(
    host: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setattr(linker, "_has_ziglang", lambda: False)
    with pytest.raises(BuildError, match=r"needs a C\+\+ compiler, and none of .* is on PATH; install one") as caught:
        build.build(VARIANT, host, tmp_path / "cache")
    assert "\n" not in str(caught.value)
    assert left_behind(tmp_path / "cache") == []


def test_a_processor_that_llvm_does_not_know_is_refused(tmp_path: Path) -> None:
    target = targets.load("x86_64_v3")
    wrong = changed(target, tvm={**target.tvm, "mcpu": "x86-64-v33"})
    with pytest.raises(TargetError, match=r"tvm\.mcpu 'x86-64-v33' is not a processor that LLVM knows"):
        build.build(VARIANT, wrong, tmp_path)
    assert left_behind(tmp_path) == []


def test_attribution_that_fails_is_an_error_of_the_build(
    host: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mbench.compile import codegen

    called = codegen.called_kernels
    monkeypatch.setattr(codegen, "called_kernels", lambda planned: (*called(planned), "stranger"))
    with pytest.raises(BuildError, match="kernel 'stranger' is called but belongs to no layer"):
        build.build(VARIANT, host, tmp_path)
    assert left_behind(tmp_path) == []


# ------------------------------------------------------------------------------------------------------- other machines
def test_arm64_code_is_arm64_code(built: Artifact, tmp_path: Path) -> None:
    require(shutil.which("aarch64-linux-gnu-g++"), "needs aarch64-linux-gnu-g++")
    done, _ = build.build(VARIANT, targets.load("arm64_cortex_a72"), tmp_path)
    assert machine_of(done.library) == EM_AARCH64
    assert done.manifest.fallbacks == {}
    require(targets.load("host").family == "x86", "needs an x86-64 machine, for the difference")
    assert machine_of(built.library) == EM_X86_64


def test_cuda_code_is_in_the_library_and_nvcc_takes_it(tmp_path: Path) -> None:
    require(shutil.which("nvcc"), "needs nvcc")
    done, _ = build.build(VARIANT, targets.load("cuda_sm80"), tmp_path)
    assert done.manifest.fallbacks == {}
    content = done.library.read_bytes()
    assert artifact.GRAPH_ENTRY.encode() in content
    start = content.index(b"\n#ifdef __CUDACC_RTC__")
    (length,) = struct.unpack_from("<Q", content, start - 8)
    source = tmp_path / "kernels.cu"
    source.write_bytes(content[start : start + length])
    for kernel in done.manifest.schedules:
        assert f"{kernel}_kernel(".encode() in source.read_bytes(), kernel
    cubin = tmp_path / "kernels.cubin"
    subprocess.run(["nvcc", "-arch=sm_80", "-cubin", "-o", cubin, source], check=True, capture_output=True)
    assert machine_of(cubin) == EM_CUDA


def test_a_full_cache_is_one_line(tmp_path: Path, host: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_arguments: object, **_options: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(artifact, "store", full)
    with pytest.raises(BuildError, match=r"^artifacts cannot be written to .*: No space left on device; free space or"):
        build.build(VARIANT, host, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_cuda_code_that_nvcc_refuses_is_no_artifact(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    (tools / "nvcc").write_text("#!/bin/sh\necho 'error: no such architecture' >&2; exit 2\n")
    (tools / "nvcc").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    with pytest.raises(BuildError, match=r"^code generation for cuda failed: .+"):
        build.build(VARIANT, targets.load("cuda_sm80"), tmp_path / "cache")
