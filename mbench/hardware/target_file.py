"""One target.toml: read, checked, and refused in a line that names file, key and what was expected.

A board's has `core`, the name of the target whose core it has, and says only what differs there: the rest is that
target's, table by table and figure by figure. This is the one place that puts the two together.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from mbench.core import bounds, dtypes, names, resources, toml_files
from mbench.core.errors import TargetError
from mbench.core.field_types import LEVELS
from mbench.core.machine_types import EnergyCoefficients, Target
from mbench.core.toml_files import Source, joined, near, shown
from mbench.hardware import platforms

EMULATION = ("qemu_cpu",)
"""Keys of [emulation]."""
DETECTED = ("host", "cuda")
"""Names that stand for what this machine has."""
FILE = "target.toml"
_KEPT = 128
"""Descriptions that are kept: to look a target up takes all of them, for their aliases."""
_OWN = ("name", "description", "aliases", "core")
"""What a board does not have of its core."""
_TABLES = ("processor", "peaks", "tvm")
_PEAKS = ("flops_per_s", "bytes_per_s")


def read(file: Path) -> Target:
    """Return the target that a file describes, with what it has of its core and the default energy coefficients.

    Raises:
        TargetError: not valid TOML, or not a target; the message names file, key and what was expected.
    """
    text = toml_files.read_text(Source(file, TargetError))
    core = _core(file, text)
    core_text = toml_files.read_text(Source(core, TargetError)) if core else ""
    return _described(file, text, core, core_text, toml_files.read_text(_default_energy()))


def core(file: Path) -> str | None:
    """Return the name of the target whose core a board has; None for a target that is no board.

    Raises:
        TargetError: the file cannot be read, or there is no such target.
    """
    found = _core(file, toml_files.read_text(Source(file, TargetError)))
    return found.parent.name if found else None


@functools.lru_cache(maxsize=_KEPT)
def _core(file: Path, text: str) -> Path | None:
    """Return the file of a board's core: of a folder beside the board's, or one of mbench's own."""
    source = Source(file, TargetError)
    name = toml_files.parse(text, source).get("core")
    if name is None:
        return None
    beside = (file.parent.parent, resources.data_dir("targets"))
    known = {each.parent.name: each for folder in reversed(beside) for each in sorted(folder.glob(f"*/{FILE}"))}
    known.pop(file.parent.name, None)
    if not isinstance(name, str) or name not in known:
        raise source.refuse(f"core: there is no target {shown(name)} beside it or in mbench{near(str(name), known)}")
    return known[name]


@functools.lru_cache(maxsize=_KEPT)
def _described(file: Path, text: str, core: Path | None, core_text: str, default_energy: str) -> Target:
    source = Source(file, TargetError)
    raw = toml_files.parse(text, source)
    if core is not None:
        inherited = toml_files.parse(core_text, Source(core, TargetError))
        if "core" in inherited:
            raise source.refuse(f"core: '{core.parent.name}' is a board itself; expected {shown(inherited['core'])}")
        read(core)  # what it lacks is its own fault
        raw = _inherited(raw, inherited, source)
    energy = raw.get("energy", {})
    default = toml_files.parse(default_energy, _default_energy())
    raw["energy"] = {**default, **energy} if isinstance(energy, dict) else energy
    target = toml_files.convert(raw, Target, source)
    for key, wrong in (*_inconsistencies(target, file), *bounds.beyond(target)):
        raise source.refuse(f"{key}: {wrong}")
    return target


