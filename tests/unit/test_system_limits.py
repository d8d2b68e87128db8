from __future__ import annotations

import errno
import os
import resource
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
import record_factory as factory

import mbench as package
from mbench.core import record_files, system_limits

ROOT = Path(package.__file__).parent.parent


def put(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/memory.max": "1048576\n"}, 1048576),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "2097152\n"}, 2097152),
        (
            {
                "proc/self/cgroup": "5:cpu:/x\n4:memory:/y/z\n",
                "sys/fs/cgroup/memory/y/z/memory.limit_in_bytes": "4194304\n",
                "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
            },
            4194304,
        ),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "max\n"}, None),
        ({}, None),
    ],
)
def test_memory_is_the_least_of_the_machine_and_its_control_groups(
    tmp_path: Path, files: dict[str, str], expected: int | None
) -> None:
    found = system_limits.memory_bytes(root=put(tmp_path, files))
    assert found == expected if expected else found > 2**28


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(errno.EMFILE, "Too many open files"), "too many open files; open files are limited to "),
        (ImportError("libx.so: cannot open shared object file: Too many open files"), "too many open files"),
        (MemoryError(), "out of memory"),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), "out of memory"),
        (ImportError("libx.so: failed to map segment from shared object"), "out of memory"),
        (RuntimeError("can't start new thread"), "out of memory"),
        (RuntimeError("std::bad_alloc"), "out of memory"),
        (ValueError("no"), None),
        (OSError(errno.ENOSPC, "No space left on device"), None),
    ],
)
def test_errors_that_come_from_a_limit(error: Exception, said: str | None) -> None:
    found = system_limits.reached(error)
    assert found is None if said is None else found is not None and found.startswith(said)


@pytest.fixture
def record(tmp_path: Path) -> Path:
    record_files.write(tmp_path / "a.json", factory.counted(factory.record(("mobilenet_v1_0.25_32",))))
    return tmp_path / "a.json"


def mbench(arguments: list[str], record: Path, number: int, limit: int) -> subprocess.CompletedProcess[str]:
    """Run the command line under a limit."""
    return subprocess.run(
        [sys.executable, "-m", "mbench", *arguments],
        cwd=record.parent,
        env={**os.environ, "PYTHONPATH": str(ROOT), "MBENCH_CACHE_DIR": str(record.parent / "cache")},
        text=True,
        capture_output=True,
        check=False,
        timeout=600,
        preexec_fn=lambda: resource.setrlimit(number, (limit, limit)),
    )


RUN = "run mobilenet_v1_0.25_32 --target x86_64_v2 --compile-only"
TUNE = "tune mobilenet_v1_0.25_32 --target host"


@pytest.mark.parametrize(
    "command", [RUN, TUNE, "gate a.json a.json --paired", "show a.json", "report a.json -o p.html"]
)
def test_too_little_address_space_is_named_in_one_line(record: Path, command: str) -> None:
    """Some libraries end the process themselves there, with 1 or by SIGINT: that is no regression, and no interrupt."""
    ended = mbench(command.split(), record, resource.RLIMIT_AS, 200_000 * 1024)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == (
        "mbench: too little memory; memory is limited to 200000 KiB (ulimit -v); mbench needs 524288 KiB to begin\n"
    )
    assert [path.name for path in record.parent.iterdir()] == ["a.json"]


@pytest.mark.parametrize("command", ["show a.json", "report a.json -o p.html", "gate a.json a.json"])
def test_reading_takes_few_open_files(record: Path, command: str) -> None:
    ended = mbench(command.split(), record, resource.RLIMIT_NOFILE, 10)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_a_build_that_gets_no_open_files_says_so(record: Path) -> None:
    ended = mbench(RUN.split(), record, resource.RLIMIT_NOFILE, 10)
    assert ended.returncode == 4, ended.stderr
    [file] = (record.parent / "mbench-results").glob("*.json")
    [failure] = record_files.read(file).failures
    assert (failure.stage, failure.reason) == (
        "compiling",
        "too many open files; open files are limited to 10 (ulimit -n)",
    )
    assert "Traceback" not in ended.stderr


def test_tuning_that_gets_no_open_files_says_so(record: Path) -> None:
    ended = mbench(TUNE.split(), record, resource.RLIMIT_NOFILE, 10)
    assert (ended.returncode, ended.stdout) == (4, "")
    assert ended.stderr.splitlines()[-1] == "mbench: too many open files; open files are limited to 10 (ulimit -n)"
    assert "Traceback" not in ended.stderr


def test_what_is_available_is_what_is_free_within_the_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    free = psutil.virtual_memory().available
    monkeypatch.setattr(system_limits, "memory_bytes", lambda: 10 * free)
    assert 0 < system_limits.available_bytes() < 10 * free
    monkeypatch.setattr(system_limits, "memory_bytes", lambda: 1000)
    assert system_limits.available_bytes() == 1000
