"""A user's table of accuracies: a CSV file with the columns `name` and `top1`, and if wanted `dtype`, `top5`, `source`.

Accuracies are in percent. A name is a network's, as `mbench variants` has it, or that of the user's own file. Whatever
is wrong is refused in one line that names the file, the line, what is there and what was expected.
"""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from mbench.analysis import accuracy
from mbench.analysis.accuracy import GivenAccuracy
from mbench.core import dtypes, plain, regular_files
from mbench.core.errors import UsageError, cut, did_you_mean, shown
from mbench.networks import variants

COLUMNS = ("name", "top1", "dtype", "top5", "source")
_NEEDED = COLUMNS[:2]
_MOST_BYTES = 16 << 20
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_LONGEST = 200


def read(path: Path, own: Mapping[str, str] = MappingProxyType({})) -> dict[str, GivenAccuracy]:
    """Return the accuracies of a table by the names of networks, as `accuracy.table_name` has them.

    Args:
        path: the file.
        own: names of the user's own networks, which are no variants, by what the table may call them: this name, their
            file.

    Raises:
        UsageError: the file cannot be read, or something in it is wrong.
    """
    reader = csv.reader(io.StringIO(_text(path), newline=""), strict=True)
    found: dict[str, GivenAccuracy] = {}
    lines: dict[str, int] = {}
    heads: list[str] | None = None
    try:
        for cells in reader:
            where = f"{path}, line {reader.line_num}"
            cells = [cell.strip() for cell in cells]
            if not any(cells):
                continue
            if heads is None:
                heads = _heads(cells, where)
                continue
            name, given = _row(heads, cells, where, own)
            if name in found:
                raise UsageError(f"{where}: {shown(name)} stands in line {lines[name]} already; remove one of them")
            found[name], lines[name] = given, reader.line_num
    except csv.Error as error:
        raise UsageError(f"{path}, line {reader.line_num}: no CSV: {error}") from error
    if not found:
        raise UsageError(f"{path}: no accuracies; expected a line 'name,top1' and below it a line for each network")
    return found


def _text(path: Path) -> str:
    try:
        data = regular_files.read(path, most_bytes=_MOST_BYTES)
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from error
    try:
        return data.decode("utf-8-sig")  # spreadsheets begin with a byte order mark
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: byte {error.start} is no UTF-8; save the file as CSV in UTF-8") from error


def _heads(cells: list[str], where: str) -> list[str]:
    heads = [cell.lower() for cell in cells]
    missing = [name for name in _NEEDED if name not in heads]
    if missing and len(heads) == 1 and re.search(r"[;\t]", heads[0]):
        raise UsageError(f"{where}: {shown(cells[0])} has no comma; expected commas between columns, as in name,top1")
    if missing:
        got = cut(",".join(cells), _LONGEST)
        raise UsageError(f"{where}: no column {missing[0]!r} in {shown(got)}; expected name,top1 and if wanted dtype")
    for number, head in enumerate(heads):
        if head not in COLUMNS:
            near = did_you_mean(head, COLUMNS) or f"; expected {', '.join(COLUMNS)}"
            raise UsageError(f"{where}: column {shown(cells[number])} is not known{near}")
        if head in heads[:number]:
            raise UsageError(f"{where}: the column {head!r} is there twice; remove one of them")
    return heads


def _row(heads: list[str], cells: list[str], where: str, own: Mapping[str, str]) -> tuple[str, GivenAccuracy]:
    if len(cells) != len(heads):
        raise UsageError(f"{where}: {len(cells)} values for {len(heads)} columns ({','.join(heads)})")
    values = dict(zip(heads, cells, strict=True))
    for needed in _NEEDED:
        if not values[needed]:
            raise UsageError(f"{where}: {needed} is missing; expected a value, or no such line")
    name = _name(values["name"], values.get("dtype", ""), where, own)
    top1 = _percent("top1", values, where)
    top5 = _percent("top5", values, where) if values.get("top5") else None
    if top5 is not None and top5 < top1:
        raise UsageError(f"{where}: top5 {top5:g} is less than top1 {top1:g}; expected at least as much")
    said = plain.visible(cut(values.get("source", ""), _LONGEST))
    return name, GivenAccuracy(top1_percent=top1, top5_percent=top5, source=where + (f": {said}" if said else ""))


def _name(name: str, dtype: str, where: str, own: Mapping[str, str]) -> str:
    """Return what a network is called: canonical, with its type, without its batch."""
    try:
        if name not in own:
            return accuracy.table_name(variants.parse(name, dtype=dtype or None))
        typed = variants.type_suffix(dtypes.of(dtype).name) if dtype else ""
    except UsageError as error:
        raise UsageError(f"{where}: {error}{'' if name in own else _yours(name, own)}") from error
    return own.get(f"{name}{typed}", f"{own[name]}{typed}")


def _yours(name: str, own: Mapping[str, str]) -> str:
    """Return which of the user's own networks a name may mean that is none; nothing where there are none."""
    if not own:
        return ""
    return did_you_mean(name, own) or f"; your own are {cut(', '.join(sorted(set(own.values()))), _LONGEST)}"


def _percent(column: str, values: Mapping[str, str], where: str) -> float:
    text = values[column].removesuffix("%").rstrip()
    value = float(text) if _NUMBER.fullmatch(text) else math.nan
    if not math.isfinite(value):
        raise UsageError(f"{where}: {column} {shown(values[column])} is no number; expected percent, such as 70.9")
    if 0 < value <= 1 and not values[column].endswith("%"):
        raise UsageError(f"{where}: {column} {text} looks like a fraction; expected percent, such as {100 * value:g}")
    if not 0 <= value <= 100:
        raise UsageError(f"{where}: {column} {text} is not in the range 0 to 100; expected percent, such as 70.9")
    return value
