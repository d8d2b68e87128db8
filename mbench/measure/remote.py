"""An artifact loaded and ready to run at the other end of a line. The clocks are those of the device."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import tvm
from tvm.runtime.vm import VirtualMachine

from mbench.artifact import ENTRY, Artifact
from mbench.measure.session import Events, Instrument, entries

if TYPE_CHECKING:
    from mbench.devices.line import Line

_INVOKE = "invoke_stateful"
"""Runs an entry whose input is at the other end already: tensors cannot be arguments of functions over a line."""


class RemoteSession:
    """One copy of an artifact's program and weights on a device; the library was uploaded there before."""

    def __init__(self, line: Line, loaded: Artifact) -> None:
        self.artifact = loaded
        self.device = line.remote.cpu()
        self._line = line
        self.vm = VirtualMachine(line.remote.load_module(loaded.library.name), self.device)
        values, self.expected = entries(loaded)
        for entry, value in values.items():
            self.vm.set_input(entry, tvm.runtime.tensor(np.ascontiguousarray(value), self.device))

    def run(self) -> np.ndarray:
        """Run once; return the output (N, 1000)."""
        self.vm.invoke_stateful(ENTRY)
        return np.asarray(self.vm.get_outputs(ENTRY).numpy())

    def timer(self, *, number: int, repeat: int, entry: str = ENTRY) -> Callable[[], tuple[float, ...]]:
        """Return a function that runs 1 + number x repeat times and returns `repeat` means, in seconds.

        The clock is that of the runtime on the device; the first run is thrown away. Source: vm.time_evaluator.
        """
        evaluate = self.vm.time_evaluator(_INVOKE, self.device, number=number, repeat=repeat)
        return lambda: tuple(float(seconds) for seconds in evaluate(entry).results)

    def instrument(self) -> Instrument:
        """Set an instrument that lives on the device; only mbench's server has one."""
        return _LayerTimer(self.vm, self._line)

    def loop(self, window_s: float, sensors: tuple[str, ...]) -> dict[str, Any]:
        """Run the network for a window on the device, reading sensors meanwhile; only mbench's server can.

        Returns:
            `runs`, `window_s`, and `samples`: by sensor, pairs of seconds since the beginning and what it read.
        """
        answer: dict[str, Any] = json.loads(
            self._line.call("mbench.loop", self.vm.module, ENTRY, window_s, "\n".join(sensors))
        )
        return answer


class _LayerTimer:
    """`mbench.layer_timer` of the server: a Python callback cannot cross the line."""

    def __init__(self, vm: Any, line: Line) -> None:
        self._vm, self._line = vm, line
        vm.set_instrument("mbench.layer_timer")

    def run(self, entry: str) -> Events:
        self._vm.invoke_stateful(entry)
        return [(str(name), float(seconds)) for name, seconds in json.loads(self._line.call("mbench.layer_times"))]

    def remove(self) -> None:
        self._vm.set_instrument("mbench.no_timer")
