"""Reading a file that a person named: a regular one. What would wait for ever, or never end, is refused at once."""

from __future__ import annotations

import errno
import functools
import os
import stat
from io import BufferedReader
from pathlib import Path

from mbench.core.errors import did_you_mean

MOST_BYTES = 1 << 30
_COMPARED = 2000
"""Names of a folder that one that is not there is compared with."""
_KINDS = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def read(path: str | os.PathLike[str], *, most_bytes: int = MOST_BYTES) -> bytes:
    """Return what a regular file holds; nothing for /dev/null.

    So is a pipe that this process was given, as by `mbench show <(zcat r.json.gz)` or `… | mbench show /dev/stdin`: it
    is read to its end. A pipe with a name in the file system is not, since nobody may ever write to it.

    Raises:
        OSError: it cannot be read; its `strerror` says why.
    """
    with opened(path, pipes=True) as file:
        data = file.read(most_bytes + 1)
    if len(data) > most_bytes:
        reason = f"it holds more than {most_bytes:,} bytes, which no file of this kind has"
        raise OSError(errno.EFBIG, reason, str(path))
    return data


def opened(path: str | os.PathLike[str], *, pipes: bool = False) -> BufferedReader:
    """Return a regular file open for reading; with `pipes` also a pipe without a name, or /dev/null.

    Raises:
        OSError: it cannot be opened, or is something else.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno == errno.ENXIO:  # what opening a socket comes to
            raise _refusal(path, "a socket or a device") from error
        raise
    try:
        status = os.fstat(handle)
        if not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)):
            if not (pipes and (_is_null(status) or _is_unnamed_pipe(handle, status))):
                raise _refusal(path, _KINDS.get(stat.S_IFMT(status.st_mode), "something else"))
            os.set_blocking(handle, True)
        return os.fdopen(handle, "rb")  # of a folder this is an error that says so
    except BaseException:
        os.close(handle)
        raise


def check_replaceable(path: Path) -> None:
    """Refuse to put a file in the place of a device, a pipe or a socket.

    Raises:
        OSError: one lies there.
    """
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise _refusal(path, _KINDS.get(stat.S_IFMT(mode), "something else"))


@functools.cache
def _held(folder: Path) -> int:
    """Return a descriptor of a folder, which stays open: a second library of the same name would be the first."""
    return os.open(folder, os.O_PATH | os.O_CLOEXEC)


def utf8_name(path: Path) -> str:
    """Return a name of a file in this process that is UTF-8, as TVM takes no other."""
    text = os.path.realpath(path)
    return text if text.isascii() or _is_utf8(text) else f"/proc/self/fd/{_held(path.parent)}/{path.name}"


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def check_possible(path: Path) -> None:
    """Refuse a path that no file or folder can have, or that goes round in circles.

    Raises:
        OSError: it is so; its `strerror` says how.
    """
    try:
        path.stat()
    except OSError as error:
        if error.errno in (errno.ENAMETOOLONG, errno.ELOOP):
            raise


def near_name(path: Path) -> str:
    """Return `; did you mean 'x'?` for what lies beside a path that is not there, or nothing if none is near."""
    try:
        names = os.listdir(path.parent)  # noqa: PTH208 - names, and of a folder that may not be there
    except OSError:
        return ""
    return did_you_mean(path.name, names[:_COMPARED])


def _refusal(path: str | os.PathLike[str], kind: str) -> OSError:
    return OSError(errno.EINVAL, f"it is {kind}, expected a file", str(path))


def _is_null(status: os.stat_result) -> bool:
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == Path(os.devnull).stat().st_rdev


def _is_unnamed_pipe(handle: int, status: os.stat_result) -> bool:
    """Return whether it is a pipe between processes: no file system shows it under a name."""
    return stat.S_ISFIFO(status.st_mode) and Path(f"/proc/self/fd/{handle}").readlink().name.startswith("pipe:[")
