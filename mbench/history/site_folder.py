"""The folder of a site: whole or not at all, ours or nobody's, and what is in it known by its digest.

A site is made in a folder beside it and then takes its place in one step. What was there is gone, so a folder that
holds anything else is refused. `mbench-site.json` says which files are the site's.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import hashlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from mbench.core import plain, regular_files, scratch, system_limits
from mbench.core.errors import OutputError, UsageError
from mbench.core.field_types import Strict

MANIFEST = "mbench-site.json"
MADE_BY = "mbench history publish"
NO_JEKYLL = ".nojekyll"
"""GitHub Pages then serves the files as they are."""
_AT_FDCWD, _RENAME_EXCHANGE = -100, 2
"""Source: linux/fcntl.h, linux/fs.h."""


class SiteManifest(Strict, frozen=True, kw_only=True):
    """What a site's folder holds."""

    made_by: str
    format_version: int
    made_with: str
    """Of mbench's code and templates: pages that other code made are made again."""
    files: dict[str, str]
    """SHA-256 by name."""


class SiteFolder:
    """A site in the making: files are added to it; those of the one before are taken over where they are right."""

    def __init__(self, folder: Path, before: Path, old: SiteManifest | None, made_with: str) -> None:
        """Begin with nothing; `before`: where the last one lies, described by `old`."""
        self._folder, self._before, self._made_with = folder, before, made_with
        self._old: Mapping[str, str] = old.files if old and old.made_with == made_with else {}
        self._digests: dict[str, str] = {}

    def write(self, name: str, data: bytes) -> None:
        """Add a file."""
        (self._folder / name).write_bytes(data)
        self._digests[name] = hashlib.sha256(data).hexdigest()

    def keep(self, name: str) -> bool:
        """Take a file over from the last site; return False where it has none of that name, or not as it was made."""
        if name not in self._old:
            return False
        try:
            data = regular_files.read(self._before / name)
        except OSError:
            return False
        if hashlib.sha256(data).hexdigest() != self._old[name]:
            return False
        try:
            os.link(self._before / name, self._folder / name, follow_symlinks=False)
        except OSError:
            (self._folder / name).write_bytes(data)
        self._digests[name] = self._old[name]
        return True

    def finish(self) -> int:
        """Write what says what is there, and return how many bytes there are."""
        manifest = SiteManifest(
            made_by=MADE_BY, format_version=1, made_with=self._made_with, files=dict(sorted(self._digests.items()))
        )
        (self._folder / MANIFEST).write_bytes(msgspec.json.format(msgspec.json.encode(manifest), indent=1) + b"\n")
        return sum(file.stat().st_size for file in self._folder.iterdir())


def manifest(folder: Path) -> SiteManifest | None:
    """Return what a folder says of itself; None where nothing is there, or an empty folder.

    Raises:
        UsageError: it is no folder, or something in it is not a site's.
    """
    if not os.path.lexists(folder):
        return None
    if not folder.is_dir():
        raise UsageError(f"{_shown(folder)} is not a folder; choose another one for the site")
    there = sorted(entry.name for entry in folder.iterdir())
    if not there:
        return None
    try:
        found = msgspec.json.decode(regular_files.read(folder / MANIFEST), type=SiteManifest)
    except (OSError, msgspec.DecodeError, ValueError):
        found = None
    if found is None or found.made_by != MADE_BY:
        raise UsageError(
            f"{_shown(folder)} holds {plain.line(there[0])!r} and is no site that mbench made; choose another folder, "
            "or empty it"
        )
    foreign = next((name for name in there if name not in found.files and name != MANIFEST), None)
    if foreign is not None:
        raise UsageError(
            f"{_shown(folder)} holds {plain.line(foreign)!r}, which mbench did not put there; move it away, since the "
            "folder is replaced as a whole"
        )
    return found


@contextlib.contextmanager
def replaced(folder: Path, made_with: str) -> Iterator[SiteFolder]:
    """Yield a site in the making; it takes the folder's place once it is whole, and not at all if anything fails.

    Raises:
        UsageError: the folder holds what is not a site's, or another process makes the site.
        OutputError: it could not be written.
    """
    folder = folder.resolve()
    if not folder.name:
        raise UsageError(f"{_shown(folder)} holds everything; choose a folder of its own for the site")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with scratch.only(folder), scratch.folder(folder.parent) as room:
            old = manifest(folder)
            made = room / "site"
            made.mkdir()
            site = SiteFolder(made, folder, old, made_with)
            yield site
            _take_place(made, folder)
    except OSError as error:
        raise OutputError(
            f"{_shown(folder)}: the site cannot be written: {system_limits.why(error)}; choose another folder"
        ) from error


def _take_place(made: Path, folder: Path) -> None:
    """Put what was made in a folder's place in one step; where the file system has none, in two."""
    if not os.path.lexists(folder):
        made.rename(folder)
        return
    try:
        _exchange(made, folder)
    except OSError as error:
        if error.errno not in (errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP):
            raise
        aside = made.with_name("before")
        folder.rename(aside)
        try:
            made.rename(folder)
        except BaseException:
            aside.rename(folder)
            raise


def _exchange(one: Path, other: Path) -> None:
    """Exchange two paths; nobody ever sees one of them missing.

    Raises:
        OSError: they cannot be; ENOSYS where the system has no such call.
    """
    call = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if call is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    if call(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), ctypes.c_uint(_RENAME_EXCHANGE)) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), str(other))


def _shown(folder: Path) -> str:
    return plain.line(str(folder))
