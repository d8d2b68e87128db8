"""What differs between kinds of devices: one object for each, so that no other module asks for a device's kind.

The devices themselves are in `mbench.devices`; this is what records and options need to know of them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from mbench.core import plugins
from mbench.core.errors import PluginError
from mbench.core.field_types import MOST_THREADS
from mbench.core.machine_types import DeviceKind, Host, Target
from mbench.core.plugins import Plugin
from mbench.hardware import platforms
from mbench.hardware.platforms import ThreadLimit

NO_TIME = "emulated: the emulator's time says nothing about the hardware"


@dataclasses.dataclass(frozen=True, kw_only=True)
class KindFacts:
    """The facts of a kind of device."""

    threads: Callable[[Target, Host], ThreadLimit]
    """Returns how many threads a run there may have."""
    here: bool = False
    """Whether the hardware is this machine's own."""
    remote: bool = False
    """Whether it is another machine, with a name of its own, which the record describes too."""
    farm: bool = False
    """Whether it is several machines, each with a name of its own, among which a run's networks are shared out."""
    peaks_expected: bool = False
    """Whether it measures its own peaks, so that a run without them is not complete."""
    runs: bool = True
    """Whether anything is run."""
    no_time: str | None = None
    """Why its times mean nothing, so that counts are shown instead; None where they are what is measured."""
    option: Callable[[str], str | None] = lambda name: name
    """Returns what `--device` is called with for a device of that name; None: it is left out."""

    @property
    def counts_only(self) -> bool:
        """Whether counts are all that it gives."""
        return self.no_time is not None


KINDS: dict[DeviceKind, KindFacts] = {
    "local": KindFacts(
        threads=lambda target, machine: platforms.of(target).threads(target, machine),
        here=True,
        peaks_expected=True,
        option=lambda _name: None,
    ),
    "rpc": KindFacts(
        threads=lambda target, _machine: ThreadLimit(MOST_THREADS, target.threads, "any board"), remote=True
    ),
    "farm": KindFacts(
        threads=lambda target, _machine: ThreadLimit(MOST_THREADS, target.threads, "any board"), remote=True, farm=True
    ),
    "emulated": KindFacts(
        threads=lambda _target, _machine: ThreadLimit(1, 1, "an emulated run, which counts"),
        no_time=NO_TIME,
        option=lambda _name: "emulated",
    ),
    "none": KindFacts(
        threads=lambda target, _machine: platforms.of_target(target), runs=False, option=lambda _name: None
    ),
}


HERE = dataclasses.replace(KINDS["local"], option=lambda name: name, peaks_expected=False)
"""Of a device that another package adds, and that is this machine's own hardware."""
BOARD = KINDS["rpc"]
"""Of one that is another machine, or that is not known here."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class AddedDevice:
    """A kind of device that another package adds, by an entry point of the group `mbench.devices`."""

    open: Callable[..., Any]
    """Opens one: `open(target, address, *, lock_dir, timeout_s, waiting)` returns an object with the methods of
    `mbench.devices.protocols.DeviceRunner`."""
    facts: KindFacts = BOARD


def added(entry: Plugin) -> AddedDevice:
    """Return the kind of device that an entry point names.

    Raises:
        PluginError: it names something else, or cannot be imported.
    """
    found = entry.load()
    if not isinstance(found, AddedDevice):
        raise entry.refuse(f"it is of type {type(found).__name__}, expected an AddedDevice")
    return found


def of(kind: DeviceKind) -> KindFacts:
    """Return the facts of a kind of device; of one whose package is not here, or is broken, those of a board."""
    if kind in KINDS:
        return KINDS[kind]
    try:
        entry = plugins.find(plugins.DEVICES, kind)
        return added(entry).facts if entry else BOARD
    except PluginError:  # a record of such a device can still be read
        return BOARD
