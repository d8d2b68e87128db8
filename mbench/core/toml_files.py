"""Reads every TOML file that mbench takes: targets, `mbench.toml`, acceptances, named devices, tuned choices.

A file is read whole, checked against a msgspec type, and refused in one line that names file, key, what is there and
what was expected. Nothing here knows what a file means. Writing stays with the modules that own a format.
"""

from __future__ import annotations

import bisect
import functools
import math
import re
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import msgspec
from msgspec import inspect

from mbench.core import regular_files
from mbench.core.errors import MbenchError, UsageError, cut, did_you_mean

_T = TypeVar("_T")

MAX_BYTES = 8 * 2**20
"""Of a file; the largest that ships has a third of a megabyte."""
MAX_DOTS = 100
"""In a line: `tomllib` takes time that grows with the square of a dotted key's parts."""
_SHOWN = 60
"""Characters of a key or a value that a message shows."""
_LONGEST = 200
"""Characters of a path of keys, or of the parser's words, that a message shows."""
_INT64 = range(-(2**63), 2**63)
_KEYS = re.compile(r"\('[^()]*'(?:, '[^()]*')*,?\)")
"""How the parser writes the keys of a table that is there twice: as Python does."""
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_TYPES = {"object": "a table", "array": "an array", "str": "a string", "int": "an integer", "float": "a number"}
_TOKEN = re.compile(r"\.(\w+)|\[(\d+)\]|\[\.\.\.\]")


class Source(NamedTuple):
    """Where a table is from, and how what is wrong with it is refused."""

    file: Path
    error: type[MbenchError] = UsageError
    hint: str = ""
    """What to do, at the end of a refusal."""

    def refuse(self, what: str) -> MbenchError:
        """Return the error that says what is wrong with the file."""
        return self.error(f"{self.file}: {what}" + (f"; {self.hint}" if self.hint else ""))


# ------------------------------------------------------------------------------------------------------------- reading
def read(source: Source, kind: type[_T]) -> _T:
    """Return what a file says, as a struct.

    Raises:
        MbenchError: of the source's type; the file cannot be read, is not TOML, or is not of this kind.
    """
    return convert(load(source), kind, source)


def find(source: Source, kind: type[_T]) -> _T | None:
    """Return what a file says, or None where there is no file.

    Raises:
        MbenchError: of the source's type; the file cannot be read, is not TOML, or is not of this kind.
    """
    try:
        return read(source, kind)
    except MbenchError as error:
        if isinstance(error.__cause__, FileNotFoundError | NotADirectoryError):
            return None
        raise


def load(source: Source) -> dict[str, Any]:
    """Return the tables of a file, for what has to be done before `convert`. Its numbers are finite, of 64 bits.

    Raises:
        MbenchError: of the source's type; the file cannot be read, or is not TOML.
    """
    return parse(read_text(source), source)


def parse(text: str, source: Source) -> dict[str, Any]:
    """Return the tables of a file's text.

    Raises:
        MbenchError: of the source's type; it is not TOML.
    """
    for number, line in enumerate(text.split("\n"), 1):
        if (dots := line.count(".")) > MAX_DOTS:
            raise source.refuse(f"line {number} has {dots} dots, expected at most {MAX_DOTS}; shorten its keys")
    try:
        raw = tomllib.loads(text)
    except RecursionError:
        raise source.refuse("nested too deeply; expected a few levels of tables and arrays") from None
    except tomllib.TOMLDecodeError as error:
        said = _KEYS.sub(lambda match: _joined(match[0]), str(error))
        raise source.refuse(f"not valid TOML: {_printable(said, _LONGEST)}") from error
    except ValueError as error:  # an integer of more digits than Python turns into a number
        raise source.refuse(f"not valid TOML: {shown(error, 60)}; expected integers of at most 64 bits") from error
    for path, what in _numbers(raw):
        raise source.refuse(f"{cut(path, _LONGEST)}: got {what}")
    return raw


