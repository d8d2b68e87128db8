"""What each kernel of networks in int8 takes inside of its network, and by which rule it is made.

Run: python benchmarks/int8_layers.py [NETWORK...] [--threads N] [--target NAME] [--dtype float32]

Medians of runs at batch 1, with the clock read before and after each kernel. `mbench run` has the layers of a network
with their bounds; here stands each kernel's rule beside its time, for who changes rules. `peers.py` has whole networks.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from typing import Any

from mbench.build import builders
from mbench.core import dtypes, units
from mbench.core.artifact import Artifact
from mbench.core.choices import NO_CHOICES
from mbench.core.errors import MbenchError
from mbench.core.records import Failure
from mbench.hardware import targets
from mbench.networks.given import GivenNetworks, HowToImport
from mbench.pipeline import runner

NETWORK = "mobilenet_v1_1.0_224"
RUNS, WARM_UP = 50, 10
_BY_NONE = "no rule"


def main() -> int:
    """Print the kernels of each network; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", default=[NETWORK], metavar="NETWORK", help="as for mbench run")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--target", default="host")
    parser.add_argument("--dtype", default=dtypes.INT8)
    arguments = parser.parse_args()
    try:
        wanted = GivenNetworks(arguments.networks, HowToImport()).variants((arguments.dtype,))
        target = targets.for_threads(runner.resolve_target(arguments.target), arguments.threads)
        built = builders.build_all(wanted, target, lambda *_said: None, use_cache=True, choices=NO_CHOICES)
    except MbenchError as error:
        print(f"int8_layers.py: {error}", file=sys.stderr)
        return 2
    for name, build in built.items():
        if isinstance(build, Failure):
            print(f"{name}: {build.reason}")
        else:
            print("\n".join(lines(name, build[0], kernel_times(build[0], arguments.threads))))
    return int(any(isinstance(build, Failure) for build in built.values()))


def kernel_times(built: Artifact, threads: int) -> list[tuple[str, float]]:
    """Return each kernel's name and its median seconds inside of the network, in order."""
    from mbench.measure import program

    program.use_threads(threads)
    loaded = program.LocalProgram(built)
    names = {kernel for kernel, _ in built.manifest.calls}
    seen: list[tuple[str, float]] = []
    begin = 0.0

    def watch(_function: Any, name: str, before: bool, _value: Any, *_arguments: Any) -> int:
        nonlocal begin
        if before:
            begin = time.perf_counter()
        elif name in names:
            seen.append((str(name), time.perf_counter() - begin))
        return 0

    loaded.vm.set_instrument(watch)
    runs = []
    for run in range(WARM_UP + RUNS):
        seen.clear()
        loaded.vm[loaded.whole](*loaded.inputs)
        if run >= WARM_UP:
            runs.append(list(seen))
    return [(name, statistics.median(run[place][1] for run in runs)) for place, (name, _) in enumerate(runs[0])]


def lines(name: str, built: Artifact, times: list[tuple[str, float]]) -> list[str]:
    """Return a line for a network, and one for each kernel, by time."""
    rules = built.manifest.schedules
    total = sum(seconds for _, seconds in times)
    said = [f"{name}: {len(times)} kernels, {units.seconds(total)}"]
    for kernel, seconds in sorted(times, key=lambda each: -each[1]):
        rule = rules.get(kernel, _BY_NONE)
        said.append(f"{seconds * 1e6:9.1f} µs {100 * seconds / total:5.1f} %  {kernel:56} {rule}")
    return said


if __name__ == "__main__":
    sys.exit(main())
