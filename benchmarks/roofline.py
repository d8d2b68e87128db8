"""How far each layer is from what this machine can do: its share of the measured peak, what bounds it, and the goals.

Run: python benchmarks/roofline.py [VARIANT...] [--threads 1 2]; or with --record FILE... to read records that are there
already. Everything shown is in the records; `mbench run` measures. Exit code 4 if something was not measured.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import layout
import machine

from mbench.analysis import pairs, roofline
from mbench.core import record_files, stats, units
from mbench.core.errors import MbenchError
from mbench.core.machine_types import Calibration
from mbench.core.records import Layer, Record, Result
from mbench.hardware import host, targets

VARIANT = "mobilenet_v1_1.0_224"
SMALL = 7
"""Pixels of a side, up to which an output is small: too few pixels to keep the weights busy."""
_FLOAT_BYTES = 4
HEADING = ("layer", "op", "kernel", "bound", "median", "FLOP/s", "of peak", "of bound")
_WORDS = 4


@dataclasses.dataclass(frozen=True, kw_only=True)
class Row:
    """One layer under the measured peaks."""

    name: str
    op: str
    rule: str
    """How each of its kernels was made."""
    pixels: tuple[int, ...]
    """Height and width of the output."""
    median_s: float
    flops_per_s: float
    bound: str
    fraction_of_peak: float
    fraction_of_bound: float
    written: float
    """Share of the output in the bytes that the bound counts."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Goal:
    """What layers of one kind are to reach: `least` of the `fraction` of a row."""

    name: str
    op: str
    small: bool | None
    """Of pointwise layers: with outputs of 7x7 or less, or with larger ones."""
    fraction: str
    least: float