def _joined(keys: str) -> str:
    """Return the keys of a table as TOML writes them: `('devices', 'rack')` is `[devices.rack]`."""
    path = ""
    for key in re.findall(r"'([^']*)'", keys):
        path = joined(path, key)
    return f"[{path}]"


def read_text(source: Source) -> str:
    """Return a file's text, without waiting for what a name may stand for besides (see `mbench.core.regular_files`).

    Raises:
        MbenchError: of the source's type; the file cannot be read.
    """
    try:
        data = regular_files.read(source.file, most_bytes=MAX_BYTES)
    except OSError as error:
        raise source.refuse(f"cannot be read: {error.strerror}") from error
    try:
        return data.decode("utf-8-sig")  # editors on Windows begin with a byte order mark
    except UnicodeDecodeError as error:
        raise source.refuse(f"not valid TOML: byte {error.start} is no UTF-8; save the file as UTF-8") from error


def _numbers(raw: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield what is no number of this world, as key and what is there. No recursion: tables nest as they like."""
    left: list[tuple[str, Any]] = [("", raw)]
    while left:
        path, value = left.pop()
        if isinstance(value, dict):
            left.extend((joined(path, key), item) for key, item in value.items())
        elif isinstance(value, list):
            left.extend((f"{path}[{index}]", item) for index, item in enumerate(value))
        elif isinstance(value, float) and not math.isfinite(value):
            yield path, f"{value}, expected a finite number"
        elif isinstance(value, int) and value not in _INT64:
            yield path, "an integer of more than 64 bits"


# ------------------------------------------------------------------------------------------------------------ checking
def convert(raw: dict[str, Any], kind: type[_T], source: Source) -> _T:
    """Return the tables of a file as a struct.

    Raises:
        MbenchError: of the source's type; a key is missing, not known, or not what was expected.
    """
    _check_version(raw, kind, source)
    try:
        return msgspec.convert(raw, kind)
    except msgspec.ValidationError as error:
        try:
            what = _refusal(str(error), raw, kind)
        except (LookupError, TypeError):  # a key that looks like the path in msgspec's own words
            what = shown(error, _LONGEST)
        raise source.refuse(what) from error


_type_info = functools.cache(inspect.type_info)


def _check_version(raw: dict[str, Any], kind: type[Any], source: Source) -> None:
    """Refuse another version before its unknown keys are, where files of this kind have versions."""
    fields = _fields(_type_info(kind))  # type: ignore[arg-type]  # mypy: a class may not be hashable
    if "format_version" in fields and isinstance(known := fields["format_version"].type, inspect.LiteralType):
        version = raw.get("format_version")
        if version not in known.values:
            reads = ", ".join(map(str, known.values))
            raise source.refuse(f"format_version is {shown(version)}, this mbench reads {reads}")


def _refusal(said: str, raw: dict[str, Any], kind: type[Any]) -> str:
    """Return msgspec's complaint with the whole key, what is there, and the nearest name of a key or a choice."""
    complaint, _, where = said.partition(" - at `$")
    steps = _steps(where.rstrip("`"), raw, kind, said)
    named = re.fullmatch(r"Object (?:contains unknown|missing required) field `(.*)`", complaint, re.DOTALL)
    at, value = _follow(_type_info(kind), raw, steps)  # type: ignore[arg-type]
    if named:
        key = _path([*steps, named[1]])
        if complaint.startswith("Object missing"):
            return f"{key}: missing"
        return f"{key}: unknown key{near(named[1], _fields(at))}"
    where = f"{_path(steps)}: "
    if isinstance(at, inspect.LiteralType) and isinstance(value, str):
        return f"{where}got {shown(value)}{near(value, map(str, at.values))}"
    if not complaint.startswith("Expected "):
        return f"{where}{complaint}"
    expected = re.sub(r"`([^`]*)`", lambda match: _in_toml(match[1]), complaint.partition(", got ")[0])
    return f"{where}got {shown(value)}, {expected[0].lower()}{expected[1:]}"


def _in_toml(types: str) -> str:
    """Return msgspec's names of types in TOML's words; TOML has no null."""
    return " or ".join(_TYPES.get(name, name) for name in types.split(" | ") if name != "null")


def _steps(where: str, raw: dict[str, Any], kind: type[Any], said: str) -> list[str | int]:
    """Return the keys of msgspec's path. It leaves out the keys of a dictionary: the first that it refuses is taken."""
    steps: list[str | int] = []
    for match in _TOKEN.finditer(where):
        if match[1] or match[2]:
            steps.append(match[1] or int(match[2]))
            continue
        _, table = _follow(None, raw, steps)
        items = list(table.items())

        def is_refused(last: int, table: dict[str, Any] = table, items: list[tuple[str, Any]] = items) -> bool:
            table.clear()
            table.update(items[: last + 1])
            return _complaint(raw, kind) == said

        first = bisect.bisect_left(range(len(items)), True, key=is_refused)
        table.clear()
        table.update(items)
        steps.append(items[first][0])
    return steps


def _complaint(raw: dict[str, Any], kind: type[Any]) -> str:
    try:
        msgspec.convert(raw, kind)
    except msgspec.ValidationError as error:
        return str(error)
    return ""


def _follow(at: inspect.Type | None, value: Any, steps: list[str | int]) -> tuple[inspect.Type | None, Any]:
    """Return the type and the value at the end of a path."""
    for step in steps:
        value = value[step]
        fields, bare = _fields(at), _bare(at)
        if step in fields:
            at = fields[step].type
        elif isinstance(bare, inspect.DictType):
            at = bare.value_type
        else:
            at = bare.item_type if isinstance(bare, inspect.VarTupleType) else None
    return _bare(at), value


def _bare(at: inspect.Type | None) -> inspect.Type | None:
    """Return a type without what is written around it: metadata, and that it may be absent."""
    while True:
        if isinstance(at, inspect.Metadata):
            at = at.type
        elif isinstance(at, inspect.UnionType) and len(at.types) == 2 and at.includes_none:
            at = next(one for one in at.types if not isinstance(one, inspect.NoneType))
        else:
            return at


def _fields(at: inspect.Type | None) -> dict[Any, inspect.Field]:
    bare = _bare(at)
    return {field.encode_name: field for field in bare.fields} if isinstance(bare, inspect.StructType) else {}


# -------------------------------------------------------------------------------------------------------------- showing
def shown(value: object, most: int = _SHOWN) -> str:
    """Return a value for a message: on one line, shortened, and without characters that a terminal would obey."""
    if isinstance(value, dict | list):
        return "a table" if isinstance(value, dict) else "an array"
    return _printable(repr(value) if isinstance(value, str) else str(value), most)


def _printable(text: str, most: int) -> str:
    """Return a text on one line, shortened, and without characters that a terminal would obey."""
    return cut("".join(each if each.isprintable() else ascii(each)[1:-1] for each in text), most)


def near(name: str, known: Iterable[str]) -> str:
    """Return the known name that is near, or all of them where none is, to end a refusal."""
    names = list(known)
    return did_you_mean(name, names) or f"; expected {'one of ' if len(names) > 1 else ''}{', '.join(names)}"


def _path(steps: list[str | int]) -> str:
    path = ""
    for step in steps:
        path = f"{path}[{step}]" if isinstance(step, int) else joined(path, step)
    return cut(path, _LONGEST)


def joined(path: str, key: str) -> str:
    """Return the path of a key in a table, quoted where TOML quotes it."""
    plain = _BARE.fullmatch(key) and len(key) <= _SHOWN
    return f"{path}.{key if plain else shown(key)}".removeprefix(".")
