"""How long the commands take that should answer at once: `mbench --help` and `mbench show`.

Run: python benchmarks/startup.py [RECORD]. Without a record, one is made with a tiny network. Goals: 0.2 s and 0.5 s.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import machine

GOALS_S = {"--help": 0.2, "show": 0.5}


def seconds(command: list[str], *, cache: Path | None = None) -> float:
    """Return the wall time of one run of a whole process; `cache`: mbench's, if not the usual one."""
    environment = os.environ if cache is None else {**os.environ, "MBENCH_CACHE_DIR": str(cache)}
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment)
    return time.perf_counter() - start


def tiny_record(folder: Path) -> Path:
    """Return the record of a real run."""
    command = [sys.executable, "-m", "mbench", "run", "mobilenet_v1_0.25_32", "--repeat", "10", "-o", str(folder)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return next(folder.glob("*.json"))


def main() -> None:
    """Time each command and print the medians beside the goals."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("record", nargs="?", type=Path)
    parser.add_argument("-n", "--runs", type=int, default=15)
    arguments = parser.parse_args()
    heading = machine.heading()
    with tempfile.TemporaryDirectory() as folder:
        record = arguments.record or tiny_record(Path(folder))
        mbench = [sys.executable, "-m", "mbench"]
        commands = {"python -c pass": [sys.executable, "-c", "pass"], "--help": [*mbench, "--help"]}
        commands["show"] = [*mbench, "show", str(record)]
        for command in commands.values():
            seconds(command)  # fills the disk cache
        times: dict[str, list[float]] = {name: [] for name in commands}
        for _ in range(arguments.runs):
            for name, command in commands.items():
                times[name].append(seconds(command))
    print(heading)
    print(f"whole processes, {arguments.runs} runs each, in turn")
    for name, taken in times.items():
        goal = f"goal {GOALS_S[name]:.1f} s" if name in GOALS_S else ""
        spread = f"min {min(taken):.3f} s   max {max(taken):.3f} s"
        print(f"{name:16}median {statistics.median(taken):.3f} s   {spread}   {goal}")


if __name__ == "__main__":
    main()
