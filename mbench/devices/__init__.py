"""Where an artifact runs. A device measures one artifact at a time, holding its hardware alone; see `protocols`.

`local` measures on this machine, on its CPU or its GPU, in a worker process of its own; `emulated` checks and counts
under QEMU; `rpc` measures on a machine at the other end of TVM's RPC. Each has its opener in `OPENERS`, by kind.
Other packages add kinds by entry points. A farm is several boards at once: see `farm`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from mbench.core import plugins
from mbench.core.errors import UsageError
from mbench.core.machine_types import Target
from mbench.core.progress import Note
from mbench.devices import local
from mbench.devices.protocols import DeviceRunner
from mbench.hardware import device_kinds, platforms


def _local(target: Target, _address: str, **common: Any) -> DeviceRunner:
    if platforms.of(target).on_host:
        return local.LocalDevice(**common)
    from mbench.devices import gpu

    return gpu.GpuDevice(**common)


def _emulated(target: Target, _address: str, **common: Any) -> DeviceRunner:
    from mbench.devices import emulated

    return emulated.EmulatedDevice(target, **common)


def _rpc(target: Target, address: str, **common: Any) -> DeviceRunner:
    from mbench.devices import rpc

    return rpc.RpcDevice(target, address, **common)


OPENERS: dict[str, Callable[..., DeviceRunner]] = {"local": _local, "emulated": _emulated, "rpc": _rpc}


def open_device(
    kind: str, target: Target, address: str = "", *, lock_dir: Path, timeout_s: float, waiting: Note
) -> DeviceRunner:
    """Return a device, held exclusively until it is closed.

    Args:
        kind: one of `OPENERS`, or of those that other packages add by entry points of the group `mbench.devices`.
        target: what the artifacts are for.
        address: of an `rpc` device, as `mbench.devices.rpc.Address` reads it.
        lock_dir: where locks and logs lie.
        timeout_s: bounds the silence of what runs there.
        waiting: called with a line about what takes long before it is open.

    Raises:
        UsageError: the kind is not known, or this machine lacks something that the device needs.
        PluginError: the package that adds the kind is broken, or two add it.
    """
    common: dict[str, Any] = {"lock_dir": lock_dir, "timeout_s": timeout_s, "waiting": waiting}
    entry = plugins.find(plugins.DEVICES, kind, OPENERS)
    if entry is not None:
        opened = device_kinds.added(entry).open(target, address, **common)
        if not isinstance(opened, DeviceRunner):
            raise entry.refuse(f"it opened {type(opened).__name__}, expected an object with name, measure and close")
        return opened
    if kind not in OPENERS:
        known = (*OPENERS, *plugins.names(plugins.DEVICES))
        raise UsageError(f"device {kind!r} is not known; expected one of: {', '.join(known)}")
    return OPENERS[kind](target, address, **common)
