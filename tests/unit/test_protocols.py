"""Which device can do what."""

from __future__ import annotations

from mbench.devices.emulated import EmulatedDevice
from mbench.devices.gpu import GpuDevice
from mbench.devices.local import LocalDevice
from mbench.devices.process import WorkerDevice
from mbench.devices.protocols import Calibrator, Sustains
from mbench.devices.rpc import RpcDevice

DEVICES = {LocalDevice, GpuDevice, EmulatedDevice, RpcDevice}


def test_devices_share_one_base_and_implement_what_they_can() -> None:
    assert all(device.__bases__ == (WorkerDevice,) for device in DEVICES)
    assert {device for device in DEVICES if issubclass_of_methods(device, Calibrator)} == DEVICES - {EmulatedDevice}
    assert {device for device in DEVICES if issubclass_of_methods(device, Sustains)} == DEVICES - {EmulatedDevice}
    assert {device for device in DEVICES if hasattr(device, "duel")} == {LocalDevice}
    assert {device for device in DEVICES if hasattr(device, "emulator")} == {EmulatedDevice}


def issubclass_of_methods(device: type, protocol: type) -> bool:
    """Return whether a class has the methods of a protocol; `issubclass` refuses those that have attributes too."""
    methods = {name for name, value in vars(protocol).items() if callable(value) and not name.startswith("_")}
    return bool(methods) and all(callable(getattr(device, name, None)) for name in methods)
