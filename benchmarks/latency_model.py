"""How far the latency model is from measured latencies on x86-64 and from published ones on Arm.

Run:    python benchmarks/latency_model.py --run DIR       counts and measures all networks, then as below (1 hour)
        python benchmarks/latency_model.py RECORD...       from records; emulated and measured ones meet by network
        python benchmarks/latency_model.py --report        from the kept rows, `benchmarks/latency_model.jsonl`
With --keep the counts become the kept rows; with --write the figures become `targets/latency_model_errors.csv`, which
mbench quotes beside each modelled latency. Goals over the x86-64 networks: median error at most 15 %, rank correlation
(Spearman) at least 0.97; against the published latencies of the Cortex-A53, A72 and A76 on MobileNetV1 and V2, one
thread: at most 30 %. Exit code 1 where a goal is not reached.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import statistics
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import layout
import msgspec
from scipy.stats import spearmanr

from mbench.analysis import latency_model
from mbench.analysis.latency_model_error import COLUMNS, FILE, MEASURED, PUBLISHED, Compared
from mbench.core import record_files, resources, units
from mbench.core.machine_types import Target
from mbench.core.records import Counters, Record, Result
from mbench.hardware import targets

HERE = Path(__file__).parent
KEPT = HERE / "latency_model.jsonl"
OWN_TARGETS = HERE / "targets"
X86 = "zen5_v3"
MACHINE = "one core of an AMD EPYC (Zen 5) with x86-64-v3 code"
FLOAT32 = (
    *(f"mobilenet_v1_{each}" for each in ("0.25_96", "0.25_128", "0.5_128", "0.75_160", "1.0_128", "1.0_224")),
    *(f"mobilenet_v2_{each}" for each in ("0.35_96", "0.5_128", "0.75_160", "1.0_96", "1.0_224")),
    *(f"mobilenet_v3_{each}" for each in ("small_1.0_96", "small_1.0_160", "large_1.0_96", "large_1.0_160")),
    *(f"mobilenet_v4_conv_{each}" for each in ("small_1.0_96", "small_1.0_160", "medium_1.0_128")),
    *(f"efficientnet_{each}" for each in ("lite0_1.0_96", "lite0_1.0_160", "lite1_1.0_128")),
)
INT8 = (
    *(f"mobilenet_v1_{each}" for each in ("0.25_96", "0.5_128", "1.0_128")),
    *(f"mobilenet_v2_{each}" for each in ("0.35_96", "0.5_128", "1.0_128")),
    *("mobilenet_v4_conv_small_1.0_96", "efficientnet_lite0_1.0_96", "mobilenet_v3_small_1.0_128"),
)
ARM = ("arm64_cortex_a53", "arm64_cortex_a72", "arm64_cortex_a76")
ARM_NETWORKS = ("mobilenet_v1_1.0_224", "mobilenet_v2_1.0_224", "mobilenet_v3_large_1.0_224")
LEVELS = ("L2", "L3", "DRAM")
MOST_MEDIAN, LEAST_RANK, MOST_PUBLISHED = 0.15, 0.97, 0.30
DISTURBED = 2.0
"""A published run whose longest sample is more than so many times its least was disturbed: the least stands for it."""
JUDGED = ("mobilenet_v1", "mobilenet_v2")


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """The counts of one network, kernel by kernel, and what it took where that was measured."""

    target: str
    network: str
    dtype: str
    measured_s: float | None = None
    """The least of the samples."""
    overhead_s: float | None = None
    """What the runtime took between the kernels, as measured."""
    kernels: tuple[tuple[int, ...], ...]
    """Of each: parallel loops of its layer (-1: not known), the counters in the order of `Counters`, bytes by level."""


def make(folder: Path) -> Iterator[Path]:
    """Count and measure everything, and yield the records."""
    own = ("--targets", str(OWN_TARGETS), "--target", X86)
    for dtype, networks in (("float32", FLOAT32), ("int8", INT8)):
        for name, device in (
            ("counted", ("--device", "emulated")),
            ("measured", ("--device", "local", "--quick", "--threads", "1")),
        ):
            yield from _run(folder / f"{name}_{dtype}", *networks, "--dtype", dtype, *own, *device)
    for target in ARM:
        wide = "float16" if target.endswith("a76") else "float32"
        for dtype, networks in ((wide, ARM_NETWORKS), ("int8", ARM_NETWORKS[:1])):
            where = ("--target", target, "--device", "emulated")
            yield from _run(folder / f"{target}_{dtype}", *networks, "--dtype", dtype, *where)


def _run(folder: Path, *words: str) -> Iterator[Path]:
    command = [sys.executable, "-m", "mbench", "run", *words, "--no-tuned", "--quiet", "--output", str(folder)]
    subprocess.run(command, check=True)
    yield from sorted(folder.glob("*.json"))


def rows(records: Sequence[Record]) -> tuple[Row, ...]:
    """Return the counted networks of records, each with what it took at least where others of them measured it."""
    taken: dict[tuple[str, ...], Result] = {}
    for record in records:
        for result in record.results if record.settings.threads == 1 else ():
            key = _key(record, result)
            if _least_s(result) < _least_s(taken.get(key)):
                taken[key] = result
    return tuple(
        _row(record.target.name, result, taken.get(_key(record, result)))
        for record in records
        for result in record.results
        if result.counts
    )


def _key(record: Record, result: Result) -> tuple[str, ...]:
    return record.target.name, result.variant.name, result.variant.dtype


def _least_s(result: Result | None) -> float:
    """Return the least of the samples: the model knows of no other process, and the machine had some."""
    return min(result.end_to_end.latency_s, default=math.inf) if result and result.end_to_end.latency_s else math.inf


def _row(target: str, counted: Result, measured: Result | None) -> Row:
    kernels = []
    for layer in counted.layers:
        if layer.counters is None:
            continue
        levels = [(layer.traffic_bytes or {}).get(level, 0) for level in LEVELS]
        for counters in layer.counters_by_kernel.values() or [layer.counters]:
            loops = -1 if layer.parallel_loops is None else layer.parallel_loops
            kernels.append((loops, *msgspec.structs.astuple(counters), *levels))
            levels = [0] * len(LEVELS)  # what all kernels of a layer moved stands with the first
    balance = measured.time_balance if measured else None
    return Row(
        target=target, network=_plain(counted.variant.name), dtype=counted.variant.dtype, kernels=tuple(kernels),
        measured_s=_least_s(measured) if measured else None, overhead_s=balance.overhead_s if balance else None,
    )  # fmt: skip


def _plain(name: str) -> str:
    return name.removesuffix("_int8").removesuffix("_float16")


def modelled_s(row: Row, target: Target, threads: int = 1) -> float:
    """Return what the model says of kept counts, as it does for a record."""
    taken, width = 0.0, len(Counters.__struct_fields__)
    for loops, *rest in row.kernels:
        counters = Counters(**dict(zip(Counters.__struct_fields__, rest[:width], strict=True)))
        traffic = dict(zip(LEVELS, rest[width:], strict=True))
        each = threads if loops != 0 else 1
        found = latency_model.seconds(counters, traffic, target, row.dtype, each)
        assert found is not None
        taken += found[0] + (latency_model.start_s(target, max(loops, 0)) if threads > 1 else 0.0)
    return taken


def measured(kept: Sequence[Row]) -> Iterator[Compared]:
    """Yield the x86-64 networks that were measured."""
    target = targets.load(X86, extra_dirs=(OWN_TARGETS,))
    for row in kept:
        if row.measured_s:
            yield Compared(
                kind=MEASURED, core="x86-64-v3", machine=MACHINE, network=row.network, dtype=row.dtype, threads=1,
                reference_s=row.measured_s, modelled_s=modelled_s(row, target), source="mbench run, the least sample",
            )  # fmt: skip


def published(kept: Sequence[Row]) -> Iterator[Compared]:
    """Yield the published latencies that there are counts for; the model is given the clock of the published board."""
    known = {
        (str(targets.load(row.target).tvm["mcpu"]), row.network, row.dtype): row for row in kept if row.target in ARM
    }
    with (resources.data_dir("published") / "latencies.csv").open(encoding="utf-8", newline="") as file:
        for line in csv.DictReader(file):
            row = known.get((line["core"], line["network"], line["dtype"]))
            if row is None:
                continue
            target = at_clock(targets.load(row.target), float(line["frequency_hz"]))
            least, most = float(line["least_s"]), float(line["most_s"])
            yield Compared(
                kind=PUBLISHED, core=line["core"], machine=line["machine"], network=row.network, dtype=row.dtype,
                threads=int(line["threads"]),
                reference_s=least if most > DISTURBED * least else float(line["latency_s"]),
                modelled_s=modelled_s(row, target, int(line["threads"])), source=line["source"],
            )  # fmt: skip


def at_clock(target: Target, frequency_hz: float) -> Target:
    """Return a target at another clock: its caches follow, its memory does not."""
    known = target.processor.frequency_hz
    assert known is not None
    processor, peaks = target.processor, target.peaks
    scaled = {
        level: msgspec.structs.replace(
            figure, value=figure.value * (1 if level == "DRAM" else frequency_hz / known.value)
        )
        for level, figure in peaks.bytes_per_s.items()
    }
    return msgspec.structs.replace(
        target,
        processor=msgspec.structs.replace(processor, frequency_hz=msgspec.structs.replace(known, value=frequency_hz)),
        peaks=msgspec.structs.replace(peaks, bytes_per_s=scaled),
    )


def line(each: Compared) -> tuple[str, ...]:
    """Return the line of a comparison in a table."""
    return (
        f"{each.network} {each.dtype}", str(each.threads), units.seconds(each.reference_s),
        units.seconds(each.modelled_s), f"{each.error:+.0%}",
    )  # fmt: skip


def error(compared: Sequence[Compared]) -> tuple[float, float]:
    """Return the median and the worst error, whatever their signs."""
    errors = [abs(each.error) for each in compared] or [math.nan]
    return statistics.median(errors), max(errors)


def rank(compared: Sequence[Compared]) -> float:
    """Return Spearman's rank correlation of references and modelled latencies."""
    found: Any = spearmanr([each.reference_s for each in compared], [each.modelled_s for each in compared])
    return float(found.statistic)


