"""Where an artifact runs. A device calibrates itself and measures one artifact at a time, holding its hardware alone.

`local` measures on this machine, on its CPU or its GPU, in a worker process of its own; `emulated` checks and counts
under QEMU; `rpc` measures on a machine at the other end of TVM's RPC. Each has its opener in `OPENERS`, by kind.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from mbench.core.artifact import Artifact
from mbench.core.errors import UsageError
from mbench.core.machine_types import Calibration, Target
from mbench.core.progress import Report
from mbench.devices import local
from mbench.measure.observation import MeasurePlan, Observation


class DeviceRunner(Protocol):
    """Something that runs artifacts."""

    kind: str
    name: str

    def calibrate(self, target: Target, threads: int, report: Report) -> Calibration:
        """Measure the ceilings of the hardware."""
        ...

    def measure(self, artifact: Artifact, plan: MeasurePlan, report: Report) -> Observation:
        """Run and time an artifact.

        Raises:
            WorkerDied: the process that ran it crashed, was killed, or hung.
            MeasureError: it could not be measured.
        """
        ...

    def close(self) -> None:
        """Let the hardware go."""
        ...


def _local(target: Target, _address: str, **common: Any) -> DeviceRunner:
    if target.family == "gpu":
        from mbench.devices import gpu

        return gpu.GpuDevice(**common)
    return local.LocalDevice(**common)


def _emulated(target: Target, _address: str, **common: Any) -> DeviceRunner:
    from mbench.devices import emulated

    return emulated.EmulatedDevice(target, **common)


def _rpc(target: Target, address: str, **common: Any) -> DeviceRunner:
    from mbench.devices import rpc

    return rpc.RpcDevice(target, address, **common)


OPENERS: dict[str, Callable[..., DeviceRunner]] = {"local": _local, "emulated": _emulated, "rpc": _rpc}


def open_device(
    kind: str, target: Target, address: str = "", *, lock_dir: Path, timeout_s: float, waiting: Callable[[str], None]
) -> DeviceRunner:
    """Return a device, held exclusively until it is closed.

    Args:
        kind: one of `OPENERS`.
        target: what the artifacts are for.
        address: of an `rpc` device, as `mbench.devices.rpc.Address` reads it.
        lock_dir: where locks and logs lie.
        timeout_s: bounds the silence of what runs there.
        waiting: is told what takes long before it is open.

    Raises:
        UsageError: the kind is not known, or this machine lacks something that the device needs.
    """
    if kind not in OPENERS:
        raise UsageError(f"device {kind!r} is not known; expected one of: {', '.join(OPENERS)}")
    return OPENERS[kind](target, address, lock_dir=lock_dir, timeout_s=timeout_s, waiting=waiting)
