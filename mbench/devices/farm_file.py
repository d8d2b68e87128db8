"""A farm file: the devices that measure side by side, in TOML that people write. Contacts nobody; needs no tvm.

`docs/farm.md` describes the format.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from mbench.core import toml_files
from mbench.core.errors import CollisionError, TargetError, UsageError
from mbench.core.farm_records import MOST_DEVICES
from mbench.core.field_types import Name, Patience
from mbench.core.toml_files import Source
from mbench.devices.address import Address
from mbench.devices.registry import NamedDevice, Place
from mbench.hardware import target_file, targets

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")
_HINT = "see docs/farm.md"
_Words = Annotated[tuple[Annotated[str, Meta(min_length=1)], ...], Meta(min_length=1, max_length=100)]


class FarmEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A device of the file, or several alike that share a key of a tracker."""

    rpc: Place | None = None
    """HOST:PORT of a server."""
    tracker: Place | None = None
    """HOST:PORT of a tracker; goes with `key`."""
    key: Place | None = None
    count: Annotated[int, Meta(ge=1, le=MOST_DEVICES)] | None = None
    """How many devices share the key; without it, the key is one device's own."""
    targets: _Words
    """Names of the targets whose code it runs."""
    kind: Name | None = None
    """Of hardware; without it, the first of the targets."""
    place: Place | None = None
    """Of labgrid, which is held while the device is used."""
    power_cycle: _Words | None = None
    """A command that switches the device off and on."""

    @property
    def address(self) -> Address:
        """How the device is reached; of several, the tracker and their key.

        Raises:
            UsageError: the fields do not go together, or name no address.
        """
        return NamedDevice(rpc=self.rpc, tracker=self.tracker, key=self.key).address


class LabgridEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the site's labgrid is."""

    coordinator: Place
    """HOST:PORT of `labgrid-coordinator`."""
    config: Place | None = None
    """An environment file of labgrid with drivers for power, relative to the farm file."""


class FarmFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a farm file says."""

    format_version: Literal[1]
    devices: Annotated[dict[str, FarmEntry], Meta(min_length=1, max_length=MOST_DEVICES)]
    labgrid: LabgridEntry | None = None
    reference: Name = "mobilenet_v1_0.25_128"
    """The network that every device is checked with."""
    reference_sessions: Annotated[int, Meta(ge=2, le=100)] = 3
    """How many sessions of it give a device's first figures."""
    check_every_s: Patience = 300.0
    """After how long a device's reference network is timed again, between two jobs."""
    max_slowdown: Annotated[float, Meta(gt=0, le=100)] | None = None
    """How much slower, as a fraction, the reference network may become; without it, that follows from its spread."""
    patience_s: Patience = 30.0
    """A silence of a device that is never taken for a hang; a longer one is, if its reference network does not need
    it."""
    pause_s: Patience = 60.0
    """After how long a device that was set aside is tried again, once."""
    tries: Annotated[int, Meta(ge=1, le=100)] = 3
    """Devices that a network is tried on, at most."""
    peaks: bool = True
    """Whether the peaks of each device are measured, for the roofline."""


def read(path: Path, target_dirs: Iterable[Path] = ()) -> FarmFile:
    """Return what a farm file says.

    Args:
        path: the file.
        target_dirs: more folders of target folders.

    Raises:
        UsageError: it cannot be read, or breaks the format; names an unknown target; two devices have one address.
    """
    source = Source(path, UsageError, _HINT)
    found = toml_files.read(source, FarmFile)
    dirs = tuple(target_dirs)
    named = {name: _canonical(name, dirs, source) for entry in found.devices.values() for name in entry.targets}
    for wrong in _wrong(found):
        raise source.refuse(wrong)
    devices = {
        name: msgspec.structs.replace(entry, targets=tuple(named[each] for each in entry.targets))
        for name, entry in found.devices.items()
    }
    return msgspec.structs.replace(found, devices=devices)


def _canonical(name: str, dirs: tuple[Path, ...], source: Source) -> str:
    """Return the name of a target that may be given by an alias."""
    if name in target_file.DETECTED:
        return name
    try:
        return targets.load(name, extra_dirs=dirs).name
    except TargetError as error:
        raise source.refuse(str(error)) from error


def _wrong(found: FarmFile) -> Iterator[str]:
    """Yield what is wrong with a file whose types are right."""
    taken: dict[str, str] = {}
    places: dict[str, str] = {}
    for name, entry in found.devices.items():
        where = f"devices.{name}"
        if not _NAME.fullmatch(name):
            yield f"device name {toml_files.shown(name)}: expected up to 63 letters, digits, - _ and ."
        try:
            address = str(entry.address)
        except UsageError as error:
            yield f"{where}: {error}"
            return
        if (other := taken.setdefault(address, name)) != name:
            yield f"{where}: has the address of '{other}', {address}; each device has one of its own"
        if entry.count is not None and entry.key is None:
            yield f"{where}.count: goes with tracker and key, which several devices share"
        if entry.place is not None and entry.count is not None:
            yield f"{where}.place: is one device's own, and count says that there are several; list them one by one"
        if entry.place is not None and found.labgrid is None:
            yield f"{where}.place: got {entry.place!r} without a table [labgrid], which says where the coordinator is"
        if entry.place is not None and (other := places.setdefault(entry.place, name)) != name:
            yield f"{where}.place: is the place of '{other}', too; each device has one of its own"


def fitting(found: FarmFile, target: str, path: Path) -> dict[str, FarmEntry]:
    """Return the devices that run code for a target, by name.

    Raises:
        CollisionError: there is none.
    """
    fit = {name: entry for name, entry in found.devices.items() if target in entry.targets}
    if not fit:
        has = ", ".join(sorted({each for entry in found.devices.values() for each in entry.targets}))
        said = f"{path}: no device runs code for target '{target}'; its devices are for {has}"
        raise CollisionError(said, "--device", "--target")
    return fit
