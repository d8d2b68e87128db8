"""One target.toml: read, checked, and refused in a line that names file, key and what was expected."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from mbench import resources
from mbench.errors import TargetError
from mbench.records import LEVELS, EnergyCoefficients, Target

_T = TypeVar("_T")

DETECTED = ("host", "cuda")
"""Names that stand for what this machine has."""


def read(file: Path) -> Target:
    """Return the target that a file describes; energy coefficients that it leaves out are the default ones.

    Raises:
        TargetError: not valid TOML, or not a target; the message names file, key and what was expected.
    """
    raw = _parse(file)
    raw["energy"] = (
        {**_parse(_energy_file()), **energy} if isinstance(energy := raw.get("energy", {}), dict) else energy
    )
    target = _convert(raw, Target, file)
    for key, wrong in _inconsistencies(target, file):
        raise TargetError(f"{file}: {key}: {wrong}")
    return target


def _energy_file() -> Path:
    return resources.data_dir("targets") / "energy_default.toml"


def _inconsistencies(target: Target, file: Path) -> Iterator[tuple[str, str]]:
    """Yield what types cannot say, as key and complaint."""
    if target.name != file.parent.name:
        yield "name", f"expected '{file.parent.name}', the folder's name, got '{target.name}'"
    if target.name in DETECTED:
        yield "name", f"'{target.name}' stands for what the machine has; choose another"
    yield from inconsistencies(target)


def inconsistencies(target: Target) -> Iterator[tuple[str, str]]:
    """Yield what types cannot say of any target, from a file or from a record, as key and complaint."""
    kind = target.tvm.get("kind")
    if kind is None:
        yield "tvm.kind", "missing; expected what tvm.target.Target takes, such as 'llvm'"
    for key in {"llvm": ("mtriple", "mcpu"), "cuda": ("arch",)}.get(str(kind), ()):
        if not isinstance(target.tvm.get(key), str):
            yield f"tvm.{key}", f"expected a string, got {target.tvm.get(key)!r}"
    if (target.family == "gpu") == (kind == "llvm"):
        yield "family", f"'{target.family}' does not go with tvm.kind '{kind}'"
    for key, levels in (
        ("peaks.bytes_per_s", target.peaks.bytes_per_s),
        ("energy.bytes_j", target.energy.bytes_j if target.energy else {}),
    ):
        for level in levels:
            if level not in LEVELS:
                yield f"{key}.{level}", f"expected one of {', '.join(LEVELS)}"


def _parse(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise TargetError(f"{file}: cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise TargetError(f"{file}: not valid TOML: {error}") from error


def _convert(raw: dict[str, Any], kind: type[_T], file: Path) -> _T:
    try:
        return msgspec.convert(raw, kind)
    except msgspec.ValidationError as error:
        said, _, path = str(error).partition(" - at `$")
        key = _with_names(path.rstrip("`").lstrip("."), raw, kind, str(error))
        named = re.search(r"field `(\w+)`", said)
        if named:
            key = f"{key}.{named.group(1)}".lstrip(".")
            said = "missing" if "missing" in said else "unknown key"
        raise TargetError(f"{file}: {key}: {said[0].lower()}{said[1:]}") from error


def _with_names(path: str, raw: dict[str, Any], kind: type[Any], whole_error: str) -> str:
    """Return `path` with the key that msgspec leaves out of a table's path (`peaks.flops_per_s[...].value`)."""
    before, dots, after = path.partition("[...]")
    if not dots:
        return path
    table: Any = raw
    *parents, last = before.split(".")
    for part in parents:
        table = table[part]
    whole = table[last]
    for key in whole:
        table[last] = {key: whole[key]}
        try:
            msgspec.convert(raw, kind)
        except msgspec.ValidationError as error:
            if str(error) == whole_error:
                return f"{before}.{key}{after}"
    return path


def default_energy() -> EnergyCoefficients:
    """Return the energy coefficients of a target that has none of its own. Source: Horowitz, ISSCC 2014."""
    file = _energy_file()
    return _convert(_parse(file), EnergyCoefficients, file)
