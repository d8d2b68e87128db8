"""What stands above every benchmark's figures: the machine, its load, the versions."""

from __future__ import annotations

import os

from mbench import host


def heading() -> str:
    """Return a line about this machine."""
    machine = host.describe()
    versions = ", ".join(f"{name} {version}" for name, version in sorted(machine.versions.items()))
    virtual = f", {machine.virtual_machine}" if machine.virtual_machine else ""
    return f"{machine.cpu}{virtual}, {machine.processors_usable} processors, load {os.getloadavg()[0]:.2f}; {versions}"
