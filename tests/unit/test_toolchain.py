from __future__ import annotations

import hashlib
import importlib.util
import os
import platform
import zipfile
from pathlib import Path
from typing import Any

import pytest
from conftest import require

from mbench.core.errors import UsageError
from mbench.devices import tool_cache, toolchain, tvm_runtime
from mbench.devices.toolchain import Emulator
from mbench.devices.tvm_runtime import Wheel
from mbench.hardware import linker

ARM = "aarch64-linux-gnu"
ARM_LIBRARIES = {"libtvm_runtime.so": b"runtime for arm", "libtvm_ffi.so": b"ffi for arm"}


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the cache folder; it is not there yet."""
    monkeypatch.setenv("MBENCH_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty folder that alone is on PATH; nothing brings another compiler."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    for name in ("CC", "CXX"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(linker, "_has_ziglang", lambda: False)
    return folder


def put(folder: Path, name: str, script: str) -> Path:
    file = folder / name
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)
    return file


def refusal(call: Any, *arguments: Any) -> str:
    """Return the message of what must be refused; it is one line."""
    with pytest.raises(UsageError) as caught:
        call(*arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def lacking(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """Make this Python lack packages."""
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name in names else find(name))


# ------------------------------------------------------------------------------------------------------------ compilers
@pytest.mark.parametrize("ziglang", [False, True])
@pytest.mark.parametrize(
    ("machine", "triple", "package"),
    [
        ("x86_64", ARM, "apt install g++-aarch64-linux-gnu)"),
        ("x86_64", "x86_64-linux-gnu", "apt install g++)"),
        ("aarch64", ARM, "apt install g++)"),
        ("aarch64", "x86_64-linux-gnu", "apt install g++-x86-64-linux-gnu)"),
    ],
)
def test_no_compiler(
    cache: Path, tools: Path, monkeypatch: pytest.MonkeyPatch, machine: str, triple: str, package: str, ziglang: bool
) -> None:
    monkeypatch.setattr(platform, "machine", lambda: machine)
    monkeypatch.setattr(linker, "_has_ziglang", lambda: ziglang)  # it links networks, and has another C++ library
    message = refusal(toolchain.server, triple)
    assert f"the server for {triple} needs GNU's C++ compiler" in message
    assert package in message
    assert not cache.exists()


def test_a_compiler_by_environment_that_is_not_there(cache: Path, tools: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler -O1")
    assert "$CXX is 'no-such-compiler -O1'" in refusal(toolchain.server, f"{platform.machine()}-linux-gnu")


def test_a_compiler_that_fails(cache: Path, tools: Path) -> None:
    put(tools, "c++", "echo warning: x errors ahead; echo 'server.cc:1:1: fatal error: tvm.h: No such file'; exit 3")
    message = refusal(toolchain.server, f"{platform.machine()}-linux-gnu")
    assert message == "building mbench-server failed (status 3): server.cc:1:1: fatal error: tvm.h: No such file"
    assert list((cache / "server").iterdir()) == []


def test_no_c_compiler_for_the_plugin(cache: Path, tools: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lacking(monkeypatch, "ziglang")
    message = refusal(toolchain.plugin, Emulator("qemu-aarch64", (7, 2, 0), plugins=True))
    assert "apt install gcc" in message


def test_what_is_built_is_kept(cache: Path, tools: Path) -> None:
    put(tools, "cc", 'echo again >>"${0%/*}/log"; while [ "$1" != -o ]; do shift; done; echo made >"$2"')
    emulator = Emulator("qemu-aarch64", (7, 2, 0), plugins=True)
    built = toolchain.plugin(emulator)
    assert built.read_text() == "made\n"
    assert toolchain.plugin(emulator) == built
    assert (tools / "log").read_text() == "again\n"
    assert toolchain.plugin(Emulator("qemu-aarch64", (9, 0, 0), plugins=True)) != built  # another interface


def test_a_cache_where_nothing_can_be_written(cache: Path, tools: Path) -> None:
    put(tools, "cc", "exit 0")
    cache.write_text("a file")
    message = refusal(toolchain.plugin, Emulator("qemu-aarch64", (7, 2, 0), plugins=True))
    assert "Not a directory" in message
    assert "MBENCH_CACHE_DIR" in message


# ------------------------------------------------------------------------------------------------------------- emulator
def qemu(folder: Path, version: str, options: str = "-plugin", name: str = "qemu-aarch64") -> Path:
    says = f'case "$1" in --version) echo "qemu-aarch64 version {version}";; -h) echo "{options}  x";; esac'
    return put(folder, name, says)


def test_no_qemu(tools: Path) -> None:
    message = refusal(toolchain.emulator, ARM)
    assert message == (
        f"emulating {ARM} needs qemu-aarch64, which is not on PATH; install it "
        "(Debian and Ubuntu: apt install qemu-user)"
    )


@pytest.mark.parametrize(
    ("said", "version", "interface"),
    [  # QEMU_PLUGIN_VERSION in QEMU's own header at each of these tags
        ("7.2.22 (Debian 1:7.2+dfsg-7+deb12u18+b3)", (7, 2, 22), 1),
        ("8.2.2 (Debian 1:8.2.2+ds-0ubuntu1.4)", (8, 2, 2), 1),
        ("9.0.0", (9, 0, 0), 2),
        ("9.1.0", (9, 1, 0), 3),
        ("10.0.2 (Debian 1:10.0.2+ds-2)", (10, 0, 2), 3),
    ],
)
def test_versions(tools: Path, said: str, version: tuple[int, ...], interface: int) -> None:
    file = qemu(tools, said)
    found = toolchain.emulator(ARM)
    assert found == Emulator(str(file), version, plugins=True)
    assert found.name == f"qemu-aarch64 {'.'.join(map(str, version))}"
    assert toolchain.plugin_interface(found.version) == interface


def test_an_old_qemu_does_not_count(cache: Path, tools: Path) -> None:
    qemu(tools, "5.2.0")
    message = refusal(toolchain.plugin, toolchain.emulator(ARM))
    assert "QEMU 5.2.0 is too old for counting; expected 7.0 or newer" in message


def test_a_static_qemu_does_not_count(cache: Path, tools: Path) -> None:
    qemu(tools, "10.0.2", options="-strace", name="qemu-aarch64-static")
    found = toolchain.emulator(ARM)
    assert not found.plugins
    message = refusal(toolchain.plugin, found)
    assert "qemu-aarch64-static 10.0.2 takes no plugins" in message
    assert "linked dynamically" in message


def test_something_else_of_that_name(tools: Path) -> None:
    put(tools, "qemu-aarch64", "echo 'hello\n  there'")
    assert "says 'hello" in refusal(toolchain.emulator, ARM)


def test_a_qemu_that_cannot_be_executed(tools: Path) -> None:
    (tools / "qemu-aarch64").write_bytes(b"\x7fELF nothing")
    (tools / "qemu-aarch64").chmod(0o755)
    assert "Exec format error" in refusal(toolchain.emulator, ARM)


def test_a_qemu_that_hangs(tools: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tool_cache, "_ANSWER_MAX_S", 0.2)
    put(tools, "qemu-aarch64", "exec /bin/sleep 20")
    assert "no end within 0.2 s" in refusal(toolchain.emulator, ARM)


def test_no_c_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(toolchain, "_SYSROOTS", {"aarch64": tmp_path / "none"})
    message = refusal(toolchain.sysroot, ARM)
    assert str(tmp_path / "none") in message
    assert "apt install g++-aarch64-linux-gnu" in message
    assert toolchain.sysroot("x86_64-linux-gnu") == Path("/")
    assert "expected one of: aarch64" in refusal(toolchain.sysroot, "riscv64-linux-gnu")


# -------------------------------------------------------------------------------------------------------------- runtime
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
