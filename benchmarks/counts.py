"""How good the generated code is, by exact counts of what it executes: whole networks and their pointwise layers.

Run: python benchmarks/counts.py [VARIANT] [--dtype int8] [--targets NAME...]; without names, every target that can be
emulated. Goals on MobileNetV1 1.0 224, in instructions for each vector multiply-add that the network needs (its
multiply-adds over the lanes of a vector): Cortex-A72, float32, at most 1.5, and 1.6 over its pointwise layers; int8 on
Cortex-A76 1.6 (V2: 2.0), on Cortex-A72 4.2; float16 on Cortex-A76 1.5. Exit code 1 if a target could not be counted.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import layout
import machine

from mbench.analysis import instruction_counts, pairs
from mbench.core import dtypes, record_files, units
from mbench.core.records import Record
from mbench.hardware import targets

VARIANT = "mobilenet_v1_1.0_224"
HEADING = (
    "target",
    "instructions",
    "per FMA",
    "pointwise",
    "loads",
    "stores",
    "DRAM (model)",
    "latency (model)",
    "took",
)


def count(variant: str, dtype: str, target: str, cache: Path) -> tuple[Record | None, float, str]:
    """Return the record of an emulated run with an empty cache, how long all of it took, and what went wrong."""
    command = [sys.executable, "-m", "mbench", "run", variant, "--dtype", dtype, "--target", target]
    command += ["--device", "emulated", "--json"]
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as output:
        done = subprocess.run(
            [*command, "--no-cache", "--output", str(Path(output) / "results")],
            capture_output=True, text=True, check=False, env={**os.environ, "MBENCH_CACHE_DIR": str(cache)},
        )  # fmt: skip
    took = time.perf_counter() - start
    if done.returncode:
        return None, took, done.stderr.strip().splitlines()[-1]
    return record_files.decode(done.stdout.encode(), source=target), took, ""


def row(record: Record, took: float) -> tuple[str, ...]:
    """Return a line of the table."""
    [result] = record.results
    assert result.counts is not None
    lanes = instruction_counts.lanes(record, result)
    found = result.counts.counters
    pointwise = [layer for layer in result.layers if layer.op == "pointwise_conv2d" and layer.counters]
    executed = sum(layer.counters.instructions for layer in pointwise if layer.counters)
    each = pairs.ratio(executed, sum(layer.macs for layer in pointwise) / lanes) if lanes else None
    return (
        record.target.name,
        units.count(found.instructions),
        units.decimal(instruction_counts.of_network(record, result)),
        units.decimal(each),
        units.count(found.loads),
        units.count(found.stores),
        units.data_size((result.counts.traffic_bytes or {}).get("DRAM")),
        units.seconds(result.end_to_end.latency_model_s),
        f"{took:.0f} s",
    )


def main() -> int:
    """Count, print, and say what could not be counted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("variant", nargs="?", default=VARIANT)
    able = [name for name, target in targets.load_all().items() if "qemu_cpu" in target.emulation]
    parser.add_argument("--targets", nargs="+", default=able)
    parser.add_argument("--dtype", default=dtypes.DEFAULT, choices=dtypes.NAMES)
    parser.add_argument("--markdown", action="store_true")
    arguments = parser.parse_args()
    rows, wrong = [], []
    with tempfile.TemporaryDirectory() as cache:
        for target in arguments.targets:
            record, took, why = count(arguments.variant, arguments.dtype, target, Path(cache))
            if record is None:
                wrong.append(f"{target}: {why}")
            else:
                rows.append(row(record, took))
                print(f"{target} done", file=sys.stderr)
    print(machine.heading())
    print(f"{arguments.variant}, {arguments.dtype}, one thread; executed by QEMU, which counts and times nothing\n")
    print(layout.table(HEADING, rows, markdown=arguments.markdown))
    print(
        f"\nper FMA: instructions for each vector of multiply-adds that is needed, which holds as many as numbers of "
        f"{arguments.dtype}; pointwise: of the pointwise layers alone"
    )
    print("took: the whole of `mbench run`, code generation included; no latency")
    for line in wrong:
        print(f"NOT COUNTED: {line}")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
