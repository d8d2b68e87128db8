"""The other side of a device: a process that loads compiled code, runs it and answers over a pipe.

Messages: ("stage", name, fraction), then ("done", answer) or ("error", message). Whatever the compiled code or the
runtime prints goes to a log file, never into the messages.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from mbench.core import processes, system_limits
from mbench.core.errors import MbenchError, MeasureError
from mbench.core.machine_types import Calibration, Target
from mbench.core.progress import Report
from mbench.measure.duel import Bout, DuelPlan
from mbench.measure.observation import MeasurePlan, Observation, PaceLoops
from mbench.measure.sustain import SustainedRun, SustainPlan

if TYPE_CHECKING:
    from mbench.devices.emulation import EmulatedMachine
    from mbench.measure.pace import Pace
    from mbench.measure.program import LocalProgram

_REPORT_INTERVAL_S = 0.5


def main(pipe: Connection, log: str, threads: int, job: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    """Run one job and send its answer."""
    processes.become_quiet_child(log)
    os.environ["TVM_NUM_THREADS"] = str(threads)
    processes.without_torch()
    try:
        answer = job(_sparing(pipe), *arguments)
    except MbenchError as error:
        pipe.send(("error", str(error)))
    except Exception as error:  # noqa: BLE001 - whatever it is, it becomes this variant's failure; the log has the rest
        import traceback

        traceback.print_exc()
        pipe.send(("error", system_limits.reason(error)))
    else:
        pipe.send(("done", answer))


def _sparing(pipe: Connection) -> Report:
    """Return what sends a new stage at once, and how far it is twice a second: each message wakes the parent."""
    last_stage, last_s = "", 0.0

    def send(stage: str, fraction: float) -> None:
        nonlocal last_stage, last_s
        now = time.monotonic()
        if stage != last_stage or now - last_s >= _REPORT_INTERVAL_S:
            last_stage, last_s = stage, now
            pipe.send(("stage", stage, fraction))

    return send


def calibrate(send: Report, target: Target, threads: int) -> Calibration:
    """Job: measure the peaks of this machine."""
    send("calibrating", 0.0)
    from mbench.measure import cpu_peaks, program

    program.use_threads(threads)
    return cpu_peaks.calibrate(target, threads, progress=lambda fraction: send("calibrating", fraction))


def calibrate_type(send: Report, target: Target, threads: int, dtype: str) -> Calibration:
    """Job: measure the peak of this machine in multiply-adds of a type."""
    send("calibrating", 0.0)
    from mbench.measure import program, type_peaks

    program.use_threads(threads)
    return type_peaks.calibrate(target, threads, dtype, progress=lambda fraction: send("calibrating", fraction))


def measure(send: Report, folder: Path, plan: MeasurePlan) -> Observation:
    """Job: check an artifact's numerics, then time it."""
    _without_the_compiler()
    send("loading", 0.0)
    from mbench.core import artifact
    from mbench.hardware import host
    from mbench.measure import activity, latency, layout, memory, numerics, program

    seen: dict[str, Any] = {"threads": program.use_threads(plan.threads), "affinity": program.affinity()}
    seen["memory_offset"] = layout.move_heap(plan.memory_offset)
    loaded, start = artifact.load(folder), time.perf_counter()
    net = program.LocalProgram(loaded)
    seen["load_s"], start = time.perf_counter() - start, time.perf_counter()
    outputs = net.run()
    seen["first_s"] = time.perf_counter() - start
    send("checking", 0.0)
    seen["numerics"] = numerics.worst(outputs, net.expected, plan.tolerance)
    if not seen["numerics"].passed:
        return Observation(**seen)
    seen["conditions_before"] = before = host.conditions()
    seen["began_utc"], watch = before.at_utc, activity.Watch()
    send("warming up", 0.0)
    seen["warmup_runs"], seen["warmup_s"] = latency.warm_up(net, plan.warmup)
    seen["process_peak_bytes"] = memory.process_peak_bytes()
    send("measuring", 0.0)
    pace = _pace(plan)
    busy = activity.Watch()
    seen["latency_s"] = latency.whole(
        net, plan, lambda fraction: send("measuring", fraction), pace.read if pace else None
    )
    seen["processor_share"] = busy.share(plan.threads)
    if pace is not None:
        seen["flops_per_s"], seen["exchange_s"] = pace.flops_per_s(), pace.exchange_s()
    seen |= _metered(send, net, plan)
    send("measuring layers", 0.0)
    seen["calls_s"], seen["overhead_s"], seen["instrument_cost_s"] = latency.layers(
        net,
        repeat=plan.layer_repeat,
        max_s=plan.measure_max_s,
        progress=lambda fraction: send("measuring layers", fraction),
    )
    seen["wall_s"], seen["others_busy_s"] = watch.read_s()
    seen["conditions_after"] = host.conditions()
    return Observation(**seen)


