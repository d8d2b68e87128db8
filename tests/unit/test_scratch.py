from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mbench.core import atomic_files, scratch
from mbench.core.errors import OutputError, UsageError

MAKERS = {
    "a folder": "scratch.folder(place)",
    "temporary files": "scratch.temporary()",
    "a file": "scratch.file(place)",
    "a lock": "scratch.only(place / 'record.json')",
}
PROGRAM = """
import sys
from pathlib import Path
from mbench.core import scratch
place = Path(sys.argv[1])
with {made}:
    print("made", flush=True)
    sys.stdin.read()
"""


@contextlib.contextmanager
def maker(made: str, place: Path) -> Iterator[subprocess.Popen[str]]:
    """Start a process that makes something in a folder, and keeps it until its standard input is closed."""
    command = [sys.executable, "-c", PROGRAM.format(made=MAKERS[made]), str(place)]
    environment = {**os.environ, "TMPDIR": str(place)}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "made\n"
        yield process


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("made", MAKERS)
def test_it_stays_while_its_maker_lives_and_not_longer(tmp_path: Path, made: str) -> None:
    with maker(made, tmp_path) as process:
        [name] = names(tmp_path)
        scratch.sweep(tmp_path)
        assert names(tmp_path) == [name]
        os.utime(tmp_path / name, (0, 0))  # age does not matter, nor does a clock that was set
        scratch.sweep(tmp_path)
        assert names(tmp_path) == [name]
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert names(tmp_path) == [name]
        scratch.sweep(tmp_path)
        assert names(tmp_path) == []


@pytest.mark.parametrize("made", MAKERS)
def test_it_is_gone_when_its_maker_is_done(tmp_path: Path, made: str) -> None:
    with maker(made, tmp_path) as process:
        assert len(names(tmp_path)) == 1
        process.communicate()
    assert names(tmp_path) == []


def test_the_next_who_writes_there_removes_what_was_left(tmp_path: Path) -> None:
    for made in ("a folder", "a file"):
        with maker(made, tmp_path) as process:
            process.kill()
    assert len(names(tmp_path)) == 1, "the second swept the first's"
    atomic_files.write_atomically(tmp_path / "page.html", b"x")
    assert names(tmp_path) == ["page.html"]


def test_what_others_made_stays(tmp_path: Path) -> None:
    """Names that are not exactly those that are made here, and links."""
    for name in (".mbench-mine", ".mbench-lock-x", ".mbench-settings", ".mbench-profile_", ".mbench-scratch-ABCDEFGH"):
        (tmp_path / name).mkdir()
    (tmp_path / "precious").write_text("x")
    (tmp_path / ".mbench-scratch-abcdefgh").symlink_to(tmp_path / "precious")
    (tmp_path / ".mbench-scratch-abcdefgi").symlink_to(tmp_path / ".mbench-mine")
    before = names(tmp_path)
    scratch.sweep(tmp_path)
    assert names(tmp_path) == before


def test_what_another_user_made_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".mbench-scratch-abcdefgh").mkdir()
    user = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: user + 1)
    scratch.sweep(tmp_path)
    assert names(tmp_path) == [".mbench-scratch-abcdefgh"]


def test_a_fifo_holds_nobody_up(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / ".mbench-scratch-abcdefgh")
    scratch.sweep(tmp_path)
    assert names(tmp_path) == []


def test_nowhere_is_nothing_to_sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scratch.sweep(tmp_path / "none")
    monkeypatch.setattr(tempfile, "gettempdir", lambda: no_folder())
    scratch.sweep_temporary()
    with pytest.raises(OutputError, match="TMPDIR"), scratch.temporary():
        pytest.fail("it was made")


def no_folder() -> str:
    raise FileNotFoundError(errno.ENOENT, "No usable temporary directory found")


def test_what_was_moved_away_stays(tmp_path: Path) -> None:
    with scratch.folder(tmp_path) as work:
        (work / "content").write_text("x")
        work.rename(tmp_path / "result")
    assert names(tmp_path) == ["result"]
    scratch.sweep(tmp_path)
    assert (tmp_path / "result" / "content").read_text() == "x"


def test_what_is_swept_before_it_is_held_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flock, others = fcntl.flock, [True]

    def late(handle: int, operation: int) -> None:
        if others.pop() if others else False:
            for path in tmp_path.iterdir():
                path.rmdir()
        flock(handle, operation)

    monkeypatch.setattr(fcntl, "flock", late)
    with scratch.folder(tmp_path) as work:
        assert work.is_dir()
    assert not others


