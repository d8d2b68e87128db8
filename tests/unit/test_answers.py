from __future__ import annotations

import contextlib
import json
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mbench.core.errors import MeasureError
from mbench.devices import answers, line, remote_host
from mbench.devices.address import Address
from mbench.devices.line import Line, ServerInfo
from mbench.devices.remote_host import Snapshot

HERE = Address("board", 9090)
INFO: dict[str, Any] = {"version": "1", "architecture": "aarch64", "processors": 4, "server": 1, "session": 1}
ESCAPES = "\x1b[2J\x1b]0;x\x07\r\n\u202e::stop-commands::x\x9b"


class Remote:
    """A server that answers what it is told to."""

    def __init__(self, **said: Any) -> None:
        self._said = {"info": json.dumps(INFO), **said}

    def get_function(self, name: str) -> Callable[..., Any]:
        answer = self._said[name.rpartition(".")[2]]
        return lambda *_: answer


def refused(do: Callable[[], object]) -> str:
    """Return the message of a MeasureError, which must be a line that a terminal only shows."""
    with pytest.raises(MeasureError) as caught:
        do()
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 600
    return str(caught.value)


@pytest.mark.parametrize(
    "info",
    [
        "",
        "no JSON",
        "[" * 100_000,
        "null",
        json.dumps({**INFO, "architecture": f"aarch64{ESCAPES}"}),
        json.dumps({**INFO, "architecture": "x" * 100_000}),
        json.dumps({**INFO, "version": "x" * 100_000}),
        json.dumps({**INFO, "processors": 0}),
        json.dumps({**INFO, "processors": 10**30}),
        json.dumps({**INFO, "session": "1"}),
        json.dumps({name: value for name, value in INFO.items() if name != "architecture"}),
        ESCAPES,
        None,
    ],
)
def test_a_server_that_does_not_say_what_it_is(info: Any) -> None:
    said = refused(lambda: Line(Remote(info=info), HERE))
    assert said.startswith("the device at rpc://board:9090 answered what mbench cannot use: what it is: ")
    assert said.endswith("; is it mbench's server there, of this version?")


@pytest.mark.parametrize(
    "files",
    [
        "[]",
        '{"/proc/stat": 1}',
        json.dumps({"/proc/../../../precious": "x"}),
        json.dumps({"/sys/class/hwmon/../name": "x"}),
        json.dumps({"/sys/class/hwmon/hwmon0/..": "x"}),
        json.dumps({"//proc/stat": "x"}),
        json.dumps({"../precious": "x"}),
        json.dumps({"precious": "x"}),
        json.dumps({"/etc/passwd": "x"}),
        json.dumps({f"/sys/class/hwmon/hwmon{ESCAPES}/name": "x"}),
        json.dumps({"/sys/class/hwmon/hwmon\0/name": "x"}),
        json.dumps({f"/sys/class/hwmon/hwmon{'9' * 300}/name": "x"}),
        json.dumps({f"/sys/class/hwmon/hwmon{number}/name": "x" for number in range(20_001)}),
        json.dumps({"/proc/stat": "x" * (33 << 20)}),
    ],
    ids=range(14),
)
def test_files_that_were_not_asked_for(files: str, tmp_path: Path) -> None:
    root = tmp_path / "a" / "b" / "tree"
    refused(lambda: remote_host.look(Line(Remote(files=files), HERE), root))
    assert list(tmp_path.rglob("*")) == []


def test_files_that_were_asked_for(tmp_path: Path) -> None:
    files = {
        "/sys/class/hwmon/hwmon3/name": "cpu",
        "/proc/stat": "cpu",
        f"{remote_host._CPUS}/cpu12/topology/core_id": "3",
    }
    seen = remote_host.look(Line(Remote(files=json.dumps(files)), HERE), tmp_path)
    assert {f"/{path.relative_to(seen.root)}" for path in tmp_path.rglob("*") if path.is_file()} == set(files)


@pytest.mark.parametrize("range_", ["0-99999999999", "0-1,70000", "9" * 5000, "-1", "0,x"])
def test_a_list_of_processors_that_no_machine_has(range_: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no list of processors|invalid literal|Exceeds the limit"):
        Snapshot({"/proc/self/status": f"Cpus_allowed_list:\t{range_}\n"}, tmp_path).affinity()


def test_a_description_is_shown_and_drives_no_terminal(tmp_path: Path) -> None:
    text = ESCAPES.replace("\u202e", "\u00e2\u0080\u00ae").replace("\n", "")  # as its bytes come
    files = {
        "/etc/os-release": f'PRETTY_NAME="os{text}"\n',
        "/proc/cpuinfo": f"model name\t: {'x' * 5000}{text}\n",
        "/proc/sys/kernel/hostname": f"pi{text}\n",
        "/proc/loadavg": "1e999\n",
        f"{remote_host._CPUS}/cpu0/cpufreq/scaling_governor": text,
        "/sys/class/dmi/id/product_name": text,
    }
    seen = Snapshot(files, tmp_path).machine(ServerInfo(**INFO))
    for shown in (seen.name, seen.os, seen.cpu, seen.conditions.governor):
        assert shown
        assert shown.isprintable()
        assert len(shown) <= 201
    assert seen.conditions.load_1min is None


@pytest.mark.parametrize(
    "text",
    ["RPCError: " + ESCAPES, "x" * 10_000_000, "\n" * 1_000_000 + ESCAPES, f"InternalError: a{ESCAPES}b\nTraceback"],
)
def test_an_error_is_one_line(text: str) -> None:
    said = line.said(RuntimeError(text))
    assert said.isprintable()
    assert 0 < len(said) <= answers.LONGEST_LINE + 1


def test_why_a_process_ended_is_one_line() -> None:
    before, now = (
        Line(Remote(), HERE),
        Line(Remote(info=json.dumps({**INFO, "session": 2}), last_session=ESCAPES), HERE),
    )
    assert line._how_ended(before, now, "arm64").isprintable()


def test_why_an_upload_failed_is_one_line(tmp_path: Path) -> None:
    (file := tmp_path / "model.so").write_bytes(b"x")
    assert "cannot be written on the device" in refused(lambda: Line(Remote(append=ESCAPES * 1000), HERE).upload(file))


@pytest.mark.parametrize(
    "seconds", [(), (1.0,), (1.0,) * 3, (1.0, float("nan")), (1.0, float("inf")), (1.0, -1.0)], ids=str
)
def test_times_that_are_none(seconds: tuple[float, ...]) -> None:
    refused(lambda: answers.times(seconds, 2, HERE))


def test_times() -> None:
    assert answers.times([0.0, 1.5], 2, HERE) == (0.0, 1.5)


@pytest.mark.parametrize("shape", [(1 << 40, 1 << 40), (-1, 1000), (1, 1000, 1000)])
def test_an_output_for_which_there_is_no_room(shape: tuple[int, ...]) -> None:
    refused(lambda: answers.check_shape(shape, (1, 1000), HERE))
    answers.check_shape((1, 1000), (1, 1000), HERE)


BOUNDED = """
import resource
from mbench.devices import answers
answers.bound_memory()
bytearray(1 << 29)
limit, _ = resource.getrlimit(resource.RLIMIT_DATA)
try:
    bytearray(limit)
except MemoryError:
    print("bounded")
"""


def test_memory_is_bounded() -> None:
    done = subprocess.run([sys.executable, "-c", BOUNDED], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout == "bounded\n", done.stderr
    with contextlib.suppress(AttributeError):
        assert resource.getrlimit(resource.RLIMIT_DATA)[0] == resource.RLIM_INFINITY  # not here
