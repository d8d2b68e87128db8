"""What compiling takes over widths and resolutions: no network may take much longer than its neighbours.

Usage: python benchmarks/compile_sweep.py [--target NAME,...] [--count N] [--seed N] [NETWORK...]

Without NETWORKs, the known awkward ones and `count` drawn by the seed. Times are the processor time of the process that
compiles, all threads together, without drawing weights, so that a busy machine changes little. A network's neighbours
are the ones of its kind that are nearest in width and resolution; who takes more than 3 times their median is named,
and the exit status is 1.
"""

from __future__ import annotations

import argparse
import functools
import math
import random
import statistics
import sys
from collections.abc import Iterator, Sequence

import machine
from compile_time import LIMIT_S, compile_s

from mbench.build import builders
from mbench.core.children import ChildError, as_completed
from mbench.core.machine_types import Target
from mbench.core.records import Variant
from mbench.hardware import targets
from mbench.networks import variants

AWKWARD = (
    *((width, side) for width in (1.35, 1.36, 1.37, 1.38) for side in (33, 34)),
    *((1.37, side) for side in (40, 65)),
    *((width, side) for width in (0.77, 0.93, 1.13, 1.21) for side in (35, 97, 225)),
)
"""Widths whose channels have few divisors, and odd sides."""
WIDTHS, SIDES = (0.01, 1.4), (32, 320)
NEIGHBOURS = 6
FACTOR = 3.0
LEAST_S = 0.5
"""Processor time below which nothing stands out: the smallest networks take as much as starting to compile."""


def main() -> int:
    """Compile, print a line for each network, and name those that stand out."""
    arguments = _arguments()
    print(machine.heading(), flush=True)
    worst = 0
    for name in arguments.target.split(","):
        target = targets.for_threads(targets.load(name), 1)
        taken = _sweep([variants.parse(each) for each in arguments.networks or _names(arguments)], target)
        worst = max(worst, _report(name, taken))
    return worst


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", metavar="NETWORK")
    parser.add_argument("--target", default="x86_64_v3,arm64_cortex_a72", help="names, with commas between them")
    parser.add_argument("--count", type=int, default=20, help="networks to draw of each kind")
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args()


def _names(arguments: argparse.Namespace) -> list[str]:
    draw = random.Random(arguments.seed)
    drawn = [(round(draw.uniform(*WIDTHS), 2), draw.randint(*SIDES)) for _ in range(arguments.count)]
    places = dict.fromkeys([*AWKWARD, *drawn])
    return [f"mobilenet_v1_{width}_{side}{kind}" for width, side in places for kind in ("", "_standard")]


def _sweep(networks: Sequence[Variant], target: Target) -> dict[Variant, float]:
    """Return the processor seconds of each; infinite where compiling failed or was given up."""
    taken: dict[Variant, float] = {}
    with builders.children() as pool:
        list(as_completed([pool.submit(compile_s, networks[0], target) for _ in range(builders.builders())]))  # imports
        futures = {pool.submit(compile_s, network, target): network for network in networks}
        for future in as_completed(futures):
            network = futures[future]
            try:
                taken[network] = future.result()
            except ChildError as error:
                taken[network] = math.inf
                print(f"{target.name} {network.name}: {error}, perhaps after {LIMIT_S} s", flush=True)
            else:
                print(f"{target.name} {network.name}: {taken[network]:.2f} s", flush=True)
    return taken


def _report(target: str, taken: dict[Variant, float]) -> int:
    found = list(_outstanding(taken))
    seconds = taken.values()
    print(
        f"{target}: {len(taken)} networks, processor time min {min(seconds):.2f} s, "
        f"median {statistics.median(seconds):.2f} s, max {max(seconds):.2f} s; "
        f"largest against the median of {NEIGHBOURS} neighbours: {max(ratio for _, ratio in _ratios(taken)):.2f}; "
        f"{len(found)} above {FACTOR:g}"
    )
    for network, ratio in found:
        print(f"{target} {network.name}: {taken[network]:.2f} s, {ratio:.1f} times its neighbours")
    return int(bool(found))


def _outstanding(taken: dict[Variant, float]) -> Iterator[tuple[Variant, float]]:
    for network, ratio in _ratios(taken):
        if not ratio <= FACTOR and taken[network] > LEAST_S:  # nan where all were given up
            yield network, ratio


def _ratios(taken: dict[Variant, float]) -> Iterator[tuple[Variant, float]]:
    """Yield each network with what it takes over the median of its neighbours."""
    for network in taken:
        others = [other for other in taken if other.convolution == network.convolution and other != network]
        nearest = sorted(others, key=functools.partial(_distance, network))[:NEIGHBOURS]
        if nearest:
            yield network, taken[network] / statistics.median(taken[other] for other in nearest)


def _distance(one: Variant, other: Variant) -> float:
    keys = ("width_multiplier", "resolution")
    ratios = (one.number(key) / other.number(key) for key in keys)
    return math.hypot(*map(math.log, ratios))


if __name__ == "__main__":
    sys.exit(main())