def test_makers_and_sweepers_at_once(tmp_path: Path) -> None:
    """Nothing that is in use is taken away, and nothing is left."""
    stop = threading.Event()

    def sweep() -> None:
        while not stop.is_set():
            scratch.sweep(tmp_path)

    def make(number: int) -> None:
        for turn in range(40):
            with scratch.folder(tmp_path) as work:
                (work / "file").write_text(str(number))
                assert (work / "file").read_text() == str(number)
            atomic_files.write_atomically(tmp_path / f"{number}.json", str(turn).encode())

    with ThreadPoolExecutor(6) as pool:
        sweepers = [pool.submit(sweep) for _ in range(2)]
        makers = [pool.submit(make, number) for number in range(4)]
        try:
            for done in makers:
                done.result()
        finally:
            stop.set()
        for each in sweepers:
            each.result()
    assert names(tmp_path) == ["0.json", "1.json", "2.json", "3.json"]


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP, errno.EBADF])
def test_where_there_are_no_locks_all_works_and_nothing_is_swept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def flock(_handle: int, _operation: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", flock)
    with scratch.folder(tmp_path) as work, scratch.file(tmp_path) as (path, _), scratch.only(tmp_path / "record"):
        scratch.sweep(tmp_path)
        assert work.is_dir()
        assert path.exists()
    atomic_files.write_atomically(tmp_path / "record", b"x")
    assert names(tmp_path) == ["record"]


def test_what_cannot_be_held_is_not_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def flock(_handle: int, _operation: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(fcntl, "flock", flock)
    with pytest.raises(OSError, match="Input/output"), scratch.folder(tmp_path):
        pytest.fail("it was made")
    with pytest.raises(OutputError, match="Input/output"):
        atomic_files.write_atomically(tmp_path / "record", b"x")
    assert names(tmp_path) == []


# -------------------------------------------------------------------------------------------------------------- locks
def test_a_second_process_is_refused_with_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scratch, "_PATIENCE_S", 0.0)
    file = tmp_path / "record.json"
    with maker("a lock", tmp_path) as process:
        with pytest.raises(UsageError) as caught, scratch.only(file):
            pytest.fail("it was let in")
        assert str(caught.value) == (
            f"{file}: another process ({process.pid}) works on it; wait until it is done, or stop it"
        )
        process.kill()
        process.wait()
        with scratch.only(file):  # a dead process holds nothing
            pass
    assert names(tmp_path) == []


def test_one_after_the_other_is_let_in(tmp_path: Path) -> None:
    """Whoever waits for a lock that its holder removes makes another one, and never holds one that is gone."""
    inside, turns = [0], []

    def work(_: int) -> None:
        with scratch.only(tmp_path / "record.json"):
            inside[0] += 1
            turns.append(inside[0])
            inside[0] -= 1

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(24)))
    assert turns == [1] * 24
    assert names(tmp_path) == []


def test_a_file_has_one_lock_by_whatever_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scratch, "_PATIENCE_S", 0.0)
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("folder")
    with scratch.only(tmp_path / "folder" / "x"), pytest.raises(UsageError), scratch.only(tmp_path / "link" / "x"):
        pytest.fail("it was let in")
    with scratch.only(tmp_path / "folder" / "x"), scratch.only(tmp_path / "folder" / "y"):
        pass


def test_a_lock_where_nothing_can_be_written(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"none: nothing can be written there"), scratch.only(tmp_path / "none" / "x"):
        pytest.fail("it was let in")


def test_a_link_in_the_place_of_a_lock_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("x")
    name = hashlib.sha256(b"record.json").hexdigest()[:16]
    (tmp_path / f".mbench-lock-{name}").symlink_to("precious")
    with pytest.raises(OutputError), scratch.only(tmp_path / "record.json"):
        pytest.fail("it was let in")
    assert (tmp_path / "precious").read_text() == "x"


def test_a_lock_that_another_user_left_keeps_nobody_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Such a file can be read alone, and where each removes only their own it cannot be removed."""
    name = hashlib.sha256(b"record.json").hexdigest()[:16]
    lock = tmp_path / f".mbench-lock-{name}"
    lock.write_text("4711")
    opened, unlink = os.open, Path.unlink

    def refusing(path: str | Path, flags: int, *mode: int) -> int:
        if Path(path) == lock and flags & os.O_ACCMODE != os.O_RDONLY:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return opened(path, flags, *mode)

    def kept(path: Path, **how: bool) -> None:
        if path == lock:
            raise PermissionError(errno.EPERM, os.strerror(errno.EPERM), str(path))
        unlink(path, **how)

    monkeypatch.setattr(os, "open", refusing)
    monkeypatch.setattr(Path, "unlink", kept)
    monkeypatch.setattr(scratch, "_PATIENCE_S", 0.0)
    for _ in range(2):
        with (
            scratch.only(tmp_path / "record.json"),
            pytest.raises(UsageError, match="another process"),
            scratch.only(tmp_path / "record.json"),
        ):
            pytest.fail("it was let in")


INTERRUPTED = """
import shutil, sys, tempfile
from pathlib import Path
from mbench.core import scratch
place = Path(sys.argv[1])

def interrupt(*_, **__):
    raise KeyboardInterrupt

{when}
with scratch.folder(place) as folder:
    (folder / "file").touch()
"""
MOMENTS = {
    "made": "scratch._open = interrupt",
    "removed": "shutil.rmtree, remove = interrupt, shutil.rmtree; scratch._remove = remove",
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_an_interrupt_while_it_is_made_or_removed_leaves_nothing(tmp_path: Path, moment: str) -> None:
    program = INTERRUPTED.format(when=MOMENTS[moment])
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=False, capture_output=True, text=True)
    assert "KeyboardInterrupt" in done.stderr
    assert names(tmp_path) == []
