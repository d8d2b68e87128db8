"""What another machine answers, checked before anything is made of it: a device may be broken, or not what it claims.

Text becomes one short line without control characters, JSON has the types that are expected, files are those that were
asked for, and no answer takes more memory than there is to spare.
"""

from __future__ import annotations

import math
import re
import resource
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import TypeVar

import msgspec

from mbench.core.errors import MeasureError
from mbench.core.plain import mapped

LONGEST_LINE = 300
"""Characters of a text that is shown."""
_MOST_FILES = 20_000
_MOST_FILE_BYTES = 32 << 20
_LONGEST_PATH = 300
_SPARE_BYTES = (1 << 30, 4 << 30)
"""What answers may take, at least and at most; in between it is half of what the machine has left."""
UNUSABLE = (ArithmeticError, LookupError, TypeError, ValueError)
"""What comes of an answer that has the right form and makes no sense, such as a processor list of letters."""
_HINT = "is it mbench's server there, of this version?"

_T = TypeVar("_T")


def plain(text: str, longest: int = LONGEST_LINE) -> str:
    """Return a text of another machine as one line that a terminal only shows, cut at `longest` characters."""
    shown = text[: longest + 1]
    line = "".join(char if char.isprintable() else " " if char.isspace() else "\ufffd" for char in shown)
    return line if len(shown) <= longest else f"{line[:longest]}…"


def unusable(where: object, what: str) -> MeasureError:
    """Return the error for an answer that nothing can be made of."""
    return MeasureError(f"the device at {where} answered what mbench cannot use: {plain(what)}; {_HINT}")


def decode(text: object, kind: type[_T], where: object, what: str) -> _T:
    """Return the JSON `text` as a `kind`.

    Args:
        text: of the other machine.
        kind: what it must be, with its limits.
        where: the other machine's address, for the message.
        what: what was asked for, for the message.

    Raises:
        MeasureError: it is something else.
    """
    try:
        return msgspec.json.decode(str(text), type=kind)
    except (msgspec.DecodeError, RecursionError, UnicodeError) as error:
        raise unusable(where, f"{what}: {error}") from error


def wanted_files(found: Mapping[str, str], patterns: Collection[str], where: object) -> dict[str, str]:
    """Return the files of an answer, each of which must match a pattern that was asked for.

    Raises:
        MeasureError: there are others, or too many.
    """
    if len(found) > _MOST_FILES or sum(map(len, found.values())) > _MOST_FILE_BYTES:
        raise unusable(where, f"{len(found)} files of {sum(map(len, found.values()))} bytes")
    for path in found:
        if not _matches(path, patterns):
            raise unusable(where, f"a file that was not asked for, {path[:_LONGEST_PATH]!r}")
    return dict(found)


def _matches(path: str, patterns: Collection[str]) -> bool:
    parts = path.split("/")
    if len(path) > _LONGEST_PATH or not path.isprintable() or any(part in ("", ".", "..") for part in parts[1:]):
        return False
    return path in patterns or any(PurePosixPath(path).match(pattern) for pattern in patterns)


def times(seconds: Sequence[float], count: int, where: object) -> tuple[float, ...]:
    """Return times that a device measured, of which there must be `count`.

    Raises:
        MeasureError: there are more or fewer, or one is none.
    """
    if len(seconds) != count:
        raise unusable(where, f"{len(seconds)} times, {count} were asked for")
    wrong = next((value for value in seconds if not (math.isfinite(value) and value >= 0)), None)
    if wrong is not None:
        raise unusable(where, f"a time of {wrong:g} s")
    return tuple(map(float, seconds))


def check_shape(shape: Sequence[int], expected: Sequence[int], where: object) -> None:
    """Refuse an output that is much larger than the one that is expected, before there is room for it.

    Raises:
        MeasureError: it is larger.
    """
    if any(side < 0 for side in shape) or math.prod(shape) > 16 * math.prod(expected):
        raise unusable(where, f"an output of shape {_sides(shape)}, {_sides(expected)} is expected")


def _sides(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape)) or "none"


def bound_memory() -> None:
    """Let this process take no more memory than what it has and a part of what is left, whatever is answered.

    A request for more fails in this process alone. Nothing is done where the system does not tell.
    """
    status, machine = _kilobytes(Path("/proc/self/status")), _kilobytes(Path("/proc/meminfo"))
    if "VmData" not in status or "MemAvailable" not in machine:
        return
    least, most = _SPARE_BYTES
    spare = min(most, max(least, machine["MemAvailable"] * 1024 // 2))
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    wanted = status["VmData"] * 1024 + spare
    limits = [limit for limit in (soft, hard) if limit != resource.RLIM_INFINITY]
    resource.setrlimit(resource.RLIMIT_DATA, (min([wanted, *limits]), hard))


def _kilobytes(file: Path) -> dict[str, int]:
    try:
        text = file.read_text()
    except OSError:
        return {}
    return {name: int(value) for name, value in re.findall(r"^(\w+):\s+(\d+) kB$", text, re.MULTILINE)}


def text(latin: str) -> str:
    """Return a file whose bytes came as latin-1 as text: UTF-8 where it is, and nothing that drives a terminal.

    Raises:
        UnicodeEncodeError: a character is no byte.
    """
    return _readable(latin.encode("latin-1").decode("utf-8", errors="replace"))


def _readable(text: str) -> str:
    return "".join(char if char.isprintable() or char in "\n\t\0" else "\ufffd" for char in text)


def plain_strings(value: _T, longest: int = 200) -> _T:
    """Return a struct with each of its texts made plain, those of structs in it too, checked against its types."""
    cleaned = mapped(msgspec.to_builtins(value), lambda _field, text: plain(text, longest))
    return msgspec.convert(cleaned, type=type(value))
