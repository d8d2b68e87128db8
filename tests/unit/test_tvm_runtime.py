"""TVM's runtime for boards: fetched once, checked, and used offline."""

from __future__ import annotations

import hashlib
import os
import platform
import zipfile
from pathlib import Path

import pytest
from conftest import require
from tool_fakes import lacking, refusal

from mbench.devices import tool_cache, tvm_runtime
from mbench.devices.tvm_runtime import Wheel

ARM_LIBRARIES = {"libtvm_runtime.so": b"runtime for arm", "libtvm_ffi.so": b"ffi for arm"}


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the cache folder; it is not there yet."""
    monkeypatch.setenv("MBENCH_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def index(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder that pip takes for the package index: wheels of small libraries, known by their true hashes."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    tvm, ffi = tvm_runtime.WHEELS["aarch64"]
    known = (_wheel(folder, tvm, "py3-none"), _wheel(folder, ffi, "cp311-cp311"))
    monkeypatch.setattr(tvm_runtime, "WHEELS", {"aarch64": known})
    return folder


def _wheel(folder: Path, like: Wheel, tag: str) -> Wheel:
    name, version = like.requirement.replace("-", "_").split("==")
    file = folder / f"{name}-{version}-{tag}-manylinux_2_28_aarch64.whl"
    with zipfile.ZipFile(file, "w") as archive:
        about = f"{name}-{version}.dist-info"
        archive.writestr(like.member, ARM_LIBRARIES[Path(like.member).name])
        archive.writestr(f"{about}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        archive.writestr(f"{about}/WHEEL", f"Wheel-Version: 1.0\nRoot-Is-Purelib: false\nTag: {tag}-any\n")
        archive.writestr(f"{about}/RECORD", "")
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    return Wheel(like.requirement, like.abi, digest, like.member)


def test_fetched_once_and_offline_afterwards(index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    libraries = tvm_runtime.libraries("aarch64", said.append)
    assert {path.name: path.read_bytes() for path in libraries} == ARM_LIBRARIES
    assert [line.split()[:2] for line in said] == [
        ["fetching", wheel.requirement] for wheel in tvm_runtime.WHEELS["aarch64"]
    ]
    for file in index.iterdir():
        file.unlink()
    monkeypatch.setattr(tool_cache, "run", lambda *_, **__: pytest.fail("something was run"))
    assert tvm_runtime.libraries("aarch64", said.append) == libraries
    assert len(said) == 2


def test_a_wheel_with_another_hash_is_not_used(index: Path, cache: Path) -> None:
    [file] = index.glob("*ffi*")
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr("surprise", "malicious")
    message = refusal(tvm_runtime.libraries, "aarch64")
    assert "apache-tvm-ffi==0.1.14.post1 for aarch64: the package index serves another file" in message
    assert "hash" in message
    assert list((cache / "runtime").iterdir()) == []


def test_no_index(index: Path, cache: Path) -> None:
    for file in index.iterdir():
        file.unlink()
    message = refusal(tvm_runtime.libraries, "aarch64")
    assert "apache-tvm==0.27.0.post1 for aarch64 could not be fetched" in message
    assert "Could not find a version" in message
    assert "afterwards mbench works offline" in message
    assert list((cache / "runtime").iterdir()) == []


def test_no_pip(index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lacking(monkeypatch, "pip")
    assert "-m ensurepip" in refusal(tvm_runtime.libraries, "aarch64")


def test_a_runtime_for_an_architecture_without_one(index: Path) -> None:
    assert "TVM's runtime for riscv64 is not known" in refusal(tvm_runtime.libraries, "riscv64")


def test_this_machines_runtime_is_the_installed_one(cache: Path) -> None:
    for library in tvm_runtime.libraries(platform.machine()):
        require(library.is_file(), "TVM's libraries in the installed packages")
    assert not cache.exists()


def test_the_runtime_is_of_the_pinned_versions() -> None:
    from importlib import metadata

    pinned = {line.split(" ")[0] for line in metadata.requires("mobilenet-bench") or []}
    assert {wheel.requirement for wheel in tvm_runtime.WHEELS["aarch64"]} <= pinned
