"""An artifact on an NVIDIA GPU: loaded, timed layer by layer by device events, its energy metered through NVML.

CUDA's own runtime is loaded before TVM's, which needs it; so this module imports tvm only when a program is made.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

from mbench.core.artifact import CALIBRATION_GRAPH_ENTRY, ENTRY
from mbench.core.machine_types import Conditions, GpuConditions
from mbench.core.progress import Fraction
from mbench.core.records import MeteredEnergy
from mbench.hardware import cudart, host, nvml
from mbench.measure import events, latency

if TYPE_CHECKING:
    from mbench.core.artifact import Artifact
    from mbench.measure.program import LocalProgram

MEMORY_METHOD = (
    "weights, activations and workspace: planned by the compiler; process peak: largest resident set of the worker "
    "process on the host, TVM's compiler and CUDA included (VmHWM); device: by how much the GPU's free memory fell "
    "when the network was loaded and run once (cudaMemGetInfo), CUDA's own part of the process not included"
)
ENERGY_METHOD = (
    "measured: NVML's energy counter of the whole board, from one of its steps to another, the network looped without "
    "pauses, idle power included"
)
LAYER_ENERGY_METHOD = (
    "measured: NVML's energy counter of the whole board, from one of its steps to another, the layer's kernels looped "
    "alone, on data that L2 may hold, idle power included; where a kernel is shorter than its launch, so is the power "
    "of waiting for it: the window over the runs is what one took"
)
_WINDOW_S = 2.0
"""The counter moves every 10 to 100 ms; between two of its steps the error is that of reading the clock."""
_LAYER_WINDOW_S = 0.5
_IDLE_S = 1.0
_STUCK_S = 5.0
_BURST_S = 5e-3
_SHORTEST_S = 2e-6


class Board:
    """The GPU as its driver reports it; where it reports nothing, the reason."""

    def __init__(self, open_device: Callable[[], nvml.NvmlDevice] = nvml.open_device) -> None:
        self.device: nvml.NvmlDevice | None = None
        self.reason = ""
        try:
            self.device = open_device()
        except nvml.NotReported as error:
            self.reason = str(error)

    def conditions(self) -> Conditions:
        """Return what host and GPU are doing now.

        Raises:
            DeviceLost: the GPU is gone.
        """
        fields = (name for name in GpuConditions.__struct_fields__ if name != "missing")
        untold = GpuConditions(missing=dict.fromkeys(fields, self.reason))
        return host.conditions(gpu=self.device.conditions() if self.device else untold)

    def energy(
        self,
        launch: Callable[[], object],
        wait: Callable[[], object],
        *,
        run_s: float,
        clock: Callable[[], float] = time.perf_counter,
        sleep: Callable[[float], object] = time.sleep,
    ) -> MeteredEnergy | str:
        """Return the energy of one run, with the idle power before, or why it could not be had.

        Args:
            launch: runs once, without waiting for the device.
            wait: waits for the device.
            run_s: about how long a run takes.
            clock: in seconds.
            sleep: waits so many seconds.

        Raises:
            DeviceLost: the GPU is gone.
        """
        if self.device is None:
            return self.reason
        try:
            at, before = clock(), self.device.energy_j()
            sleep(_IDLE_S)
            idle_w = (self.device.energy_j() - before) / (clock() - at)
            seen = _metered(_burst(launch, wait, run_s), self.device.energy_j, clock, _WINDOW_S, ENERGY_METHOD)
        except nvml.NotReported as error:
            return str(error)
        return msgspec.structs.replace(seen, idle_w=idle_w)

    def layer_energy(
        self,
        layers: Sequence[Callable[[], object]],
        wait: Callable[[], object],
        *,
        runs_s: Sequence[float],
        progress: Fraction = lambda _: None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> tuple[MeteredEnergy, ...] | str:
        """Return the energy of each layer looped alone, or why it could not be had.

        Args:
            layers: each runs once, without waiting for the device.
            wait: waits for the device.
            runs_s: about how long each takes.
            progress: called with the share that is done.
            clock: in seconds.

        Raises:
            DeviceLost: the GPU is gone.
        """
        if self.device is None:
            return self.reason
        seen: list[MeteredEnergy] = []
        for launch, run_s in zip(layers, runs_s, strict=True):
            progress(len(seen) / len(layers))
            runs = _burst(launch, wait, run_s)
            try:
                seen.append(_metered(runs, self.device.energy_j, clock, _LAYER_WINDOW_S, LAYER_ENERGY_METHOD))
            except nvml.NotReported as error:
                return str(error)
        return tuple(seen)


def _burst(launch: Callable[[], object], wait: Callable[[], object], run_s: float) -> Callable[[], int]:
    """Return what runs some milliseconds of runs, waits for the device, and says how many it did."""
    number = max(1, int(_BURST_S / max(run_s, _SHORTEST_S)))

    def runs() -> int:
        for _ in range(number):
            launch()
        wait()
        return number

    return runs


def _metered(
    runs: Callable[[], int],
    energy_j: Callable[[], float],
    clock: Callable[[], float],
    window_s: float,
    method: str,
) -> MeteredEnergy:
    """Loop `runs`, which returns how many it did, from a step of the counter to the first after the window.

    Raises:
        NotReported: there is no counter, or it stands still.
    """
    stuck = nvml.NotReported(f"NVML's energy counter did not move in {_STUCK_S:g} s of work")
    first, start = energy_j(), clock()
    while (begin_j := energy_j()) == first:
        runs()
        if clock() - start > _STUCK_S:
            raise stuck
    start, done, last, now = clock(), 0, begin_j, 0.0
    while last == begin_j or now - start < window_s:
        done += runs()
        at, now_j = clock(), energy_j()
        if now_j != last:
            last, now, counted = now_j, at, done
        elif at - max(start, now) > _STUCK_S:
            raise stuck
    return MeteredEnergy(energy_j=(last - begin_j) / counted, method=method, window_s=now - start, runs=counted)


def program(loaded: Artifact, stream: cudart.Runtime) -> LocalProgram:
    """Return an artifact loaded onto CUDA's device 0, with an instrument that puts events into the stream."""
    import tvm

    from mbench.measure.program import LocalProgram

    return LocalProgram(loaded, tvm.cuda(0), partial(events.EventInstrument, stream=stream))


