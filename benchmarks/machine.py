"""What stands above every benchmark's figures: the machine, its load, the versions."""

from __future__ import annotations

import os

from mbench.core import units
from mbench.hardware import gpus, host


def heading() -> str:
    """Return a line about this machine."""
    machine = host.describe()
    versions = ", ".join(f"{name} {version}" for name, version in sorted(machine.versions.items()))
    virtual = f", {machine.virtual_machine}" if machine.virtual_machine else ""
    return f"{machine.cpu}{virtual}, {machine.processors_usable} processors, load {os.getloadavg()[0]:.2f}; {versions}"


def name(*, gpu: bool = False) -> str:
    """Return what this machine is, without its load and versions."""
    found = gpus.found() if gpu else None
    machine = host.describe()
    return found.name if found else f"{machine.cpu}, {machine.processors_usable} processors"


def gpu_heading() -> str:
    """Return a line about this machine's GPU and its driver, and one about the machine."""
    gpu, compiler = gpus.found(), gpus.toolkit()
    if gpu is None:
        return heading()
    limit = "" if gpu.power_limit_w is None else f", power limit {gpu.power_limit_w:g} W"
    memory = "" if gpu.memory_bytes is None else f", {units.data_size(gpu.memory_bytes)}"
    nvcc = f", nvcc {compiler.release}" if compiler else ""
    return f"{gpu.name} ({gpu.arch}{memory}{limit}), driver {gpu.driver}{nvcc}\n{heading()}"