def call_cycles(kept: Sequence[Row]) -> float:
    """Return what the runtime took for a kernel: the median over the networks that were measured."""
    frequency = targets.load(X86, extra_dirs=(OWN_TARGETS,)).processor.frequency_hz
    assert frequency is not None
    found = [row.overhead_s / len(row.kernels) for row in kept if row.overhead_s is not None]
    return statistics.median(found) * frequency.value


def judged(compared: Sequence[Compared]) -> list[Compared]:
    """Return the published latencies that there is a goal for."""
    return [each for each in compared if each.threads == 1 and each.dtype != "int8" and each.network.startswith(JUDGED)]


def reached(kept: Sequence[Row]) -> bool:
    """Return whether the goals are reached."""
    here, there = list(measured(kept)), judged(list(published(kept)))
    near = max(abs(each.error) for each in there) <= MOST_PUBLISHED
    return error(here)[0] <= MOST_MEDIAN and rank(here) >= LEAST_RANK and near


def report(kept: Sequence[Row] | None = None) -> str:
    """Return a table of the errors by reference, as RESULTS.md has it; of the kept rows where none are given."""
    rows_ = read() if kept is None else kept
    here = list(measured(rows_))
    groups: dict[str, list[Compared]] = {}
    for each in (*here, *published(rows_)):
        threads = "1 thread" if each.threads == 1 else f"{each.threads} threads"
        name = f"measured, {each.dtype}" if each.kind == MEASURED else f"{each.runtime}, {each.core}, {threads}"
        groups.setdefault(name, []).append(each)
    table = [
        (name, str(len(found)), *(f"{value:.0%}" for value in error(found)), _each(found))
        for name, found in groups.items()
    ]
    median, worst = error(here)
    return (
        layout.table(("against", "latencies", "median error", "worst", "each"), table, markdown=True)
        + f"\n\nMeasured, {len(here)} networks: median error {median:.1%}, worst {worst:.1%}, rank correlation "
        f"{rank(here):.3f}; runtime between the kernels: {call_cycles(rows_):.0f} cycles each."
    )