GOALS = (
    Goal(name="pointwise", op="pointwise_conv2d", small=False, fraction="fraction_of_peak", least=0.85),
    Goal(
        name=f"pointwise, {SMALL}x{SMALL} or less",
        op="pointwise_conv2d",
        small=True,
        fraction="fraction_of_peak",
        least=0.80,
    ),
    Goal(name="depthwise", op="depthwise_conv2d", small=None, fraction="fraction_of_bound", least=0.60),
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Verdict:
    """What the layers that a goal is for reached."""

    goal: Goal
    layers: int
    lowest: float
    lowest_layer: str
    median: float
    missed: int
    """Layers below the goal."""

    def __str__(self) -> str:
        """Say it in a line."""
        of = self.goal.fraction.removeprefix("fraction_of_")
        reached = f"min {units.percent(self.lowest)}   median {units.percent(self.median)} of {of}"
        said = "met"
        if self.missed:
            said = f"missed: {self.lowest_layer} at {units.percent(self.lowest)}"
            said += f", and {self.missed - 1} more" if self.missed > 1 else ""
        named = f"{self.goal.name} ({self.layers})"
        return f"{named:28}{reached}   goal {units.percent(self.goal.least, 0)}: {said}"


def rows(result: Result) -> list[Row]:
    """Return the layers that have a place under the roofline, in order."""
    placed = (_row(layer, result.artifact.schedules) for layer in result.layers)
    return [row for row in placed if row is not None]


def _row(layer: Layer, schedules: dict[str, str]) -> Row | None:
    if layer.roofline is None or not layer.latency_s:
        return None
    made = (schedules.get(kernel, "not known") for kernel in layer.kernel.split(" + "))
    return Row(
        name=layer.name,
        op=layer.op,
        rule=" + ".join(made),
        pixels=layer.output_shape[2:],
        median_s=stats.median(layer.latency_s),
        flops_per_s=layer.roofline.flops_per_s,
        bound=layer.roofline.bound,
        fraction_of_peak=layer.roofline.fraction_of_peak,
        fraction_of_bound=layer.roofline.fraction_of_bound,
        written=math.prod(layer.output_shape) * _FLOAT_BYTES / (layer.activation_bytes + layer.weight_bytes),
    )


def verdicts(seen: Sequence[Row]) -> list[Verdict]:
    """Return a verdict for each goal that there are layers for."""
    found = []
    for goal in GOALS:
        some = [row for row in seen if row.op == goal.op and goal.small in (None, max(row.pixels) <= SMALL)]
        if some:
            reached = {row.name: float(getattr(row, goal.fraction)) for row in some}
            lowest = min(reached, key=reached.__getitem__)
            missed = sum(value < goal.least for value in reached.values())
            found.append(
                Verdict(
                    goal=goal,
                    layers=len(some),
                    lowest=reached[lowest],
                    lowest_layer=lowest,
                    median=stats.median(list(reached.values())),
                    missed=missed,
                )
            )
    return found


def table(seen: Sequence[Row], *, markdown: bool) -> str:
    """Return a line a layer."""
    cells = [
        (
            row.name,
            row.op,
            row.rule,
            row.bound,
            units.seconds(row.median_s),
            units.flops_rate(row.flops_per_s),
            units.percent(row.fraction_of_peak),
            units.percent(row.fraction_of_bound),
        )
        for row in seen
    ]
    return layout.table(HEADING, cells, words=_WORDS, markdown=markdown)


def peaks(found: Calibration | None, *, dtype: str) -> str:
    """Return the measured peaks, and who else was busy meanwhile."""
    if found is None:
        return "measured peaks: none, so no layer has a place under the roofline"
    levels = ", ".join(
        f"{level} {units.bytes_rate(rate)} ({units.cache_size(found.working_set_bytes.get(level))})"
        for level, rate in found.bytes_per_s.items()
    )
    for share in sorted({mix.written for mix in found.mixes}):
        rates = (f"{mix.level} {units.bytes_rate(mix.bytes_per_s)}" for mix in found.mixes if mix.written == share)
        levels += f"; {units.percent(share, 0)} written {', '.join(rates)}"
    busy = "" if found.others_busy is None else f"; others kept {found.others_busy:.2f} processors busy meanwhile"
    peak = units.flops_rate(found.flops_per_s.get(dtype))
    when = f"measured {units.timestamp(found.measured_at_utc)}"
    return f"measured peaks: {peak}; reading {levels}; {found.threads} threads, {when}{busy}\n  {found.method}"


def notes(record: Record, result: Result, seen: Sequence[Row]) -> list[str]:
    """Return what the bound is and is not, and what the record warns of."""
    warnings = [f"warning: {warning}" for warning in result.warnings]
    if not seen:
        return [f"no layer has a place: {pairs.why_missing(result, 'layers.roofline')}", *warnings]
    local = targets.as_run_here(record.target, record.host)
    home = roofline.level_of(result.memory.weight_bytes, roofline.capacities(local, record.settings.threads))
    written = [row.written for row in seen if row.op == "depthwise_conv2d"]
    share = f", {units.percent(stats.median(written), 0)} of a depthwise layer's in the median" if written else ""
    mixed = record.device.calibration is not None and record.device.calibration.mixes
    weights = units.data_size(result.memory.weight_bytes)
    said = [
        "of bound: of the lower of the peak and what the named level moves: the smallest that holds a layer's input, "
        "weights and output together, each byte counted once, at the bandwidth measured for "
        + (
            f"reading and writing, in the layer's own mix of bytes read and written{share}."
            if mixed
            else f"reading: there is no writing in it, which is slower, though some of the bytes are written{share}."
        ),
        "It does not know where data lie: the input is where the layer before left it, partly in another core's cache, "
        f"and weights come cold: those of all layers are {weights}, which {home} holds and no level nearer.",
        "compute is the peak of multiply-adds alone; that a depthwise layer loads about as often as it multiplies "
        "does not lower it.",
        "So a bound may be out of reach of any kernel; and where data lie nearer than the named level, it is none.",
    ]
    return [*said, *warnings]


def measure(names: Sequence[str], threads: int, folder: Path, *more: str) -> Record:
    """Let mbench measure, in a process of its own, and return its record; `more` are arguments of `mbench run`.

    Raises:
        MbenchError: it refused, or its record cannot be read.
    """
    output = folder / f"threads-{threads}"
    command = [sys.executable, "-m", "mbench", "run", *names, "--threads", str(threads), *more]
    ended = subprocess.run([*command, "-o", str(output)], check=False, stdout=subprocess.DEVNULL)
    written = sorted(output.glob("*.json"))
    if not written:
        raise MbenchError(f"{' '.join(command[1:])}: exit code {ended.returncode} and no record")
    return record_files.read(written[-1])


def report(record: Record, *, markdown: bool) -> str:
    """Return the peaks, and for each network its layers, the goals and the notes."""
    threads = record.settings.threads
    parts = [peaks(record.device.calibration, dtype=record.settings.dtype)]
    for result in record.results:
        seen = rows(result)
        whole = pairs.latency_s(result)
        title = f"{result.variant.name}, target {record.target.name}, {threads} threads"
        parts.append(f"{title}: {units.seconds(whole)}" if whole else f"{title}: not measured")
        parts.append(table(seen, markdown=markdown) if seen else "")
        parts.append("\n".join(map(str, verdicts(seen))))
        parts.append("\n".join(notes(record, result, seen)))
    parts += [f"FAILED: {failure.variant} ({failure.stage}): {failure.reason}" for failure in record.failures]
    return "\n\n".join(part for part in parts if part)


def as_json(record: Record) -> list[dict[str, object]]:
    """Return the same for a program: a dict a network, in SI units."""
    return [
        {
            "variant": result.variant.name,
            "target": record.target.name,
            "threads": record.settings.threads,
            "run_id": record.run_id,
            "layers": [dataclasses.asdict(row) for row in rows(result)],
            "goals": [dataclasses.asdict(verdict) for verdict in verdicts(rows(result))],
            "warnings": list(result.warnings),
        }
        for result in record.results
    ]


def _arguments() -> argparse.Namespace:
    here = host.describe()
    usable = here.within_quota(here.processors_usable or 1)
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("variants", nargs="*", metavar="VARIANT", help="names or grids, as for mbench run")
    parser.add_argument("--threads", type=int, nargs="+", default=sorted({1, min(2, usable)}))
    parser.add_argument("--target", default="host", help="what to compile for; this machine must be able to run it")
    parser.add_argument("--no-cache", action="store_true", help="compile and measure the peaks anew")
    parser.add_argument("--markdown", action="store_true")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows and verdicts there")
    parser.add_argument("--record", type=Path, nargs="+", metavar="FILE", help="records to read instead of measuring")
    return parser.parse_args()


def main() -> int:
    """Measure or read, print, return the exit code."""
    arguments = _arguments()
    heading = machine.heading()
    try:
        if arguments.record:
            read = [record_files.read(path) for path in arguments.record]
        else:
            with tempfile.TemporaryDirectory() as folder:
                names = arguments.variants or [VARIANT]
                more = ("--target", arguments.target, *(["--no-cache"] if arguments.no_cache else []))
                read = [measure(names, threads, Path(folder), *more) for threads in arguments.threads]
    except MbenchError as error:
        print(f"roofline.py: {error}", file=sys.stderr)
        return error.exit_code
    print(f"records of {', '.join(sorted({record.host.cpu for record in read}))}" if arguments.record else heading)
    for record in read:
        print(f"\n{report(record, markdown=arguments.markdown)}")
    if arguments.json:
        arguments.json.write_text(json.dumps([network for record in read for network in as_json(record)]))
    bare = any(not rows(result) for record in read for result in record.results)
    return 4 if bare or any(record.failures for record in read) else 0


if __name__ == "__main__":
    sys.exit(main())
