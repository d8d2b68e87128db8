from __future__ import annotations

import os
import platform
import shutil
import subprocess
from pathlib import Path

import pytest

from mbench.core.errors import OutputError, UsageError
from mbench.devices import package, toolchain
from mbench.devices.toolchain import Server
from mbench.hardware import linker, targets

ARM = targets.load("arm64")
HERE = platform.machine()


@pytest.fixture(autouse=True)
def built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Server:
    """Return the server that is packed, without a compiler: a script that says what it was given, and its libraries."""
    server = Server(tmp_path / "built")
    server.folder.mkdir()
    about = "# /bin/../lib/ld-linux-none.so.1 \nGLIBC_2.17\0GLIBC_2.34\0GLIBC_2.4\0GLIBC_2.2.5\0GLIBC_2.99 \n"
    for path in server.files:
        path.write_text(about)
    server.program.write_text(f'#!/bin/sh\necho "$LD_LIBRARY_PATH" "$@"\nexit 7\n{about}')
    server.program.chmod(0o755)
    monkeypatch.setattr(toolchain, "server", lambda *_: server)
    return server


def start(folder: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [folder / package.START, *words], capture_output=True, text=True, check=False,
        env={"PATH": os.environ["PATH"], **environment},
    )  # fmt: skip


def startable(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a package for this very machine."""
    monkeypatch.setattr(package, "_loader", lambda _: "/bin/sh")
    monkeypatch.setattr(linker, "architecture", lambda _: HERE)
    return package.pack(ARM, folder).folder


# ---------------------------------------------------------------------------------------------------------- the folder
def test_everything_is_in_the_folder(tmp_path: Path, built: Server) -> None:
    made = package.pack(ARM, tmp_path / "board")
    assert {path.name for path in made.folder.iterdir()} == {"start.sh", "README.txt", *(p.name for p in built.files)}
    assert made.total_bytes == sum(path.stat().st_size for path in made.folder.iterdir())
    assert made.glibc == "2.34"  # 2.99 is part of another word
    for name in ("start.sh", "mbench-server"):
        assert os.access(made.folder / name, os.X_OK)
    about = (made.folder / "README.txt").read_text()
    assert "no authentication" in about
    assert "ssh -L 9090:127.0.0.1:9090 BOARD" in about
    assert "{" not in about


def test_a_package_is_replaced(tmp_path: Path, built: Server) -> None:
    folder = package.pack(ARM, tmp_path / "board").folder
    (built.folder / "libtvm_ffi.so").write_text("newer GLIBC_2.40\0")
    made = package.pack(ARM, folder)
    assert (folder / "libtvm_ffi.so").read_text().startswith("newer")
    assert made.glibc == "2.40"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["board", "built"]


def test_an_empty_folder_is_taken(tmp_path: Path) -> None:
    (tmp_path / "board").mkdir()
    assert package.pack(ARM, tmp_path / "board").total_bytes


def test_what_is_no_package_is_left_alone(tmp_path: Path) -> None:
    folder = package.pack(ARM, tmp_path / "board").folder
    (folder / "thesis.txt").write_text("precious")
    with pytest.raises(UsageError, match=r"holds other files \(thesis\.txt"):
        package.pack(ARM, folder)
    assert (folder / "thesis.txt").read_text() == "precious"
    (tmp_path / "file").write_text("precious")
    (tmp_path / "link").symlink_to(tmp_path / "built")
    for name in ("file", "link"):
        with pytest.raises(UsageError, match="is not a folder"):
            package.pack(ARM, tmp_path / name)
    assert (tmp_path / "file").read_text() == "precious"


@pytest.mark.parametrize("before", [False, True])
def test_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: bool) -> None:
    folder = tmp_path / "board"
    if before:
        package.pack(ARM, folder)
    there = sorted(tmp_path.rglob("*"))

    def full(source: Path, folder: Path) -> None:
        (folder / source.name).write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shutil, "copy", full)
    with pytest.raises(OutputError, match=r"board: cannot be written: No space left on device.*--output"):
        package.pack(ARM, folder)
    assert sorted(tmp_path.rglob("*")) == there


def test_the_old_one_comes_back_where_the_new_one_cannot_be_put(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = package.pack(ARM, tmp_path / "board").folder
    rename = Path.rename

    def refuse(path: Path, to: Path) -> Path:
        if path.name == "new":
            raise OSError(13, "Permission denied")
        return rename(path, to)

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(OutputError, match="Permission denied"):
        package.pack(ARM, folder)
    assert len(list(folder.iterdir())) == 5


def test_a_server_without_a_loader_is_no_server(tmp_path: Path, built: Server) -> None:
    built.program.write_bytes(b"static")
    with pytest.raises(UsageError, match="names no loader"):
        package.pack(ARM, tmp_path / "board")
    assert not (tmp_path / "board").exists()


# ----------------------------------------------------------------------------------------------------------- the script
def test_start_passes_its_options_on_from_wherever_it_lies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = startable(tmp_path / "board", monkeypatch)
    moved = tmp_path / "an other' place"
    folder.rename(moved)
    done = start(moved, "--port", "0", "--dir", "a b", CDPATH="/usr:/")
    assert (done.returncode, done.stdout, done.stderr) == (7, f"{moved} --port 0 --dir a b\n", "")
    assert start(moved, LD_LIBRARY_PATH="/mine").stdout == f"{moved}:/mine\n"


def test_start_on_another_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = startable(tmp_path / "board", monkeypatch)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "uname").write_text("#!/bin/sh\necho riscv64\n")
    (tmp_path / "bin" / "uname").chmod(0o755)
    done = start(folder, PATH=f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        f"mbench-server: this server is for {HERE}, and this machine is riscv64; "
        "make another: mbench device serve --target NAME\n"
    )


def test_start_where_the_c_library_is_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linker, "architecture", lambda _: HERE)
    done = start(package.pack(ARM, tmp_path / "board").folder)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(
        "mbench-server: /lib/ld-linux-none.so.1 is missing; expected a 64-bit Linux with glibc"
    )
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("there", ["README.txt", "start.sh", "a folder", "a link"])
def test_a_folder_that_only_looks_like_a_package_is_not_replaced(tmp_path: Path, there: str) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    if there == "a folder":
        (folder / "README.txt").mkdir()
        (folder / "README.txt" / "thesis.txt").write_text("precious")
    elif there == "a link":
        (tmp_path / "thesis.txt").write_text("precious")
        (folder / "README.txt").symlink_to(tmp_path / "thesis.txt")
    else:
        (folder / there).write_text("precious")
    with pytest.raises(UsageError, match="holds other files"):
        package.pack(ARM, folder)
    assert len(list(folder.iterdir())) == 1
