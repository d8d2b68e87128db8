"""Devices that the user gave names to, in a file that people can read and edit, and what `--device` means.

Nothing here contacts a device. Neither tvm nor torch is needed.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import os
import re
from collections.abc import Iterator, MutableMapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import tomlkit
from msgspec import Meta

from mbench.core import atomic_files, plugins, resources, toml_files
from mbench.core.errors import OutputError, UsageError, did_you_mean
from mbench.core.machine_types import DeviceKind
from mbench.core.toml_files import Source
from mbench.devices.address import SCHEME, Address
from mbench.hardware import device_kinds

BUILT_IN = ("local", "emulated")
FARM, FARM_SUFFIX = "farm", ".toml"
"""The kind of a farm, which `--device` names by its file."""
RESERVED = (*BUILT_IN, "none", SCHEME)
"""Words that stand for something else where a device is named."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}")
_HOST = re.compile(r"[\w.:%-]{1,255}")
_HEAD = """\
# Devices that mbench knows by name. Written by 'mbench device add', which leaves the rest as it is.

format_version = 1
"""

Place = Annotated[str, Meta(min_length=1, max_length=300)]


@dataclasses.dataclass(frozen=True, kw_only=True)
class DeviceChoice:
    """What `--device` comes to. `name` is what the record calls it; `rpc` has an address, `local` none."""

    kind: DeviceKind
    name: str
    address: str = ""


class NamedDevice(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """How a device is reached: a server, or a tracker and what to ask it for."""

    rpc: Place | None = None
    """HOST:PORT of a server."""
    tracker: Place | None = None
    """HOST:PORT of a tracker; goes with `key`."""
    key: Place | None = None

    @property
    def address(self) -> Address:
        """The address, as `--device` takes it.

        Raises:
            UsageError: the fields do not go together, or name no address.
        """
        if (self.rpc is None) == (self.tracker is None):
            raise UsageError("a device has either rpc, the HOST:PORT of a server, or tracker, that of a tracker")
        if (self.tracker is None) != (self.key is None):
            raise UsageError("tracker and key go together: the key is what the tracker is asked for")
        where = self.rpc or self.tracker or ""
        address = Address.parse(f"{SCHEME}://{where}" + (f"/{self.key}" if self.key else ""))
        if address.key != self.key or not _HOST.fullmatch(address.host):
            raise UsageError(f"{where!r} is not an address; expected HOST:PORT")
        return address


class _DevicesFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    format_version: Literal[1]
    devices: dict[str, NamedDevice] = {}


# ------------------------------------------------------------------------------------------------------------- look-up
def file() -> Path:
    """Return the file of named devices, in `$MBENCH_CONFIG_DIR` or in the user's folder for settings."""
    return resources.user_dir("config", "MBENCH_CONFIG_DIR") / "devices.toml"


def devices() -> dict[str, NamedDevice]:
    """Return the named devices, sorted by name; none where there is no file.

    Raises:
        UsageError: the file cannot be read, or breaks the format.
    """
    source = Source(file(), UsageError, "correct the file, or remove it and add the devices again")
    found = (toml_files.find(source, _DevicesFile) or _DevicesFile(format_version=1)).devices
    for name, entry in found.items():
        try:
            _check_name(name)
        except UsageError as error:
            raise source.refuse(str(error)) from error
        try:
            _ = entry.address
        except UsageError as error:
            raise source.refuse(f"device '{name}': {error}") from error
    return dict(sorted(found.items()))


def resolve(text: str) -> DeviceChoice:
    """Return the device that `--device TEXT` means: one of `BUILT_IN`, an address, or one with a name.

    A kind of device that another package adds is given as KIND, or KIND://ADDRESS.

    Raises:
        UsageError: there is none, or the file of named devices is wrong.
    """
    if text in BUILT_IN:
        return DeviceChoice(kind=text, name=text)
    if text.startswith(f"{SCHEME}:"):
        return DeviceChoice(kind="rpc", name=text, address=str(Address.parse(text)))
    known = devices()
    if text.endswith(FARM_SUFFIX):
        return DeviceChoice(kind=FARM, name=text, address=str(Path(text).absolute()))
    if text in known:
        return DeviceChoice(kind="rpc", name=text, address=str(known[text].address))
    if re.fullmatch(r"\S+:\d+(/\S*)?", text):
        raise UsageError(f"--device {text!r} is not known; did you mean '{SCHEME}://{text}'?")
    kind, _, address = text.partition("://")
    added = plugins.find(plugins.DEVICES, kind, RESERVED) if _NAME.fullmatch(kind) else None
    if added:
        device_kinds.added(added)  # a broken one is refused before anything is compiled
        return DeviceChoice(kind=kind, name=text, address=address)
    raise UsageError(_unknown(f"--device {text!r}", text, (*BUILT_IN, *known, *plugins.names(plugins.DEVICES))))


def _unknown(what: str, name: str, known: tuple[str, ...]) -> str:
    near = did_you_mean(name, known)
    hint = f"; expected local, emulated, {SCHEME}://HOST:PORT, a farm's FILE.toml or a name of 'mbench device list'"
    return f"{what} is not known{near or hint}"


# ------------------------------------------------------------------------------------------------------------- changes
def add(name: str, entry: NamedDevice, *, replace: bool = False) -> None:
    """Remember a device.

    Args:
        name: for `--device`.
        entry: how it is reached.
        replace: forget a device of that name.

    Raises:
        UsageError: the name or the address cannot be, or the name is taken.
        OutputError: the file could not be written.
    """
    _check_name(name)
    _ = entry.address
    with _changing() as (known, table):
        if name in known and not replace:
            raise UsageError(f"device '{name}' is there already: {known[name].address}; add --force to replace it")
        table[name] = msgspec.to_builtins(entry)


def remove(name: str) -> None:
    """Forget a device.

    Raises:
        UsageError: it is not known.
        OutputError: the file could not be written.
    """
    if name not in devices():
        near = did_you_mean(name, devices()) or "; see 'mbench device list'"
        raise UsageError(f"device {name!r} is not known{near}")
    with _changing() as (_, table):
        table.pop(name, None)


def _check_name(name: str) -> None:
    if name.lower() in RESERVED:
        raise UsageError(f"device name {name!r} means something else where a device is named; choose another")
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"device name {name!r} cannot be; expected up to 63 letters, digits, - and _, with a letter or digit first"
        )


@contextlib.contextmanager
def _changing() -> Iterator[tuple[dict[str, NamedDevice], MutableMapping[str, Any]]]:
    """Yield the named devices, and their table to be changed; write the file, with comments and order as they were.

    Other processes that change it wait.
    """
    path = Path(os.path.realpath(file()))  # a link of whoever keeps settings elsewhere stays
    hint = "choose another folder with the environment variable MBENCH_CONFIG_DIR"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise OutputError(f"{path.parent}: cannot be used as a folder: {error.strerror}; {hint}") from error
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        known = devices()
        document = tomlkit.parse(path.read_text(encoding="utf-8-sig") if path.exists() else _HEAD)
        if "devices" not in document:
            document["devices"] = tomlkit.table(is_super_table=True)
        table = document["devices"]
        assert isinstance(table, MutableMapping)
        yield known, table
        atomic_files.write_atomically(path, tomlkit.dumps(document).encode())
    except OutputError as error:
        why = getattr(error.__cause__, "strerror", None) or error
        raise OutputError(f"{path}: cannot be written: {why}; {hint}") from error
    finally:
        os.close(folder)
