"""The folder of a site: whole or not at all, and nobody else's."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from mbench.core.errors import OutputError, UsageError
from mbench.history import site_folder

MADE = "0" * 64


def make(folder: Path, files: dict[str, bytes], made_with: str = MADE) -> None:
    with site_folder.replaced(folder, made_with) as site:
        for name, data in files.items():
            site.write(name, data)
        site.finish()


def interrupted(folder: Path) -> None:
    with site_folder.replaced(folder, MADE) as site:
        site.write("a.html", b"2")
        raise KeyboardInterrupt


def held(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir() if file.name != site_folder.MANIFEST}


@pytest.mark.parametrize("empty", [False, True])
def test_a_site_takes_an_absent_or_an_empty_place_and_replaces_itself(tmp_path: Path, empty: bool) -> None:
    folder = tmp_path / "deep" / "site"
    if empty:
        folder.mkdir(parents=True)
    make(folder, {"a.html": b"1", "b.html": b"1"})
    make(folder, {"b.html": b"2"})
    assert held(folder) == {"b.html": b"2"}
    assert [path.name for path in folder.parent.iterdir()] == ["site"]


def test_others_can_read_it_as_far_as_the_umask_says(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        make(tmp_path / "site", {"a.html": b"1"})
    finally:
        os.umask(before)
    assert (tmp_path / "site").stat().st_mode & 0o777 == 0o755
    assert (tmp_path / "site" / "a.html").stat().st_mode & 0o777 == 0o644


def test_what_fails_leaves_what_was_there(tmp_path: Path) -> None:
    folder = tmp_path / "site"
    make(folder, {"a.html": b"1"})
    with pytest.raises(KeyboardInterrupt):
        interrupted(folder)
    assert held(folder) == {"a.html": b"1"}
    assert [path.name for path in tmp_path.iterdir()] == ["site"]


@pytest.mark.parametrize("code", [errno.ENOSYS, errno.EINVAL])
def test_a_file_system_that_cannot_exchange_is_served_in_two_steps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    folder = tmp_path / "site"
    make(folder, {"a.html": b"1"})

    def refuse(one: Path, other: Path) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(site_folder, "_exchange", refuse)
    make(folder, {"a.html": b"2"})
    assert held(folder) == {"a.html": b"2"}


def test_any_other_folder_is_refused_and_stays(tmp_path: Path) -> None:
    for name, files in (("notes", {"notes.txt": "mine"}), ("fake", {site_folder.MANIFEST: '{"made_by": "me"}'})):
        folder = tmp_path / name
        folder.mkdir()
        for file, text in files.items():
            (folder / file).write_text(text)
        with pytest.raises(UsageError, match="is no site that mbench made"):
            make(folder, {"a.html": b"1"})
        assert {file.name: file.read_text() for file in folder.iterdir()} == files
    (tmp_path / "file").write_text("x")
    with pytest.raises(UsageError, match="is not a folder"):
        make(tmp_path / "file", {})


def test_the_root_of_the_file_system_is_refused() -> None:
    with pytest.raises(UsageError, match="choose a folder of its own"):
        make(Path("/"), {"a.html": b"1"})


def test_a_site_with_something_of_the_users_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "site"
    make(folder, {"a.html": b"1"})
    (folder / "CNAME").write_text("example.org")
    with pytest.raises(UsageError, match="'CNAME', which mbench did not put there"):
        make(folder, {"a.html": b"2"})
    assert (folder / "CNAME").read_text() == "example.org"


def test_a_link_to_a_site_stays_a_link(tmp_path: Path) -> None:
    make(tmp_path / "site", {"a.html": b"1"})
    (tmp_path / "link").symlink_to("site")
    make(tmp_path / "link", {"a.html": b"2"})
    assert (tmp_path / "link").is_symlink()
    assert held(tmp_path / "site") == {"a.html": b"2"}


def test_where_nothing_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError, match="the site cannot be written"):
        make(tmp_path / "file" / "site", {})


def test_files_are_taken_over_if_they_are_what_they_were(tmp_path: Path) -> None:
    folder = tmp_path / "site"
    make(folder, {"a.html": b"1", "b.html": b"1", "c.html": b"1"})
    (folder / "b.html").write_bytes(b"changed")
    (folder / "c.html").unlink()
    with site_folder.replaced(folder, MADE) as site:
        kept = [site.keep(name) for name in ("a.html", "b.html", "c.html", "d.html", "../a.html")]
        site.finish()
    assert kept == [True, False, False, False, False]
    assert held(folder) == {"a.html": b"1"}
    with site_folder.replaced(folder, "1" * 64) as site:  # other code made them
        assert not site.keep("a.html")
