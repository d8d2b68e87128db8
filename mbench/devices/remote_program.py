"""An artifact loaded and ready to run at the other end of a line. The clocks are those of the device."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import numpy as np
import tvm
from tvm.runtime.vm import VirtualMachine

from mbench.core.artifact import ENTRY, Artifact
from mbench.devices import answers
from mbench.measure.program import Events, Instrument, arrays, entries

if TYPE_CHECKING:
    from mbench.devices.line import Line

_INVOKE = "invoke_stateful"
"""Runs an entry whose inputs are at the other end already: tensors cannot be arguments of functions over a line."""

_ALONE = -1
"""TVM's number of outputs where what is given is no tuple."""


class Looped(msgspec.Struct, frozen=True):
    """What a device saw while it ran a network again and again."""

    runs: Annotated[int, msgspec.Meta(ge=1, le=1 << 40)]
    window_s: Annotated[float, msgspec.Meta(gt=0, le=86400)]
    samples: dict[str, list[tuple[float, Annotated[int, msgspec.Meta(ge=-(1 << 62), le=1 << 62)]]]]
    """By sensor, pairs of seconds since the beginning and what it read."""


class RemoteProgram:
    """One copy of an artifact's program and weights on a device; the library was uploaded there before."""

    def __init__(self, line: Line, loaded: Artifact) -> None:
        self.artifact = loaded
        self.device = line.remote.cpu()
        self._line = line
        self.vm = VirtualMachine(line.remote.load_module(loaded.library.name), self.device)
        values, self.expected = entries(loaded)
        for entry, given in values.items():
            tensors = (tvm.runtime.tensor(np.asarray(value, order="C"), self.device) for value in given)
            self.vm.set_input(entry, *tensors)

    def run(self) -> tuple[np.ndarray, ...]:
        """Run once; return the outputs.

        Raises:
            MeasureError: there are more or fewer than expected, or one is much larger.
        """
        self.vm.invoke_stateful(ENTRY)
        wanted, where = self.expected.outputs, self._line.address
        given = int(self.vm.module["get_output_arity"](ENTRY))  # before they are fetched one by one; -1: one alone
        if given != (len(wanted) if len(wanted) > 1 else _ALONE):
            raise answers.unusable(where, f"{'one' if given == _ALONE else given} of {len(wanted)} outputs")
        outputs = self.vm.get_outputs(ENTRY)
        outputs = (outputs,) if given == _ALONE else outputs
        for output, expected in zip(outputs, wanted, strict=True):
            answers.check_shape(tuple(output.shape), expected.shape, where)
        return arrays(outputs)

    def timer(self, *, number: int, repeat: int, entry: str = ENTRY) -> Callable[[], tuple[float, ...]]:
        """Return a function that runs 1 + number x repeat times and returns `repeat` means, in seconds.

        The clock is that of the runtime on the device; the first run is thrown away. Source: vm.time_evaluator.
        """
        evaluate = self.vm.time_evaluator(_INVOKE, self.device, number=number, repeat=repeat)
        return lambda: answers.times(evaluate(entry).results, repeat, self._line.address)

    def instrument(self) -> Instrument:
        """Set an instrument that lives on the device; only mbench's server has one."""
        return _LayerTimer(self.vm, self._line)

    def loop(self, window_s: float, sensors: tuple[str, ...]) -> Looped:
        """Run the network for a window on the device, reading sensors meanwhile; only mbench's server can.

        Raises:
            MeasureError: the answer is something else, or of other sensors.
        """
        where, answer = (
            self._line.address,
            self._line.call("mbench.loop", self.vm.module, ENTRY, window_s, "\n".join(sensors)),
        )
        looped = answers.decode(answer, Looped, where, "what its sensors read")
        if set(looped.samples) != set(sensors):
            raise answers.unusable(where, "sensors that were not asked for")
        return looped


class _LayerTimer:
    """`mbench.layer_timer` of the server: a Python callback cannot cross the line."""

    def __init__(self, vm: Any, line: Line) -> None:
        self._vm, self._line = vm, line
        vm.set_instrument("mbench.layer_timer")

    def run(self, entry: str) -> Events:
        self._vm.invoke_stateful(entry)
        where, answer = self._line.address, self._line.call("mbench.layer_times")
        events = answers.decode(answer, list[tuple[str, float]], where, "the times of layers")
        answers.times([seconds for _, seconds in events], len(events), where)
        return [(answers.plain(name), seconds) for name, seconds in events]

    def remove(self) -> None:
        self._vm.set_instrument("mbench.no_timer")
