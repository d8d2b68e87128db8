"""A run as it was asked for: what to measure, on what, and where to write."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import msgspec

from mbench import gpus, host, targets, tuned
from mbench.builds import TIMEOUT_S
from mbench.devices import emulation
from mbench.errors import UsageError
from mbench.records import DeviceKind, Host, Record, Settings, Target
from mbench.tuned import Choices

COUNTED = {"x86": "x86_64_v3", "arm": "arm64_cortex_a72"}
"""What `--counts` counts on machines of an architecture, whatever their own level is."""


class Progress(Protocol):
    """Is told what the run is doing."""

    def stage(self, variant: str, stage: str, fraction: float) -> None:
        """`variant` is at `stage`, `fraction` of it done (0 to 1)."""
        ...

    def note(self, text: str) -> None:
        """Say something to the user."""
        ...


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """A run: what to measure, on what, and where to write."""

    target: Target
    host: Host
    device: DeviceKind
    device_name: str = ""
    """What the record calls the device; by default its kind."""
    address: str = ""
    """Of an `rpc` device."""
    settings: Settings
    path: Path
    """The record file."""
    counted: Target | None = None
    """The target whose code is counted in emulation beside what is measured."""
    use_cache: bool = True
    build_timeout_s: float = TIMEOUT_S
    """How long one build may take."""
    keep_artifacts: bool = False
    """Whether the artifacts are copied to a folder beside the record."""
    choices: Choices = tuned.NONE
    """How kernels are made that were tuned."""
    before: Record | None = None
    """The record to go on with."""

    @property
    def target_as_run(self) -> Target:
        """The target with the caches and cores of what executes it."""
        return as_run_here(self.target, self.host) if self.device == "local" else self.target


def counted_target(target: Target, device: DeviceKind) -> Target | None:
    """Return the target whose code `--counts` counts in emulation; None where the run itself is emulated and counts.

    For a board it is the target itself; for this machine the one that all machines of its architecture can be compared
    by.

    Raises:
        UsageError: nothing is run, or this machine cannot emulate it.
    """
    if device == "emulated":
        return None
    if device == "none":
        raise UsageError("--counts needs a run; leave out --compile-only")
    if target.family == "gpu":
        raise UsageError(f"--counts: only CPUs' code can be counted; leave it out for target '{target.name}'")
    counted = target if device == "rpc" else targets.load(COUNTED[target.family])
    emulation.check(counted)
    return counted


def as_run_here(target: Target, machine: Host) -> Target:
    """Return a target with the caches, cores and static power of the machine that executes it.

    A target's own are its reference machine's. Static power of this one is not known, unless the target is `host`.
    """
    if target.family == "gpu":
        return gpus.as_found(target, gpus.found())
    tvm = target.tvm
    here = host.target(machine, triple=str(tvm["mtriple"]), mcpu=str(tvm["mcpu"])).processor
    processor = msgspec.structs.replace(
        target.processor, cores=here.cores, frequency_hz=here.frequency_hz, l1d=here.l1d, l2=here.l2, l3=here.l3
    )
    energy = target.energy
    if energy is not None and target.name != "host":
        energy = msgspec.structs.replace(energy, static_w=None)
    return msgspec.structs.replace(target, processor=processor, energy=energy)
