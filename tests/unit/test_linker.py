import platform
import sys
from pathlib import Path

import pytest

from mbench.core.errors import BuildError
from mbench.hardware import linker


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty PATH, no $CXX, no ziglang."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setattr(linker, "_has_ziglang", lambda: False)
    return tmp_path


def install(folder: Path, name: str, script: str = "exit 0") -> None:
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


def test_the_native_linker(tools: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BuildError, match=r"none of c\+\+, g\+\+, clang\+\+ is on PATH; .*apt install g\+\+,"):
        linker.find("x86_64-linux-gnu", machine="x86_64")
    install(tools, "clang++")
    assert linker.find("x86_64-linux-gnu", machine="x86_64") == ("clang++",)
    install(tools, "g++")
    assert linker.find("x86_64-linux-gnu", machine="x86_64") == ("g++",)
    install(tools, "ccache")
    monkeypatch.setenv("CXX", "ccache g++")
    assert linker.find("arm64-apple-darwin23", machine="arm64") == ("ccache", "g++")
    monkeypatch.setenv("CXX", "icpx")
    with pytest.raises(BuildError, match=r"\$CXX is 'icpx', which is not on PATH"):
        linker.find("x86_64-linux-gnu", machine="x86_64")


def test_cross_linkers_ignore_cxx(tools: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tools, "g++")
    monkeypatch.setenv("CXX", "g++")
    with pytest.raises(BuildError, match=r"aarch64-linux-gnu-g\+\+ is on PATH; .*apt install g\+\+-aarch64-linux-gnu"):
        linker.find("aarch64-linux-gnu", machine="x86_64")
    install(tools, "aarch64-linux-gnu-g++")
    assert linker.find("aarch64-linux-gnu", machine="x86_64") == ("aarch64-linux-gnu-g++",)
    assert linker.find("aarch64-linux-gnu", machine="arm64") == ("g++",)


def test_ziglang_links_where_the_system_cannot(tools: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linker, "_has_ziglang", lambda: True)
    zig = (sys.executable, "-m", "ziglang", "cc", "-target")
    assert linker.find("x86_64-linux-gnu", machine="x86_64") == (*zig, "native")
    assert linker.find("aarch64-linux-gnu", machine="x86_64") == (*zig, "aarch64-linux-gnu")
    install(tools, "g++")
    assert linker.find("x86_64-linux-gnu", machine="x86_64") == ("g++",)


def test_on_macos_symbols_of_tvm_are_found_later_and_code_for_linux_is_of_another_system(
    tools: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platform, "system", lambda: "Darwin")
    install(tools, "c++")
    assert linker.find("arm64-apple-darwin23", machine="arm64") == ("c++", "-undefined", "dynamic_lookup")
    assert linker.of_this_system("arm64-apple-darwin23")
    assert not linker.of_this_system("aarch64-linux-gnu")
    with pytest.raises(BuildError, match="none of aarch64-linux-gnu-g"):
        linker.find("aarch64-linux-gnu", machine="arm64")
    monkeypatch.setattr(linker, "_has_ziglang", lambda: True)
    assert linker.find("aarch64-linux-gnu", machine="arm64")[-2:] == ("-target", "aarch64-linux-gnu")


def test_a_failing_linker_is_quoted(tmp_path: Path) -> None:
    install(tmp_path, "broken", "echo first; echo 'ld: out of patience' >&2; exit 3")
    with pytest.raises(BuildError, match=r"failed \(status 3\): ld: out of patience$"):
        linker.link([str(tmp_path / "broken")], ["a.o"], tmp_path / "x.so")