def _each(found: Sequence[Compared]) -> str:
    """Return the errors of published latencies, shortly; of the many measured ones the script prints a table."""
    if found[0].kind == MEASURED:
        return f"{min(each.error for each in found):+.0%} to {max(each.error for each in found):+.0%}"
    names = [
        each.network.removeprefix("mobilenet_").removesuffix("_1.0_224").replace("_", " ").title() for each in found
    ]
    return ", ".join(f"{name} {each.dtype} {each.error:+.0%}" for name, each in zip(names, found, strict=True))


def read() -> tuple[Row, ...]:
    """Return the kept rows."""
    return tuple(msgspec.convert(json.loads(text), Row) for text in KEPT.read_text(encoding="utf-8").splitlines())


def write(compared: Sequence[Compared], file: Path) -> None:
    """Write what mbench quotes."""
    with file.open("w", encoding="utf-8", newline="") as out:
        writer = csv.DictWriter(out, COLUMNS, lineterminator="\n")
        writer.writeheader()
        for each in compared:
            words = {name: getattr(each, name) for name in COLUMNS}
            seconds = {name: f"{words[name]:.4g}" for name in ("reference_s", "modelled_s")}
            writer.writerow({**words, **seconds})


def main() -> int:
    """Read or make the counts, print both tables, and say whether the goals are reached."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("records", nargs="*", type=Path)
    parser.add_argument("--run", type=Path, metavar="DIR")
    parser.add_argument("--report", action="store_true")
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    files = [*(make(arguments.run) if arguments.run else ()), *arguments.records]
    kept = rows([record_files.read(file) for file in files]) if files else read()
    if arguments.keep:
        KEPT.write_text("".join(f"{msgspec.json.encode(row).decode()}\n" for row in kept), encoding="utf-8")
    if arguments.write:
        write([*measured(kept), *published(kept)], resources.data_dir("targets") / FILE)
    both = [(each.core, *line(each)) for each in (*measured(kept), *published(kept))]
    print(layout.table(("core", "network", "threads", "reference", "modelled", "error"), both, markdown=False))
    print(f"\n{report(kept)}")
    return int(not reached(kept))


if __name__ == "__main__":
    sys.exit(main())
