"""The other side of a device: a process that loads compiled code, runs it and answers over a pipe.

Messages: ("stage", name, fraction), then ("done", answer) or ("error", message). Whatever the compiled code or the
runtime prints goes to a log file, never into the messages.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from multiprocessing import parent_process
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from mbench import signals, system_limits
from mbench.compile import tuning
from mbench.errors import MbenchError, MeasureError
from mbench.measure.duel import Bout, DuelPlan
from mbench.measure.observation import Observation, Plan
from mbench.records import Calibration, Target

if TYPE_CHECKING:
    from mbench.devices.emulation import Machine

Send = Callable[[str, float], None]
_REPORT_INTERVAL_S = 0.5


def main(pipe: Connection, log: str, threads: int, job: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    """Run one job and send its answer."""
    become_quiet_child(log)
    os.environ["TVM_NUM_THREADS"] = str(threads)
    without_torch()
    try:
        answer = job(_sparing(pipe), *arguments)
    except MbenchError as error:
        pipe.send(("error", str(error)))
    except MemoryError:
        pipe.send(("error", f"out of memory{system_limits.memory_hint()}"))
    except Exception as error:  # noqa: BLE001 - whatever it is, it becomes this variant's failure; the log has the rest
        import traceback

        traceback.print_exc()
        pipe.send(("error", f"{type(error).__name__}: {next(iter(str(error).splitlines()), '')}"))
    else:
        pipe.send(("done", answer))


def _sparing(pipe: Connection) -> Send:
    """Return what sends a new stage at once, and how far it is twice a second: each message wakes the parent."""
    last_stage, last_s = "", 0.0

    def send(stage: str, fraction: float) -> None:
        nonlocal last_stage, last_s
        now = time.monotonic()
        if stage != last_stage or now - last_s >= _REPORT_INTERVAL_S:
            last_stage, last_s = stage, now
            pipe.send(("stage", stage, fraction))

    return send


@contextlib.contextmanager
def deaf_children() -> Iterator[None]:
    """Processes that are started inside hear neither Ctrl-C nor SIGHUP, not even before they have become quiet.

    This process hears them, and SIGTERM, when they are started: half started, a child would complain and live on.
    """
    if threading.current_thread() is not threading.main_thread():  # which hears nothing, and may not change handlers
        yield
        return
    caught: list[int] = []
    handlers = {number: signal.signal(number, lambda number, _: caught.append(number)) for number in signals.HEARD}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGHUP})  # children inherit this
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        for number, handler in handlers.items():
            signal.signal(number, handler)
        if caught:
            signal.raise_signal(caught[0])


def become_quiet_child(log: str = os.devnull) -> None:
    """Leave Ctrl-C and SIGHUP to the parent, write to `log`, and end when the parent does, however it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    sys.stdout.flush()
    sys.stderr.flush()
    os.dup2(file, 1)
    os.dup2(file, 2)
    os.close(file)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def without_torch() -> None:
    """Let TVM, imported after this, find no torch, which it would import: seconds and memory for nothing."""
    sys.modules.setdefault("torch", None)  # type: ignore[arg-type]


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def calibrate(send: Send, target: Target, threads: int) -> Calibration:
    """Job: measure the ceilings of this machine."""
    send("calibrating", 0.0)
    from mbench.measure import calibrate as ceilings
    from mbench.measure import session

    session.use_threads(threads)
    return ceilings.calibrate(target, threads, progress=lambda fraction: send("calibrating", fraction))


def measure(send: Send, folder: Path, plan: Plan) -> Observation:
    """Job: check an artifact's numerics, then time it."""
    _without_the_compiler()
    send("loading", 0.0)
    from mbench import artifact, host
    from mbench.measure import activity, latency, memory, meters, numerics, session

    seen: dict[str, Any] = {"threads": session.use_threads(plan.threads), "affinity": session.affinity()}
    first = session.Session(artifact.load(folder))
    send("checking", 0.0)
    seen["numerics"] = numerics.compare(first.run(), first.expected, plan.tolerance)
    if not seen["numerics"].passed:
        return Observation(**seen)
    seen["conditions_before"] = host.conditions()
    watch = activity.Watch()
    send("warming up", 0.0)
    seen["warmup_runs"], seen["warmup_s"] = latency.warm_up(first, plan.warmup)
    seen["process_peak_bytes"] = memory.process_peak_bytes()
    twin = session.Session(first.artifact)
    send("measuring", 0.0)
    seen["latency_s"], seen["twin_latency_s"] = latency.pair_as_planned(
        first, twin, plan, lambda fraction: send("measuring", fraction)
    )
    send("measuring layers", 0.0)
    seen["calls_s"], seen["overhead_s"], seen["instrument_cost_s"] = latency.layers(
        twin,
        repeat=plan.layer_repeat,
        max_s=plan.measure_max_s,
        progress=lambda fraction: send("measuring layers", fraction),
    )
    seen["wall_s"], seen["others_busy_s"] = watch.read_s()
    found = meters.find()
    if found:
        send("metering energy", 0.0)
    seen["energy"] = meters.measure(first.run, found)
    if seen["energy"] is None:
        seen["energy_missing"] = meters.RESET if found else meters.MISSING
    seen["conditions_after"] = host.conditions()
    return Observation(**seen)


