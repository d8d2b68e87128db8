"""The errors that mbench raises on purpose, each with the exit code that the command line gives it.

Every message is one line: what failed, the value it got, what was expected, and what to do. An exception of another
type that reaches the command line is a defect of mbench. Imports are made where they are used: this is there first.
"""

from __future__ import annotations

from collections.abc import Iterable

from mbench.core.exits import Exit

_SHOWN = 80


class MbenchError(Exception):
    """Base of all expected errors; `exit_code` is the process's exit status."""

    exit_code = Exit.WRONG_USE


class UsageError(MbenchError):
    """The caller asked for something that does not exist or cannot be (exit 2)."""


class CollisionError(UsageError):
    """Options exclude each other, or one of them and the networks that are named (exit 2)."""

    def __init__(self, message: str, *between: str) -> None:
        """Say so; `between`: the options as the command line calls them, and `NETWORK` for the networks."""
        super().__init__(message)
        self.between = between


class RecordError(MbenchError):
    """A record file cannot be read, is of another version, or breaks the format (exit 2)."""


class StoreError(MbenchError):
    """A store of records is not there, not mbench's, of a newer version, damaged, or cannot be reached (exit 2)."""


class TargetError(MbenchError):
    """A target's description is wrong, or the target is not known (exit 2)."""


class PluginError(MbenchError):
    """What another package adds to mbench is broken, or given twice (exit 2)."""


class BuildError(MbenchError):
    """A network could not be compiled (exit 4)."""

    exit_code = Exit.FAILED


class UnwritableCacheError(BuildError):
    """What was compiled cannot be kept: the cache is full, or may not be written (exit 4)."""


class OtherInputsError(BuildError):
    """Another machine was to build, and would build something else (exit 4)."""


class MeasureError(MbenchError):
    """A compiled network could not be measured (exit 4)."""

    exit_code = Exit.FAILED


class OutputError(MbenchError):
    """A result could not be written (exit 4)."""

    exit_code = Exit.FAILED


def why(error: BaseException) -> str:
    """Return in a line for people what an exception says: no numbers of errors, and no lists as Python writes them."""
    import shutil
    import subprocess

    if isinstance(error, shutil.Error) and error.args and isinstance(error.args[0], list):
        first = str(error.args[0][0][-1])  # of (source, destination, what went wrong)
        return first.split("] ", 1)[-1].split(": ", 1)[0]
    if isinstance(error, subprocess.TimeoutExpired):
        return f"no end within {error.timeout:g} s"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return " ".join(str(error).split()) or type(error).__name__


def shown(value: object) -> str:
    """Return a value out of a file, to be quoted in a message and shortened; tables and lists as JSON."""
    import json

    plural = isinstance(value, list | dict)
    text = json.dumps(value, ensure_ascii=False, default=str) if plural else repr(value)
    return cut(text, _SHOWN)


def cut(text: str, most: int) -> str:
    """Return the first `most` characters of a text; the last of them is an ellipsis where there are more."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return `; did you mean 'x'?` for the nearest known name, or nothing if none is near."""
    import difflib

    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f"; did you mean '{near[0]}'?" if near else ""


def shortened(text: str, most: int) -> str:
    """Return a text as one line of at most `most` characters, the middle left out; it may quote a file of any size."""
    half = most // 2 - 2
    line = " ".join((text if len(text) <= 2 * most else f"{text[:most]} … {text[-most:]}").split())
    return line if len(line) <= most else f"{line[:half]} … {line[-half:]}"
