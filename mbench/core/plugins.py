"""What other installed packages add to mbench: one function reads a group of entry points.

A package adds a network, a target, a device, a schedule rule or a gate output by an entry point; `docs/extending.md`
shows each. Nothing of such a package is run before its name is asked for, so that a broken one disturbs nobody else.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import re
import sys
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from mbench.core.errors import PluginError, shortened, why

NETWORKS = "mbench.networks"
"""Family → its blocks, a string (see `networks.architectures`)."""
TARGETS = "mbench.targets"
"""Any name → a package whose folders hold a target.toml each."""
DEVICES = "mbench.devices"
"""Kind of device → an `AddedDevice` (see `mbench.hardware.device_kinds`)."""
OUTPUTS = "mbench.outputs"
"""Form → a function or module that renders a verdict (see `mbench.gating.outputs`)."""
RULES = "mbench.rules"
"""Rule → an `AddedRule` (see `mbench.compile.schedules.rule`)."""
GROUPS = (NETWORKS, TARGETS, DEVICES, OUTPUTS, RULES)
OWN = "mobilenet-bench"
_LONGEST = 300
"""Characters of what a package's error says."""


@dataclass(frozen=True, kw_only=True)
class Plugin:
    """One entry point: what a package calls a thing, and where it lies."""

    group: str
    name: str
    value: str
    """MODULE, or MODULE:OBJECT."""
    package: str
    """Name and version of the package."""

    def __str__(self) -> str:
        return f"'{self.name}' of group {self.group}, from the package {self.package}"

    @property
    def module(self) -> str:
        """The module that it lies in."""
        return self.value.partition(":")[0].strip()

    def load(self) -> Any:
        """Import it, and return the object.

        Raises:
            PluginError: it cannot be imported, for whatever reason.
        """
        try:
            return metadata.EntryPoint(name=self.name, value=self.value, group=self.group).load()
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            said = shortened(f"{type(error).__name__}: {why(error)}", _LONGEST)
            raise self.refuse(f"it cannot be imported: {said}") from error

    def refuse(self, reason: str) -> PluginError:
        """Return the error that says what is wrong with it, and whose it is."""
        return PluginError(f"{self}: {reason}; fix that package, or remove it")

    def folders(self) -> tuple[Path, ...]:
        """Return the folders of its module where that is a package, else the file's folder; no code of it is run.

        Raises:
            PluginError: there is no such module.
        """
        try:
            spec = importlib.util.find_spec(self.module)
        except (Exception, SystemExit) as error:  # of a package around it, which is imported
            raise self.refuse(f"{self.module!r} cannot be found: {why(error)}") from error
        if spec is not None and spec.submodule_search_locations:
            return tuple(map(Path, spec.submodule_search_locations))
        if spec is not None and spec.origin:
            return (Path(spec.origin).parent,)
        raise self.refuse(f"there is no module {self.module!r}")

    def fingerprint(self) -> str:
        """Return a word that changes with the package's version or code: it decides what artifacts hold.

        Raises:
            PluginError: there is no such package.
        """
        top = self.module.partition(".")[0]
        spec = importlib.util.find_spec(top)
        if spec is None:
            raise self.refuse(f"there is no module {top!r}")
        roots = [Path(each) for each in spec.submodule_search_locations or ()]
        files = [file for root in roots for file in root.rglob("*.py")] or [Path(str(spec.origin))]
        hashed = hashlib.sha256()
        for file in sorted(files):
            hashed.update(file.name.encode(errors="surrogatepass") + b"\0" + file.read_bytes())
        return f"{self.name} = {self.value} ({self.package}, {hashed.hexdigest()[:32]})"


def entries(group: str, own: Collection[str] = ()) -> dict[str, Plugin]:
    """Return all that installed packages add to a group, sorted by name; none of it is imported yet.

    Args:
        group: of entry points.
        own: the names that mbench itself has there.

    Raises:
        PluginError: two packages, or a package and mbench, give the same name.
    """
    return {name: _only(group, name, own) for name in _group(group)}


def names(group: str) -> tuple[str, ...]:
    """Return the names that packages add to a group, also those that two of them give."""
    return tuple(_group(group))


def find(group: str, name: str, own: Collection[str] = ()) -> Plugin | None:
    """Return what a package adds to a group under a name; None if no package does.

    Raises:
        PluginError: another package, or mbench, gives the same name.
    """
    return _only(group, name, own) if name in _group(group) else None


def _only(group: str, name: str, own: Collection[str]) -> Plugin:
    first, *others = _group(group)[name]
    if others or name in own:
        packages = ", ".join([OWN] * (name in own) + [each.package for each in (first, *others)])
        raise PluginError(f"'{name}' of group {group} is given by several packages: {packages}; remove all but one")
    return first


def _group(group: str) -> dict[str, list[Plugin]]:
    return _found(tuple(sys.path)).get(group, {})


@functools.cache
def _found(_path: tuple[str, ...]) -> dict[str, dict[str, list[Plugin]]]:
    """Return the entry points of all groups of mbench, by name, as found on a `sys.path`."""
    found: dict[str, dict[str, list[Plugin]]] = {}
    for package, entry in _entry_points():
        plugin = Plugin(group=entry.group, name=entry.name, value=entry.value, package=package)
        found.setdefault(entry.group, {}).setdefault(entry.name, []).append(plugin)
    return {
        group: {name: sorted(named[name], key=lambda each: each.package) for name in sorted(named)}
        for group, named in found.items()
    }


def _entry_points() -> Iterator[tuple[str, metadata.EntryPoint]]:
    """Yield what packages add to mbench, each with its package; of packages of one name, the first on the path.

    A package whose own list cannot be read adds nothing: `metadata.entry_points` would fail for all of them.
    """
    seen: set[str] = set()
    for package in metadata.distributions():
        try:
            entries = [entry for entry in package.entry_points if entry.group in GROUPS]
            if not entries:
                continue
            name, version = package.name, package.version
        except Exception:  # noqa: BLE001, S112 - whatever is wrong with it, it is another package's
            continue
        normal = re.sub(r"[-_.]+", "-", name).lower()
        if normal not in seen:
            seen.add(normal)
            yield from ((f"{name} {version}", entry) for entry in entries)
