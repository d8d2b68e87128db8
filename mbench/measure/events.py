"""Layers on a GPU by events of the device, with the device held back until all of a run is queued.

A GPU's kernels can take less time than the host needs to launch them: then events around a kernel would show the host.
So the device is let wait at the beginning (`Stream.hold`) while the host queues the whole run, and then goes through it
without waiting for anybody: the events around each kernel show the device alone. What a run takes longer when the
device is not held back is the launch gap.

Method: that of NVIDIA's nvbench (blocking kernel), without a kernel.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

from mbench.core.errors import MeasureError
from mbench.hardware.cudart import Stream

_T = TypeVar("_T")

METHOD = (
    "one run a sample, between two events of the device (CUDA events), launches included, as a CUDA graph where the "
    "library has one; several fresh processes, each warmed up"
)
TIME_BALANCE_METHOD = (
    "layers: device events around each kernel, the device held back until the run was queued; the event overhead is "
    "subtracted from each: a no-op kernel's event reading minus its time within a queued CUDA graph of such kernels; "
    "overhead: the launch gap, the extra time of a run when the device is not held back and waits for the host; "
    "unattributed: the queued run minus the sum of its layers"
)
_FIRST_HOLD_S = 2e-3
_MARGIN = 2.0
_LONGEST_HOLD_S = 0.9
"""usleep need not take a second or more."""
_TRIES = 6
_BUILTIN = "vm.builtin."


class NotQueued(MeasureError):
    """The host waits for the device in the middle of a run, so that no run can be queued whole."""


class Queue:
    """Queues work while the device waits, longer each time that the host was not done before."""

    def __init__(self, stream: Stream, clock: Callable[[], float] = time.perf_counter) -> None:
        self._stream, self._clock = stream, clock
        self._hold_s = _FIRST_HOLD_S

    def whole(self, work: Callable[[], _T], discard: Callable[[_T], None]) -> _T:
        """Return what `work`, which queues and does not wait, returned when it was done before the device began.

        Args:
            work: queues.
            discard: called with what `work` returned when it was not.

        Raises:
            NotQueued: it never is.
        """
        for _ in range(_TRIES):
            self._stream.wait()
            start = self._clock()
            self._stream.hold(self._hold_s)
            answer = work()
            took_s = self._clock() - start
            self._stream.wait()
            if took_s < self._hold_s:
                return answer
            discard(answer)
            self._hold_s = min(_MARGIN * max(took_s, self._hold_s), _LONGEST_HOLD_S)
        raise NotQueued(f"the host was not done queuing a run in {took_s:.3g} s, for which the device was held back")

    def seconds(self, launch: Callable[[], object]) -> float:
        """Return the device's seconds of what `launch` queues.

        Raises:
            NotQueued: it waits for the device in the middle.
        """

        def work() -> tuple[Any, Any]:
            start = self._stream.record()
            launch()
            return start, self._stream.record()

        def free(pair: tuple[Any, Any]) -> None:
            for event in pair:
                self._stream.free(event)

        pair = self.whole(work, free)
        seconds = self._stream.seconds(*pair)
        free(pair)
        return seconds


class EventInstrument:
    """Puts an event before and after each kernel that the VM calls. Source: VirtualMachine.set_instrument."""

    def __init__(self, vm: Any, inputs: Mapping[str, tuple[Any, ...]], stream: Stream) -> None:
        self._vm, self._inputs, self._stream = vm, inputs, stream
        self._queue = Queue(stream)
        self._marks: list[tuple[str, Any]] = []
        vm.set_instrument(self._mark)

    def _mark(self, _function: Any, name: str, _before: bool, _result: Any, *_arguments: Any) -> int:
        if not name.startswith(_BUILTIN):
            self._marks.append((name, self._stream.record()))
        return 0

    def _run(self, entry: str) -> list[tuple[str, Any]]:
        self._marks = []
        self._vm[entry](*self._inputs[entry])
        return self._marks

    def run(self, entry: str) -> list[tuple[str, float]]:
        """Run an entry of the program once; return its kernels with the device's seconds.

        Raises:
            NotQueued: the run waits for the device in the middle.
        """
        marks = self._queue.whole(lambda: self._run(entry), self._free)
        pairs = zip(marks[::2], marks[1::2], strict=True)
        events = [(name, self._stream.seconds(start, stop)) for (name, start), (_, stop) in pairs]
        self._free(marks)
        return events

    def _free(self, marks: Sequence[tuple[str, Any]]) -> None:
        for _, event in marks:
            self._stream.free(event)

    def remove(self) -> None:
        """Replace the instrument by a no-op: TVM's VM cannot remove one."""
        self._vm.set_instrument(lambda *_: 0)


def kernel_calls(vm: Any, run: Callable[[], object]) -> list[Callable[[], object]]:
    """Return what calls each kernel of a run again, in order, alone and with what it was given; it keeps the memory."""
    calls: list[Callable[[], object]] = []

    def keep(function: Any, name: str, before: bool, _result: Any, *arguments: Any) -> int:
        if before and not name.startswith(_BUILTIN):
            calls.append(partial(function, *arguments))
        return 0

    vm.set_instrument(keep)
    run()
    vm.set_instrument(lambda *_: 0)
    return calls


def queued_s(launch: Callable[[], object], stream: Stream, *, repeat: int) -> tuple[float, ...]:
    """Return the device's seconds of `repeat` runs, each queued whole before the device begins.

    Args:
        launch: runs once, without waiting for the device.
        stream: that it launches on.
        repeat: how often.

    Raises:
        NotQueued: a run waits for the device in the middle.
    """
    queue = Queue(stream)
    return tuple(queue.seconds(launch) for _ in range(repeat))


def launch_gaps_s(whole_s: Sequence[float], queued: Sequence[float]) -> tuple[float, ...]:
    """Return by how much plain runs are longer than queued ones, a sample a queued run; never less than nothing."""
    plain = statistics.median(whole_s)
    return tuple(max(0.0, plain - seconds) for seconds in queued)
