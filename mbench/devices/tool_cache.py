"""Making things with the tools of the system, once, and keeping them in the cache folder."""

from __future__ import annotations

import contextlib
import hashlib
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

from mbench.core import resources, scratch
from mbench.core.errors import UsageError, why

_BUILD_MAX_S = 300
_ANSWER_MAX_S = 30.0


def kept(kind: str, source: Path, parts: Sequence[str]) -> Path:
    """Return the folder of the cache for what is made of a source.

    Args:
        kind: of what is made; a folder of the cache.
        source: the file that it is made of.
        parts: whatever else decides what comes out.
    """
    hashed = hashlib.sha256("\0".join((digest(source), *parts)).encode())
    return resources.cache_dir() / kind / hashed.hexdigest()[:16]


def digest(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextlib.contextmanager
def made(folder: Path) -> Iterator[Path | None]:
    """Yield a scratch folder to fill, which becomes `folder`, whole or not at all; None where that is there already.

    Raises:
        UsageError: nothing can be written there.
    """
    if folder.is_dir():
        yield None
        return
    try:
        with scratch.folder(folder.parent) as place:
            work = place / folder.name
            work.mkdir()
            yield work
            try:
                work.rename(folder)
            except OSError:
                if not folder.is_dir():  # else another process was first
                    raise
    except OSError as error:
        raise UsageError(
            f"the cache folder {folder.parent}: nothing can be written there: {why(error)}; choose "
            "another with the environment variable MBENCH_CACHE_DIR"
        ) from error


def output(command: Sequence[str]) -> str:
    """Return what a command says about itself.

    Raises:
        UsageError: it cannot be executed, or says nothing for long.
    """
    try:
        done = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, text=True,
            errors="replace", check=False, timeout=_ANSWER_MAX_S,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UsageError(f"'{' '.join(command)}' failed: {why(error)}; install it again") from error
    return done.stdout


def run(command: Sequence[str], what: str, *, max_s: float = _BUILD_MAX_S) -> None:
    """Run a command.

    Raises:
        UsageError: it failed; the message has the last line that it said.
    """
    try:
        done = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", timeout=max_s,
            check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UsageError(f"{what} failed: {why(error)}") from error
    if done.returncode != 0:
        lines = [line.strip() for line in done.stdout.splitlines() if line.strip()]
        wrong = next((line for line in lines if "error:" in line.lower()), (lines or ["no message"])[-1])
        raise UsageError(f"{what} failed (status {done.returncode}): {wrong}")
