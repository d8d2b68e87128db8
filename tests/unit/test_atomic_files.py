from __future__ import annotations

import os
import re
import stat
from pathlib import Path

import pytest

from mbench.core import atomic_files
from mbench.core.atomic_files import write_atomically
from mbench.core.errors import OutputError


def test_a_file_is_replaced_whole_and_nothing_else_is_left(tmp_path: Path) -> None:
    file = tmp_path / "file"
    for content in (b"old", b"new and longer"):
        write_atomically(file, content)
        assert file.read_bytes() == content
    assert list(tmp_path.iterdir()) == [file]


def test_its_mode_is_what_the_umask_allows(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_atomically(tmp_path / "file", b"")
        assert os.umask(0o027) == 0o027, "the umask is as it was"
    finally:
        os.umask(before)
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o640


def test_where_writing_fails_the_old_content_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"old")

    def full(_handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError, match="cannot be written: No space left on device; choose another folder"):
        write_atomically(file, b"new")
    assert file.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [file]


def test_a_folder_that_is_missing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="No such file or directory"):
        write_atomically(tmp_path / "none" / "file", b"")


@pytest.mark.parametrize("where", ["fsync", "fchmod", "replace"])
def test_an_interrupted_write_leaves_no_temporary_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, where, interrupt)
    with pytest.raises(KeyboardInterrupt):
        atomic_files.write_atomically(tmp_path / "record.json", b"x")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("target", ["folder", "none/record.json"])
def test_places_that_cannot_be_written(tmp_path: Path, target: str) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(OutputError, match="cannot be written"):
        atomic_files.write_atomically(tmp_path / target, b"x")
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664), (0, 0o666)])
def test_the_mode_respects_the_umask(tmp_path: Path, umask: int, mode: int) -> None:
    before = os.umask(umask)
    try:
        atomic_files.write_atomically(tmp_path / "record.json", b"x")
    finally:
        assert os.umask(before) == umask
    assert stat.S_IMODE((tmp_path / "record.json").stat().st_mode) == mode


def test_a_link_is_replaced_not_followed(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("precious")
    (tmp_path / "record.json").symlink_to(tmp_path / "precious")
    atomic_files.write_atomically(tmp_path / "record.json", b"new")
    assert (tmp_path / "precious").read_text() == "precious"
    assert (tmp_path / "record.json").read_text() == "new"


def test_the_umask_is_not_touched_since_other_threads_write_at_the_same_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "umask", lambda _mask: pytest.fail("another thread's files would be open to all"))
    atomic_files.write_atomically(tmp_path / "record.json", b"x")


def test_a_system_that_does_not_show_the_umask_has_the_first_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(atomic_files, "_UMASK", re.compile(b"none"))
    monkeypatch.setattr(atomic_files, "_AT_IMPORT", 0o077)
    atomic_files.write_atomically(tmp_path / "record.json", b"x")
    assert stat.S_IMODE((tmp_path / "record.json").stat().st_mode) == 0o600
