"""Scratch folders and files, and locks: what a process makes for itself, and what is left of it after its death.

Each is called `.mbench-scratch-…` or `.mbench-lock-…`, and is locked (flock) by the process that made it. The system
lets go of a lock when its process dies, however it dies. So one that nobody holds was left behind, whatever its age,
and `sweep` removes it.

On a file system without such locks (folders on NFS) nothing is held and nothing is swept.
"""

from __future__ import annotations

import atexit
import contextlib
import errno
import fcntl
import hashlib
import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from mbench.core.errors import OutputError, UsageError

_PREFIX = ".mbench-"
_LOCK = f"{_PREFIX}lock-"
_SCRATCH = f"{_PREFIX}scratch-"
_OURS = re.compile(r"\.mbench-(lock-[0-9a-f]{16}|scratch-[a-z0-9_]{8})")
"""Names that nobody else gives: what is called so and held by nobody is removed."""
_NO_LOCKS = {errno.EBADF, errno.EINVAL, errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP}
_PATIENCE_S = 2.0
"""How long a lock is waited for: whoever sweeps holds one for a moment, and a run that is ending for a little."""
_TRY_AGAIN_S = 0.05
_PID_DIGITS = 20
_OWN: set[Path] = set()
"""What this process made and has not removed yet."""
_PID = os.getpid()


@contextlib.contextmanager
def folder(parent: Path) -> Iterator[Path]:
    """Yield a fresh folder in `parent`, which is made if need be. It is gone afterwards, unless it was moved away.

    Raises:
        OSError: it could not be made.
    """
    parent.mkdir(parents=True, exist_ok=True)
    sweep(parent)
    path, handle = _held(lambda: Path(tempfile.mkdtemp(prefix=_SCRATCH, dir=parent)))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
        _release(path, handle)


@contextlib.contextmanager
def temporary() -> Iterator[Path]:
    """Yield a fresh folder where temporary files go.

    Raises:
        OutputError: it could not be made.
    """
    with contextlib.ExitStack() as stack:
        try:
            path = stack.enter_context(folder(Path(tempfile.gettempdir())))
        except OSError as error:
            raise OutputError(
                f"no temporary folder can be made: {error.strerror}; free space, or choose another place with the "
                "environment variable TMPDIR"
            ) from error
        yield path


@contextlib.contextmanager
def file(parent: Path) -> Iterator[tuple[Path, int]]:
    """Yield a fresh file and its handle; it is gone afterwards, unless it was moved away.

    Raises:
        OSError: it could not be made.
    """
    sweep(parent)
    path, handle = _held(lambda: _new_file(parent))
    try:
        yield path, handle
    finally:
        path.unlink(missing_ok=True)
        _release(path, handle)


@contextlib.contextmanager
def only(path: Path) -> Iterator[None]:
    """Let no other process change the file `path`, which need not be there, nor what belongs to it.

    Raises:
        UsageError: another process does.
        OutputError: nothing can be written beside it.
    """
    path = path.resolve()
    lock = path.with_name(_LOCK + hashlib.sha256(os.fsencode(path.name)).hexdigest()[:16])
    try:
        handle = _taken(lock, path)
    except OSError as error:
        if os.path.lexists(lock):
            raise OutputError(
                f"{lock}: cannot be opened: {error.strerror}; if no run is going on, remove it"
            ) from error
        raise OutputError(f"{path.parent}: nothing can be written there: {error.strerror}") from error
    try:
        yield
    finally:
        with contextlib.suppress(OSError):  # another user made it, in a folder where each removes only their own
            lock.unlink()
        _release(lock, handle)


def sweep(*folders: Path) -> None:
    """Remove from folders what dead processes left there. What cannot be removed stays."""
    for path in (path for parent in folders for path in _left_in(parent)):
        with contextlib.suppress(OSError):  # it is held, or another process was first
            handle = _open(path)
            try:
                _lock(handle, path)
                if os.fstat(handle).st_uid == os.geteuid():
                    _remove(path)
            finally:
                os.close(handle)


def sweep_temporary() -> None:
    """Remove what dead processes left where temporary files go."""
    with contextlib.suppress(OSError):  # no such folder can be written
        sweep(Path(tempfile.gettempdir()))


def _left_in(parent: Path) -> list[Path]:
    try:
        with os.scandir(parent) as entries:
            return [parent / entry.name for entry in entries if _OURS.fullmatch(entry.name)]
    except OSError:
        return []


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink()


def _held(make: Callable[[], Path]) -> tuple[Path, int]:
    """Make something and hold it; once more if another process swept it before it was held."""
    while True:
        path = make()
        _OWN.add(path)
        with contextlib.suppress(FileNotFoundError):
            handle = _open(path)
            try:
                _lock(handle, path)
            except (BlockingIOError, FileNotFoundError):
                os.close(handle)
            except OSError as error:
                if error.errno not in _NO_LOCKS:
                    os.close(handle)
                    _remove(path)
                    raise
                return path, handle
            else:
                return path, handle
        _OWN.discard(path)


def _release(path: Path, handle: int) -> None:
    os.close(handle)
    _OWN.discard(path)


@atexit.register
def _remove_own() -> None:
    """Remove what an interrupt left: it may come while a folder is made or removed."""
    for path in list(_OWN) if os.getpid() == _PID else ():  # not in a process that was forked from it
        with contextlib.suppress(OSError):
            _remove(path)


def _new_file(parent: Path) -> Path:
    handle, name = tempfile.mkstemp(prefix=_SCRATCH, dir=parent)
    os.close(handle)
    return Path(name)


def _open(path: Path) -> int:
    """Open a folder to read or a file to write: NFS locks no file that is open to be read alone."""
    return os.open(path, (os.O_RDONLY if path.is_dir() else os.O_RDWR) | os.O_NOFOLLOW | os.O_NONBLOCK)


def _lock(handle: int, path: Path) -> None:
    """Lock what is open.

    Raises:
        BlockingIOError: another process holds it.
        FileNotFoundError: it lies at `path` no more, so that its lock keeps nobody away.
    """
    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    if not os.path.samestat(os.fstat(handle), os.lstat(path)):
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))


def _lock_file(lock: Path) -> int:
    """Open the file of a lock, made if need be; one that another user made can be read alone, which is enough."""
    try:
        return os.open(lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
    except PermissionError:
        with contextlib.suppress(FileNotFoundError):
            return os.open(lock, os.O_RDONLY | os.O_NOFOLLOW)
        raise


def _taken(lock: Path, path: Path) -> int:
    """Make and hold the lock of a file.

    Raises:
        UsageError: another process keeps it.
    """
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        handle = _lock_file(lock)
        try:
            _lock(handle, lock)
        except (BlockingIOError, FileNotFoundError) as error:
            holder = os.read(handle, _PID_DIGITS).decode(errors="replace")
            os.close(handle)
            if isinstance(error, BlockingIOError) and time.monotonic() >= deadline:
                raise UsageError(
                    f"{path}: another process ({holder or 'unknown'}) works on it; wait until it is done, or stop it"
                ) from None
            time.sleep(_TRY_AGAIN_S)
            continue
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                os.close(handle)
                raise
        with contextlib.suppress(OSError):  # a full disk, or another's file: the others will not know who it is
            os.truncate(handle, 0)
            os.write(handle, str(os.getpid()).encode())
        return handle