def layers(
    timed: LocalProgram,
    stream: cudart.Stream,
    *,
    repeat: int,
    max_s: float | None,
    whole_s: tuple[float, ...],
    progress: Fraction,
) -> dict[str, Any]:
    """Return what `Observation` holds of the layers and of the launch gap, or why they could not be had."""
    try:
        calls_s, _, cost_s = latency.layers(
            timed, repeat=repeat, max_s=max_s, progress=progress, chain_s=lambda _: _chain_s(timed, stream)
        )
        queued = events.queued_s(timed.launch, stream, repeat=len(calls_s[0]))
    except events.NotQueued as error:
        return {"missing": str(error)}
    gaps = events.launch_gaps_s(whole_s, queued)
    return {
        "calls_s": calls_s,
        "overhead_s": gaps,
        "instrument_cost_s": cost_s,
        "time_balance_method": events.TIME_BALANCE_METHOD,
    }


def _chain_s(timed: LocalProgram, stream: cudart.Stream) -> float:
    """Return the device's seconds of the instrument's calibration without it, in a CUDA graph like the network."""
    launch = partial(timed.launch, CALIBRATION_GRAPH_ENTRY)
    launch()  # captured
    return statistics.median(events.queued_s(launch, stream, repeat=latency.CALIBRATION_RUNS))


def layers_alone(
    loaded: LocalProgram, calls_s: Sequence[Sequence[float]]
) -> tuple[list[Callable[[], object]], list[float]]:
    """Return what runs each layer of the network alone, and about how long each takes.

    Args:
        loaded: the network, which is run once for this.
        calls_s: seconds of each kernel call, in order.
    """
    kernels = events.kernel_calls(loaded.vm, partial(loaded.launch, ENTRY))
    manifest = loaded.artifact.manifest
    groups: list[list[int]] = [[] for _ in manifest.layers]
    for number, (_, layer) in enumerate(manifest.calls):
        groups[layer].append(number)

    def run(numbers: list[int]) -> None:
        for number in numbers:
            kernels[number]()

    runs_s = [sum(statistics.median(calls_s[number]) for number in numbers) for numbers in groups]
    return [partial(run, numbers) for numbers in groups], runs_s
