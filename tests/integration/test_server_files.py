"""Files at mbench's RPC server: those that clients upload, and those of the machine that they may read."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from board_server import Serving, board, session

pytest_plugins = ("rpc_fixtures",)


@pytest.mark.parametrize(
    "name", ["", ".hidden", "..", "../x", "a/b", "/tmp/x", "a\nb", "a\x1b[2Jb", "a\x7fb", "x" * 129]
)
def test_names_that_are_refused(name: str, server: Serving) -> None:
    with contextlib.closing(session(server)) as line:
        assert "is refused; expected 1 to 128 bytes, no slash" in line.call("mbench.append", name, b"x", 0)
        for function in ("tvm.rpc.server.workpath", "tvm.rpc.server.load_module"):
            with pytest.raises(RuntimeError, match="is refused; expected"):
                line.call(function, name)


def test_all_that_lies_in_the_folder_is_removed_and_nothing_else(server: Serving, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "file").write_text("kept")
    with contextlib.closing(session(server)) as line:
        assert line.call("mbench.append", "-rf *", b"x", 0) == ""
        folder = Path(line.call("tvm.rpc.server.workpath", "x")).parent
        (folder / ".hidden").write_text("x")
        (folder / "deep" / "er").mkdir(parents=True)
        (folder / "deep" / "er" / "\n\udcff").write_text("x")
        (folder / "link").symlink_to(precious)
        (folder / "model.so").symlink_to(precious / "file")
        assert "Too many levels" in line.call("mbench.append", "model.so", b"x", 0)
    server.assert_idle()
    assert (precious / "file").read_text() == "kept"  # the fixture sees that the folder is gone


def test_uploads_have_a_limit(program: Path, tmp_path: Path) -> None:
    with board(program, tmp_path, "--max-upload", "1") as server, contextlib.closing(session(server)) as line:
        half = bytes(1 << 19)
        assert line.call("mbench.append", "a", half, 0) == ""
        assert line.call("mbench.append", "b", half, 0) == ""
        assert line.call("mbench.append", "a", half, 0) == ""  # anew
        said = "a session may upload 1 MiB; start the server with a larger --max-upload"
        assert line.call("mbench.append", "c", b"x", 0) == said
        assert line.call("mbench.append", "a", b"x", 1 << 19) == said
        for offset in (-1, 1, 1 << 40):
            assert "begins at byte" in line.call("mbench.append", "a", b"x", offset)


def test_files_that_describe_the_machine_are_told_and_no_others(server: Serving) -> None:
    from mbench.devices import remote_host as boards

    with contextlib.closing(session(server)) as line:
        told = set(line.files(boards.FILES))
        assert {"/etc/os-release", "/proc/cpuinfo", "/proc/stat", "/proc/self/status", "/proc/self/stat"} <= told
        there = {path for path in told if path.startswith("/sys/devices/system/cpu/cpu0/")}
        assert len(there) >= len(list(Path("/sys/devices/system/cpu/cpu0/topology").glob("core_id")))
        pid = server.sessions()[0].pid
        for path in (
            *("/etc/passwd", "/proc/../etc/passwd", "/*", "relative", "/proc/self/root/etc/passwd"),
            *(f"/proc/{pid}/root/etc/passwd", "/proc/self/cwd/pyproject.toml", "/proc/thread-self/root/etc/passwd"),
            *("/proc/self/task/*/root/etc/passwd", "/proc/self/fd/*", "/proc/self/environ", "/proc/1/environ"),
            *("/proc/self/maps", f"/proc/{server.process.pid}/status", "/sys/../etc/passwd", "/sys/kernel/notes"),
            *("/proc/self/root/proc/self/environ", "/proc/self/exe", "/etc/os-release/../passwd", "/proc/*/*/*/*"),
        ):
            assert line.files([path]) == {}, path