def _inherited(raw: dict[str, Any], core: dict[str, Any], source: Source) -> dict[str, Any]:
    """Return a board's tables with all of its core's that it does not have itself.

    Peaks follow from clock and cores, so a board with others gives them all; threads follow from the cores.
    """
    name = raw.pop("core")
    own, peaks, tvm = (found if isinstance(found := raw.get(key, {}), dict) else {} for key in _TABLES)
    differs = next((key for key in ("cores", "frequency_hz") if key in own), None)
    for table in _PEAKS if differs else ():
        if table not in peaks:
            raise source.refuse(f"peaks.{table}: missing; those of '{name}' do not hold for another {differs}")
    merged = _merged(raw, {key: value for key, value in core.items() if key not in _OWN})
    if peaks:
        merged["peaks"] = {**core.get("peaks", {}), **peaks}
    if differs == "cores" and type(own["cores"]) is int and own["cores"] > 0 and isinstance(merged["tvm"], dict):
        if "threads" not in raw and core["threads"] == core["processor"]["cores"]:
            merged["threads"] = own["cores"]
        if "num-cores" in core["tvm"] and "num-cores" not in tvm:
            merged["tvm"] = {**merged["tvm"], "num-cores": own["cores"]}
    return merged


def _merged(own: dict[str, Any], inherited: dict[str, Any]) -> dict[str, Any]:
    """Return tables with what they lack; a figure, which has a value and where it is from, is one thing."""
    found = {**inherited, **own}
    for key, value in own.items():
        other = inherited.get(key)
        if isinstance(value, dict) and isinstance(other, dict) and "value" not in value and "value" not in other:
            found[key] = _merged(value, other)
        elif isinstance(value, dict):
            found[key] = dict(value)
    return found


def _default_energy() -> Source:
    return Source(resources.data_dir("targets") / "energy_default.toml", TargetError)


def _inconsistencies(target: Target, file: Path) -> Iterator[tuple[str, str]]:
    """Yield what types cannot say, as key and complaint."""
    if target.name != file.parent.name:
        yield "name", f"expected '{file.parent.name}', the folder's name, got {shown(target.name)}"
    if target.name in DETECTED:
        yield "name", f"'{target.name}' stands for what the machine has; choose another"
    yield from inconsistencies(target)


def inconsistencies(target: Target) -> Iterator[tuple[str, str]]:
    """Yield what types cannot say of any target, from a file or from a record, as key and complaint."""
    kind = target.tvm.get("kind")
    if kind is None:
        yield "tvm.kind", "missing; expected what tvm.target.Target takes, such as 'llvm'"
    if platforms.of(target).on_host != (kind == "llvm"):
        yield "family", f"'{target.family}' does not go with tvm.kind {shown(kind)}"
    for key in {"llvm": ("mtriple", "mcpu"), "cuda": ("arch",)}.get(str(kind), ()):
        if not isinstance(target.tvm.get(key), str):
            yield f"tvm.{key}", f"expected a string, got {shown(target.tvm.get(key))}"
        elif key == "mtriple" and not names.is_plain(str(target.tvm[key]).split("-", maxsplit=1)[0].lower()):
            got = shown(target.tvm[key])
            yield f"tvm.{key}", f"expected an architecture first, such as 'x86_64-linux-gnu', got {got}"
    for table, keys, known in _names(target):
        for key in keys:
            if key not in known:
                yield joined(table, key), f"unknown key{near(key, known)}"


def _names(target: Target) -> Iterator[tuple[str, Iterable[str], tuple[str, ...]]]:
    """Yield the tables whose keys are names of things: the table, its keys, and those that mean something."""
    yield "peaks.bytes_per_s", target.peaks.bytes_per_s, LEVELS
    yield "peaks.flops_per_s", target.peaks.flops_per_s, dtypes.FIGURES
    yield "processor.flops_per_cycle", target.processor.flops_per_cycle, dtypes.FIGURES
    yield "processor.core_bytes_per_s", target.processor.core_bytes_per_s, LEVELS[1:]
    yield "emulation", target.emulation, EMULATION
    if target.energy:
        yield "energy.bytes_j", target.energy.bytes_j, LEVELS
        yield "energy.multiply_j", target.energy.multiply_j, dtypes.FIGURES
        yield "energy.add_j", target.energy.add_j, dtypes.FIGURES


def default_energy() -> EnergyCoefficients:
    """Return the energy coefficients of a target that has none of its own. Source: Horowitz, ISSCC 2014."""
    return toml_files.read(_default_energy(), EnergyCoefficients)
