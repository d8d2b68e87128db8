"""The names that a shell completes: networks, targets, devices, types. Imports neither torch nor tvm, and no msgspec.

A name that cannot be looked up is not offered: nothing is said while somebody types.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import click
from click.shell_completion import CompletionItem

from mbench.core.errors import MbenchError

_NETWORK_FILES = (".onnx", ".pt2")


def families() -> tuple[str, ...]:
    """Return the families of networks: mbench's own, and those that packages add."""
    from mbench.networks import architectures

    return architectures.known_families()


def networks(incomplete: str) -> list[str]:
    """Return families and the files of networks here; of a family that is typed whole, its networks."""
    from mbench.networks import variants

    files = sorted(path.name for path in Path().iterdir() if path.suffix in _NETWORK_FILES)
    found = _beginning(incomplete, (*families(), *files))
    if incomplete and any(incomplete.startswith(family) for family in families()):
        found += _beginning(incomplete, variants.catalog())
    return list(dict.fromkeys(found))


def targets(incomplete: str = "") -> list[str]:
    """Return the names of hardware targets, `host` and `cuda` among them; their files are not read."""
    from mbench.hardware import targets as registry

    return _beginning(incomplete, ("host", "cuda", *registry.available()))


def named_devices(incomplete: str = "") -> list[str]:
    """Return the devices that have names."""
    from mbench.devices import registry

    return _beginning(incomplete, registry.devices())


def devices(incomplete: str = "") -> list[str]:
    """Return what `--device` takes beside addresses."""
    from mbench.core import plugins
    from mbench.devices import registry

    return _beginning(incomplete, (*registry.BUILT_IN, *registry.devices(), *plugins.names(plugins.DEVICES)))


def types(incomplete: str = "") -> list[str]:
    """Return types, behind those that are there already: `float32,int8`."""
    from mbench.core import dtypes

    before, comma, last = incomplete.rpartition(",")
    named = before.split(",")
    return [f"{before}{comma}{name}" for name in dtypes.NAMES if name.startswith(last) and name not in named]


def _beginning(incomplete: str, names: Iterable[str]) -> list[str]:
    return [name for name in names if name.startswith(incomplete)]


class NameType(click.types.StringParamType):
    """A text that names something, of which a shell completes the names that there are."""

    def __init__(self, name: str, known: Callable[[str], Sequence[str]], *, or_file: bool = False) -> None:
        """Take what it names, the names that begin with a text, and whether it can be the path of a file."""
        self.name, self._known, self._or_file = name, known, or_file

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Return the names that begin so; where there is none, have the shell complete files."""
        found: Sequence[str] = ()
        with contextlib.suppress(MbenchError, OSError):
            found = self._known(incomplete)
        if not found and self._or_file:
            return [CompletionItem(incomplete, type="file")]
        return [CompletionItem(name) for name in found]


NETWORK = NameType("network", networks, or_file=True)
FAMILY = NameType("family", networks)
TARGET = NameType("target", targets)
DEVICE = NameType("device", devices)
NAMED_DEVICE = NameType("device", named_devices)
TYPES = NameType("types", types)