def duel(send: Send, folders: tuple[Path, ...], plan: DuelPlan) -> Bout:
    """Job: time artifacts against each other in one process: a baseline, its twin, and a head.

    Raises:
        MeasureError: one of them computes something wrong; it is not timed.
    """
    _without_the_compiler()
    send("loading", 0.0)
    import numpy as np

    from mbench import artifact
    from mbench.measure import activity, layout, numerics, session
    from mbench.measure import duel as duels

    session.use_threads(plan.threads)
    artifacts = [artifact.load(folder) for folder in folders]
    heap = layout.Heap(room=2 * max(each.library.stat().st_size for each in artifacts))
    loaded = {}
    for index in plan.order:
        heap.begin()
        loaded[index] = copy = session.Session(artifacts[index])
        checked = numerics.compare(copy.run(), copy.expected, plan.tolerance)
        if not checked.passed:
            raise MeasureError(f"{duels.COPIES[index]}: wrong result: {checked.detail}; nothing was timed")
    sessions = [loaded[index] for index in range(len(folders))]
    draw, watch = np.random.default_rng(plan.seed), activity.Watch()
    send("measuring", 0.0)
    block, whole = duels.whole(sessions, draw, plan, lambda fraction: send("measuring", fraction))
    send("measuring layers", 0.0)
    layers = duels.layers(sessions, draw, plan, lambda fraction: send("measuring layers", fraction))
    wall_s, others_busy_s = watch.read_s()
    return Bout(
        order=plan.order, block=block, whole_s=whole, layers_s=layers, wall_s=wall_s, others_busy_s=others_busy_s
    )


def _without_the_compiler() -> None:
    """Let tvm, imported after this, load its runtime alone: half of the time, and 260 MB of library fewer."""
    os.environ["TVM_USE_RUNTIME_LIB"] = "1"


def emulate(send: Send, folder: Path, plan: Plan, machine: Machine, work: Path) -> Observation:
    """Job: check an artifact's numerics on an emulated machine, then count one run. `work` is an empty folder."""
    send("loading", 0.0)
    from mbench import artifact
    from mbench.devices import emulation, line
    from mbench.devices.address import Address
    from mbench.measure import counting, numerics, remote

    loaded = artifact.load(folder)
    with emulation.running(machine, loaded.library, work) as running:
        try:
            connected = line.connect(Address("127.0.0.1", running.port), waiting=lambda _: None, patience_s=0.0)
            session = remote.RemoteSession(connected, loaded)
            send("emulating", 0.0)
            checked = numerics.compare(session.run(), session.expected, plan.tolerance)
            ran: list[str] = []
            if checked.passed and machine.plugin:
                send("counting", 0.0)
                ran = counting.marked_run(session, connected)
            del session
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


def search_kernel(send: Send, plan: tuning.SearchPlan) -> int:
    """Job: let MetaSchedule search schedules of one kernel."""
    send("searching", 0.0)
    from mbench.compile.tuning import deep

    return deep.search(plan, lambda fraction: send("searching", fraction))


def time_kernel(send: Send, plan: tuning.TimingPlan) -> tuning.Readings:
    """Job: time candidates of one kernel."""
    send("starting", 0.0)
    from mbench.compile.tuning import timing

    return timing.time_all(plan, told(plan, send))


def told(plan: tuning.TimingPlan, send: Send) -> Callable[[int], None]:
    """Return what tells how many readings of a plan are done."""
    readings = len(plan.candidates) + plan.finalists
    return lambda done: send(f"timing {done + 1}/{readings}", done / readings)