def sustain(send: Report, folder: Path, plan: SustainPlan) -> SustainedRun:
    """Job: check an artifact's numerics, then run it without a pause for a time.

    Raises:
        MeasureError: it computes something wrong; it is not timed.
    """
    _without_the_compiler()
    send("loading", 0.0)
    from mbench.core import artifact
    from mbench.hardware import host
    from mbench.measure import layout, numerics, program, sensing
    from mbench.measure import sustain as load

    sensors = sensing.OfProcessors(host.processors_for(plan.threads))  # before this thread is pinned to one of them
    program.use_threads(plan.threads)
    layout.move_heap(plan.memory_offset)
    net = program.LocalProgram(artifact.load(folder))
    send("checking", 0.0)
    numerics.require(net.run(), net.expected, plan.tolerance)
    send(load.STAGE, 0.0)
    return load.run(
        net, plan.seconds, sensors.read, began_utc=host.conditions().at_utc, why=sensing.WHY,
        progress=lambda fraction: send(load.STAGE, fraction),
    )  # fmt: skip


def _pace(plan: MeasurePlan) -> Pace | None:
    if plan.pace is None:
        return None
    from mbench.measure.pace import Pace

    return Pace(plan.pace)


def build_pace(send: Report, loops: PaceLoops) -> None:
    """Job: compile the loops that sessions time between their samples."""
    send("calibrating", 0.0)
    from mbench.measure import pace_build

    pace_build.build(loops)


def _metered(send: Report, net: LocalProgram, plan: MeasurePlan) -> dict[str, Any]:
    """Return the energy of a run, or why there is none; nothing where the plan does not ask for it."""
    from mbench.measure import meters

    if not plan.meter:
        return {}
    found = meters.find()
    if found:
        send("metering energy", 0.0)
    energy = meters.measure(net.run, found)
    missing = meters.RESET if found else meters.MISSING
    return {"energy": energy} if energy else {"energy_missing": missing}


def duel(send: Report, folders: tuple[Path, ...], plan: DuelPlan) -> Bout:
    """Job: time artifacts against each other in one process: a baseline, its A/A copy, and a head.

    Raises:
        MeasureError: one of them computes something wrong; it is not timed.
    """
    _without_the_compiler()
    send("loading", 0.0)
    import numpy as np

    from mbench.core import artifact
    from mbench.measure import activity, layout, numerics, program
    from mbench.measure import duel as duels

    program.use_threads(plan.threads)
    artifacts = [artifact.load(folder) for folder in folders]
    heap = layout.Heap(room=2 * max(each.library.stat().st_size for each in artifacts))
    loaded = {}
    for index in plan.order:
        heap.begin()
        loaded[index] = copy = program.LocalProgram(artifacts[index])
        checked = numerics.worst(copy.run(), copy.expected, plan.tolerance)
        if not checked.passed:
            raise MeasureError(f"{duels.COPIES[index]}: wrong result: {checked.detail}; nothing was timed")
    programs = [loaded[index] for index in range(len(folders))]
    draw, watch = np.random.default_rng(plan.seed), activity.Watch()
    send("measuring", 0.0)
    block, whole = duels.whole(programs, draw, plan, lambda fraction: send("measuring", fraction))
    send("measuring layers", 0.0)
    layers = duels.layers(programs, draw, plan, lambda fraction: send("measuring layers", fraction))
    wall_s, others_busy_s = watch.read_s()
    return Bout(
        order=plan.order, block=block, whole_s=whole, layers_s=layers, wall_s=wall_s, others_busy_s=others_busy_s
    )


def _without_the_compiler() -> None:
    """Let tvm, imported after this, load its runtime alone: half of the time, and 260 MB of library fewer."""
    os.environ["TVM_USE_RUNTIME_LIB"] = "1"


def emulate(send: Report, folder: Path, plan: MeasurePlan, machine: EmulatedMachine, work: Path) -> Observation:
    """Job: check an artifact's numerics on an emulated machine, then count one run. `work` is an empty folder."""
    send("loading", 0.0)
    from mbench.core import artifact
    from mbench.devices import counting, emulation, line, remote_program
    from mbench.devices.address import Address
    from mbench.measure import numerics

    loaded = artifact.load(folder)
    with emulation.running(machine, loaded.library, work) as running:
        try:
            connected = line.connect(Address("127.0.0.1", running.port), waiting=lambda _: None, patience_s=0.0)
            program = remote_program.RemoteProgram(connected, loaded)
            send("emulating", 0.0)
            checked = numerics.worst(program.run(), program.expected, plan.tolerance)
            ran: list[str] = []
            if checked.passed and machine.plugin:
                send("counting", 0.0)
                ran = counting.marked_run(program, connected)
            del program
            connected.close()
            running.finish()
        except (MeasureError, RuntimeError) as error:
            raise MeasureError(running.why_gone() or str(error)) from error
        seen = Observation(threads=1, affinity=None, numerics=checked)
        if not checked.passed:
            return seen
        if machine.plugin is None:
            return msgspec.structs.replace(seen, counts_missing=machine.plugin_missing)
        return msgspec.structs.replace(seen, counted=counting.counted(running.folder, ran, loaded, machine))
