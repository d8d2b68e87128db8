"""One target.toml: read, checked, and refused in a line that names file, key and what was expected."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator
from pathlib import Path

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
_KEPT = 64
"""Descriptions that are kept: to look a target up takes all of them, for their aliases."""


def read(file: Path) -> Target:
    """Return the target that a file describes; energy coefficients that it leaves out are the default ones.

    Raises:
        TargetError: not valid TOML, or not a target; the message names file, key and what was expected.
    """
    return _described(file, toml_files.read_text(Source(file, TargetError)), toml_files.read_text(_default_energy()))


@functools.lru_cache(maxsize=_KEPT)
def _described(file: Path, text: str, default_energy: str) -> Target:
    source = Source(file, TargetError)
    raw = toml_files.parse(text, source)
    energy = raw.get("energy", {})
    default = toml_files.parse(default_energy, _default_energy())
    raw["energy"] = {**default, **energy} if isinstance(energy, dict) else energy
    target = toml_files.convert(raw, Target, source)
    for key, wrong in (*_inconsistencies(target, file), *bounds.beyond(target)):
        raise source.refuse(f"{key}: {wrong}")
    return target


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
