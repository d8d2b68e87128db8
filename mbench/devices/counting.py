"""One counted run of a network on an emulated machine: marks around every kernel call, then what the plugin wrote."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mbench.core import artifact
from mbench.core.artifact import Artifact
from mbench.measure import counters
from mbench.measure.decode import Decoder
from mbench.measure.observation import CountedRun

if TYPE_CHECKING:
    from mbench.devices.emulation import EmulatedMachine
    from mbench.devices.line import Line
    from mbench.devices.remote_program import RemoteProgram


def marked_run(program: RemoteProgram, line: Line) -> list[str]:
    """Run once as the counted run, with a mark before and after each call; return the calls in order."""
    instrument = program.instrument()
    line.call("mbench.roi", 1)
    events = instrument.run(artifact.ENTRY)
    line.call("mbench.roi", 0)
    instrument.remove()
    return [name for name, _ in events]


def counted(folder: Path, ran: Sequence[str], loaded: Artifact, machine: EmulatedMachine) -> CountedRun:
    """Return what the plugin counted.

    Args:
        folder: where the machine wrote; it has ended.
        ran: the calls of the counted run.
        loaded: what was run.
        machine: what ran it.

    Raises:
        MeasureError: the counts are truncated, do not fit the calls, or hold an instruction that is not known.
    """
    manifest = loaded.manifest
    segments = counters.read(folder / machine.counts, Decoder(machine.architecture))
    calls = counters.of_calls(segments, ran, [kernel for kernel, _ in manifest.calls], machine.line_bytes)
    return CountedRun(
        calls=calls,
        layers=tuple(manifest.layers[index].name for _, index in manifest.calls),
        target=machine.target,
        vector_bits=machine.vector_bits,
        artifact_digest=manifest.digest,
        emulator=machine.name,
        method=counters.METHOD,
        traffic_method=machine.traffic_method,
    )
