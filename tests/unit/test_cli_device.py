from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest
from conftest import Mbench, assert_one_line

from mbench.cli.device import device
from mbench.core.errors import UsageError
from mbench.devices import registry, toolchain
from mbench.devices.toolchain import Server


@pytest.fixture(autouse=True)
def built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Server:
    """Return the server that is packed, without a compiler: files that look like it."""
    server = Server(tmp_path / "built")
    server.folder.mkdir()
    for path in server.files:
        path.write_bytes(b"\x7fELF /lib/ld-linux-aarch64.so.1\0GLIBC_2.17\0GLIBC_2.34\0GLIBC_2.9\0")
    monkeypatch.setattr(toolchain, "server", lambda _, say: say("building") or server)
    return server


# ---------------------------------------------------------------------------------------------------- names of devices
def test_added_listed_and_removed(run: Mbench) -> None:
    added = run(device, "add", "pi4", "--rpc", "127.0.0.1:9090")
    assert (added.code, added.err) == (0, "")
    assert "rpc://127.0.0.1:9090" in added.out
    assert "not contacted" in added.out
    assert run(device, "add", "farm", "--tracker", "farm:9190", "--key", "pi4").code == 0
    listed = run(device, "list")
    assert [line.split() for line in listed.out.splitlines()[-2:]] == [
        ["farm", "rpc://farm:9190/pi4", "tracker"],
        ["pi4", "rpc://127.0.0.1:9090", "server"],
    ]
    assert run(device, "remove", "farm").out == "farm is removed\n"
    assert list(registry.devices()) == ["pi4"]


def test_json(run: Mbench) -> None:
    assert json.loads(run(device, "list", "--json").out) == []
    pi4 = {"name": "pi4", "address": "rpc://board:1", "rpc": "board:1", "tracker": None, "key": None}
    added = run(device, "add", "pi4", "--rpc", "board:1", "--json")
    assert json.loads(added.out) == {**pi4, "file": str(registry.file())}
    assert json.loads(run(device, "list", "--json").out) == [pi4]
    assert json.loads(run(device, "remove", "pi4", "--json").out) == {"name": "pi4", "removed": True}


def test_without_devices_it_says_how_to_add_one(run: Mbench) -> None:
    assert "mbench device add NAME --rpc HOST:PORT" in run(device, "list").out


def test_a_name_that_is_taken_needs_force(run: Mbench) -> None:
    add = (device, "add", "pi4", "--rpc")
    assert run(*add, "a:1").code == 0
    assert_one_line(run(*add, "b:2"), "'pi4' is there already", "--force")
    assert run(*add, "b:2", "--force").code == 0
    assert registry.devices() == {"pi4": registry.NamedDevice(rpc="b:2")}


WRONG = {
    "device rename": ("No such command 'rename'",),
    "device add": ("Missing argument 'NAME'",),
    "device add pi4": ("either --rpc HOST:PORT",),
    "device add pi4 --rpc a:1 --tracker b:2 --key k": ("either --rpc HOST:PORT",),
    "device add pi4 --tracker b:2": ("--key K go together",),
    "device add pi4 --rpc a:1 --key k": ("--key K go together",),
    "device add pi4 --rpc a": ("no port",),
    "device add pi4 --rpc rpc://a:1": ("expected rpc://HOST:PORT",),
    "device add local --rpc a:1": ("'local' means something else",),
    "device add a/b --rpc a:1": ("'a/b' cannot be",),
    "device remove pi4": ("'pi4' is not known", "mbench device list"),
    "device serve --target arm65": ("did you mean 'arm64'?",),
    "device serve --target cuda_sm80": ("'cuda_sm80'", "CPUs alone"),
    "device serve --output none/board": ("folder none does not exist",),
    "device serve --output .": ("the folder that you are in",),
    "device serve --targets none": ("--targets none",),
}


@pytest.mark.parametrize("line", WRONG)
def test_wrong_use_is_one_line_and_leaves_nothing(run: Mbench, line: str) -> None:
    assert_one_line(run(*line.split()), *WRONG[line])
    assert list(Path.cwd().iterdir()) == []
    assert registry.devices() == {}


# --------------------------------------------------------------------------------------------------------------- serve
def test_serve_says_what_to_do_next(run: Mbench) -> None:
    outcome = run(device, "serve")
    assert (outcome.code, outcome.err) == (0, "building\n")
    lines = [line.strip() for line in outcome.out.splitlines()]
    assert "scp -r mbench-server-aarch64 BOARD:" in lines
    assert "ssh -t -L 9090:127.0.0.1:9090 BOARD './mbench-server-aarch64/start.sh --port 9090'" in lines
    assert "mbench device add NAME --rpc 127.0.0.1:9090" in lines
    assert "mbench run --target arm64_cortex_a72 --device NAME" in lines
    assert "no authentication" in outcome.out
    assert "loopback" in outcome.out
    assert max(map(len, outcome.out.splitlines())) <= 86  # the command for ssh


def test_serve_as_json(run: Mbench, built: Server) -> None:
    folder = Path("board")
    outcome = run(device, "serve", "--json", "-o", folder, "--target", "arm64_neoverse_n1")
    names = sorted(["README.txt", "start.sh", *(path.name for path in built.files)])
    assert json.loads(outcome.out) == {
        "folder": "board",
        "target": "arm64_neoverse_n1",
        "architecture": "aarch64",
        "glibc": "2.34",
        "files": names,
        "total_bytes": sum(path.stat().st_size for path in folder.iterdir()),
    }
    assert sorted(path.name for path in folder.iterdir()) == names


def test_commands_to_copy_are_whole_whatever_the_folder_is_called(run: Mbench) -> None:
    folder = Path("a folder with a name that is longer than any terminal is wide, 'quotes' and $dollars " + "x" * 80)
    [copy] = [line for line in run(device, "serve", "-o", folder).out.splitlines() if "scp" in line]
    assert shlex.split(copy) == ["scp", "-r", str(folder), "BOARD:"]
    [tunnel] = [line for line in run(device, "serve", "-o", folder).out.splitlines() if "ssh -t" in line]
    assert shlex.split(shlex.split(tunnel)[-1]) == [f"./{folder}/start.sh", "--port", "9090"]


def test_what_cannot_be_built_is_one_line(run: Mbench, monkeypatch: pytest.MonkeyPatch) -> None:
    def lacks(*_: object) -> None:
        raise UsageError("the server needs a compiler; install it")

    monkeypatch.setattr(toolchain, "server", lacks)
    assert_one_line(run(device, "serve"), "needs a compiler")
    assert list(Path.cwd().iterdir()) == []
