from __future__ import annotations

import platform
from pathlib import Path

import pytest
from tool_fakes import ARM, lacking, refusal

from mbench.devices import tool_cache, toolchain
from mbench.devices.toolchain import Emulator
from mbench.hardware import linker


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
