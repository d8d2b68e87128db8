"""What differs between platforms: one object for each, so that no other module asks for a target's family.

A platform states facts (what its code runs on, what can be done with it); what follows from them is decided by those
who ask. Imports neither tvm nor torch.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Literal, NamedTuple

from mbench.core import dtypes
from mbench.core.field_types import MOST_THREADS, TargetFamily
from mbench.core.machine_types import Gpu, Host, Target
from mbench.hardware import gpus, half_sums


class ThreadLimit(NamedTuple):
    """How many threads a run may have: at most, by default, and of what, in words."""

    most: int
    default: int
    where: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Platform:
    """The facts of a family of targets."""

    words: str
    """For sentences; a hyphen is one that does not break."""
    listed: str
    """The heading of such targets in a list: what each of them is."""
    processor: Literal["cpu", "gpu"]
    """What executes the kernels: it decides which rules make them, and which jobs measure and tune them."""
    dtypes: Mapping[str, tuple[str, ...]]
    """Types that networks may have there, each with the features that it needs of a processor, as in `requires`."""
    code_key: Literal["mcpu", "arch"]
    """The key of a target's `tvm` that names what code is made for."""
    on_host: bool
    """Whether the processor is the host's own; else a device beside it, which the host's threads only feed."""
    detect: Callable[[], Gpu | None]
    """Returns the device of this machine; None where there is none, or where the host itself is the processor."""
    broadcasts_from_memory: bool
    """Whether an element is broadcast as it is loaded, or multiplied by as a lane of a register."""
    peaks: Literal["cpu_peaks", "gpu_peaks"]
    """The module of `mbench.measure` that measures its peak FLOP/s and bandwidths."""
    counted: str | None
    """The target whose code `--counts` counts on such machines, whatever their own level is; None: none can be."""
    over_rpc: bool
    """Whether it can be at the other end of TVM's RPC."""
    duels: bool
    """Whether two artifacts can be timed in turns in one process."""
    deep_tuning: bool
    """Whether MetaSchedule can search its kernels."""
    caches_last: bool
    """Whether the first caches keep from one kernel to the next what the next one needs."""
    own_memory: bool
    """Whether what a network takes of the device's memory is measured."""
    meters_layers: bool
    """Whether the energy of each layer can be metered."""
    ships_source: bool
    """Whether the library holds source that is compiled where it is loaded."""

    def types(self, target: Target) -> tuple[str, ...]:
        """Return the types that networks may have on a target of this platform."""
        return tuple(dtype for dtype in self.dtypes if not self.lacking(dtype, target))

    def lacking(self, dtype: str, target: Target) -> tuple[str, ...]:
        """Return what a type of this platform needs and a target of it does not have."""
        return tuple(feature for feature in self.dtypes[dtype] if feature not in target.processor.requires)

    def threads(self, target: Target, machine: Host) -> ThreadLimit:
        """Return how many threads a run on this machine may have."""
        if not self.on_host:
            return of_target(target)
        return of_machine(machine)


def of_machine(machine: Host) -> ThreadLimit:
    """Return how many threads may run on this machine: by default one for each core, within its processor quota."""
    most = min(machine.processors_usable or machine.cores_logical, MOST_THREADS)
    return ThreadLimit(most, machine.within_quota(min(most, machine.cores_usable or most)), "this machine")


def over_quota(threads: int, machine: Host) -> str | None:
    """Return what to know of so many threads on this machine: that its processor quota holds them back, if it does."""
    allowed = machine.processors_quota
    if allowed is None or threads <= allowed:
        return None
    held = f"{threads} threads" if threads > 1 else "1 thread"
    return f"the quota of {allowed:g} processors will hold back {held}, and times will be longer; see 'mbench doctor'"


def of_target(target: Target) -> ThreadLimit:
    """Return how many threads a target itself stands for."""
    return ThreadLimit(target.threads, target.threads, f"target '{target.name}'")


def _found() -> Gpu | None:
    return gpus.found()


_X86 = Platform(
    words="x86\u201164",
    listed="Levels of x86-64",
    processor="cpu",
    dtypes={dtypes.DEFAULT: (), dtypes.INT8: (), dtypes.BFLOAT16: ("avx512_bf16", "avx512bw", "avx512vl")},
    code_key="mcpu",
    on_host=True,
    detect=lambda: None,
    broadcasts_from_memory=True,
    peaks="cpu_peaks",
    counted="x86_64_v3",
    over_rpc=True,
    duels=True,
    deep_tuning=True,
    caches_last=True,
    own_memory=False,
    meters_layers=False,
    ships_source=False,
)
PLATFORMS: dict[TargetFamily, Platform] = {
    "arm": dataclasses.replace(
        _X86,
        words="arm64",
        listed="Arm cores",
        dtypes={dtypes.DEFAULT: (), half_sums.TYPE: (half_sums.FEATURE,), dtypes.INT8: ()},
        broadcasts_from_memory=False,
        counted="arm64_cortex_a72",
    ),
    "x86": _X86,
    "gpu": Platform(
        words="GPU",
        listed="GPUs",
        processor="gpu",
        dtypes={"float32": (), "float16": (), dtypes.INT8: ()},
        code_key="arch",
        on_host=False,
        detect=_found,
        broadcasts_from_memory=False,
        peaks="gpu_peaks",
        counted=None,
        over_rpc=False,
        duels=False,
        deep_tuning=False,
        caches_last=False,
        own_memory=True,
        meters_layers=True,
        ships_source=True,
    ),
}
"""By the family that a target's description names."""


def of(target: Target) -> Platform:
    """Return the platform of a target."""
    return PLATFORMS[target.family]
