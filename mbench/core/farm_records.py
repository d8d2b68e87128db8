"""The farm of a run: the devices that measured side by side, and how a reference network did on each. Part of a record.

What follows from it, such as how far devices of one kind lie apart, is in `mbench.analysis.device_spread`.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from mbench.core.field_types import Moment, Name, PositiveInt, Samples, Strict, Text, TextTable
from mbench.core.machine_types import Calibration, Host

MOST_DEVICES = 1000
MOST_SET_ASIDE = 100


class SetAside(Strict, frozen=True, kw_only=True):
    """A device that took no more jobs from a moment on."""

    at_utc: Moment
    reason: Text
    returned: bool = False
    """Whether it was taken back after a pause, when its reference network was right again."""


class FarmDevice(Strict, frozen=True, kw_only=True):
    """One device of a farm."""

    name: Name
    kind: Name
    """Of hardware: devices of one kind are expected to be alike."""
    address: Text
    machine: Host | None = None
    """As its own /proc and /sys describe it."""
    calibration: Calibration | None = None
    """Its measured peaks."""
    reference_s: Samples = ()
    """What the reference network took there, session by session, in order: medians. The first ones, as many as
    `Farm.reference_sessions`, are the device's own first figures; those after them were taken at intervals."""
    set_aside: Annotated[tuple[SetAside, ...], Meta(max_length=MOST_SET_ASIDE)] = ()
    missing: TextTable = {}


class Farm(Strict, frozen=True, kw_only=True):
    """The devices of a run that measured on several."""

    reference: Name
    """The reference network."""
    reference_digest: Text | None = None
    """Of its artifact: times of another one cannot be compared."""
    reference_sessions: PositiveInt
    """How many of a device's first times are its first figures."""
    devices: Annotated[tuple[FarmDevice, ...], Meta(max_length=MOST_DEVICES)] = ()

    def device(self, name: str | None) -> FarmDevice | None:
        """Return a device by its name; None: there is none of that name."""
        return next((each for each in self.devices if each.name == name), None)

    def first_s(self, name: str) -> tuple[float, ...]:
        """Return the first figures of a device: what the reference network took in its first sessions there."""
        found = self.device(name)
        return found.reference_s[: self.reference_sessions] if found else ()
